package gateway

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// On TLS our INVITE offers the connection and asks for keep-alives; inside the
// dialog it only offers. What is promised is expected (RFC 5923 §8.1, RFC 6223).
func TestViaOffersTheConnectionAndAsksForKeepAlives(t *testing.T) {
	for _, promised := range []bool{false, true} {
		run(t, setting{office: transport.TLS, targets: transport.TLS, profiles: map[string]string{"acme": "tuned"},
			tuned: "keep_alive: 0, connection: {ping_every: 20s, tcp_unacknowledged: 0}"}, func(r *rig) {
			r.invite()
			invite := r.acme.WantRequest(sip.INVITE)
			via, err := invite.Via()
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"alias", "keep"} {
				if value, ok := via.Params.Get(name); !ok || len(value) > 0 {
					t.Errorf("Via of the INVITE has no %s: %s", name, invite.First(sip.HdrVia))
				}
			}
			var options []siptest.Option
			if promised {
				options = append(options, siptest.Set("Via", strings.Replace(string(invite.First(sip.HdrVia)), ";keep", ";keep=30", 1)))
			}
			r.acme.Reply(invite, 200, append(options, siptest.Body("application/sdp", answer))...)
			r.office.Send(r.office.Ack(r.office.Want(200)))
			via, err = r.acme.WantRequest(sip.ACK).Via()
			if _, keep := via.Params.Get("keep"); keep || err != nil {
				t.Errorf("a request inside the dialog asks for keep-alives")
			}
			if _, alias := via.Params.Get("alias"); !alias {
				t.Errorf("a request inside the dialog does not offer the connection")
			}

			r.net.Darken(netip.MustParseAddrPort(acmeAddr).Addr())
			time.Sleep(20*time.Second + 11*time.Second)
			lives := false
			for c := range r.Conns() {
				lives = lives || c.Identity().Peer == "acme"
			}
			if lives == promised {
				t.Errorf("keep-alives promised: %v, the connection lives on in a black hole: %v", promised, lives)
			}
			r.net.Lighten(netip.MustParseAddrPort(acmeAddr).Addr())
			r.office.Send(r.office.InDialog(sip.BYE))
			r.office.Want(200)
			r.acme.Reply(r.acme.WantRequest(sip.BYE), 200) // by another connection when that one is gone
		})
	}
}

// The responses to a request that asks say how often we like keep-alives, on
// streams.
func TestResponsesPromisePongs(t *testing.T) {
	for _, over := range []transport.Transport{transport.UDP, transport.TCP, transport.TLS} {
		run(t, setting{office: over, targets: over}, func(r *rig) {
			r.office.Send(r.office.Request(sip.OPTIONS, "sip:"+gatewayAddr, siptest.Set("Via", "SIP/2.0/"+over.Via()+" 192.0.2.10:5080;keep;rport;branch=z9hG4bKk")))
			m := r.office.Next()
			via, err := m.Via()
			if err != nil {
				t.Fatal(err)
			}
			want := "120"
			if over == transport.UDP {
				want = "" // there it would promise STUN
			}
			if value, _ := via.Params.Get("keep"); string(value) != want {
				t.Errorf("%v: keep=%s, want %q: %s", over, value, want, m.First(sip.HdrVia))
			}
		})
	}
}

// Whoever says nothing for the time of a transaction while a request waits is
// taken for gone: the next request dials.
func TestSilentConnectionIsReplaced(t *testing.T) {
	for _, over := range []transport.Transport{transport.TCP, transport.TLS} {
		run(t, setting{office: over, targets: over, routes: "{from: [office], to: [acme]}|{from: [acme, backup], to: [office]}",
			profiles: map[string]string{"acme": "tuned"}, tuned: "down_for: 0, connection: {ping: off}"}, func(r *rig) {
			r.answered()
			r.hangUp(r.office, r.acme)
			time.Sleep(time.Minute)
			before := r.ConnsOpened()["acme"]
			r.invite()
			r.acme.WantRequest(sip.INVITE) // and that is all
			r.refused(408)
			r.answered()
			r.hangUp(r.office, r.acme)
			if got := r.ConnsOpened()["acme"] - before; got != 1 {
				t.Errorf("%d new connections to acme, want one in place of the silent one", got)
			}
		})
	}
}
