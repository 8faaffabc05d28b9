package cli

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/sallyport-sip/sallyport/internal/certfile"
	"github.com/sallyport-sip/sallyport/internal/trust"
)

// maxFetched bounds what is taken from the address in a certificate, in bytes.
const maxFetched = 256 << 10

// issuerURL returns where the certificate says that its issuer's is (RFC 5280 §4.2.2.1), empty when it does not.
func issuerURL(c *x509.Certificate) string {
	for _, u := range c.IssuingCertificateURL {
		if p, err := url.Parse(u); err == nil && (p.Scheme == "http" || p.Scheme == "https") && len(u) <= 500 {
			return p.String()
		}
	}
	return ""
}

// fetchIssuer asks that address for the certificate of who signed c.
func fetchIssuer(ctx context.Context, c *x509.Certificate) (*x509.Certificate, error) {
	from := issuerURL(c)
	if from == "" {
		return nil, fmt.Errorf("certificate %s does not say where its issuer's is: ask the authority for it", trust.Subject(c))
	}
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be fetched: %w: fetch it in a browser and name the file too", from, err)
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(io.LimitReader(answer.Body, maxFetched+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s cannot be fetched: %w: fetch it in a browser and name the file too", from, err)
	case answer.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s cannot be fetched: the server says %s: ask the authority for the certificate", from, strings.TrimSpace(answer.Status))
	case len(data) > maxFetched:
		return nil, fmt.Errorf("%s is larger than %d KiB, which no certificate is: ask the authority for the certificate", from, maxFetched>>10)
	}
	got, err := certfile.Decode(data, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	for _, issuer := range got.Certs() {
		if trust.SignedBy(c, issuer) {
			return issuer, nil
		}
	}
	return nil, fmt.Errorf("%s holds no certificate that has signed %s: ask the authority for the certificate", from, trust.Subject(c))
}
