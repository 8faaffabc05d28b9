//go:build linux

package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/sallyport-sip/sallyport/bench/proccpu"
)

// report is the outcome of a run, printed as text or as JSON. Times are in microseconds unless the name says otherwise.
type report struct {
	Transport string  `json:"transport"`
	TLS       string  `json:"tls,omitempty"` // version and suite towards the element
	Rate      int     `json:"rate"`
	Seconds   float64 `json:"seconds"`
	Conns     int     `json:"connections"`

	Begun        uint64            `json:"begun"`    // calls begun in the measured window
	Finished     uint64            `json:"finished"` // of these, ended as they should
	Failed       uint64            `json:"failed"`
	FailedWhy    map[string]uint64 `json:"failed_why,omitempty"`
	WarmUpFailed map[string]uint64 `json:"warm_up_failed,omitempty"`
	OutOfOrder   uint64            `json:"out_of_order"` // BYEs before their ACK, warm-up included
	Repeated     uint64            `json:"repeated"`     // retransmissions of the element, warm-up included
	Foreign      uint64            `json:"foreign"`      // messages that belong to no call, warm-up included
	Lost         []string          `json:"lost,omitempty"`
	PerCall      float64           `json:"messages_per_call"` // in and out of the driver, so of the element

	Late     uint64  `json:"late_starts"` // more than a millisecond after their time
	LateP99  float64 `json:"late_p99_us"`
	SetupP50 float64 `json:"setup_p50_us"` // INVITE due to 200
	SetupP99 float64 `json:"setup_p99_us"`
	SetupMax float64 `json:"setup_max_us"`

	Element *elementCost `json:"element,omitempty"`
	Driver  float64      `json:"driver_us_per_call"`
	Other   float64      `json:"other_percent"` // CPU used by all else on the machine, in per cent of one core
}

// elementCost is what the element has used in the window.
type elementCost struct {
	PerCall   float64 `json:"us_per_call"`       // by the scheduler's account
	Ticks     float64 `json:"us_per_call_ticks"` // by utime and stime: a check, coarser
	Core      float64 `json:"core_percent"`
	MemoryMiB float64 `json:"memory_mib"` // proportional set size
	Processes int     `json:"processes"`
	Threads   int     `json:"threads"`
}

func (d *driver) report(before, after reading) *report {
	c, a := &d.caller.counts, &d.answerer.counts
	window := after.when - before.when
	done := after.finished - before.finished
	used := after.self.Sub(before.self)
	r := &report{
		Transport: d.transport, Rate: d.rate, Seconds: window.Seconds(), Conns: d.conns,
		Begun: c.measured.begun, Finished: c.measured.finished, FailedWhy: c.measured.failed, WarmUpFailed: c.warmUpFailed,
		OutOfOrder: a.outOfOrder, Repeated: c.repeated + a.repeated, Foreign: c.foreign + a.foreign,
		Lost:    slices.Clone(d.loop.lost),
		PerCall: perCall(messages(after)-messages(before), done),
		Late:    c.measured.late, LateP99: micros(d.caller.late.quantile(0.99)),
		SetupP50: micros(d.caller.setup.quantile(0.50)), SetupP99: micros(d.caller.setup.quantile(0.99)), SetupMax: micros(d.caller.setup.max),
		Driver: perCall(micros(used.Sched), done),
	}
	for _, n := range c.measured.failed {
		r.Failed += n
	}
	if d.acceptor != nil {
		d.acceptor.mu.Lock()
		r.Lost = append(r.Lost, d.acceptor.refused...)
		d.acceptor.mu.Unlock()
	}
	r.TLS = suite(d.tls)
	busy := after.busy - before.busy - used.Ticks
	if len(d.pids) > 0 {
		e := after.element.Sub(before.element)
		busy -= e.Ticks
		r.Element = &elementCost{
			PerCall: perCall(micros(e.Sched), done), Ticks: perCall(micros(e.Ticks), done),
			Core:      100 * e.Sched.Seconds() / window.Seconds(),
			Processes: after.element.Processes, Threads: after.element.Threads,
		}
		if m, err := proccpu.Memory(d.pids); err == nil {
			r.Element.MemoryMiB = float64(m) / (1 << 20)
		}
	}
	r.Other = 100 * busy.Seconds() / window.Seconds()
	return r
}

// suite names version and cipher suite of a connection, empty without TLS.
func suite(s *tls.ConnectionState) string {
	if s == nil {
		return ""
	}
	return tls.VersionName(s.Version) + " " + tls.CipherSuiteName(s.CipherSuite)
}

func messages(r reading) float64 {
	return float64(r.caller.sent + r.caller.received + r.answerer.sent + r.answerer.received)
}

func perCall(v float64, calls uint64) float64 {
	if calls == 0 {
		return 0
	}
	return v / float64(calls)
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

// clean says that every call went as it should, in order.
func (r *report) clean() bool { return r.Failed == 0 && r.OutOfOrder == 0 && r.Begun > 0 }

func (r *report) print(w io.Writer) {
	fmt.Fprintf(w, "%s, %d calls a second for %.1f s, %d connection(s) from the caller", r.Transport, r.Rate, r.Seconds, r.Conns)
	if r.TLS != "" {
		fmt.Fprintf(w, ", %s", r.TLS)
	}
	fmt.Fprintf(w, "\ncalls     begun %d, finished %d, failed %d; out of order %d, repeated %d, foreign %d; %.2f messages a call\n",
		r.Begun, r.Finished, r.Failed, r.OutOfOrder, r.Repeated, r.Foreign, r.PerCall)
	fmt.Fprintf(w, "set-up    p50 %.0f µs, p99 %.0f µs, max %.0f µs; late starts %d (p99 %.0f µs)\n", r.SetupP50, r.SetupP99, r.SetupMax, r.Late, r.LateP99)
	if e := r.Element; e != nil {
		fmt.Fprintf(w, "element   %.1f µs CPU a call (clock ticks say %.0f), %.0f %% of a core, %.0f MiB, %d process(es), %d thread(s)\n",
			e.PerCall, e.Ticks, e.Core, e.MemoryMiB, e.Processes, e.Threads)
	}
	fmt.Fprintf(w, "driver    %.1f µs CPU a call; all else on the machine used %.0f %% of a core\n", r.Driver, r.Other)
	for _, why := range slices.Sorted(maps.Keys(r.FailedWhy)) {
		fmt.Fprintf(w, "failed    %d: %s\n", r.FailedWhy[why], why)
	}
	for _, why := range slices.Sorted(maps.Keys(r.WarmUpFailed)) {
		fmt.Fprintf(w, "warm-up   %d failed: %s\n", r.WarmUpFailed[why], why)
	}
	for _, why := range r.Lost {
		fmt.Fprintf(w, "lost      a connection: %s\n", why)
	}
}
