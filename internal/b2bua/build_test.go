package b2bua

import (
	"strings"
	"testing"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/cross"
	"github.com/sallyport-sip/sallyport/internal/peer"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/dialog"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

var here = peer.Place{Host: "gw.example", HostPort: "gw.example:5061", Transport: transport.TLS}

const incoming = "INVITE sip:+4930123@gw.example SIP/2.0\r\n" +
	"Via: SIP/2.0/TLS 192.0.2.10:5061;branch=z9hG4bK776asdhds;rport\r\n" +
	"Max-Forwards: 70\r\n" +
	"From: \"Bob\" <sip:bob@inside.example>;tag=9fxced76sl\r\n" +
	"To: <sip:+4930123@gw.example>\r\n" +
	"Call-ID: 3848276298220188511@inside.example\r\n" +
	"CSeq: 63104 INVITE\r\n" +
	"Contact: <sip:bob@192.0.2.10:5061;transport=tls>\r\n" +
	"Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, PRACK\r\n" +
	"Supported: timer, 100rel, replaces\r\n" +
	"Session-Expires: 1800\r\n" +
	"User-Agent: phone/1.0\r\n" +
	"Content-Type: application/sdp\r\n" +
	"Content-Length: 5\r\n\r\nv=0\r\n"

// outgoing is an attempt with what a target's INVITE is made of.
func outgoing(t testing.TB) (*attempt, *sip.Message) {
	m, err := sip.Parse([]byte(incoming))
	if err != nil {
		t.Fatal(err)
	}
	p := &peer.Peer{Name: "acme", Transport: transport.TLS, URI: config.URI{Host: "2001:db8::1", Port: 5071, Transport: config.TLS}}
	c := &Call{in: &Leg{Hop: cross.Hop{Peer: &peer.Peer{Name: "office"}}}}
	l := &Leg{Hop: cross.Hop{Peer: p, Place: here}, call: c, out: true, callID: "0123456789abcdef", localTag: "fedcba98"}
	user := []byte("+4930123")
	l.uac = &dialog.UAC{
		CallID: l.callID, LocalTag: l.localTag, Seq: inviteCSeq, RequestURI: cross.Target(p, false, user),
		Local: cross.From(m, here, false), Remote: dialog.Party{URI: cross.URI(false, user, cross.Host(p.URI.Host))},
	}
	return &attempt{setup: &setup{hops: 69}, leg: l, branch: []byte("z9hG4bKsp00ff")}, m
}

func TestOutgoingInvite(t *testing.T) {
	a, m := outgoing(t)
	want := strings.Join([]string{
		"INVITE sip:+4930123@[2001:db8::1]:5071;transport=tls SIP/2.0",
		"Via: SIP/2.0/TLS gw.example:5061;branch=z9hG4bKsp00ff",
		"Max-Forwards: 69",
		`From: "Bob" <sip:bob@gw.example>;tag=fedcba98`,
		"To: <sip:+4930123@[2001:db8::1]>",
		"Call-ID: 0123456789abcdef",
		"CSeq: 1 INVITE",
		"Contact: <sip:gw.example:5061;transport=tls>",
		"Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, PRACK",
		"Supported: timer, 100rel, replaces",
		"Session-Expires: 1800",
		"User-Agent: phone/1.0",
		"Content-Type: application/sdp",
		"Content-Length: 5", "", "v=0", "",
	}, "\r\n")
	if got := string(a.invite(m)); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// The message itself is the one allocation.
func TestOutgoingInviteAllocatesOnce(t *testing.T) {
	a, m := outgoing(t)
	a.leg.Peer.SessionID = true
	if n := testing.AllocsPerRun(100, func() { a.invite(m) }); n > 1 {
		t.Errorf("got %v allocations, want 1", n)
	}
}

func BenchmarkOutgoingInvite(b *testing.B) {
	a, m := outgoing(b)
	a.leg.Peer.SessionID = true
	b.ReportAllocs()
	for b.Loop() {
		a.invite(m)
	}
}
