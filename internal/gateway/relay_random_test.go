package gateway

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/sallyport-sip/sallyport/internal/memnet"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/dialog"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// watcher is a user agent of random subscriptions: it subscribes, or it notifies.
// Its fields belong to its one shard.
type watcher struct {
	srv     *ua.Server
	flow    ua.Flow
	rand    *rand.Rand
	at      string
	dialogs []*dialog.Dialog
	asked   int // requests
	ended   int // of them, transactions that are over
	final   int // of them, final responses
}

func (r *rig) watcher(over transport.Transport, addr string, seed uint64, twice func() bool) *watcher {
	w := &watcher{rand: rand.New(rand.NewPCG(seed, 6665)), at: addr}
	w.srv = &ua.Server{ShardHandler: w, Network: &air{Network: r.net, twice: twice}, Shards: 1}
	if err := w.srv.Start(); err != nil {
		r.Fatal(err)
	}
	if _, err := w.srv.Listen(transport.ListenConfig{Name: "own", Transport: over, Addr: addrPort(addr)}); err != nil {
		r.Fatal(err)
	}
	cfg := transport.DialConfig{Key: transport.Key{Transport: over, Remote: r.listener(over), Peer: "gateway"}}
	if over.Reliable() {
		cfg.Local = addrPort(addr)
		cfg.Local = addrPort(fmt.Sprintf("%v:0", cfg.Local.Addr()))
	}
	c, err := w.srv.Endpoint().Dial(context.Background(), cfg)
	if err != nil {
		r.Fatal(err)
	}
	w.flow = ua.Flow{Conn: c, Addr: r.listener(over)}
	return w
}

// Request makes the watcher a ua.ShardHandler: it takes everything, and notifies
// whoever subscribes.
func (w *watcher) Request(s *ua.Shard, tx *ua.ServerTx, p *transport.Packet) {
	if w.rand.IntN(12) == 0 {
		s.Reply(tx, &sip.StatusError{Code: []int{481, 489, 500, 503}[w.rand.IntN(4)]})
		return
	}
	tx.Tag = s.NewTag()
	to, _ := p.Msg.To()
	if p.Msg.Method() != sip.SUBSCRIBE {
		s.Reply(tx, &sip.StatusError{Code: 200})
		return
	}
	value := p.Msg.First(sip.HdrExpires)
	s.Reply(tx, &sip.StatusError{Code: 200, Header: "Contact: <sip:" + w.at + ">\r\nExpires: " + string(value)})
	if to.Tag() == nil {
		d, err := dialog.NewUAS(p.Msg, string(tx.Tag), false)
		if err != nil {
			panic(err)
		}
		w.dialogs = append(w.dialogs, d)
	}
	state := "active;expires=" + string(value)
	if string(value) == "0" {
		state = "terminated;reason=timeout"
	}
	w.ask(s, sip.NOTIFY, "Subscription-State: "+state)
}

// Ack makes the watcher a ua.ShardHandler.
func (w *watcher) Ack(*ua.Shard, *transport.Packet) {}

// ask sends a request in one of the dialogs.
func (w *watcher) ask(s *ua.Shard, method sip.Method, field string) {
	if len(w.dialogs) == 0 {
		return
	}
	d := w.dialogs[w.rand.IntN(len(w.dialogs))]
	var b sip.Builder
	b.Reset(nil)
	d.Start(&b, method)
	w.send(s, &b, method, field, func() { d.Headers(&b, method, d.NextSeq()) })
}

// begin sends a request outside of dialogs.
func (w *watcher) begin(s *ua.Shard, method sip.Method, field string) {
	var b sip.Builder
	b.Reset(nil)
	b.Request(method, []byte(number))
	w.send(s, &b, method, field, func() {
		b.Header("From", "<sip:watcher@", w.at, ">;tag=", string(s.NewTag()))
		b.Header("To", "<", number, ">")
		b.Header("Call-ID", string(s.NewCallID()))
		b.CSeq(1, method)
	})
}

func (w *watcher) send(s *ua.Shard, b *sip.Builder, method sip.Method, field string, ids func()) {
	branch := s.NewBranch()
	b.Header("Via", "SIP/2.0/", w.flow.Conn.Transport().Via(), " ", w.at, ";rport;branch=", string(branch))
	b.Header("Max-Forwards", "70")
	ids()
	b.Header("Contact", "<sip:", w.at, ">")
	b.Header("Event", "presence")
	b.Raw([]byte(field + "\r\n"))
	w.asked++
	s.Request(w.flow, method, branch, b.Finish(nil), w)
}

// Response makes the watcher a ua.ClientUser.
func (w *watcher) Response(_ *ua.Shard, _ *ua.ClientTx, m *sip.Message) {
	if m.StatusCode() < 200 {
		return
	}
	w.final++
	from, _ := m.From()
	to, _ := m.To()
	if cseq, _ := m.CSeq(); m.Method() != sip.SUBSCRIBE || cseq.Seq != 1 || m.StatusCode() >= 300 {
		return
	}
	contact, _ := m.Contact()
	w.dialogs = append(w.dialogs, &dialog.Dialog{
		ID:    dialog.ID{CallID: string(m.CallID()), LocalTag: string(from.Tag()), RemoteTag: string(to.Tag())},
		Local: dialog.Party{URI: string(from.RawURI)}, Remote: dialog.Party{URI: string(to.RawURI)},
		Target: string(contact.RawURI), LocalSeq: dialog.Seq{Value: 1, Known: true},
	})
}

// ClientDone makes the watcher a ua.ClientUser.
func (w *watcher) ClientDone(*ua.Shard, *ua.ClientTx, error) { w.ended++ }

func (w *watcher) do(f func(s *ua.Shard)) { w.srv.Do(0, f) }

// Subscriptions at random over a network that loses, doubles and overtakes leave
// nothing behind, and each request has one final response or none in 64*T1.
func TestRandomSubscriptions(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		over := rapid.SampledFrom([]transport.Transport{transport.UDP, transport.UDP, transport.TCP})
		a, b := over.Draw(rt, "a"), over.Draw(rt, "b")
		share := func(name string, most int) float64 { return float64(rapid.IntRange(0, most).Draw(rt, name)) / 100 }
		o := memnet.Options{Seed: rapid.Uint64().Draw(rt, "seed"), Delay: delay, Loss: share("loss", 25), Reorder: share("reorder", 25), ReorderBy: 3 * delay}
		twice := share("twice", 25)
		deeds := rapid.SliceOfN(rapid.IntRange(0, 6), 1, 20).Draw(rt, "deeds")
		waits := rapid.SliceOfN(rapid.SampledFrom([]int{0, 1, 20, 60, 500, 4000, 33000}), len(deeds), len(deeds)).Draw(rt, "waits")
		synctest.Test(t, func(t *testing.T) {
			r := start(t, setting{shards: 2, office: a, targets: b, network: o, routes: "{from: [office], to: [acme]}"})
			r.office.Close()
			r.acme.Close()
			r.backup.Close()
			source := rand.New(rand.NewPCG(o.Seed, 1))
			near := r.watcher(a, officeAddr, o.Seed, func() bool { return source.Float64() < twice })
			far := r.watcher(b, acmeAddr, o.Seed+1, nil)
			for i, deed := range deeds {
				time.Sleep(time.Duration(waits[i]) * time.Millisecond)
				switch deed {
				case 0, 1:
					near.do(func(s *ua.Shard) { near.begin(s, sip.SUBSCRIBE, "Expires: 60") })
				case 2:
					near.do(func(s *ua.Shard) { near.begin(s, sip.MESSAGE, "X: y") })
				case 3:
					near.do(func(s *ua.Shard) { near.ask(s, sip.SUBSCRIBE, "Expires: 60") })
				case 4:
					near.do(func(s *ua.Shard) { near.ask(s, sip.SUBSCRIBE, "Expires: 0") })
				case 5:
					far.do(func(s *ua.Shard) { far.ask(s, sip.NOTIFY, "Subscription-State: active") })
				case 6:
					far.do(func(s *ua.Shard) { far.ask(s, sip.NOTIFY, "Subscription-State: terminated") })
				}
			}
			time.Sleep(time.Minute + 4*lifetime)
			synctest.Wait()
			if n, open := r.relay.Subscriptions(), r.relay.Open(); n != 0 || open != 0 {
				t.Errorf("%d subscriptions and %d requests are left", n, open)
			}
			r.relayed()
			for _, p := range r.Peers() {
				if n := p.State.Subscriptions.Load() + p.State.Notifying.Load(); n != 0 {
					t.Errorf("%s has %d subscriptions", p.Name, n)
				}
			}
			for _, w := range []*watcher{near, far} {
				w.do(func(*ua.Shard) {
					if w.ended != w.asked || w.final > w.asked {
						t.Errorf("%s asked %d times: %d are over, with %d final responses", w.at, w.asked, w.ended, w.final)
					}
				})
			}
			r.shut()
			for _, w := range []*watcher{near, far} {
				if err := w.srv.Close(context.Background()); err != nil {
					t.Error(err)
				}
			}
		})
		if t.Failed() {
			rt.Fatalf("%v to %v, %+v, twice %v, deeds %v, waits %v", a, b, o, twice, deeds, waits)
		}
	})
}
