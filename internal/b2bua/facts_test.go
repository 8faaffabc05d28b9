package b2bua

import (
	"log/slog"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/cross"
	"github.com/sallyport-sip/sallyport/internal/peer"
	"github.com/sallyport-sip/sallyport/internal/store"
)

func TestCauseOfAReason(t *testing.T) {
	for reason, want := range map[string]int{
		"":                                 0,
		"Q.850;cause=16":                   16,
		"q.850 ; text=\"x\" ; Cause = 127": 127,
		"SIP;cause=200;text=\"a\"":         0,
		"SIP;cause=486, Q.850;cause=17":    17,
		"SIP;cause=486;text=\"a, b\", Q.850;cause=17": 17,
		"Q.850":                               0,
		"Q.850;cause=":                        0,
		"SIP;text=\"a, Q.850;cause=3;\\\"x\"": 0,
		"Q.850;cause=-1":                      0,
		"Q.850;cause=128":                     0,
		"Q.850;cause=999999999999999999999":   0,
		"X;text=\"Q.850;cause=3\"":            0,
	} {
		if got := q850(reason); got != want {
			t.Errorf("%q: got %d, want %d", reason, got, want)
		}
	}
}

// recorded is a call that was answered by its second target.
func recorded() *Call {
	e := New(nil, slog.New(slog.DiscardHandler), 1)
	k := &link{id: 7, transport: "tls", remote: "192.0.2.1:5061", tls: &store.TLS{Version: "1.3", Identity: []string{"acme.example"}}}
	now := time.Now()
	c := &Call{Number: 1, engine: e, calls: e.shards[0]}
	c.in = &Leg{Hop: cross.Hop{Peer: new(peer.Peer)}, call: c, hop: &hop{peer: "office", callID: "a", link: k, seen: callflow.OverTLS, sent: now, code: 200, to100: 1, to200: time.Second}}
	c.out = &Leg{Hop: cross.Hop{Peer: new(peer.Peer)}, call: c, hop: &hop{peer: "backup", callID: "c", link: k, seen: callflow.OverTLS, sent: now, code: 200, to200: time.Second}}
	c.facts = &facts{
		id: "1", began: now, answered: now, caller: "+1", called: "+2", route: "route 1",
		given: []hop{{peer: "acme", callID: "b", sent: now, code: 503, text: "answered 503"}},
	}
	return c
}

// Records are made where the last one was: they cost no memory of their own.
func TestRecordAllocatesNothing(t *testing.T) {
	c := recorded()
	r := c.row()
	if len(r.Out) != 2 || r.Out[0].Peer != "acme" || r.Out[0].Text == "" || r.Out[1].Peer != "backup" || r.Verdict != callflow.HopByHop || r.State != store.Answered {
		t.Errorf("got %+v", r)
	}
	if n := testing.AllocsPerRun(100, func() { c.row() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkRecord makes the record of a call as often as a call does, without
// the store.
func BenchmarkRecord(b *testing.B) {
	c := recorded()
	b.ReportAllocs()
	for b.Loop() {
		c.row()
		c.row()
		c.row()
	}
}
