package resolve

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/sallyport-sip/sallyport/internal/testdns"
)

// lasts checks for how long what is known of a query is not asked for again.
func (r *rig) lasts(q Query, want time.Duration) {
	r.Helper()
	r.all(q)
	r.first.Asked()
	if want > time.Millisecond {
		time.Sleep(want - time.Millisecond)
	}
	r.all(q)
	if asked := r.first.Asked(); len(asked) > 0 {
		r.Errorf("asked %q again before %v are over", asked, want)
	}
	time.Sleep(time.Millisecond)
	r.all(q)
	if asked := r.first.Asked(); len(asked) == 0 {
		r.Errorf("not asked again after %v", want)
	}
}

func TestTimeToLive(t *testing.T) {
	for ttl, want := range map[string]time.Duration{
		"60": time.Minute, "0": time.Second, "1": time.Second, "86400": 24 * time.Hour, "604800": 24 * time.Hour,
		"4294967295": 24 * time.Hour, // RFC 8767 §4
	} {
		run(t, "host.example. "+ttl+" IN A 192.0.2.1", func(r *rig) { r.lasts(hostQuery, want) })
	}
	// The least of an alias and of what it leads to.
	run(t, "host.example. 20 IN CNAME b.example.\nb.example. 90 IN A 192.0.2.1", func(r *rig) { r.lasts(hostQuery, 20*time.Second) })
	run(t, "host.example. 90 IN CNAME b.example.\nb.example. 20 IN A 192.0.2.1", func(r *rig) { r.lasts(hostQuery, 20*time.Second) })
	run(t, "host.example. 90 IN A 192.0.2.2\nhost.example. 20 IN A 192.0.2.1", func(r *rig) { r.lasts(hostQuery, 20*time.Second) })
}

// A TTL that has passed brings what is there now.
func TestChangeAfterTheTimeToLive(t *testing.T) {
	run(t, oneHost, func(r *rig) {
		r.want(hostQuery, hostTarget)
		r.first.Clear()
		r.first.Add("host.example. 60 IN A 192.0.2.7")
		time.Sleep(time.Minute - time.Millisecond)
		r.want(hostQuery, hostTarget)
		time.Sleep(time.Millisecond)
		r.want(hostQuery, "udp 192.0.2.7:5060")
	})
}

// For how long there is nothing is the lesser of the SOA record's TTL and
// MINIMUM (RFC 2308 §5).
func TestNegativeCache(t *testing.T) {
	soa := func(ttl, minimum int) string {
		return fmt.Sprintf("example. %d IN SOA ns.example. hostmaster.example. 1 3600 600 86400 %d", ttl, minimum)
	}
	for name, c := range map[string]struct {
		zone string
		want time.Duration
	}{
		"minimum":                 {soa(3600, 30), 30 * time.Second},
		"TTL of the SOA":          {soa(40, 300), 40 * time.Second},
		"ceiling":                 {soa(86400, 86400), 15 * time.Minute},
		"floor":                   {soa(0, 0), time.Second},
		"no SOA":                  {"x.example. 60 IN A 192.0.2.1", time.Second},
		"SOA of a parent":         {strings.Replace(soa(60, 60), "example.", ".", 1), time.Minute},
		"SOA of another zone":     {strings.Replace(soa(60, 60), "example.", "other.", 1), time.Second},
		"NODATA":                  {soa(60, 60) + "\nhost.example. 5 IN AAAA 2001:db8::1", time.Minute},
		"alias to nothing":        {soa(60, 60) + "\nhost.example. 90 IN CNAME gone.example.", time.Minute},
		"short alias to nothing":  {soa(60, 60) + "\nhost.example. 7 IN CNAME gone.example.", 7 * time.Second},
		"alias to another record": {soa(60, 60) + "\nhost.example. 90 IN CNAME b.example.\nb.example. 5 IN AAAA 2001:db8::1", time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, c.zone, func(r *rig) {
				r.fails(hostQuery, "resolve host.example: "+ErrNoName.Error())
				r.asked("A host.example")
				r.second.Asked()
				r.lasts(hostQuery, c.want)
				if asked := r.second.Asked(); len(asked) > 0 {
					t.Errorf("another server was asked for what does not exist: %q", asked)
				}
			})
		})
	}
}

// While nobody answers, what was true serves for a day more (RFC 8767).
func TestStaleAnswers(t *testing.T) {
	run(t, oneHost, func(r *rig) {
		r.want(hostQuery, hostTarget)
		time.Sleep(time.Minute)
		r.first.Silent()
		r.second.Silent()
		r.took(staleAfter, func() { r.want(hostQuery, hostTarget) })
		time.Sleep(staleAgain - time.Second)
		r.took(0, func() { r.want(hostQuery, hostTarget) })
		time.Sleep(time.Second)
		r.took(staleAfter, func() { r.want(hostQuery, hostTarget) })
		time.Sleep(24*time.Hour - 2*time.Minute)
		r.want(hostQuery, hostTarget)
		time.Sleep(2 * time.Minute)
		r.fails(hostQuery, "no answer within")
	})
	// That there is no such record is an answer, and ends the old one.
	run(t, oneHost, func(r *rig) {
		r.want(hostQuery, hostTarget)
		time.Sleep(time.Minute)
		r.first.Clear()
		r.fails(hostQuery, ErrNoName.Error())
		r.first.Silent()
		r.second.Silent()
		time.Sleep(time.Second)
		r.fails(hostQuery, ErrNoName.Error())
	})
}

// One dead server does not make an answer stale for as long as another one
// lives, though the wait for better than stale is shorter than its time limit.
func TestStaleOnlyWhenAllServersAreDead(t *testing.T) {
	run(t, oneHost, func(r *rig) {
		r.want(hostQuery, hostTarget)
		r.second.Clear()
		r.second.Add("host.example. 60 IN A 192.0.2.7")
		time.Sleep(time.Minute)
		r.first.Silent()
		r.want(hostQuery, "udp 192.0.2.7:5060")
	})
}

// Who has an old answer and leaves at once says nothing about the servers.
func TestCallerLeavesAnOldAnswer(t *testing.T) {
	run(t, oneHost, func(r *rig) {
		r.want(hostQuery, hostTarget)
		time.Sleep(time.Minute)
		r.first.Clear()
		r.first.Add("host.example. 60 IN A 192.0.2.7")
		r.first.Slow(time.Millisecond)
		ctx, cancel := context.WithCancel(r.Context())
		cancel()
		r.Walk(hostQuery).Next(ctx)
		r.want(hostQuery, "udp 192.0.2.7:5060")
	})
}

// Equal questions at the same time are asked once.
func TestEqualQuestionsAreAskedOnce(t *testing.T) {
	run(t, domains, func(r *rig) {
		r.first.Slow(time.Second)
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				r.want(Query{Host: "example.com", Supported: []string{"udp"}, Family: IPv4}, "udp 192.0.2.2:5080")
			})
		}
		all.Wait()
		r.asked("NAPTR example.com", "SRV _sip._udp.example.com", "A server2.example.com")
	})
	// And fail once.
	run(t, oneHost, func(r *rig) {
		r.Servers, r.Attempts = r.Servers[:1], 1
		r.first.Silent()
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() { r.fails(hostQuery, "no answer") })
		}
		r.took(2*time.Second, all.Wait)
		r.asked("A host.example")
	})
}

// The cache keeps what was used last, and no more than it may.
func TestCacheBound(t *testing.T) {
	var zone []string
	for i := range 50 {
		zone = append(zone, fmt.Sprintf("h%d.example. 600 IN A 192.0.2.%d", i, i+1))
	}
	run(t, strings.Join(zone, "\n"), func(r *rig) {
		r.CacheSize = 10
		ask := func(i int) {
			r.want(Query{Host: fmt.Sprintf("h%d.example", i), Port: 1, Family: IPv4}, fmt.Sprintf("udp 192.0.2.%d:1", i+1))
		}
		for i := range 50 {
			ask(i)
			ask(0) // used all the time
		}
		if n, m := len(r.cache.by), r.cache.recent.Len(); n != 10 || m != 10 {
			t.Errorf("it keeps %d and %d answers, want 10", n, m)
		}
		r.first.Asked()
		ask(0)
		ask(49)
		ask(41)
		r.asked()
		ask(40)
		r.asked("A h40.example")
	})
}

// What one server makes us keep has a bound, whatever it sends, and the best is
// kept.
func TestHugeAnswers(t *testing.T) {
	var records []dns.RR
	for i := range 10000 {
		records = append(records, record(fmt.Sprintf("_sip._udp.big.example. 60 IN SRV %d 0 5060 h%d.example.", 10000-i, i)))
	}
	all := &dns.Msg{MsgHdr: dns.MsgHdr{Response: true}, Answer: records}
	a, err := read(all, question{"_sip._udp.big.example", typeSRV})
	if err != nil || len(a.srvs) != maxRecords || a.srvs[0].priority != 1 || a.srvs[63].priority != 64 {
		t.Errorf("it has %d records, %v", len(a.srvs), err)
	}
	all.Answer = all.Answer[:0]
	for i := range 10000 {
		all.Answer = append(all.Answer, record(fmt.Sprintf("big.example. 60 IN A 10.0.%d.%d", i/250, i%250+1)))
	}
	if a, err := read(all, question{"big.example", typeA}); err != nil || len(a.addrs) != maxRecords || a.addrs[0].String() != "10.0.0.1" {
		t.Errorf("it has %d addresses, %v", len(a.addrs), err)
	}
	all.Answer = all.Answer[:0]
	for i := range 10000 {
		all.Answer = append(all.Answer, record(fmt.Sprintf(`big.example. 60 IN NAPTR %d 0 "s" "SIP+D2U" "" n%d.example.`, 10000-i, i)))
	}
	if a, err := read(all, question{"big.example", typeNAPTR}); err != nil || len(a.naptrs) != maxRecords || a.naptrs[0].order != 1 {
		t.Errorf("it has %d records, %v", len(a.naptrs), err)
	}
	// Over the network, with as many as one message holds: at most 32 hosts are asked
	// for, however many of them have no address.
	run(t, "", func(r *rig) {
		many := func(w dns.ResponseWriter, ask *dns.Msg) bool {
			m := new(dns.Msg).SetReply(ask)
			m.RecursionAvailable = true
			if q := ask.Question[0]; q.Qtype == dns.TypeSRV {
				if _, udp := w.RemoteAddr().(*net.UDPAddr); udp {
					m.Truncated = true
				}
				for i := 0; i < 2400 && !m.Truncated; i++ {
					m.Answer = append(m.Answer, record(fmt.Sprintf("%s 60 IN SRV 0 0 5060 h%d.", q.Name, i)))
				}
				m.Compress = true
			}
			_ = w.WriteMsg(m)
			return true
		}
		r.first.Handle(many)
		r.fails(Query{Host: "big.example", Transport: "udp", Family: IPv4}, ErrNoName.Error())
		if asked := r.first.Asked(); len(asked) != 2+maxHosts {
			t.Errorf("%d questions, want 34", len(asked))
		}
	})
	// Names as long as can be are kept as they are.
	label := strings.Repeat("a", 63)
	target := strings.Join([]string{label, label, label, label[:61]}, ".")
	run(t, "_sip._udp.x.example. 60 IN SRV 0 0 5060 "+target+".\n"+target+". 60 IN A 192.0.2.1", func(r *rig) {
		r.want(Query{Host: "x.example", Transport: "udp", Family: IPv4}, "udp 192.0.2.1:5060")
	})
}

// A name that is so long that no SRV record can stand below it has none.
func TestLongestName(t *testing.T) {
	label := strings.Repeat("a", 63)
	name := strings.Join([]string{label, label, label, label[:61]}, ".")
	run(t, name+". 60 IN A 192.0.2.1", func(r *rig) {
		r.want(Query{Host: name, Family: IPv4}, "udp 192.0.2.1:5060")
		if len(r.health.failed) > 0 {
			t.Errorf("it is no fault of %v", r.health.failed)
		}
	})
}

func TestAliases(t *testing.T) {
	chain := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "a%d.example. 60 IN CNAME A%d.Example.\n", i, i+1)
		}
		fmt.Fprintf(&b, "a%d.example. 60 IN A 192.0.2.1\n", n)
		return b.String()
	}
	q := Query{Host: "a0.example", Port: 1, Family: IPv4}
	for _, n := range []int{1, 2, 7, 8, 12} {
		run(t, chain(n), func(r *rig) { r.want(q, "udp 192.0.2.1:1") })
	}
	// A server that does not follow them is asked again.
	for n, ok := range map[int]bool{1: true, 7: true, 8: false, 12: false} {
		run(t, chain(n), func(r *rig) {
			for _, s := range []*testdns.Server{r.first, r.second} {
				lies(s, func(m *dns.Msg) { m.Answer = m.Answer[:1] })
			}
			if ok {
				r.want(q, "udp 192.0.2.1:1")
			} else {
				r.fails(q, "its aliases lead nowhere")
			}
			if asked := r.first.Asked(); len(asked) != min(n+1, maxAliases) {
				t.Errorf("asked %d times", len(asked))
			}
		})
	}
	// A loop is a fault, and not "there is no such record".
	for _, zone := range []string{
		"a0.example. 60 IN CNAME a0.example.",
		"a0.example. 60 IN CNAME b.example.\nb.example. 60 IN CNAME a0.example.",
		"a0.example. 60 IN CNAME b.example.\nb.example. 60 IN CNAME c.example.\nc.example. 60 IN CNAME b.example.",
	} {
		for _, follows := range []bool{true, false} {
			run(t, zone, func(r *rig) {
				for _, s := range []*testdns.Server{r.first, r.second} {
					lies(s, func(m *dns.Msg) {
						m.Rcode = dns.RcodeSuccess
						if !follows {
							m.Answer = m.Answer[:1]
						}
					})
				}
				r.fails(q, "aliases")
				if asked := r.first.Asked(); len(asked) > 4 {
					t.Errorf("asked %q", asked)
				}
			})
		}
	}
}

// Records that lead to nowhere are not "there are none", which would send the
// request to a place that the domain did not name.
func TestRecordsOfNoUse(t *testing.T) {
	run(t, "_sip._udp.x.example. 60 IN SRV 0 0 0 host.example.\nx.example. 60 IN A 192.0.2.1", func(r *rig) {
		r.fails(Query{Host: "x.example", Transport: "udp"}, "none of the SRV of _sip._udp.x.example records can be used")
	})
	for _, addr := range []string{"0.0.0.0", "255.255.255.255", "224.0.1.75"} {
		run(t, "host.example. 60 IN A "+addr+"\nhost.example. 60 IN A 192.0.2.1", func(r *rig) { r.want(hostQuery, hostTarget) })
		run(t, "host.example. 60 IN A "+addr, func(r *rig) { r.fails(hostQuery, "can be used") })
	}
	for _, addr := range []string{"::", "ff02::1", "::ffff:192.0.2.1"} {
		run(t, "host.example. 60 IN AAAA "+addr, func(r *rig) {
			r.fails(Query{Host: "host.example", Port: 1, Family: IPv6}, "can be used")
		})
	}
}

// No target comes twice, whatever the records say.
func TestNoTargetTwice(t *testing.T) {
	zone := `_sip._udp.x.example. 60 IN SRV 0 0 5060 a.example.
_sip._udp.x.example. 60 IN SRV 1 0 5060 b.example.
_sip._udp.x.example. 60 IN SRV 2 0 5070 b.example.
a.example. 60 IN A 192.0.2.1
a.example. 60 IN A 192.0.2.1
b.example. 60 IN CNAME a.example.`
	run(t, zone, func(r *rig) {
		r.want(Query{Host: "x.example", Transport: "udp"}, "udp 192.0.2.1:5060", "udp 192.0.2.1:5070")
	})
}

// Servers of the machine's own file, read again when it changes, serve when the
// Resolver has none.
func TestServersOfTheSystem(t *testing.T) {
	got := readConf("testdata/resolv.conf")
	want := []netip.AddrPort{firstServer, netip.MustParseAddrPort("[2001:db8::53]:53"), secondServer}
	if !slices.Equal(got.servers, want) || got.timeout != 3*time.Second || got.attempts != 4 {
		t.Errorf("got %+v", got)
	}
	run(t, oneHost, func(r *rig) {
		r.Servers, r.system.confPath = nil, "testdata/resolv.conf"
		r.want(hostQuery, hostTarget)
		r.asked("A host.example")
	})
}

func TestCounts(t *testing.T) {
	run(t, oneHost, func(r *rig) {
		var counts Counts
		r.Counts = &counts
		want := func(want map[Outcome]uint64) {
			t.Helper()
			for o, n := range counts.All() {
				if n != want[o] {
					t.Errorf("%v: %d, want %d", o, n, want[o])
				}
			}
		}
		r.first.Slow(time.Millisecond)
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() { r.want(hostQuery, hostTarget) })
		}
		all.Wait()
		want(map[Outcome]uint64{Answered: 1, Shared: 2})
		r.want(hostQuery, hostTarget)
		r.Walk(hostQuery).Known()
		want(map[Outcome]uint64{Answered: 1, Shared: 2, Cached: 2})
		r.all(Query{Host: "gone.example", Port: 1})
		want(map[Outcome]uint64{Answered: 1, Shared: 2, Cached: 2, Empty: 2})
		r.first.Silent()
		r.second.Silent()
		time.Sleep(time.Minute)
		r.want(hostQuery, hostTarget)
		r.all(Query{Host: "other.example", Port: 1, Family: IPv4})
		want(map[Outcome]uint64{Answered: 1, Shared: 2, Cached: 2, Empty: 2, Stale: 1, Failed: 1})
	})
}
