package trust_test

import (
	"crypto/x509"
	"strings"
	"testing"

	"github.com/sallyport-sip/sallyport/internal/testca"
	"github.com/sallyport-sip/sallyport/internal/trust"
)

// Two authorities with one key are two authorities: an issuer is found by its name first, which also spares a heap of
// authorities the signature of each by each.
func TestArrangeFindsIssuersByName(t *testing.T) {
	t.Parallel()
	one := testca.New("One")
	two := testca.New("Two", testca.Key(one.Key))
	for _, other := range []*testca.CA{two, testca.New("One", testca.Key(one.Key))} { // the last is its renewal
		_, err := trust.Arrange([]*x509.Certificate{one.Cert, other.Cert}, nil)
		if err == nil || !strings.Contains(err.Error(), "there are 2 certificates to choose from, CN=One, "+trust.Subject(other.Cert)) {
			t.Error(err)
		}
	}
	sub := one.Intermediate("Sub")
	b, err := trust.Arrange([]*x509.Certificate{one.Cert, sub.Cert}, nil)
	if err != nil || b.Root != one.Cert || len(b.Chain) != 1 || b.Chain[0] != sub.Cert {
		t.Error(b, err)
	}
}
