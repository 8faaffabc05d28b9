package callflow

import (
	"fmt"
	"testing"
	"time"
)

// msg is a message of the one transaction that these tests need.
func msg(seq uint64, out bool, line string) Event {
	return Event{Seq: seq, At: time.Unix(0, int64(seq)*1e6), Kind: Message, Out: out, Link: &Link{ID: 1, Transport: "udp"},
		Raw: fmt.Appendf(nil, "%s\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKa\r\nFrom: <sip:a@b>;tag=f\r\nTo: <sip:c@d>\r\n"+
			"Call-ID: c1\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n", line)}
}

func join(seq, number uint64, d Direction) Event {
	return Event{Seq: seq, Kind: LegCreated, At: time.Unix(0, int64(seq)*1e6),
		Call: &Call{Number: number, Direction: d, CallID: "c1", Peer: "p"}}
}

// TestAnAnswerIsNeverAboveItsRequest plays two goroutines that report the two at the same time.
func TestAnAnswerIsNeverAboveItsRequest(t *testing.T) {
	flows := Builder{}.Build([]Event{join(1, 7, Out), msg(2, false, "SIP/2.0 486 Busy Here"), msg(3, true, "INVITE sip:c@d SIP/2.0")})
	if len(flows) != 1 {
		t.Fatalf("got %d flows", len(flows))
	}
	f := flows[0]
	if f.State != StateBusy || len(f.Rows) != 2 || f.Rows[0].Label != "INVITE" || f.Rows[1].Label != "486 Busy Here" || f.Rows[1].Since < 0 {
		t.Errorf("state %s, rows %+v", f.State, f.Rows)
	}
}

// TestOneCallIDOnTwoLegs plays a gateway that called itself: both legs carry the same Call-ID.
func TestOneCallIDOnTwoLegs(t *testing.T) {
	flows := Builder{}.Build([]Event{
		join(1, 1, Out), msg(2, true, "INVITE sip:c@d SIP/2.0"), msg(3, false, "INVITE sip:c@d SIP/2.0"), join(4, 2, In),
	})
	if len(flows) != 2 || len(flows[0].Rows) != 1 || len(flows[1].Rows) != 1 {
		t.Fatalf("got %d flows %+v", len(flows), flows)
	}
	if a, b := flows[0], flows[1]; a.ID != "1" || a.Rows[0].From != 0 || b.ID != "2" || b.Rows[0].To != 1 {
		t.Errorf("flow %s %+v, flow %s %+v", a.ID, a.Rows, b.ID, b.Rows)
	}
}

// TestARecordWithoutAnythingIsNoFlow keeps a call that left nothing to draw out of the list.
func TestARecordWithoutAnythingIsNoFlow(t *testing.T) {
	route := Event{Seq: 2, Kind: RouteDecided, Call: &Call{Number: 8}, Reason: "rule 1"}
	if flows := (Builder{}).Build([]Event{join(1, 7, In), route, {Seq: 3, Kind: Closed}, {Seq: 4, Kind: TimedOut}}); len(flows) != 0 {
		t.Errorf("got %d flows, first %+v", len(flows), flows[0])
	}
}

// TestTimesFollowTheOrder plays two readers that stamp what they saw a moment apart, and a clock that is set back.
func TestTimesFollowTheOrder(t *testing.T) {
	link := &Link{ID: 1, Transport: "tls", Inbound: true}
	event := func(seq uint64, us int64, kind Kind, s *Step) Event {
		return Event{Seq: seq, At: time.Unix(100, us*1e3), Kind: kind, Link: link, Step: s}
	}
	events := []Event{
		event(1, 0, Opened, nil),
		event(2, 900, HandshakeStep, &Step{Name: "Finished"}),
		event(3, 700, HandshakeStep, &Step{ByGateway: true, Name: NameAlert, Alert: Alert{Fatal: true, Code: 42}}),
		event(4, 701, Refused, nil),
	}
	f := Builder{}.Build(events)[0]
	for i, r := range f.Rows[1:] {
		if r.Since < f.Rows[i].Since {
			t.Errorf("row %d is before row %d: %v, %v", i+2, i+1, r.Since, f.Rows[i].Since)
		}
	}
	if h := f.Legs[0].Hop.Handshake; len(h) != 2 || h[0].Since != 700*time.Microsecond || h[1].Since != 700*time.Microsecond {
		t.Errorf("got handshake %+v", h)
	}
	events[0].At = time.Unix(3700, 0)
	if f := (Builder{}).Build(events)[0]; f.Rows[1].Since > -time.Hour/2 {
		t.Errorf("a clock that was set back is hidden: %v", f.Rows[1].Since)
	}
}

// TestARefusedInviteHasItsReason plays a gateway that answers an INVITE without beginning a call.
func TestARefusedInviteHasItsReason(t *testing.T) {
	why := Event{Seq: 2, At: time.Unix(0, 2e6), Kind: Noted, Call: &Call{Direction: In, CallID: "c1"}, Reason: "peer office: no route matches"}
	flows := Builder{}.Build([]Event{msg(1, false, "INVITE sip:c@d SIP/2.0"), why, msg(3, true, "SIP/2.0 404 Not Found")})
	if len(flows) != 1 || len(flows[0].Rows) != 3 || flows[0].Rows[1].Label != why.Reason {
		t.Fatalf("got %+v", flows)
	}
	if got, want := flows[0].Sentence, "Failed: the gateway answered 404 Not Found on hop A: peer office: no route matches"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	why.Call = &Call{CallID: "another"}
	if flows := (Builder{}).Build([]Event{why}); len(flows) != 0 {
		t.Errorf("a reason without its INVITE makes a flow: %+v", flows[0])
	}
}
