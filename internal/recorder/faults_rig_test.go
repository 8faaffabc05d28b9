package recorder

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/memnet"
	"github.com/sallyport-sip/sallyport/internal/testca"
	"github.com/sallyport-sip/sallyport/internal/trust"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// A stage is one handshake between a gateway's transport and TLS of the standard library, in which one thing is wrong. Its fields are
// what a fault changes.
type stage struct {
	t       *testing.T
	server  bool // our role
	version uint16

	root     *testca.CA // trusted on both sides
	other    *testca.CA // on neither
	middle   *testca.CA // an intermediate of root
	ours     *testca.Leaf
	theirs   *testca.Leaf // nil: it shows none
	farTrust *x509.CertPool
	farTime  func() time.Time
	policy   config.Policy                         // ours
	asks     bool                                  // the far server asks for a certificate
	alone    bool                                  // we have no identity
	later    time.Duration                         // that passes between our start and the handshake
	cut      func(*memnet.Conn) net.Conn           // what the peer speaks through
	speak    func(nc net.Conn)                     // the peer instead of TLS
	change   func(far *tls.Config)                 // the last word on it
	judges   func(chain []*x509.Certificate) error // the peer, us, besides what TLS checks; nil: nothing
	wanted   string                                // the peer's name, when it is not acme.example
	plain    bool                                  // the connection is to be without TLS: a tcp: listener, transport=tcp
	built    time.Time                             // when this program was made
	crl      []byte                                // of the root, in our trust; empty: none
	pins     []config.Pin                          // of the peer
}

func newStage(t *testing.T, server bool, version uint16) *stage {
	s := &stage{t: t, server: server, version: version, root: testca.New("Lab Root"), other: testca.New("Other Root"), asks: true}
	s.middle = s.root.Intermediate("Lab Intermediate")
	s.ours, s.theirs = s.root.Leaf("gw.example"), s.root.Leaf("acme.example")
	s.farTrust = s.root.Pool()
	return s
}

func (s *stage) farConfig() *tls.Config {
	c := &tls.Config{MinVersion: s.version, MaxVersion: s.version, Time: s.farTime}
	if s.theirs != nil {
		c.Certificates = []tls.Certificate{s.theirs.TLS()}
	}
	if s.server {
		c.ServerName, c.RootCAs = "gw.example", s.farTrust
		if s.theirs != nil {
			c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &c.Certificates[0], nil }
		}
	} else if s.asks {
		c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, s.farTrust
	}
	if s.judges != nil {
		c.VerifyConnection = func(st tls.ConnectionState) error { return s.judges(st.PeerCertificates) }
	}
	if s.change != nil {
		s.change(c)
	}
	return c
}

// load makes our side as a configuration has it.
func (s *stage) load(rec *Recorder) *trust.Set {
	dir := s.t.TempDir()
	for name, data := range map[string][]byte{"ca.pem": s.root.PEM(), "middle.pem": s.middle.PEM(), "gw.pem": s.ours.PEM(), "gw-key.pem": s.ours.KeyPEM()} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	cfg := &config.Config{
		File:      "sallyport.yaml",
		Listeners: []config.Listener{{Name: "outside", Listen: config.Address{Transport: config.TLS, AddrPort: gatewayAddr}}},
		Trust: []config.Trust{{Name: "partners", Files: []string{filepath.Join(dir, "ca.pem")}},
			{Name: "seen", Files: []string{filepath.Join(dir, "middle.pem")}}},
		Defaults: config.Defaults{Identity: "gateway", Trust: []string{"partners"}},
		Peers: []config.Peer{{Name: "acme", CertificateNames: []string{cmp.Or(s.wanted, "acme.example")},
			URI: config.URI{Scheme: "sip", Host: "sip.acme.example", Transport: config.TLS}}},
		Identities: []config.Identity{{Name: "gateway", Certificate: filepath.Join(dir, "gw.pem"), Key: filepath.Join(dir, "gw-key.pem")}},
	}
	if len(s.crl) > 0 {
		file := filepath.Join(dir, "root.crl")
		if err := os.WriteFile(file, testca.CRLPEM(s.crl), 0o600); err != nil {
			s.t.Fatal(err)
		}
		cfg.Trust[0].CRLs = []string{file}
	}
	cfg.Peers[0].Pins = s.pins
	s.policy.Name = "tried"
	cfg.Policies = []config.Policy{s.policy}
	cfg.Defaults.Policy = "tried"
	cfg.Complete()
	if s.alone {
		cfg.Peers[0].Identity = "-"
	}
	set, problems := trust.Options{KeyLog: rec.KeyLog}.Load(cfg)
	for _, p := range problems {
		s.t.Error(p)
	}
	if set == nil {
		s.t.FailNow()
	}
	return set
}

// run plays the handshake and returns its record.
func (s *stage) run() *callflow.Handshake {
	var set *trust.Set
	n := memnet.New(memnet.Options{})
	rec := New(Config{Side: func(listener, peer string) trust.OurSide { return set.OurSide(listener, peer) },
		Clock: func(now time.Time) string { return trust.ClockDoubt(now, s.built, set.Own()) }})
	set = s.load(rec)
	e := transport.New(transport.Config{Network: n, Hooks: transport.Hooks{
		Deliver: func(batch []transport.Packet) {
			for _, p := range batch {
				p.Msg.Release()
			}
		},
		Identify: func(info transport.ConnInfo, st *tls.ConnectionState) (transport.Identity, error) {
			if info.Inbound {
				return transport.Identity{Peer: "acme"}, nil
			}
			if st == nil {
				return transport.Identity{Peer: info.Peer}, nil
			}
			_, err := set.VerifyPeer(info.Peer, st.PeerCertificates, trust.Server)
			return transport.Identity{}, err
		},
		WrapConn: rec.WrapConn, Opened: rec.Opened, Confirmed: rec.Confirmed, Refused: rec.Refused, Closed: rec.Closed, Tap: rec.Message,
	}})
	time.Sleep(s.later)
	speak := s.speak
	if speak == nil {
		speak = s.tls
	}
	through := func(nc net.Conn) net.Conn {
		if s.cut != nil {
			return s.cut(nc.(*memnet.Conn))
		}
		return nc
	}
	if s.server {
		if _, err := e.Listen(s.listenConfig(set)); err != nil {
			s.t.Fatal(err)
		}
		nc, err := n.Dial(s.t.Context(), netip.MustParseAddrPort("192.0.2.77:40112"), gatewayAddr)
		if err != nil {
			s.t.Fatal(err)
		}
		go speak(through(nc))
	} else {
		ln, err := n.Listen(s.t.Context(), peerAddr)
		if err != nil {
			s.t.Fatal(err)
		}
		defer ln.Close()
		go func() {
			if nc, err := ln.Accept(); err == nil {
				speak(through(nc))
			}
		}()
		ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
		defer cancel()
		if c, err := e.Dial(ctx, s.dialConfig(set)); err == nil {
			_, _ = c.Send([]byte(invite("b1")), netip.AddrPort{})
			c.Flush()
		}
	}
	time.Sleep(5 * time.Minute)
	synctest.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := e.Close(ctx); err != nil {
		s.t.Error(err)
	}
	synctest.Wait()
	found := rec.Handshakes(callflow.HandshakeFilter{})
	if len(found) != 1 {
		s.t.Fatalf("%d records, want 1", len(found))
	}
	return found[0]
}

// tls is the peer: it shakes hands, says something if it may, and reads until the other side ends.
func (s *stage) tls(nc net.Conn) {
	far := s.farConfig()
	c := tls.Client(nc, far)
	if !s.server {
		c = tls.Server(nc, far)
	}
	_ = c.SetDeadline(time.Now().Add(4 * time.Minute))
	if c.Handshake() == nil {
		if s.server {
			_, _ = io.WriteString(c, "\r\n\r\n")
		}
		_, _ = io.Copy(io.Discard, c)
	}
	time.Sleep(100 * time.Millisecond) // the alert is read before the socket breaks
	nc.Close()
}

// A cutConn lets through only the first records that its user writes, and then ends in its way.
type cutConn struct {
	*memnet.Conn
	records int
	end     func(*memnet.Conn) // nil: it goes on in silence
	over    bool
}

func (c *cutConn) Write(b []byte) (int, error) {
	if c.over {
		return len(b), nil
	}
	whole, rest := len(b), b
	for len(rest) >= 5 && c.records > 0 {
		n := min(len(rest), 5+int(rest[3])<<8+int(rest[4]))
		if _, err := c.Conn.Write(rest[:n]); err != nil {
			return 0, err
		}
		rest = rest[n:]
		c.records--
	}
	if c.records == 0 && len(rest) > 0 {
		c.over = true
		if c.end != nil {
			c.end(c.Conn)
		}
	}
	return whole, nil
}

// narrow is a CA of the lab that may sign for other names alone.
func (s *stage) narrow() *testca.CA {
	return s.root.Intermediate("Narrow CA", testca.Template(func(c *x509.Certificate) { c.PermittedDNSDomains = []string{"other.example"} }))
}

// notForSIP is the rule of a peer that wants id-kp-sipDomain (RFC 5924 §4).
func notForSIP(chain []*x509.Certificate) error {
	if !slices.ContainsFunc(chain[0].UnknownExtKeyUsage, testca.SIPDomain.Equal) {
		return errors.New("not for SIP")
	}
	return nil
}

func (s *stage) listenConfig(set *trust.Set) transport.ListenConfig {
	if s.plain {
		return transport.ListenConfig{Name: "outside", Transport: transport.TCP, Addr: gatewayAddr}
	}
	return transport.ListenConfig{Name: "outside", Transport: transport.TLS, Addr: gatewayAddr, TLS: set.ServerConfig("outside")}
}

func (s *stage) dialConfig(set *trust.Set) transport.DialConfig {
	if s.plain {
		return transport.DialConfig{Key: transport.Key{Transport: transport.TCP, Remote: peerAddr, Peer: "acme"}}
	}
	return transport.DialConfig{Key: transport.Key{Transport: transport.TLS, Remote: peerAddr, Peer: "acme"}, TLS: set.ClientConfig("acme")}
}
