package gateway

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// A leniency is one listener or one peer with a legacy policy, and what came of
// it. What was counted stays while a reload leaves the policy where it is.
type leniency struct {
	who    string // as in texts: `listener "old"`
	alarm  string // its name
	policy config.Policy
	*negotiated
}

// negotiated is how often parameters were agreed on. What crypto/tls knows bounds
// it.
type negotiated struct {
	mu   sync.Mutex
	seen map[parameters]int // guarded by mu
}

// parameters are what TLS agreed on.
type parameters struct{ version, suite uint16 }

func (p parameters) String() string {
	return tls.VersionName(p.version) + " with " + tls.CipherSuiteName(p.suite)
}

// newLeniencies gathers the legacy policies of a configuration by their alarms.
func newLeniencies(cfg *config.Config, before map[string]*leniency) map[string]*leniency {
	all := make(map[string]*leniency)
	add := func(kind, name string, p config.Policy) {
		if !p.Legacy {
			return
		}
		l := &leniency{who: fmt.Sprintf("%s %q", kind, name), alarm: "legacy TLS " + kind + " " + name, policy: p}
		if was := before[l.alarm]; was != nil && was.policy.Name == p.Name {
			l.negotiated = was.negotiated
		} else {
			l.negotiated = &negotiated{seen: make(map[parameters]int)}
		}
		all[l.alarm] = l
	}
	for i := range cfg.Listeners {
		if l := &cfg.Listeners[i]; l.Listen.Transport.Secure() {
			add("listener", l.Name, cfg.PolicyOf(l.Policy))
		}
	}
	for i := range cfg.Peers {
		if p := &cfg.Peers[i]; p.UsesTLS() {
			add("peer", p.Name, cfg.PolicyOf(p.Policy))
		}
	}
	return all
}

// lenient raises an alarm for each listener and peer that has a legacy policy
// now, and ends those of others.
func (g *Gateway) lenient(before, now *snapshot) {
	if before != nil {
		for alarm := range before.lenient {
			if now.lenient[alarm] == nil {
				g.alarms.clear(alarm)
			}
		}
	}
	for _, l := range now.lenient {
		g.alarms.raise(l.alarm, l.text(), l.remedy())
	}
}

// leniently notes what was negotiated where a legacy policy is in force, in the
// alarm and, the first time, in the log.
func (g *Gateway) leniently(c *transport.Conn) {
	snap := g.snapshot.Load()
	if c.TLS() == nil || snap == nil || len(snap.lenient) == 0 {
		return
	}
	alarms := []string{"legacy TLS peer " + c.Identity().Peer}
	if c.Info().Inbound {
		alarms = append(alarms, "legacy TLS listener "+c.Info().Listener)
	}
	got := parameters{c.TLS().Version, c.TLS().CipherSuite}
	for _, alarm := range alarms {
		l := snap.lenient[alarm]
		if l == nil {
			continue
		}
		if l.count(got) && config.WeakTLS(got.version, got.suite) {
			g.log.Warn("weak TLS was negotiated, as a legacy policy allows", "who", l.who, "policy", l.policy.Name, "tls", got.String(), "connection", c.ID(), "remote", c.Info().Remote)
		}
		g.alarms.raise(l.alarm, l.text(), l.remedy())
	}
}

// count says whether it is the first time.
func (l *negotiated) count(p parameters) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen[p]++
	return l.seen[p] == 1
}

func (l *leniency) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []string
	for p, n := range l.seen {
		list = append(list, fmt.Sprintf("%s (%d)", p, n))
	}
	slices.Sort(list)
	text := fmt.Sprintf("%s has the legacy policy %q: TLS from %s on, old cipher suites", l.who, l.policy.Name, l.policy.MinVersion)
	if len(list) == 0 {
		return text + "; nothing was negotiated since"
	}
	return text + "; negotiated since: " + strings.Join(list, ", ")
}

func (l *leniency) remedy() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for p := range l.seen {
		if config.WeakTLS(p.version, p.suite) {
			return "have whoever is at the other side renewed, so that it speaks TLS 1.2 or 1.3, and name a policy without legacy then"
		}
	}
	return "if nobody needs it any more, name a policy without legacy"
}
