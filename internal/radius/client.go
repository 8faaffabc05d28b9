// Package radius tells accounting servers of calls (RFC 2866), over UDP or over TLS (RFC 6614).
//
// Its main type is Client, which sends a Request until a server has answered; record.go makes requests of the records of calls. The
// Client has a goroutine for each connection, which ends with Close.
//
// RADIUS over UDP is weak: it hides nothing, and what keeps others from forging is MD5 over a shared secret. Over TLS it has neither
// of these faults.
package radius

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	wire "layeh.com/radius"
	"layeh.com/radius/rfc2866"
)

// Server is where requests go.
type Server struct {
	TLS     bool   // otherwise over UDP
	Address string // host:port
}

// Config says which servers there are and how they are asked.
type Config struct {
	Servers     []Server // the first is asked first
	Secret      []byte   // shared with those over UDP
	Roots       *x509.CertPool
	Certificate *tls.Certificate // that we show over TLS; nil: none
	Interval    time.Duration    // between two tries
	Tries       int              // with one server, before the next is asked
	NAS         string           // what we call ourselves
}

// DialFunc connects as net.Dialer does.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// Counts are what became of requests.
type Counts struct {
	Again  uint64 // retransmissions
	Silent uint64 // times that a server was given up, and the next one was asked
	Forged uint64 // answers that were not of who has the secret, or to nothing that was asked
}

const (
	// secretOverTLS is the secret where TLS does what it would (RFC 6614 section 2.3).
	secretOverTLS = "radsec"
	// returning is for how long the first server is left alone after another one had to take over.
	returning = 5 * time.Minute
)

// Client sends requests. Its methods may be called by any goroutine.
type Client struct {
	o    Config
	dial DialFunc

	again, silent, forged atomic.Uint64

	links   []link // one for each server
	readers sync.WaitGroup

	mu      sync.Mutex // guards what follows
	current int        // the server that answered last
	back    time.Time  // when the first is asked again, while current is another
}

// link is the way to one server.
type link struct {
	mu     sync.Mutex // guards what follows, also while it is made
	conn   *conn      // nil: none
	failed error      // why it could not be made
	until  time.Time  // for how long it is not tried again
}

// unreached is for how long a server that cannot be connected with is left alone.
const unreached = time.Second

// New returns a client without connections.
func New(o Config, dial DialFunc) *Client {
	return &Client{o: o, dial: dial, links: make([]link, len(o.Servers))}
}

// Close ends the connections.
func (c *Client) Close() {
	for i := range c.links {
		c.links[i].mu.Lock()
		if k := c.links[i].conn; k != nil {
			k.end(net.ErrClosed)
		}
		c.links[i].mu.Unlock()
	}
	c.readers.Wait()
}

// Counts says what became of requests.
func (c *Client) Counts() Counts {
	return Counts{c.again.Load(), c.silent.Load(), c.forged.Load()}
}

// Send returns nil when a server has taken the request. It asks each server for some time.
func (c *Client) Send(ctx context.Context, r Request) error {
	asked := time.Now()
	if r.At.IsZero() {
		r.At = asked
	}
	first := c.first(asked)
	var whys []string
	for i := range c.o.Servers {
		n := (first + i) % len(c.o.Servers)
		err := c.ask(ctx, n, &r)
		if err == nil {
			c.answered(n)
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		c.silent.Add(1)
		whys = append(whys, c.o.Servers[n].Address+": "+err.Error())
	}
	return errors.New(strings.Join(whys, "; "))
}

// first is the server to begin with: the one that answered last, and now and then the first one again.
func (c *Client) first(now time.Time) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current != 0 && !now.Before(c.back) {
		c.back = now.Add(returning)
		return 0
	}
	return c.current
}

func (c *Client) answered(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n != c.current {
		c.current, c.back = n, time.Now().Add(returning)
	}
}

// ask sends the request to one server until it answers. Over TLS nothing is lost, so it is sent once, and waits as long.
func (c *Client) ask(ctx context.Context, n int, r *Request) error {
	tries, interval := c.o.Tries, c.o.Interval
	if c.o.Servers[n].TLS {
		tries, interval = 1, interval*time.Duration(tries)
	}
	k, err := c.connected(ctx, n, interval)
	if err != nil {
		return err
	}
	answer := make(chan struct{}, 1)
	defer k.forget(answer)
	t := time.NewTimer(interval)
	defer t.Stop()
	for try := range tries {
		if try > 0 {
			c.again.Add(1)
			t.Reset(interval)
		}
		if err := k.write(r, answer, interval); err != nil {
			k.end(err)
			return err
		}
		select {
		case <-answer:
			return nil
		case <-k.dead:
			return k.err
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
	}
	err = fmt.Errorf("no answer within %v", time.Duration(tries)*interval)
	if k.forged.Load() {
		err = fmt.Errorf("%w, only some with a wrong authenticator: the secret there is another, or somebody else answers", err)
	}
	k.end(err) // the next request makes a new connection, and looks the server's name up anew
	return err
}

// connected returns the connection with a server, which it makes when there is none.
func (c *Client) connected(ctx context.Context, n int, within time.Duration) (*conn, error) {
	l := &c.links[n]
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil && !l.conn.over() {
		return l.conn, nil
	}
	if time.Now().Before(l.until) {
		return nil, l.failed
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	k, err := c.connect(ctx, c.o.Servers[n])
	if err != nil {
		l.failed, l.until = err, time.Now().Add(unreached)
		return nil, err
	}
	l.conn = k
	c.readers.Go(k.read)
	return k, nil
}

func (c *Client) connect(ctx context.Context, s Server) (*conn, error) {
	network := "udp"
	if s.TLS {
		network = "tcp"
	}
	nc, err := c.dial(ctx, network, s.Address)
	if err != nil {
		return nil, err
	}
	k := &conn{nc: nc, client: c, secret: c.o.Secret, waiting: make(map[byte]sent), dead: make(chan struct{})}
	if s.TLS {
		if k.nc, err = c.secure(ctx, nc, s.Address); err != nil {
			nc.Close()
			return nil, err
		}
		k.stream, k.secret = true, []byte(secretOverTLS)
	}
	return k, nil
}

func (c *Client) secure(ctx context.Context, nc net.Conn, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	o := &tls.Config{ServerName: host, RootCAs: c.o.Roots, MinVersion: tls.VersionTLS12}
	if c.o.Certificate != nil {
		o.Certificates = []tls.Certificate{*c.o.Certificate}
	}
	t := tls.Client(nc, o)
	return t, t.HandshakeContext(ctx)
}

// packet is the request as it is sent now. A new Acct-Delay-Time makes it a new one each time (RFC 2866 section 3).
func (r *Request) packet(id byte, secret []byte, now time.Time) ([]byte, error) {
	p := wire.Packet{Code: wire.CodeAccountingRequest, Identifier: id, Secret: secret}
	p.Attributes = append(p.Attributes, r.attributes...)
	p.Attributes.Add(rfc2866.AcctDelayTime_Type, wire.NewInteger(uint32(max(now.Sub(r.At), 0)/time.Second)))
	return p.Encode()
}
