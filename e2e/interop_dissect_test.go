//go:build interop

package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// TestDissect shows that the eyes with which TestTshark looks at the demo see: an exchange of known content over
// crypto/tls, captured and dissected.
func TestDissect(t *testing.T) {
	need(t, "openssl", "openssl")
	need(t, "tcpdump", "tcpdump")
	need(t, "tshark", "tshark")
	for _, tt := range []struct {
		name           string
		version        uint16
		client, server []string
	}{
		{
			"TLS 1.2", tls.VersionTLS12,
			[]string{"ClientHello", "Certificate", "ClientKeyExchange", "CertificateVerify", "Finished"},
			[]string{"ServerHello", "Certificate", "ServerKeyExchange", "CertificateRequest", "ServerHelloDone", "NewSessionTicket", "Finished"},
		},
		{
			"TLS 1.3", tls.VersionTLS13,
			[]string{"ClientHello", "Certificate", "CertificateVerify", "Finished"},
			[]string{"ServerHello", "EncryptedExtensions", "CertificateRequest", "Certificate", "CertificateVerify", "Finished", "NewSessionTicket"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			capture, keys := filepath.Join(dir, "lo.pcap"), filepath.Join(dir, "keylog")
			stop := startCapture(t, capture)
			exchange(t, opensslPKI(t, dir), tt.version, keys)
			stop()
			streams := dissect(t, capture, keys)
			if len(streams) != 1 {
				t.Fatalf("%d connections, want 1", len(streams))
			}
			for _, s := range streams {
				if !slices.Equal(s.handshake["client"], tt.client) || !slices.Equal(s.handshake["server"], tt.server) {
					t.Errorf("handshake: client %q, server %q", s.handshake["client"], s.handshake["server"])
				}
				got := s.sip["openssl@acme.example"]
				if len(s.sip) != 1 || len(got) != 3 || got["client OPTIONS"] != 1 || got["server 100"] != 1 || got["server 200"] != 1 {
					t.Errorf("SIP messages %v, want one OPTIONS, 100 and 200", s.sip)
				}
			}
		})
	}
}

// exchange sends an OPTIONS one way and, in one record, a 100 and a 200 the other way, over mutual TLS.
func exchange(t *testing.T, p pki, version uint16, keys string) {
	t.Helper()
	log, err := os.Create(keys)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cert, err := tls.LoadX509KeyPair(p.file("gateway.pem"), p.file("gateway-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(p.file("ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	config := &tls.Config{
		Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: roots, RootCAs: roots,
		ServerName: "gateway.example", MinVersion: version, MaxVersion: version, KeyLogWriter: log,
		// With a cache the client asks for a session ticket in TLS 1.2 too.
		ClientSessionCache: tls.NewLRUClientSessionCache(1),
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	answered := make(chan error, 1)
	go func() { answered <- answer(l) }()
	c, err := tls.Dial("tcp", l.Addr().String(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.Write([]byte(options(l.Addr().String()))); err != nil {
		t.Fatal(err)
	}
	// The answer and the close_notify behind it may be one read: then there are bytes and io.EOF.
	if n, err := c.Read(make([]byte, 4096)); n == 0 {
		t.Fatalf("reading the answer: %v", err)
	}
	if err := <-answered; err != nil {
		t.Fatalf("answering: %v", err)
	}
}

func answer(l net.Listener) error {
	c, err := l.Accept()
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Read(make([]byte, 4096)); err != nil {
		return err
	}
	const rest = "\r\nCall-ID: openssl@acme.example\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
	_, err = c.Write([]byte("SIP/2.0 100 Trying" + rest + "SIP/2.0 200 OK" + rest))
	return err
}
