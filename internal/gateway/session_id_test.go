package gateway

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
)

const (
	officeUUID = "ab30317f1a784dc48ff824d0d3715d86"
	acmeUUID   = "47755a9de7794ba387653f2099600ef2"
	otherUUID  = "0123456789abcdef0123456789abcdef"
	nullUUID   = "00000000000000000000000000000000"
)

// wantSession checks both UUIDs of a message.
func (r *rig) wantSession(m *siptest.Message, local, remote string) {
	r.Helper()
	if got, want := string(m.First(sip.HdrSessionID)), local+";remote="+remote; got != want {
		r.Errorf("%s: Session-ID is %q, want %q", firstLineOf(m), got, want)
	}
}

func firstLineOf(m *siptest.Message) string {
	line, _, _ := strings.Cut(string(m.Bytes()), "\r\n")
	return line
}

func sessionID(value string) siptest.Option { return siptest.Set("Session-ID", value) }

// Each side hears the other's UUID and its own, in requests and responses of a whole call, re-INVITE included; the flow and
// the record of the call have the caller's.
func TestSessionIDCrossesAsAPair(t *testing.T) {
	hops(t, func(r *rig) {
		mine := sessionID(officeUUID + ";remote=" + nullUUID)
		r.invite(mine)
		invite := r.acme.WantRequest(sip.INVITE)
		r.wantSession(invite, officeUUID, nullUUID)
		theirs := sessionID(acmeUUID + ";remote=" + officeUUID)
		r.acme.Reply(invite, 180, theirs)
		r.wantSession(r.office.Want(180), acmeUUID, officeUUID)
		r.acme.Reply(invite, 200, theirs, siptest.Body("application/sdp", answer))
		ok := r.office.Want(200)
		r.wantSession(ok, acmeUUID, officeUUID)
		mine = sessionID(officeUUID + ";remote=" + acmeUUID)
		r.office.Send(r.office.Ack(ok, mine))
		r.wantSession(r.acme.WantRequest(sip.ACK), officeUUID, acmeUUID)

		r.acme.Send(r.acme.InDialog(sip.INVITE, theirs, siptest.Body("application/sdp", offer)))
		r.acme.Want(100)
		again := r.office.WantRequest(sip.INVITE)
		r.wantSession(again, acmeUUID, officeUUID)
		r.office.Reply(again, 200, mine, siptest.Body("application/sdp", answer))
		ok = r.acme.Want(200)
		r.wantSession(ok, officeUUID, acmeUUID)
		r.acme.Send(r.acme.Ack(ok, theirs))
		r.wantSession(r.office.WantRequest(sip.ACK), acmeUUID, officeUUID)

		r.office.Send(r.office.InDialog(sip.BYE, mine))
		bye := r.acme.WantRequest(sip.BYE)
		r.wantSession(bye, officeUUID, acmeUUID)
		r.acme.Reply(bye, 200)
		r.office.Want(200)

		if f := r.recorder.Flows()[0]; f.Session != officeUUID {
			r.Errorf("the flow is of session %q", f.Session)
		}
		if c := r.cdrs.all()[0]; c.Session != officeUUID {
			r.Errorf("the record is of session %q", c.Session)
		}
	})
}

// Where nobody names a UUID the gateway makes one for each side, of version 4, and keeps it over the next target, a re-INVITE
// and a message that has none.
func TestSessionIDIsMadeAndKept(t *testing.T) {
	run(t, plain, func(r *rig) {
		r.invite()
		first := r.acme.WantRequest(sip.INVITE)
		id, err := first.SessionID()
		if err != nil || len(id.Local) != 32 || string(id.Remote) != nullUUID {
			r.Fatalf("Session-ID %q: %v", first.First(sip.HdrSessionID), err)
		}
		made := string(id.Local)
		if b, _ := hex.DecodeString(made); b[6]>>4 != 4 || b[8]>>6 != 2 {
			r.Errorf("%s is no UUID of version 4", made)
		}
		r.acme.Reply(first, 180, sessionID(otherUUID+";remote="+made))
		r.wantSession(r.office.Want(180), otherUUID, made)
		r.acme.Reply(first, 503)
		r.wantSession(r.acme.WantRequest(sip.ACK), made, nullUUID) // a hop's own: as in the INVITE
		second := r.backup.WantRequest(sip.INVITE)
		r.wantSession(second, made, nullUUID)
		r.backup.Reply(second, 200, siptest.Body("application/sdp", answer))
		ok := r.office.Want(200)
		id, _ = ok.SessionID()
		callee := string(id.Local)
		if callee == nullUUID || callee == otherUUID || callee == made || string(id.Remote) != made {
			r.Errorf("the caller hears %q", ok.First(sip.HdrSessionID))
		}
		r.office.Send(r.office.Ack(ok))
		r.wantSession(r.backup.WantRequest(sip.ACK), made, callee)
		r.backup.Send(r.backup.InDialog(sip.INVITE, siptest.Body("application/sdp", offer)))
		r.backup.Want(100)
		again := r.office.WantRequest(sip.INVITE)
		r.wantSession(again, callee, made)
		r.office.Reply(again, 200, siptest.Body("application/sdp", answer))
		ok = r.backup.Want(200)
		r.wantSession(ok, made, callee)
		r.backup.Send(r.backup.Ack(ok))
		r.office.WantRequest(sip.ACK)
		r.hangUp(r.office, r.backup)
		if f := r.recorder.Flows()[0]; f.Session != made {
			r.Errorf("the flow is of session %q, want %q", f.Session, made)
		}
	})
}

// The gateway's own messages have it too: a final answer of its own, a CANCEL, and the BYE that it sends by itself.
func TestSessionIDOfTheGatewaysOwnMessages(t *testing.T) {
	run(t, plain, func(r *rig) {
		r.invite(sessionID(officeUUID + ";remote=" + nullUUID))
		invite := r.acme.WantRequest(sip.INVITE)
		r.acme.Reply(invite, 180, sessionID(acmeUUID+";remote="+officeUUID))
		r.office.Want(180)
		r.office.Send(r.office.Cancel())
		r.office.Want(200)
		cancel := r.acme.WantRequest(sip.CANCEL)
		r.wantSession(cancel, officeUUID, nullUUID)
		refused := r.office.Want(487)
		r.wantSession(refused, acmeUUID, officeUUID)
		r.office.Send(r.office.Ack(refused))
		r.acme.Reply(cancel, 200)
		r.acme.Reply(invite, 487)
		r.acme.WantRequest(sip.ACK)
	})
}

// A UUID alone, as RFC 7329 has it, is that of its sender; one that is none at all is as good as missing.
func TestSessionIDOfOldAndBrokenSenders(t *testing.T) {
	run(t, plain, func(r *rig) {
		r.invite(sessionID(officeUUID))
		invite := r.acme.WantRequest(sip.INVITE)
		r.wantSession(invite, officeUUID, nullUUID)
		r.acme.Reply(invite, 183, sessionID(officeUUID)) // the older way: what came goes back
		r.wantSession(r.office.Want(183), officeUUID, officeUUID)
		r.acme.Reply(invite, 200, sessionID(strings.ToUpper(acmeUUID)), siptest.Body("application/sdp", answer))
		ok := r.office.Want(200)
		r.wantSession(ok, officeUUID, officeUUID)
		r.office.Send(r.office.Ack(ok))
		r.acme.WantRequest(sip.ACK)
		r.hangUp(r.office, r.acme)
	})
}

// Each fork has the UUID of who answers there, in what goes to it afterwards.
func TestSessionIDOfForks(t *testing.T) {
	run(t, plain, func(r *rig) {
		r.invite(sessionID(officeUUID+";remote="+nullUUID), siptest.Set("Supported", "100rel"))
		invite := r.acme.WantRequest(sip.INVITE)
		from, to := "1", "2"
		ringing := func(tag, uuid string) *siptest.Message {
			r.acme.Reply(invite, 180, sessionID(uuid+";remote="+officeUUID), siptest.Set("Require", "100rel"), siptest.Set("RSeq", "1"),
				siptest.Set("To", string(invite.First(sip.HdrTo))+";tag="+tag))
			return r.office.Want(180)
		}
		one, two := ringing(from, acmeUUID), ringing(to, otherUUID)
		r.wantSession(one, acmeUUID, officeUUID)
		r.wantSession(two, otherUUID, officeUUID)
		prack := func(to *siptest.Message, uuid string) {
			r.office.Send(r.office.InDialog(sip.PRACK, siptest.Set("To", string(to.First(sip.HdrTo))), siptest.Set("RAck", "1 1 INVITE")))
			m := r.acme.WantRequest(sip.PRACK)
			r.wantSession(m, officeUUID, uuid)
			r.acme.Reply(m, 200, sessionID(uuid+";remote="+officeUUID))
			r.office.Want(200)
		}
		prack(one, acmeUUID)
		prack(two, otherUUID)
		r.acme.Reply(invite, 486)
		r.office.Send(r.office.Ack(r.office.Want(486)))
		r.acme.WantRequest(sip.ACK)
	})
}

// A profile with session_id: off gives its peer none, and what the peer says in one goes nowhere.
func TestSessionIDOff(t *testing.T) {
	set := setting{profiles: map[string]string{"office": "tuned"}, tuned: "session_id: off, keep_alive: 0"}
	run(t, set, func(r *rig) {
		r.invite(sessionID(officeUUID + ";remote=" + nullUUID))
		invite := r.acme.WantRequest(sip.INVITE)
		id, err := invite.SessionID()
		if err != nil || string(id.Local) == officeUUID || sip.NullUUID(id.Local) {
			r.Errorf("acme hears %q", invite.First(sip.HdrSessionID))
		}
		made := string(id.Local)
		r.acme.Reply(invite, 200, sessionID(acmeUUID+";remote="+made), siptest.Body("application/sdp", answer))
		ok := r.office.Want(200)
		if ok.Has(sip.HdrSessionID) {
			r.Errorf("the office hears %q", ok.First(sip.HdrSessionID))
		}
		r.office.Send(r.office.Ack(ok, sessionID(officeUUID+";remote="+acmeUUID)))
		r.wantSession(r.acme.WantRequest(sip.ACK), made, acmeUUID)
		r.hangUp(r.office, r.acme)
	})
}

// Requests outside of calls have it as well.
func TestSessionIDOfRelayedRequests(t *testing.T) {
	run(t, plain, func(r *rig) {
		r.office.Send(r.office.Request(sip.MESSAGE, number, sessionID(officeUUID+";remote="+nullUUID), siptest.Body("text/plain", "hello")))
		m := r.acme.WantRequest(sip.MESSAGE)
		r.wantSession(m, officeUUID, nullUUID)
		r.acme.Reply(m, 200, sessionID(acmeUUID+";remote="+officeUUID))
		r.wantSession(r.office.Want(200), acmeUUID, officeUUID)

		r.office.Send(r.office.Request(sip.MESSAGE, number, siptest.Body("text/plain", "hello")))
		m = r.acme.WantRequest(sip.MESSAGE)
		id, _ := m.SessionID()
		made := string(id.Local)
		r.acme.Reply(m, 200)
		ok := r.office.Want(200)
		if id, err := ok.SessionID(); err != nil || string(id.Remote) != made || sip.NullUUID(id.Local) {
			r.Errorf("the office hears %q", ok.First(sip.HdrSessionID))
		}
		if f := r.recorder.Flows()[1]; f.Session != made {
			r.Errorf("the flow is of session %q, want %q", f.Session, made)
		}
		time.Sleep(lifetime)
	})
}

// A peer whose profile names a header is told in it the Call-ID of the caller's leg, and nobody else's value stands beside it.
func TestCallIDHeader(t *testing.T) {
	set := setting{profiles: map[string]string{"acme": "tuned"}, tuned: "call_id_header: X-Call-ID, keep_alive: 0"}
	run(t, set, func(r *rig) {
		r.invite(siptest.Set("Call-ID", "first@office"), siptest.Add("x-call-id", "of-another"), siptest.Add("X-Other", "1"))
		invite := r.acme.WantRequest(sip.INVITE)
		head := string(invite.Bytes())
		if !strings.Contains(head, "\r\nX-Call-ID: first@office\r\n") || strings.Contains(head, "of-another") || !strings.Contains(head, "X-Other: 1") {
			r.Errorf("acme gets\n%s", head)
		}
		r.acme.Reply(invite, 503)
		r.acme.WantRequest(sip.ACK)
		if second := r.backup.WantRequest(sip.INVITE); strings.Contains(string(second.Bytes()), "first@office") || !strings.Contains(string(second.Bytes()), "x-call-id: of-another") {
			r.Errorf("backup, whose profile names none, gets\n%s", second.Bytes())
		} else {
			r.backup.Reply(second, 486)
		}
		r.office.Send(r.office.Ack(r.office.Want(486)))
		r.backup.WantRequest(sip.ACK)
		if f := r.recorder.Flows()[0]; f.State != callflow.StateBusy {
			r.Errorf("the call is %s", f.State)
		}
	})
}
