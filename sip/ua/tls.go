package ua

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/sallyport-sip/sallyport/sip/domaincert"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// ServerTLS reads what a listener needs for mutual TLS (RFC 3261 §26.3.1), all of
// it PEM: who we are from certFile, our chain with the leaf first, and keyFile;
// whom to believe from caFile, the authorities that sign the certificates of those
// who connect. A client without such a certificate is refused in the handshake.
// Who it is of all those that the authorities have signed for is the handler's
// question: see [Request.Proves].
func ServerTLS(certFile, keyFile, caFile string) (*tls.Config, error) {
	cfg, roots, err := loadTLS(certFile, keyFile, caFile)
	if err != nil {
		return nil, err
	}
	cfg.ClientAuth, cfg.ClientCAs = tls.RequireAndVerifyClientCert, roots
	return cfg, nil
}

// ClientTLS reads what a [Target] needs for mutual TLS: the files are those of
// [ServerTLS]. The server has to show a certificate by one of the authorities in
// caFile for the SIP domain that is wanted, by the rules of RFC 5922 §7.2: its sip:
// URIs count before its DNS names, and a wildcard matches nothing. domain may also
// be an IP address. Make the configuration once for all requests to that domain:
// they share a connection then.
func ClientTLS(certFile, keyFile, caFile, domain string) (*tls.Config, error) {
	if domain == "" {
		return nil, errors.New("ua: the domain is empty: a client has to know whom it wants")
	}
	cfg, roots, err := loadTLS(certFile, keyFile, caFile)
	if err != nil {
		return nil, err
	}
	cfg.ServerName = domain
	// crypto/tls knows the names of HTTPS only, so the whole check is here.
	// VerifyConnection also runs on sessions that are resumed.
	cfg.InsecureSkipVerify = true
	cfg.VerifyConnection = func(st tls.ConnectionState) error {
		return verifyServer(st.PeerCertificates, roots, domain)
	}
	return cfg, nil
}

// loadTLS reads the three files.
func loadTLS(certFile, keyFile, caFile string) (*tls.Config, *x509.CertPool, error) {
	own, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, nil, fmt.Errorf("ua: own certificate %s with key %s: %w", certFile, keyFile, err)
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, nil, fmt.Errorf("ua: authorities: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, nil, fmt.Errorf("ua: authorities: no certificate is in %s: want PEM", caFile)
	}
	return &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{own},
		// A server may name authorities that ours is not signed by, and still take it.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own, nil },
		// Several messages fit one record.
		DynamicRecordSizingDisabled: true,
	}, roots, nil
}

func verifyServer(chain []*x509.Certificate, roots *x509.CertPool, domain string) error {
	if len(chain) == 0 {
		return errors.New("the server shows no certificate")
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	if _, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between}); err != nil {
		return err
	}
	_, err := domaincert.Match(chain[0], []string{domain}, domaincert.Options{})
	return err
}

// identifyByTLS is the Identify hook of a server that has none of its own: who
// connected is whom its verified certificate names (RFC 5922 §7.1); whom we dialled
// has proved the name that we wanted, by the target's tls.Config.
func identifyByTLS(info transport.ConnInfo, st *tls.ConnectionState) (id transport.Identity, err error) {
	switch {
	case st == nil || len(st.PeerCertificates) == 0:
	case !info.Inbound:
		if r, err := domaincert.Match(st.PeerCertificates[0], []string{st.ServerName}, domaincert.Options{}); err == nil {
			id.Names = []string{r.Want}
		}
	case len(st.VerifiedChains) > 0:
		for _, n := range domaincert.Names(st.PeerCertificates[0]) {
			if n.Kind != domaincert.CN {
				id.Names = append(id.Names, n.Value)
			}
		}
	}
	return id, nil
}

// Proves says whether the other side has proved to be a SIP domain: its
// certificate was verified in the handshake and is for that domain (RFC 5922 §7.1).
// What the From header says proves nothing. Without TLS, and without a verified
// certificate, it is false for every domain. With an Identify hook of the server's
// it is the hook's Names that count.
func (r *Request) Proves(domain string) bool {
	for _, name := range r.Identity().Names {
		if domain != "" && strings.EqualFold(name, domain) {
			return true
		}
	}
	return false
}
