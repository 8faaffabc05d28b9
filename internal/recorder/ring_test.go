package recorder

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// fill puts n messages of different lengths in, with a record after every tenth, and returns what went in.
func fill(r *Recorder, n int) (sent [][]byte) {
	k := newConn(r, transport.ConnInfo{ID: 1, Transport: transport.UDP})
	for i := range n {
		b := fmt.Appendf(nil, "%d %s", i, strings.Repeat("x", i*37%900))
		r.mu.Lock()
		r.ring.message(k, i%2 == 0, netip.AddrPort{}, time.Unix(int64(i), 0), b)
		r.mu.Unlock()
		sent = append(sent, b)
		if i%10 == 0 {
			r.Record(callflow.Noted, callflow.Call{Number: 1}, "note")
		}
	}
	return sent
}

func TestRingKeepsTheNewestWithinItsBound(t *testing.T) {
	for _, n := range []int{1, 50, 150, 1000, 20000} {
		r := New(Config{Bytes: 64 << 10})
		sent := fill(r, n)
		s := r.Stats()
		if s.Bytes > s.Bound || s.Bound != 64<<10 {
			t.Errorf("%d messages: %d bytes, bound %d", n, s.Bytes, s.Bound)
		}
		if total := uint64(n + (n+9)/10); uint64(s.Events)+s.Dropped != total {
			t.Errorf("%d messages: %d kept and %d dropped, want %d in all", n, s.Events, s.Dropped, total)
		}
		if n == 20000 && s.Events < 50 {
			t.Errorf("only %d events fit in", s.Events)
		}
		events, next := r.snapshot()
		if len(events) != s.Events || next != uint64(s.Events)+s.Dropped+1 {
			t.Fatalf("snapshot: %d events to %d, want %d", len(events), next, s.Events)
		}
		i := n
		for j := len(events) - 1; j >= 0; j-- {
			e := &events[j]
			if want := next - uint64(len(events)-j); e.Seq != want {
				t.Fatalf("event %d: Seq %d, want %d", j, e.Seq, want)
			}
			if e.Kind != callflow.Message {
				continue
			}
			i--
			if !bytes.Equal(e.Raw, sent[i]) || e.Out != (i%2 == 0) || e.At.Unix() != int64(i) || e.Link.ID != 1 {
				t.Fatalf("message %d: got %q", i, e.Raw)
			}
		}
	}
}

func TestRingTakesNoMessageLongerThanItself(t *testing.T) {
	r := New(Config{Bytes: 64 << 10})
	r.mu.Lock()
	kept := r.ring.message(nil, false, netip.AddrPort{}, time.Now(), make([]byte, 65<<10))
	r.mu.Unlock()
	if s := r.Stats(); kept != nil || s.Events != 0 || s.Dropped != 1 {
		t.Errorf("got %d events, %d dropped", s.Events, s.Dropped)
	}
}

func TestReadersAndWritersAtOnce(t *testing.T) {
	r := New(Config{Bytes: 64 << 10})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { fill(r, 2000) })
		wg.Go(func() {
			for range 20 {
				events, _ := r.snapshot()
				for i := range events {
					if e := &events[i]; e.Kind == callflow.Message && !bytes.Contains(e.Raw, []byte(" ")) {
						t.Errorf("torn message %q", e.Raw)
					}
				}
				r.Flows()
			}
		})
	}
	wg.Wait()
}

func TestWaitEndsWithItsConditionOrItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(Config{Bytes: 64 << 10})
		done := make(chan error, 1)
		go func() {
			done <- r.Wait(t.Context(), func(fs []*callflow.Flow) bool { return len(fs) == 2 })
		}()
		for n := range uint64(2) {
			synctest.Wait()
			select {
			case err := <-done:
				t.Fatalf("Wait ended after %d flows: %v", n, err)
			default:
			}
			r.Record(callflow.LegCreated, callflow.Call{Number: n + 1, Direction: callflow.In, CallID: fmt.Sprint(n)}, "")
			r.Record(callflow.Noted, callflow.Call{Number: n + 1}, "note")
			time.Sleep(time.Second)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := r.Wait(ctx, func([]*callflow.Flow) bool { return false }); err != context.DeadlineExceeded {
			t.Errorf("got %v, want the error of the context", err)
		}
		if r.Flow("2") == nil || r.Flow("3") != nil {
			t.Error("Flow finds by id")
		}
		if n := r.watched.Load(); n != 0 {
			t.Errorf("%d watchers left", n)
		}
	})
}

func TestFlowsAreBuiltOnceForTheSameEvents(t *testing.T) {
	r := New(Config{Bytes: 64 << 10})
	r.Record(callflow.LegCreated, callflow.Call{Number: 1, Direction: callflow.In, CallID: "a"}, "")
	r.Record(callflow.Noted, callflow.Call{Number: 1}, "note")
	a, b := r.Flow("1"), r.Flow("1")
	r.Record(callflow.Noted, callflow.Call{Number: 1}, "note")
	if c := r.Flow("1"); a != b || c == a || len(c.Rows) != len(a.Rows)+1 {
		t.Error("flows are built again when, and only when, something happened")
	}
}

// BenchmarkMessage is what every SIP message pays for being recorded: one copy, no allocation.
func BenchmarkMessage(b *testing.B) {
	e := transport.New(transport.Config{Hooks: transport.Hooks{Deliver: func([]transport.Packet) {}}})
	defer e.Close(b.Context())
	l, err := e.Listen(transport.ListenConfig{Name: "u", Transport: transport.UDP, Addr: netip.MustParseAddrPort("127.0.0.1:0")})
	if err != nil {
		b.Fatal(err)
	}
	r := New(Config{Bytes: 1 << 20})
	raw := []byte(strings.Replace(invite("a1"), "Proxy-Authorization: Digest response=\"0123\"\r\n",
		strings.Repeat("X-Header: with some value that is not short\r\n", 8), 1) + strings.Repeat("a=rtpmap:0 PCMU/8000\r\n", 10))
	remote, at := netip.MustParseAddrPort("127.0.0.1:5090"), time.Now()
	for range 20000 { // until the ring is full and its queue has its final length
		r.Message(l.Conn(), false, remote, at, raw)
	}
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		r.Message(l.Conn(), false, remote, at, raw)
	}
}

func TestMessageAllocatesNothing(t *testing.T) {
	e := transport.New(transport.Config{Hooks: transport.Hooks{Deliver: func([]transport.Packet) {}}})
	defer e.Close(t.Context())
	l, err := e.Listen(transport.ListenConfig{Name: "u", Transport: transport.UDP, Addr: netip.MustParseAddrPort("127.0.0.1:0")})
	if err != nil {
		t.Fatal(err)
	}
	r := New(Config{Bytes: 64 << 10})
	raw, at := []byte(invite("a1")), time.Now() // it has a credential to mask
	for range 1000 {
		r.Message(l.Conn(), false, netip.AddrPort{}, at, raw)
	}
	if n := testing.AllocsPerRun(1000, func() { r.Message(l.Conn(), false, netip.AddrPort{}, at, raw) }); n != 0 {
		t.Errorf("got %v allocations, want none", n)
	}
}
