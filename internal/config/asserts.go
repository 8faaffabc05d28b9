package config

import (
	"fmt"
	"strings"
)

// Asserts is who a peer may say that its requests are from. TLS proves who is at the
// other end of a hop and nothing about what a message says.
type Asserts struct {
	Place

	// The domains, or addresses, that may stand in what the peer claims. A subdomain
	// is another domain. Without this key a telephone number is judged by `numbers`
	// alone, and nothing else may be claimed.
	Domains []string `yaml:"domains" form:"list of domain names and addresses"`

	// The telephone numbers that the peer may claim: whole ones, or the beginning
	// with a `*` behind it. A number is that of a `tel:` URI, and the user of a SIP
	// URI that has `user=phone` or no letter in it; `-`, `.` and brackets in it do
	// not count. Without this key a number is judged by its domain alone, and no `tel:`
	// URI may be claimed.
	Numbers []Number `yaml:"numbers" form:"list of \"number\" or \"beginning*\""`

	// What becomes of another claim in P-Asserted-Identity, Remote-Party-ID, Diversion
	// or a P-DCS header of a request that begins something: `strip` leaves it out,
	// `refuse` answers 403. Inside of dialogs and in responses it is always left out.
	// Another claim in From is always refused with 403. Default: `strip`.
	Otherwise Otherwise `yaml:"otherwise" form:"strip or refuse"`
}

// Otherwise is what becomes of a claim that a peer may not make.
type Otherwise string

// The values of otherwise.
const (
	StripClaim  Otherwise = "strip"
	RefuseClaim Otherwise = "refuse"
)

func (o *Otherwise) set(text string) *fault { return setWord(o, text, StripClaim, RefuseClaim) }

// Claim is a header, or a family of them, that says who somebody is.
type Claim string

// The values of hears.
const (
	ClaimAsserted  Claim = "p-asserted-identity"
	ClaimRemote    Claim = "remote-party-id"
	ClaimDiversion Claim = "diversion"
	ClaimHistory   Claim = "history-info"
	ClaimDCS       Claim = "p-dcs"
)

func (c *Claim) set(text string) *fault {
	return setWord(c, text, ClaimAsserted, ClaimRemote, ClaimDiversion, ClaimHistory, ClaimDCS)
}

func checkPeerClaims(r *report, p *Peer, label string) {
	hears := make([]string, len(p.Hears))
	for i, c := range p.Hears {
		hears[i] = string(c)
	}
	checkTwice(r, label, "hears", p.Place, hears)
	if !p.Has("asserts") || p.Broken("asserts") {
		return
	}
	a := &p.Asserts
	label += ": asserts"
	if len(a.Domains) == 0 && len(a.Numbers) == 0 && !a.Broken("domains") && !a.Broken("numbers") {
		r.add(p.At("asserts"), label+" names neither domains nor numbers", "the peer could begin nothing, because whatever its From said would be refused",
			`write "domains" or "numbers", or leave asserts out to let everything pass with a note`)
	}
	for i, name := range a.Domains {
		what := fmt.Sprintf("%s: bad domain %q", label, name)
		switch f := checkHost(strings.Trim(name, "[]")); {
		case strings.Contains(name, "*"):
			r.add(a.AtItem("domains", i), what, "a domain has no wildcard, and a subdomain is another domain", "write each domain in full")
		case f != nil:
			r.add(a.AtItem("domains", i), what, f.why, "write a domain name such as acme.example, or an address")
		}
	}
	checkTwice(r, label, "domains", a.Place, a.Domains)
	for i, n := range a.Numbers {
		text, _ := n.Split()
		if strings.Trim(text, "+0123456789*#") != "" {
			r.add(a.AtItem("numbers", i), fmt.Sprintf("%s: bad number %q", label, string(n)), "a telephone number has digits, and a + before them",
				`write for instance "+4930*"`)
		}
	}
}
