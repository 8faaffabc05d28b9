package gateway

import (
	"strings"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// message sends a MESSAGE that acme or one of its addresses will answer.
func (r *named) message() {
	r.Helper()
	r.office.Send(r.office.Request(sip.MESSAGE, number))
}

// A request whose address answers 503 goes to the next address of the same peer
// before it goes to the next target (RFC 3263 §4.3), and the next one goes there at
// once.
func TestRelayedRequestGoesToTheNextAddress(t *testing.T) {
	overNames(t, func(r *named) {
		r.message()
		first := r.acme.WantRequest(sip.MESSAGE)
		r.acme.Reply(first, 503, siptest.Set("Retry-After", "20"))
		second := r.acme2.WantRequest(sip.MESSAGE)
		if string(first.CallID()) == string(second.CallID()) || !strings.Contains(string(second.RequestURI()), "@carrier.example") {
			r.Errorf("the next address got\n%s", second.Bytes())
		}
		r.acme2.Reply(second, 200)
		r.office.Want(200)
		r.up("acme")

		r.message()
		r.acme2.Reply(r.acme2.WantRequest(sip.MESSAGE), 200)
		r.office.Want(200)
		time.Sleep(20 * time.Second)
		r.message()
		r.acme.Reply(r.acme.WantRequest(sip.MESSAGE), 404)
		r.office.Want(404)
		r.message()
		r.acme.Reply(r.acme.WantRequest(sip.MESSAGE), 200)
		r.office.Want(200)
	})
}

// When all addresses have failed the target is down, and the next one is asked.
func TestRelayedRequestRunsOutOfAddresses(t *testing.T) {
	overNames(t, func(r *named) {
		r.message()
		r.acme.Reply(r.acme.WantRequest(sip.MESSAGE), 503)
		r.acme2.Reply(r.acme2.WantRequest(sip.MESSAGE), 503)
		r.backup.Reply(r.backup.WantRequest(sip.MESSAGE), 200)
		r.office.Want(200)
		if r.Peers()[1].State.Up() {
			r.Error("acme is up")
		}
	})
}

// A name that has no further address after all: the target is given up for what was
// wrong with the last one.
func TestRelayedRequestAtTheEndOfAName(t *testing.T) {
	for _, test := range []struct {
		code, want int
		down       bool
	}{{503, 503, true}, {408, 504, false}} {
		set := setting{shards: 1, targets: transport.TCP, routes: "{from: [office], to: [acme]}"}
		names(t, set, "sip:carrier.example;transport=tcp", ", accept_from: [192.0.2.20]", func(r *named) {
			r.ns.Clear()
			r.ns.Add("_sip._tcp.carrier.example. 600 IN SRV 1 0 5081 one.hosting.example.",
				"_sip._tcp.carrier.example. 600 IN SRV 2 0 5081 two.hosting.example.",
				"one.hosting.example. 600 IN A 192.0.2.20",
				"hosting.example. 600 IN SOA ns.example. hostmaster.example. 1 3600 600 86400 600")
			r.message()
			r.acme.Reply(r.acme.WantRequest(sip.MESSAGE), test.code)
			r.office.Want(test.want) // "MUST NOT send a response with Status-Code of 408" (RFC 4320 §4.2)
			if up := r.Peers()[1].State.Up(); up == test.down {
				r.Errorf("after %d: up is %v", test.code, up)
			}
		})
	}
}

// The subscription lives at the address that took it, and a given-up one that
// sends a NOTIFY all the same hears that it has none.
func TestSubscribeGoesToTheNextAddress(t *testing.T) {
	overNames(t, func(r *named) {
		r.office.Send(r.office.Request(sip.SUBSCRIBE, number, about(expires("60"))...))
		r.acme.Reply(r.acme.WantRequest(sip.SUBSCRIBE), 503)
		second := r.acme2.WantRequest(sip.SUBSCRIBE)
		r.acme2.Reply(second, 200, expires("60"))
		r.office.Want(200)
		if n := r.Peers()[1].State.Notifying.Load(); n != 1 {
			r.Errorf("acme has %d subscriptions", n)
		}
		r.acme2.Send(r.acme2.InDialog(sip.NOTIFY, about(state("active;expires=60"))...))
		r.office.Reply(r.office.WantRequest(sip.NOTIFY), 200)
		r.acme2.Want(200)
		r.office.Send(r.office.InDialog(sip.SUBSCRIBE, about(expires("0"))...))
		r.acme2.Reply(r.acme2.WantRequest(sip.SUBSCRIBE), 200, expires("0"))
		r.office.Want(200)
		r.acme2.Send(r.acme2.InDialog(sip.NOTIFY, about(state("terminated"))...))
		r.office.Reply(r.office.WantRequest(sip.NOTIFY), 200)
		r.acme2.Want(200)
		r.subscriptions(0)
	})
}

// A request whose connection has gone is sent again to the same server, not to the
// other one (RFC 3263 §4.3: the address is that of the transaction).
func TestRelayedRequestStaysAtItsServer(t *testing.T) {
	for _, tr := range []transport.Transport{transport.TCP, transport.TLS} {
		extra := ""
		if tr != transport.TLS {
			extra = ", accept_from: [192.0.2.20, 192.0.2.21]"
		}
		names(t, setting{shards: 1, targets: tr}, "sip:carrier.example;transport="+tr.String(), extra, func(r *named) {
			r.message()
			r.acme.Reply(r.acme.WantRequest(sip.MESSAGE), 503, siptest.Set("Retry-After", "5"))
			r.acme2.Reply(r.acme2.WantRequest(sip.MESSAGE), 200)
			r.office.Want(200)
			time.Sleep(time.Second)
			r.message()
			r.acme2.WantRequest(sip.MESSAGE)
			time.Sleep(6 * time.Second) // acme's time is over
			r.acme2.HangUp()
			r.acme2.Reply(r.acme2.WantRequest(sip.MESSAGE), 200)
			r.office.Want(100)
			r.office.Want(200)
			r.acme.WantSilence(time.Second)
		})
	}
}
