package gateway

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// page is one browser with one dialog, which may lose its WebSocket and come back.
type page struct {
	*rig
	c    *websocket.Conn
	name string
	to   string
	seq  int
}

func (r *rig) page(name string) *page {
	p := &page{rig: r, name: name, to: "<sip:bob@gw.example>"}
	p.connects()
	return p
}

func (p *page) connects() {
	p.Helper()
	c, err := p.browser("https://phone.example")
	if err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() { c.CloseNow() })
	p.c = c
	synctest.Wait()
}

// loses is the end of the WebSocket without a word.
func (p *page) loses() {
	p.c.CloseNow()
	synctest.Wait()
}

const pageOffer = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"

func (p *page) asks(method sip.Method) {
	p.Helper()
	if method != sip.ACK {
		p.seq++
	}
	text := fmt.Sprintf("%s sip:bob@gw.example;transport=ws SIP/2.0\r\nVia: SIP/2.0/WSS %s.invalid;branch=z9hG4bK%s%d%s\r\nMax-Forwards: 70\r\n"+
		"To: %s\r\nFrom: <sip:%s@gw.example>;tag=%s\r\nCall-ID: %s\r\nCSeq: %d %s\r\nContact: <sip:%s@%s.invalid;transport=ws>\r\n",
		method, p.name, p.name, p.seq, method, p.to, p.name, p.name, p.name, p.seq, method, p.name, p.name)
	if method == sip.INVITE {
		p.says(p.c, text+"Content-Type: application/sdp\r\n\r\n"+pageOffer)
	} else {
		p.says(p.c, text+"\r\n")
	}
}

// wants returns the next message that is no 100, and checks what it is.
func (p *page) wants(what string) *sip.Message {
	p.Helper()
	for {
		m := p.reads(p.c)
		line, _, _ := strings.Cut(string(m.Bytes()), "\r\n")
		switch {
		case m.StatusCode() == 100:
		case strings.HasPrefix(strings.TrimPrefix(line, "SIP/2.0 "), what):
			return m
		default:
			p.Fatalf("%s: want %s, got\n%s", p.name, what, m.Bytes())
		}
	}
}

func (p *page) answers(m *sip.Message) {
	p.Helper()
	p.says(p.c, string(sip.AppendResponse(nil, m, 200, "OK", nil, sip.Source{})))
}

// hearsNothing ends the WebSocket: nothing may have come on it. At the deadline both ends
// close, and which of the two the read tells of is left open.
func (p *page) hearsNothing() {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.Context(), time.Second)
	defer cancel()
	if _, b, err := p.c.Read(ctx); err == nil || ctx.Err() == nil {
		p.Errorf("%s: %v, got\n%s", p.name, err, b)
	}
	p.loses()
}

// isTold gets 481 for a request in a call that is over, and the BYE that was owed.
func (p *page) isTold() {
	p.Helper()
	var bye, gone bool
	for !bye || !gone {
		switch m := p.reads(p.c); {
		case m.Method() == sip.BYE && string(m.CallID()) == p.name:
			bye = true
			p.answers(m)
		case m.StatusCode() == 481:
			gone = true
		case m.StatusCode() != 100:
			p.Fatalf("%s: got\n%s", p.name, m.Bytes())
		}
	}
}

// calls makes a call to acme.
func (p *page) calls() {
	p.Helper()
	p.asks(sip.INVITE)
	p.acme.Reply(p.acme.WantRequest(sip.INVITE), 200, siptest.Body("application/sdp", pageOffer))
	p.to = string(p.wants("200").First(sip.HdrTo))
	p.asks(sip.ACK)
	p.acme.WantRequest(sip.ACK)
}

// A browser loses its WebSocket in mid-call. Another browser of the same peer hears
// nothing of the call, and the call goes on where the first one comes back.
func TestBrowserComesBack(t *testing.T) {
	for _, tt := range []struct {
		name string
		f    func(r *rig, a *page)
	}{
		{"and asks, then the other side hangs up", func(r *rig, a *page) {
			a.connects()
			a.asks(sip.INVITE)
			r.acme.Reply(r.acme.WantRequest(sip.INVITE), 200, siptest.Body("application/sdp", pageOffer))
			a.wants("200")
			a.asks(sip.ACK)
			r.acme.WantRequest(sip.ACK)
			r.acme.Send(r.acme.InDialog(sip.BYE))
			a.answers(a.wants("BYE"))
			r.acme.Want(200)
		}},
		{"and hangs up", func(r *rig, a *page) {
			a.connects()
			a.asks(sip.BYE)
			r.acme.Reply(r.acme.WantRequest(sip.BYE), 200)
			a.wants("200")
		}},
		{"after the other side hung up", func(r *rig, a *page) {
			r.acme.Send(r.acme.InDialog(sip.BYE))
			r.acme.Want(200)
			time.Sleep(5 * time.Second)
			a.connects()
			a.asks(sip.INVITE)
			a.isTold()
			a.asks(sip.ACK)
		}},
		{"never", func(r *rig, a *page) {
			r.acme.Send(r.acme.InDialog(sip.BYE))
			r.acme.Want(200)
			time.Sleep(lifetime)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			run(t, web, func(r *rig) {
				a := r.page("alice")
				a.calls()
				b := r.page("bella")
				a.loses()
				tt.f(r, a)
				time.Sleep(t1)
				b.hearsNothing()
			})
		})
	}
}

// Of two browsers that are owed a BYE the one that comes back gets its own.
func TestBrowserIsOwedItsOwnBye(t *testing.T) {
	run(t, web, func(r *rig) {
		a := r.page("alice")
		a.calls()
		first := r.acme.InDialog(sip.BYE)
		b := r.page("bella")
		b.calls()
		a.loses()
		b.loses()
		r.acme.Send(first)
		r.acme.Want(200)
		r.acme.Send(r.acme.InDialog(sip.BYE))
		r.acme.Want(200)
		b.connects()
		b.asks(sip.INFO)
		b.isTold()
		time.Sleep(lifetime)
		b.hearsNothing()
	})
}

// The answer to a browser that has gone reaches no other browser of the same peer.
func TestBrowserIsGoneWhenTheAnswerComes(t *testing.T) {
	run(t, web, func(r *rig) {
		a := r.page("alice")
		a.asks(sip.INVITE)
		invite := r.acme.WantRequest(sip.INVITE)
		b := r.page("bella")
		a.loses()
		r.acme.Reply(invite, 200, siptest.Body("application/sdp", pageOffer))
		for range 3 { // the 2xx is acknowledged when the caller's ACK comes, which never does
			m := r.acme.Next()
			if m.Method() == sip.BYE {
				r.acme.Reply(m, 200)
				break
			}
		}
		time.Sleep(lifetime)
		b.hearsNothing()
	})
}

// A browser that was called while it was away is called again as soon as it is back,
// not only when its down_for is over.
func TestBrowserThatWasAwayIsBack(t *testing.T) {
	set := web
	set.file = strings.Replace(web.file, "to: [browser]", "to: [browser, backup]", 1)
	run(t, set, func(r *rig) {
		call := func(answers func()) {
			r.Helper()
			r.acme.Send(r.acme.Request(sip.INVITE, number))
			answers()
			r.acme.Send(r.acme.Ack(r.acme.Want(486)))
			time.Sleep(time.Second)
		}
		byBackup := func() {
			r.Helper()
			r.backup.Reply(r.backup.WantRequest(sip.INVITE), 486)
			r.backup.WantRequest(sip.ACK)
		}
		call(byBackup)
		a := r.page("alice")
		call(func() {
			m := a.wants("INVITE")
			a.says(a.c, string(sip.AppendResponse(nil, m, 486, "Busy Here", []byte("x"), sip.Source{})))
			a.wants("ACK")
		})
		r.backup.WantSilence(time.Second)
		a.loses()
	})
}

// A browser that offers protocols in TLS gets that of HTTP/1.1; who offers only
// others is refused (RFC 7301 §3.2).
func TestSecureWebSocketNamesItsProtocol(t *testing.T) {
	run(t, web, func(r *rig) {
		for _, tt := range []struct {
			offer []string
			want  string
			fails bool
		}{{nil, "", false}, {[]string{"h2", "http/1.1"}, "http/1.1", false}, {[]string{"h2"}, "", true}} {
			nc, err := r.net.Dial(r.Context(), netip.MustParseAddrPort("192.0.2.50:0"), r.listener(transport.WSS))
			if err != nil {
				r.Fatal(err)
			}
			conf := r.tls("page.example").Clone()
			conf.ServerName, conf.NextProtos = "gw.example", tt.offer
			tc := tls.Client(nc, conf)
			if err = tc.HandshakeContext(r.Context()); (err != nil) != tt.fails || tc.ConnectionState().NegotiatedProtocol != tt.want {
				r.Errorf("offered %q: got %q, %v", tt.offer, tc.ConnectionState().NegotiatedProtocol, err)
			}
			tc.Close()
		}
		time.Sleep(time.Minute)
	})
}
