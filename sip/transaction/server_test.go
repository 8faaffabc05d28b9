package transaction

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestServerInviteAnswered(t *testing.T) {
	b := newBench(t)
	in := b.request(ask("INVITE", branch), false)
	if in.Verdict != New || in.Server.State() != Proceeding || in.Server.Method != "INVITE" {
		t.Fatalf("arrival %+v", in)
	}
	b.want("0 server sends 100")
	trying := b.sent[0]
	if strings.Contains(trying, ";tag=99") || strings.Contains(trying, "biloxi.example>;tag") {
		t.Errorf("the 100 has a To tag (RFC 3261 §17.2.1):\n%s", trying)
	}
	b.wait(400 * ms)
	if again := b.request(ask("INVITE", branch), false); again.Verdict != Absorbed {
		t.Errorf("a retransmission is %+v", again)
	}
	in.Server.Respond(b.now, 180, []byte(reply(180, "INVITE", branch)))
	b.request(ask("INVITE", branch), false)
	b.want("400 server sends 100", "400 server sends 180", "400 server sends 180")

	ok := []byte(reply(200, "INVITE", branch))
	b.wait(1000 * ms)
	in.Server.Respond(b.now, 200, ok)
	b.request(ask("INVITE", branch), false) // absorbed without an answer
	b.wait(500 * ms)
	in.Server.Respond(b.now, 200, ok) // the TU sends it again
	if in.Server.Respond(b.now, 500, ok) {
		t.Error("a failure went out after a 2xx")
	}
	b.want("1400 server sends 200", "1900 server sends 200")
	if in.Server.last != nil || in.Server.trying != nil {
		t.Error("responses are kept though nothing will be sent again")
	}

	// The ACK to a 2xx has a branch of its own; one that repeats the INVITE's
	// goes to the TU too.
	if got := b.request(ask("ACK", "z9hG4bKother"), false); got != (Arrival{Verdict: AckForTU}) {
		t.Errorf("ACK to a 2xx is %+v", got)
	}
	if got := b.request(ask("ACK", branch), false); got != (Arrival{Verdict: AckForTU, Invite: in.Server}) {
		t.Errorf("ACK with the INVITE's branch is %+v", got)
	}
	b.wait(time.Minute)
	b.want("33400 server done: <nil>")
	b.empty()
}

func TestServerInviteRefused(t *testing.T) {
	b := newBench(t)
	in := b.request(ask("INVITE", branch), false)
	busy := []byte(reply(486, "INVITE", branch))
	if !in.Server.Respond(b.now, 486, busy) {
		t.Error("486 was not sent")
	}
	b.wait(600 * ms)
	b.request(ask("INVITE", branch), false)
	b.wait(600 * ms)
	if got := b.request(ask("ACK", branch), false); got.Verdict != Absorbed {
		t.Errorf("ACK to a failure is %+v", got)
	}
	b.request(ask("ACK", branch), false)
	b.wait(time.Minute)
	b.want(
		"0 server sends 100", "0 server sends 486", "500 server sends 486", "600 server sends 486",
		"6200 server done: <nil>",
	)
	b.empty()
}

func TestServerInviteNeverAcknowledged(t *testing.T) {
	b := newBench(t)
	in := b.request(ask("INVITE", branch), true)
	in.Server.Respond(b.now, 486, []byte(reply(486, "INVITE", branch)))
	b.wait(time.Minute)
	b.want("0 server sends 100", "0 server sends 486", "32000 server done: transaction timed out")
	b.empty()
}

func TestServerTransportFailure(t *testing.T) { // RFC 6026 §8.8
	b := newBench(t)
	broken := errors.New("connection reset")
	in := b.request(ask("INVITE", branch), true)
	b.layer.ServerFailed(in.Server, broken)
	if in.Server.State() != Proceeding {
		t.Errorf("state %v, want proceeding", in.Server.State())
	}
	in.Server.Respond(b.now, 486, []byte(reply(486, "INVITE", branch)))
	b.wait(time.Minute)
	b.want("0 server sends 100", "0 server sends 486", "32000 server done: transport failed: connection reset")

	// One that is used again has forgotten it.
	in = b.request(ask("INVITE", branch), true)
	in.Server.Respond(b.now, 486, []byte(reply(486, "INVITE", branch)))
	b.wait(time.Minute)
	b.want("60000 server sends 100", "60000 server sends 486", "92000 server done: transaction timed out")
	b.empty()
}

func TestServerOther(t *testing.T) {
	b := newBench(t)
	in := b.request(ask("OPTIONS", branch), false)
	b.wait(600 * ms)
	b.request(ask("OPTIONS", branch), false) // discarded
	b.want()
	in.Server.Respond(b.now, 200, []byte(reply(200, "OPTIONS", branch)))
	b.wait(600 * ms)
	b.request(ask("OPTIONS", branch), false)
	b.wait(time.Minute)
	b.want("600 server sends 200", "1200 server sends 200", "32600 server done: <nil>")
	b.empty()

	in = b.request(ask("OPTIONS", branch), true)
	in.Server.Respond(b.now, 200, []byte(reply(200, "OPTIONS", branch)))
	b.want("61200 server sends 200", "61200 server done: <nil>")
	b.empty()
}

func TestServerOtherWithoutAnswer(t *testing.T) { // RFC 4320 §4
	b := newBench(t)
	in := b.request(ask("OPTIONS", branch), false)
	for _, code := range []int{100, 180, 408} {
		if in.Server.Respond(b.now, code, []byte(reply(code, "OPTIONS", branch))) {
			t.Errorf("%d went out", code)
		}
	}
	b.wait(4000 * ms)
	b.request(ask("OPTIONS", branch), false)
	b.wait(time.Minute)
	b.want("3500 server sends 100", "4000 server sends 100", "32000 server done: transaction timed out")
	b.empty()
}

func TestServerMatching(t *testing.T) { // RFC 3261 §17.2.3
	old := "1" // a branch without the magic cookie
	for _, c := range []struct {
		name   string
		first  string
		second string
		want   Verdict
	}{
		{"same", ask("OPTIONS", branch), ask("OPTIONS", branch), Absorbed},
		{"sent-by has no case", ask("OPTIONS", branch), ask("OPTIONS", branch, "pc33.atlanta", "PC33.Atlanta"), Absorbed},
		{"another branch", ask("OPTIONS", branch), ask("OPTIONS", "z9hG4bKother", "987asjd", "other"), New},
		{"another sent-by host", ask("OPTIONS", branch), ask("OPTIONS", branch, "pc33", "pc34", "987asjd", "other"), New},
		{"another sent-by port", ask("OPTIONS", branch), ask("OPTIONS", branch, ":5060", ":5062", "987asjd", "other"), New},
		{"another method", ask("OPTIONS", branch), ask("MESSAGE", branch), New},
		{"all else may differ", ask("OPTIONS", branch), ask("OPTIONS", branch, "987asjd", "other", "88sja8x", "x", "986759", "1"), Absorbed},
		{"RFC 2543, same", ask("OPTIONS", old), ask("OPTIONS", old), Absorbed},
		{"RFC 2543, no branch at all", ask("OPTIONS", old, ";branch=1", ""), ask("OPTIONS", old, ";branch=1", ""), Absorbed},
		{"the cookie alone, same", ask("OPTIONS", "z9hG4bK"), ask("OPTIONS", "z9hG4bK"), Absorbed},
		{"the cookie alone, another Call-ID", ask("OPTIONS", "z9hG4bK"), ask("OPTIONS", "z9hG4bK", "987asjd", "other"), New},
		{"RFC 2543, another method", ask("OPTIONS", old), ask("MESSAGE", old), New},
		{"RFC 2543, another Request-URI", ask("OPTIONS", old), ask("OPTIONS", old, "OPTIONS sip:bob", "OPTIONS sip:rob"), Merged},
		{"RFC 2543, another To tag", ask("OPTIONS", old), ask("OPTIONS", old, "<sip:bob@biloxi.example>", "<sip:bob@biloxi.example>;tag=1"), New},
		{"RFC 2543, another From tag", ask("OPTIONS", old), ask("OPTIONS", old, "88sja8x", "x"), New},
		{"RFC 2543, another Call-ID", ask("OPTIONS", old), ask("OPTIONS", old, "987asjd", "other"), New},
		{"RFC 2543, another CSeq", ask("OPTIONS", old), ask("OPTIONS", old, "986759", "986760"), New},
		{"RFC 2543, another Via", ask("OPTIONS", old), ask("OPTIONS", old, "pc33", "pc34"), Merged},
		{"merged", ask("INVITE", branch), ask("INVITE", "z9hG4bKother"), Merged},
		{"merged needs the same CSeq", ask("INVITE", branch), ask("INVITE", "z9hG4bKother", "986759", "986760"), New},
		{"merged needs the same From tag", ask("INVITE", branch), ask("INVITE", "z9hG4bKother", "88sja8x", "x"), New},
		{"merged needs the same Call-ID", ask("INVITE", branch), ask("INVITE", "z9hG4bKother", "987asjd", "other"), New},
		{"merged has no To tag", ask("INVITE", branch), ask("INVITE", "z9hG4bKother", "<sip:bob@biloxi.example>", "<sip:bob@biloxi.example>;tag=1"), New},
		{"CANCEL", ask("INVITE", branch), ask("CANCEL", branch), CancelFor},
		{"CANCEL is not merged", ask("CANCEL", branch), ask("CANCEL", "z9hG4bKother"), CancelFor},
		{"CANCEL again", ask("CANCEL", branch), ask("CANCEL", branch), Absorbed},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			b.request(c.first, false)
			b.log = nil
			got := b.request(c.second, false)
			if got.Verdict != c.want {
				t.Errorf("verdict %v, want %v", got.Verdict, c.want)
			}
			if (got.Server != nil) != (c.want != Absorbed) {
				t.Errorf("server %v for verdict %v", got.Server, c.want)
			}
		})
	}
}

func TestServerCancel(t *testing.T) { // RFC 3261 §9.2
	b := newBench(t)
	invite := b.request(ask("INVITE", branch), false).Server
	options := b.request(ask("OPTIONS", "z9hG4bKopt", "986759", "986760"), false).Server
	b.log = nil
	cancel := b.request(ask("CANCEL", branch), false)
	if cancel.Verdict != CancelFor || cancel.Invite != invite || cancel.Server == invite || cancel.Server.Method != "CANCEL" {
		t.Fatalf("CANCEL is %+v", cancel)
	}
	if again := b.request(ask("CANCEL", branch), false); again.Verdict != Absorbed {
		t.Errorf("CANCEL again is %+v", again)
	}
	b.want() // nothing to say until the TU has answered
	cancel.Server.Respond(b.now, 200, []byte(reply(200, "CANCEL", branch)))
	b.request(ask("CANCEL", branch), false)
	b.want("0 server sends 200", "0 server sends 200")
	invite.Respond(b.now, 487, []byte(reply(487, "INVITE", branch)))
	b.request(ask("ACK", branch), false)
	b.want("0 server sends 487")

	if got := b.request(ask("CANCEL", "z9hG4bKopt", "986759", "986760"), false); got.Invite != options {
		t.Errorf("CANCEL of an OPTIONS is %+v", got)
	}
	if got := b.request(ask("CANCEL", "z9hG4bKnone"), false); got.Verdict != CancelFor || got.Invite != nil {
		t.Errorf("CANCEL of nothing is %+v", got)
	}
}

func TestServerMerged(t *testing.T) { // RFC 3261 §8.2.2.2
	b := newBench(t)
	first := b.request(ask("INVITE", branch), false).Server
	b.log = nil
	second := b.request(ask("INVITE", "z9hG4bKother"), false)
	if second.Verdict != Merged {
		t.Fatalf("merged request is %+v", second)
	}
	b.want() // no 100: the 482 comes at once
	b.request(ask("INVITE", "z9hG4bKother"), false)
	b.want()
	second.Server.Respond(b.now, 482, []byte(reply(482, "INVITE", "z9hG4bKother")))
	b.request(ask("ACK", "z9hG4bKother"), false)
	b.want("0 server sends 482")
	first.Respond(b.now, 486, []byte(reply(486, "INVITE", branch)))
	b.request(ask("ACK", branch), false)
	b.wait(time.Minute)
	b.empty()
	if again := b.request(ask("INVITE", "z9hG4bKthird"), false); again.Verdict != New {
		t.Errorf("the request is still merged with nothing: %+v", again)
	}
}

// TestServerOldClient: an ACK of RFC 2543 has the INVITE's identity and the To
// tag of the response; in Accepted it goes to the TU (RFC 6026 §6).
func TestServerOldClient(t *testing.T) {
	ack := ask("ACK", "1", "<sip:bob@biloxi.example>", "<sip:bob@biloxi.example>;tag=99sa0xk")
	b := newBench(t)
	in := b.request(ask("INVITE", "1"), false)
	in.Server.Respond(b.now, 486, []byte(reply(486, "INVITE", "1")))
	if got := b.request(ask("ACK", "1"), false); got.Verdict != AckForTU || got.Invite != nil {
		t.Errorf("ACK without the response's tag is %+v", got)
	}
	if got := b.request(ack, false); got.Verdict != Absorbed || in.Server.State() != Confirmed {
		t.Errorf("ACK to a failure is %+v, state %v", got, in.Server.State())
	}
	b.wait(time.Minute)
	b.empty()

	in = b.request(ask("INVITE", "1"), false)
	in.Server.Respond(b.now, 200, []byte(reply(200, "INVITE", "1")))
	if got := b.request(ack, false); got != (Arrival{Verdict: AckForTU, Invite: in.Server}) {
		t.Errorf("ACK to a 2xx is %+v", got)
	}
	b.wait(time.Minute)
	b.empty()
}

// TestUnreadableRequest: what Message.Check would have refused starts nothing.
func TestUnreadableRequest(t *testing.T) {
	for name, edit := range map[string][2]string{
		"Via":  {"SIP/2.0/UDP pc33.atlanta.example:5060", "nonsense"},
		"CSeq": {"986759 INVITE", "nonsense"},
		"From": {"Alice <sip:alice@atlanta.example>", "<"},
		"To":   {"Bob <sip:bob@biloxi.example>", "<"},
	} {
		b := newBench(t)
		if got := b.request(ask("INVITE", branch, edit[0], edit[1]), false); got != (Arrival{}) {
			t.Errorf("%s: %+v", name, got)
		}
		b.empty()
	}
	b := newBench(t)
	b.client("OPTIONS", false)
	if b.response(reply(200, "OPTIONS", branch, "SIP/2.0/UDP pc33", "nonsense")) {
		t.Error("a response without a readable Via found a transaction")
	}
}
