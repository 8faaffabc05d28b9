package gateway

import (
	"bytes"
	"fmt"
	"sync"
	"time"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/revocation"
	"github.com/sallyport-sip/sallyport/internal/trust"
)

const (
	// stapleSoonest and stapleLatest bound when an OCSP answer of ours is fetched
	// again: when half of its time is over, and after a failure, at intervals that
	// grow from the one to the other.
	stapleSoonest = time.Minute
	stapleLatest  = time.Hour
	// renewStapleEvery is how old an answer becomes at most.
	renewStapleEvery = 12 * time.Hour
)

// staples are the OCSP answers about our own certificates, which handshakes carry
// (RFC 6066 §8). One goroutine of Gateway.work fetches them one after the other.
type staples struct {
	wake chan struct{} // a configuration has come into force

	mu  sync.Mutex
	all map[string]*staple // by identity; guarded by mu, with what they point to
}

// staple is that of one identity.
type staple struct {
	leaf     []byte // the certificate that it is about
	der      []byte // nil: there is none
	answer   revocation.Answer
	next     time.Time // when it is fetched (again)
	failures int
}

func (s *staples) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// carry gives the identities of a configuration the answers that there are about
// their certificates.
func (s *staples) carry(next *snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, id := range wantStaples(next) {
		if have := s.all[name]; have != nil && bytes.Equal(have.leaf, id.Chain[0].Raw) {
			id.Staple(have.der)
		}
	}
}

// wantStaples returns the identities whose certificate names a responder.
func wantStaples(snap *snapshot) map[string]*trust.Identity {
	want := make(map[string]*trust.Identity)
	for i := range snap.config.Identities {
		in := &snap.config.Identities[i]
		id := snap.trust.Identity(in.Name)
		if in.Stapling == config.StaplingOn && id != nil && len(id.Chain[0].OCSPServer) > 0 {
			want[in.Name] = id
		}
	}
	return want
}

// keepStaples fetches answers until the gateway stops.
func (g *Gateway) keepStaples() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-g.staples.wake:
		case <-g.stopping.Done():
			return
		}
		timer.Stop()
		if next := g.renewStaples(); !next.IsZero() {
			timer.Reset(time.Until(next))
		}
	}
}

// renewStaples fetches what is due, and returns when the next is; zero: none.
func (g *Gateway) renewStaples() (next time.Time) {
	snap := g.snapshot.Load()
	want := wantStaples(snap)
	g.forgetStaples(want)
	g.staples.carry(snap) // an answer may have come while this one came into force
	for name, id := range want {
		s := g.stapleOf(name, id)
		if !s.next.After(time.Now()) && g.stopping.Err() == nil {
			g.fetchStaple(name, id, s)
		}
		if next.IsZero() || s.next.Before(next) {
			next = s.next
		}
	}
	return next
}

// stapleOf returns what there is about the certificate of an identity. Only the
// goroutine of keepStaples changes it.
func (g *Gateway) stapleOf(name string, id *trust.Identity) *staple {
	g.staples.mu.Lock()
	defer g.staples.mu.Unlock()
	s := g.staples.all[name]
	if s == nil || !bytes.Equal(s.leaf, id.Chain[0].Raw) {
		s = &staple{leaf: id.Chain[0].Raw}
		g.staples.all[name] = s
	}
	return s
}

// forgetStaples drops those that nobody wants any more.
func (g *Gateway) forgetStaples(want map[string]*trust.Identity) {
	g.staples.mu.Lock()
	var gone []string
	for name := range g.staples.all {
		if want[name] == nil {
			gone = append(gone, name)
			delete(g.staples.all, name)
		}
	}
	g.staples.mu.Unlock()
	for _, name := range gone {
		g.alarms.clear("staple " + name)
	}
}

// fetchStaple asks the responder. An answer that there is stays until it ends.
func (g *Gateway) fetchStaple(name string, id *trust.Identity, s *staple) {
	var der []byte
	var a revocation.Answer
	err := fmt.Errorf("the certificate of its issuer, %s, is neither in its file nor in a trust", id.Chain[0].Issuer)
	if id.Issuer != nil {
		der, a, err = g.checker.Fetch(g.stopping, id.Chain[0], id.Issuer)
	}
	if g.stopping.Err() != nil {
		return
	}
	now := time.Now()
	g.staples.mu.Lock()
	switch {
	case err != nil:
		s.next = now.Add(min(stapleLatest, stapleSoonest<<min(s.failures, 10)))
		s.failures++
		if s.der != nil && now.After(s.answer.NextUpdate) {
			s.der = nil
		} else if s.der != nil && s.answer.NextUpdate.Before(s.next) {
			s.next = s.answer.NextUpdate.Add(time.Second) // to let go of it
		}
	case a.Status == revocation.Revoked:
		s.der, s.answer, s.failures, s.next = nil, a, 0, now.Add(stapleLatest)
	default:
		s.der, s.answer, s.failures = der, a, 0
		s.next = now.Add(max(stapleSoonest, min(renewStapleEvery, a.NextUpdate.Sub(now)/2)))
	}
	have := *s
	g.staples.mu.Unlock()
	if now := wantStaples(g.snapshot.Load())[name]; now != nil && bytes.Equal(now.Chain[0].Raw, s.leaf) {
		now.Staple(have.der)
	}
	g.tellStaple(name, id, have, err)
}

// tellStaple raises an alarm while a certificate of ours is revoked, or there is no
// answer about it, or it ends soon.
func (g *Gateway) tellStaple(name string, id *trust.Identity, s staple, err error) {
	alarm, must := "staple "+name, ""
	remedy := "see that the responder can be reached from here, and that the file of the identity has its whole chain; or set stapling: off"
	if revocation.MustStaple(id.Chain[0]) {
		must = "; its certificate demands one (must-staple), so peers refuse it without"
		remedy = "see that the responder can be reached from here, and that the file of the identity has its whole chain"
	}
	left, lasts := time.Until(s.answer.NextUpdate), s.answer.NextUpdate.Sub(s.answer.ThisUpdate)
	switch {
	case s.answer.Status == revocation.Revoked:
		g.alarms.raise(alarm, fmt.Sprintf("the certificate of identity %s was revoked by its CA on %s: peers that look refuse it", name, s.answer.RevokedAt.UTC().Format(time.DateOnly)),
			"have a new certificate made, and reload")
	case err == nil:
		g.alarms.clear(alarm)
	case s.der == nil:
		g.alarms.raise(alarm, fmt.Sprintf("identity %s has no OCSP answer to staple to handshakes%s: %v", name, must, err), remedy)
	case left < lasts/4:
		g.alarms.raise(alarm, fmt.Sprintf("the OCSP answer of identity %s counts only until %s and cannot be renewed%s: %v",
			name, s.answer.NextUpdate.UTC().Format("2006-01-02 15:04 UTC"), must, err), remedy)
	}
}
