package recorder

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// fillCalls lets calls over two kept connections fill the ring to its bound: each has two legs and the seven messages of a short call
// on both.
func fillCalls(r *Recorder, calls int) {
	in := newConn(r, transport.ConnInfo{ID: 1, Transport: transport.TLS, Inbound: true, Listener: "outside", Peer: "acme"})
	out := newConn(r, transport.ConnInfo{ID: 2, Transport: transport.TLS, Listener: "outside", Peer: "office"})
	at := time.Unix(1e9, 0)
	for _, k := range []*conn{in, out} {
		k.opened = at
		k.describe(nil)
		r.mu.Lock()
		r.conns[k.info.ID] = k
		r.mu.Unlock()
		r.add(k, &callflow.Event{At: at, Kind: callflow.Opened})
		r.add(k, &callflow.Event{At: at, Kind: callflow.Ready})
	}
	head := strings.Repeat("X-Header: with some value that is not short\r\n", 3)
	sdp := "Content-Type: application/sdp\r\nContent-Length: 220\r\n\r\n" + strings.Repeat("a=rtpmap:0 PCMU/8000\r\n", 10)
	for n := range calls {
		at = at.Add(time.Millisecond)
		number := uint64(n + 1)
		for i, k := range []*conn{in, out} {
			id := fmt.Sprintf("%d-%d@gw.example", n, i)
			d := callflow.In
			if i == 1 {
				d = callflow.Out
			}
			message := func(out bool, line, method, tag, body string) {
				b := fmt.Appendf(nil, "%s\r\nVia: SIP/2.0/TLS gw.example;branch=z9hG4bK%s%d\r\nMax-Forwards: 70\r\nFrom: <sip:+4930%d@a.example>;tag=f\r\n"+
					"To: <sip:+4989%d@b.example>%s\r\nCall-ID: %s\r\nCSeq: 1 %s\r\nContact: <sip:gw.example:5061;transport=tls>\r\n%s%s",
					line, method, n, n, n, tag, id, method, head, body)
				r.mu.Lock()
				r.ring.message(k, out, netip.AddrPort{}, at, b)
				r.mu.Unlock()
			}
			empty := "Content-Length: 0\r\n\r\n"
			message(i == 1, "INVITE sip:b.example SIP/2.0", "INVITE", "", sdp)
			r.Record(callflow.LegCreated, callflow.Call{Number: number, Direction: d, CallID: id, Peer: k.info.Peer, Connection: k.info.ID}, "why")
			message(i == 0, "SIP/2.0 100 Trying", "INVITE", "", empty)
			message(i == 0, "SIP/2.0 180 Ringing", "INVITE", ";tag=t", empty)
			message(i == 0, "SIP/2.0 200 OK", "INVITE", ";tag=t", sdp)
			message(i == 1, "ACK sip:b.example SIP/2.0", "ACK", ";tag=t", empty)
			message(i == 1, "BYE sip:b.example SIP/2.0", "BYE", ";tag=t", empty)
			message(i == 0, "SIP/2.0 200 OK", "BYE", ";tag=t", empty)
		}
	}
}

// BenchmarkFlow is what a reader of one call pays while others go on, with a ring that is full.
func BenchmarkFlow(b *testing.B) {
	r := New(Config{})
	fillCalls(r, 2000)
	s := r.Stats()
	b.ReportMetric(float64(s.Events), "events")
	b.ReportAllocs()
	for b.Loop() {
		r.Record(callflow.Noted, callflow.Call{Number: 2000}, "something new, so that nothing that was built before will do")
		if f := r.Flow("1900"); f == nil || len(f.Rows) < 14 {
			b.Fatal("no such flow", f)
		}
	}
}
