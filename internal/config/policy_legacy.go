package config

import (
	"fmt"
	"slices"
)

// checkLegacy refuses a legacy policy that is none: whoever needs nothing old
// shall not have an alarm that says so.
func (p *Policy) checkLegacy(r *report, label string) {
	if !p.Legacy || p.Broken("suites") || p.MinVersion < TLS12 {
		return
	}
	if p.speaks(TLS12) && slices.ContainsFunc(p.suites(), func(s knownSuite) bool { return s.grade > modern }) {
		return
	}
	r.add(p.At("legacy"), label+`: "legacy" does nothing`, "versions and suites of the policy are good ones", "remove the key")
}

// checkFence sees to it that a legacy policy has one user at most, who names it
// knowingly.
func checkFence(c *Config, r *report) {
	if p := find(c.Policies, c.Defaults.Policy); p != nil && p.Legacy {
		r.add(c.Defaults.At("policy"), fmt.Sprintf("defaults: policy %q is a legacy one", p.Name), "it would be for all listeners and peers",
			"name it at the one listener or peer that needs it")
	}
	first := make(map[string]string)
	use := func(label string, at Place, name string) {
		p := find(c.Policies, name)
		if p == nil || !p.Legacy || !at.Has("policy") && name == c.Defaults.Policy {
			return
		}
		if before, taken := first[name]; taken {
			r.add(at.At("policy"), fmt.Sprintf("%s: policy %q is a legacy one, and %s has it already", label, name, before),
				"weak TLS is for exactly one listener or peer, so that it is known who still needs it",
				"name another policy here; if both need it, write a legacy policy for each")
			return
		}
		first[name] = label
	}
	for i := range c.Listeners {
		if l := &c.Listeners[i]; l.Listen.Transport.Secure() {
			use(fmt.Sprintf("listener %q", l.Name), l.Place, l.Policy)
		}
	}
	for i := range c.Peers {
		if p := &c.Peers[i]; p.UsesTLS() {
			use(fmt.Sprintf("peer %q", p.Name), p.Place, p.Policy)
		}
	}
}
