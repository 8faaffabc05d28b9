package revocation

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	// maxAnswers bounds how many certificates a Checker knows answers of. The one that was asked for longest ago makes
	// room.
	maxAnswers = 4096
	// asksAtOnce is how many responders are asked at the same time.
	asksAtOnce = 8
	// renewEvery is how old an answer may become before it is asked for again; one that ends sooner is renewed when
	// half its time is over.
	renewEvery = time.Hour
	// renewLeast is the least time between two questions about a certificate. It doubles with each failure.
	renewLeast = time.Minute
	// forgetAfter is for how long answers are renewed that nobody asks for.
	forgetAfter = 24 * time.Hour
)

// Options are what a Checker takes. The zero value is right for the gateway but for Changed.
type Options struct {
	// Changed is called by Run when a certificate turned out to be revoked that was not before.
	Changed func()
	// Dial connects to responders, and Lookup finds the addresses of those that certificates name; nil: the system's.
	Dial   func(ctx context.Context, network, address string) (net.Conn, error)
	Lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Checker keeps what OCSP responders say. It is safe for any goroutine. A nil Checker knows nothing and asks nobody.
type Checker struct {
	fetcher *fetcher
	changed func()
	wake    chan struct{} // something is due

	mu      sync.Mutex
	running bool // guarded by mu, as what follows
	known   map[key]*entry
	counts  map[string]uint64
	turned  bool // something was revoked since Changed was called
}

// key is the hash of a certificate.
type key [sha256.Size]byte

// entry is one certificate. Guarded by Checker.mu.
type entry struct {
	cert, issuer *x509.Certificate
	answer       Answer // the newest that counts; Unknown without a Source: none
	der          []byte // of it

	at       string // the responder; empty: nobody is to be asked
	anywhere bool
	why      string // what became of the last question; empty: it was answered
	failures int
	next     time.Time     // when it is asked again
	asking   chan struct{} // closed when the answer has come or failed; nil: nobody asks
	sent     bool          // the question that is open is on its way
	began    time.Time     // when somebody first waited for it
	used     time.Time     // when somebody wanted to know
}

// New makes a Checker. It asks nobody before Run.
func New(o Options) *Checker {
	if o.Changed == nil {
		o.Changed = func() {}
	}
	return &Checker{fetcher: newFetcher(o), changed: o.Changed, wake: make(chan struct{}, 1), known: make(map[key]*entry), counts: make(map[string]uint64)}
}

// Question is about one certificate of a verified chain.
type Question struct {
	Cert, Issuer *x509.Certificate
	// Fetch has a responder asked when no answer is there: Responder, or the one that the certificate names.
	Fetch     bool
	Responder string
	// Wait is how long the answer is waited for, counted from when the responder was asked.
	Wait time.Duration
}

// Ask returns what is known, and begins to find out what is not.
func (c *Checker) Ask(q Question) Answer {
	if c == nil {
		return Answer{}
	}
	now := time.Now()
	c.mu.Lock()
	e := c.known[keyOf(q.Cert)]
	if e != nil {
		e.used = now
		if e.counts(now) {
			defer c.mu.Unlock()
			return e.answer
		}
	}
	if !q.Fetch || !c.running {
		c.mu.Unlock()
		return Answer{}
	}
	at := q.Responder
	if at == "" && len(q.Cert.OCSPServer) > 0 {
		at = q.Cert.OCSPServer[0]
	}
	if at == "" {
		c.mu.Unlock()
		return Answer{Why: "the certificate names no OCSP responder"}
	}
	if e == nil {
		e = c.add(q.Cert, q.Issuer, now)
	}
	if e == nil {
		c.mu.Unlock()
		return Answer{Why: "OCSP responders are being asked about too many certificates at once"}
	}
	if e.at != at && (e.at == "" || !now.Before(e.next)) { // two policies that name two responders do not undo the pause of one
		e.at, e.anywhere, e.next, e.failures = at, q.Responder != "", now, 0
	}
	if e.asking == nil && now.Before(e.next) {
		defer c.mu.Unlock()
		return Answer{Why: e.why}
	}
	if e.asking == nil {
		e.asking, e.began = make(chan struct{}), now
		c.nudge()
	}
	asking, left := e.asking, q.Wait-now.Sub(e.began)
	c.mu.Unlock()
	return c.await(e, asking, left)
}

// await waits for an answer that is on its way.
func (c *Checker) await(e *entry, asking chan struct{}, left time.Duration) Answer {
	if left > 0 {
		t := time.NewTimer(left)
		defer t.Stop()
		select {
		case <-asking:
		case <-t.C:
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case e.counts(time.Now()):
		return e.answer
	case e.asking == asking:
		return Answer{Why: fmt.Sprintf("the OCSP responder %s has not answered yet", e.at), Pending: true}
	}
	return Answer{Why: e.why}
}

// errNoStaple says that the other side has stapled nothing.
var errNoStaple = errors.New("no OCSP answer was stapled to the handshake")

// Who says so, of an answer that came with a handshake: of this one, and of one before, in either role.
const (
	stapledNow    = "the OCSP answer that was stapled to the handshake"
	stapledBefore = "an OCSP answer that was stapled to an earlier handshake"
)

// Stapled takes the answer that came with a handshake. The error says why it does not count; then an answer from
// elsewhere may. A newer answer that is known counts instead.
func (c *Checker) Stapled(der []byte, cert, issuer *x509.Certificate) (Answer, error) {
	if len(der) == 0 {
		return Answer{}, errNoStaple
	}
	now := time.Now()
	if a, ok := c.knownStaple(der, cert, now); ok {
		return a, nil
	}
	a, err := ParseOCSP(der, cert, issuer, now)
	if err != nil {
		return Answer{}, fmt.Errorf("the OCSP answer that was stapled to the handshake does not count: %w", err)
	}
	if a.Status == Unknown {
		return Answer{}, fmt.Errorf("the OCSP answer that was stapled to the handshake says nothing: %s", a.Why)
	}
	a.Source = stapledNow
	if c == nil {
		return a, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.known[keyOf(cert)]
	if e == nil {
		e = c.add(cert, issuer, now)
	}
	if e == nil {
		return a, nil
	}
	kept := a
	kept.Source = stapledBefore
	if !c.keep(e, kept, der) {
		return e.answer, nil
	}
	return a, nil
}

// knownStaple returns the answer that is known when it is the stapled one, so that it is not parsed again.
func (c *Checker) knownStaple(der []byte, cert *x509.Certificate, now time.Time) (a Answer, ok bool) {
	if c == nil {
		return Answer{}, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.known[keyOf(cert)]
	if e == nil || !e.counts(now) || !bytes.Equal(e.der, der) {
		return Answer{}, false
	}
	e.used = now
	a = e.answer
	a.Source = stapledNow
	return a, true
}

// Fetch asks the responder that a certificate of ours names, wherever it is.
func (c *Checker) Fetch(ctx context.Context, cert, issuer *x509.Certificate) ([]byte, Answer, error) {
	at := cert.OCSPServer[0]
	der, a, err := c.fetcher.ask(ctx, at, true, cert, issuer)
	if err == nil && a.Status == Unknown {
		err = errors.New(a.Why)
	}
	if err != nil {
		err = fmt.Errorf("OCSP responder %s: %w", at, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count(a, err)
	return der, a, err
}

// counts says whether the answer still does. That a certificate was revoked counts until a newer answer takes it back.
func (e *entry) counts(now time.Time) bool {
	return e.answer.Status == Revoked || e.answer.Status == Good && !now.After(e.answer.NextUpdate)
}

// keep keeps an answer unless one is there that is as new. The caller holds mu.
func (c *Checker) keep(e *entry, a Answer, der []byte) (kept bool) {
	if e.answer.Status != Unknown && !a.ThisUpdate.After(e.answer.ThisUpdate) {
		return false
	}
	if a.Status == Revoked && e.answer.Status != Revoked {
		c.turned = true
		c.nudge()
	}
	e.answer, e.der = a, der
	return true
}

// add makes room and an entry; nil when questions are open about all that there is room for. The caller holds mu.
func (c *Checker) add(cert, issuer *x509.Certificate, now time.Time) *entry {
	for len(c.known) >= maxAnswers {
		var oldest key
		var at time.Time
		for k, e := range c.known {
			if e.asking == nil && (at.IsZero() || e.used.Before(at)) {
				oldest, at = k, e.used
			}
		}
		if at.IsZero() {
			return nil
		}
		delete(c.known, oldest)
	}
	e := &entry{cert: cert, issuer: issuer, used: now}
	c.known[keyOf(cert)] = e
	return e
}

func keyOf(c *x509.Certificate) key { return sha256.Sum256(c.Raw) }

func (c *Checker) nudge() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Run asks responders until ctx ends, and waits for all questions that are under way.
func (c *Checker) Run(ctx context.Context) {
	var work sync.WaitGroup
	defer work.Wait()
	c.mu.Lock()
	c.running = true
	c.mu.Unlock()
	slots := make(chan struct{}, asksAtOnce)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			c.end()
			return
		case <-timer.C:
		case <-c.wake:
		}
		if c.takeTurned() {
			work.Go(c.changed)
		}
		due, next := c.due(time.Now())
		for _, e := range due {
			slots <- struct{}{} // freed within askWithin
			work.Go(func() {
				c.fetch(ctx, e)
				<-slots
			})
		}
		timer.Stop()
		if !next.IsZero() {
			timer.Reset(time.Until(next))
		}
	}
}

// due returns the certificates to be asked about now, and when the next one is; zero: none. It forgets those that nobody
// has wanted to know about.
func (c *Checker) due(now time.Time) (due []*entry, next time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, e := range c.known {
		if e.sent || e.at == "" && now.Sub(e.used) < forgetAfter {
			continue
		}
		if e.asking == nil {
			if e.answer.Status != Revoked && now.Sub(e.used) >= forgetAfter {
				delete(c.known, k)
				continue
			}
			if e.at == "" || e.next.IsZero() || e.answer.Status == Revoked && now.Sub(e.used) >= forgetAfter {
				continue
			}
			if e.next.After(now) {
				if next.IsZero() || e.next.Before(next) {
					next = e.next
				}
				continue
			}
			e.asking, e.began = make(chan struct{}), now
		}
		e.sent = true
		due = append(due, e)
	}
	return due, next
}

// fetch asks about one certificate and says when that is to be done again.
func (c *Checker) fetch(ctx context.Context, e *entry) {
	c.mu.Lock()
	at, anywhere := e.at, e.anywhere
	c.mu.Unlock()
	der, a, err := c.fetcher.ask(ctx, at, anywhere, e.cert, e.issuer)
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count(a, err)
	a.Source = "the OCSP responder " + at
	why := ""
	switch {
	case err != nil:
		why = fmt.Sprintf("the OCSP responder %s was asked in vain: %v", at, err)
	case a.Status == Unknown:
		why = fmt.Sprintf("the OCSP responder %s: %s", at, a.Why)
	default:
		c.keep(e, a, der)
	}
	if at == e.at { // else another one is to be asked now
		if why == "" {
			e.failures = 0
			e.next = now.Add(max(renewLeast, min(renewEvery, a.NextUpdate.Sub(now)/2)))
		} else {
			e.next = now.Add(min(renewEvery, renewLeast<<min(e.failures, 10)))
			e.failures++
		}
	}
	c.done(e, why)
	c.nudge()
}

// done ends a question. The caller holds mu.
func (c *Checker) done(e *entry, why string) {
	e.why = why
	close(e.asking)
	e.asking, e.sent = nil, false
}

// count counts a question by its outcome. The caller holds mu.
func (c *Checker) count(a Answer, err error) {
	if err != nil {
		c.counts["failed"]++
		return
	}
	c.counts[a.Status.String()]++
}

// Counts returns how many responders were asked, by what they said: good, revoked, unknown, or failed for no answer
// that counts.
func (c *Checker) Counts() map[string]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.counts)
}

// end lets those go who wait for questions that nobody will ask any more.
func (c *Checker) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running = false
	for _, e := range c.known {
		if e.asking != nil && !e.sent {
			c.done(e, "the gateway stops")
		}
	}
}

func (c *Checker) takeTurned() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	turned := c.turned
	c.turned = false
	return turned
}
