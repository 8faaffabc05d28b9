package transaction

import (
	"fmt"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
)

// quiet is a user that does nothing.
type quiet struct{}

func (quiet) SendClient(*Client, []byte)           {}
func (quiet) SendServer(*Server, []byte)           {}
func (quiet) ClientResponse(*Client, *sip.Message) {}
func (quiet) ClientDone(*Client, error)            {}
func (quiet) ServerDone(*Server, error)            {}

func parsed(t testing.TB, text string) *sip.Message {
	m, err := sip.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// lives are whole lives of transactions: what happens, and when it is over.
func lives(t testing.TB, l *Layer, ts *Timers) map[string]func(now time.Time) time.Time {
	invite, bye := []byte(ask("INVITE", branch)), []byte(ask("BYE", branch))
	br := []byte(branch)
	var (
		trying, ringing, ok    = parsed(t, reply(100, "INVITE", branch)), parsed(t, reply(180, "INVITE", branch)), parsed(t, reply(200, "INVITE", branch))
		busy                   = parsed(t, reply(486, "INVITE", branch))
		okBye                  = parsed(t, reply(200, "BYE", branch))
		inInvite, inBye        = parsed(t, ask("INVITE", branch)), parsed(t, ask("BYE", branch))
		out180, out200, outBye = []byte(reply(180, "INVITE", branch)), []byte(reply(200, "INVITE", branch)), []byte(reply(200, "BYE", branch))
	)
	end := func(now time.Time) time.Time {
		now = now.Add(time.Minute)
		ts.Advance(now)
		return now
	}
	return map[string]func(now time.Time) time.Time{
		"client INVITE": func(now time.Time) time.Time {
			l.NewClient(now, Outgoing{Bytes: invite, Method: sip.INVITE, Branch: br})
			l.Response(now, trying)
			l.Response(now, ringing)
			l.Response(now, ok)
			return end(now)
		},
		"client INVITE refused": func(now time.Time) time.Time {
			l.NewClient(now, Outgoing{Bytes: invite, Method: sip.INVITE, Branch: br})
			l.Response(now, busy)
			for range 3 {
				l.Response(now, busy)
			}
			return end(now)
		},
		"client BYE": func(now time.Time) time.Time {
			l.NewClient(now, Outgoing{Bytes: bye, Method: sip.BYE, Branch: br})
			l.Response(now, okBye)
			return end(now)
		},
		"server INVITE": func(now time.Time) time.Time {
			s := l.Request(now, inInvite, Origin{}).Server
			s.Respond(now, 180, out180)
			s.Respond(now, 200, out200)
			return end(now)
		},
		"server BYE": func(now time.Time) time.Time {
			l.Request(now, inBye, Origin{}).Server.Respond(now, 200, outBye)
			return end(now)
		},
	}
}

// TestTransactionsAllocateNothing: transactions, their keys, timers and the 100
// come from what earlier ones left.
func TestTransactionsAllocateNothing(t *testing.T) {
	ts := NewTimers(epoch)
	l := NewLayer(Config{}, ts, quiet{})
	now := epoch
	for name, live := range lives(t, l, ts) {
		if n := testing.AllocsPerRun(200, func() { now = live(now) }); n != 0 {
			t.Errorf("%s: %v allocations, want none", name, n)
		}
		if l.Len() != 0 {
			t.Fatalf("%s: %d transactions left", name, l.Len())
		}
	}
}

// TestLookupsAllocateNothing finds and misses transactions.
func TestLookupsAllocateNothing(t *testing.T) {
	ts := NewTimers(epoch)
	l := NewLayer(Config{}, ts, quiet{})
	l.NewClient(epoch, Outgoing{Bytes: []byte(ask("INVITE", branch)), Method: sip.INVITE, Branch: []byte(branch)})
	for _, br := range []string{branch, "1"} {
		l.Request(epoch, parsed(t, ask("INVITE", br)), Origin{})
		hit, miss := parsed(t, ask("INVITE", br)), parsed(t, ask("ACK", "z9hG4bKnone"))
		ringing, stray := parsed(t, reply(180, "INVITE", branch)), parsed(t, reply(180, "INVITE", "z9hG4bKnone"))
		if n := testing.AllocsPerRun(200, func() {
			if l.Request(epoch, hit, Origin{}).Verdict != Absorbed || l.Request(epoch, miss, Origin{}).Verdict != AckForTU {
				t.Fatal("a request is not matched")
			}
			if !l.Response(epoch, ringing) || l.Response(epoch, stray) {
				t.Fatal("a response is not matched")
			}
		}); n != 0 {
			t.Errorf("branch %s: %v allocations, want none", br, n)
		}
	}
}

// BenchmarkLife is the whole life of one transaction beside 50,000 others.
func BenchmarkLife(b *testing.B) {
	for _, name := range []string{"client INVITE", "server INVITE", "client BYE", "server BYE"} {
		b.Run(name, func(b *testing.B) {
			ts := NewTimers(epoch)
			l := NewLayer(Config{TimerC: 1000 * time.Hour}, ts, quiet{})
			ringing := []byte("SIP/2.0 180 Ringing\r\n")
			for i := range 25_000 {
				br := fmt.Appendf(nil, "z9hG4bK-%d", i)
				c := l.NewClient(epoch, Outgoing{Bytes: ringing, Method: sip.INVITE, Branch: br, Reliable: true})
				c.machine.response(0, 180)
				ts.set(&c.timer, c.machine.next())
				l.Request(epoch, parsed(b, ask("INVITE", string(br), "987asjd", string(br))), Origin{})
			}
			live := lives(b, l, ts)[name]
			now := epoch
			b.ReportAllocs()
			for b.Loop() {
				now = live(now)
			}
		})
	}
}
