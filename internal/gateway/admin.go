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
	NeedsToken  bool             // who reads must bring Token
	Token       guard.Token      // matches nothing when there is none
	Operator    guard.Token      // of who may also act; matches nothing when there is none
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
	a.NeedsToken = in.TokenFile != ""
	for _, t := range []struct {
		key, file string
		into      *guard.Token
	}{{"token_file", in.TokenFile, &a.Token}, {"operator_token_file", in.OperatorTokenFile, &a.Operator}} {
		if t.file == "" {
			continue
		}
		var err error
		if *t.into, err = guard.ReadToken(t.file); err != nil {
			problems = append(problems, tokenProblem(cfg, t.key, t.file, err))
		}
	}
	if len(problems) == 0 && a.Operator != (guard.Token{}) && a.Operator == a.Token {
		problems = append(problems, cfg.Problem(in.At("operator_token_file"), "admin: the operator's token is that of readers",
			"whoever may look could act as well", "write another one: openssl rand -hex 32"))
	}
	return a, problems
}

func tokenProblem(cfg *config.Config, key, file string, err error) config.Problem {
	what, why, remedy := err.Error(), "", ""
	if bad, ok := errors.AsType[*guard.TokenError](err); ok {
		what, why, remedy = bad.What, bad.Why, bad.Remedy
	}
	return cfg.Problem(cfg.Admin.At(key), fmt.Sprintf("admin: %s %q: %s", key, file, what), why, remedy)
}
