package trust

import (
	"crypto/x509"
	"encoding/asn1"
	"slices"
	"strings"
)

// sipDomain is id-kp-sipDomain (RFC 5924 §3).
var sipDomain = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 20}

// usages refuses a leaf whose extended key usage forbids the role it is shown in, and keeps the chains on which no CA is
// restricted to other purposes: a CA that may sign for mail alone makes nobody a SIP server.
//
// RFC 5280 §4.2.1.12: "If the extension is present, then the certificate MUST only be used for one of the purposes
// indicated." RFC 5924 §4 lets a certificate for SIP domains stand in both roles.
func (v *verification) usages() *Refusal {
	leaf := v.certs[0]
	if !v.allows(leaf) {
		return v.wrongUsage(leaf)
	}
	if v.Rules.RequireSIPDomain && !forSIP(leaf) {
		w := v.words(leaf)
		w.detail = strings.Join(UsageNames(leaf), ", ")
		return w.refusal(NotForSIP, nil)
	}
	if len(v.chains) == 0 { // of a chain that leads nowhere, the leaf is judged all the same: see Refusals
		return nil
	}
	if bad := v.restrictedCA(v.chains[0]); bad != nil {
		v.chains = slices.DeleteFunc(v.chains, func(chain []*x509.Certificate) bool { return v.restrictedCA(chain) != nil })
		if len(v.chains) == 0 {
			return v.wrongUsage(bad)
		}
	}
	return nil
}

// restrictedCA returns a CA between leaf and anchor that may not stand for the role, nil for none. The anchor is trusted
// as it is.
func (v *verification) restrictedCA(chain []*x509.Certificate) *x509.Certificate {
	for i := 1; i < len(chain)-1; i++ {
		if !v.allows(chain[i]) {
			return chain[i]
		}
	}
	return nil
}

// allows reports whether c may stand for the role, or for that of a server where the policy takes its certificate from
// clients.
func (v *verification) allows(c *x509.Certificate) bool {
	return allows(c, v.role) || v.role == Client && v.Rules.ServerUsage && allows(c, Server)
}

func (v *verification) wrongUsage(c *x509.Certificate) *Refusal {
	w := v.words(c)
	w.detail = strings.Join(UsageNames(c), ", ")
	r := w.refusal(WrongUsage, nil)
	if v.role == Client && allows(c, Server) {
		r.Remedy += "; or, as public CAs issue none of the kind any more, set server_usage: true in the peer's policy"
	}
	return r
}

// forSIP reports whether c may be used for SIP domains by RFC 5924 §4, which leaves it to us whether it may when it says
// nothing of its uses, and whether any use will do: in both cases, as most certificates are such.
func forSIP(c *x509.Certificate) bool {
	return unrestricted(c) || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny) || slices.ContainsFunc(c.UnknownExtKeyUsage, sipDomain.Equal)
}

// unrestricted reports whether c has no extended key usage.
func unrestricted(c *x509.Certificate) bool {
	return len(c.ExtKeyUsage) == 0 && len(c.UnknownExtKeyUsage) == 0
}

func allows(c *x509.Certificate, r Role) bool {
	need := x509.ExtKeyUsageServerAuth
	if r == Client {
		need = x509.ExtKeyUsageClientAuth
	}
	return slices.Contains(c.ExtKeyUsage, need) || forSIP(c)
}

// UsageNames returns the extended key usages of c in the words of RFC 5280 and RFC 5924, others as object identifiers.
// It is empty when c has no such extension and may be used for anything.
func UsageNames(c *x509.Certificate) []string {
	var names []string
	for _, u := range c.ExtKeyUsage {
		switch u {
		case x509.ExtKeyUsageAny:
			names = append(names, "anyExtendedKeyUsage")
		case x509.ExtKeyUsageServerAuth:
			names = append(names, "serverAuth")
		case x509.ExtKeyUsageClientAuth:
			names = append(names, "clientAuth")
		case x509.ExtKeyUsageCodeSigning:
			names = append(names, "codeSigning")
		case x509.ExtKeyUsageEmailProtection:
			names = append(names, "emailProtection")
		case x509.ExtKeyUsageTimeStamping:
			names = append(names, "timeStamping")
		case x509.ExtKeyUsageOCSPSigning:
			names = append(names, "OCSPSigning")
		default:
			names = append(names, u.OID().String())
		}
	}
	for _, id := range c.UnknownExtKeyUsage {
		if id.Equal(sipDomain) {
			names = append(names, "sipDomain")
		} else {
			names = append(names, id.String())
		}
	}
	return names
}
