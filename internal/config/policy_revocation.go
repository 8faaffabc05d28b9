package config

import (
	"fmt"
	"net/url"
)

// Revocation says what it means that a certificate may have been revoked.
type Revocation string

// The values of revocation.
const (
	RevocationOff  Revocation = "off"
	RevocationSoft Revocation = "soft"
	RevocationHard Revocation = "hard"
)

func (v *Revocation) set(text string) *fault {
	return setWord(v, text, RevocationOff, RevocationSoft, RevocationHard)
}

// OCSP says where answers of OCSP responders come from.
type OCSP string

// The values of ocsp.
const (
	OCSPStapled OCSP = "stapled"
	OCSPFetch   OCSP = "fetch"
)

func (v *OCSP) set(text string) *fault { return setWord(v, text, OCSPStapled, OCSPFetch) }

// ResponderURL is where an OCSP responder is asked.
type ResponderURL string

func (v *ResponderURL) set(text string) *fault {
	const remedy = "write it as http://ocsp.example/path"
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "":
		return &fault{why: "it is no URL", remedy: remedy}
	case u.Scheme != "http" && u.Scheme != "https":
		return &fault{why: "OCSP is spoken over http or https", remedy: remedy}
	case u.User != nil:
		return &fault{why: "a responder asks for no user", remedy: remedy, secret: true}
	}
	*v = ResponderURL(text)
	return nil
}

func (p *Policy) completeRevocation() {
	if p.Revocation == "" {
		p.Revocation = RevocationSoft
	}
	if p.OCSP == "" {
		p.OCSP = OCSPStapled
	}
}

// checkRevocation reports keys that would do nothing.
func checkRevocation(p *Policy, r *report) {
	if p.Revocation == RevocationOff && p.Has("ocsp") {
		r.add(p.At("ocsp"), fmt.Sprintf("policy %q: %q has no effect", p.Name, "ocsp"), "revocation is off",
			"set revocation to soft or hard, or remove the key")
	}
	if p.OCSPResponder != "" && p.OCSP != OCSPFetch {
		r.add(p.At("ocsp_responder"), fmt.Sprintf("policy %q: %q has no effect", p.Name, "ocsp_responder"), "no responder is asked",
			"set ocsp: fetch, or remove the key")
	}
}
