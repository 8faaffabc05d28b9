package trust

import (
	"crypto/x509"
	"fmt"
	"slices"
)

// depth keeps the chains that are short enough, shortest first.
func (v *verification) depth() *Refusal {
	most := int(v.Rules.ChainDepth)
	slices.SortStableFunc(v.chains, func(a, b []*x509.Certificate) int { return len(a) - len(b) })
	if n := intermediates(v.chains[0]); n > most {
		w := v.words(v.certs[0])
		w.detail = fmt.Sprintf("it has %d intermediates, and chain_depth allows %d", n, most)
		return w.refusal(ChainTooDeep, nil)
	}
	v.chains = slices.DeleteFunc(v.chains, func(c []*x509.Certificate) bool { return intermediates(c) > most })
	return nil
}

// intermediates counts what stands between leaf and anchor.
func intermediates(chain []*x509.Certificate) int { return max(0, len(chain)-2) }
