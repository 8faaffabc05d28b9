//go:build linux

package main

import (
	"io"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"
)

// direct calls the answerer without an element between, on ports the kernel chooses where it may.
func direct(t *testing.T, transport string) options {
	t.Helper()
	o, _, err := flags([]string{"-transport", transport, "-rate", "400", "-time", "250ms", "-warm-up", "50ms",
		"-caller", "127.0.0.1:0", "-answerer", freeAddress(t, transport)}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func freeAddress(t *testing.T, transport string) string {
	t.Helper()
	if transport == "udp" {
		u, err := listenUDP(netip.MustParseAddrPort("127.0.0.1:0"), netip.MustParseAddrPort("127.0.0.1:9"), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer u.close()
		return u.local.String()
	}
	a, err := accept(netip.MustParseAddrPort("127.0.0.1:0"), nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	return a.listener.Addr().String()
}

func TestCallsWithoutElement(t *testing.T) {
	for _, transport := range []string{"udp", "tcp", "tls"} {
		t.Run(transport, func(t *testing.T) {
			o := direct(t, transport)
			o.conns = 2
			r, err := run(o)
			if err != nil {
				t.Fatal(err)
			}
			if r.Begun != 100 || r.Finished != 100 || !r.clean() {
				t.Errorf("begun %d, finished %d, failed %v, out of order %d; want 100, 100, none, 0", r.Begun, r.Finished, r.FailedWhy, r.OutOfOrder)
			}
			if len(r.Lost) > 0 || r.Foreign > 0 {
				t.Errorf("lost %q, foreign %d", r.Lost, r.Foreign)
			}
			if r.SetupP50 <= 0 || r.SetupP99 < r.SetupP50 {
				t.Errorf("set-up p50 %v, p99 %v", r.SetupP50, r.SetupP99)
			}
			if transport == "tls" && !strings.HasPrefix(r.TLS, "TLS 1.3 ") {
				t.Errorf("TLS %q, want 1.3", r.TLS)
			}
		})
	}
}

func TestSilentElementFailsEveryCall(t *testing.T) {
	silent, err := listenUDP(netip.MustParseAddrPort("127.0.0.1:0"), netip.MustParseAddrPort("127.0.0.1:9"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.close()
	o := direct(t, "udp")
	o.element, o.timeout, o.warmUp = silent.local, time.Second, 0
	r, err := run(o)
	if err != nil {
		t.Fatal(err)
	}
	if r.Failed != 100 || r.FailedWhy["no answer to INVITE in 1s"] != 100 || r.clean() {
		t.Errorf("failed %v, want all 100 without answer", r.FailedWhy)
	}
}

func TestElementThatIsNotThere(t *testing.T) {
	o := direct(t, "tcp")
	o.element = netip.MustParseAddrPort(freeAddress(t, "tcp"))
	if _, err := run(o); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("error %v, want a refused connection", err)
	}
	o = direct(t, "udp")
	o.pid = 1 << 30
	if _, err := run(o); err == nil || !strings.Contains(err.Error(), "not running") {
		t.Errorf("error %v, want that the process is not running", err)
	}
}

func TestFlagsThatCannotWork(t *testing.T) {
	for _, args := range []string{
		"-transport sctp", "-rate 0", "-conns 0", "-timeout 10ms", "-element nowhere", "-element [::1]:5060",
		"-transport tls -element 127.0.0.1:5061", "more",
	} {
		if _, _, err := flags(strings.Fields(args), io.Discard); err == nil {
			t.Errorf("%s: no error", args)
		}
	}
}

// The answerer and the element are this process itself.
func TestCallsAreHeldAndEnded(t *testing.T) {
	for _, transport := range []string{"udp", "tls"} {
		t.Run(transport, func(t *testing.T) {
			o := direct(t, transport)
			o.hold, o.rate, o.pid, o.settle = 1500, 5000, os.Getpid(), 10*time.Millisecond
			r, err := runHold(o)
			if err != nil {
				t.Fatal(err)
			}
			if r.Held != o.hold || r.Ended != uint64(o.hold) || !r.clean() {
				t.Errorf("held %d, ended %d, failed %v; want %d, %[4]d, none", r.Held, r.Ended, r.FailedWhy, o.hold)
			}
			if r.Before.MemoryMiB <= 0 || r.Up.MemoryMiB <= 0 || r.After.MemoryMiB <= 0 {
				t.Errorf("memory %+v, %+v, %+v", r.Before, r.Up, r.After)
			}
		})
	}
}
