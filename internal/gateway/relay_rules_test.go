package gateway

import (
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// The rules for sips hold for what is relayed as for calls (RFC 5630 §4, §5.3, and
// §6.2 for the warnings).
func TestSIPSRulesForRelayedRequests(t *testing.T) {
	const secure = "sips:+4930123@gw.example"
	send := func(r *rig, uri string) {
		for _, method := range []sip.Method{sip.MESSAGE, sip.PUBLISH, sip.SUBSCRIBE} {
			contact := "<sip:office@192.0.2.10:5080>"
			if strings.HasPrefix(uri, "sips:") {
				contact = "<sips:office@192.0.2.10:5080>"
			}
			r.office.Send(r.office.Request(method, uri, about(expires("0"), siptest.Set("Contact", contact))...))
		}
	}
	for _, test := range []struct {
		name    string
		targets transport.Transport
		who     string // has the profile
		profile string
		uri     string
		warning string
	}{
		{"a sender that must use sips, and the request is sip", transport.TLS, "office", "required", number, "381 "},
		{"a target without TLS, and the request is sips", transport.TCP, "acme", "allowed", secure, "380 "},
		{"a target that takes no sips", transport.TLS, "acme", "never", secure, "380 "},
	} {
		t.Run(test.name, func(t *testing.T) {
			set := setting{shards: 1, office: transport.TLS, targets: test.targets, routes: "{from: [office], to: [acme]}",
				profiles: map[string]string{test.who: test.profile}}
			run(t, set, func(r *rig) {
				send(r, test.uri)
				for range 3 {
					m := r.office.Want(480)
					if got := string(m.First(sip.HdrWarning)); !strings.HasPrefix(got, test.warning) {
						r.Errorf("Warning %q, want %s", got, test.warning)
					}
				}
				r.acme.WantSilence(time.Second)
			})
		})
	}
	t.Run("sips stays sips", func(t *testing.T) {
		run(t, setting{shards: 1, office: transport.TLS, targets: transport.TLS}, func(r *rig) {
			send(r, secure)
			for range 3 {
				m := r.acme.Next()
				from, _ := m.From()
				to, _ := m.To()
				for _, uri := range []string{string(m.RequestURI()), string(from.RawURI), string(to.RawURI)} {
					if !strings.HasPrefix(uri, "sips:") {
						r.Errorf("%s has %s", m.Method(), uri)
					}
				}
				if m.Method() == sip.SUBSCRIBE && !strings.HasPrefix(string(m.First(sip.HdrContact)), "<sips:") {
					r.Errorf("Contact: %s", m.First(sip.HdrContact))
				}
				r.acme.Reply(m, 404)
				r.office.Want(404)
			}
		})
	})
}

// A relayed request asks for no keep-alives: nobody would hear the promise.
func TestRelayedRequestsAskForNoKeepAlives(t *testing.T) {
	set := setting{shards: 1, office: transport.TLS, targets: transport.TLS, profiles: map[string]string{"acme": "tuned"},
		tuned: "connection: {ping_every: 20s}"}
	run(t, set, func(r *rig) {
		r.office.Send(r.office.Request(sip.MESSAGE, number))
		m := r.acme.WantRequest(sip.MESSAGE)
		if via := string(m.First(sip.HdrVia)); strings.Contains(via, ";keep") || !strings.Contains(via, ";alias") {
			r.Errorf("Via: %s", m.First(sip.HdrVia))
		}
		r.acme.Reply(m, 200)
		r.office.Want(200)
	})
}

// Who was silent may still answer while no other target takes the request.
func TestLateAnswerToARelayedRequest(t *testing.T) {
	for _, code := range []int{200, 404} {
		plain := plain
		plain.extra = map[string]string{"backup": "limits: {rate_out: 1}"}
		run(t, plain, func(r *rig) {
			r.office.Send(r.office.Request(sip.MESSAGE, number))
			r.acme.Reply(r.acme.WantRequest(sip.MESSAGE), 503, siptest.Set("Retry-After", "1"))
			r.backup.Reply(r.backup.WantRequest(sip.MESSAGE), 200)
			r.office.Want(200)
			time.Sleep(2 * time.Second)
			r.office.Send(r.office.Request(sip.MESSAGE, number))
			first := r.acme.WantRequest(sip.MESSAGE)
			time.Sleep(7500 * time.Millisecond)
			r.office.Want(100)
			for range 2 { // at another's expense backup's second is used up
				r.acme.Send(r.acme.Request(sip.OPTIONS, "sip:"+gatewayAddr))
			}
			for r.Peers()[2].State.Out.Pace(time.Now(), 1) {
			}
			time.Sleep(510 * time.Millisecond)
			r.backup.WantSilence(time.Millisecond)
			r.acme.Reply(first, code)
			r.office.Want(code)
		})
	}
}

// One browser's subscription does not go on at another browser's WebSocket.
func TestSubscriptionOfABrowserThatHasGone(t *testing.T) {
	run(t, web, func(r *rig) {
		c, err := r.browser("https://phone.example")
		if err != nil {
			t.Fatal(err)
		}
		r.says(c, "SUBSCRIBE sip:bob@gw.example;transport=ws SIP/2.0\r\nVia: SIP/2.0/WSS df7jal23ls0d.invalid;branch=z9hG4bK1\r\n"+
			"From: <sip:alice@gw.example>;tag=1\r\nTo: <sip:bob@gw.example>\r\nCall-ID: browser\r\nCSeq: 1 SUBSCRIBE\r\nMax-Forwards: 70\r\n"+
			"Contact: <sip:alice@df7jal23ls0d.invalid;transport=ws>\r\nEvent: presence\r\nExpires: 60\r\n\r\n")
		r.acme.Reply(r.acme.WantRequest(sip.SUBSCRIBE), 200, expires("60"))
		r.reads(c)
		r.acme.Send(r.acme.InDialog(sip.NOTIFY, about(state("active;expires=60"))...))
		r.says(c, string(sip.AppendResponse(nil, r.reads(c), 200, "OK", nil, sip.Source{})))
		r.acme.Want(200)
		c.Close(websocket.StatusNormalClosure, "")
		other, err := r.browser("https://phone.example")
		if err != nil {
			t.Fatal(err)
		}
		r.acme.Send(r.acme.InDialog(sip.NOTIFY, about(state("active;expires=60"))...))
		r.acme.Want(503)
		other.Close(websocket.StatusNormalClosure, "")
		time.Sleep(time.Minute + lifetime)
		r.subscriptions(0)
	})
}

// What a dialog keeps of the other side's words is bounded.
func TestTextOfASubscriptionIsBounded(t *testing.T) {
	long := "<sip:" + strings.Repeat("x", 900) + "@192.0.2.10;lr>"
	routes := func(n int) siptest.Option {
		return siptest.Set("Record-Route", long+strings.Repeat(", "+long, n-1))
	}
	run(t, setting{shards: 1, office: transport.TCP, targets: transport.TCP}, func(r *rig) {
		r.office.Send(r.office.Request(sip.SUBSCRIBE, number, about(expires("60"), routes(5))...))
		r.office.Want(513)

		r.office.Send(r.office.Request(sip.SUBSCRIBE, number, about(expires("60"))...))
		r.acme.Reply(r.acme.WantRequest(sip.SUBSCRIBE), 200, expires("60"), routes(5))
		r.office.Want(502)
		r.subscriptions(0)

		r.office.Send(r.office.Request(sip.SUBSCRIBE, number, about(expires("60"))...))
		r.acme.Reply(r.acme.WantRequest(sip.SUBSCRIBE), 200, expires("60"), routes(4))
		r.office.Want(200)
		r.notifies("active;expires=60")
		r.acme.Send(r.acme.InDialog(sip.NOTIFY, about(state("active"), siptest.Set("Contact", long))...))
		r.acme.Want(513)
		r.office.Send(r.office.InDialog(sip.SUBSCRIBE, about(expires("60"))...))
		r.acme.Reply(r.acme.WantRequest(sip.SUBSCRIBE), 200, expires("60"), siptest.Set("Contact", long))
		r.office.Want(200)
		r.office.Send(r.office.InDialog(sip.SUBSCRIBE, about(expires("0"))...))
		last := r.acme.WantRequest(sip.SUBSCRIBE) // for the Contact that was there before
		if uri := string(last.RequestURI()); len(uri) > 900 {
			r.Errorf("it goes to %s", uri)
		}
		r.acme.Reply(last, 200, expires("0"))
		r.office.Want(200)
		r.notifies("terminated")
		r.subscriptions(0)
	})
}

// A peer without a limit of its own leaves half of the subscriptions to others.
func TestOnePeerDoesNotGetAllSubscriptions(t *testing.T) {
	run(t, plain, func(r *rig) {
		held := &r.Peers()[0].State.Subscriptions
		held.Add(50_000)
		r.office.Send(r.office.Request(sip.SUBSCRIBE, number, about(expires("60"))...))
		r.office.Want(503)
		held.Add(-50_000)
	})
}

// A 2xx has to say how long the subscription lasts (RFC 6665 §4.2.1.1). One that does
// not grants what was asked for.
func TestSubscriptionOfWhichNobodySaysHowLong(t *testing.T) {
	run(t, plain, func(r *rig) {
		r.office.Send(r.office.Request(sip.SUBSCRIBE, number, about(expires("600"))...))
		r.acme.Reply(r.acme.WantRequest(sip.SUBSCRIBE), 200)
		r.office.Want(200)
		r.notifies("active")
		time.Sleep(599 * time.Second)
		r.subscriptions(1)
		r.office.Send(r.office.InDialog(sip.SUBSCRIBE, about(expires("900"))...))
		r.acme.Reply(r.acme.WantRequest(sip.SUBSCRIBE), 200)
		r.office.Want(200)
		r.notifies("active")
		time.Sleep(899 * time.Second)
		r.subscriptions(1)
		r.unsubscribes()
	})
}

// An event and its id are compared byte by byte (RFC 6665 §8.2.1).
func TestEventsAreComparedByteByByte(t *testing.T) {
	run(t, plain, func(r *rig) {
		event := siptest.Set("Event", "presence;x=1;ID=a")
		r.office.Send(r.office.Request(sip.SUBSCRIBE, number, event, expires("60")))
		r.acme.Reply(r.acme.WantRequest(sip.SUBSCRIBE), 200, expires("60"))
		r.office.Want(200)
		for _, other := range []string{"presence;id=A", "Presence;id=a", "presence", "presence;id=ab"} {
			r.acme.Send(r.acme.InDialog(sip.NOTIFY, siptest.Set("Event", other), state("active")))
			r.acme.Want(481)
		}
		r.acme.Send(r.acme.InDialog(sip.NOTIFY, siptest.Set("Event", "presence;id=a;y=2"), state("terminated")))
		r.office.Reply(r.office.WantRequest(sip.NOTIFY), 200)
		r.acme.Want(200)
		r.subscriptions(0)
	})
}

// A redirection inside a subscription is not followed and ends nothing.
func TestRedirectionInsideASubscription(t *testing.T) {
	run(t, plain, func(r *rig) {
		r.subscribes("60")
		r.notifies("active")
		r.office.Send(r.office.InDialog(sip.SUBSCRIBE, about(expires("60"))...))
		r.acme.Reply(r.acme.WantRequest(sip.SUBSCRIBE), 302, siptest.Set("Contact", "<sip:x@192.0.2.99>"))
		r.office.Want(500)
		r.subscriptions(1)
		r.unsubscribes()
	})
}

// A given-up notifier's NOTIFY is not taken while the next one is being reached.
func TestNotifyOfAGivenUpTarget(t *testing.T) {
	run(t, setting{shards: 1, office: transport.UDP, targets: transport.TCP}, func(r *rig) {
		r.office.Send(r.office.Request(sip.SUBSCRIBE, number, about(expires("60"))...))
		subscribe := r.acme.WantRequest(sip.SUBSCRIBE)
		r.backup.Close()
		r.net.Darken(addrPort(backupAddr).Addr())
		r.acme.Reply(subscribe, 503)
		time.Sleep(time.Second)
		from, _ := subscribe.From()
		r.acme.Send(r.acme.Request(sip.NOTIFY, "sip:gw.example", about(
			state("active;expires=600"), siptest.Set("Call-ID", string(subscribe.CallID())),
			siptest.Set("From", string(subscribe.First(sip.HdrTo))+";tag=acme1"),
			siptest.Set("To", "<"+string(from.RawURI)+">;tag="+string(from.Tag())))...))
		r.acme.Want(481)
		r.office.Want(100)
		r.office.Want(503)
		r.subscriptions(0)
	})
}
