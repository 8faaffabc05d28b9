package ua

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"iter"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/domaincert"
	"github.com/sallyport-sip/sallyport/sip/resolve"
	"github.com/sallyport-sip/sallyport/sip/transaction"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// Resolve yields the targets of a SIP URI in the order in which to try them
// (RFC 3263), or one error when there are none. Each is like with its Transport
// and Addr set, and over TLS with a TLS that proves the domain of the URI, whatever
// host of the domain it leads to (RFC 5922 §7.3): when like.TLS has no ServerName
// that is the URI's, by the rules of RFC 5922 §7.2 on top of those of crypto/tls.
//
// What like has is kept to: its Transport if it is set; without TLS no secure
// transport is chosen, and UDP only when the server listens on it. A sips: URI,
// or like.Transport, keep the request from leaving in clear; a sip: URI alone
// goes as the domain wants it. The server's Resolver is asked, and without one the
// system's name servers.
func (srv *Server) Resolve(ctx context.Context, uri string, like Target) iter.Seq2[Target, error] {
	return func(yield func(Target, error) bool) {
		q, err := srv.query(uri, like)
		if err != nil {
			yield(Target{}, err)
			return
		}
		for at, err := range srv.resolver().Targets(ctx, q) {
			to := like
			if err == nil {
				to, err = like.at(at)
			}
			if !yield(to, err) {
				return
			}
		}
	}
}

func (srv *Server) resolver() *resolve.Resolver {
	if srv.Resolver != nil {
		return srv.Resolver
	}
	return &srv.ownResolver
}

// query is what a URI and the wishes of a target ask of the DNS.
func (srv *Server) query(uri string, like Target) (q resolve.Query, err error) {
	u, err := sip.ParseURI([]byte(uri))
	if err != nil {
		return q, fmt.Errorf("ua: URI %s: %w", uri, err)
	}
	if q, err = resolve.ForURI(u); err != nil {
		return q, fmt.Errorf("ua: %w", err)
	}
	q.Supported = srv.supported(like)
	return q, nil
}

// supported are the transports that a target can have, the most wanted first.
func (srv *Server) supported(like Target) []string {
	if like.Transport != 0 {
		return []string{like.Transport.String()}
	}
	var names []string
	if like.TLS != nil {
		names = append(names, transport.TLS.String())
	}
	if srv.endpoint != nil {
		for _, l := range srv.endpoint.Listeners() {
			if l.Transport() == transport.UDP {
				names = append(names, transport.UDP.String())
				break
			}
		}
	}
	return append(names, transport.TCP.String())
}

// at is the target at an address of its domain.
func (to Target) at(found resolve.Target) (Target, error) {
	t, ok := transport.ParseTransport(found.Transport)
	if !ok {
		return to, fmt.Errorf("ua: transport %s is unknown", found.Transport)
	}
	to.Transport, to.Addr = t, found.Addr
	if !t.Secure() {
		to.TLS = nil
		return to, nil
	}
	if to.TLS == nil {
		return to, errors.New("ua: a target over TLS needs a tls.Config that says whom to believe")
	}
	if to.TLS.ServerName == "" {
		if to.Policy == "" {
			to.Policy = fmt.Sprintf("%p", to.TLS)
		}
		to.Policy += " for " + found.Name // connections are shared under one name only
		to.TLS = proving(to.TLS, found.Name)
	}
	return to, nil
}

// proving returns a configuration that takes the certificate of one domain.
func proving(cfg *tls.Config, domain string) *tls.Config {
	verify := cfg.VerifyConnection
	cfg = cfg.Clone()
	cfg.ServerName = domain
	cfg.VerifyConnection = func(st tls.ConnectionState) error {
		if verify != nil {
			if err := verify(st); err != nil {
				return err
			}
		}
		if len(st.PeerCertificates) == 0 {
			return errors.New("the server shows no certificate")
		}
		_, err := domaincert.Match(st.PeerCertificates[0], []string{domain}, domaincert.Options{})
		return err
	}
	return cfg
}

// reach runs f with a target, or when that has no address with those that the
// URI leads to, one after the other, until one does not fail in a way that another
// may make good (RFC 3263 §4.3).
func (srv *Server) reach(ctx context.Context, to Target, uri string, f func(Target) error) error {
	if to.Addr.IsValid() {
		if err := to.fits(uri); err != nil {
			return err
		}
		return f(to)
	}
	if srv.endpoint == nil {
		return errNotStarted
	}
	var last error
	for at, err := range srv.Resolve(ctx, uri, to) {
		if err == nil {
			err = f(at)
		}
		if last = err; err == nil || !elsewhere(err) || ctx.Err() != nil {
			break
		}
	}
	return last
}

var errNotStarted = errors.New("ua: the server was not started: call Start first")

// errUnavailable is a 503 that Send got.
var errUnavailable = errors.New("ua: answered 503")

// unreached is the error of a connection that could not be made.
type unreached struct{ error }

func (e unreached) Unwrap() error { return e.error }

// elsewhere says whether a request that failed may go to another server of the
// domain: its transport failed, no answer came in time, or it got a 503.
func elsewhere(err error) bool {
	if refused, ok := errors.AsType[*ResponseError](err); ok {
		return refused.Code == 503
	}
	if _, ok := errors.AsType[unreached](err); ok {
		return true
	}
	return errors.Is(err, errUnavailable) || errors.Is(err, transaction.ErrTransport) || errors.Is(err, transaction.ErrTimeout)
}
