package recorder

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// retained begins a connection that is kept of a peer, with a line of its key log.
func (r *Recorder) retained(id uint64, peer string, inbound bool) *keptConn {
	t := &r.retention
	info := transport.ConnInfo{ID: id, Inbound: inbound, Transport: transport.TLS}
	if !inbound {
		info.Peer = peer
	}
	k := t.begin(info, time.Now())
	if k == nil {
		return nil
	}
	t.hello(k, [32]byte{byte(id), byte(id >> 8)})
	t.line(fmt.Appendf(nil, "CLIENT_RANDOM %02x%02x%060d ffff\n", byte(id), byte(id>>8), 0))
	if inbound && peer != "" {
		t.identified(id, peer)
	}
	return k
}

func linkOf(id uint64) *callflow.Link { return &callflow.Link{ID: id, Opened: time.Now()} }

// Only connections of peers with retention are kept; strangers on trial are forgotten, and their secrets overwritten.
func TestRetainOnlyWhoItIsOnFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(Config{})
		if r.retained(1, "acme", false) != nil || r.retained(2, "acme", true) != nil {
			t.Error("something is kept while it is off for all")
		}
		r.Retain(map[string]time.Time{"acme": time.Now().Add(time.Hour)})
		if r.retained(3, "other", false) != nil {
			t.Error("a connection to another peer is kept")
		}
		acme := r.retained(4, "acme", false)
		known := r.retained(5, "acme", true)
		stranger := r.retained(6, "", true)
		log := stranger.keyLog
		r.retention.keep(stranger, false, []byte("abc"))
		r.retention.identified(6, "other")
		if !stranger.over.Load() || !bytes.Equal(log, make([]byte, len(log))) {
			t.Errorf("of a stranger %q is left", log)
		}
		gone := r.retained(7, "", true)
		r.retention.ended(7)
		if !gone.over.Load() {
			t.Error("a connection that ended before anybody was known is kept")
		}
		for id, k := range map[uint64]*keptConn{4: acme, 5: known} {
			r.retention.keep(k, true, []byte("abc"))
			got := r.Kept(linkOf(id), time.Now())
			if got == nil || !strings.HasPrefix(string(got.KeyLog), "CLIENT_RANDOM ") || len(got.Records) != 1 || !got.Records[0].Out || string(got.Records[0].Data) != "abc" {
				t.Errorf("connection %d: %+v", id, got)
			}
		}
		if r.Kept(&callflow.Link{ID: 4, Opened: time.Now().Add(-time.Hour)}, time.Now()) != nil {
			t.Error("a connection of another run with the same number is taken for this one")
		}
		if r.Kept(linkOf(4), time.Now().Add(time.Hour)) != nil {
			t.Error("what is kept is given out after its time")
		}
		r.Retain(nil)
		if conns, size := r.KeptStats(); conns+size != 0 || len(r.retention.randoms) != 0 || r.Kept(linkOf(4), time.Now()) != nil {
			t.Errorf("after it was turned off: %d connections, %d bytes", conns, size)
		}
	})
}

// The beginning of a connection is kept up to its bound, and what comes then is counted; without it nothing later could be opened.
func TestRetainKeepsTheBeginning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(Config{})
		r.Retain(map[string]time.Time{"acme": time.Now().Add(time.Hour)})
		k := r.retained(1, "acme", false)
		const piece = 1 << 20
		for range keptOfOne/piece + 3 {
			r.retention.keep(k, false, make([]byte, piece))
		}
		r.retention.keep(k, false, []byte("small")) // it would fit, but not after a gap
		got := r.Kept(linkOf(1), time.Now())
		if len(got.Records) != keptOfOne/piece || got.Missing != 3*piece+len("small") {
			t.Errorf("%d records, %d bytes missing", len(got.Records), got.Missing)
		}
	})
}

// All that is kept has a bound: the oldest connections go as a whole, those that are closed first. Who is on trial has a bound apart.
func TestRetainIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(Config{})
		r.Retain(map[string]time.Time{"acme": time.Now().Add(time.Hour)})
		const piece = 8 << 20
		for id := range uint64(keptInAll/piece + 2) {
			k := r.retained(id, "acme", false)
			r.retention.keep(k, false, make([]byte, piece))
			if id == 3 {
				r.retention.ended(3)
			}
		}
		conns, size := r.KeptStats()
		if size != keptInAll || conns != keptInAll/piece {
			t.Errorf("%d connections with %d bytes are kept", conns, size)
		}
		for id, want := range map[uint64]bool{0: false, 1: true, 3: false, 4: true, 9: true} {
			if got := r.Kept(linkOf(id), time.Now()) != nil; got != want {
				t.Errorf("connection %d is kept: %v", id, got)
			}
		}
		trials := 0
		for id := range uint64(1000) {
			k := r.retained(1000+id, "", true)
			if k == nil {
				continue
			}
			trials++
			r.retention.keep(k, false, make([]byte, trialOfOne))
			r.retention.keep(k, false, []byte("more"))
		}
		if trials != keptOnTrial/trialOfOne {
			t.Errorf("%d connections are on trial", trials)
		}
		if again, _ := r.KeptStats(); again != conns+trials {
			t.Errorf("strangers have pushed out %d connections", conns+trials-again)
		}
	})
}

// nowhere takes everything at once.
type nowhere struct{ net.Conn }

func (nowhere) Read(b []byte) (int, error)  { return len(b), nil }
func (nowhere) Write(b []byte) (int, error) { return len(b), nil }

// BenchmarkWrapped is what a read and a write of a connection pay for the wrapper once its handshake is over, with retention off.
func BenchmarkWrapped(b *testing.B) {
	var c net.Conn = &wrapped{Conn: nowhere{}}
	record := make([]byte, 800)
	b.ReportAllocs()
	for b.Loop() {
		c.Read(record)
		c.Write(record)
	}
}
