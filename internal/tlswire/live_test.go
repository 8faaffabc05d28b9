package tlswire

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

func (o outcome) keyLog() string {
	var b strings.Builder
	random, _ := o.lives[Client].ClientRandom()
	for _, label := range []string{LabelClientHandshake, LabelServerHandshake, "CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0"} {
		fmt.Fprintf(&b, "%s %x %x\n", label, random, o.transcript[Client].secret[label])
	}
	return b.String()
}

func TestKeyRingTakesOnlyHandshakeSecrets(t *testing.T) {
	t.Parallel()
	o := ecdsaPKI().configs(tls.VersionTLS13, true).run(t)
	var ring KeyRing
	l := NewLive(&ring, func(Step) {})
	l.Feed(Client, start, o.transcript[Client].chunks[0].data)
	if ring.size() != 1 {
		t.Fatalf("the ring knows %d connections after a ClientHello", ring.size())
	}
	line := []byte("# a comment\nCLIENT_RANDOM 00 11\n" + LabelClientHandshake + " 1234 zz\n" + o.keyLog())
	if n, err := ring.Write(line); n != len(line) || err != nil {
		t.Errorf("Write: %d, %v", n, err)
	}
	if slices.ContainsFunc(line, func(b byte) bool { return b != 0 }) {
		t.Error("the lines were not wiped")
	}
	for from, label := range []string{LabelClientHandshake, LabelServerHandshake} {
		if got := l.secret[from][:l.length[from]]; !bytes.Equal(got, o.transcript[Client].secret[label]) {
			t.Errorf("%s: %x", label, got)
		}
	}
	l.Done()
	if l.secret != [2][maxSecret]byte{} || l.length != [2]int{} || l.parser.secret[0] != nil || l.parser.secret[1] != nil {
		t.Error("secrets remain after Done")
	}
	if ring.size() != 0 || l.parser.held() != 0 {
		t.Errorf("after Done the ring knows %d connections and the parser holds %d bytes", ring.size(), l.parser.held())
	}
	ring.Write([]byte(o.keyLog()))
	l.Secret(LabelClientHandshake, []byte{1})
	l.Feed(Server, start, o.transcript[Client].chunks[1].data)
	if l.length != [2]int{} || l.State().Version != "" || !l.Over() {
		t.Error("a Live that is done still takes secrets or bytes")
	}
}

func TestSecretsForStrangersAreDropped(t *testing.T) {
	t.Parallel()
	o := ecdsaPKI().configs(tls.VersionTLS13, true).run(t)
	other := ecdsaPKI().configs(tls.VersionTLS13, true).run(t)
	var ring KeyRing
	l := NewLive(&ring, func(Step) {})
	l.Feed(Client, start, o.transcript[Client].chunks[0].data)
	ring.Write([]byte(other.keyLog()))
	if l.length != [2]int{} {
		t.Error("took the secrets of another connection")
	}
}

func TestTee(t *testing.T) {
	t.Parallel()
	o := ecdsaPKI().configs(tls.VersionTLS13, true).run(t)
	var log bytes.Buffer
	ring := KeyRing{Tee: &log}
	ring.Write([]byte(o.keyLog()))
	if log.String() != o.keyLog() || ring.TeeErr() != nil {
		t.Errorf("tee %q, %v", log.String(), ring.TeeErr())
	}
	broken := &brokenWriter{}
	ring = KeyRing{Tee: broken}
	for range 3 {
		if n, err := ring.Write([]byte("x y z\n")); n != 6 || err != nil {
			t.Errorf("Write: %d, %v", n, err)
		}
	}
	if !errors.Is(ring.TeeErr(), errRefused) || broken.calls != 1 {
		t.Errorf("error %v after %d calls", ring.TeeErr(), broken.calls)
	}
}

type brokenWriter struct{ calls int }

func (w *brokenWriter) Write([]byte) (int, error) { w.calls++; return 0, errRefused }

// TestBothEndsInOneRing is a gateway that calls itself under one policy.
func TestBothEndsInOneRing(t *testing.T) {
	t.Parallel()
	tr := ecdsaPKI().configs(tls.VersionTLS13, true).run(t)
	var ring KeyRing
	var steps [2][]Step
	var lives [2]*Live
	for i := range lives {
		lives[i] = NewLive(&ring, func(s Step) { steps[i] = append(steps[i], s) })
	}
	for i, c := range tr.transcript[Client].chunks {
		for _, l := range lives {
			l.Feed(c.from, start, c.data)
		}
		if i == 0 {
			ring.Write([]byte(tr.keyLog()))
		}
	}
	if ring.size() != 2 {
		t.Errorf("the ring knows %d connections", ring.size())
	}
	for i, l := range lives {
		l.Done()
		l.Done()
		wantRows(t, steps[i], full13...)
	}
	if ring.size() != 0 || len(ring.lives) != 0 {
		t.Errorf("the ring still knows %d connections", ring.size())
	}
}

func TestRingIsBounded(t *testing.T) {
	t.Parallel()
	var ring KeyRing
	var random [32]byte
	for range 3 * maxNamesakes {
		ring.add(random, &Live{})
	}
	if ring.size() != maxNamesakes {
		t.Errorf("%d connections of one random", ring.size())
	}
	for i := range maxLives + 10 {
		random[0], random[1], random[2], random[3] = 1, byte(i), byte(i>>8), byte(i>>16)
		ring.add(random, nil)
	}
	if ring.size() != maxLives {
		t.Errorf("%d connections", ring.size())
	}
}

func TestLiveWithoutRing(t *testing.T) {
	t.Parallel()
	o := ecdsaPKI().configs(tls.VersionTLS13, true).run(t)
	var steps []Step
	l := NewLive(nil, func(s Step) { steps = append(steps, s) })
	for _, c := range o.transcript[Server].records()[:4] {
		l.Feed(c.from, start, c.data)
	}
	wantRows(t, steps[:3], "C ClientHello", "S ServerHello", "S EncryptedHandshake *")
	l.Feed(Client, start, []byte("x"))
	l.Done()
}

// TestDoneFromEmit is an owner that has seen enough at the first data.
func TestDoneFromEmit(t *testing.T) {
	t.Parallel()
	o := ecdsaPKI().configs(tls.VersionTLS12, true).run(t)
	var ring KeyRing
	var l *Live
	var steps []Step
	l = NewLive(&ring, func(s Step) {
		steps = append(steps, s)
		if s.Number == 14 {
			if l.State().Version != "1.2" {
				t.Error("no state in emit")
			}
			l.Done()
		}
	})
	for _, c := range o.transcript[Server].chunks {
		l.Feed(c.from, start, c.data)
	}
	if last := steps[len(steps)-1]; last.Number != 14 {
		t.Errorf("steps %q", rows(steps))
	}
	if ring.size() != 0 {
		t.Error("the ring still knows the connection")
	}
}

// TestConcurrent has a reader, a writer, crypto/tls and the end of the
// handshake come at once; the race detector watches.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	o := ecdsaPKI().configs(tls.VersionTLS13, true).run(t)
	log := o.keyLog()
	var ring KeyRing
	for range 50 {
		var mu sync.Mutex
		busy := false
		l := NewLive(&ring, func(Step) {
			if !mu.TryLock() || busy {
				t.Error("two steps at once")
				return
			}
			busy = true
			busy = false
			mu.Unlock()
		})
		l.Feed(Client, start, o.transcript[Client].chunks[0].data)
		var wg sync.WaitGroup
		for _, side := range []Side{Client, Server} {
			wg.Go(func() {
				for _, c := range o.transcript[Client].chunks[1:] {
					if c.from == side {
						l.Feed(side, start, c.data)
					}
				}
			})
		}
		wg.Go(func() { ring.Write([]byte(log)) })
		wg.Go(func() { l.State(); l.Done() })
		wg.Wait()
	}
	if ring.size() != 0 {
		t.Errorf("the ring still knows %d connections", ring.size())
	}
}

// TestSecretByHand gives the secrets without crypto/tls, after the bytes that
// need them.
func TestSecretByHand(t *testing.T) {
	t.Parallel()
	tr := loadTrace(t, "rfc8448_mutual.txt")
	var ring KeyRing
	var steps []Step
	l := NewLive(&ring, func(s Step) { steps = append(steps, s) })
	for _, c := range tr.chunks {
		l.Feed(c.from, start, c.data)
	}
	for label, secret := range tr.secret {
		l.Secret(label, secret)
	}
	l.Secret("SERVER_TRAFFIC_SECRET_0", make([]byte, maxSecret))
	l.Secret(LabelClientHandshake, make([]byte, maxSecret+1))
	wantRows(t, steps, full13[:2]...)
	l.Done()
	wantRows(t, steps, full13...)
}
