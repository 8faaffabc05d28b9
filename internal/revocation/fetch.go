package revocation

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"golang.org/x/crypto/ocsp"
)

// What a responder may cost us.
const (
	maxAnswer    = 64 << 10 // bytes
	maxHeader    = 16 << 10
	askWithin    = 5 * time.Second // from the look-up of its name to the last byte
	maxRedirects = 2
)

// fetcher asks responders over HTTP. An address that only a certificate names must be a public one, also after a
// redirect, so that nobody makes us talk to hosts that only we can reach. An address that a person has written into the
// configuration, or that our own certificate names, may be anywhere. No proxy is used.
type fetcher struct {
	dial   func(ctx context.Context, network, address string) (net.Conn, error)
	lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)

	public, anywhere *http.Client
}

func newFetcher(o Options) *fetcher {
	f := &fetcher{dial: o.Dial, lookup: o.Lookup}
	if f.dial == nil {
		f.dial = new(net.Dialer).DialContext
	}
	if f.lookup == nil {
		f.lookup = net.DefaultResolver.LookupNetIP
	}
	f.public, f.anywhere = client(f.dialPublic), client(f.dial)
	return f
}

// question is the key under which a request's context has itself: http.Transport dials under one that does not end with
// the request, and so would go on dialling after nobody wants it any more.
type question struct{}

func (question) context(ctx context.Context) context.Context {
	if own, ok := ctx.Value(question{}).(context.Context); ok {
		return own
	}
	return ctx
}

func client(dial func(ctx context.Context, network, address string) (net.Conn, error)) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				return dial(question{}.context(ctx), network, address)
			},
			DisableKeepAlives: true, MaxResponseHeaderBytes: maxHeader, TLSHandshakeTimeout: askWithin, DisableCompression: true,
		},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return fmt.Errorf("it sends on more than %d times", maxRedirects)
			}
			return checkURL(r.URL)
		},
	}
}

func checkURL(u *url.URL) error {
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("%q is no http or https address", u.Redacted())
	}
	return nil
}

// dialPublic connects to a public address of the host, never to another.
func (f *fetcher) dialPublic(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	addrs, err := f.lookup(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	err = fmt.Errorf("%s has no public address, and only the configuration may name others (ocsp_responder)", host)
	for _, a := range addrs {
		if !public(a) {
			continue
		}
		var conn net.Conn
		if conn, err = f.dial(ctx, network, net.JoinHostPort(a.Unmap().String(), port)); err == nil {
			return conn, nil
		}
	}
	return nil, err
}

// special are networks that IsGlobalUnicast takes for public ones: shared, reserved and test networks, and those in
// whose addresses others are wrapped (RFC 6890, RFC 6052, RFC 3056, RFC 4380).
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("2001::/32"),
	netip.MustParsePrefix("::/96"), netip.MustParsePrefix("fec0::/10"),
}

func public(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if !a.IsGlobalUnicast() || a.IsPrivate() {
		return false
	}
	for _, p := range special {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

// ask asks one responder about one certificate. Its error says why there is no answer that counts.
func (f *fetcher) ask(ctx context.Context, at string, anywhere bool, cert, issuer *x509.Certificate) ([]byte, Answer, error) {
	body, err := ocsp.CreateRequest(cert, issuer, nil) // SHA-1, which every responder knows, only names the issuer
	if err != nil {
		return nil, Answer{}, err
	}
	u, err := url.Parse(at)
	if err == nil {
		err = checkURL(u)
	}
	if err != nil {
		return nil, Answer{}, errors.New("its address is no http or https address")
	}
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(context.WithValue(ctx, question{}, ctx), http.MethodPost, at, bytes.NewReader(body)) // RFC 6960 appendix A.1
	if err != nil {
		return nil, Answer{}, err
	}
	req.Header.Set("Content-Type", "application/ocsp-request")
	req.Header.Set("Accept", "application/ocsp-response")
	req.Header.Set("User-Agent", "sallyport")
	c := f.public
	if anywhere {
		c = f.anywhere
	}
	res, err := c.Do(req)
	if err != nil {
		return nil, Answer{}, plainly(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, Answer{}, fmt.Errorf("it answers with status %d", res.StatusCode)
	}
	der, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return nil, Answer{}, plainly(err)
	}
	a, err := ParseOCSP(der, cert, issuer, time.Now())
	if err != nil {
		return nil, Answer{}, fmt.Errorf("its answer does not count: %w", err)
	}
	return der, a, nil
}

// plainly is an error of HTTP without the method and the address, which the text around has.
func plainly(err error) error {
	if bad, ok := errors.AsType[*url.Error](err); ok {
		if bad.Timeout() {
			return fmt.Errorf("it did not answer within %v", askWithin)
		}
		err = bad.Err
	} else if bad, ok := errors.AsType[net.Error](err); ok && bad.Timeout() {
		return fmt.Errorf("it did not answer within %v", askWithin)
	}
	return err
}
