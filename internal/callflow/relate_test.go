package callflow

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// requests makes events of requests, each "Call-ID|further header lines", a second apart.
func requests(all ...[2]string) (events []Event) {
	link := &Link{ID: 1, Transport: "udp", Local: netip.MustParseAddrPort("192.0.2.1:5060")}
	for i, r := range all {
		at := time.Unix(1_700_000_000+int64(i), 0)
		events = append(events, Event{Seq: uint64(2*i + 1), At: at, Kind: Message, Link: link, Remote: netip.MustParseAddrPort("192.0.2.2:5060"),
			Raw: fmt.Appendf(nil, "INVITE sip:bob@b.test SIP/2.0\r\nVia: SIP/2.0/UDP h.test;branch=z9hG4bK%s\r\nFrom: <sip:alice@a.test>;tag=f\r\n"+
				"To: <sip:bob@b.test>\r\nCall-ID: %s\r\nCSeq: 1 INVITE\r\n%sContent-Length: 0\r\n\r\n", r[0], r[0], r[1])},
			Event{Seq: uint64(2*i + 2), At: at, Kind: LegCreated, Call: &Call{Number: uint64(i + 1), Direction: In, CallID: r[0], Peer: "office"}})
	}
	return events
}

// Flows that name one another's dialogs are related, each in its own words, with the row that tells; they stay flows of their own.
func TestRelations(t *testing.T) {
	for _, tt := range []struct{ name, header, this, other string }{
		{"Replaces", "Replaces: first;to-tag=1;from-tag=2\r\n", "replaces", "replaced by"},
		{"Join", "Join: first;to-tag=1;from-tag=2\r\n", "joins", "joined by"},
		{"Target-Dialog", "Target-Dialog: first;local-tag=1;remote-tag=2\r\n", "refers to", "referred to by"},
		{"Refer-To", "Refer-To: <sip:carol@c.test?Replaces=first%3Bto-tag%3D1%3Bfrom-tag%3D2&x=1>\r\n", "transferred to", "transferred from"},
		{"Diversion", "Diversion: <sip:bob@b.test>;reason=user-busy\r\n", "forwarded from", "forwarded to"},
		{"another dialog", "Replaces: third;to-tag=1;from-tag=2\r\n", "", ""},
		{"Diversion of somebody else", "Diversion: <sip:carol@b.test>;reason=user-busy\r\n", "", ""},
		{"nothing", "", "", ""},
	} {
		flows := Builder{}.Build(requests([2]string{"first", ""}, [2]string{"second", tt.header}))
		if len(flows) != 2 {
			t.Fatalf("%s: %d flows", tt.name, len(flows))
		}
		for i, want := range []string{tt.other, tt.this} {
			got := ""
			if r := flows[i].Related; len(r) == 1 {
				if got = r[0].Kind; r[0].Flow != flows[1-i].ID || r[0].Row != 1 {
					t.Errorf("%s: flow %d is related to %+v", tt.name, i, r[0])
				}
			}
			if got != want || len(flows[i].Related) > 1 {
				t.Errorf("%s: flow %d has %+v, want %q", tt.name, i, flows[i].Related, want)
			}
		}
	}
}

// Two calls of one session are related. Each leg says why it belongs to its call.
func TestSessionsAndEdges(t *testing.T) {
	const session = "Session-ID: ab30317f1a784dc48ff824d0d3715d86;remote=00000000000000000000000000000000\r\n"
	events := requests([2]string{"first", session}, [2]string{"second", session}, [2]string{"third", ""})
	out := events[0]
	events[5].Call.Number = 3
	events = append(events,
		Event{Seq: 7, At: out.At, Kind: LegCreated, Reason: "target 1 of 1: acme", Call: &Call{Number: 1, Direction: Out, CallID: "far", Peer: "acme"}},
	)
	far := requests([2]string{"far", session})[0]
	far.Seq, far.Out = 8, true
	flows := Builder{}.Build(append(events, far))
	if r := flows[1].Related; len(r) != 1 || r[0].Kind != "same session as" || r[0].Flow != "1" {
		t.Errorf("the second call is related to %+v", r)
	}
	if r := flows[2].Related; len(r) != 0 {
		t.Errorf("the third call is related to %+v", r)
	}
	want := []Edge{{"A", "B", ByRecord, 100, "target 1 of 1: acme"}, {"A", "B", BySessionID, 97, "both have ab30317f1a784dc48ff824d0d3715d86"}}
	if got := flows[0].Joins; !slices.Equal(got, want) {
		t.Errorf("joins %+v, want %+v", got, want)
	}
}
