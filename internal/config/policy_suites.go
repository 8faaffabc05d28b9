package config

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
)

// CipherSuite is a cipher suite of TLS up to 1.2, by its IANA name.
type CipherSuite string

// grade says how good a cipher suite is.
type grade uint8

const (
	modern grade = iota + 1 // ECDHE and an AEAD
	weak                    // CBC or RSA key exchange: legacy has it
	worst                   // 3DES: legacy has it when it is named
	never                   // RC4 (RFC 7465)
	of13                    // of TLS 1.3, where nothing can be chosen
)

// knownSuite is a cipher suite that crypto/tls knows.
type knownSuite struct {
	name  string
	id    uint16
	grade grade
	only  bool // of TLS 1.2 alone, not of 1.1 and 1.0
}

// suites are all that crypto/tls knows, the good ones first.
var suites = func() (list []knownSuite) {
	for _, s := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		one := knownSuite{name: s.Name, id: s.ID, only: !slices.Contains(s.SupportedVersions, tls.VersionTLS11)}
		switch {
		case !slices.Contains(s.SupportedVersions, tls.VersionTLS12):
			one.grade = of13
		case strings.Contains(s.Name, "RC4"):
			one.grade = never
		case strings.Contains(s.Name, "3DES"):
			one.grade = worst
		case strings.Contains(s.Name, "CBC") || strings.HasPrefix(s.Name, "TLS_RSA_"):
			one.grade = weak
		default:
			one.grade = modern
		}
		list = append(list, one)
	}
	slices.SortStableFunc(list, func(a, b knownSuite) int { return int(a.grade) - int(b.grade) })
	return list
}()

func suiteOf(name string) (knownSuite, bool) {
	i := slices.IndexFunc(suites, func(s knownSuite) bool { return s.name == name })
	if i < 0 {
		return knownSuite{}, false
	}
	return suites[i], true
}

func (s *CipherSuite) set(text string) *fault {
	found, ok := suiteOf(text)
	switch {
	case !ok:
		return &fault{why: "crypto/tls has no suite of that IANA name", remedy: suggestSuite(text)}
	case found.grade == of13:
		return &fault{why: "it is of TLS 1.3, whose suites crypto/tls fixes: all of them are on, and good", remedy: "remove it; the list is for TLS 1.2"}
	case found.grade == never:
		return &fault{why: "RC4 is broken, and RFC 7465 forbids it everywhere", remedy: "write " + quote(better(text))}
	}
	*s = CipherSuite(text)
	return nil
}

// better returns a good suite that fits the same certificate.
func better(name string) string {
	if strings.Contains(name, "ECDSA") {
		return "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"
	}
	return "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
}

// suggestSuite also knows the names that OpenSSL has.
func suggestSuite(text string) string {
	short := squeeze(text)
	for _, try := range []string{short, short + "SHA256", "RSA" + short} {
		for _, s := range suites {
			if squeeze(s.name) == try && s.grade < never {
				return "did you mean " + quote(s.name) + "?"
			}
		}
	}
	var known []string
	for _, s := range suites {
		if s.grade < never {
			known = append(known, s.name)
		}
	}
	return suggest(text, known, "write one such as "+quote(better(text)))
}

// squeeze leaves of a suite's name what the names of IANA and of OpenSSL have in
// common.
func squeeze(name string) string {
	name = strings.ToUpper(name)
	for _, part := range []string{"TLS_", "WITH_", "CBC", "_", "-"} {
		name = strings.ReplaceAll(name, part, "")
	}
	return name
}

// WeakTLS says whether only a legacy policy allows what a handshake settled.
func WeakTLS(version, suite uint16) bool {
	if version < tls.VersionTLS12 {
		return true
	}
	i := slices.IndexFunc(suites, func(s knownSuite) bool { return s.id == suite })
	return i >= 0 && suites[i].grade != modern && suites[i].grade != of13
}

// CipherSuites returns the numbers of the suites that the policy has for TLS 1.2
// and below.
func (p *Policy) CipherSuites() []uint16 {
	var ids []uint16
	for _, s := range p.suites() {
		ids = append(ids, s.id)
	}
	return ids
}

func (p *Policy) suites() []knownSuite {
	var list []knownSuite
	for _, s := range suites {
		switch {
		case p.Suites != nil && slices.Contains(p.Suites, CipherSuite(s.name)),
			p.Suites == nil && s.grade == modern, p.Suites == nil && s.grade == weak && p.Legacy:
			list = append(list, s)
		}
	}
	return list
}

func (p *Policy) checkSuites(r *report, label string) {
	if !p.Has("suites") || p.Broken("suites") {
		return
	}
	if !p.speaks(TLS12) && p.MinVersion > TLS12 {
		r.add(p.At("suites"), fmt.Sprintf("%s: \"suites\" does nothing with min_version %s", label, p.MinVersion),
			"TLS 1.3 has suites of its own, which cannot be chosen", "remove the key")
		return
	}
	bad := false
	names := make([]string, len(p.Suites))
	for i, name := range p.Suites {
		names[i] = string(name)
		if s, _ := suiteOf(names[i]); s.grade > modern && !p.Legacy {
			r.add(p.AtItem("suites", i), fmt.Sprintf("%s: suite %q is only for a legacy policy", label, name), s.flaw(),
				fmt.Sprintf("write %q; or set legacy: true, for one old listener or peer", better(names[i])))
			bad = true
		}
	}
	checkTwice(r, label, "suites", p.Place, names)
	for _, v := range versions {
		if bad || !p.speaks(v.name) || v.name > TLS12 {
			continue
		}
		if !slices.ContainsFunc(p.suites(), func(s knownSuite) bool { return !s.only || v.name == TLS12 }) {
			r.add(p.At("suites"), fmt.Sprintf("%s: none of \"suites\" is of TLS %s", label, v.name),
				fmt.Sprintf("with min_version %s it is spoken, and no handshake could succeed", p.MinVersion), "name one of that version, or raise min_version")
			return
		}
	}
}

// flaw says what is wrong with a suite.
func (s knownSuite) flaw() string {
	switch {
	case s.grade == worst:
		return "3DES has blocks so short that long connections give their content away (RFC 9325 §4.1)"
	case strings.HasPrefix(s.name, "TLS_RSA_"):
		return "with RSA key exchange, whoever gets our key can read all that was ever recorded (RFC 9325 §4.1)"
	}
	return "CBC suites have fallen to one attack after the other (RFC 7457 §2)"
}

// Group is a group of the key exchange, by one of its names.
type Group string

// group is a group that crypto/tls knows. Its first name is the one that people
// write, the others are accepted too.
type group struct {
	names  []string
	id     tls.CurveID
	only13 bool
}

var groups = []group{
	{[]string{"X25519MLKEM768"}, tls.X25519MLKEM768, true},
	{[]string{"SecP256r1MLKEM768"}, tls.SecP256r1MLKEM768, true},
	{[]string{"SecP384r1MLKEM1024"}, tls.SecP384r1MLKEM1024, true},
	{[]string{"X25519"}, tls.X25519, false},
	{[]string{"P-256", "secp256r1", "prime256v1", "P256"}, tls.CurveP256, false},
	{[]string{"P-384", "secp384r1", "P384"}, tls.CurveP384, false},
	{[]string{"P-521", "secp521r1", "P521"}, tls.CurveP521, false},
}

func (g *Group) set(text string) *fault {
	var known []string
	for _, one := range groups {
		if slices.ContainsFunc(one.names, func(n string) bool { return strings.EqualFold(n, text) }) {
			*g = Group(one.names[0])
			return nil
		}
		known = append(known, one.names[0])
	}
	return &fault{why: "it is one of " + list(known, "or"), remedy: suggest(text, known, "choose one")}
}

// Curves returns the groups as crypto/tls has them, nil for all.
func (p *Policy) Curves() []tls.CurveID {
	var ids []tls.CurveID
	for _, g := range groups {
		if slices.Contains(p.Groups, Group(g.names[0])) {
			ids = append(ids, g.id)
		}
	}
	return ids
}

// GroupName returns the name that the key groups has for a group.
func GroupName(id tls.CurveID) string {
	for _, g := range groups {
		if g.id == id {
			return g.names[0]
		}
	}
	return id.String()
}

func (p *Policy) checkGroups(r *report, label string) {
	if !p.Has("groups") || p.Broken("groups") {
		return
	}
	if len(p.Groups) == 0 {
		r.add(p.At("groups"), label+`: "groups" is an empty list`, "no key could be exchanged", "name one, or leave the key out")
		return
	}
	names, old := make([]string, len(p.Groups)), false
	for i, name := range p.Groups {
		names[i] = string(name)
		j := slices.IndexFunc(groups, func(g group) bool { return g.names[0] == names[i] })
		if old = old || !groups[j].only13; groups[j].only13 && p.MaxVersion < TLS13 {
			r.add(p.AtItem("groups", i), fmt.Sprintf("%s: group %q does nothing with max_version %s", label, name, p.MaxVersion),
				"it is of TLS 1.3", "remove it, or raise max_version")
		}
	}
	checkTwice(r, label, "groups", p.Place, names)
	rsa := slices.ContainsFunc(p.suites(), func(s knownSuite) bool { return strings.HasPrefix(s.name, "TLS_RSA_") })
	if !old && !rsa && p.MinVersion < TLS13 && p.MaxVersion == TLS13 {
		r.add(p.At("groups"), fmt.Sprintf("%s: none of \"groups\" is of TLS 1.2", label),
			fmt.Sprintf("with min_version %s it is spoken, and no handshake in it could succeed", p.MinVersion), "name one such as X25519 too, or set min_version: 1.3")
	}
}
