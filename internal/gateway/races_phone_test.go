package gateway

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transaction"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// phone is a user agent that keeps to the RFCs, for tests of what may cross: it
// does by itself what they ask of it, with their timers, and on demand what they
// leave to a person. It stands on the shards of our own library, so that
// transactions and their retransmissions are real. Its lines (races_line_test.go)
// belong to its one shard.
type phone struct {
	r    *rig
	name string
	over transport.Transport
	addr netip.AddrPort
	gw   netip.AddrPort
	air  *air
	srv  *ua.Server
	flow ua.Flow // to the gateway, on which calls are made
	rand *rand.Rand

	// What waits for a demand instead of being done at once.
	holdAck, holdPrack, holdReinvite bool
	forks                            int // how many more ring for each INVITE

	lines []*line // owned by the shard, as all below
}

// air is the network as one phone sees it. A phone that is mute has vanished:
// what it sends arrives nowhere, and it hears nothing.
type air struct {
	transport.Network
	mute  atomic.Bool
	twice func() bool // which datagrams arrive twice
}

func (a *air) ListenPacket(ctx context.Context, addr netip.AddrPort) (net.PacketConn, error) {
	pc, err := a.Network.ListenPacket(ctx, addr)
	return airPacket{pc, a}, err
}

func (a *air) Listen(ctx context.Context, addr netip.AddrPort) (net.Listener, error) {
	ln, err := a.Network.Listen(ctx, addr)
	return airListener{ln, a}, err
}

func (a *air) Dial(ctx context.Context, local, remote netip.AddrPort) (net.Conn, error) {
	if a.mute.Load() {
		return nil, errors.New("mute")
	}
	nc, err := a.Network.Dial(ctx, local, remote)
	if err != nil {
		return nil, err
	}
	return airConn{nc, a}, nil
}

type airPacket struct {
	net.PacketConn
	air *air
}

func (p airPacket) WriteTo(b []byte, to net.Addr) (int, error) {
	if p.air.mute.Load() {
		return len(b), nil
	}
	if p.air.twice != nil && p.air.twice() {
		p.PacketConn.WriteTo(b, to)
	}
	return p.PacketConn.WriteTo(b, to)
}

type airListener struct {
	net.Listener
	air *air
}

func (l airListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return airConn{nc, l.air}, nil
}

type airConn struct {
	net.Conn
	air *air
}

func (c airConn) Write(b []byte) (int, error) {
	if c.air.mute.Load() {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

// phone puts a user agent where one of the rig's scripted peers would be.
func (r *rig) phone(name string, over transport.Transport, addr string, twice func() bool) *phone {
	p := &phone{
		r: r, name: name, over: over, addr: addrPort(addr), gw: r.listener(over),
		air: &air{Network: r.net, twice: twice}, rand: rand.New(rand.NewPCG(uint64(len(name)), 3261)),
	}
	p.srv = &ua.Server{ShardHandler: p, Network: p.air, Shards: 1, Reconnect: p.reconnect}
	p.srv.Hooks.Identify = func(transport.ConnInfo, *tlsState) (transport.Identity, error) {
		return transport.Identity{Peer: "gateway"}, nil
	}
	p.srv.AdmitMessage = func(*transport.Packet) error {
		if p.air.mute.Load() {
			return errors.New("mute")
		}
		return nil
	}
	if err := p.srv.Start(); err != nil {
		r.Fatal(err)
	}
	p.listen()
	flow, err := p.dial()
	if err != nil {
		r.Fatal(err)
	}
	p.flow = flow
	return p
}

// dial connects to the gateway.
func (p *phone) dial() (ua.Flow, error) {
	cfg := transport.DialConfig{Key: transport.Key{Transport: p.over, Remote: p.gw, Peer: "gateway"}}
	if p.over.Reliable() {
		cfg.Local = netip.AddrPortFrom(p.addr.Addr(), 0)
	}
	c, err := p.srv.Endpoint().Dial(context.Background(), cfg)
	return ua.Flow{Conn: c, Addr: p.gw}, err
}

// reconnect is where a response goes whose connection has gone: RFC 3261 §18.2.2
// has a server open one to the sent-by of the Via, which is the gateway's listener.
func (p *phone) reconnect(s *ua.Shard, _ string, deliver func(*ua.Shard, *transport.Conn)) {
	p.reach(s, p.flow, func(s *ua.Shard, f ua.Flow) { deliver(s, f.Conn) })
}

// reach gives a flow that is alive, the one given or a new one; one without a
// connection when there is no way.
func (p *phone) reach(s *ua.Shard, f ua.Flow, then func(*ua.Shard, ua.Flow)) {
	if f.Conn.Alive() {
		then(s, f)
		return
	}
	if p.flow.Conn.Alive() {
		then(s, p.flow)
		return
	}
	s.Go(func() func(*ua.Shard) {
		f, err := p.dial()
		return func(s *ua.Shard) {
			if err == nil {
				p.flow = f
			}
			then(s, f)
		}
	})
}

// close ends the phone.
func (p *phone) close() {
	if err := p.srv.Close(context.Background()); err != nil {
		p.r.Errorf("%s: close: %v", p.name, err)
	}
}

// do runs something in the phone's shard.
func (p *phone) do(f func(s *ua.Shard)) { p.srv.Do(0, f) }

// drop resets every connection of the phone's; it comes back by the next
// message that one side has for the other.
func (p *phone) drop() {
	for _, c := range p.srv.Endpoint().PeerConns("gateway") {
		c.Close(errors.New("lost"))
	}
}

// goDown drops every connection of the phone's and takes no new one for a time.
// The phone itself can still connect.
func (p *phone) goDown(span time.Duration) {
	for _, l := range p.srv.Endpoint().Listeners() {
		l.Close()
	}
	p.drop()
	p.do(func(s *ua.Shard) { p.after(s, span, p.listen) })
}

// listen takes connections, or datagrams, at the phone's address.
func (p *phone) listen() {
	if _, err := p.srv.Listen(transport.ListenConfig{Name: "own", Transport: p.over, Addr: p.addr}); err != nil {
		p.r.Error(err)
	}
}

// after runs f later. It may be stopped.
func (p *phone) after(s *ua.Shard, d time.Duration, f func()) *transaction.Timer {
	t := &transaction.Timer{}
	t.Fire = func(any, time.Time) { f() }
	s.Schedule(t, d)
	return t
}

// between draws a time, both ends included.
func (p *phone) between(from, to time.Duration) time.Duration {
	return from + time.Duration(p.rand.Int64N(int64(to-from)/int64(10*time.Millisecond)+1))*10*time.Millisecond
}

// Request makes the phone a ua.ShardHandler.
func (p *phone) Request(s *ua.Shard, tx *ua.ServerTx, packet *transport.Packet) {
	m := packet.Msg
	if to, _ := m.To(); to.Tag() == nil {
		if m.Method() != sip.INVITE {
			s.Reply(tx, &sip.StatusError{Code: 481})
			return
		}
		p.ringing(s, tx, packet)
		return
	}
	l := p.lineOf(m)
	if l == nil {
		s.Reply(tx, &sip.StatusError{Code: 481})
		return
	}
	l.request(s, tx, packet)
}

// Ack makes the phone a ua.ShardHandler.
func (p *phone) Ack(s *ua.Shard, packet *transport.Packet) {
	if l := p.lineOf(packet.Msg); l != nil {
		l.acknowledged(s, packet.Msg)
	}
}

// lineOf finds the line that a request in a dialog is for.
func (p *phone) lineOf(m *sip.Message) *line {
	for _, l := range p.lines {
		if l.d != nil && l.d.Owns(m) {
			return l
		}
	}
	return nil
}

// unfinished says what is left of the phone's lines, nothing when all have ended.
func (p *phone) unfinished() (what []string) {
	p.do(func(*ua.Shard) {
		for i, l := range p.lines {
			if state := l.left(); state != "" {
				what = append(what, fmt.Sprintf("%s, line %d: %s\n%s", p.name, i, state, l.story()))
			}
		}
	})
	return what
}

// unchanged counts changes of a session that a phone wanted and has neither made
// nor been refused for good.
func (p *phone) unchanged() (n int) {
	p.do(func(*ua.Shard) {
		for _, l := range p.lines {
			if l.up && !l.over {
				n += l.wanted
			}
		}
	})
	return n
}

// talking counts the phone's lines on which there is a session.
func (p *phone) talking() (n int) {
	p.do(func(*ua.Shard) {
		for _, l := range p.lines {
			if l.up && !l.over {
				n++
			}
		}
	})
	return n
}
