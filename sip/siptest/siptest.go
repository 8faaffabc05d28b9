// Package siptest is a scripted SIP peer for tests. A test reads as the
// protocol: the peer sends one message, wants another, wants silence.
//
//	p := siptest.New(t, siptest.Config{Transport: transport.TCP})
//	p.Dial(server)
//	p.Send(p.Request(sip.INVITE, "sip:bob@example.com", siptest.Body("application/sdp", offer)))
//	p.Want(180)
//	ok := p.Want(200)
//	p.Send(p.Ack(ok))
//	p.WantSilence(32 * time.Second)
//
// Reading starts at [Peer]. It works on whole messages and on nothing above
// them: it has no transactions, sends nothing by itself, answers nothing and
// hides nothing but a 100, so that a test can misbehave, and sees each
// retransmission. Messages are plain text that a test may change before it
// sends them.
//
// A peer speaks UDP, TCP or TLS, over the machine's loopback or over another
// [transport.Network] such as one in memory, there also inside a
// testing/synctest bubble. One goroutine accepts and one reads each connection;
// they have ended when the test has.
package siptest

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// Config says how a peer speaks. The zero value is UDP on loopback.
type Config struct {
	Name      string // in failures and in its own URIs; "peer" when empty
	Transport transport.Transport
	Network   transport.Network // nil means the system's
	Addr      netip.AddrPort    // to listen on; 127.0.0.1:0 when zero
	TLS       *tls.Config       // for TLS, in both roles
	// Timeout is how long Want and its like wait: 5 s, or 5 min of the time of a
	// testing/synctest bubble, where waiting costs nothing.
	Timeout time.Duration
}

// Peer is a scripted SIP peer. Its methods are called by the test's goroutine
// and end the test when something else comes than what was wanted.
type Peer struct {
	t    testing.TB
	cfg  Config
	addr netip.AddrPort
	in   chan *Message
	news chan *link // connections as they open
	done chan struct{}
	wg   sync.WaitGroup
	ln   net.Listener

	mu    sync.Mutex
	links []*link
	link  *link // what Send uses

	script script
}

// Message is a message that a peer has received. It is valid until the test
// ends.
type Message struct {
	*sip.Message
	Source netip.AddrPort // where it came from
	At     time.Time      // when it was read
	Err    error          // what is malformed in it
	link   *link
}

// New opens a peer that listens, and closes it when the test ends.
func New(t testing.TB, cfg Config) *Peer {
	t.Helper()
	if cfg.Transport == 0 {
		cfg.Transport = transport.UDP
	}
	if cfg.Name == "" {
		cfg.Name = "peer"
	}
	if cfg.Network == nil {
		cfg.Network = loopback{}
	}
	if !cfg.Addr.IsValid() {
		cfg.Addr = netip.MustParseAddrPort("127.0.0.1:0")
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 5 * time.Second
		if time.Now().Year() == 2000 { // where the clock of a bubble begins
			cfg.Timeout = 5 * time.Minute
		}
	}
	p := &Peer{
		t: t, cfg: cfg,
		in:   make(chan *Message, 4096),
		news: make(chan *link, 256),
		done: make(chan struct{}),
	}
	p.script.init(p)
	if err := p.open(); err != nil {
		t.Fatalf("%s: listen on %v %v: %v", cfg.Name, cfg.Transport, cfg.Addr, err)
	}
	t.Cleanup(p.Close)
	return p
}

// Addr is where the peer listens, and on UDP where it sends from.
func (p *Peer) Addr() netip.AddrPort { return p.addr }

// URI is a URI of the peer's with a user of that name, which leads to Addr.
func (p *Peer) URI(user string) string {
	return "sip:" + user + "@" + p.addr.String() + ";transport=" + p.cfg.Transport.String()
}

// Close ends the peer and all its connections. The test's end does it too.
func (p *Peer) Close() {
	p.mu.Lock()
	select {
	case <-p.done:
		p.mu.Unlock()
		return
	default:
	}
	close(p.done)
	links := p.links
	p.mu.Unlock()
	if p.ln != nil {
		p.ln.Close()
	}
	for _, l := range links {
		l.close()
	}
	p.wg.Wait()
}

// Dial makes to the place that Send sends to: on a stream by a new connection,
// which becomes the current one; older ones stay open. A test that wants to see
// an error uses TryDial.
func (p *Peer) Dial(to netip.AddrPort) {
	p.t.Helper()
	if err := p.TryDial(to); err != nil {
		p.t.Fatalf("%s: dial %v %v: %v", p.cfg.Name, p.cfg.Transport, to, err)
	}
}

// TryDial is Dial for a test that wants to see the error. On TLS it returns
// after the handshake.
func (p *Peer) TryDial(to netip.AddrPort) error {
	if p.cfg.Transport == transport.UDP {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.link.to = to
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), p.cfg.Timeout)
	defer cancel()
	nc, err := p.cfg.Network.Dial(ctx, netip.AddrPortFrom(p.addr.Addr(), 0), to)
	if err != nil {
		return err
	}
	if p.cfg.Transport.Secure() {
		tc := tls.Client(nc, p.cfg.TLS)
		if err := tc.HandshakeContext(ctx); err != nil {
			nc.Close()
			return err
		}
		nc = tc
	}
	p.run(p.newStream(nc), true)
	return nil
}

// Accepted waits for a connection that somebody opened to the peer and makes it
// the current one. It is not needed before Want: the first connection is the
// current one by itself.
func (p *Peer) Accepted() {
	p.t.Helper()
	select {
	case l := <-p.news:
		p.use(l)
	case <-time.After(p.cfg.Timeout):
		p.t.Fatalf("%s: nobody connected within %v", p.cfg.Name, p.cfg.Timeout)
	}
}

// HangUp closes the current connection: on TLS with close_notify.
func (p *Peer) HangUp() {
	p.t.Helper()
	l := p.current()
	p.mu.Lock()
	p.link = nil
	p.mu.Unlock()
	l.close()
}

// TLS is the state of the current connection, nil on UDP and TCP.
func (p *Peer) TLS() *tls.ConnectionState {
	p.t.Helper()
	if tc, ok := p.current().nc.(*tls.Conn); ok {
		st := tc.ConnectionState()
		return &st
	}
	return nil
}

// Send sends bytes as they stand: one message, several or a part of one on a
// stream; one datagram on UDP. Of a whole request it takes note, for Ack,
// Cancel and InDialog.
func (p *Peer) Send(raw string) {
	p.t.Helper()
	l := p.current()
	if l.nc == nil && !l.to.IsValid() {
		p.t.Fatalf("%s: nowhere to send to: call Dial first", p.cfg.Name)
	}
	p.script.sent(raw)
	if err := l.write([]byte(raw), l.to); err != nil {
		p.t.Fatalf("%s: send: %v", p.cfg.Name, err)
	}
}

// Want waits for a response with that status code. A 100 is passed over unless
// it is what is wanted; anything else ends the test.
func (p *Peer) Want(code int) *Message {
	p.t.Helper()
	what := fmt.Sprintf("a %d", code)
	for {
		m := p.next(what)
		switch {
		case m.StatusCode() == code:
			p.script.got(m)
			return m
		case m.StatusCode() == 100:
		default:
			p.fail(what, m)
		}
	}
}

// WantRequest waits for a request with that method. A 100 is passed over;
// anything else ends the test.
func (p *Peer) WantRequest(method sip.Method) *Message {
	p.t.Helper()
	what := "a request " + string(method)
	for {
		m := p.next(what)
		switch {
		case m.IsRequest() && m.Method() == method:
			p.script.got(m)
			return m
		case m.StatusCode() == 100:
		default:
			p.fail(what, m)
		}
	}
}

// WantAgain waits for the same message once more, byte for byte.
func (p *Peer) WantAgain(m *Message) *Message {
	p.t.Helper()
	what := "the same message once more: " + firstLine(m)
	again := p.next(what)
	if string(again.Bytes()) != string(m.Bytes()) {
		p.fail(what, again)
	}
	return again
}

// Next waits for any message.
func (p *Peer) Next() *Message {
	p.t.Helper()
	m := p.next("a message")
	p.script.got(m)
	return m
}

// WantSilence waits for d, in which nothing may come. What has come before and
// was not asked for counts as well, a 100 too.
func (p *Peer) WantSilence(d time.Duration) {
	p.t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case m := <-p.in:
		p.fail(fmt.Sprintf("silence for %v", d), m)
	case <-timer.C:
	}
}

// WantClosed waits until the other side has closed the current connection.
func (p *Peer) WantClosed() {
	p.t.Helper()
	l := p.current()
	select {
	case <-l.ended:
	case <-time.After(p.cfg.Timeout):
		p.t.Fatalf("%s: the connection is still open after %v", p.cfg.Name, p.cfg.Timeout)
	}
}

// next waits for whatever comes.
func (p *Peer) next(what string) *Message {
	p.t.Helper()
	timer := time.NewTimer(p.cfg.Timeout)
	defer timer.Stop()
	select {
	case m := <-p.in:
		return m
	default:
	}
	select {
	case m := <-p.in:
		return m
	case <-timer.C:
		p.t.Fatalf("%s: nothing came within %v, want %s\nlast was: %s", p.cfg.Name, p.cfg.Timeout, what, p.script.last())
	}
	return nil
}

// fail shows what came instead, and what waits behind it.
func (p *Peer) fail(want string, m *Message) {
	p.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "%s: want %s, got %s\n%s", p.cfg.Name, want, firstLine(m), indent(m.Bytes()))
	for {
		select {
		case m := <-p.in:
			fmt.Fprintf(&b, "\nbehind it: %s", firstLine(m))
		default:
			p.t.Fatal(b.String())
			return
		}
	}
}

func firstLine(m *Message) string {
	if m == nil {
		return "nothing"
	}
	line, _, _ := strings.Cut(string(m.Bytes()), "\r\n")
	if cseq := m.First(sip.HdrCSeq); !m.IsRequest() && cseq != nil {
		line += " (CSeq " + string(cseq) + ")"
	}
	return line
}

func indent(b []byte) string {
	return "    " + strings.ReplaceAll(strings.TrimRight(string(b), "\r\n"), "\r\n", "\n    ")
}
