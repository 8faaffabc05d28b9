package radius

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"log"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	wire "layeh.com/radius"
	"layeh.com/radius/rfc2866"

	"github.com/sallyport-sip/sallyport/internal/testca"
)

var secret = []byte("correct-horse-battery")

// told is one request that a server has got.
type told struct {
	id     byte
	status Status
	delay  uint32
}

// server is an accounting server on loopback. answer says whether it does, nil for always.
type server struct {
	addr string
	mu   sync.Mutex
	got  []told
}

func serve(t *testing.T, with []byte, answer func(n int) bool) *server {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{addr: pc.LocalAddr().String()}
	p := &wire.PacketServer{
		SecretSource: wire.StaticSecretSource(with), InsecureSkipVerify: string(with) != string(secret), ErrorLog: log.New(io.Discard, "", 0),
		Handler: wire.HandlerFunc(func(w wire.ResponseWriter, r *wire.Request) {
			if n := s.note(r.Packet); answer == nil || answer(n) {
				w.Write(r.Response(wire.CodeAccountingResponse))
			}
		}),
	}
	ended := make(chan struct{})
	go func() { defer close(ended); p.Serve(pc) }()
	t.Cleanup(func() { p.Shutdown(context.Background()); pc.Close(); <-ended })
	return s
}

func (s *server) note(p *wire.Packet) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, told{p.Identifier, Status(rfc2866.AcctStatusType_Get(p)), uint32(rfc2866.AcctDelayTime_Get(p))})
	return len(s.got)
}

func (s *server) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.got)
}

func client(t *testing.T, o Config) *Client {
	if o.Interval == 0 {
		o.Interval = 200 * time.Millisecond
	}
	if o.Tries == 0 {
		o.Tries = 2
	}
	o.Secret = secret
	c := New(o, new(net.Dialer).DialContext)
	t.Cleanup(c.Close)
	return c
}

func start() Request { return Call(Start, "gw1", sample(), time.Time{}) }

// untilTaken sends as who has records does: again and again.
func untilTaken(t *testing.T, c *Client, r Request) {
	t.Helper()
	for range 100 {
		if c.Send(t.Context(), r) == nil {
			return
		}
	}
	t.Fatal("not taken")
}

// A server that is silent is asked again; then another one takes over, and stays the one that is asked.
func TestSecondServerTakesOver(t *testing.T) {
	dead := serve(t, secret, func(int) bool { return false })
	good := serve(t, secret, nil)
	c := client(t, Config{Servers: []Server{{Address: dead.addr}, {Address: good.addr}}})
	untilTaken(t, c, start())
	tried := dead.count()
	if tried < 2 || good.count() == 0 || c.Counts().Silent == 0 || c.Counts().Again == 0 {
		t.Errorf("the first was asked %d times, the second %d; %+v", tried, good.count(), c.Counts())
	}
	c.mu.Lock()
	first := c.current
	c.mu.Unlock()
	if first != 1 {
		t.Errorf("server %d is asked first", first)
	}
}

// After a while the first server is asked again, once, and stays when it answers.
func TestFirstServerComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Config{Servers: make([]Server, 2)}, nil)
		c.answered(1)
		if got := c.first(time.Now().Add(returning - 1)); got != 1 {
			t.Errorf("before: %d", got)
		}
		time.Sleep(returning)
		if a, b := c.first(time.Now()), c.first(time.Now()); a != 0 || b != 1 {
			t.Errorf("then: %d, %d", a, b)
		}
		c.answered(0)
		if got := c.first(time.Now()); got != 0 {
			t.Errorf("when it has answered: %d", got)
		}
	})
}

// An answer of who has another secret is none, and the error says what that may be.
func TestForgedAnswer(t *testing.T) {
	s := serve(t, []byte("another-secret-than-ours"), nil)
	c := client(t, Config{Servers: []Server{{Address: s.addr}}})
	err := c.Send(t.Context(), start())
	for range 100 { // a machine that is slow may not have read the answer in time
		if err == nil || strings.Contains(err.Error(), "authenticator") {
			break
		}
		err = c.Send(t.Context(), start())
	}
	if err == nil || !strings.Contains(err.Error(), "the secret there is another") || c.Counts().Forged == 0 {
		t.Errorf("got %v, %+v", err, c.Counts())
	}
}

// pipe is a datagram connection with a server whose answers take some time.
type pipe struct {
	net.Conn
	answers chan []byte
	got     func(b []byte) (answer []byte, after time.Duration)
	done    chan struct{}
	once    sync.Once
}

func (p *pipe) Write(b []byte) (int, error) {
	if answer, after := p.got(slices.Clone(b)); answer != nil {
		time.AfterFunc(after, func() { p.answers <- answer })
	}
	return len(b), nil
}

func (p *pipe) Read(b []byte) (int, error) {
	select {
	case a := <-p.answers:
		return copy(b, a), nil
	case <-p.done:
		return 0, net.ErrClosed
	}
}

func (p *pipe) Close() error                     { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipe) SetWriteDeadline(time.Time) error { return nil }

// Each sending is a request of its own, with the time since the event; an answer to an earlier one counts.
func TestSlowServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []told
		p := &pipe{answers: make(chan []byte, 9), done: make(chan struct{})}
		p.got = func(b []byte) ([]byte, time.Duration) {
			q, err := wire.Parse(b, secret)
			if err != nil || !wire.IsAuthenticRequest(b, secret) {
				t.Errorf("%x: %v", b, err)
				return nil, 0
			}
			got = append(got, told{q.Identifier, Status(rfc2866.AcctStatusType_Get(q)), uint32(rfc2866.AcctDelayTime_Get(q))})
			if len(got) > 1 { // only the first is answered
				return nil, 0
			}
			a, err := q.Response(wire.CodeAccountingResponse).Encode()
			if err != nil {
				t.Error(err)
			}
			return a, 7 * time.Second
		}
		c := New(Config{Servers: []Server{{Address: "x:1813"}}, Secret: secret, Interval: 3 * time.Second, Tries: 3},
			func(context.Context, string, string) (net.Conn, error) { return p, nil })
		defer c.Close()
		began := time.Now()
		r := Gateway(On, "gw1", "run", began.Add(-10*time.Second))
		if err := c.Send(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != 7*time.Second {
			t.Errorf("it took %v", took)
		}
		if want := []told{{0, On, 10}, {1, On, 13}, {2, On, 16}}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		if c.Counts().Again != 2 {
			t.Errorf("%+v", c.Counts())
		}
		began = time.Now()
		if err := c.Send(t.Context(), r); err == nil || err.Error() != "x:1813: no answer within 9s" || time.Since(began) != 9*time.Second {
			t.Errorf("without an answer: %v after %v", err, time.Since(began))
		}
		if n := len(c.links[0].conn.waiting); n != 0 {
			t.Errorf("%d identifiers are not free again", n)
		}
	})
}

// More than the identifiers there are cannot wait.
func TestIdentifiersAreBounded(t *testing.T) {
	p := &pipe{done: make(chan struct{}), got: func([]byte) ([]byte, time.Duration) { return nil, 0 }}
	k := &conn{nc: p, secret: secret, waiting: make(map[byte]sent)}
	r := start()
	for i := range 257 {
		if err := k.write(&r, make(chan struct{}, 1), time.Second); (err != nil) != (i == 256) {
			t.Fatalf("request %d: %v", i, err)
		}
	}
}

// Over TLS both sides show certificates, the secret is that of the RFC, and who shows a certificate of another name is told nothing.
func TestOverTLS(t *testing.T) {
	ca := testca.New("RADIUS CA")
	for _, tt := range []struct{ name, wrong string }{{"127.0.0.1", ""}, {"radius.example", "127.0.0.1"}} {
		leaf := ca.Leaf(tt.name)
		if tt.wrong == "" {
			leaf = ca.Leaf("radius.example", testca.IP("127.0.0.1"))
		}
		ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
			Certificates: []tls.Certificate{leaf.TLS()}, ClientCAs: ca.Pool(), ClientAuth: tls.RequireAndVerifyClientCert,
		})
		if err != nil {
			t.Fatal(err)
		}
		requests := make(chan []byte, 9)
		var work sync.WaitGroup
		work.Go(func() { answerTLS(ln, requests) })
		ours := ca.Leaf("gateway.example").TLS()
		c := client(t, Config{Servers: []Server{{TLS: true, Address: ln.Addr().String()}}, Roots: ca.Pool(), Certificate: &ours, Interval: 10 * time.Second})
		err = errors.Join(c.Send(t.Context(), start()), c.Send(t.Context(), start()))
		if tt.wrong == "" && (err != nil || len(requests) != 2) {
			t.Errorf("%s: %d requests, %v", tt.name, len(requests), err)
		}
		if tt.wrong != "" && (err == nil || !strings.Contains(err.Error(), tt.wrong) || len(requests) != 0) {
			t.Errorf("%s: %d requests, %v", tt.name, len(requests), err)
		}
		c.Close()
		ln.Close()
		work.Wait()
	}
}

// answerTLS answers on each connection until the listener is closed.
func answerTLS(ln net.Listener, requests chan<- []byte) {
	for {
		nc, err := ln.Accept()
		if err != nil {
			return
		}
		for {
			b := make([]byte, 4096)
			if _, err := io.ReadFull(nc, b[:4]); err != nil {
				break
			}
			n := int(binary.BigEndian.Uint16(b[2:]))
			if _, err := io.ReadFull(nc, b[4:n]); err != nil || !wire.IsAuthenticRequest(b[:n], []byte("radsec")) {
				break
			}
			requests <- b[:n]
			q, _ := wire.Parse(b[:n], []byte("radsec"))
			a, _ := q.Response(wire.CodeAccountingResponse).Encode()
			nc.Write(a)
		}
		nc.Close()
	}
}

// What is no answer is counted and dropped, whatever it is.
func TestJunk(t *testing.T) {
	c := New(Config{}, nil)
	k := &conn{client: c, waiting: map[byte]sent{5: {packet: make([]byte, 20), answer: make(chan struct{}, 1)}}, secret: secret}
	for i, b := range [][]byte{nil, make([]byte, 19), append([]byte{5, 5, 0, 21}, make([]byte, 16)...), append([]byte{2, 5, 0, 20}, make([]byte, 16)...), append([]byte{5, 5, 0, 20}, make([]byte, 16)...)} {
		k.take(b)
		if got := c.Counts().Forged; got != uint64(i+1) {
			t.Errorf("%x: %d are counted", b, got)
		}
	}
	if len(k.waiting[5].answer) != 0 {
		t.Error("one of them was taken")
	}
}
