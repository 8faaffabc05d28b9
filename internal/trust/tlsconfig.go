package trust

import (
	"crypto/tls"

	"github.com/sallyport-sip/sallyport/internal/config"
)

// sessions is how many sessions of one peer a client keeps: one for each address that its name may have.
const sessions = 16

// base holds what is the same in both roles. Ticket keys are left to crypto/tls, which makes and rotates them for each
// tls.Config on its own.
func (l *loader) base(who string) *tls.Config {
	c := &tls.Config{
		MinVersion:                  max(tls.VersionTLS12, l.MinVersion), // RFC 9325 §3.1.1
		MaxVersion:                  l.MaxVersion,
		DynamicRecordSizingDisabled: true,
	}
	if l.KeyLog != nil {
		c.KeyLogWriter = l.KeyLog(who)
	}
	return c
}

// serverConfig is the configuration of a listener. crypto/tls would ask for the clientAuth usage and know nothing of
// our other rules, so it is told to demand a certificate at most, and the policy judges it.
func (l *loader) serverConfig(s *side, ask config.ClientCertificates) *tls.Config {
	c := l.base(s.policy.Who)
	c.GetCertificate = s.shown.certificate
	switch ask {
	case config.CertificateRequired:
		c.ClientAuth = tls.RequireAnyClientCert
	case config.CertificateOptional:
		c.ClientAuth = tls.RequestClientCert
	}
	if ask != config.CertificateNone && !s.policy.Anchors.system {
		c.ClientCAs = s.policy.Anchors.pool // the hint in CertificateRequest; a system's CAs would fill it with 100 names
	}
	c.VerifyConnection = func(st tls.ConnectionState) error {
		if len(st.PeerCertificates) == 0 && ask != config.CertificateRequired {
			return nil
		}
		_, err := s.policy.Verify(st.PeerCertificates, Client)
		return err
	}
	c.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if f := factsOf(hello.Context()); f != nil {
			f.ServerName = hello.ServerName
		}
		return nil, nil
	}
	return c
}

// clientConfig is the configuration with which a peer is called. InsecureSkipVerify only turns off crypto/tls's own
// rules; VerifyConnection has ours.
func (l *loader) clientConfig(s *side, host string) *tls.Config {
	c := l.base(s.policy.Who)
	c.ServerName = serverName(host)
	c.ClientSessionCache = tls.NewLRUClientSessionCache(sessions)
	c.InsecureSkipVerify = true
	c.VerifyConnection = func(st tls.ConnectionState) error {
		_, err := s.policy.Verify(st.PeerCertificates, Server)
		return err
	}
	// Always set, so that our certificate is shown whenever the peer asks: left to itself, crypto/tls shows none when
	// the peer's list of CAs does not name ours.
	c.GetClientCertificate = func(req *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if f := factsOf(req.Context()); f != nil {
			f.Asked = true
			f.AcceptableCAs = req.AcceptableCAs
			f.Presented = s.identity.chain()
		}
		if s.identity == nil {
			return new(tls.Certificate), nil
		}
		return s.identity.Certificate(), nil
	}
	return c
}
