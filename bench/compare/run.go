//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-sip/sallyport/bench/certs"
)

// kind is a kind of element: how to configure one and what it is.
type kind struct {
	name string
	// command writes the element's files to dir and returns how it is started. It must stay in the foreground.
	command func(o options, dir, transport string) ([]string, error)
	// version is one line that names version and what else matters to the figures.
	version func(o options) string
	// watched says that somebody reads its live feed during a run.
	watched bool
}

var kinds = []kind{
	{name: "kamailio", command: kamailioCommand, version: kamailioVersion},
	{name: "sallyport", command: sallyportCommand, version: sallyportVersion},
	{name: "unrecorded", command: unrecordedCommand, version: unrecordedVersion},
	{name: "watched", command: sallyportCommand, version: watchedVersion, watched: true},
}

func kindNames() string {
	var names []string
	for _, k := range kinds {
		names = append(names, k.name)
	}
	return strings.Join(names, ", ")
}

// result is what one run of the driver said (see the driver's report), and of which element.
type result struct {
	Name       string   `json:"name"`
	Pair       int      `json:"pair"`
	Transport  string   `json:"transport"`
	TLS        string   `json:"tls,omitempty"`
	Rate       int      `json:"rate"`
	Begun      uint64   `json:"begun"`
	Finished   uint64   `json:"finished"`
	Failed     uint64   `json:"failed"`
	FailedWhy  any      `json:"failed_why,omitempty"`
	WarmUp     any      `json:"warm_up_failed,omitempty"`
	OutOfOrder uint64   `json:"out_of_order"`
	Repeated   uint64   `json:"repeated"`
	Lost       []string `json:"lost,omitempty"`
	PerCall    float64  `json:"messages_per_call"`
	Late       uint64   `json:"late_starts"`
	SetupP50   float64  `json:"setup_p50_us"`
	SetupP99   float64  `json:"setup_p99_us"`
	Driver     float64  `json:"driver_us_per_call"`
	Other      float64  `json:"other_percent"`
	Element    struct {
		PerCall   float64 `json:"us_per_call"`
		Ticks     float64 `json:"us_per_call_ticks"`
		Core      float64 `json:"core_percent"`
		MemoryMiB float64 `json:"memory_mib"`
		Processes int     `json:"processes"`
		Threads   int     `json:"threads"`
	} `json:"element"`
}

// prepare makes the directory of a comparison with its certificates. remove takes it away again if it is a temporary one.
func prepare(o options) (dir string, remove func(), err error) {
	dir, remove = o.dir, func() {}
	if dir == "" {
		if dir, err = os.MkdirTemp("", "compare"); err != nil {
			return "", remove, err
		}
		remove = func() { os.RemoveAll(dir) }
	} else if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", remove, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return "", remove, err
	}
	return dir, remove, certs.Write(dir)
}

// run makes every run and prints the table. clean says that no call failed and none was out of order.
func run(ctx context.Context, o options, out io.Writer) (clean bool, err error) {
	dir, remove, err := prepare(o)
	defer remove()
	if err != nil {
		return false, err
	}
	if !o.asJSON {
		printSetting(out, o)
	}
	clean = true
	var all []seriesResult
	for _, transport := range o.transports {
		for _, rate := range o.rates {
			results, err := series(ctx, o, dir, transport, rate)
			if err != nil {
				return false, err
			}
			for _, r := range results {
				clean = clean && r.Failed == 0 && r.OutOfOrder == 0
				if o.asJSON {
					_ = json.NewEncoder(out).Encode(r)
				}
			}
			if !o.asJSON {
				printTable(out, o, transport, rate, results)
			}
			all = append(all, seriesResult{transport, rate, results})
		}
	}
	if !o.asJSON {
		printSummary(out, o, all)
	}
	return clean, nil
}

// series runs the elements in turn, every other time in the opposite order.
func series(ctx context.Context, o options, dir, transport string, rate int) ([]result, error) {
	var results []result
	for pair := range o.pairs {
		order := slices.Clone(o.elements)
		if pair%2 == 1 {
			slices.Reverse(order)
		}
		for _, name := range order {
			k := kinds[slices.IndexFunc(kinds, func(k kind) bool { return k.name == name })]
			r, err := once(ctx, o, dir, transport, rate, k)
			if err != nil {
				return nil, fmt.Errorf("%s over %s at %d/s: %w", name, transport, rate, err)
			}
			r.Name, r.Pair = name, pair+1
			results = append(results, *r)
			if !o.asJSON {
				fmt.Fprintf(os.Stderr, "%s %d/s run %d %-10s %6.1f µs a call, %d failed, other load %.0f %%\n",
					transport, rate, pair+1, name, r.Element.PerCall, r.Failed, r.Other)
			}
		}
	}
	return results, nil
}

// once starts an element, drives it and stops it.
func once(ctx context.Context, o options, dir, transport string, rate int, k kind) (*result, error) {
	p, err := begin(ctx, o, dir, transport, k)
	if err != nil {
		return nil, err
	}
	defer p.stop()
	var r result
	var reader *viewer
	if k.watched {
		reader = view(ctx, o)
	}
	err = drive(ctx, o, dir, transport, rate, p, &r)
	if reader != nil {
		err = errors.Join(err, reader.leave())
	}
	if err != nil {
		return nil, err
	}
	if r.Finished == 0 {
		return nil, fmt.Errorf("no call came through: %v %q\nelement's last words:\n%s", r.FailedWhy, r.Lost, p.lastWords())
	}
	return &r, nil
}

// begin starts an element and waits until it listens.
func begin(ctx context.Context, o options, dir, transport string, k kind) (*process, error) {
	own := filepath.Join(dir, k.name+"-"+transport)
	if err := os.MkdirAll(own, 0o755); err != nil {
		return nil, err
	}
	argv, err := k.command(o, own, transport)
	if err != nil {
		return nil, err
	}
	p, err := start(pin(o.elementCore, argv), filepath.Join(own, "log"))
	if err != nil {
		return nil, err
	}
	if err := p.listening(ctx, transport, o.element(transport)); err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

// drive runs the driver against the element, with more arguments than it always has, and reads its report into r.
func drive(ctx context.Context, o options, dir, transport string, rate int, p *process, r any, more ...string) error {
	argv := pin(o.driverCore, append([]string{o.callgen, "-json", "-transport", transport, "-element", o.element(transport).String(),
		"-caller", o.caller().String(), "-answerer", o.answerer().String(), "-certs", dir, "-name", "gateway.example",
		"-conns", strconv.Itoa(o.conns), "-rate", strconv.Itoa(rate), "-time", o.measure.String(), "-warm-up", o.warmUp.String(),
		"-pid", strconv.Itoa(p.pid())}, more...))
	expected := o.measure + o.warmUp
	if o.hold > 0 {
		expected = o.warmUp + 3*o.settle + 2*time.Duration(o.hold/rate+1)*time.Second
	}
	limit, cancel := context.WithTimeout(ctx, expected+time.Minute)
	defer cancel()
	cmd := exec.CommandContext(limit, argv[0], argv[1:]...)
	cmd.SysProcAttr = endWithUs()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if jsonErr := json.Unmarshal(stdout.Bytes(), r); jsonErr != nil {
		return fmt.Errorf("driver: %v: %s\nelement's last words:\n%s", err, bytes.TrimSpace(stderr.Bytes()), p.lastWords())
	}
	return nil
}

// pin puts a command on one core. taskset replaces itself by the command, so the process keeps its number.
func pin(core int, argv []string) []string {
	if core < 0 {
		return argv
	}
	return append([]string{"taskset", "-c", strconv.Itoa(core)}, argv...)
}
