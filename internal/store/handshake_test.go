package store

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
)

// shook is a handshake with everything set that a filter looks at.
func shook(id int64, at time.Time, peer, code string) *callflow.Handshake {
	h := &callflow.Handshake{
		ID: FormatID(id), At: at.UTC(), Took: time.Millisecond, Role: callflow.RoleServer, Listener: "outside", Peer: peer, Transport: "tls",
		Remote:   netip.MustParseAddrPort("192.0.2.1:40000"),
		OurChain: [][]byte{[]byte("our leaf"), []byte("our intermediate")}, PeerChain: [][]byte{[]byte("leaf of " + peer)},
		Steps: []callflow.HopStep{{Step: &callflow.Step{Name: "ClientHello"}, Since: time.Microsecond}},
		Verdicts: []callflow.Verdict{{ByGateway: true, Accepted: code == "", KnownBy: callflow.OwnDecision, Code: code, Reason: "because"},
			{Accepted: true, KnownBy: callflow.Inferred}},
	}
	h.Conclude()
	return h
}

func (s *Store) putShook(h *callflow.Handshake, kind HandshakeKind) {
	id, _ := ParseID(h.ID)
	s.PutHandshake(id, kind, func() *callflow.Handshake { return h })
}

// TestHandshakesAreKept writes handshakes, reads them by every filter while the store is open and after it was closed, and after a
// second start.
func TestHandshakesAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s, err := Open(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		id, now := int64(0), time.Now()
		put := func(peer, code string, kind HandshakeKind) *callflow.Handshake {
			now = now.Add(time.Second)
			id = NextID(id, now)
			h := shook(id, now, peer, code)
			s.putShook(h, kind)
			return h
		}
		good := put("acme", "", PeerSuccess)
		bad := put("acme", "expired", PeerFailure)
		hint := put("", "unknown_ca", PeerFailure)
		hint.Address = "trunk"
		stranger := put("", "unknown_ca", OfStranger)
		time.Sleep(shakeEvery + time.Millisecond)
		synctest.Wait()

		for range 2 {
			for _, tt := range []struct {
				f    callflow.HandshakeFilter
				want []*callflow.Handshake
			}{
				{callflow.HandshakeFilter{}, []*callflow.Handshake{stranger, hint, bad, good}},
				{callflow.HandshakeFilter{Limit: 1}, []*callflow.Handshake{stranger}},
				{callflow.HandshakeFilter{Peer: "acme"}, []*callflow.Handshake{bad, good}},
				{callflow.HandshakeFilter{Peer: "trunk"}, []*callflow.Handshake{hint}},
				{callflow.HandshakeFilter{Failed: true, Peer: "acme"}, []*callflow.Handshake{bad}},
				{callflow.HandshakeFilter{Code: "unknown_ca"}, []*callflow.Handshake{stranger, hint}},
				{callflow.HandshakeFilter{Since: bad.At, Until: stranger.At}, []*callflow.Handshake{hint, bad}},
				{callflow.HandshakeFilter{ID: good.ID}, []*callflow.Handshake{good}},
				{callflow.HandshakeFilter{ID: "nonsense"}, nil},
				{callflow.HandshakeFilter{Role: callflow.RoleClient}, nil},
			} {
				found, err := Handshakes(dir, tt.f)
				if err != nil || len(found) != len(tt.want) {
					t.Errorf("%+v: got %d, want %d: %v", tt.f, len(found), len(tt.want), err)
					continue
				}
				for i, h := range found {
					if w := tt.want[i]; h.ID != w.ID || h.Sentence != w.Sentence || !bytes.Equal(h.PeerChain[0], w.PeerChain[0]) || len(h.OurChain) != 2 ||
						len(h.Steps) != 1 || h.Steps[0].Name != "ClientHello" || h.Remote != w.Remote || len(h.Verdicts) != 2 {
						t.Errorf("%+v: got %+v, want %+v", tt.f, h, w)
					}
				}
			}
			seen, err := LastChains(dir)
			if err != nil || len(seen) != 2 || seen[0].Accepted || !seen[1].Accepted || seen[0].Peer != "acme" || seen[0].Role != callflow.RoleClient ||
				string(seen[1].Chain[0]) != "leaf of acme" {
				t.Errorf("last chains: %+v, %v", seen, err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if s, err = Open(dir, Options{}); err != nil {
				t.Fatal(err)
			}
		}
		s.putShook(shook(NextID(id, now), now, "acme", ""), PeerSuccess)
		if err := s.Close(); err != nil { // and what waits is written
			t.Fatal(err)
		}
		if found, err := Handshakes(dir, callflow.HandshakeFilter{Peer: "acme"}); err != nil || len(found) != 3 {
			t.Errorf("after the close: %d, %v", len(found), err)
		}
	})
}

// TestHandshakesAreBounded lets more come than are kept, by number and by age, in memory and in the table: the oldest of each kind go,
// with the chains that nobody else has, and the last chain of a peer stays.
func TestHandshakesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		waiting, rows := mostWaiting, mostRows
		t.Cleanup(func() { mostWaiting, mostRows = waiting, rows })
		mostWaiting = [handshakeKinds]int{PeerFailure: 50, PeerSuccess: 50, OfStranger: 10}
		mostRows = [handshakeKinds]int{PeerFailure: 100, PeerSuccess: 100, OfStranger: 20}
		dir := t.TempDir()
		s, err := Open(dir, Options{KeepHandshakes: 24 * time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { s.Close() }()
		id := int64(0)
		put := func(peer, code string, kind HandshakeKind) {
			id = NextID(id, time.Now())
			s.putShook(shook(id, time.Now(), peer, code), kind)
		}
		put("acme", "", PeerSuccess)
		put("trunk", "expired", PeerFailure)
		for i := range 400 {
			put(fmt.Sprint("stranger", i), "unknown_ca", OfStranger)
			if i%5 == 4 {
				time.Sleep(shakeEvery + time.Millisecond)
				synctest.Wait()
			}
		}
		if n := s.Stats(); n.HandshakesLost != 0 {
			t.Errorf("%d were lost although there was time", n.HandshakesLost)
		}
		found, err := Handshakes(dir, callflow.HandshakeFilter{})
		if err != nil || len(found) < 2+20 || len(found) > 2+20+20/10+5 || found[0].Peer != "stranger399" {
			t.Errorf("got %d rows: %v", len(found), err)
		}
		for range 30 {
			put("burst", "unknown_ca", OfStranger)
		}
		if n := s.Stats(); n.HandshakesLost != 20 || n.HandshakesWaiting != 10 {
			t.Errorf("of 30 at once: %d lost, %d wait", n.HandshakesLost, n.HandshakesWaiting)
		}
		time.Sleep(26 * time.Hour)
		synctest.Wait()
		if found, err = Handshakes(dir, callflow.HandshakeFilter{}); err != nil || len(found) != 0 {
			t.Errorf("a day later: %d rows, %v", len(found), err)
		}
		seen, err := LastChains(dir)
		if err != nil || len(seen) == 0 || seen[0].Peer != "acme" || string(seen[0].Chain[0]) != "leaf of acme" {
			t.Errorf("last chains: %d, %v", len(seen), err)
		}
		err = reading(dir, func(d *db) error {
			if n, _ := d.number("SELECT count(*) FROM chains"); n != int64(len(seen)) {
				t.Errorf("%d chains are kept, of %d last ones", n, len(seen))
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// TestHandshakesAndAFullDisk takes the room away: the alarm says so, nobody waits, a few records wait in memory and the rest is
// counted; when there is room again what waits is written.
func TestHandshakesAndAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		alarms := make(chan error, 100)
		full := false
		s, err := Open(dir, Options{Alarm: func(err error) { alarms <- err }, probe: func(string) error {
			if full {
				return syscall.ENOSPC
			}
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		// The table takes no more pages than it has: SQLite's own "full".
		limit := func(pages string) {
			if err := s.m.d.exec("PRAGMA max_page_count = " + pages); err != nil {
				t.Fatal(err)
			}
		}
		full = true
		limit("1")
		id, n := int64(0), mostWaiting[PeerFailure]+40
		for range n {
			id = NextID(id, time.Now())
			s.putShook(shook(id, time.Now(), strings.Repeat("x", 200), "expired"), PeerFailure)
		}
		time.Sleep(2 * shakeEvery)
		synctest.Wait()
		select {
		case err := <-alarms:
			if err == nil || !strings.Contains(err.Error(), "takes no records of handshakes") || !errors.Is(err, errFull) {
				t.Errorf("alarm: %v", err)
			}
		default:
			t.Fatal("no alarm")
		}
		if st := s.Stats(); st.HandshakesLost != 40 || st.HandshakesWaiting != mostWaiting[PeerFailure] {
			t.Errorf("%+v", st)
		}
		full = false
		limit("100000")
		time.Sleep(2 * shakeRetry)
		synctest.Wait()
		if err := <-alarms; err != nil {
			t.Errorf("the alarm is not over: %v", err)
		}
		if found, err := Handshakes(dir, callflow.HandshakeFilter{}); err != nil || len(found) != mostWaiting[PeerFailure] {
			t.Errorf("got %d rows: %v", len(found), err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestHandshakesOfAnOlderStore reads a directory that a program without handshakes has left, and one that has none at all.
func TestHandshakesOfAnOlderStore(t *testing.T) {
	dir := t.TempDir()
	older(t, dir, 1)
	if found, err := Handshakes(dir, callflow.HandshakeFilter{}); err != nil || len(found) != 0 {
		t.Errorf("got %d, %v", len(found), err)
	}
	s, err := Open(dir, Options{}) // brings it up to date
	if err != nil {
		t.Fatal(err)
	}
	s.putShook(shook(NextID(0, time.Now()), time.Now(), "acme", ""), PeerSuccess)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if found, err := Handshakes(dir, callflow.HandshakeFilter{}); err != nil || len(found) != 1 {
		t.Errorf("after the migration: got %d, %v", len(found), err)
	}
	empty := filepath.Join(dir, "empty")
	if err := os.Mkdir(empty, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Handshakes(empty, callflow.HandshakeFilter{}); !errors.Is(err, errNone) {
		t.Errorf("empty directory: %v", err)
	}
}
