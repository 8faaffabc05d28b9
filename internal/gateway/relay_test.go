package gateway

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/internal/relay"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
)

// counted compares what the relay has counted, as "MESSAGE delivered 1".
func (r *rig) counted(want ...relay.Count) {
	r.Helper()
	synctest.Wait()
	got := r.relay.Counts()
	if len(got) != len(want) {
		r.Errorf("counted %v, want %v", got, want)
		return
	}
	for i := range want {
		if got[i] != want[i] {
			r.Errorf("counted %v, want %v", got, want)
		}
	}
}

// Both ways, over every pair of transports: what belongs to one side stays there,
// all else crosses, the body byte for byte.
func TestMessageCrosses(t *testing.T) {
	const body = "Hello \x00\xff\r\n\r\nworld\n"
	hops(t, func(r *rig) {
		r.office.Send(r.office.Request(sip.MESSAGE, number, siptest.Body("text/plain", body),
			siptest.Add("Record-Route", "<sip:p.office.example;lr>"), siptest.Add("Route", "<sip:gw.example;lr>"),
			siptest.Add("X-Own", "a;b=\"c\""), siptest.Add("Date", "Sat, 01 Jan 2000 00:00:00 GMT"),
			siptest.Add("P-Asserted-Identity", "<sip:secret@office.example>"), siptest.Add("Authorization", "Digest x=y"),
			siptest.Set("Contact", "<sip:office@192.0.2.10>")))
		m := r.acme.WantRequest(sip.MESSAGE)
		if string(m.Body()) != body {
			r.Errorf("the body is %q", m.Body())
		}
		r.header(m, sip.HdrContentType, "text/plain")
		r.header(m, sip.HdrDate, "Sat, 01 Jan 2000 00:00:00 GMT")
		r.header(m, sip.HdrMaxForwards, "69")
		for _, id := range []sip.HeaderID{
			sip.HdrContact, // "... MUST NOT" be in a MESSAGE (RFC 3428 §4)
			sip.HdrRecordRoute, sip.HdrRoute, sip.HdrPAssertedIdentity, sip.HdrAuthorization,
		} {
			r.header(m, id, "")
		}
		if !strings.Contains(string(m.Bytes()), "X-Own: a;b=\"c\"\r\n") {
			r.Errorf("the unknown header is gone:\n%s", m.Bytes())
		}
		if strings.Contains(string(m.Bytes()), "192.0.2.10") || strings.Count(string(m.Bytes()), "Via:") != 1 {
			r.Errorf("the office shows:\n%s", m.Bytes())
		}
		r.acme.Reply(m, 200, siptest.Add("X-Answer", "yes"), siptest.Set("Server", "acme"), siptest.Set("Contact", "<sip:a@192.0.2.20>"))
		ok := r.office.Want(200)
		r.header(ok, sip.HdrServer, "acme")
		r.header(ok, sip.HdrContact, "")
		if to, _ := ok.To(); len(to.Tag()) == 0 || strings.Contains(string(ok.Bytes()), "192.0.2.20") {
			r.Errorf("the answer is\n%s", ok.Bytes())
		}

		r.acme.Send(r.acme.Request(sip.MESSAGE, number, siptest.Body("message/cpim", body)))
		back := r.office.WantRequest(sip.MESSAGE)
		r.office.Reply(back, 202)
		r.acme.Want(202)
		r.counted(relay.Count{Method: "MESSAGE", Outcome: "delivered", N: 2})
	})
}

func TestOptionsAndPublishCross(t *testing.T) {
	hops(t, func(r *rig) {
		r.office.Send(r.office.Request(sip.OPTIONS, "sip:somebody@elsewhere.example"))
		m := r.acme.WantRequest(sip.OPTIONS)
		if !strings.HasPrefix(string(m.RequestURI()), "sip:somebody@192.0.2.20:5081") {
			r.Errorf("it asks for %s", m.RequestURI())
		}
		r.acme.Reply(m, 200, siptest.Set("Allow", "INVITE, X"), siptest.Set("Accept", "application/x"))
		ok := r.office.Want(200)
		r.header(ok, sip.HdrAllow, "INVITE, X")
		r.header(ok, sip.HdrAccept, "application/x")

		r.office.Send(r.office.Request(sip.PUBLISH, number, siptest.Set("Event", "presence"), siptest.Set("Expires", "600"),
			siptest.Set("SIP-If-Match", "old"), siptest.Body("application/pidf+xml", "<presence/>")))
		p := r.acme.WantRequest(sip.PUBLISH)
		r.header(p, sip.HdrEvent, "presence")
		r.header(p, sip.HdrSIPIfMatch, "old")
		r.acme.Reply(p, 200, siptest.Set("SIP-ETag", "new"), siptest.Set("Expires", "300"))
		ok = r.office.Want(200)
		r.header(ok, sip.HdrSIPETag, "new")
		r.header(ok, sip.HdrExpires, "300")

		r.office.Send(r.office.Request(sip.PUBLISH, number, siptest.Set("Event", "presence"), siptest.Set("SIP-If-Match", "older")))
		p = r.acme.WantRequest(sip.PUBLISH)
		r.acme.Reply(p, 412)
		r.office.Want(412)
	})
}

// What a target says crosses, but for what is between it and us.
func TestAnswersOfRelayedRequests(t *testing.T) {
	run(t, plain, func(r *rig) {
		for _, test := range []struct{ answer, want int }{
			{202, 202}, {302, 480}, {400, 400}, {401, 403}, {407, 403}, {404, 404}, {413, 413}, {415, 415}, {480, 480},
			{489, 489}, {500, 500}, {600, 600},
		} {
			r.office.Send(r.office.Request(sip.MESSAGE, number))
			m := r.acme.WantRequest(sip.MESSAGE)
			r.acme.Reply(m, test.answer, siptest.Set("Retry-After", "7"), siptest.Set("WWW-Authenticate", "Digest realm=x"))
			got := r.office.Want(test.want)
			if test.answer >= 400 && test.answer != 401 && test.answer != 407 {
				r.header(got, sip.HdrRetryAfter, "7")
			}
			r.header(got, sip.HdrWWWAuthenticate, "")
			r.backup.WantSilence(time.Millisecond)
		}
	})
}

func TestRelayedRequestsFailOver(t *testing.T) {
	t.Run("503", func(t *testing.T) {
		run(t, plain, func(r *rig) {
			r.office.Send(r.office.Request(sip.MESSAGE, number))
			r.acme.Reply(r.acme.WantRequest(sip.MESSAGE), 503, siptest.Set("Retry-After", "5"))
			m := r.backup.WantRequest(sip.MESSAGE)
			r.backup.Reply(m, 200)
			r.office.Want(200)
			if r.Peers()[1].State.Up() {
				r.Error("acme is up after its 503")
			}
			r.office.Send(r.office.Request(sip.MESSAGE, number)) // acme is passed over
			r.backup.Reply(r.backup.WantRequest(sip.MESSAGE), 200)
			r.office.Want(200)
			time.Sleep(6 * time.Second)
			r.office.Send(r.office.Request(sip.MESSAGE, number))
			r.acme.Reply(r.acme.WantRequest(sip.MESSAGE), 200)
			r.office.Want(200)
			if !r.Peers()[1].State.Up() {
				r.Error("acme is down after its 200")
			}
		})
	})
	t.Run("both 503", func(t *testing.T) {
		run(t, plain, func(r *rig) {
			r.office.Send(r.office.Request(sip.MESSAGE, number))
			r.acme.Reply(r.acme.WantRequest(sip.MESSAGE), 503)
			r.backup.Reply(r.backup.WantRequest(sip.MESSAGE), 503, siptest.Set("Retry-After", "5"))
			r.header(r.office.Want(503), sip.HdrRetryAfter, "")
		})
	})
	t.Run("no connection", func(t *testing.T) {
		streams(t, func(r *rig) {
			r.acme.Close()
			r.office.Send(r.office.Request(sip.MESSAGE, number))
			r.backup.Reply(r.backup.WantRequest(sip.MESSAGE), 200)
			r.office.Want(200)
			r.backup.Close()
			r.office.Send(r.office.Request(sip.MESSAGE, number))
			r.office.Want(503)
			r.counted(relay.Count{Method: "MESSAGE", Outcome: "delivered", N: 1}, relay.Count{Method: "MESSAGE", Outcome: "unreachable", N: 1})
		})
	})
	t.Run("408 and 504 are no answer of who was asked", func(t *testing.T) {
		run(t, plain, func(r *rig) {
			r.office.Send(r.office.Request(sip.MESSAGE, number))
			r.acme.Reply(r.acme.WantRequest(sip.MESSAGE), 504)
			r.backup.Reply(r.backup.WantRequest(sip.MESSAGE), 408)
			r.office.Want(504) // "MUST NOT send a response with Status-Code of 408" (RFC 4320 §4.2)
		})
	})
}

// A target that says nothing is left for the next one after its response_timeout;
// it is not believed to be down, because it may have had no answer itself.
func TestSilentTargetOfARelayedRequest(t *testing.T) {
	streams(t, func(r *rig) {
		r.office.Send(r.office.Request(sip.MESSAGE, number))
		first := r.acme.WantRequest(sip.MESSAGE)
		r.office.Want(100) // RFC 4320 §4.1
		m := r.backup.WantRequest(sip.MESSAGE)
		if at := time.Since(first.At); at != 8*time.Second {
			r.Errorf("backup was asked after %v", at)
		}
		if !r.Peers()[1].State.Up() {
			r.Error("acme is down")
		}
		r.backup.Reply(m, 200)
		r.office.Want(200)
		r.acme.Reply(first, 200) // too late
		r.office.WantSilence(time.Second)
	})
	streams(t, func(r *rig) { // what comes late is as good as long as nothing else came
		r.office.Send(r.office.Request(sip.MESSAGE, number))
		first := r.acme.WantRequest(sip.MESSAGE)
		r.office.Want(100)
		m := r.backup.WantRequest(sip.MESSAGE)
		r.acme.Reply(first, 202)
		r.office.Want(202)
		r.backup.Reply(m, 200)
		r.office.WantSilence(time.Second)
	})
	streams(t, func(r *rig) { // a 100 is a sign of life
		r.office.Send(r.office.Request(sip.MESSAGE, number))
		m := r.acme.WantRequest(sip.MESSAGE)
		r.acme.Reply(m, 100)
		r.office.Want(100)
		time.Sleep(20 * time.Second)
		r.acme.Reply(m, 200)
		r.office.Want(200)
		r.backup.WantSilence(time.Second)
	})
}

// RFC 4320: 100 when the sender's timer E has grown to T2 and not before; no
// answer at all when there was none.
func TestNobodyAnswersARelayedRequest(t *testing.T) {
	hops(t, func(r *rig) {
		r.office.Send(r.office.Request(sip.MESSAGE, number))
		began := time.Now()
		r.acme.WantRequest(sip.MESSAGE)
		r.office.Want(100)
		if at := time.Since(began); at != 7*t1 {
			r.Errorf("100 after %v", at)
		}
		r.office.WantSilence(2 * lifetime)
		r.counted(relay.Count{Method: "MESSAGE", Outcome: "unanswered", N: 1})
	})
}

// A retransmission is absorbed before the answer and gets the same answer after it.
func TestRetransmissionsOfARelayedRequest(t *testing.T) {
	run(t, plain, func(r *rig) {
		raw := r.office.Request(sip.MESSAGE, number)
		r.office.Send(raw)
		m := r.acme.WantRequest(sip.MESSAGE)
		r.office.Send(raw)
		r.acme.WantSilence(100 * time.Millisecond)
		r.acme.Reply(m, 200)
		ok := r.office.Want(200)
		r.office.Send(raw)
		r.office.WantAgain(ok)
		r.acme.WantSilence(time.Second)
	})
}

func TestRelayedRequestsThatAreRefused(t *testing.T) {
	plain := plain
	plain.routes = "{from: [office], number: \"+*\", to: [acme]}"
	plain.profiles, plain.tuned = map[string]string{"acme": "tuned"}, "relay: []"
	run(t, plain, func(r *rig) {
		for _, test := range []struct {
			method  sip.Method
			uri     string
			options []siptest.Option
			want    int
			warning string
		}{
			{sip.MESSAGE, "sip:nobody@gw.example", nil, 404, ""},
			{sip.MESSAGE, "sips:+49@gw.example", nil, 480, "380"},
			{sip.MESSAGE, "im:bob@gw.example", nil, 416, ""},
			{sip.MESSAGE, number, []siptest.Option{siptest.Set("Max-Forwards", "0")}, 483, ""},
			{sip.REFER, number, []siptest.Option{siptest.Set("Refer-To", "<sip:x@y>")}, 403, ""},
			{sip.NOTIFY, number, []siptest.Option{siptest.Set("Event", "message-summary")}, 481, ""},
			{sip.INFO, number, nil, 481, ""},
			{sip.OPTIONS, "sip:nobody@elsewhere.example", nil, 404, ""},
			{sip.OPTIONS, "http://gw.example", nil, 416, ""},
		} {
			r.office.Send(r.office.Request(test.method, test.uri, test.options...))
			m := r.office.Want(test.want)
			if got := string(m.First(sip.HdrWarning)); !strings.HasPrefix(got, test.warning) {
				r.Errorf("Warning %s, want %s", got, test.warning)
			}
		}
		r.acme.Send(r.acme.Request(sip.MESSAGE, number))
		r.acme.Want(403)
		r.acme.WantSilence(lifetime)
		r.office.WantSilence(lifetime)
		r.counted(
			relay.Count{Method: "MESSAGE", Outcome: "not_allowed", N: 1}, relay.Count{Method: "MESSAGE", Outcome: "no_route", N: 2},
			relay.Count{Method: "MESSAGE", Outcome: "sips", N: 1}, relay.Count{Method: "MESSAGE", Outcome: "hopless", N: 1},
			relay.Count{Method: "OPTIONS", Outcome: "no_route", N: 1}, relay.Count{Method: "NOTIFY", Outcome: "not_allowed", N: 1},
			relay.Count{Method: "REFER", Outcome: "not_allowed", N: 1}, relay.Count{Method: "INFO", Outcome: "not_allowed", N: 1},
		)
	})
}

// A profile may let NOTIFY and INFO cross that belong to no dialog.
func TestRequestsThatAProfileAllows(t *testing.T) {
	plain := plain
	plain.profiles, plain.tuned = map[string]string{"office": "tuned"}, "relay: [notify, info]"
	run(t, plain, func(r *rig) {
		r.office.Send(r.office.Request(sip.NOTIFY, number, siptest.Set("Event", "message-summary"), siptest.Set("Subscription-State", "active"),
			siptest.Body("application/simple-message-summary", "Messages-Waiting: yes\r\n")))
		m := r.acme.WantRequest(sip.NOTIFY)
		r.header(m, sip.HdrEvent, "message-summary")
		r.header(m, sip.HdrContact, r.contact(r.set.targets))
		r.acme.Reply(m, 200)
		r.office.Want(200)
		r.office.Send(r.office.Request(sip.INFO, number))
		r.acme.Reply(r.acme.WantRequest(sip.INFO), 200)
		r.office.Want(200)
		r.office.Send(r.office.Request(sip.MESSAGE, number))
		r.office.Want(403)
	})
}

func TestRelayedRequestThatCameBack(t *testing.T) {
	run(t, plain, func(r *rig) {
		r.office.Send(r.office.Request(sip.MESSAGE, number))
		m := r.acme.WantRequest(sip.MESSAGE)
		from, _ := m.From()
		r.acme.Send(r.acme.Request(sip.MESSAGE, number, siptest.Set("Call-ID", string(m.CallID())), siptest.Set("From", "<"+string(from.RawURI)+">;tag="+string(from.Tag()))))
		r.acme.Want(482)
		r.acme.Reply(m, 200)
		r.office.Want(200)
	})
}

func TestRatesHoldForRelayedRequests(t *testing.T) {
	plain := plain
	plain.extra = map[string]string{"office": "limits: {rate_in: 2}"}
	run(t, plain, func(r *rig) {
		for range 2 {
			r.office.Send(r.office.Request(sip.MESSAGE, number))
			r.acme.Reply(r.acme.WantRequest(sip.MESSAGE), 200)
			r.office.Want(200)
		}
		r.office.Send(r.office.Request(sip.MESSAGE, number))
		if w := string(r.office.Want(503).First(sip.HdrWarning)); !strings.Contains(w, "too many requests") {
			r.Errorf("Warning %s", w)
		}
	})
	plain.extra = map[string]string{"acme": "limits: {rate_out: 1}"}
	run(t, plain, func(r *rig) {
		for _, to := range []*siptest.Peer{r.acme, r.backup} {
			r.office.Send(r.office.Request(sip.MESSAGE, number))
			to.Reply(to.WantRequest(sip.MESSAGE), 200)
			r.office.Want(200)
		}
	})
}

// A connection that had been used before and has gone with the request says little:
// the same request goes out again on a new one.
func TestRelayedRequestOutlivesItsConnection(t *testing.T) {
	streams(t, func(r *rig) {
		r.office.Send(r.office.Request(sip.MESSAGE, number))
		r.acme.Reply(r.acme.WantRequest(sip.MESSAGE), 200)
		r.office.Want(200)
		time.Sleep(time.Second)
		r.office.Send(r.office.Request(sip.MESSAGE, number))
		m := r.acme.WantRequest(sip.MESSAGE)
		r.acme.HangUp()
		again := r.acme.WantRequest(sip.MESSAGE)
		if string(again.Bytes()) != string(m.Bytes()) {
			r.Errorf("got\n%s\nwant\n%s", again.Bytes(), m.Bytes())
		}
		r.acme.Reply(again, 200)
		r.office.Want(200)
	})
}
