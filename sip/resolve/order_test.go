package resolve

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Within one priority a target is the first as often as its weight says
// (RFC 2782). The draws are those of a fixed seed, so the counts never change.
func TestWeights(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	const draws = 60000
	records := []srv{{1, 10, 1, "a"}, {1, 60, 1, "b"}, {1, 30, 1, "c"}, {0, 0, 1, "first"}}
	firsts, seconds := map[string]int{}, map[string]int{}
	for range draws {
		got := order(records, rng.IntN)
		if len(got) != 4 || got[0].target != "first" {
			t.Fatalf("got %v", got)
		}
		firsts[got[1].target]++
		if got[1].target == "b" {
			seconds[got[2].target]++
		}
	}
	near := func(what string, n, of int, want float64) {
		t.Helper()
		if got := float64(n) / float64(of); math.Abs(got-want) > 0.01 {
			t.Errorf("%s: %.3f, want %.3f", what, got, want)
		}
	}
	// The draw is from 0 to the sum, both of which count: 101 values for a sum of 100.
	// The first of the list, which has one more, is a.
	near("a first", firsts["a"], draws, 11.0/101)
	near("b first", firsts["b"], draws, 60.0/101)
	near("c first", firsts["c"], draws, 30.0/101)
	near("a after b", seconds["a"], firsts["b"], 11.0/41)

	// Weight 0 has "a very small chance of being selected" beside others.
	firsts = map[string]int{}
	for range draws {
		firsts[order([]srv{{1, 9, 1, "some"}, {1, 0, 1, "none"}}, rng.IntN)[0].target]++
	}
	near("weight 0", firsts["none"], draws, 0.1)
	for draw, want := range map[int]string{0: "none", 1: "some", 9: "some"} {
		if got := order([]srv{{1, 9, 1, "some"}, {1, 0, 1, "none"}}, func(n int) int { return min(draw, n-1) }); got[0].target != want {
			t.Errorf("a draw of %d has %s first", draw, got[0].target)
		}
	}
	// The greatest weights do not overflow.
	many := make([]srv, maxRecords)
	for i := range many {
		many[i] = srv{1, math.MaxUint16, 1, fmt.Sprint(i)}
	}
	if got := order(many, func(n int) int { return n - 1 }); len(got) != maxRecords || got[0].target != "63" {
		t.Errorf("got %v first", got[0])
	}
}

// Whatever records there are, targets come by NAPTR order and preference, then
// SRV priority, each once, all with the transport of the first.
func TestOrderOfAnyRecords(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var naptrs []naptr
		var zone []string
		services := []string{"SIP+D2U", "SIP+D2T", "SIPS+D2T", "SIP+D2S", "x"}
		for i := range rapid.IntRange(0, 6).Draw(rt, "naptrs") {
			n := naptr{
				uint16(rapid.IntRange(0, 2).Draw(rt, "order")), uint16(rapid.IntRange(0, 2).Draw(rt, "preference")), "s",
				rapid.SampledFrom(services).Draw(rt, "service"), false, fmt.Sprintf("n%d.example", i),
			}
			naptrs = append(naptrs, n)
			zone = append(zone, fmt.Sprintf(`x.example. 60 IN NAPTR %d %d "%s" "%s" "" %s.`, n.order, n.preference, n.flags, n.service, n.replacement))
		}
		names := []string{"_sip._udp.x.example", "_sip._tcp.x.example", "_sips._tcp.x.example"}
		for _, n := range naptrs {
			names = append(names, n.replacement)
		}
		srvs := map[string]map[netip.AddrPort]int{} // the least priority
		for _, name := range names {
			for range rapid.IntRange(0, 5).Draw(rt, "srvs") {
				priority, host := rapid.IntRange(0, 2).Draw(rt, "priority"), rapid.IntRange(1, 4).Draw(rt, "host")
				port := rapid.IntRange(5060, 5061).Draw(rt, "port")
				zone = append(zone, fmt.Sprintf("%s. 60 IN SRV %d %d %d h%d.example.", name, priority, rapid.IntRange(0, 3).Draw(rt, "weight"), port, host))
				to := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(host)}), uint16(port))
				if srvs[name] == nil {
					srvs[name] = map[netip.AddrPort]int{}
				}
				if before, ok := srvs[name][to]; !ok || priority < before {
					srvs[name][to] = priority
				}
			}
		}
		for i := 1; i < 5; i++ {
			zone = append(zone, fmt.Sprintf("h%d.example. 60 IN A 192.0.2.%d", i, i))
		}
		zone = append(zone, "x.example. 60 IN A 192.0.2.9")
		supported := rapid.SampledFrom([][]string{{"udp"}, {"tcp"}, {"tls"}, {"udp", "tcp"}, {"tls", "tcp", "udp"}}).Draw(rt, "supported")
		draw := rapid.Uint64().Draw(rt, "seed")
		run(t, strings.Join(zone, "\n"), func(r *rig) {
			r.IntN = rand.New(rand.NewPCG(draw, 0)).IntN
			w := r.Walk(Query{Host: "x.example", Supported: supported, Family: IPv4})
			var got []Target
			for {
				to, err := w.Next(r.Context())
				if err != nil {
					break
				}
				got = append(got, to)
			}
			transport, name := oracle(naptrs, supported, func(name string) bool { return len(srvs[name]) > 0 })
			if name == "" {
				if len(got) != 1 || got[0].Transport != transport || got[0].Addr.Addr().String() != "192.0.2.9" {
					rt.Fatalf("got %v, want the name itself over %s", got, transport)
				}
				return
			}
			if len(got) != len(srvs[name]) {
				rt.Fatalf("got %d targets, want the %d of %s: %v", len(got), len(srvs[name]), name, got)
			}
			seen, last := map[netip.AddrPort]bool{}, 0
			for _, to := range got {
				priority, ok := srvs[name][to.Addr]
				if !ok || seen[to.Addr] || priority < last || to.Transport != transport {
					rt.Fatalf("%v does not belong here: %v of %s over %s", to, got, name, transport)
				}
				seen[to.Addr], last = true, priority
			}
		})
	})
}

// oracle chooses the transport and the SRV records in another way than the code
// does: it looks at all candidates and takes the least. name is empty when there are
// no SRV records.
func oracle(naptrs []naptr, supported []string, there func(string) bool) (transport, name string) {
	service := map[string]string{"udp": "SIP+D2U", "tcp": "SIP+D2T", "tls": "SIPS+D2T"}
	lowest := -1
	for _, n := range naptrs {
		for _, s := range supported {
			if service[s] == n.service && (lowest < 0 || int(n.order) < lowest) {
				lowest = int(n.order)
			}
		}
	}
	if lowest >= 0 {
		least, leastThere := 1<<30, 1<<30
		for i, n := range naptrs {
			for like, s := range supported {
				if service[s] != n.service || int(n.order) != lowest {
					continue
				}
				key := int(n.preference)<<16 | like<<8 | i
				if key < least {
					least = key
					if name == "" {
						transport = s
					}
				}
				if there(n.replacement) && key < leastThere {
					leastThere, transport, name = key, s, n.replacement
				}
			}
		}
		return transport, name
	}
	labels := map[string]string{"udp": "_sip._udp.x.example", "tcp": "_sip._tcp.x.example", "tls": "_sips._tcp.x.example"}
	for _, s := range supported {
		if there(labels[s]) {
			return s, labels[s]
		}
	}
	for _, s := range supported {
		if s == "udp" {
			return s, ""
		}
	}
	return supported[0], ""
}
