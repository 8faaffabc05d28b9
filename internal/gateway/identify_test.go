package gateway

import (
	"strings"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// strangers runs a test with somebody at an address that no peer has, on each
// transport. On TLS he has a good certificate of a name that nobody has.
func strangers(t *testing.T, f func(r *rig, p *siptest.Peer)) {
	for _, over := range []transport.Transport{transport.UDP, transport.TCP, transport.TLS} {
		t.Run(over.String(), func(t *testing.T) {
			run(t, setting{shards: 3}, func(r *rig) {
				p := r.peer("stranger", over, "203.0.113.66:5060")
				p.Dial(r.listener(over))
				f(r, p)
			})
		})
	}
}

// Who is not a peer gets a few 403, and then silence, OPTIONS included.
func TestStrangersGet403AndThenSilence(t *testing.T) {
	strangers(t, func(r *rig, p *siptest.Peer) {
		n := 0
		for _, method := range []sip.Method{sip.OPTIONS, sip.INVITE, sip.REGISTER, sip.MESSAGE, "PICKUP"} {
			p.Send(p.Request(method, number))
			m := p.Want(403)
			n++
			if to, _ := m.To(); to.Tag() == nil {
				r.Errorf("the 403 to %s has no To tag", method)
			}
			for _, f := range []sip.HeaderID{sip.HdrAllow, sip.HdrContact, sip.HdrServer, sip.HdrWarning} {
				if m.First(f) != nil {
					r.Errorf("the 403 tells of %s", f)
				}
			}
			if method == sip.INVITE {
				p.Send(p.Ack(m)) // which is no further request
			}
		}
		for _, method := range []sip.Method{sip.OPTIONS, sip.INVITE, sip.REGISTER} {
			p.Send(p.Request(method, number))
			p.WantSilence(100 * time.Millisecond)
		}
		time.Sleep(12 * time.Second)
		p.Send(p.Request(sip.OPTIONS, number))
		p.Want(403)
		p.Send(p.Request(sip.OPTIONS, number))
		p.WantSilence(100 * time.Millisecond)
		if calls, tags := r.kept(); calls != 0 || tags != 0 {
			r.Errorf("strangers made %d calls and %d tags", calls, tags)
		}
	})
}

// A stranger's 403 has no state: it is never sent again.
func TestStrangersMakeNoTransactions(t *testing.T) {
	strangers(t, func(r *rig, p *siptest.Peer) {
		invite := p.Request(sip.INVITE, number)
		p.Send(invite)
		first := p.Want(403)
		p.WantSilence(10 * time.Second)
		p.Send(invite)
		p.WantAgain(first)
	})
}

// What is malformed gets its 400 or 505, from anybody.
func TestMalformedRequests(t *testing.T) {
	for _, test := range []struct {
		name string
		code int
		edit func(p *siptest.Peer) string
	}{
		{"no Call-ID", 400, func(p *siptest.Peer) string { return p.Request(sip.OPTIONS, number, siptest.Drop("Call-ID")) }},
		{"CSeq of another method", 400, func(p *siptest.Peer) string {
			return p.Request(sip.INVITE, number, siptest.Set("CSeq", "1 OPTIONS"))
		}},
		{"no Contact", 400, func(p *siptest.Peer) string { return p.Request(sip.INVITE, number, siptest.Drop("Contact")) }},
		{"headers in the Request-URI", 400, func(p *siptest.Peer) string { return p.Request(sip.INVITE, "sip:x@gw.example?a=b") }},
		{"broken Request-URI", 400, func(p *siptest.Peer) string { return p.Request(sip.OPTIONS, "sip:x@[1:2") }},
		{"two From", 400, func(p *siptest.Peer) string {
			return p.Request(sip.OPTIONS, number, siptest.Add("From", "<sip:x@y>;tag=2"))
		}},
		{"version", 505, func(p *siptest.Peer) string {
			return strings.Replace(p.Request(sip.OPTIONS, number), " SIP/2.0\r\n", " SIP/7.0\r\n", 1)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			strangers(t, func(r *rig, p *siptest.Peer) {
				p.Send(test.edit(p))
				p.Want(test.code)
				r.office.Send(test.edit(r.office))
				r.office.Want(test.code)
			})
		})
	}
}

func TestMalformedResponsesAndAcksAreDropped(t *testing.T) {
	run(t, plain, func(r *rig) {
		r.office.Send(r.office.Request(sip.ACK, number, siptest.Drop("Call-ID")))
		r.office.Send("SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP x\r\n\r\n")
		r.office.Send("SIP/2.0 200 OK\r\n\r\n")
		r.office.Send("\x00\x01nonsense\r\n\r\n")
		r.office.WantSilence(time.Second)
		r.answered()
		r.hangUp(r.office, r.acme)
	})
}

// Malformed messages of strangers count as others do.
func TestStrangersMalformedRequestsAreLimitedToo(t *testing.T) {
	strangers(t, func(r *rig, p *siptest.Peer) {
		for range 5 {
			p.Send(p.Request(sip.OPTIONS, number, siptest.Drop("Call-ID")))
			p.Want(400)
		}
		p.Send(p.Request(sip.OPTIONS, number, siptest.Drop("Call-ID")))
		p.WantSilence(time.Second)
	})
}

// TestRule12 is: a peer is never believed because of what a header says.
func TestRule12HeadersProveNothing(t *testing.T) {
	strangers(t, func(r *rig, p *siptest.Peer) {
		p.Send(p.Request(sip.INVITE, number,
			siptest.Set("Via", "SIP/2.0/UDP "+officeAddr+";branch=z9hG4bKlie;rport"),
			siptest.Set("From", "<sip:office@192.0.2.10>;tag=1"),
			siptest.Set("Contact", "<sip:office@"+officeAddr+">"),
			siptest.Set("P-Asserted-Identity", "<sip:office@192.0.2.10>")))
		p.Want(403)
		r.acme.WantSilence(time.Second)
	})
}

// The peers of one transport are not those of another: office is known on UDP
// and TCP by its address, and acme on TLS alone by its certificate.
func TestPeersAreKnownByTheirOwnProofs(t *testing.T) {
	run(t, setting{targets: transport.TLS}, func(r *rig) {
		tcp := siptest.New(r.T, siptest.Config{Name: "tcp", Transport: transport.TCP, Network: r.net, Addr: addrPort("192.0.2.10:7000")})
		tcp.Dial(r.listener(transport.TCP))
		tcp.Send(tcp.Request(sip.OPTIONS, "sip:"+gatewayAddr))
		tcp.Want(200) // a stream's source port says nothing

		udp := siptest.New(r.T, siptest.Config{Name: "udp", Network: r.net, Addr: addrPort("192.0.2.10:7001")})
		udp.Dial(r.listener(transport.UDP))
		udp.Send(udp.Request(sip.OPTIONS, "sip:"+gatewayAddr))
		udp.Want(403) // on UDP it does

		plain := siptest.New(r.T, siptest.Config{Name: "plain", Transport: transport.TCP, Network: r.net, Addr: addrPort("192.0.2.20:7002")})
		plain.Dial(r.listener(transport.TCP))
		plain.Send(plain.Request(sip.OPTIONS, "sip:"+gatewayAddr))
		plain.Want(403) // acme's address without its certificate

		far := r.peer("acme", transport.TLS, "203.0.113.9:7003")
		far.Dial(r.listener(transport.TLS))
		far.Send(far.Request(sip.OPTIONS, "sip:"+gatewayAddr))
		far.Want(200) // its certificate from any address
	})
}

func TestNoRouteIs404(t *testing.T) {
	set := setting{routes: `{from: [office], number: "+49*", to: [acme]}`}
	run(t, set, func(r *rig) {
		r.office.Send(r.office.Request(sip.INVITE, "sip:+4412@gw.example"))
		r.office.Want(100)
		r.refused(404)
		r.office.Send(r.office.Request(sip.INVITE, "sip:%2B%34%39123@gw.example"))
		r.office.Want(100)
		r.refuse(r.acme, r.acme.WantRequest(sip.INVITE), 486)
		r.refused(486)
		r.acme.Send(r.acme.Request(sip.INVITE, number))
		r.acme.Want(100)
		r.acme.Send(r.acme.Ack(r.acme.Want(404)))
		r.office.Send(r.office.Request(sip.INVITE, "mailto:x@example.com"))
		r.office.Want(100)
		r.refused(416)
	})
}

func TestTelURIs(t *testing.T) {
	run(t, setting{routes: `{from: [office], number: "+49*", to: [acme]}`}, func(r *rig) {
		r.office.Send(r.office.Request(sip.INVITE, "tel:+49301234"))
		r.office.Want(100)
		invite := r.acme.WantRequest(sip.INVITE)
		if got := string(invite.RequestURI()); got != "sip:+49301234@"+acmeAddr {
			r.Errorf("the INVITE is for %s", got)
		}
		r.refuse(r.acme, invite, 486)
		r.refused(486)
	})
}
