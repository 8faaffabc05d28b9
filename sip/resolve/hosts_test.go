package resolve

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

const dual = `
dual.example. 60 IN A 192.0.2.1
dual.example. 60 IN A 192.0.2.2
dual.example. 60 IN A 192.0.2.3
dual.example. 60 IN AAAA 2001:db8::1
dual.example. 60 IN AAAA 2001:db8::2
example. 60 IN SOA ns.example. hostmaster.example. 1 3600 600 86400 60
`

var dualQuery = Query{Host: "dual.example", Port: 5060}

// delay makes the servers answer questions of one type late.
func (r *rig) delay(kind uint16, d time.Duration) {
	late := func(_ dns.ResponseWriter, ask *dns.Msg) bool {
		if ask.Question[0].Qtype == kind {
			time.Sleep(d)
		}
		return false
	}
	r.first.Handle(late)
	r.second.Handle(late)
}

// Addresses come in turns, the family first that RFC 6724 prefers from here
// (RFC 7984 §4.1, RFC 8305 §4), and what cannot be reached comes last.
func TestFamiliesInTurns(t *testing.T) {
	lacking := func(four, six bool) func(netip.Addr) netip.Addr {
		return func(a netip.Addr) netip.Addr {
			if a.Is4() && four || a.Is6() && six {
				return netip.Addr{}
			}
			return a
		}
	}
	const a1, a2, a3, b1, b2 = "udp 192.0.2.1:5060", "udp 192.0.2.2:5060", "udp 192.0.2.3:5060", "udp [2001:db8::1]:5060", "udp [2001:db8::2]:5060"
	for name, c := range map[string]struct {
		source func(netip.Addr) netip.Addr
		family Family
		want   []string
	}{
		"both":      {lacking(false, false), Both, []string{b1, a1, b2, a2, a3}},
		"no IPv6":   {lacking(false, true), Both, []string{a1, a2, a3, b1, b2}},
		"no IPv4":   {lacking(true, false), Both, []string{b1, b2, a1, a2, a3}},
		"neither":   {lacking(true, true), Both, []string{b1, b2, a1, a2, a3}},
		"IPv4 only": {lacking(false, false), IPv4, []string{a1, a2, a3}},
		"IPv6 only": {lacking(false, false), IPv6, []string{b1, b2}},
		"6to4 of us": {func(a netip.Addr) netip.Addr {
			return map[bool]netip.Addr{true: a, false: netip.MustParseAddr("2002::1")}[a.Is4()]
		}, Both, []string{a1, b1, a2, b2, a3}},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, dual, func(r *rig) {
				r.Source, r.Family = c.source, c.family
				r.want(dualQuery, c.want...)
				for _, asked := range r.first.Asked() {
					if c.family == IPv4 && strings.HasPrefix(asked, "AAAA") || c.family == IPv6 && strings.HasPrefix(asked, "A ") {
						t.Errorf("asked %s", asked)
					}
				}
			})
		})
	}
	run(t, dual, func(r *rig) { // what the query says goes before what the resolver says
		r.Family = IPv6
		q := dualQuery
		q.Family = IPv4
		r.want(q, a1, a2, a3)
	})
}

// The rules of RFC 6724 §6 that two destinations are compared by.
func TestRankOfDestinations(t *testing.T) {
	for _, c := range []struct{ better, from, worse, fromWorse string }{
		{"192.0.2.1", "192.0.2.9", "2001:db8::1", ""},                  // rule 1
		{"192.0.2.1", "192.0.2.9", "2001:db8::1", "fe80::1"},           // rule 2
		{"192.0.2.1", "192.0.2.9", "2001:db8::1", "2002::1"},           // rule 5
		{"2001:db8::1", "2001:db8::9", "192.0.2.1", "192.0.2.9"},       // rule 6
		{"192.0.2.1", "192.0.2.9", "2002:102:304::1", "2002::9"},       // rule 6
		{"192.0.2.1", "192.0.2.9", "fd00::1", "fd00::9"},               // rule 6
		{"2001:db8::1", "2001:db8::9", "2001::1", "2001::9"},           // rule 6, Teredo
		{"fe80::1", "fe80::9", "2001:db8::1", "2001:db8::9"},           // rule 8
		{"::1", "::1", "127.0.0.1", "127.0.0.1"},                       // rule 6
		{"192.0.2.1", "192.0.2.9", "fec0::1", "fec0::9"},               // rule 6
		{"198.51.100.1", "198.51.100.9", "::192.0.2.1", "::192.0.2.9"}, // rule 6
	} {
		rank := func(to, from string) rank {
			source, _ := netip.ParseAddr(from)
			return rankOf(netip.MustParseAddr(to), source)
		}
		x, y := rank(c.better, c.from), rank(c.worse, c.fromWorse)
		if x.compare(y) >= 0 || y.compare(x) <= 0 {
			t.Errorf("%s from %s does not go before %s from %s", c.better, c.from, c.worse, c.fromWorse)
		}
	}
}

// The family that answers first is not kept from being used by one that does not.
// When all of the first have failed, the other one is asked again.
func TestLateFamily(t *testing.T) {
	run(t, dual, func(r *rig) {
		r.delay(typeAAAA, time.Second)
		w := r.Walk(dualQuery)
		next := func(took time.Duration, want string) {
			t.Helper()
			r.took(took, func() {
				to, err := w.Next(r.Context())
				if err != nil || to.Addr.String() != want {
					t.Errorf("got %v, %v, want %s", to, err, want)
				}
			})
		}
		next(grace, "192.0.2.1:5060")
		next(0, "192.0.2.2:5060")
		next(0, "192.0.2.3:5060")
		if !w.More() {
			t.Error("the late family is forgotten")
		}
		next(time.Second, "[2001:db8::1]:5060")
		next(0, "[2001:db8::2]:5060")
		if w.More() {
			t.Error("there is more")
		}
	})
	run(t, dual, func(r *rig) { // within the grace
		r.delay(typeA, grace-time.Millisecond)
		r.took(grace-time.Millisecond, func() {
			r.want(Query{Host: "dual.example", Port: 5060}, "udp [2001:db8::1]:5060", "udp 192.0.2.1:5060", "udp [2001:db8::2]:5060", "udp 192.0.2.2:5060", "udp 192.0.2.3:5060")
		})
	})
	run(t, dual, func(r *rig) { // one that has no addresses is no reason to hurry the other one
		r.first.Clear()
		r.first.Add("dual.example. 60 IN A 192.0.2.1")
		r.delay(typeA, time.Second)
		r.took(time.Second, func() { r.want(dualQuery, "udp 192.0.2.1:5060") })
	})
}

// That one family was not waited for is known for a moment: the next walk does
// not wait at all, still asks it when all else has failed, and who wants nothing
// else gets it.
func TestLateFamilyOfEarlierWalk(t *testing.T) {
	run(t, dual, func(r *rig) {
		r.delay(typeAAAA, time.Second)
		first := r.Walk(dualQuery)
		first.Next(r.Context())
		second := r.Walk(dualQuery)
		r.took(0, func() {
			for i := range 3 {
				if to, ok := second.Known(); !ok || !to.Addr.Addr().Is4() {
					t.Errorf("target %d: %v, %v", i, to, ok)
				}
			}
		})
		if _, ok := second.Known(); ok || !second.More() {
			t.Error("the late family is forgotten")
		}
		if to, err := second.Next(r.Context()); err != nil || !to.Addr.Addr().Is6() {
			t.Errorf("got %v, %v", to, err)
		}
	})
	run(t, dual, func(r *rig) {
		r.delay(typeAAAA, time.Second)
		r.Walk(dualQuery).Next(r.Context())
		q := dualQuery
		q.Family = IPv6
		if _, ok := r.Walk(q).Known(); ok {
			t.Error("known")
		}
		r.want(q, "udp [2001:db8::1]:5060", "udp [2001:db8::2]:5060")
	})
	run(t, dual, func(r *rig) { // at the same time
		r.delay(typeAAAA, time.Second)
		q := dualQuery
		q.Family = IPv6
		done := make(chan struct{})
		go func() {
			defer close(done)
			time.Sleep(grace / 2)
			r.want(q, "udp [2001:db8::1]:5060", "udp [2001:db8::2]:5060")
		}()
		r.Walk(dualQuery).Next(r.Context())
		<-done
	})
}

// One family whose question fails does not matter while the other one has
// addresses, and is the error when it has none.
func TestFamilyThatFails(t *testing.T) {
	fails := func(r *rig, kind uint16) {
		for _, s := range []interface {
			Handle(func(dns.ResponseWriter, *dns.Msg) bool)
		}{r.first, r.second} {
			s.Handle(func(w dns.ResponseWriter, ask *dns.Msg) bool {
				if ask.Question[0].Qtype != kind {
					return false
				}
				_ = w.WriteMsg(new(dns.Msg).SetRcode(ask, dns.RcodeServerFailure))
				return true
			})
		}
	}
	run(t, dual, func(r *rig) {
		fails(r, typeAAAA)
		r.want(dualQuery, "udp 192.0.2.1:5060", "udp 192.0.2.2:5060", "udp 192.0.2.3:5060")
	})
	run(t, "dual.example. 60 IN A 192.0.2.1", func(r *rig) {
		fails(r, typeA)
		r.fails(dualQuery, "SERVFAIL")
	})
}

// A walk that must not wait does not, though what it found known gets out of date
// in that moment.
func TestKnownNeverWaits(t *testing.T) {
	run(t, dual, func(r *rig) {
		r.want(dualQuery, "udp [2001:db8::1]:5060", "udp 192.0.2.1:5060", "udp [2001:db8::2]:5060", "udp 192.0.2.2:5060", "udp 192.0.2.3:5060")
		time.Sleep(time.Minute - 1)
		r.first.Slow(time.Hour)
		r.second.Slow(time.Hour)
		w := r.Walk(dualQuery)
		r.Source = func(a netip.Addr) netip.Addr { time.Sleep(time.Nanosecond); return a }
		r.took(5, func() {
			if _, ok := w.Known(); !ok {
				t.Error("it was known")
			}
		})
		r.took(0, func() {
			if _, ok := r.Walk(dualQuery).Known(); ok {
				t.Error("it is out of date")
			}
		})
	})
}
