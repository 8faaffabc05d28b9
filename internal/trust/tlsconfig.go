package trust

import (
	"crypto/tls"
	"slices"

	"github.com/sallyport-sip/sallyport/internal/config"
)

// base holds what is the same in both roles: what the policy has chosen of crypto/tls. RFC 9325 §3.1.1 and §4.2 are
// where its defaults come from.
func (l *loader) base(s *side) *tls.Config {
	rules := &s.policy.Rules
	c := &tls.Config{
		MinVersion:                  max(rules.MinVersion.Number(), l.MinVersion),
		MaxVersion:                  rules.MaxVersion.Number(),
		CipherSuites:                rules.CipherSuites(),
		CurvePreferences:            rules.Curves(),
		NextProtos:                  rules.ALPN,
		DynamicRecordSizingDisabled: true,
	}
	if l.MaxVersion != 0 {
		c.MaxVersion = min(c.MaxVersion, l.MaxVersion)
	}
	if l.KeyLog != nil {
		c.KeyLogWriter = l.KeyLog(s.policy.Who)
	}
	return c
}

// serverConfig is the configuration of a listener. crypto/tls would ask for the clientAuth usage and know nothing of
// our other rules, so it is told to demand a certificate at most, and the policy judges it.
func (l *loader) serverConfig(s *side) *tls.Config {
	c := l.base(s)
	c.GetCertificate = s.shown.certificate
	switch s.ask {
	case config.CertificateRequired:
		c.ClientAuth = tls.RequireAnyClientCert
	case config.CertificateOptional:
		c.ClientAuth = tls.RequestClientCert
	}
	if s.ask != config.CertificateNone && !s.policy.Anchors.system {
		c.ClientCAs = s.policy.Anchors.pool // the hint in CertificateRequest; a system's CAs would fill it with 100 names
	}
	c.VerifyConnection = func(st tls.ConnectionState) error { return s.admits(st, s.policy.VerifyConn) }
	c.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if f := factsOf(hello.Context()); f != nil {
			f.ServerName = hello.ServerName
		}
		return l.challenge(hello), nil
	}
	return c
}

// ValidationProtocol is what a CA names by ALPN that wants to see whether a domain is ours (RFC 8737 §6.2). A
// connection with it is for nothing else.
const ValidationProtocol = "acme-tls/1"

// challenge returns the configuration of a connection on which a CA sees that a domain is ours, nil for any other.
func (l *loader) challenge(hello *tls.ClientHelloInfo) *tls.Config {
	if l.Challenge == nil || !slices.Equal(hello.SupportedProtos, []string{ValidationProtocol}) {
		return nil
	}
	cert, err := l.Challenge(hello)
	if err != nil {
		return nil // nobody was asked about this name, so it is a connection like any other
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{ValidationProtocol}, Certificates: []tls.Certificate{*cert}, SessionTicketsDisabled: true,
	}
}

// admits judges a connection to a listener, as far as that does, by VerifyConn or ReviewConn of its policy.
func (s *side) admits(st tls.ConnectionState, verify func(tls.ConnectionState, Role) (Verified, error)) error {
	if len(st.PeerCertificates) == 0 && s.ask != config.CertificateRequired {
		return s.policy.settled(st)
	}
	_, err := verify(st, Client)
	return err
}

// clientConfig is the configuration with which a peer is called. InsecureSkipVerify only turns off crypto/tls's own
// rules; VerifyConnection has ours.
func (l *loader) clientConfig(s *side, host string) *tls.Config {
	c := l.base(s)
	c.ServerName = serverName(host)
	c.InsecureSkipVerify = true
	c.VerifyConnection = func(st tls.ConnectionState) error {
		_, err := s.policy.VerifyConn(st, Server)
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
		if s.waits != "" {
			return nil, Refuse(NoCertificateYet, s.waits)
		}
		if s.identity == nil {
			return new(tls.Certificate), nil
		}
		return s.identity.Certificate(), nil
	}
	return c
}
