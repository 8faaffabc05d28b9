package transport

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/sallyport-sip/sallyport/internal/memnet"
	"github.com/sallyport-sip/sallyport/internal/testca"
	"github.com/sallyport-sip/sallyport/sip"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var home = netip.MustParseAddrPort("127.0.0.1:0")

// message is a request of a given number and body.
func message(n int, body string) string {
	return fmt.Sprintf("OPTIONS sip:gw.example SIP/2.0\r\n"+
		"Via: SIP/2.0/TCP 127.0.0.1:5060;branch=z9hG4bK%d\r\n"+
		"From: <sip:a@peer.example>;tag=1\r\nTo: <sip:gw.example>\r\n"+
		"Call-ID: %d@peer.example\r\nCSeq: %d OPTIONS\r\nMax-Forwards: 70\r\n"+
		"Content-Length: %d\r\n\r\n%s", n, n, n+1, len(body), body)
}

// received is a packet after its message was released.
type received struct {
	conn *Conn
	from netip.AddrPort
	text string
	err  error
}

type closing struct {
	conn *Conn
	why  CloseReason
}

type refusal struct {
	info ConnInfo
	err  error
}

// node is an endpoint that notes what it was told.
type node struct {
	*Endpoint
	t         testing.TB
	packets   chan received
	batches   chan int
	opened    chan *Conn
	confirmed chan *Conn
	closed    chan closing
	refused   chan refusal
	lost      chan error

	mu     sync.Mutex
	passed map[sip.Limit]int // limits, how often
}

// wantPassed waits until somebody has passed a limit, and checks that it was no other.
func (n *node) wantPassed(l sip.Limit, times int) {
	n.t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.passed[l] != times || len(n.passed) != 1 {
		n.t.Errorf("limits passed: %v, want %s %d times", n.passed, l, times)
	}
}

// newNode makes an endpoint; change may alter its configuration. It is closed
// with the test.
func newNode(t testing.TB, network Network, change func(*Config)) *node {
	n := &node{
		t:         t,
		packets:   make(chan received, 20_000),
		batches:   make(chan int, 20_000),
		opened:    make(chan *Conn, 2_000),
		confirmed: make(chan *Conn, 2_000),
		closed:    make(chan closing, 2_000),
		refused:   make(chan refusal, 2_000),
		lost:      make(chan error, 2_000),
		passed:    map[sip.Limit]int{},
	}
	cfg := Config{Network: network, Hooks: Hooks{
		Deliver: func(batch []Packet) {
			for _, p := range batch {
				n.packets <- received{p.Conn, p.Source, string(p.Msg.Bytes()), p.Err}
				p.Msg.Release()
			}
			n.batches <- len(batch)
		},
		Opened:    func(c *Conn) { n.opened <- c },
		Confirmed: func(c *Conn) { n.confirmed <- c },
		Closed:    func(c *Conn, why CloseReason) { n.closed <- closing{c, why} },
		Refused:   func(info ConnInfo, err error) { n.refused <- refusal{info, err} },
		Excess: func(x Excess) {
			n.mu.Lock()
			n.passed[x.Limit]++
			n.mu.Unlock()
		},
		Lost: func(_ *Conn, _ netip.AddrPort, err error) { n.lost <- err },
	}}
	if change != nil {
		change(&cfg)
	}
	n.Endpoint = New(cfg)
	t.Cleanup(n.stop)
	return n
}

func (n *node) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := n.Close(ctx); err != nil {
		n.t.Errorf("close the endpoint: %v", err)
	}
}

// listen opens a listener and returns its address.
func (n *node) listen(tr Transport, conf *tls.Config) netip.AddrPort {
	n.t.Helper()
	return n.open(ListenConfig{Name: tr.String(), Transport: tr, Addr: home, TLS: conf}).Addr()
}

// open opens a listener.
func (n *node) open(cfg ListenConfig) *Listener {
	n.t.Helper()
	l, err := n.Listen(cfg)
	if err != nil {
		n.t.Fatal(err)
	}
	return l
}

// dial opens a connection to an address under the name "gw".
func (n *node) dial(tr Transport, to netip.AddrPort, conf *tls.Config) *Conn {
	n.t.Helper()
	c, err := n.Dial(context.Background(), DialConfig{Key: Key{Transport: tr, Remote: to, Peer: "gw"}, TLS: conf})
	if err != nil {
		n.t.Fatal(err)
	}
	return c
}

// want waits for a value; outside a bubble a test that waits for nothing ends
// with go test's own time limit.
func want[T any](t testing.TB, from <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(time.Minute):
		t.Fatalf("waited for %s in vain", what)
		panic("unreachable")
	}
}

// wantText waits for one message.
func (n *node) wantText(text string) received {
	n.t.Helper()
	got := want(n.t, n.packets, "a message")
	if got.text != text {
		n.t.Fatalf("got message\n%s\nwant\n%s", got.text, text)
	}
	return got
}

// wantClosed waits for the end of a connection and for a phrase in its reason.
func (n *node) wantClosed(phrase string) CloseReason {
	n.t.Helper()
	got := want(n.t, n.closed, "the end of a connection").why
	if !strings.Contains(got.Text, phrase) {
		n.t.Fatalf("closed with %q, want %q in it", got.Text, phrase)
	}
	return got
}

func (n *node) wantRefused(phrase string) refusal {
	n.t.Helper()
	got := want(n.t, n.refused, "a refusal")
	if !strings.Contains(got.err.Error(), phrase) {
		n.t.Fatalf("refused with %q, want %q in it", got.err, phrase)
	}
	return got
}

func send(t testing.TB, c *Conn, texts ...string) {
	t.Helper()
	for _, s := range texts {
		if _, err := c.Send([]byte(s), netip.AddrPort{}); err != nil {
			t.Fatal(err)
		}
	}
	c.Flush()
}

// credentials are one side's TLS configurations.
type credentials struct {
	server, client *tls.Config
}

var theCA = sync.OnceValue(func() *testca.CA { return testca.New("test") })

// newCredentials makes mutual TLS of one version; change may alter both sides.
func newCredentials(version uint16) credentials {
	return credentialsOf(theCA(), version)
}

func credentialsOf(ca *testca.CA, version uint16) credentials {
	server := ca.Leaf("gw.example", testca.DNS("gw.example")).TLS()
	client := ca.Leaf("peer.example", testca.DNS("peer.example")).TLS()
	return credentials{
		server: &tls.Config{
			Certificates: []tls.Certificate{server},
			ClientAuth:   tls.RequireAndVerifyClientCert,
			ClientCAs:    ca.Pool(),
			MinVersion:   version, MaxVersion: version,
			DynamicRecordSizingDisabled: true,
		},
		client: &tls.Config{
			RootCAs: ca.Pool(), ServerName: "gw.example",
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &client, nil },
			MinVersion:           version, MaxVersion: version,
			DynamicRecordSizingDisabled: true,
		},
	}
}

// plainNetwork is the system's, with sockets that do not show what they are.
type plainNetwork struct{ system }

type plainListener struct{ net.Listener }

type plainConn struct{ net.Conn }

type plainPacketConn struct{ net.PacketConn }

func (c plainConn) CloseWrite() error { return c.Conn.(*net.TCPConn).CloseWrite() }

func (l plainListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return plainConn{c}, nil
}

func (n plainNetwork) Listen(ctx context.Context, addr netip.AddrPort) (net.Listener, error) {
	l, err := n.system.Listen(ctx, addr)
	return plainListener{l}, err
}

func (n plainNetwork) ListenPacket(ctx context.Context, addr netip.AddrPort) (net.PacketConn, error) {
	pc, err := n.system.ListenPacket(ctx, addr)
	return plainPacketConn{pc}, err
}

func (n plainNetwork) Dial(ctx context.Context, local, remote netip.AddrPort) (net.Conn, error) {
	c, err := n.system.Dial(ctx, local, remote)
	if err != nil {
		return nil, err
	}
	return plainConn{c}, nil
}

// onEach runs a test on the system's sockets by both paths and in memory.
func onEach(t *testing.T, f func(t *testing.T, network Network)) {
	t.Run("raw", func(t *testing.T) { f(t, system{}) })
	t.Run("plain", func(t *testing.T) { f(t, plainNetwork{}) })
	t.Run("memory", func(t *testing.T) {
		f(t, memnet.New(memnet.Options{}))
	})
}

// A streamKind is a stream transport, with one version of TLS.
type streamKind struct {
	name    string
	tr      Transport
	version uint16
}

// byteStreams are those on which a message may come in any pieces.
var byteStreams = streams[:3]

// streams are the stream transports, TLS in both versions.
var streams = []streamKind{
	{"tcp", TCP, tls.VersionTLS12},
	{"tls12", TLS, tls.VersionTLS12},
	{"tls13", TLS, tls.VersionTLS13},
	{"ws", WS, tls.VersionTLS12},
	{"wss12", WSS, tls.VersionTLS12},
	{"wss13", WSS, tls.VersionTLS13},
}

func onEachStream(t *testing.T, f func(t *testing.T, network Network, tr Transport, cred credentials)) {
	onEachOf(t, streams, f)
}

func onEachOf(t *testing.T, kinds []streamKind, f func(t *testing.T, network Network, tr Transport, cred credentials)) {
	onEach(t, func(t *testing.T, network Network) {
		for _, s := range kinds {
			t.Run(s.name, func(t *testing.T) { f(t, network, s.tr, newCredentials(s.version)) })
		}
	})
}

// bubble runs a test in memory with a clock of its own.
func bubble(t *testing.T, f func(t *testing.T, network *memnet.Network, ca *testca.CA)) {
	synctest.Test(t, func(t *testing.T) {
		f(t, memnet.New(memnet.Options{}), testca.New("bubble"))
	})
}

// rawDial opens a stream that is not ours.
func rawDial(t testing.TB, network Network, to netip.AddrPort) net.Conn {
	t.Helper()
	nc, err := network.Dial(context.Background(), netip.AddrPort{}, to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return nc
}

func write(t testing.TB, nc net.Conn, s string) {
	t.Helper()
	if _, err := io.WriteString(nc, s); err != nil {
		t.Fatal(err)
	}
}

// readExactly reads a text and nothing else.
func readExactly(t testing.TB, r io.Reader, text string) {
	t.Helper()
	b := make([]byte, len(text))
	if n, err := io.ReadFull(r, b); err != nil || string(b) != text {
		t.Fatalf("got %q, %v, want %q", b[:n], err, text)
	}
}

// wantEOF wants the end and no byte before it.
func wantEOF(t testing.TB, r io.Reader) {
	t.Helper()
	if b, err := io.ReadAll(r); err != nil || len(b) > 0 {
		t.Errorf("got %q, %v, want the end", b, err)
	}
}
