//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// profiled is where the CPU time of the gateway went in one run.
type profiled struct {
	transport string
	rate      int
	perCall   float64            // microseconds
	parts     map[string]float64 // share of each, together 1
	samples   time.Duration      // CPU time that the profile saw
	failed    uint64
}

// runProfile profiles the gateway under calls, over each transport at each rate, and prints its parts' shares. The profiles stay in -dir.
func runProfile(ctx context.Context, o options, out io.Writer) (clean bool, err error) {
	dir, remove, err := prepare(o)
	defer remove()
	if err != nil {
		return false, err
	}
	if !o.asJSON {
		printSetting(out, o)
	}
	clean = true
	var all []profiled
	for _, transport := range o.transports {
		for _, rate := range o.rates {
			p, err := profileOnce(ctx, o, dir, transport, rate)
			if err != nil {
				return false, fmt.Errorf("%s at %d/s: %w", transport, rate, err)
			}
			clean = clean && p.failed == 0
			all = append(all, *p)
			fmt.Fprintf(os.Stderr, "%s %d/s: %.0f µs a call, %d failed, %v of CPU time in the profile\n", transport, rate, p.perCall, p.failed, p.samples)
		}
	}
	printProfiles(out, all)
	return clean, nil
}

// profileOnce takes the profile while the driver measures, so that both speak of the same calls.
func profileOnce(ctx context.Context, o options, dir, transport string, rate int) (*profiled, error) {
	k := kinds[slices.IndexFunc(kinds, func(k kind) bool { return k.name == "sallyport" })]
	p, err := begin(ctx, o, dir, transport, k)
	if err != nil {
		return nil, err
	}
	defer p.stop()
	file := filepath.Join(dir, fmt.Sprintf("%s-%d.pprof", transport, rate))
	taken := make(chan error, 1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { taken <- o.takeProfile(ctx, file) }()
	var r result
	if err := drive(ctx, o, dir, transport, rate, p, &r); err != nil {
		return nil, err
	}
	if err := <-taken; err != nil {
		return nil, err
	}
	out, err := exec.CommandContext(ctx, "go", "tool", "pprof", "-traces", file).Output()
	if err != nil {
		return nil, fmt.Errorf("go tool pprof: %w", err)
	}
	parts, samples, err := shares(bytes.NewReader(out))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return &profiled{transport, rate, r.Element.PerCall, parts, samples, r.Failed}, nil
}

// takeProfile waits for the warm-up to be over and profiles the gateway for most of the measured time.
func (o options) takeProfile(ctx context.Context, file string) error {
	select {
	case <-time.After(o.warmUp + o.measure/20):
	case <-ctx.Done():
		return ctx.Err()
	}
	seconds := max(1, int(o.measure.Seconds()*0.9))
	q, err := http.NewRequestWithContext(ctx, "GET", fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", o.door(), seconds), nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(q)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		return fmt.Errorf("profile: %s, %v", answer.Status, err)
	}
	return os.WriteFile(file, text, 0o644)
}

// printProfiles prints a table in Markdown: a row a part, the greatest first; a column a run.
func printProfiles(out io.Writer, all []profiled) {
	sum := map[string]float64{}
	for _, p := range all {
		for part, share := range p.parts {
			sum[part] += share
		}
	}
	var rows []string
	for part := range sum {
		rows = append(rows, part)
	}
	slices.SortFunc(rows, func(a, b string) int {
		if sum[a] != sum[b] {
			return map[bool]int{true: -1, false: 1}[sum[a] > sum[b]]
		}
		return bytes.Compare([]byte(a), []byte(b))
	})
	fmt.Fprintf(out, "\n| where the CPU time goes |")
	var line strings.Builder
	line.WriteString("|---|")
	for _, p := range all {
		fmt.Fprintf(out, " %s, %d/s: %% | µs a call |", p.transport, p.rate)
		line.WriteString("---|---|")
	}
	fmt.Fprintf(out, "\n%s\n", line.String())
	for _, part := range rows {
		fmt.Fprintf(out, "| %s |", part)
		for _, p := range all {
			fmt.Fprintf(out, " %.1f | %.1f |", 100*p.parts[part], p.parts[part]*p.perCall)
		}
		fmt.Fprintln(out)
	}
	fmt.Fprint(out, "| all |")
	for _, p := range all {
		fmt.Fprintf(out, " 100 | %.1f |", p.perCall)
	}
	fmt.Fprintln(out)
}
