// Package testdns is a name server for tests, on any network: it answers from
// records, follows aliases among them, counts what it was asked, and can be told
// to be dead, slow, or a liar.
//
// Start reading at [Start]. [Dial] connects a resolver to it over a network in
// memory. It is a miekg/dns server; its goroutines end with the test.
package testdns

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// Network is where the server listens; memnet.Network and a transport's are one.
type Network interface {
	Listen(ctx context.Context, addr netip.AddrPort) (net.Listener, error)
	ListenPacket(ctx context.Context, addr netip.AddrPort) (net.PacketConn, error)
	Dial(ctx context.Context, local, remote netip.AddrPort) (net.Conn, error)
}

// Server is one name server, on UDP and TCP.
type Server struct {
	t    testing.TB
	addr netip.AddrPort
	tcp  net.Listener

	mu      sync.Mutex // guards what follows
	records []dns.RR
	soa     dns.RR
	asked   []string
	handle  func(w dns.ResponseWriter, ask *dns.Msg) bool
}

// Start runs a server with records as a zone file has them. Port 0 takes a free
// one.
func Start(t testing.TB, n Network, addr netip.AddrPort, records ...string) *Server {
	t.Helper()
	s := &Server{t: t}
	pc, err := n.ListenPacket(context.Background(), addr)
	if err != nil {
		t.Fatal(err)
	}
	s.addr = pc.LocalAddr().(*net.UDPAddr).AddrPort()
	l, err := n.Listen(context.Background(), s.addr)
	if err != nil {
		t.Fatal(err)
	}
	s.Add(records...)
	s.serve(&dns.Server{PacketConn: pc, Net: "udp"})
	s.tcp = l
	s.serve(&dns.Server{Listener: l, Net: "tcp"})
	return s
}

func (s *Server) serve(d *dns.Server) {
	up, down := make(chan struct{}), make(chan struct{})
	d.Handler, d.NotifyStartedFunc = s, func() { close(up) }
	go func() {
		defer close(down)
		_ = d.ActivateAndServe() // it ends with Shutdown
	}()
	<-up
	s.t.Cleanup(func() {
		_ = d.Shutdown()
		<-down
	})
}

// Addr is where the server is asked.
func (s *Server) Addr() netip.AddrPort { return s.addr }

// Add adds records.
func (s *Server) Add(records ...string) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, text := range records {
		rr, err := dns.NewRR(text)
		if err != nil || rr == nil {
			s.t.Fatalf("record %q: %v", text, err)
		}
		if rr.Header().Rrtype == dns.TypeSOA {
			s.soa = rr
		}
		s.records = append(s.records, rr)
	}
}

// Clear forgets all records.
func (s *Server) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records, s.soa = nil, nil
}

// Handle has f answer instead, when it returns true; nil ends that.
func (s *Server) Handle(f func(w dns.ResponseWriter, ask *dns.Msg) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handle = f
}

// Silent makes it take questions and not answer.
func (s *Server) Silent() { s.Handle(func(dns.ResponseWriter, *dns.Msg) bool { return true }) }

// Slow makes it answer late.
func (s *Server) Slow(d time.Duration) {
	s.Handle(func(dns.ResponseWriter, *dns.Msg) bool { time.Sleep(d); return false })
}

// CloseTCP makes it refuse connections.
func (s *Server) CloseTCP() { _ = s.tcp.Close() }

// Code makes it answer with a code and nothing else.
func (s *Server) Code(rcode int) {
	s.Handle(func(w dns.ResponseWriter, ask *dns.Msg) bool {
		_ = w.WriteMsg(new(dns.Msg).SetRcode(ask, rcode))
		return true
	})
}

// Asked returns what was asked since the last time, as "SRV _sip._udp.example.com",
// with " tcp" behind what came over TCP.
func (s *Server) Asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.asked
	s.asked = nil
	return asked
}

// ServeDNS makes the server a dns.Handler.
func (s *Server) ServeDNS(w dns.ResponseWriter, ask *dns.Msg) {
	q := ask.Question[0]
	what := dns.TypeToString[q.Qtype] + " " + strings.ToLower(strings.TrimSuffix(q.Name, "."))
	if _, ok := w.RemoteAddr().(*net.TCPAddr); ok {
		what += " tcp"
	}
	s.mu.Lock()
	s.asked = append(s.asked, what)
	handle := s.handle
	s.mu.Unlock()
	if handle != nil && handle(w, ask) {
		return
	}
	m := s.Answer(ask)
	if _, ok := w.RemoteAddr().(*net.UDPAddr); ok {
		m.Truncate(1232)
	}
	_ = w.WriteMsg(m)
}

// Answer makes the true answer to a question.
func (s *Server) Answer(ask *dns.Msg) *dns.Msg {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := new(dns.Msg).SetReply(ask)
	m.RecursionAvailable = true
	q := ask.Question[0]
	name, exists, found := q.Name, false, false
	for range 20 {
		alias := ""
		for _, rr := range s.records {
			h := rr.Header()
			if !strings.EqualFold(h.Name, name) {
				continue
			}
			exists = true
			if h.Rrtype == q.Qtype || h.Rrtype == dns.TypeCNAME {
				m.Answer = append(m.Answer, dns.Copy(rr))
				found = found || h.Rrtype == q.Qtype
			}
			if c, ok := rr.(*dns.CNAME); ok {
				alias = c.Target
			}
		}
		if alias == "" || q.Qtype == dns.TypeCNAME {
			break
		}
		name, exists = alias, false
	}
	if !exists {
		m.Rcode = dns.RcodeNameError
	}
	if s.soa != nil && !found {
		m.Ns = append(m.Ns, dns.Copy(s.soa))
	}
	return m
}

// Dial connects to name servers on a network in memory, as resolve.Resolver asks
// for it.
func Dial(n Network) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return nil, err
		}
		if network == "tcp" {
			return n.Dial(ctx, netip.AddrPort{}, to)
		}
		home := netip.AddrFrom4([4]byte{127, 0, 0, 1})
		if to.Addr().Is6() {
			home = netip.IPv6Loopback()
		}
		pc, err := n.ListenPacket(ctx, netip.AddrPortFrom(home, 0))
		if err != nil {
			return nil, err
		}
		return &datagrams{pc, to}, nil
	}
}

// datagrams is a socket that is connected to one address.
type datagrams struct {
	net.PacketConn
	to netip.AddrPort
}

func (d *datagrams) RemoteAddr() net.Addr { return net.UDPAddrFromAddrPort(d.to) }

func (d *datagrams) Write(b []byte) (int, error) { return d.WriteTo(b, d.RemoteAddr()) }

func (d *datagrams) Read(b []byte) (int, error) {
	for {
		n, from, err := d.ReadFrom(b)
		if err != nil || from.String() == d.to.String() {
			return n, err
		}
	}
}
