package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/internal/memnet"
	"github.com/sallyport-sip/sallyport/internal/testca"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// mortal is a network whose connections one side can lose.
type mortal struct {
	*memnet.Network
	mu    sync.Mutex // guards conns
	conns []*memnet.Conn
}

type mortalListener struct {
	net.Listener
	n *mortal
}

func (n *mortal) keep(nc net.Conn, err error) (net.Conn, error) {
	if err == nil {
		n.mu.Lock()
		n.conns = append(n.conns, nc.(*memnet.Conn))
		n.mu.Unlock()
	}
	return nc, err
}

func (l mortalListener) Accept() (net.Conn, error) { return l.n.keep(l.Listener.Accept()) }

func (n *mortal) Listen(ctx context.Context, addr netip.AddrPort) (net.Listener, error) {
	l, err := n.Network.Listen(ctx, addr)
	return mortalListener{l, n}, err
}

func (n *mortal) Dial(ctx context.Context, local, remote netip.AddrPort) (net.Conn, error) {
	return n.keep(n.Network.Dial(ctx, local, remote))
}

// opened is how many connections there were.
func (n *mortal) opened() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.conns)
}

// lose ends every connection below TLS.
func (n *mortal) lose(end func(*memnet.Conn)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.conns {
		end(c)
	}
}

// box is a peer made of the library's user agent, over TLS.
type box struct {
	*ua.Server
	r     *rig
	net   *mortal
	addr  netip.AddrPort
	conf  *tls.Config
	calls chan *ua.Call // that it accepted
}

// box replaces a scripted peer.
func (r *rig) box(p *siptest.Peer, name string) *box {
	p.Close()
	b := &box{
		r: r, net: &mortal{Network: r.net}, addr: p.Addr(), conf: r.tls(name + ".example"),
		calls: make(chan *ua.Call, 100),
	}
	b.Server = &ua.Server{
		Shards: 2, Network: b.net,
		Handler: ua.HandlerFunc(func(q *ua.Request) {
			if call, err := q.Accept(ua.Body("application/sdp", []byte(answer))); err == nil {
				b.calls <- call
			}
		}),
		Hooks: transport.Hooks{Identify: func(transport.ConnInfo, *tls.ConnectionState) (transport.Identity, error) {
			return transport.Identity{Peer: "gateway"}, nil
		}},
	}
	b.Reconnect = func(s *ua.Shard, _ string, deliver func(*ua.Shard, *transport.Conn)) {
		s.Go(func() func(*ua.Shard) {
			c, err := b.Connect(r.Context(), b.gateway())
			return func(s *ua.Shard) {
				if err != nil {
					c = nil
				}
				deliver(s, c)
			}
		})
	}
	if err := b.Start(); err != nil {
		r.Fatal(err)
	}
	b.listen(b.conf)
	return b
}

func (b *box) listen(conf *tls.Config) {
	b.r.Helper()
	if _, err := b.Listen(transport.ListenConfig{Name: "tls", Transport: transport.TLS, Addr: b.addr, TLS: conf}); err != nil {
		b.r.Fatal(err)
	}
}

// deaf stops it from accepting connections.
func (b *box) deaf() {
	for _, l := range b.Endpoint().Listeners() {
		l.Close()
	}
}

func (b *box) gateway() ua.Target {
	return ua.Target{Transport: transport.TLS, Addr: b.r.listener(transport.TLS), TLS: b.conf, Peer: "gateway", Local: netip.AddrPortFrom(b.addr.Addr(), 0)}
}

func (b *box) stop() {
	if err := b.Close(b.r.Context()); err != nil {
		b.r.Error(err)
	}
}

// talk makes calls between two boxes through the gateway.
func talk(from, to *box, n int) (ours, theirs []*ua.Call) {
	for range n {
		call, err := from.Invite(from.r.Context(), from.gateway(), ua.InviteOptions{URI: number}, ua.Body("application/sdp", []byte(offer)))
		if err != nil {
			from.r.Fatal(err)
		}
		ours, theirs = append(ours, call), append(theirs, <-to.calls)
	}
	synctest.Wait()
	if live := from.r.Calls(); live != n {
		from.r.Fatalf("%d calls are up, want %d", live, n)
	}
	return ours, theirs
}

// byes hangs all calls up at once and wants each to end on both sides.
func (r *rig) byes(near, far []*ua.Call) {
	r.Helper()
	var all sync.WaitGroup
	for i := range near {
		all.Go(func() {
			if err := near[i].Bye(r.Context()); err != nil {
				r.Errorf("call %d: %v", i, err)
			}
		})
	}
	all.Wait()
	synctest.Wait()
	for i, call := range far {
		if call.Context().Err() == nil || call.Err() != nil {
			r.Errorf("call %d got no BYE: %v", i, context.Cause(call.Context()))
		}
	}
}

// deaths are the ways in which a connection goes.
var deaths = map[string]func(*box){
	"cut off": func(b *box) { b.net.lose((*memnet.Conn).Reset) },
	"ended without close_notify": func(b *box) {
		b.net.lose(func(c *memnet.Conn) { c.Close() })
	},
	"closed in order": func(b *box) {
		for c := range b.Endpoint().Conns() {
			c.Close(errors.New("the server stops"))
		}
	},
}

// boxes runs a test with an office that calls acme, both over TLS.
func boxes(t *testing.T, shards int, f func(r *rig, office, acme *box)) {
	run(t, setting{shards: shards, office: transport.TLS, targets: transport.TLS}, func(r *rig) {
		office, acme := r.box(r.office, "office"), r.box(r.acme, "acme")
		f(r, office, acme)
		r.none()
		office.stop()
		acme.stop()
	})
}

// A connection that closes under calls ends none of them: the next request in
// each dials again, one connection for all.
func TestCallsOutliveTheirConnections(t *testing.T) {
	const calls = 50
	for how, die := range deaths {
		for _, c := range []struct {
			name              string
			officeDies, hangs string // whose connections go, and who hangs up
		}{
			{"the target's server dies, the caller hangs up", "acme", "office"},
			{"the target's server dies, the target hangs up", "acme", "acme"},
			{"the caller's connection dies, the caller hangs up", "office", "office"},
			{"the caller's connection dies, the target hangs up", "office", "acme"},
		} {
			t.Run(how+", "+c.name, func(t *testing.T) {
				for _, noticed := range []bool{true, false} {
					boxes(t, 3, func(r *rig, office, acme *box) {
						ours, theirs := talk(office, acme, calls)
						victim := acme
						if c.officeDies == "office" {
							victim = office
						}
						before := victim.net.opened()
						victim.deaf()
						die(victim)
						if noticed {
							synctest.Wait()
							time.Sleep(time.Minute)
						}
						victim.listen(victim.conf)
						if live := r.Calls(); live != calls {
							t.Errorf("%d calls live after the connection died, want %d", live, calls)
						}
						near, far := ours, theirs
						if c.hangs == "acme" {
							near, far = theirs, ours
						}
						r.byes(near, far)
						if got := victim.net.opened() - before; got != 1 {
							t.Errorf("%d new connections, want one for all calls", got)
						}
					})
				}
			})
		}
	}
}

// Whoever comes back under another name gets nothing of the calls, and they end.
func TestCallsAreNotGivenToAnotherName(t *testing.T) {
	boxes(t, 1, func(r *rig, office, acme *box) {
		const calls = 50
		ours, theirs := talk(office, acme, calls)
		acme.deaf()
		acme.net.lose((*memnet.Conn).Reset)
		synctest.Wait()
		acme.listen(r.tls("elsewhere.example"))
		received := acme.Endpoint().Stats().MessagesIn.Load()
		r.byes(ours, nil)
		if got := acme.Endpoint().Stats().MessagesIn.Load(); got != received {
			t.Errorf("%d messages went to another name", got-received)
		}
		r.none()
		for i, call := range theirs {
			if call.Context().Err() != nil {
				t.Errorf("call %d ended: %v", i, context.Cause(call.Context()))
			}
		}
		const want = "certificate is for"
		if n := strings.Count(r.log.String(), want); n < calls {
			t.Errorf("the log says %d times %q, want it for each of %d calls", n, want, calls)
		}
	})
}

// A request in a dialog goes over the connection that the dialog lives on, so it
// reaches a peer that accepts no new ones.
func TestByeReachesAPeerThatTakesNoConnections(t *testing.T) {
	for _, hangs := range []string{"office", "acme"} {
		t.Run(hangs+" hangs up", func(t *testing.T) {
			boxes(t, 1, func(r *rig, office, acme *box) {
				ours, theirs := talk(office, acme, 3)
				office.deaf()
				acme.deaf()
				before := office.net.opened() + acme.net.opened()
				if hangs == "office" {
					r.byes(ours, theirs)
				} else {
					r.byes(theirs, ours)
				}
				if got := office.net.opened() + acme.net.opened(); got != before {
					t.Errorf("%d new connections", got-before)
				}
			})
		})
	}
}

// A caller that nobody can connect to lost its connection and came back: what is
// for its calls takes the new one.
func TestCallsFollowACallerThatComesBack(t *testing.T) {
	for _, speaks := range []bool{false, true} {
		t.Run(fmt.Sprintf("it speaks first: %v", speaks), func(t *testing.T) {
			boxes(t, 1, func(r *rig, office, acme *box) {
				ours, theirs := talk(office, acme, 3)
				office.deaf()
				office.net.lose((*memnet.Conn).Reset)
				time.Sleep(time.Minute)
				if _, err := office.Connect(r.Context(), office.gateway()); err != nil {
					t.Fatal(err)
				}
				if speaks {
					for _, call := range ours {
						m, err := call.Do(r.Context(), sip.OPTIONS)
						if err != nil {
							t.Fatal(err)
						}
						m.Release()
					}
				}
				synctest.Wait()
				r.byes(theirs, ours)
			})
		})
	}
}

// Two minutes without a call end many a connection. That is ordinary when TLS
// says so with close_notify, noted when it does not, a warning when the connection
// was cut, and never the end of a call.
func TestEndOfAnIdleConnectionUnderCalls(t *testing.T) {
	for how, want := range map[string]struct{ level, words string }{
		"closed in order":            {"INFO", "the other side closed the connection after 2m0s idle"},
		"ended without close_notify": {"INFO", "the other side closed the connection without close_notify after 2m0s idle"},
		"cut off":                    {"WARN", "the other side reset the connection"},
	} {
		t.Run(how, func(t *testing.T) {
			boxes(t, 1, func(r *rig, office, acme *box) {
				ours, theirs := talk(office, acme, 3)
				time.Sleep(2 * time.Minute)
				deaths[how](acme)
				synctest.Wait()
				if r.Calls() != 3 {
					t.Fatalf("%d calls live, want all three", r.Calls())
				}
				var told strings.Builder
				for line := range strings.Lines(r.log.String()) {
					if strings.Contains(line, "connection closed") && strings.Contains(line, "peer=acme") {
						told.WriteString(line)
					}
				}
				if !strings.Contains(told.String(), "level="+want.level) || !strings.Contains(told.String(), want.words) || strings.Count(told.String(), "\n") != 1 {
					t.Errorf("the log says\n%swant one line of %s with %q", told.String(), want.level, want.words)
				}
				for _, f := range r.recorder.Flows() {
					found := false
					for _, row := range f.Rows {
						found = found || strings.Contains(row.Label+row.Note, want.words)
					}
					if !found {
						t.Errorf("the flow of call %s does not say %q", f.ID, want.words)
					}
				}
				r.byes(ours, theirs)
			})
		})
	}
}

// A connection that a reload has retired lasts as long as a call may need it.
func TestRetiredConnectionsEndWithTheirCalls(t *testing.T) {
	for _, back := range []bool{false, true} {
		t.Run(fmt.Sprintf("taken back: %v", back), func(t *testing.T) {
			run(t, mutual, func(r *rig) {
				r.write(r.dir, "other.pem", testca.New("another CA").PEM())
				r.answered()
				conns := r.open()
				r.rewrite("  partners: {files: [ca.pem]}\n", "  partners: {files: [ca.pem]}\n  others: {files: [other.pem]}\n",
					"certificate_names: [acme.example]", "certificate_names: [acme.example], trust: [others]",
					"certificate_names: [office.example]", "certificate_names: [office.example], trust: [others]")
				r.takes()
				time.Sleep(5 * time.Minute) // less than what the peers would be asked after
				if n := r.open(); n != conns {
					t.Fatalf("%d connections under a call, before the reload %d", n, conns)
				}
				if back {
					r.rewrite()
					r.takes()
				}
				r.hangUp(r.acme, r.office)
				time.Sleep(time.Minute)
				if n := r.open(); back && n != conns || !back && n != 0 {
					t.Errorf("%d connections after the call, %d before", n, conns)
				}
				if got := strings.Contains(r.log.String(), "no call needs it any more"); got == back {
					t.Errorf("the log says why: %v", got)
				}
			})
		})
	}
}
