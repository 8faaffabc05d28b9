package resolve

import (
	"cmp"
	"container/list"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

// For how long answers are kept.
const (
	minTTL      = time.Second             // so that calls of one moment share one question
	maxTTL      = 24 * time.Hour          // RFC 8767 §4 has seven days
	maxNegative = 15 * time.Minute        // RFC 2308 §5 finds up to three hours sensible
	failureTTL  = 5 * time.Second         // RFC 9520 §3.2: at least 1 s
	staleTTL    = 24 * time.Hour          // RFC 8767 §5: one to three days
	staleAgain  = 30 * time.Second        // RFC 8767 §5: before the servers are asked again
	staleAfter  = 1800 * time.Millisecond // RFC 8767 §5: how long to wait for better
)

// question is what is asked: a name in lower case without the last dot, and the
// type of record.
type question struct {
	name string
	kind uint16
}

func (q question) String() string { return kindName(q.kind) + " of " + q.name }

// cache keeps answers, the most recently used ones. Guarded by mu.
type cache struct {
	mu     sync.Mutex
	by     map[question]*list.Element // of *entry
	recent list.List                  // the most recent first
}

// entry is what is known of a question.
type entry struct {
	question
	answer answer
	until  time.Time // answer is right until then
	stale  time.Time // and may serve until then when no server answers
	err    error     // instead of answer: nobody answered
}

// get returns what is known and still right.
func (c *cache) get(q question, now time.Time) (*entry, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	el := c.by[q]
	if el == nil {
		return nil, false
	}
	c.recent.MoveToFront(el)
	e := el.Value.(*entry)
	return e, now.Before(e.until)
}

// put keeps an entry in the place of an earlier one. Entries do not change.
func (c *cache) put(e *entry, most int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by == nil {
		c.by = make(map[question]*list.Element)
	}
	if el := c.by[e.question]; el != nil {
		el.Value = e
		c.recent.MoveToFront(el)
		return
	}
	c.by[e.question] = c.recent.PushFront(e)
	for c.recent.Len() > most {
		last := c.recent.Back()
		delete(c.by, c.recent.Remove(last).(*entry).question)
	}
}

// known returns what the cache has, without asking.
func (r *Resolver) known(q question) (answer, error, bool) {
	e, fresh := r.cache.get(q, time.Now())
	if !fresh {
		return answer{}, nil, false
	}
	return e.answer, e.err, true
}

// flights are the questions under way.
type flights struct {
	mu sync.Mutex // guards by
	by map[question]*flight
}

// flight is one question under way: who began it asks, and the others wait. What
// it says is set before done is closed.
type flight struct {
	done chan struct{}
	a    answer
	err  error
	left bool // who asked has left before the end: somebody else has to
}

// belief says which errors of earlier questions are taken for an answer.
type belief uint8

const (
	asUsual belief = iota // that nobody answers
	hasty                 // that it took too long for one who had another family, too
	anew                  // none
)

func (b belief) takes(err error) bool {
	return err == nil || b == hasty || b == asUsual && !errors.Is(err, errGrace)
}

// lookup answers a question from the cache, from one that is under way, or from
// the servers.
func (r *Resolver) lookup(ctx context.Context, q question, b belief) (answer, error) {
	for {
		if a, err, ok := r.known(q); ok && b.takes(err) {
			r.count(Cached)
			return a, err
		}
		r.flights.mu.Lock()
		f := r.flights.by[q]
		if f == nil {
			f = &flight{done: make(chan struct{})}
			if r.flights.by == nil {
				r.flights.by = make(map[question]*flight)
			}
			r.flights.by[q] = f
			r.flights.mu.Unlock()
			r.fly(ctx, q, f)
			return f.a, f.err
		}
		r.flights.mu.Unlock()
		select {
		case <-f.done:
		case <-ctx.Done():
			return answer{}, context.Cause(ctx)
		}
		if !f.left && (b == hasty || !errors.Is(f.err, errGrace)) {
			r.count(Shared)
			return f.a, f.err
		}
	}
}

// fly asks, keeps what comes of it, and tells those who wait.
func (r *Resolver) fly(ctx context.Context, q question, f *flight) {
	began := time.Now()
	old, _ := r.cache.get(q, began)
	serves := old != nil && old.err == nil && began.Before(old.stale)
	asking, cancel := ctx, context.CancelFunc(func() {})
	if serves {
		asking, cancel = context.WithTimeoutCause(ctx, staleAfter, errSlow)
	}
	f.a, f.err = r.ask(asking, q)
	outcome := Failed
	switch now := time.Now(); {
	case f.err == nil:
		if outcome = Answered; f.a.empty() {
			outcome = Empty
		}
		r.keep(&entry{question: q, answer: f.a, until: now.Add(f.a.ttl), stale: now.Add(f.a.ttl + staleTTL)})
	case ctx.Err() != nil && !ours(context.Cause(ctx)), hurried(ctx, began) && !serves:
		f.left = true // it was not the servers' fault
	case hurried(ctx, began):
		f.a, f.err, outcome = old.answer, nil, Stale
	case serves:
		f.a, f.err, outcome = old.answer, nil, Stale
		r.keep(&entry{question: q, answer: old.answer, until: now.Add(staleAgain), stale: old.stale})
	default:
		r.keep(&entry{question: q, err: f.err, until: now.Add(failureTTL)})
	}
	cancel()
	r.count(outcome)
	r.flights.mu.Lock()
	delete(r.flights.by, q)
	r.flights.mu.Unlock()
	close(f.done)
}

// ours says whether a question was ended because it took too long, not because
// its caller left.
func ours(cause error) bool { return cause == errSlow || cause == errGrace }

// hurried says whether a question had too little time left of its request's limit
// to say anything about the servers.
func hurried(ctx context.Context, began time.Time) bool {
	return context.Cause(ctx) == errSlow && time.Since(began) < staleAfter
}

func (r *Resolver) keep(e *entry) { r.cache.put(e, cmp.Or(r.CacheSize, 4096)) }

// ask follows the aliases of a name until there is an answer.
func (r *Resolver) ask(ctx context.Context, q question) (answer, error) {
	seen, ttl := map[string]bool{}, maxTTL
	for range maxAliases {
		a, err := r.askServers(ctx, question{q.name, q.kind})
		if err != nil {
			return a, err
		}
		ttl = min(ttl, a.ttl)
		if a.alias == "" {
			a.ttl = ttl
			return a, nil
		}
		if seen[a.alias] {
			break
		}
		seen[a.alias] = true
		q.name = a.alias
	}
	return answer{}, fmt.Errorf("%v: its aliases lead nowhere", q)
}

// goResolver answers where there is no resolv.conf: the system's own ways know
// addresses only.
func goResolver(ctx context.Context, q question) (answer, error) {
	a := answer{ttl: staleAgain}
	network := map[uint16]string{typeA: "ip4", typeAAAA: "ip6"}[q.kind]
	if network == "" {
		return a, nil
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, network, q.name)
	if missing, ok := err.(*net.DNSError); ok && missing.IsNotFound {
		return a, nil
	}
	for _, addr := range addrs {
		a.add(addr.Unmap())
	}
	return a, err
}

// health is which servers have failed lately.
type health struct {
	mu     sync.Mutex // guards failed
	failed map[netip.AddrPort]time.Time
}

// rest is for how long a server that failed is asked last.
const rest = 30 * time.Second

func (h *health) note(server netip.AddrPort, failed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !failed {
		delete(h.failed, server)
		return
	}
	if h.failed == nil {
		h.failed = make(map[netip.AddrPort]time.Time)
	}
	if len(h.failed) > 64 { // resolv.conf has had that many
		clear(h.failed)
	}
	h.failed[server] = time.Now()
}

// order puts the servers that have failed lately last.
func (h *health) order(servers []netip.AddrPort) []netip.AddrPort {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]netip.AddrPort, 0, len(servers))
	var last []netip.AddrPort
	for _, s := range servers {
		if at, ok := h.failed[s]; ok && time.Since(at) < rest {
			last = append(last, s)
		} else {
			out = append(out, s)
		}
	}
	return append(out, last...)
}
