package transaction

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
	"pgregory.net/rapid"
)

// chaos is a TU that counts how each transaction ends, fails sends at random
// and asks for things in the middle of callbacks.
type chaos struct {
	t       *rapid.T
	now     time.Time
	timers  *Timers
	layer   *Layer
	clients map[*Client]string
	servers map[*Server]string
	ended   int
	broken  bool // sends fail now
}

func (x *chaos) SendClient(c *Client, b []byte) {
	if len(b) == 0 {
		x.t.Fatal("a client sends nothing")
	}
	if x.broken {
		x.layer.ClientFailed(c, errors.New("broken"))
	}
}

func (x *chaos) SendServer(s *Server, b []byte) {
	if len(b) == 0 {
		x.t.Fatal("a server sends nothing")
	}
	if x.broken {
		x.layer.ServerFailed(s, errors.New("broken"))
	}
}

func (x *chaos) ClientResponse(c *Client, m *sip.Message) {
	if c.State() == Completed && c.Method == sip.INVITE && m.StatusCode() < 300 {
		x.t.Fatalf("%d reached the TU after a failure", m.StatusCode())
	}
	if m.StatusCode() == 183 {
		x.layer.CancelSent(x.now, c)
	}
}

func (x *chaos) ClientDone(c *Client, _ error) {
	if _, ok := x.clients[c]; !ok && c.Owner != "starting" {
		x.t.Fatal("a client ended twice")
	}
	delete(x.clients, c)
	x.ended++
}

func (x *chaos) ServerDone(s *Server, _ error) {
	if _, ok := x.servers[s]; !ok {
		x.t.Fatal("a server ended twice")
	}
	delete(x.servers, s)
	x.ended++
}

func (x *chaos) advance(d time.Duration) {
	end := x.now.Add(d)
	for next, ok := x.timers.Next(); ok && !next.After(end); next, ok = x.timers.Next() {
		if next.After(x.now) {
			x.now = next
		}
		x.timers.Advance(x.now)
	}
	x.now = end
}

// respond answers through the layer and forgets a server that ends by it.
func (x *chaos) respond(s *Server, code int) {
	s.Respond(x.now, code, []byte(reply(code, string(s.Method), x.servers[s])))
}

// TestRandomOrders sends requests, responses, time and failures in any order
// and looks that nothing panics, that each transaction ends exactly once, and
// that once the TU has answered all are gone when the longest timers have run.
func TestRandomOrders(t *testing.T) {
	methods := []sip.Method{sip.INVITE, sip.CANCEL, sip.OPTIONS, sip.BYE}
	codes := []int{100, 180, 183, 200, 202, 302, 408, 486, 600}
	rapid.Check(t, func(t *rapid.T) {
		x := &chaos{t: t, now: epoch, timers: NewTimers(epoch), clients: map[*Client]string{}, servers: map[*Server]string{}}
		x.layer = NewLayer(Config{}, x.timers, x)
		begun := 0
		for range rapid.IntRange(1, 150).Draw(t, "steps") {
			br := fmt.Sprintf("%s%d", rapid.SampledFrom([]string{"z9hG4bK", "old"}).Draw(t, "kind"), rapid.IntRange(0, 3).Draw(t, "branch"))
			method := rapid.SampledFrom(methods).Draw(t, "method")
			code := rapid.SampledFrom(codes).Draw(t, "code")
			reliable := rapid.Bool().Draw(t, "reliable")
			switch rapid.IntRange(0, 7).Draw(t, "what") {
			case 0:
				if x.layer.client([]byte(br), method) == nil {
					begun++
					c := x.layer.NewClient(x.now, Outgoing{
						Bytes: []byte(ask(string(method), br)), Method: method, Branch: []byte(br), Reliable: reliable,
					})
					x.clients[c] = br
				}
			case 1:
				m, err := sip.Parse([]byte(reply(code, string(method), br)))
				if err != nil {
					t.Fatal(err)
				}
				x.layer.Response(x.now, m)
				m.Release()
			case 2, 3:
				if rapid.Bool().Draw(t, "ack") {
					method = sip.ACK
				}
				m, err := sip.Parse([]byte(ask(string(method), br)))
				if err != nil {
					t.Fatal(err)
				}
				in := x.layer.Request(x.now, m, Origin{Reliable: reliable})
				m.Release()
				if in.Server != nil {
					begun++
					if _, ok := x.servers[in.Server]; ok {
						t.Fatal("a server transaction is used twice at once")
					}
					x.servers[in.Server] = br
				}
			case 4:
				for s := range x.servers {
					if x.servers[s] == br && s.Method == method {
						x.respond(s, code)
						break
					}
				}
			case 5:
				x.advance(time.Duration(rapid.IntRange(0, 40_000).Draw(t, "ms")) * ms)
			case 6:
				x.broken = !x.broken
			case 7:
				if c := x.layer.client([]byte(br), method); c != nil {
					x.layer.ClientFailed(c, errors.New("gone"))
				}
			}
			if x.layer.Len() != len(x.clients)+len(x.servers) {
				t.Fatalf("Len is %d, with %d clients and %d servers alive", x.layer.Len(), len(x.clients), len(x.servers))
			}
		}
		for s := range x.servers {
			x.respond(s, 486)
		}
		// The longest way out: timer C, unless a final response comes.
		cfg := DefaultConfig()
		x.advance(cfg.TimerC + cfg.lifetime())
		l := x.layer
		if x.ended != begun || l.Len() != 0 || x.timers.Len() != 0 || len(l.clients)+len(l.servers)+len(l.merges) != 0 {
			t.Fatalf("%d of %d ended, %d left, %d timers", x.ended, begun, l.Len(), x.timers.Len())
		}
	})
}

// TestHashCollisions puts everything under one hash: keys still tell apart, and
// each can be removed from any place of the chain.
func TestHashCollisions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all [5]struct {
			place link[int]
			value int
		}
		in := map[*int]bool{}
		table := table[int]{}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			e := &all[rapid.IntRange(0, len(all)-1).Draw(t, "entry")]
			if in[&e.value] {
				table.remove(&e.place)
				table.remove(&e.place) // twice does no harm
				delete(in, &e.value)
			} else {
				table.insert(7, &e.place, &e.value)
				in[&e.value] = true
			}
			n := 0
			for p := table[7]; p != nil; p = p.next {
				if !in[p.of] {
					t.Fatal("a removed entry is still there")
				}
				n++
			}
			if n != len(in) || (len(table) != 0) != (len(in) != 0) {
				t.Fatalf("%d entries, want %d", n, len(in))
			}
		}
	})
}
