//go:build linux

package main

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestStacksBelongToParts(t *testing.T) {
	for _, row := range []struct{ want, stack string }{
		{"garbage collection", "runtime.scanobject runtime.gcDrain runtime.gcBgMarkWorker.func2 runtime.systemstack"},
		{"garbage collection", "runtime.scanobject runtime.gcAssistAlloc runtime.mallocgc " + ours + "sip.Parse"},
		{"scheduler, timers, waking", "runtime.futex runtime.notewakeup runtime.startm runtime.chansend " + ours + "sip/ua.(*Server).post"},
		{"scheduler, timers, waking", "internal/runtime/syscall.EpollWait runtime.netpoll runtime.findRunnable"},
		{"allocation", "runtime.memclrNoHeapPointers runtime.mallocgc runtime.growslice " + ours + "sip.(*Builder).Add"},
		{"system calls (network)", "internal/runtime/syscall.Syscall6 syscall.RawSyscall6 " + ours + "sip/transport.(*udp).write"},
		{"records of calls (journal, SQLite)", "internal/runtime/syscall.Syscall6 syscall.write os.(*File).Write " + ours + "internal/store.(*journal).flush"},
		{"TLS", "crypto/internal/fips140/aes/gcm.gcmAesEnc crypto/tls.(*halfConn).encrypt crypto/tls.(*Conn).Write " + ours + "sip/transport.(*stream).write"},
		{"messages (parsing, building)", "runtime.memmove " + ours + "sip.(*Message).Index " + ours + "sip/transport.(*Conn).read"},
		{"calls (b2bua, dialogs)", "internal/runtime/maps.(*Map).getWithKey runtime.mapaccess1 " + ours + "internal/b2bua.(*Call).bye"},
		{"shards and mailboxes", "hash/maphash.Bytes " + ours + "sip/ua.(*Server).shardOf"},
		{"connections (framing, batches)", "bytes.IndexByte " + ours + "sip/transport.(*framer).next"},
		{"the rest", "main.main runtime.main"},
	} {
		if got := partOf(strings.Fields(row.stack)); got != row.want {
			t.Errorf("%s: belongs to %q, want %q", row.stack, got, row.want)
		}
	}
}

const traces = `File: gateway
Type: cpu
Duration: 3s, Total samples = 600ms (20%)
-----------+-------------------------------------------------------
     150ms   internal/runtime/syscall.Syscall6
             syscall.RawSyscall6
             ` + ours + `sip/transport.(*udp).write (inline)
-----------+-------------------------------------------------------
      1.05s   crypto/tls.(*Conn).Write
             main.main
-----------+-------------------------------------------------------
     300ms   main.main
`

func TestSharesOfAProfile(t *testing.T) {
	parts, all, err := shares(strings.NewReader(traces))
	if err != nil || all != 1500*time.Millisecond {
		t.Fatalf("%v, %v", all, err)
	}
	for part, want := range map[string]float64{"system calls (network)": 0.1, "TLS": 0.7, "the rest": 0.2} {
		if got := parts[part]; math.Abs(got-want) > 1e-9 {
			t.Errorf("%s has %v, want %v", part, got, want)
		}
	}
	for _, bad := range []string{"", "-----------+---\n", "-----------+---\n  main.main\n", "-----------+---\n  much main.main\n"} {
		if _, _, err := shares(strings.NewReader(bad)); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestTablesInMarkdown(t *testing.T) {
	var out strings.Builder
	run := func(name string, pair int, cost float64) result {
		r := result{Name: name, Pair: pair, SetupP50: 200, SetupP99: 900, Other: 3}
		r.Element.PerCall = cost
		return r
	}
	printSummary(&out, options{elements: []string{"kamailio", "sallyport"}, pairs: 2}, []seriesResult{{"tls", 2000, []result{
		run("kamailio", 1, 100), run("sallyport", 1, 80), run("sallyport", 2, 90), run("kamailio", 2, 100),
	}}})
	printHeld(&out, []held{{
		Name: "sallyport", Transport: "udp", Held: 1024, Probed: true,
		Before: standing{10, 5, 12}, Up: standing{20, 9, 12}, After: standing{18, 5, 12},
	}, {Name: "kamailio", Transport: "udp", Held: 1024, Before: standing{MemoryMiB: 10}, Up: standing{MemoryMiB: 10}, After: standing{MemoryMiB: 10}}})
	printProfiles(&out, []profiled{{"udp", 500, 200, map[string]float64{"TLS": 0.25, "the rest": 0.75}, time.Second, 0}})
	for _, want := range []string{
		"| tls | 2000 | 100 | 85 | **0.85** (0.80–0.90) | 0.20 / 0.90 | 0.20 / 0.90 | 0 | 3 |",
		"| sallyport | udp | 1024 | 10 / 20 / 18 | 10.00 | 5.0 / 9.0 / 5.0 | 4.00 | 12 / 12 / 12 | 0.0000 |",
		"| kamailio | udp | 1024 | 10 / 10 / 10 | 0.00 | – | – | – | – |",
		"| the rest | 75.0 | 150.0 |\n| TLS | 25.0 | 50.0 |\n| all | 100 | 200.0 |",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	// Each row has as many cells as its head.
	cells := 0
	for line := range strings.Lines(out.String()) {
		n := strings.Count(line, "|")
		if n == 0 {
			cells = 0
		} else if cells == 0 {
			cells = n
		} else if n != cells {
			t.Errorf("%d cells, want %d: %s", n-1, cells-1, line)
		}
	}
}
