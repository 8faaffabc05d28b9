package tlswire

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"
)

// pipe is one direction of a buffered in-memory connection.
type pipe struct {
	mu     sync.Mutex
	wake   sync.Cond
	buf    bytes.Buffer
	closed bool
}

func newPipe() *pipe {
	p := &pipe{}
	p.wake.L = &p.mu
	return p
}

func (p *pipe) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.buf.Len() == 0 && !p.closed {
		p.wake.Wait()
	}
	if p.buf.Len() == 0 {
		return 0, io.EOF
	}
	return p.buf.Read(b)
}

func (p *pipe) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return 0, io.ErrClosedPipe
	}
	p.wake.Broadcast()
	return p.buf.Write(b)
}

func (p *pipe) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.wake.Broadcast()
	return nil
}

// end is one end of the pair; feed sees the bytes of both directions.
type end struct {
	in, out *pipe
	self    Side
	feed    func(from Side, b []byte)
}

func (e *end) Read(b []byte) (int, error) {
	n, err := e.in.Read(b)
	if n > 0 {
		e.feed(e.self.Other(), b[:n])
	}
	return n, err
}

func (e *end) Write(b []byte) (int, error) {
	e.feed(e.self, b)
	return e.out.Write(b)
}

func (e *end) Close() error                     { return e.out.Close() }
func (e *end) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (e *end) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (e *end) SetDeadline(time.Time) error      { return nil }
func (e *end) SetReadDeadline(time.Time) error  { return nil }
func (e *end) SetWriteDeadline(time.Time) error { return nil }

// chunk is what one end read or wrote at a time.
type chunk struct {
	from Side
	data []byte
}

// transcript is what passed one end of a connection, with its handshake secrets.
type transcript struct {
	chunks []chunk
	secret map[string][]byte
}

// start is when every fed byte arrives, unless a test says otherwise.
var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// replay feeds the transcript to a new parser, with each chunk cut by split.
func (tr transcript) replay(withSecrets bool, split func([]byte) [][]byte) ([]Step, State) {
	var steps []Step
	p := New(func(s Step) { steps = append(steps, s) })
	if withSecrets {
		for label, secret := range tr.secret {
			p.Secret(label, secret)
		}
	}
	for _, c := range tr.chunks {
		for _, b := range split(c.data) {
			p.Feed(c.from, start, bytes.Clone(b))
		}
	}
	p.Flush()
	return steps, p.State()
}

func whole(b []byte) [][]byte { return [][]byte{b} }

func bytewise(b []byte) (out [][]byte) {
	for i := range b {
		out = append(out, b[i:i+1])
	}
	return out
}

// hop is a real handshake between two ends of crypto/tls, each with a Live.
type hop struct {
	client, server *tls.Config
	silent         bool // the client sends no data after the handshake
}

// outcome is what each end and each Live saw.
type outcome struct {
	steps                [2][]Step // as seen by the Live at the client's and at the server's end
	state                [2]State
	err                  [2]error // of the handshake, or of the first read
	conn                 [2]tls.ConnectionState
	transcript           [2]transcript
	lives                [2]*Live
	clientRing, servRing *KeyRing
}

// run makes the handshake, sends "ping" and "pong", and closes both ends.
func (h hop) run(t testing.TB) outcome {
	t.Helper()
	var o outcome
	up, down := newPipe(), newPipe()
	ends := [2]*end{
		Client: {in: down, out: up, self: Client},
		Server: {in: up, out: down, self: Server},
	}
	rings := [2]*KeyRing{{Tee: new(bytes.Buffer)}, {}}
	o.clientRing, o.servRing = rings[0], rings[1]
	configs := [2]*tls.Config{h.client.Clone(), h.server.Clone()}
	var conns [2]*tls.Conn
	for i := range ends {
		l := NewLive(rings[i], func(s Step) { o.steps[i] = append(o.steps[i], s) })
		o.lives[i] = l
		ends[i].feed = func(from Side, b []byte) {
			o.transcript[i].chunks = append(o.transcript[i].chunks, chunk{from, bytes.Clone(b)})
			l.Feed(from, start, b)
		}
		configs[i].KeyLogWriter = rings[i]
	}
	conns[Client] = tls.Client(ends[Client], configs[Client])
	conns[Server] = tls.Server(ends[Server], configs[Server])

	var wg sync.WaitGroup
	ready := make(chan struct{}) // the server's handshake is over: its tickets are out
	wg.Go(func() {
		o.err[Client] = h.talk(conns[Client], func() { <-ready }, "ping", "pong", true)
	})
	wg.Go(func() {
		o.err[Server] = h.talk(conns[Server], func() { close(ready) }, "pong", "ping", false)
	})
	wg.Wait()
	for i := range ends {
		o.lives[i].Done()
		o.conn[i] = conns[i].ConnectionState()
		o.state[i] = o.lives[i].State()
	}
	secret := keylog(t, rings[Client].Tee.(*bytes.Buffer).Bytes())
	o.transcript[Client].secret, o.transcript[Server].secret = secret, secret
	return o
}

// talk is one end's part; its first error is returned.
func (h hop) talk(c *tls.Conn, met func(), say, hear string, first bool) error {
	defer c.Close()
	err := c.Handshake()
	met()
	if err != nil {
		return err
	}
	if h.silent {
		_, err := c.Read(make([]byte, 1))
		return err
	}
	buf := make([]byte, len(hear))
	for range 2 {
		if first {
			if _, err := c.Write([]byte(say)); err != nil {
				return err
			}
		} else if _, err := io.ReadFull(c, buf); err != nil {
			return err
		}
		first = !first
	}
	return nil
}

// keylog reads lines as crypto/tls wrote them.
func keylog(t testing.TB, b []byte) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	for line := range bytes.Lines(b) {
		f := bytes.Fields(line)
		if len(f) != 3 {
			t.Fatalf("key log line %q", line)
		}
		out[string(f[0])] = unhex(t, string(f[2]))
	}
	return out
}

// pki is a CA with a server and a client certificate signed by it.
type pki struct {
	ca             *x509.Certificate
	pool           *x509.CertPool
	server, client tls.Certificate
}

var (
	ecdsaPKI = sync.OnceValue(func() pki {
		return newPKI(func() crypto.Signer { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
	})
	rsaPKI = sync.OnceValue(func() pki {
		return newPKI(func() crypto.Signer { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	})
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func newPKI(key func() crypto.Signer) pki {
	caKey := key()
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Lab Root"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	ca := must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, tmpl, tmpl, caKey.Public(), caKey))))
	leaf := func(serial int64, name string) tls.Certificate {
		k := key()
		tmpl := &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
			KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		}
		der := must(x509.CreateCertificate(rand.Reader, tmpl, ca, k.Public(), caKey))
		return tls.Certificate{Certificate: [][]byte{der, ca.Raw}, PrivateKey: k}
	}
	p := pki{ca: ca, pool: x509.NewCertPool(), server: leaf(2, "gw.example.test"), client: leaf(3, "phone.example.test")}
	p.pool.AddCert(ca)
	return p
}

// configs returns a client and a server that trust each other, for one version.
func (p pki) configs(version uint16, mutual bool) hop {
	h := hop{
		client: &tls.Config{
			ServerName: "gw.example.test", RootCAs: p.pool, MinVersion: version, MaxVersion: version, NextProtos: []string{"sip"},
		},
		server: &tls.Config{
			Certificates: []tls.Certificate{p.server}, ClientCAs: p.pool, MinVersion: tls.VersionTLS10, NextProtos: []string{"sip"},
		},
	}
	if mutual {
		h.server.ClientAuth = tls.RequireAndVerifyClientCert
		h.client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &p.client, nil }
	}
	return h
}
