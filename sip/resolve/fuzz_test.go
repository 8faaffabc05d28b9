package resolve

import (
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// FuzzAnswer reads what a name server may send: any bytes, to a question of each
// type, over UDP and TCP. What is believed stays within its bounds.
func FuzzAnswer(f *testing.F) {
	kinds := []uint16{typeA, typeAAAA, typeSRV, typeNAPTR}
	ask := func(kind uint16) *dns.Msg {
		m := new(dns.Msg).SetQuestion("hOsT.example.", kind)
		m.Id = 0x1234
		return m.SetEdns0(udpSize, false)
	}
	for i, kind := range kinds {
		for _, zone := range []string{
			"", "host.example. 60 IN A 192.0.2.1", "host.example. 0 IN AAAA 2001:db8::1", "host.example. 4294967295 IN SRV 1 2 5060 a.example.",
			`host.example. 60 IN NAPTR 1 2 "s" "SIPS+D2T" "" _sips._tcp.example.`, "host.example. 60 IN CNAME b.example.\nb.example. 60 IN A 192.0.2.1",
			"host.example. 60 IN CNAME host.example.", "host.example. 60 IN SRV 0 0 0 .",
		} {
			m := new(dns.Msg).SetReply(ask(kind))
			for line := range strings.Lines(zone) {
				m.Answer = append(m.Answer, record(line))
			}
			m.Ns = []dns.RR{record("example. 60 IN SOA a. b. 1 2 3 4 5")}
			m.Compress = true
			b, _ := m.Pack()
			f.Add(b, byte(i), true)
			m.Rcode, m.Truncated = dns.RcodeNameError, len(zone)%2 == 0
			b, _ = m.Pack()
			f.Add(b, byte(i), false)
			f.Add(b[:len(b)-len(b)/3], byte(i), true)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, kind byte, udp bool) {
		q := question{"host.example", kinds[int(kind)%len(kinds)]}
		m, err := parse(b, ask(q.kind), udp)
		if err != nil {
			return
		}
		if m.Id != 0x1234 || !m.Response || m.Truncated || m.Rcode == dns.RcodeNameError && len(m.Question) == 0 {
			t.Fatalf("this is taken for an answer: %v", m)
		}
		a, err := read(m, q)
		if err != nil {
			return
		}
		if a.ttl < minTTL || a.ttl > maxTTL || len(a.addrs) > maxRecords || len(a.srvs) > maxRecords || len(a.naptrs) > maxRecords {
			t.Fatalf("out of bounds: %+v", a)
		}
		for _, addr := range a.addrs {
			if addr.Is4() != (q.kind == typeA) || addr.Is6() != (q.kind == typeAAAA) || addr.IsUnspecified() || addr.IsMulticast() {
				t.Fatalf("the address %v for %v", addr, q)
			}
		}
		for _, s := range a.srvs {
			if s.target != "." && (s.port == 0 || checkName(s.target) != nil) {
				t.Fatalf("the record %+v", s)
			}
		}
		for _, n := range a.naptrs {
			if n.replacement != "." && checkName(n.replacement) != nil {
				t.Fatalf("the record %+v", n)
			}
		}
		if a.alias != "" && (checkName(a.alias) != nil || !a.empty()) {
			t.Fatalf("the alias %q with %+v", a.alias, a)
		}
		order(a.srvs, func(n int) int { return n - 1 })
		choose(a.naptrs, protocols)
	})
}
