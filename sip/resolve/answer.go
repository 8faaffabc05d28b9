package resolve

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// The types of records.
const (
	typeA     = dns.TypeA
	typeAAAA  = dns.TypeAAAA
	typeSRV   = dns.TypeSRV
	typeNAPTR = dns.TypeNAPTR
)

func kindName(kind uint16) string { return dns.TypeToString[kind] }

func kindsOf(f Family) []uint16 {
	switch f {
	case IPv4:
		return []uint16{typeA}
	case IPv6:
		return []uint16{typeAAAA}
	}
	return []uint16{typeAAAA, typeA}
}

func ofKind(addrs []netip.Addr, kind uint16) (out []netip.Addr) {
	for _, a := range addrs {
		if a.Is4() == (kind == typeA) {
			out = append(out, a)
		}
	}
	return out
}

// Bounds of one answer, whatever the server sends.
const (
	maxAliases = 8
	maxRecords = 64 // of a kind, the best ones of SRV and NAPTR
)

// answer is what a server said to one question. It does not change.
type answer struct {
	addrs  []netip.Addr
	srvs   []srv
	naptrs []naptr
	alias  string // the name to ask for instead
	ttl    time.Duration
}

// errOther says that a message is no answer to our question.
var errOther = errors.New("it answers another question")

// checkName says why a name cannot be asked for.
func checkName(name string) error {
	if n, ok := dns.IsDomainName(name); !ok || n < 1 || len(name) > 253 || strings.ContainsAny(name, "\\\"() \t\r\n\x00") || name == "." {
		return fmt.Errorf("%q is no domain name", name)
	}
	return nil
}

// plain is a name as questions have it.
func plain(name string) string {
	if name == "." {
		return name
	}
	return strings.ToLower(strings.TrimSuffix(name, "."))
}

// parse reads the bytes from a server and sees that they answer our question:
// the identifier and the question are those that we sent. Over UDP the case of the
// letters has to be, too.
func parse(b []byte, ask *dns.Msg, udp bool) (*dns.Msg, error) {
	m := new(dns.Msg)
	broken := m.Unpack(b)
	if m.Id != ask.Id || !m.Response || m.Opcode != dns.OpcodeQuery {
		return nil, errOther
	}
	// Some leave the question out where they do not understand it. Who only guessed
	// the identifier could claim so that there are no records, hence not with NXDOMAIN.
	short := len(m.Question) == 0 && m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError
	if !short {
		if len(m.Question) != 1 {
			return nil, errOther
		}
		got, want := m.Question[0], ask.Question[0]
		if got.Qtype != want.Qtype || got.Qclass != want.Qclass || !strings.EqualFold(got.Name, want.Name) {
			return nil, errOther
		}
		if udp && got.Name != want.Name {
			return nil, errCase
		}
	}
	switch {
	case m.Truncated && udp:
		return nil, errTruncated
	case m.Truncated:
		return nil, errors.New("the answer is truncated over TCP too")
	case (m.Rcode == dns.RcodeFormatError || m.Rcode == dns.RcodeNotImplemented || m.Rcode == dns.RcodeBadVers) && ask.IsEdns0() != nil:
		return nil, errFormat
	case broken != nil:
		return nil, fmt.Errorf("malformed answer: %w", broken)
	}
	return m, nil
}

// read takes from an answer what its question asked for, by way of the aliases
// in it. Everything else is not looked at.
func read(m *dns.Msg, q question) (answer, error) {
	if m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError {
		return answer{}, fmt.Errorf("it answers %s", cmp.Or(dns.RcodeToString[m.Rcode], fmt.Sprint("with code ", m.Rcode)))
	}
	if lame(m) {
		return answer{}, errors.New("it refers to other servers, and does not ask them")
	}
	a, at, ttl, bad := answer{}, q.name, maxTTL, 0
	been := map[string]bool{at: true}
	for range maxAliases {
		alias := ""
		for _, rr := range m.Answer {
			h := rr.Header()
			if h.Class != dns.ClassINET || plain(h.Name) != at {
				continue
			}
			if c, ok := rr.(*dns.CNAME); ok {
				alias = plain(c.Target)
			} else if h.Rrtype != q.kind {
				continue
			} else if !a.record(rr) {
				bad++
				continue
			}
			ttl = min(ttl, time.Duration(h.Ttl)*time.Second)
		}
		if !a.empty() || alias == "" {
			break
		}
		if been[alias] {
			return answer{}, fmt.Errorf("its aliases of %s are a loop", q.name)
		}
		at, been[alias] = alias, true
	}
	if bad > 0 && a.empty() { // "there are none" would lead elsewhere, which the domain did not say
		return answer{}, fmt.Errorf("none of the %v records can be used", q)
	}
	if !a.empty() {
		a.bound()
		a.ttl = max(ttl, minTTL)
		return a, nil
	}
	if at != q.name && m.Rcode == dns.RcodeSuccess && soaOf(m, at) == nil {
		if checkName(at) != nil {
			return answer{}, fmt.Errorf("its alias %q is no domain name", at)
		}
		return answer{alias: at, ttl: max(ttl, minTTL)}, nil // the server did not follow it
	}
	return answer{ttl: max(min(negativeTTL(m, at), ttl), minTTL)}, nil
}

// lame says that a server knows nothing and does not look: it sends us to
// others (RFC 1035 §4.3.1).
func lame(m *dns.Msg) bool {
	return m.Rcode == dns.RcodeSuccess && len(m.Answer) == 0 && !m.Authoritative && !m.RecursionAvailable &&
		slices.ContainsFunc(m.Ns, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeNS })
}

// soaOf returns the SOA record of the zone that a name is in.
func soaOf(m *dns.Msg, name string) *dns.SOA {
	for _, rr := range m.Ns {
		if soa, ok := rr.(*dns.SOA); ok && soa.Hdr.Class == dns.ClassINET && dns.IsSubDomain(soa.Hdr.Name, dns.Fqdn(name)) {
			return soa
		}
	}
	return nil
}

// negativeTTL is for how long there is no such record: the lesser of the SOA's
// TTL and its MINIMUM (RFC 2308 §5); 0 when it does not say.
func negativeTTL(m *dns.Msg, name string) time.Duration {
	soa := soaOf(m, name)
	if soa == nil {
		return 0
	}
	return min(time.Duration(min(soa.Hdr.Ttl, soa.Minttl))*time.Second, maxNegative)
}

func (a *answer) empty() bool { return len(a.addrs)+len(a.srvs)+len(a.naptrs) == 0 }

// record takes a record and says whether it is one that can be used.
func (a *answer) record(rr dns.RR) bool {
	switch rr := rr.(type) {
	case *dns.A:
		addr, ok := netip.AddrFromSlice(rr.A)
		return ok && a.add(addr.Unmap())
	case *dns.AAAA:
		addr, ok := netip.AddrFromSlice(rr.AAAA)
		return ok && !addr.Is4In6() && a.add(addr)
	case *dns.SRV:
		s := srv{rr.Priority, rr.Weight, rr.Port, plain(rr.Target)}
		if s.target != "." && (s.port == 0 || checkName(s.target) != nil) {
			return false
		}
		a.srvs = append(a.srvs, s)
	case *dns.NAPTR:
		n := naptr{rr.Order, rr.Preference, rr.Flags, rr.Service, rr.Regexp != "", plain(rr.Replacement)}
		if n.replacement != "." && checkName(n.replacement) != nil {
			return true // it is for something else than SIP
		}
		a.naptrs = append(a.naptrs, n)
	default:
		return false
	}
	return true
}

// add takes an address that a host can have. 0.0.0.0 would be ourselves.
func (a *answer) add(addr netip.Addr) bool {
	if addr.IsUnspecified() || addr.IsMulticast() || addr == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return false
	}
	if len(a.addrs) < maxRecords && !slices.Contains(a.addrs, addr) {
		a.addrs = append(a.addrs, addr)
	}
	return true
}

// bound cuts lists that are too long, behind the best.
func (a *answer) bound() {
	slices.SortStableFunc(a.srvs, func(x, y srv) int { return cmp.Compare(x.priority, y.priority) })
	slices.SortStableFunc(a.naptrs, func(x, y naptr) int { return cmp.Compare(x.order, y.order) })
	a.srvs = a.srvs[:min(len(a.srvs), maxRecords)]
	a.naptrs = a.naptrs[:min(len(a.naptrs), maxRecords)]
}
