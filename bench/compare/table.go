//go:build linux

package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
)

// spread is the middle and the ends of some values.
type spread struct{ median, least, greatest float64 }

func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{}
	}
	v := slices.Sorted(slices.Values(values))
	mid := v[len(v)/2]
	if len(v)%2 == 0 {
		mid = (v[len(v)/2-1] + mid) / 2
	}
	return spread{mid, v[0], v[len(v)-1]}
}

// ratios divides each run of name by the run of base in the same pair.
func ratios(results []result, name, base string) []float64 {
	byPair := make(map[int]float64)
	for _, r := range results {
		if r.Name == base {
			byPair[r.Pair] = r.Element.PerCall
		}
	}
	var out []float64
	for _, r := range results {
		if b := byPair[r.Pair]; r.Name == name && b > 0 {
			out = append(out, r.Element.PerCall/b)
		}
	}
	return out
}

func printSetting(w io.Writer, o options) {
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	fmt.Fprintf(w, "%s, %d cores, Linux %s, driver built with the same tree, %s\n",
		processor(), runtime.NumCPU(), strings.TrimSpace(string(kernel)), runtime.Version())
	fmt.Fprintf(w, "element on core %d, driver on core %d, %d connection(s) from the caller; %d run(s) of %v after %v of warm-up, elements in turn\n",
		o.elementCore, o.driverCore, o.conns, o.pairs, o.measure, o.warmUp)
	for _, name := range o.elements {
		k := kinds[slices.IndexFunc(kinds, func(k kind) bool { return k.name == name })]
		fmt.Fprintf(w, "%s: %s\n", name, k.version(o))
	}
}

func processor() string {
	b, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// printTable prints one transport and rate: a row an element, the middle of its runs and their ends.
func printTable(out io.Writer, o options, transport string, rate int, results []result) {
	fmt.Fprintf(out, "\n%s, %d calls a second", transport, rate)
	if tls := suites(results); tls != "" {
		fmt.Fprintf(out, ", %s on the caller's side", tls)
	}
	fmt.Fprintln(out)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "element\tµs CPU a call\tratio to %s\tby ticks\tset-up ms p50 / p99\tfailed\tout of order\trepeated\tmessages a call\tMiB\tlate\tdriver µs\tother %%\t\n", o.elements[0])
	for _, name := range o.elements {
		mine := slices.DeleteFunc(slices.Clone(results), func(r result) bool { return r.Name != name })
		of := func(value func(result) float64) spread {
			var v []float64
			for _, r := range mine {
				v = append(v, value(r))
			}
			return spreadOf(v)
		}
		var failed, order, repeated, late uint64
		for _, r := range mine {
			failed, order, repeated, late = failed+r.Failed, order+r.OutOfOrder, repeated+r.Repeated, late+r.Late
		}
		cost := of(func(r result) float64 { return r.Element.PerCall })
		ratio := spreadOf(ratios(results, name, o.elements[0]))
		fmt.Fprintf(w, "%s\t%.0f (%.0f–%.0f)\t%.2f (%.2f–%.2f)\t%.0f\t%.2f / %.2f\t%d\t%d\t%d\t%.2f\t%.0f\t%d\t%.0f\t%.0f\t\n",
			name, cost.median, cost.least, cost.greatest, ratio.median, ratio.least, ratio.greatest,
			of(func(r result) float64 { return r.Element.Ticks }).median,
			of(func(r result) float64 { return r.SetupP50 }).median/1000, of(func(r result) float64 { return r.SetupP99 }).median/1000,
			failed, order, repeated, of(func(r result) float64 { return r.PerCall }).median,
			of(func(r result) float64 { return r.Element.MemoryMiB }).median, late,
			of(func(r result) float64 { return r.Driver }).median, of(func(r result) float64 { return r.Other }).greatest)
	}
	_ = w.Flush()
	for _, r := range results {
		if r.Failed > 0 {
			fmt.Fprintf(out, "%s run %d: %d failed of %d: %v %q\n", r.Name, r.Pair, r.Failed, r.Begun, r.FailedWhy, r.Lost)
		}
	}
}

func suites(results []result) string {
	var names []string
	for _, r := range results {
		if r.TLS != "" && !slices.Contains(names, r.TLS) {
			names = append(names, r.TLS)
		}
	}
	return strings.Join(names, " and ")
}

// seriesResult is every run at one transport and rate.
type seriesResult struct {
	transport string
	rate      int
	runs      []result
}

// printSummary prints every series as one row of a table in Markdown: the middle of each element's cost, and for all but the first element
// the ratio to it, pair by pair, with its ends.
func printSummary(out io.Writer, o options, all []seriesResult) {
	base := o.elements[0]
	fmt.Fprintf(out, "\n| transport | calls a second |")
	for _, name := range o.elements {
		fmt.Fprintf(out, " %s, µs a call |", name)
	}
	for _, name := range o.elements[1:] {
		fmt.Fprintf(out, " %s / %s (least–greatest of %d pairs) |", name, base, o.pairs)
	}
	for _, name := range o.elements {
		fmt.Fprintf(out, " %s, set-up p50 / p99 ms |", name)
	}
	fmt.Fprintln(out, " failed | greatest other load % |")
	fmt.Fprintln(out, "|"+strings.Repeat("---|", 4+3*len(o.elements)-1))
	for _, s := range all {
		of := func(name string, value func(result) float64) spread {
			var v []float64
			for _, r := range s.runs {
				if r.Name == name || name == "" {
					v = append(v, value(r))
				}
			}
			return spreadOf(v)
		}
		fmt.Fprintf(out, "| %s | %d |", s.transport, s.rate)
		for _, name := range o.elements {
			fmt.Fprintf(out, " %.0f |", of(name, func(r result) float64 { return r.Element.PerCall }).median)
		}
		for _, name := range o.elements[1:] {
			r := spreadOf(ratios(s.runs, name, base))
			fmt.Fprintf(out, " **%.2f** (%.2f–%.2f) |", r.median, r.least, r.greatest)
		}
		for _, name := range o.elements {
			fmt.Fprintf(out, " %.2f / %.2f |", of(name, func(r result) float64 { return r.SetupP50 }).median/1000,
				of(name, func(r result) float64 { return r.SetupP99 }).median/1000)
		}
		failed := uint64(0)
		for _, r := range s.runs {
			failed += r.Failed
		}
		fmt.Fprintf(out, " %d | %.0f |\n", failed, of("", func(r result) float64 { return r.Other }).greatest)
	}
}
