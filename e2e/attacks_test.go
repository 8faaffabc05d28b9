//go:build linux

package e2e

import (
	"bufio"
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/internal/config"
)

// asks is how many OPTIONS of the established peer make a figure, with and without an attack.
var asks = flag.Int("asks", 50, "how many OPTIONS each figure of TestAttacks is the median of")

const (
	askEvery    = 3 * time.Millisecond // between an answer and the established peer's next OPTIONS
	programSize = 40 << 20             // bytes: the program and its recorder, which the bound of the limits leaves out
	dripRate    = 2000                 // bytes a second, each in a segment of its own, over all connections
	openRate    = 4000                 // connections a second
	askRate     = 2000                 // requests a second
	attackWait  = 30 * time.Second     // for a limit to be passed, and for one answer
)

// An attack is made by one attacker at a stated rate, from 50 addresses.
type attack struct {
	name   string
	reason string // by which the gateway counts it
	run    func(ctx context.Context, h *hostiles)
}

var attacks = []attack{
	{"slow handshakes, 150 connections, a byte at a time", "handshake_time", drip("tls", 150, "", func() string { return string(helloOf()) })},
	{"slow headers, 500 connections, a byte at a time", "whole_message", drip("tcp", 500, "OPTIONS sip:gw.example SIP/2.0\r\n", func() string { return "Subject: " + strings.Repeat("x", 8000) })},
	{"slow bodies, 500 connections, a byte at a time", "whole_message", drip("tcp", 500, longBody(), func() string { return strings.Repeat("x", 8000) })},
	{"2000 connections where 1000 may be", "connections", drip("tcp", 2000, "", nil)},
	{"500 silent TLS connections where 200 handshakes may be", "handshakes", drip("tls", 500, "", nil)},
	{"a peer that never reads", "pending_peer", peerAsks(false, func(n int) string {
		return strings.Replace(request(fmt.Sprintf("deaf%d", n), "TLS", ""), ";rport", ";rport;x="+strings.Repeat("x", 6000), 1)
	})},
	{"a peer's flood of one Call-ID", "messages_per_peer", peerAsks(true, func(n int) string {
		text := strings.Replace(request("one", "TLS", ""), "CSeq: 1 ", fmt.Sprintf("CSeq: %d ", n+1), 1)
		return strings.Replace(text, "z9hG4bKone", fmt.Sprintf("z9hG4bKone%d", n), 1)
	})},
	{"a flood of strangers over UDP", "messages_per_source", strangersAsk},
}

const smallLimits = "limits: {connections: 1000, handshakes: 200, unfinished: 4194304, pending: 4194304, waiting: 4194304, transactions: 10000}\n"

func longBody() string {
	return strings.Replace(request("slow", "TCP", ""), "Content-Length: 0", "Content-Length: 9000", 1)
}

// TestAttacks makes one attack after the other on one gateway. Each has to be counted by its reason, while an established
// peer asks on and gets every answer. The gateway never takes more memory than its limits say.
//
// The figures it prints are what bench/run -attacks shows: medians in one run, under attack and just before.
func TestAttacks(t *testing.T) {
	t.Parallel()
	underAttack(t, smallLimits, attacks)
}

// TestManySilentConnections lets all of them in.
func TestManySilentConnections(t *testing.T) {
	t.Parallel()
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	n := min(10_000, int(files.Max)-1000)
	if n < 100 {
		t.Skipf("only %d files may be open here", files.Max)
	}
	underAttack(t, strings.Replace(smallLimits, "connections: 1000", "connections: 11000", 1), []attack{
		{fmt.Sprintf("%d silent connections", n), "first_message", drip("tcp", n, "", nil)},
	})
}

func underAttack(t *testing.T, limits string, attacks []attack) {
	h := newHostiles(t)
	file := limits + h.config()
	for name, own := range map[string]string{"outside": "handshake_time: 2s, messages_per_peer: 500, pending_peer: 1048576, ", "lan-tcp": "", "lan-udp": ""} {
		if name != "lan-udp" {
			own += "connections_per_source: 1000000, first_message: 4s, whole_message: 1s, "
		}
		file = regexp.MustCompile("(?m)("+name+": .*)}$").ReplaceAllString(file, "$1, limits: {"+strings.TrimSuffix(own, ", ")+"}}")
	}
	cfg, problems := config.Parse("sallyport.yaml", []byte(file))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	_, bound := cfg.Limits.Bound()
	bound += programSize
	gw := startServe(t, h.dir, file)
	good := h.establish()
	defer good.Close()
	good.median(t, 20) // it and the gateway warm up
	for _, a := range attacks {
		quiet := good.median(t, *asks)
		before := h.passed(t, a.reason)
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { a.run(ctx, h) })
		var under []time.Duration
		counted := uint64(0)
		for end := time.Now().Add(attackWait); counted == 0 || len(under) < *asks; {
			if time.Now().After(end) || t.Failed() {
				t.Errorf("%s: no %q is counted, after %d answers", a.name, a.reason, len(under))
				break
			}
			under = append(under, good.ask(t))
			if len(under)%50 == 0 {
				counted = h.passed(t, a.reason) - before
			}
		}
		stop()
		running.Wait()
		if t.Failed() {
			return
		}
		median := medianOf(under)
		t.Logf("%-55s  OPTIONS %4d µs quiet, %4d µs under attack, ratio %.2f of %d answers; %s %d times", a.name,
			quiet.Microseconds(), median.Microseconds(), float64(median)/float64(quiet), len(under), a.reason, counted)
	}
	if got := peak(t, gw); got > bound {
		t.Errorf("the gateway took %d MiB, want at most %d", got>>20, bound>>20)
	} else {
		t.Logf("the gateway took at most %d MiB; its limits and the program allow %d", got>>20, bound>>20)
	}
	good.Close()
	gw.terminate(t)
}

// passed is how often a limit was passed, by the page for Prometheus.
func (h *hostiles) passed(t *testing.T, reason string) (n uint64) {
	t.Helper()
	answer, err := http.Get("http://" + h.addr["admin"] + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var times float64
		if head, value, ok := strings.Cut(line, `reason="`+reason+`"} `); ok && strings.HasPrefix(head, "sallyport_limits_passed_total{") {
			if _, err := fmt.Sscan(value, &times); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			n += uint64(times)
		}
	}
	return n
}

// An established is a peer over TLS that was there before the attack.
type established struct {
	*tls.Conn
	in *bufio.Reader
	n  int
}

func (h *hostiles) establish() *established {
	c, err := tls.Dial("tcp", h.addr["tls"], h.acme)
	if err != nil {
		h.t.Fatal(err)
	}
	return &established{c, bufio.NewReader(c), 0}
}

// ask sends an OPTIONS, wants its 200, and returns how long that took.
func (e *established) ask(t *testing.T) time.Duration {
	t.Helper()
	time.Sleep(askEvery)
	e.n++
	id := fmt.Sprintf("good%d", e.n)
	e.SetDeadline(time.Now().Add(attackWait))
	began := time.Now()
	io.WriteString(e, request(id, "TLS", ""))
	answer := ""
	for !strings.HasSuffix(answer, "\r\n\r\n") {
		line, err := e.in.ReadString('\n')
		if err != nil {
			t.Fatalf("the established peer, after %d answers: %v", e.n-1, err)
		}
		answer += line
	}
	took := time.Since(began)
	if !strings.HasPrefix(answer, "SIP/2.0 200 ") || !strings.Contains(answer, "Call-ID: "+id+"@") {
		t.Fatalf("the established peer got\n%s", answer)
	}
	return took
}

func (e *established) median(t *testing.T, n int) time.Duration {
	t.Helper()
	var took []time.Duration
	for range n {
		took = append(took, e.ask(t))
	}
	return medianOf(took)
}

func medianOf(took []time.Duration) time.Duration {
	return slices.Sorted(slices.Values(took))[len(took)/2]
}

// A pacer lets things happen at a rate.
type pacer struct {
	began     time.Time
	n         int
	perSecond int
}

// wait returns when it is time for the next thing, false when there shall be none.
func (p *pacer) wait(ctx context.Context) bool {
	if p.n == 0 {
		p.began = time.Now()
	}
	due := p.began.Add(time.Duration(p.n) * time.Second / time.Duration(p.perSecond))
	p.n++
	if d := time.Until(due); d > time.Millisecond { // shorter sleeps would only cost CPU time
		select {
		case <-time.After(d):
		case <-ctx.Done():
		}
	}
	return ctx.Err() == nil
}

// attacker is the n-th address that attacks come from.
func attacker(n int) net.IP { return net.IPv4(127, 0, 0, byte(2+n%50)) }

// drip opens connections, sends start on each, and then a byte of the rest on one after the other. Without a rest it
// is silent.
func drip(port string, conns int, start string, rest func() string) func(context.Context, *hostiles) {
	return func(ctx context.Context, h *hostiles) {
		var open []net.Conn
		defer func() {
			for _, c := range open {
				c.Close()
			}
		}()
		opening := pacer{perSecond: openRate}
		for n := 0; n < conns && opening.wait(ctx); n++ {
			d := net.Dialer{LocalAddr: &net.TCPAddr{IP: attacker(n)}}
			c, err := d.DialContext(ctx, "tcp", h.addr[port])
			if err != nil {
				continue // the gateway, or the system, takes no more
			}
			open = append(open, c)
			io.WriteString(c, start)
		}
		if rest == nil {
			<-ctx.Done()
			return
		}
		dripping := pacer{perSecond: dripRate}
		for _, b := range []byte(rest()) {
			for _, c := range open {
				if !dripping.wait(ctx) {
					return
				}
				c.Write([]byte{b}) // what has ended already is no matter
			}
		}
	}
}

// peerAsks is one of our peers who asks and asks, and may not read the answers.
func peerAsks(reads bool, text func(n int) string) func(context.Context, *hostiles) {
	return func(ctx context.Context, h *hostiles) {
		tcp, err := net.Dial("tcp", h.addr["tls"])
		if err != nil {
			h.t.Errorf("the attacker: %v", err)
			return
		}
		tcp.(*net.TCPConn).SetReadBuffer(4096)
		c := tls.Client(tcp, h.flood)
		defer context.AfterFunc(ctx, func() { c.Close() })()
		if reads {
			go io.Copy(io.Discard, c)
		}
		asking := pacer{perSecond: askRate}
		for n := 0; asking.wait(ctx); n++ {
			if _, err := io.WriteString(c, text(n)); err != nil {
				<-ctx.Done()
				return
			}
		}
	}
}

func strangersAsk(ctx context.Context, h *hostiles) {
	to, _ := net.ResolveUDPAddr("udp", h.addr["tcp"])
	var sockets []*net.UDPConn
	for n := range 50 {
		c, err := net.DialUDP("udp", &net.UDPAddr{IP: attacker(n)}, to)
		if err != nil {
			h.t.Errorf("the attacker: %v", err)
			return
		}
		defer c.Close()
		sockets = append(sockets, c)
	}
	asking := pacer{perSecond: askRate}
	for n := 0; asking.wait(ctx); n++ {
		io.WriteString(sockets[n%len(sockets)], request(fmt.Sprintf("stranger%d", n), "UDP", ""))
	}
}
