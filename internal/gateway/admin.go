package gateway

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/guard"
	"github.com/sallyport-sip/sallyport/internal/trust"
)

// Admin is what guards the API. A reload reads it again.
type Admin struct {
	Certificate *tls.Certificate // nil: clear HTTP
	NeedsToken  bool
	Token       guard.Token
}

// Names says for whom the certificate is, as x509.Certificate.VerifyHostname
// judges it.
func (a Admin) Names(host string) bool {
	return a.Certificate != nil && a.leaf().VerifyHostname(host) == nil
}

func (a Admin) leaf() *x509.Certificate { return a.Certificate.Leaf }

// Admin returns what guards the API now.
func (g *Gateway) Admin() Admin { return g.snapshot.Load().admin }

// loadAdmin reads what guards the API. set is nil when the certificates have
// problems, which are reported.
func loadAdmin(cfg *config.Config, set *trust.Set) (a Admin, problems []config.Problem) {
	in := &cfg.Admin
	if in.Identity != "" && set != nil {
		if id := set.Identity(in.Identity); id != nil {
			a.Certificate = id.Certificate()
		}
	}
	if in.TokenFile == "" {
		return a, nil
	}
	var err error
	a.NeedsToken = true
	if a.Token, err = guard.ReadToken(in.TokenFile); err == nil {
		return a, nil
	}
	what, why, remedy := err.Error(), "", ""
	if bad, ok := errors.AsType[*guard.TokenError](err); ok {
		what, why, remedy = bad.What, bad.Why, bad.Remedy
	}
	return a, []config.Problem{cfg.Problem(in.At("token_file"), fmt.Sprintf("admin: token_file %q: %s", in.TokenFile, what), why, remedy)}
}
