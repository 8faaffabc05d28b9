package gateway

import (
	"strings"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

func TestCallAnsweredAndEndedByTheCaller(t *testing.T) {
	hops(t, func(r *rig) {
		invite, ok := r.answered()
		if string(invite.Body()) != offer || string(ok.Body()) != answer {
			r.Errorf("bodies changed: %q, %q", invite.Body(), ok.Body())
		}
		r.header(invite, sip.HdrContentType, "application/sdp")
		r.header(invite, sip.HdrMaxForwards, "69")
		if r.Calls() != 1 {
			r.Errorf("got %d calls, want 1", r.Calls())
		}
		r.hangUp(r.office, r.acme)
	})
}

func TestCallEndedByTheCallee(t *testing.T) {
	hops(t, func(r *rig) {
		r.answered()
		r.hangUp(r.acme, r.office)
	})
}

func TestCallsOverIPv6(t *testing.T) {
	for _, over := range []transport.Transport{transport.UDP, transport.TCP, transport.TLS} {
		v4 := setting{shards: 1, office: over, targets: over}
		for4to6 := strings.NewReplacer(gatewayAddr+":", "[2001:db8::1]:", "192.0.2.10:", "[2001:db8::10]:",
			"192.0.2.20:", "[2001:db8::20]:", "192.0.2.30:", "[2001:db8::30]:")
		v4.file, v4.six = for4to6.Replace(file(v4)), true
		run(t, v4, func(r *rig) {
			invite, ok := r.answered(siptest.Set("From", "<sip:office@[2001:db8::10]>;tag=officetag"))
			if got := string(invite.RequestURI()); !strings.HasPrefix(got, "sip:+4930123@[2001:db8::20]:5081") {
				r.Errorf("the INVITE is for %s", got)
			}
			if got, want := string(invite.First(sip.HdrTo)), "<sip:+4930123@[2001:db8::20]>"; got != want {
				r.Errorf("the To is %s, want %s", got, want)
			}
			from, _ := invite.From()
			if got, want := string(from.RawURI), "sip:office@[2001:db8::1]"; got != want {
				r.Errorf("the From is %s, want %s", got, want)
			}
			r.header(ok, sip.HdrContact, r.contact(over))
			r.hangUp(r.acme, r.office)
		})
	}
}

func TestProvisionalResponsesCross(t *testing.T) {
	hops(t, func(r *rig) {
		r.invite()
		invite := r.acme.WantRequest(sip.INVITE)
		r.acme.Reply(invite, 100)
		for _, code := range []int{180, 181, 182} {
			r.acme.Reply(invite, code, siptest.Set("Alert-Info", "<urn:alert:source:internal>"))
			m := r.office.Want(code)
			r.header(m, sip.HdrAlertInfo, "<urn:alert:source:internal>")
			r.header(m, sip.HdrContact, r.contact(r.set.office))
		}
		r.acme.Reply(invite, 183, siptest.Body("application/sdp", answer))
		if m := r.office.Want(183); string(m.Body()) != answer {
			r.Errorf("the body of the 183 is %q", m.Body())
		}
		r.acme.Reply(invite, 200, siptest.Body("application/sdp", answer))
		r.office.Send(r.office.Ack(r.office.Want(200)))
		r.acme.WantRequest(sip.ACK)
		r.hangUp(r.office, r.acme)
	})
}

func TestAckCarriesItsBody(t *testing.T) {
	hops(t, func(r *rig) {
		// A call without an offer: the 200 brings it, the ACK answers it.
		r.office.Send(r.office.Request(sip.INVITE, number))
		invite := r.acme.WantRequest(sip.INVITE)
		if len(invite.Body()) != 0 {
			r.Errorf("the INVITE has a body: %q", invite.Body())
		}
		r.acme.Reply(invite, 200, siptest.Body("application/sdp", offer))
		ok := r.office.Want(200)
		r.office.Send(r.office.Ack(ok, siptest.Body("application/sdp", answer)))
		ack := r.acme.WantRequest(sip.ACK)
		if string(ack.Body()) != answer {
			r.Errorf("the body of the ACK is %q", ack.Body())
		}
		r.header(ack, sip.HdrContentType, "application/sdp")
		r.hangUp(r.office, r.acme)
	})
}

func TestFailuresCrossWithTheirReasons(t *testing.T) {
	hops(t, func(r *rig) {
		for _, test := range []struct {
			code int
			line string
		}{
			{400, "Bad Request"}, {404, "Not Found"}, {480, "Temporarily Unavailable"}, {486, "Busy Here"},
			{488, "Not Acceptable Here"}, {500, "Server Internal Error"}, {600, "Busy Everywhere"}, {603, "Decline"},
		} {
			r.invite()
			invite := r.acme.WantRequest(sip.INVITE)
			r.refuse(r.acme, invite, test.code, siptest.Set("Reason", `Q.850;cause=17;text="User busy"`))
			m := r.office.Want(test.code)
			if got := string(m.Reason()); got != test.line {
				r.Errorf("got %d %s, want %s", test.code, got, test.line)
			}
			r.header(m, sip.HdrReason, `Q.850;cause=17;text="User busy"`)
			r.office.Send(r.office.Ack(m))
			r.none()
		}
	})
}

func TestFailureKeepsItsOwnPhraseAndBody(t *testing.T) {
	run(t, plain, func(r *rig) {
		r.invite()
		invite := r.acme.WantRequest(sip.INVITE)
		text := r.acme.Response(invite, 486, siptest.Body("text/plain", "on the phone"))
		r.acme.Send("SIP/2.0 486 On the Phone" + text[len("SIP/2.0 486 Busy Here"):])
		m := r.office.Want(486)
		if string(m.Reason()) != "On the Phone" || string(m.Body()) != "on the phone" {
			r.Errorf("got %s, %q", m.Reason(), m.Body())
		}
		r.office.Send(r.office.Ack(m))
		r.acme.WantRequest(sip.ACK)
	})
}

// The ACK to a failure goes no further than its hop: each leg's failure is
// acknowledged and sent again on that leg alone (RFC 3261 §17.1.1.3).
func TestFailureIsSentAgainUntilItsAck(t *testing.T) {
	run(t, plain, func(r *rig) {
		r.invite()
		invite := r.acme.WantRequest(sip.INVITE)
		r.acme.Reply(invite, 486)
		first := r.acme.WantRequest(sip.ACK)
		m := r.office.Want(486)
		at := m.At
		for _, after := range []time.Duration{500, 1500, 3500, 7500, 11500} {
			if again := r.office.WantAgain(m); again.At.Sub(at) != after*time.Millisecond {
				r.Errorf("the 486 came again after %v, want %v ms", again.At.Sub(at), int(after))
			}
		}
		r.acme.Reply(invite, 486)
		r.acme.WantAgain(first)
		r.office.Send(r.office.Ack(m))
		r.office.WantSilence(lifetime)
	})
}

func TestInviteSentAgainIsAbsorbed(t *testing.T) {
	run(t, plain, func(r *rig) {
		text := r.office.Request(sip.INVITE, number)
		r.office.Send(text)
		trying := r.office.Want(100)
		invite := r.acme.WantRequest(sip.INVITE)
		r.office.Send(text)
		r.office.WantAgain(trying)
		r.acme.Reply(invite, 180)
		ringing := r.office.Want(180)
		r.office.Send(text)
		r.office.WantAgain(ringing)
		r.acme.Reply(invite, 486)
		r.acme.WantRequest(sip.ACK)
		r.office.Send(r.office.Ack(r.office.Want(486)))
		r.acme.WantSilence(time.Second)
	})
}

func TestByeCarriesItsReason(t *testing.T) {
	hops(t, func(r *rig) {
		r.answered()
		bye := r.hangUp(r.acme, r.office, siptest.Set("Reason", "Q.850;cause=16"))
		r.header(bye, sip.HdrReason, "Q.850;cause=16")
	})
}

func TestByeCrossingByeGets200(t *testing.T) {
	hops(t, func(r *rig) {
		r.answered()
		r.office.Send(r.office.InDialog(sip.BYE))
		r.office.Want(200)
		bye := r.acme.WantRequest(sip.BYE)
		r.acme.Send(r.acme.InDialog(sip.BYE))
		r.acme.Want(200)
		r.acme.Reply(bye, 200)
		r.office.WantSilence(lifetime)
	})
}

func TestByeOfARetransmissionIsAnsweredAlike(t *testing.T) {
	run(t, plain, func(r *rig) {
		r.answered()
		text := r.office.InDialog(sip.BYE)
		r.office.Send(text)
		ok := r.office.Want(200)
		r.acme.Reply(r.acme.WantRequest(sip.BYE), 200)
		r.office.Send(text)
		r.office.WantAgain(ok)
	})
}

func TestByeWithoutAnAnswerEndsTheCallAllTheSame(t *testing.T) {
	run(t, plain, func(r *rig) {
		r.answered()
		r.office.Send(r.office.InDialog(sip.BYE))
		r.office.Want(200)
		r.acme.WantRequest(sip.BYE)
		if r.Calls() != 1 {
			r.Errorf("the call is not counted while its BYE is under way")
		}
		time.Sleep(lifetime)
	})
}

func TestAckAndByeInOneSegment(t *testing.T) {
	streams(t, func(r *rig) {
		r.invite()
		invite := r.acme.WantRequest(sip.INVITE)
		r.acme.Reply(invite, 200)
		ok := r.office.Want(200)
		r.office.Send(r.office.Ack(ok) + r.office.InDialog(sip.BYE))
		r.acme.WantRequest(sip.ACK)
		bye := r.acme.WantRequest(sip.BYE)
		r.acme.Reply(bye, 200)
		r.office.Want(200)
	})
}

// A BYE that overtakes the ACK on UDP ends the call: the callee gets its ACK
// first all the same.
func TestByeOvertakesAck(t *testing.T) {
	run(t, plain, func(r *rig) {
		r.invite()
		invite := r.acme.WantRequest(sip.INVITE)
		r.acme.Reply(invite, 200)
		ok := r.office.Want(200)
		ack := r.office.Ack(ok)
		r.office.Send(r.office.InDialog(sip.BYE))
		r.office.Want(200)
		r.acme.WantRequest(sip.ACK)
		r.acme.Reply(r.acme.WantRequest(sip.BYE), 200)
		r.office.WantSilence(10 * time.Second)
		r.office.Send(ack)
		r.office.WantSilence(lifetime)
	})
}

func TestOptionsToTheGatewayAreAnswered(t *testing.T) {
	hops(t, func(r *rig) {
		r.office.Send(r.office.Request(sip.OPTIONS, "sip:"+gatewayAddr))
		m := r.office.Want(200)
		r.header(m, sip.HdrAccept, "application/sdp")
		if m.First(sip.HdrAllow) == nil {
			r.Error("the 200 has no Allow")
		}
		r.acme.WantSilence(time.Second)
	})
}

func TestMethodsOutsideDialogs(t *testing.T) {
	run(t, plain, func(r *rig) {
		for method, code := range map[sip.Method]int{
			sip.BYE: 481, sip.INFO: 481, sip.UPDATE: 481, sip.PRACK: 481, sip.REGISTER: 405,
			sip.NOTIFY: 481, sip.REFER: 403, "PICKUP": 501,
		} {
			r.office.Send(r.office.Request(method, number))
			if m := r.office.Want(code); code > 403 && code != 481 && m.First(sip.HdrAllow) == nil {
				r.Errorf("the %d to %s has no Allow", code, method)
			}
		}
	})
}

func TestMaxForwards(t *testing.T) {
	hops(t, func(r *rig) {
		r.invite(siptest.Set("Max-Forwards", "1"))
		invite := r.acme.WantRequest(sip.INVITE)
		r.header(invite, sip.HdrMaxForwards, "0")
		r.acme.Reply(invite, 200)
		r.office.Send(r.office.Ack(r.office.Want(200)))
		r.acme.WantRequest(sip.ACK)
		r.office.Send(r.office.InDialog(sip.INFO, siptest.Set("Max-Forwards", "0")))
		r.office.Want(483)
		r.office.Send(r.office.InDialog(sip.INFO, siptest.Set("Max-Forwards", "5")))
		info := r.acme.WantRequest(sip.INFO)
		r.header(info, sip.HdrMaxForwards, "4")
		r.acme.Reply(info, 200)
		r.office.Want(200)
		r.hangUp(r.office, r.acme)

		r.invite(siptest.Set("Max-Forwards", "0"))
		r.office.Send(r.office.Ack(r.office.Want(483)))
		r.invite(siptest.Drop("Max-Forwards"))
		invite = r.acme.WantRequest(sip.INVITE)
		r.header(invite, sip.HdrMaxForwards, "69")
		r.acme.Reply(invite, 486)
		r.acme.WantRequest(sip.ACK)
		r.office.Send(r.office.Ack(r.office.Want(486)))
	})
}

// A request that came two ways is merged (RFC 3261 §8.2.2.2).
func TestMergedRequestGets482(t *testing.T) {
	run(t, plain, func(r *rig) {
		text := r.office.Request(sip.INVITE, number)
		r.office.Send(text)
		r.office.Want(100)
		invite := r.acme.WantRequest(sip.INVITE)
		m, err := sip.Parse([]byte(text))
		if err != nil {
			r.Fatal(err)
		}
		r.office.Send(r.office.Request(sip.INVITE, number,
			siptest.Set("Call-ID", string(m.CallID())), siptest.Set("CSeq", string(m.First(sip.HdrCSeq)))))
		r.office.Send(r.office.Ack(r.office.Want(482)))
		r.acme.Reply(invite, 486)
		r.acme.WantRequest(sip.ACK)
		r.office.Want(486)
	})
}

// A request of our own that comes back is looped, though a proxy gave it
// another Via and Request-URI.
func TestLoopedRequestGets482(t *testing.T) {
	hops(t, func(r *rig) {
		r.invite()
		invite := r.acme.WantRequest(sip.INVITE)
		back := r.acme.Request(sip.INVITE, number,
			siptest.Set("From", string(invite.First(sip.HdrFrom))), siptest.Set("To", string(invite.First(sip.HdrTo))),
			siptest.Set("Call-ID", string(invite.CallID())), siptest.Set("CSeq", string(invite.First(sip.HdrCSeq))))
		r.acme.Send(back)
		looped := r.acme.Want(482)
		r.acme.Send(r.acme.Ack(looped))
		r.acme.Reply(invite, 482)
		r.acme.WantRequest(sip.ACK)
		r.office.Send(r.office.Ack(r.office.Want(482)))
	})
}

func TestChallengesBecome403(t *testing.T) {
	hops(t, func(r *rig) {
		for code, name := range map[int]string{401: "WWW-Authenticate", 407: "Proxy-Authenticate"} {
			r.invite(siptest.Set("Proxy-Authorization", `Digest username="bob", realm="gw", response="00"`))
			invite := r.acme.WantRequest(sip.INVITE)
			if invite.First(sip.HdrProxyAuthorization) != nil {
				r.Error("the caller's credentials crossed")
			}
			r.acme.Reply(invite, code, siptest.Set(name, `Digest realm="acme", nonce="n"`))
			r.acme.WantRequest(sip.ACK)
			m := r.office.Want(403)
			if m.First(sip.HdrWWWAuthenticate) != nil || m.First(sip.HdrProxyAuthenticate) != nil || string(m.Reason()) != "Forbidden" {
				r.Errorf("the challenge crossed:\n%s", m.Bytes())
			}
			r.office.Send(r.office.Ack(m))
		}
	})
}

func TestAnswerWithoutADialogFailsTheTarget(t *testing.T) {
	run(t, plain, func(r *rig) {
		r.invite()
		bad := r.acme.WantRequest(sip.INVITE)
		r.acme.Reply(bad, 200, siptest.Set("Contact", "<tel:+49>"))
		invite := r.backup.WantRequest(sip.INVITE)
		r.acme.WantRequest(sip.ACK)
		r.acme.Reply(r.acme.WantRequest(sip.BYE), 200)
		r.acme.Reply(bad, 200, siptest.Set("Contact", "<tel:+49>"))
		r.acme.WantRequest(sip.ACK)
		r.backup.Reply(invite, 486)
		r.backup.WantRequest(sip.ACK)
		r.office.Send(r.office.Ack(r.office.Want(486)))
	})
}
