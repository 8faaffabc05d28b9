package trust

import (
	"crypto/x509"
	"fmt"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/revocation"
)

// maxCRL bounds a file of CRLs, in bytes: some 200,000 entries.
const maxCRL = 8 << 20

// loadCRLs reads the lists of revoked certificates of one trust, whose own CAs are authorities. A stale one is no problem here: whether nothing is
// known then is for the policy, and an alarm says so.
func (l *loader) loadCRLs(in *config.Trust, authorities []*x509.Certificate) (all []*revocation.CRL) {
	for i, path := range in.CRLs {
		crls, bad := readCRLs(path)
		if bad == nil {
			bad = forged(crls, authorities)
		}
		if bad != nil {
			what := fmt.Sprintf("trust %q: CRL %q: %s", in.Name, path, bad.what)
			l.problems = append(l.problems, l.cfg.Problem(in.AtItem("crls", i), what, bad.why, bad.remedy))
			continue
		}
		all = append(all, crls...)
		for _, c := range crls {
			l.set.listed = append(l.set.listed, Listed{Trust: in.Name, File: path, CRL: c})
		}
	}
	return all
}

func readCRLs(path string) ([]*revocation.CRL, *fault) {
	data, bad := readAtMost(path, maxCRL, &fault{"the file is larger than 8 MiB", "", "have the CA divide its list, or ask its OCSP responder (ocsp: fetch)"})
	if bad != nil {
		return nil, bad
	}
	crls, err := revocation.ParseCRLs(path, data)
	if err != nil {
		return nil, &fault{clean(err.Error(), 300), "", "name a complete CRL that the CA has signed"}
	}
	return crls, nil
}

// forged finds a list in the name of a CA of ours that this CA has not signed. Of an intermediate that only peers send
// that shows when one does.
func forged(crls []*revocation.CRL, authorities []*x509.Certificate) *fault {
	for _, c := range crls {
		if issuer := c.Foreign(authorities); issuer != nil {
			return &fault{fmt.Sprintf("it has the name of %s, and is not signed by it, or it may not sign CRLs", Subject(issuer)),
				"the CA has another key now, or somebody else has made the list", "get the list from the CA again"}
		}
	}
	return nil
}
