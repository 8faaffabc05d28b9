//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
)

// standing and held are what a run of the driver with -hold said (see the driver's report).
type standing struct {
	MemoryMiB  float64 `json:"memory_mib"`
	HeapMiB    float64 `json:"heap_mib"`
	Goroutines int     `json:"goroutines"`
}

type held struct {
	Name      string            `json:"name"`
	Transport string            `json:"transport"`
	TLS       string            `json:"tls,omitempty"`
	Rate      int               `json:"rate"`
	Held      int               `json:"held"`
	Ended     int               `json:"ended"`
	FailedWhy map[string]uint64 `json:"failed_why,omitempty"`
	Lost      []string          `json:"lost,omitempty"`
	Probed    bool              `json:"probed"`
	Before    standing          `json:"before"`
	Up        standing          `json:"up"`
	After     standing          `json:"after"`
}

// runHold has each element hold calls, over each transport, and prints what a held call takes. clean says that every call was held and
// ended as it should.
func runHold(ctx context.Context, o options, out io.Writer) (clean bool, err error) {
	dir, remove, err := prepare(o)
	defer remove()
	if err != nil {
		return false, err
	}
	if !o.asJSON {
		printSetting(out, o)
	}
	clean = true
	var all []held
	for _, transport := range o.transports {
		for _, name := range o.elements {
			k := kinds[slices.IndexFunc(kinds, func(k kind) bool { return k.name == name })]
			h, err := holdOnce(ctx, o, dir, transport, k)
			if err != nil {
				return false, fmt.Errorf("%s over %s: %w", name, transport, err)
			}
			clean = clean && h.Held == o.hold && h.Ended == o.hold
			all = append(all, *h)
			if o.asJSON {
				_ = json.NewEncoder(out).Encode(h)
			} else {
				fmt.Fprintf(os.Stderr, "%s %s: %d held, %d ended, %v %q\n", transport, name, h.Held, h.Ended, h.FailedWhy, h.Lost)
			}
		}
	}
	if !o.asJSON {
		printHeld(out, all)
	}
	return clean, nil
}

func holdOnce(ctx context.Context, o options, dir, transport string, k kind) (*held, error) {
	p, err := begin(ctx, o, dir, transport, k)
	if err != nil {
		return nil, err
	}
	defer p.stop()
	more := []string{"-hold", fmt.Sprint(o.hold), "-settle", o.settle.String()}
	if k.name == "sallyport" {
		more = append(more, "-probe", "http://"+o.door()+"/memory")
	}
	h := &held{Name: k.name}
	if err := drive(ctx, o, dir, transport, o.rates[0], p, h, more...); err != nil {
		return nil, err
	}
	if h.Held == 0 {
		return nil, fmt.Errorf("no call is held: %v %q\nelement's last words:\n%s", h.FailedWhy, h.Lost, p.lastWords())
	}
	return h, nil
}

// printHeld prints a table in Markdown.
func printHeld(out io.Writer, all []held) {
	fmt.Fprintln(out, "\n| element | transport | calls held | MiB before / with / after | KiB a call | live heap MiB before / with / after | KiB of heap a call | goroutines before / with / after | goroutines a call |")
	fmt.Fprintln(out, "|---|---|---|---|---|---|---|---|---|")
	for _, h := range all {
		each := func(before, up float64) float64 { return (up - before) / float64(h.Held) }
		fmt.Fprintf(out, "| %s | %s | %d | %.0f / %.0f / %.0f | %.2f |", h.Name, h.Transport, h.Held,
			h.Before.MemoryMiB, h.Up.MemoryMiB, h.After.MemoryMiB, 1024*each(h.Before.MemoryMiB, h.Up.MemoryMiB))
		if !h.Probed {
			fmt.Fprintln(out, " – | – | – | – |")
			continue
		}
		fmt.Fprintf(out, " %.1f / %.1f / %.1f | %.2f | %d / %d / %d | %.4f |\n", h.Before.HeapMiB, h.Up.HeapMiB, h.After.HeapMiB,
			1024*each(h.Before.HeapMiB, h.Up.HeapMiB), h.Before.Goroutines, h.Up.Goroutines, h.After.Goroutines,
			each(float64(h.Before.Goroutines), float64(h.Up.Goroutines)))
	}
}
