package route

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport-sip/sallyport/internal/config"
)

// Check reports routes that can never work. It skips what config.Check has
// reported already.
func Check(cfg *config.Config) []config.Problem {
	c := checker{cfg: cfg, peers: make(map[string]*config.Peer)}
	for i := range cfg.Peers {
		c.peers[cfg.Peers[i].Name] = &cfg.Peers[i]
	}
	for i := range cfg.Routes {
		r := &cfg.Routes[i]
		if readable(r) {
			c.targets(r)
			c.sips(r)
			c.shadowed(i)
			c.toItself(r)
		}
	}
	config.SortProblems(c.problems)
	return c.problems
}

type checker struct {
	cfg      *config.Config
	peers    map[string]*config.Peer
	problems []config.Problem
}

func (c *checker) add(at config.Pos, r *config.Route, what, why, remedy string) {
	c.problems = append(c.problems, c.cfg.Problem(at, "route "+r.Name+": "+what, why, remedy))
}

// readable says whether all of the route could be read.
func readable(r *config.Route) bool {
	return !r.Broken("from") && !r.Broken("number") && !r.Broken("to")
}

// targets reports peers that nothing can be sent to.
func (c *checker) targets(r *config.Route) {
	for i, name := range r.To {
		p := c.peers[name]
		if p == nil || p.URI.Host == "" || p.URI.TLS() || c.cfg.ProfileOf(p).SIPS != config.SIPSRequired {
			continue
		}
		c.add(r.AtItem("to", i), r, fmt.Sprintf("peer %q cannot be called", name),
			fmt.Sprintf("its profile has sips: required, and its uri is %s", p.URI.Transport),
			"reach it over TLS, or give it another profile")
	}
}

// sips reports callers that must use sips: where it can reach no target.
func (c *checker) sips(r *config.Route) {
	for _, name := range r.To {
		p := c.peers[name]
		if p == nil || p.URI.Host == "" || p.URI.TLS() && c.cfg.ProfileOf(p).SIPS != config.SIPSNever {
			return
		}
	}
	sources := c.sources(r)
	var strict []string
	for _, name := range sources {
		if p := c.peers[name]; p != nil && c.cfg.ProfileOf(p).SIPS == config.SIPSRequired {
			strict = append(strict, name)
		}
	}
	if len(r.To) == 0 || len(strict) == 0 || r.From == nil && len(strict) < len(sources) {
		return
	}
	c.add(r.At("to"), r, fmt.Sprintf("calls from %s can never work", quoted(strict)),
		"their profile has sips: required, and no target has both TLS and a profile that lets sips: through",
		"reach a target over TLS, or change one of the profiles")
}

// shadowed reports a route of which earlier ones take every call.
func (c *checker) shadowed(index int) {
	r := &c.cfg.Routes[index]
	left := slices.Clone(c.sources(r))
	var by []string
	for i := 0; i < index && len(left) > 0; i++ {
		earlier := &c.cfg.Routes[i]
		if !covers(earlier.Number, r.Number) || !readable(earlier) {
			continue
		}
		before := len(left)
		left = slices.DeleteFunc(left, func(name string) bool {
			return earlier.From == nil || slices.Contains(earlier.From, name)
		})
		if len(left) < before {
			by = append(by, earlier.Name)
		}
	}
	if len(by) == 0 || len(left) > 0 {
		return
	}
	verb := "takes"
	if len(by) > 1 {
		verb = "take"
	}
	c.add(r.Pos, r, "it is never reached", fmt.Sprintf("route %s before it %s all of its calls", strings.Join(by, " and "), verb),
		"move it up, narrow the other, or remove it")
}

// toItself reports a route that only sends a peer's calls back to it.
func (c *checker) toItself(r *config.Route) {
	if len(r.From) == 1 && len(r.To) == 1 && r.From[0] == r.To[0] {
		c.add(r.At("to"), r, fmt.Sprintf("it sends the calls of peer %q back to it", r.To[0]),
			"source and only target are the same", "name another target, or remove the route")
	}
}

// sources returns the names of the peers whose calls the route takes.
func (c *checker) sources(r *config.Route) []string {
	if r.From != nil {
		return r.From
	}
	names := make([]string, len(c.cfg.Peers))
	for i := range c.cfg.Peers {
		names[i] = c.cfg.Peers[i].Name
	}
	return names
}

// covers says whether every number that inner matches is matched by outer.
func covers(outer, inner config.Number) bool {
	out, prefix := outer.Split()
	in, innerPrefix := inner.Split()
	if prefix {
		return strings.HasPrefix(in, out)
	}
	return !innerPrefix && in == out
}

func quoted(names []string) string {
	var b strings.Builder
	for i, name := range names {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%q", name)
	}
	return b.String()
}
