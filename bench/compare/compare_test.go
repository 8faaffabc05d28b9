//go:build linux

package main

import (
	"context"
	"io"
	"math"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/bench/certs"
	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/peer"
	"github.com/sallyport-sip/sallyport/internal/route"
	"github.com/sallyport-sip/sallyport/internal/trust"
)

func TestRatiosAreFormedPairByPair(t *testing.T) {
	run := func(name string, pair int, cost float64) result {
		r := result{Name: name, Pair: pair}
		r.Element.PerCall = cost
		return r
	}
	results := []result{
		run("kamailio", 1, 100), run("sallyport", 1, 80),
		run("sallyport", 2, 300), run("kamailio", 2, 200), // a slow moment, and the other order
		run("kamailio", 3, 100), run("sallyport", 3, 90),
		run("sallyport", 4, 90), // its partner is missing
	}
	if got, want := ratios(results, "sallyport", "kamailio"), []float64{0.8, 1.5, 0.9}; !slices.Equal(got, want) {
		t.Errorf("ratios %v, want %v", got, want)
	}
	if got, want := spreadOf([]float64{0.8, 1.5, 0.9}), (spread{0.9, 0.8, 1.5}); got != want {
		t.Errorf("spread %v, want %v", got, want)
	}
	if got := spreadOf([]float64{1, 4, 2, 3}); math.Abs(got.median-2.5) > 1e-9 {
		t.Errorf("median of four is %v, want 2.5", got.median)
	}
}

func TestFlagsThatCannotWork(t *testing.T) {
	for _, args := range []string{
		"-elements opensips", "-transports sctp", "-rates 0", "-rates fast", "-pairs 0", "-element-core 4096",
		"-callgen /nowhere/callgen", "more", "-hold -1", "-hold 10 -profile", "-hold 10 -settle -1s",
	} {
		if _, err := flags(strings.Fields(args), io.Discard); err == nil {
			t.Errorf("%s: no error", args)
		}
	}
}

func setting(t *testing.T) (o options, dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := certs.Write(dir); err != nil {
		t.Fatal(err)
	}
	return options{basePort: 15060, conns: 2, allocator: "tlsf", memory: 64, kamailio: "kamailio", sallyport: "sallyport"}, dir
}

// Kamailio itself says whether it takes the configurations.
func TestKamailioTakesItsConfiguration(t *testing.T) {
	program, err := exec.LookPath("kamailio")
	if err != nil {
		t.Skip("kamailio is not installed")
	}
	o, dir := setting(t)
	o.kamailio = program
	for _, transport := range []string{"udp", "tcp", "tls"} {
		own := filepath.Join(dir, "kamailio-"+transport)
		if err := os.Mkdir(own, 0o755); err != nil {
			t.Fatal(err)
		}
		argv, err := kamailioCommand(o, own, transport)
		if err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(argv[0], append(argv[1:], "-c")...).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", transport, err, out)
		}
	}
}

// The gateway's own checks say whether it takes the configurations.
func TestSallyportTakesItsConfiguration(t *testing.T) {
	o, dir := setting(t)
	for _, transport := range []string{"udp", "tcp", "tls"} {
		own := filepath.Join(dir, "sallyport-"+transport)
		if err := os.Mkdir(own, 0o755); err != nil {
			t.Fatal(err)
		}
		argv, err := sallyportCommand(o, own, transport)
		if err != nil {
			t.Fatal(err)
		}
		cfg, problems := config.Load(argv[len(argv)-1])
		problems = slices.Concat(problems, config.Check(cfg), trust.Check(cfg), peer.Check(cfg), route.Check(cfg))
		for _, p := range problems {
			t.Errorf("%s: %v", transport, p)
		}
		if len(cfg.Peers) != 2 || len(cfg.Listeners) != 1 || len(cfg.Routes) != 1 {
			t.Errorf("%s: %d peers, %d listeners, %d routes; want 2, 1, 1", transport, len(cfg.Peers), len(cfg.Listeners), len(cfg.Routes))
		}
	}
}

func TestStopEndsTheElementAndItsChildren(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	// The element does not heed the signal, and its child would outlive it.
	p, err := start([]string{"sh", "-c", `trap "" TERM; sleep 1000 & echo $!; exec sleep 1000`}, log)
	if err != nil {
		t.Skipf("no shell: %v", err)
	}
	for p.lastWords() == "" {
		time.Sleep(10 * time.Millisecond)
	}
	child, err := exec.Command("sh", "-c", "cat "+log).Output()
	if err != nil {
		t.Fatal(err)
	}
	p.stopWithin(50 * time.Millisecond)
	// What is killed takes a moment to be gone.
	var state []byte
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if state, err = os.ReadFile("/proc/" + strings.TrimSpace(string(child)) + "/stat"); err != nil || strings.Contains(string(state), ") Z ") {
			break
		}
	}
	if err == nil && !strings.Contains(string(state), ") Z ") {
		t.Errorf("the child still runs: %s", state)
	}
	select {
	case <-p.ended:
	default:
		t.Error("the element still runs")
	}
}

func TestElementThatEndsAtOnceIsReportedWithItsWords(t *testing.T) {
	p, err := start([]string{"sh", "-c", "echo no such setting; exit 3"}, filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Skipf("no shell: %v", err)
	}
	defer p.stop()
	err = p.listening(context.Background(), "tcp", netip.MustParseAddrPort("127.0.0.1:1"))
	if err == nil || !strings.Contains(err.Error(), "no such setting") {
		t.Errorf("error %v, want its last words", err)
	}
}

func TestBoundFindsListenersAlone(t *testing.T) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := ln.Addr().(*net.TCPAddr).AddrPort()
	if !bound("tcp", at) {
		t.Errorf("%v listens and was not found", at)
	}
	_ = ln.Close()
	if bound("tcp", at) {
		t.Errorf("%v was found after it closed", at)
	}
	pc, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	if at := pc.LocalAddr().(*net.UDPAddr).AddrPort(); !bound("udp", at) {
		t.Errorf("%v is bound and was not found", at)
	}
}
