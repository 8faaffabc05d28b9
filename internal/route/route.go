// Package route says where a call goes.
//
// [Compile] turns the routes of a configuration into a [Table], which is
// immutable. [Table.Decide] walks it and takes the first route that matches:
// this file has the walk, and the tables of what a route can match (match_*.go)
// and of what it does then (action_*.go). [Table.Explain] tells the same story
// in words, with the routes that lost. [Check] finds routes that can never work.
//
// Decisions are made from one request's facts and one configuration, without
// I/O and without allocation; everything may be used by all goroutines at once.
package route

import (
	"fmt"
	"strings"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/peer"
	"github.com/sallyport-sip/sallyport/sip"
)

// Facts are what a request is routed by.
type Facts struct {
	From   *peer.Peer // who sent it; nil: nobody we know
	Method sip.Method
	User   string // of the Request-URI, without escapes and password
	SIPS   bool   // the Request-URI is sips:
}

// matcher judges one thing that a route demands.
type matcher interface {
	match(Facts) bool
	why(Facts) string // why it does not match
	String() string   // the demand: "from office"
}

// matches is what a route can demand, in the order of asking. A function
// returns nil when the route does not demand it.
var matches = []struct {
	key     string
	compile func(*config.Route) matcher
}{
	{"from", matchFrom},
	{"number", matchNumber},
}

// action is what a route does with what it matched.
type action interface {
	decide(Facts) Decision // without the route's index
	explain(Facts) []string
	String() string
}

// actions is what a route can do; one key of them is written.
var actions = []struct {
	key     string
	compile func(*config.Route, *peer.Table) action
}{
	{"to", actionTo},
}

// Outcome is how a decision ends.
type Outcome uint8

// The outcomes. A refusal tells the caller nothing but this.
const (
	Routed         Outcome = iota // try the targets in order
	NoRoute                       // 404 Not Found
	SIPSNotAllowed                // 480 with Warning 380 (RFC 5630 §5.3): the call is sips: and nobody may have it so
	SIPSRequired                  // 480 with Warning 381 (RFC 5630 §5.3): the caller may only call with sips:
)

// Decision is where a request goes.
type Decision struct {
	Outcome Outcome
	Route   int          // index in the file, from 0; -1: none matched
	Row     string       // its name: "route 2"; empty: none matched
	Targets []*peer.Peer // in order; not to be changed
	Why     string       // for ladders and logs, never for the caller
}

// Table is the routes of one configuration.
type Table struct {
	routes []route
}

type route struct {
	label    string // "route 2"
	matchers []matcher
	action   action
}

// Compile returns the table of a configuration without problems, whose peers
// are peers.
func Compile(cfg *config.Config, peers *peer.Table) *Table {
	t := &Table{routes: make([]route, len(cfg.Routes))}
	for i := range cfg.Routes {
		from, to := &cfg.Routes[i], &t.routes[i]
		to.label = fmt.Sprintf("route %d", i+1)
		for _, m := range matches {
			if m := m.compile(from); m != nil {
				to.matchers = append(to.matchers, m)
			}
		}
		for _, a := range actions {
			if a := a.compile(from, peers); a != nil {
				to.action = a
			}
		}
	}
	return t
}

// Decide takes the first route that matches. The rules of the caller's own
// profile come first: what it may not send has no route.
func (t *Table) Decide(f Facts) Decision {
	if d := admit(f); d.Outcome != Routed {
		return d
	}
	for i := range t.routes {
		if t.routes[i].match(f) {
			d := t.routes[i].action.decide(f)
			d.Route, d.Row = i, t.routes[i].label
			return d
		}
	}
	return Decision{Outcome: NoRoute, Route: -1, Why: "no route matches"}
}

// admit judges a request by the profile of who sent it.
func admit(f Facts) Decision {
	switch {
	case f.From == nil:
		return Decision{Outcome: NoRoute, Route: -1, Why: "the caller is not a peer"}
	case f.From.SIPS == config.SIPSRequired && !f.SIPS:
		return Decision{Outcome: SIPSRequired, Route: -1, Why: "the caller's profile has sips: required, and the call is not sips:"}
	case f.From.SIPS == config.SIPSNever && f.SIPS:
		return Decision{Outcome: SIPSNotAllowed, Route: -1, Why: "the caller's profile has sips: never, and the call is sips:"}
	}
	return Decision{Route: -1}
}

func (r *route) match(f Facts) bool {
	for _, m := range r.matchers {
		if !m.match(f) {
			return false
		}
	}
	return true
}

// String describes the route: "route 2 (from acme; number +49*; to office)".
func (r *route) String() string {
	var parts []string
	for _, m := range r.matchers {
		parts = append(parts, m.String())
	}
	return fmt.Sprintf("%s (%s)", r.label, strings.Join(append(parts, r.action.String()), "; "))
}

// Explain says in one line per route why Decide takes it or passes it by, and
// ends with what follows.
func (t *Table) Explain(f Facts) []string {
	if d := admit(f); d.Outcome != Routed {
		return []string{d.Why}
	}
	var lines []string
	for i := range t.routes {
		r := &t.routes[i]
		if lost := r.lost(f); lost != "" {
			lines = append(lines, fmt.Sprintf("%s: no, %s", r, lost))
			continue
		}
		lines = append(lines, fmt.Sprintf("%s: yes", r))
		lines = append(lines, r.action.explain(f)...)
		return append(lines, r.action.decide(f).Why)
	}
	return append(lines, "no route matches")
}

// lost returns every reason for which the route does not match.
func (r *route) lost(f Facts) string {
	var reasons []string
	for _, m := range r.matchers {
		if !m.match(f) {
			reasons = append(reasons, m.why(f))
		}
	}
	return strings.Join(reasons, ", and ")
}
