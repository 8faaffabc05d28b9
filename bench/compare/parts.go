//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

const ours = "github.com/sallyport-sip/sallyport/"

// anywhere are parts that own a whole stack when one of its functions is theirs, wherever it stands: what these goroutines do, they do
// for that part, in the runtime and in the kernel too.
var anywhere = []part{
	{"records of calls (journal, SQLite)", []string{ours + "internal/store.", "modernc.org/"}},
	{"garbage collection", []string{
		"runtime.gcBgMarkWorker", "runtime.bgsweep", "runtime.bgscavenge", "runtime.gcStart", "runtime.gcAssistAlloc", "runtime.gcMarkDone",
		"runtime.gcMarkTermination", "runtime.(*mheap).reclaim", "runtime.gcDrain",
	}},
	{"scheduler, timers, waking", []string{"runtime.findRunnable", "runtime.netpoll", "runtime.schedule", "runtime.sysmon"}},
	{"profiling", []string{"runtime/pprof.", "net/http.", "runtime.sigprof"}},
}

// innermost are parts that own a stack by the first function from its end that any part claims. What nobody claims, for instance a
// copy or a map, belongs to who called it.
var innermost = []part{
	{"scheduler, timers, waking", []string{
		"runtime.mcall", "runtime.park_m", "runtime.futex", "runtime.notewakeup", "runtime.notesleep",
		"runtime.ready", "runtime.goready", "runtime.wakep", "runtime.mstart", "runtime.gopark",
		"runtime.selectgo", "runtime.chansend", "runtime.chanrecv", "runtime.goexit0", "runtime.systemstack_switch", "runtime.(*timers)",
		"runtime.(*timer)", "runtime.resetspinning", "runtime.stopm", "runtime.startm", "runtime.gosched", "runtime.goschedImpl", "runtime.usleep",
		"runtime.osyield", "runtime.mPark", "runtime.stealWork", "runtime.runqgrab", "runtime.entersyscall", "runtime.exitsyscall", "runtime.reentersyscall",
		"runtime.newproc", "runtime.gfget", "runtime.morestack", "runtime.newstack", "runtime.semacquire", "runtime.semrelease", "runtime.semawakeup",
	}},
	{"allocation", []string{"runtime.mallocgc", "runtime.newobject", "runtime.makeslice", "runtime.growslice"}},
	{"system calls (network)", []string{"syscall.", "internal/runtime/syscall", "golang.org/x/sys/unix.", "internal/poll."}},
	{"TLS", []string{"crypto/", "vendor/golang.org/x/crypto", "math/big"}},
	{"recording of flows", []string{ours + "internal/recorder.", ours + "internal/callflow", ours + "internal/tlswire."}},
	{"log", []string{"log/slog.", ours + "internal/cli."}},
	{"metrics", []string{ours + "internal/metrics.", "github.com/prometheus/"}},
	{"calls (b2bua, dialogs)", []string{ours + "internal/b2bua.", ours + "sip/dialog."}},
	{"transactions and timers of SIP", []string{ours + "sip/transaction."}},
	{"connections (framing, batches)", []string{ours + "sip/transport.", "net.", "net/netip."}},
	{"shards and mailboxes", []string{ours + "sip/ua."}},
	{"who and where to (peer, route)", []string{ours + "internal/gateway.", ours + "internal/peer.", ours + "internal/route.", ours + "internal/guard.", ours + "internal/trust.", ours + "sip/resolve."}},
	{"messages (parsing, building)", []string{ours + "sip.", ours + "sdp."}},
	{"scheduler, timers, waking", []string{"runtime.mstart1", "runtime.rt0_go", "runtime._System", "runtime._ExternalCode", "time."}},
}

const rest = "the rest"

// part is a name for functions that begin in one of these ways.
type part struct {
	name      string
	functions []string
}

func (p part) claims(function string) bool {
	for _, prefix := range p.functions {
		if strings.HasPrefix(function, prefix) {
			return true
		}
	}
	return false
}

// partOf says to which part a stack belongs, innermost function first.
func partOf(stack []string) string {
	for _, p := range anywhere {
		if slices.ContainsFunc(stack, p.claims) {
			return p.name
		}
	}
	for _, f := range stack {
		for _, p := range innermost {
			if p.claims(f) {
				return p.name
			}
		}
	}
	return rest
}

// shares reads what "go tool pprof -traces" printed and says which share of the samples each part has, and their sum.
func shares(traces io.Reader) (map[string]float64, time.Duration, error) {
	parts, all := map[string]time.Duration{}, time.Duration(0)
	var stack []string
	var value time.Duration
	settle := func() {
		if len(stack) > 0 {
			parts[partOf(stack)] += value
			all += value
		}
		stack = nil
	}
	lines := bufio.NewScanner(traces)
	lines.Buffer(nil, 1<<20)
	begun := false
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "-----------+") {
			settle()
			begun = true
			continue
		}
		fields := strings.Fields(line)
		if !begun || len(fields) == 0 {
			continue
		}
		if len(stack) == 0 {
			if len(fields) < 2 {
				return nil, 0, fmt.Errorf("a stack begins with %q, want a time and a function", line)
			}
			v, err := time.ParseDuration(fields[0])
			if err != nil {
				return nil, 0, err
			}
			value, fields = v, fields[1:]
		}
		stack = append(stack, fields[0])
	}
	settle()
	if err := lines.Err(); err != nil {
		return nil, 0, err
	}
	if all == 0 {
		return nil, 0, errors.New("the profile has no samples")
	}
	result := map[string]float64{}
	for name, v := range parts {
		result[name] = float64(v) / float64(all)
	}
	return result, all, nil
}
