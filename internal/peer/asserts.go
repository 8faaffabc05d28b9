package peer

import (
	"net/netip"
	"slices"
	"strings"
	"unicode"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/sip"
)

// Asserts is what a peer may claim about who its requests are from. Immutable.
type Asserts struct {
	Refuse bool // a claim that it may not make is refused, else left out

	domains []string // as canonical has them
	numbers []config.Number
}

func compileAsserts(from *config.Peer) *Asserts {
	if !from.Has("asserts") {
		return nil
	}
	a := &Asserts{Refuse: from.Asserts.Otherwise == config.RefuseClaim, numbers: slices.Clone(from.Asserts.Numbers)}
	for _, name := range from.Asserts.Domains {
		a.domains = append(a.domains, canonical(name))
	}
	return a
}

// canonical is a host in the form in which two are compared: in lower case, without the
// dot of the root, and an address in its shortest form.
func canonical(host string) string {
	host = strings.TrimSuffix(strings.ToLower(strings.Trim(host, "[]")), ".")
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Unmap().String()
	}
	return host
}

// Backs says whether the peer may claim to be who a URI names. A URI that names nobody
// claims nothing: that of an anonymous user (RFC 3323 §4.1.1.3).
func (a *Asserts) Backs(uri sip.URI) bool {
	number, isNumber := numberIn(uri)
	tel := uri.Is("tel")
	if !uri.SIP() && !tel {
		return false
	}
	if !isNumber {
		return Anonymous(uri) || a.domain(uri)
	}
	if len(a.numbers) == 0 {
		return !tel && a.domain(uri)
	}
	matches := slices.ContainsFunc(a.numbers, func(n config.Number) bool {
		text, prefix := n.Split()
		return number == text || prefix && strings.HasPrefix(number, text)
	})
	return matches && (tel || len(a.domains) == 0 || Anonymous(uri) || a.domain(uri))
}

func (a *Asserts) domain(uri sip.URI) bool {
	return slices.Contains(a.domains, canonical(string(uri.Host)))
}

// Anonymous says whether a SIP URI names nobody.
func Anonymous(uri sip.URI) bool {
	return uri.SIP() && strings.EqualFold(string(uri.Host), "anonymous.invalid")
}

// numberIn is the telephone number that a URI names, without visual separators: that of
// a tel URI (RFC 3966), of a SIP URI with user=phone (RFC 3261 §19.1.6), and a user
// without a letter, which whoever sees it would take for one, white space or not.
func numberIn(uri sip.URI) (number string, ok bool) {
	user := string(sip.AppendUnescape(nil, uri.User))
	user, _, _ = strings.Cut(user, ";")
	user = strings.NewReplacer("-", "", ".", "", "(", "", ")", "").Replace(user)
	phone, _ := uri.Params.Get("user")
	if uri.Is("tel") || strings.EqualFold(string(phone), "phone") {
		return user, true
	}
	return user, user != "" && !strings.ContainsFunc(user, unicode.IsLetter)
}

// Names says in words what the peer may claim.
func (a *Asserts) Names() string {
	var parts []string
	if len(a.domains) > 0 {
		parts = append(parts, "domains "+strings.Join(a.domains, ", "))
	}
	if len(a.numbers) > 0 {
		var all []string
		for _, n := range a.numbers {
			all = append(all, string(n))
		}
		parts = append(parts, "numbers "+strings.Join(all, ", "))
	}
	return strings.Join(parts, " and ")
}

// Hears says whether the peer is told a claim of others, and whether also when they want
// privacy: it is trusted with what its hears lists. Without that key it is told, as long
// as nobody wants privacy, all but who is asserted to call: a P-Asserted-Identity that
// comes from us would be taken for our word (RFC 3325 §5).
func (p *Peer) Hears(c config.Claim) (told, trusted bool) {
	if p.Heard == nil {
		return c != config.ClaimAsserted, false
	}
	trusted = slices.Contains(p.Heard, c)
	return trusted, trusted
}

// compileHears keeps apart a key that lists nothing from none.
func compileHears(from *config.Peer) []config.Claim {
	if !from.Has("hears") {
		return nil
	}
	return append([]config.Claim{}, from.Hears...)
}
