package acme

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3/acme"
	"go.uber.org/zap"
)

// CA is what issues certificates.
type CA interface {
	// Issue returns the chain in PEM, the certificate first.
	Issue(ctx context.Context, csr *x509.CertificateRequest) ([]byte, error)
	// Window returns when a certificate should be renewed, and when to ask for that again, zero when it does not say.
	Window(ctx context.Context, leaf *x509.Certificate) (start, end time.Time, again time.Duration, err error)
}

var errNotAsked = errors.New("no CA has asked about this domain")

// attempt bounds one try, validation included.
const attempt = 5 * time.Minute

// shared is what all orders have of certmagic. Of certmagic we use the issuer: account, order, challenges, chain. Its own
// upkeep of certificates is not for us, because it has one certificate for each name, and shows them by itself.
type shared struct {
	mu    sync.Mutex
	cache *certmagic.Cache // guarded by mu; certmagic wants one, nothing is in it
	any   *certmagic.Config
}

func (s *shared) config(dir string) *certmagic.Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cache == nil {
		s.cache = certmagic.NewCache(certmagic.CacheOptions{
			GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) { return nil, errors.New("nothing is kept here") },
			Logger:           zap.NewNop(),
		})
		s.any = certmagic.New(s.cache, certmagic.Config{Storage: &certmagic.FileStorage{Path: dir}, Logger: zap.NewNop()})
	}
	return s.any
}

func (s *shared) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cache != nil {
		s.cache.Stop()
	}
}

// challenge finds the certificate for a question of tls-alpn-01. certmagic knows all questions of the process.
func (s *shared) challenge(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.mu.Lock()
	magic := s.any
	s.mu.Unlock()
	if magic == nil {
		return nil, errNotAsked
	}
	return magic.GetCertificate(hello)
}

// issuer makes what speaks with a CA. It is made anew for each try, so that a file with its roots may change.
func (s *shared) issuer(dir string, in Settings) (CA, error) {
	template := certmagic.ACMEIssuer{CA: in.CA, Email: in.Email, Agreed: true, Logger: zap.NewNop(), CertObtainTimeout: attempt,
		DisableHTTPChallenge: in.HTTP == "", DisableTLSALPNChallenge: in.HTTP != ""}
	if in.CARoot != "" {
		data, err := os.ReadFile(in.CARoot)
		if err != nil {
			return nil, fmt.Errorf("ca_root: %w", err)
		}
		template.TrustedRoots = x509.NewCertPool()
		if !template.TrustedRoots.AppendCertsFromPEM(data) {
			return nil, fmt.Errorf("ca_root: there is no certificate in %s", in.CARoot)
		}
	}
	at := in.HTTP
	if at == "" {
		at = in.TLS
	}
	host, port, err := net.SplitHostPort(at)
	if err != nil {
		return nil, fmt.Errorf("no TLS listener is open that could answer the CA: %w", err)
	}
	template.ListenHost = host
	n, _ := strconv.Atoi(port)
	template.AltHTTPPort, template.AltTLSALPNPort = n, n
	return &magicCA{certmagic.NewACMEIssuer(s.config(filepath.Join(dir, "accounts")), template)}, nil
}

// magicCA is certmagic's issuer.
type magicCA struct{ issuer *certmagic.ACMEIssuer }

func (m *magicCA) Issue(ctx context.Context, csr *x509.CertificateRequest) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	if err := m.issuer.PreCheck(ctx, csr.DNSNames, false); err != nil {
		return nil, err
	}
	got, err := m.issuer.Issue(ctx, csr)
	if err != nil {
		return nil, plain(err)
	}
	return got.Certificate, nil
}

func (m *magicCA) Window(ctx context.Context, leaf *x509.Certificate) (start, end time.Time, again time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	info, err := m.issuer.GetRenewalInfo(ctx, certmagic.Certificate{Certificate: tls.Certificate{Leaf: leaf}})
	if err != nil {
		return start, end, 0, err
	}
	if info.RetryAfter != nil {
		again = time.Until(*info.RetryAfter)
	}
	return info.SuggestedWindow.Start, info.SuggestedWindow.End, again, nil
}

// plain says what a CA has answered without what only matters to programs.
func plain(err error) error {
	p, ok := errors.AsType[acme.Problem](err)
	if !ok {
		return err
	}
	var text strings.Builder
	text.WriteString(p.Detail)
	for _, sub := range p.Subproblems {
		text.WriteString(fmt.Sprintf("; %s: %s", sub.Identifier.Value, sub.Detail))
	}
	kind := strings.TrimPrefix(p.Type, "urn:ietf:params:acme:error:")
	return fmt.Errorf("the CA answered %d %s: %s", p.Status, kind, strings.TrimSpace(text.String()))
}
