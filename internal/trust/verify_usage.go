package trust

import (
	"crypto/x509"
	"encoding/asn1"
	"slices"
	"strings"
)

// sipDomain is id-kp-sipDomain (RFC 5924 §3).
var sipDomain = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 20}

// usages refuses a leaf whose extended key usage forbids the role it is shown in.
//
// RFC 5280 §4.2.1.12: "If the extension is present, then the certificate MUST only be used for one of the purposes
// indicated." RFC 5924 §4 lets a certificate for SIP domains stand in both roles.
func (v *verification) usages() *Refusal {
	if leaf := v.certs[0]; !allows(leaf, v.role) {
		w := v.words(leaf)
		w.detail = strings.Join(UsageNames(leaf), ", ")
		return w.refusal(WrongUsage, nil)
	}
	return nil
}

func allows(c *x509.Certificate, r Role) bool {
	if len(c.ExtKeyUsage) == 0 && len(c.UnknownExtKeyUsage) == 0 {
		return true
	}
	need := x509.ExtKeyUsageServerAuth
	if r == Client {
		need = x509.ExtKeyUsageClientAuth
	}
	return slices.Contains(c.ExtKeyUsage, need) || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny) ||
		slices.ContainsFunc(c.UnknownExtKeyUsage, sipDomain.Equal)
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
