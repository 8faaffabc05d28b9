package trust_test

import (
	"crypto/x509"
	"testing"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/testca"
	"github.com/sallyport-sip/sallyport/internal/trust"
)

// A CA that may only speak for some domains speaks for no others by a sip: URI, of which nobody can say whether a
// constraint holds, nor by a common name, to which crypto/x509 applies none.
func TestConstrainedCAsSpeakForTheirDomainsOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.policies(config.Policy{CommonName: true}, config.Policy{CommonName: true})
	set := w.load()
	permits := func(domains ...string) *testca.CA {
		return w.root.Intermediate("Permitted", testca.Template(func(c *x509.Certificate) { c.PermittedDNSDomains = domains }))
	}
	excludes := w.root.Intermediate("Excluded", testca.Template(func(c *x509.Certificate) { c.ExcludedDNSDomains = []string{"acme.example"} }))
	below := permits("other.example").Intermediate("Below")
	sip, cn := testca.URI("sip:acme.example"), testca.CommonNameOnly()
	for _, tt := range []struct {
		name string
		leaf *testca.Leaf
		want trust.Code
	}{
		{"URI, permitted", permits("acme.example").Leaf("gw", sip), trust.NameConstraint},
		{"URI, no constraint", w.root.Intermediate("Any").Leaf("gw", sip), ""},
		{"URI, another permitted", permits("other.example").Leaf("gw", sip), trust.NameConstraint},
		{"URI, excluded", excludes.Leaf("gw", sip), trust.NameConstraint},
		{"URI, of a CA below", below.Leaf("gw", sip), trust.NameConstraint},
		{"CN, permitted", permits("acme.example").Leaf("acme.example", cn), trust.NameConstraint},
		{"CN, no constraint", w.root.Intermediate("Any").Leaf("acme.example", cn), ""},
		{"CN, another permitted", permits("other.example").Leaf("acme.example", cn), trust.NameConstraint},
		{"CN, excluded", excludes.Leaf("acme.example", cn), trust.NameConstraint},
		{"DNS, permitted", permits("acme.example").Leaf("acme.example"), ""},
		{"DNS, another permitted", permits("other.example").Leaf("acme.example"), trust.NameConstraint},
	} {
		for _, as := range []trust.Role{trust.Server, trust.Client} {
			_, err := set.VerifyPeer("acme", tt.leaf.Chain, as)
			checkCode(t, tt.name+", "+as.String(), err, tt.want)
		}
	}
}
