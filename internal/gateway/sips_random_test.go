package gateway

import (
	"context"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/dialog"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// mixer is a user agent that mixes up schemes and transports. It notes what came to it
// against RFC 5630. Its fields belong to its one shard, but for got.
type mixer struct {
	srv     *ua.Server
	flows   []ua.Flow // to the gateway
	rand    *rand.Rand
	at      string
	dialogs []*dialog.Dialog
	sips    atomic.Int64 // requests that came to a sips: URI
	broken  atomic.Pointer[string]
}

func (r *rig) mixer(addr string, seed uint64, over ...transport.Transport) *mixer {
	w := &mixer{rand: rand.New(rand.NewPCG(seed, 5630)), at: addr}
	w.srv = &ua.Server{ShardHandler: w, Network: r.net, Shards: 1}
	if err := w.srv.Start(); err != nil {
		r.Fatal(err)
	}
	name := map[string]string{officeAddr: "office", acmeAddr: "acme", backupAddr: "backup"}[addr]
	for i, t := range over {
		cfg := transport.DialConfig{Key: transport.Key{Transport: t, Remote: r.listener(t), Peer: "gateway"}}
		if t.Reliable() {
			cfg.Local = addrPort(fmt.Sprintf("%v:0", addrPort(addr).Addr()))
		}
		listen := transport.ListenConfig{Name: t.String(), Transport: t, Addr: netip.AddrPortFrom(addrPort(addr).Addr(), addrPort(addr).Port()+uint16(i))}
		if t.Secure() {
			listen.TLS, cfg.TLS = r.tls(name+".example"), r.tls(name+".example")
			if len(over) > 1 { // known by its address
				cfg.TLS.Certificates = nil
			}
			cfg.TLS.ClientAuth = tls.NoClientCert
		}
		if _, err := w.srv.Listen(listen); err != nil {
			r.Fatal(err)
		}
		if len(over) == 1 && t.Secure() && name != "office" {
			continue // the gateway connects
		}
		c, err := w.srv.Endpoint().Dial(context.Background(), cfg)
		if err != nil {
			r.Fatal(err)
		}
		w.flows = append(w.flows, ua.Flow{Conn: c, Addr: r.listener(t)})
	}
	return w
}

// scheme is one of the two.
func (w *mixer) scheme() string { return []string{"sip:", "sips:", "sips:"}[w.rand.IntN(3)] }

func (w *mixer) contact() string { return "Contact: <" + w.scheme() + w.at + ">\r\n" }

// recordRoute is one at times.
func (w *mixer) recordRoute() string {
	if w.rand.IntN(4) > 0 {
		return ""
	}
	return "Record-Route: <" + w.scheme() + w.at + ";lr>\r\n"
}

// judge looks at what the gateway has sent.
func (w *mixer) judge(p *transport.Packet) {
	m := p.Msg
	top, _, _ := strings.Cut(string(m.First(sip.HdrRoute)), ",")
	secure := strings.HasPrefix(strings.ToLower(string(m.RequestURI())), "sips:")
	if secure {
		w.sips.Add(1)
	}
	contact := string(m.First(sip.HdrContact))
	switch text := string(m.Bytes()); {
	case !p.Conn.Transport().Secure() && (secure || strings.Contains(top, "sips:")):
		text = fmt.Sprintf("over %v came\n%s", p.Conn.Transport(), text)
		w.broken.Store(&text)
	case secure && contact != "" && !strings.HasPrefix(contact, "<sips:"):
		text = "a sips: request has a sip: Contact\n" + text
		w.broken.Store(&text)
	case secure && top != "" && !strings.Contains(top, "sips:"):
		text = "a sips: request has a sip: Route\n" + text
		w.broken.Store(&text)
	}
}

// Request makes the mixer a ua.ShardHandler.
func (w *mixer) Request(s *ua.Shard, tx *ua.ServerTx, p *transport.Packet) {
	w.judge(p)
	code := []int{200, 200, 200, 200, 302, 480, 503}[w.rand.IntN(7)]
	tx.Tag = s.NewTag()
	header := strings.TrimSuffix(w.contact()+w.recordRoute()+"Expires: 600\r\n", "\r\n")
	to, _ := p.Msg.To()
	if to.Tag() == nil && code == 200 && dialog.Refreshes(p.Msg.Method()) {
		if d, err := dialog.NewUAS(p.Msg, string(tx.Tag), p.Conn.Transport().Secure()); err == nil {
			w.dialogs = append(w.dialogs, d)
		}
	}
	s.Reply(tx, &sip.StatusError{Code: code, Header: header})
}

// Ack makes the mixer a ua.ShardHandler.
func (w *mixer) Ack(_ *ua.Shard, p *transport.Packet) { w.judge(p) }

// begin sends a request outside of dialogs, ask one inside.
func (w *mixer) begin(s *ua.Shard, method sip.Method) {
	uri := w.scheme() + "+4930123@gw.example"
	w.send(s, method, func(b *sip.Builder) { b.Request(method, []byte(uri)) }, func(b *sip.Builder) {
		b.Header("From", "<", w.scheme(), "a@", w.at, ">;tag=", string(s.NewTag()))
		b.Header("To", "<", uri, ">")
		b.Header("Call-ID", string(s.NewCallID()))
		b.CSeq(1, method)
	})
}

func (w *mixer) ask(s *ua.Shard, method sip.Method) {
	if len(w.dialogs) == 0 {
		return
	}
	d := w.dialogs[w.rand.IntN(len(w.dialogs))]
	w.send(s, method, func(b *sip.Builder) { d.Start(b, method) }, func(b *sip.Builder) { d.Headers(b, method, d.NextSeq()) })
}

func (w *mixer) send(s *ua.Shard, method sip.Method, start, ids func(b *sip.Builder)) {
	if len(w.flows) == 0 {
		return
	}
	flow := w.flows[w.rand.IntN(len(w.flows))]
	var b sip.Builder
	b.Reset(nil)
	start(&b)
	branch := s.NewBranch()
	b.Header("Via", "SIP/2.0/", flow.Conn.Transport().Via(), " ", w.at, ";rport;branch=", string(branch))
	b.Header("Max-Forwards", "70")
	ids(&b)
	b.Raw([]byte(w.contact() + w.recordRoute() + "Event: presence\r\nSubscription-State: active\r\nRefer-To: <" + w.scheme() + "c@d.example>\r\n"))
	s.Request(flow, method, branch, b.Finish(nil), w)
}

// Response makes the mixer a ua.ClientUser: it acknowledges, and keeps the dialog.
func (w *mixer) Response(s *ua.Shard, tx *ua.ClientTx, m *sip.Message) {
	if m.StatusCode() < 200 || m.StatusCode() >= 300 || !m.Has(sip.HdrContact) {
		return
	}
	from, _ := m.From()
	to, _ := m.To()
	contact, _ := m.Contact()
	cseq, _ := m.CSeq()
	d := &dialog.Dialog{
		ID:    dialog.ID{CallID: string(m.CallID()), LocalTag: string(from.Tag()), RemoteTag: string(to.Tag())},
		Local: dialog.Party{URI: string(from.RawURI)}, Remote: dialog.Party{URI: string(to.RawURI)},
		Target: string(contact.RawURI), LocalSeq: dialog.Seq{Value: cseq.Seq, Known: true},
	}
	w.dialogs = append(w.dialogs, d)
	if m.Method() == sip.INVITE {
		var b sip.Builder
		b.Reset(nil)
		d.Start(&b, sip.ACK)
		b.Header("Via", "SIP/2.0/", tx.Flow().Conn.Transport().Via(), " ", w.at, ";rport;branch=", string(s.NewBranch()))
		d.Headers(&b, sip.ACK, cseq.Seq)
		s.Transmit(tx.Flow(), b.Finish(nil))
	}
}

// ClientDone makes the mixer a ua.ClientUser.
func (w *mixer) ClientDone(*ua.Shard, *ua.ClientTx, error) {}

// A sips: request never leaves over a hop that is not TLS, whatever the configuration
// says, and whatever schemes and transports the peers mix (RFC 5630 §4, §5.1.1, §5.3).
func TestNoSIPSRequestLeavesOverAPlainHop(t *testing.T) {
	var seen int64
	transports := rapid.SampledFrom([]transport.Transport{transport.UDP, transport.TCP, transport.TLS, transport.TLS})
	words := rapid.SampledFrom([]string{"required", "allowed", "allowed", "never"})
	methods := []sip.Method{sip.INVITE, sip.INVITE, sip.SUBSCRIBE, sip.MESSAGE, sip.REFER, sip.PUBLISH, sip.OPTIONS}
	inside := []sip.Method{sip.INVITE, sip.UPDATE, sip.BYE, sip.INFO, sip.NOTIFY, sip.SUBSCRIBE, sip.REFER}
	rapid.Check(t, func(rt *rapid.T) {
		targets := transports.Draw(rt, "targets")
		profiles := map[string]string{}
		for _, name := range []string{"office", "acme", "backup"} {
			word := words.Draw(rt, name)
			if word == "required" && (name != "office" && targets != transport.TLS || name == "office") {
				word = "allowed" // check refuses it, or nothing of what is sip: would cross
			}
			profiles[name] = word
		}
		seed := rapid.Uint64().Draw(rt, "seed")
		deeds := rapid.SliceOfN(rapid.IntRange(0, 4*len(methods)-1), 4, 30).Draw(rt, "deeds")
		synctest.Test(t, func(t *testing.T) {
			set := setting{shards: 2, office: transport.UDP, targets: targets, profiles: profiles, routes: "{from: [office], to: [acme, backup]}",
				extra: map[string]string{"office": `accept_from: ["192.0.2.10"]`}}
			for name, word := range profiles {
				set.profiles[name] = "all-" + word
			}
			for _, word := range []string{"required", "allowed", "never"} {
				set.more += "  all-" + word + ": {sips: " + word + ", relay: [message, options, publish, subscribe, refer, notify]}\n"
			}
			set.file = strings.Replace(file(set), "client_certificates: required", "client_certificates: optional", 1)
			r := start(t, set)
			r.office.Close()
			r.acme.Close()
			r.backup.Close()
			synctest.Wait()
			all := []*mixer{
				r.mixer(officeAddr, seed, transport.UDP, transport.TCP, transport.TLS),
				r.mixer(acmeAddr, seed+1, targets), r.mixer(backupAddr, seed+2, targets),
			}
			for _, deed := range deeds {
				w := all[0]
				if deed%4 == 3 {
					w = all[1]
				}
				w.srv.Do(0, func(s *ua.Shard) {
					if deed%2 == 0 {
						w.begin(s, methods[deed/4])
					} else {
						w.ask(s, inside[deed/4])
					}
				})
				time.Sleep(time.Second)
			}
			time.Sleep(2 * time.Minute)
			for _, w := range all {
				if text := w.broken.Load(); text != nil {
					t.Errorf("%s: %s", w.at, *text)
				}
				seen += w.sips.Load()
			}
			r.shut()
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			for _, w := range all {
				w.srv.Close(ctx)
			}
		})
		if t.Failed() {
			rt.Fatalf("targets on %v, profiles %v, seed %d, deeds %v", targets, profiles, seed, deeds)
		}
	})
	if seen == 0 {
		t.Error("no sips: request was seen: the test shows nothing")
	}
}
