package sip

import (
	"strings"
	"testing"
)

func TestResponseCopiesWhatItMust(t *testing.T) {
	m := mustParse(t, request("Via: SIP/2.0/UDP a.example.com;rport;branch=z9hG4bK1;received=6.6.6.6 , SIP/2.0/TCP first.example.com;branch=z9hG4bK0", "+v: SIP/2.0/TCP zero;branch=z9hG4bK9"))
	got := string(AppendResponse(nil, m, 480, "", []byte("t1"), Source{"192.0.2.7", 5099}, `Warning: 380 gw "no"`))
	want := strings.ReplaceAll(`SIP/2.0 480 Temporarily Unavailable
Via: SIP/2.0/UDP a.example.com;rport=5099;branch=z9hG4bK1;received=192.0.2.7, SIP/2.0/TCP first.example.com;branch=z9hG4bK0
From: <sip:a@example.com>;tag=1
Call-ID: 1@a
CSeq: 1 INVITE
Via: SIP/2.0/TCP zero;branch=z9hG4bK9
To: <sip:b@example.com>;tag=t1
Warning: 380 gw "no"
Content-Length: 0

`, "\n", "\r\n")
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	mustParse(t, []byte(got)).Release()
}

func TestResponseKeepsAToTag(t *testing.T) {
	m := mustParse(t, request("To: <sip:b@example.com>;tag=theirs"))
	if got := string(AppendResponse(nil, m, 200, "", []byte("ours"), Source{})); strings.Contains(got, "ours") || !strings.Contains(got, "tag=theirs\r\n") {
		t.Errorf("got\n%s", got)
	}
}

// outgoing builds what leg B of a call gets: its own dialog headers, and the
// rest of the incoming INVITE with its bytes.
func outgoing(b *Builder, buf []byte, m *Message) []byte {
	b.Reset(buf)
	b.Request(INVITE, m.RequestURI())
	b.Header("Via", "SIP/2.0/TLS gw.example.com:5061;branch=z9hG4bK0a1b2c3d4e5f")
	b.HeaderInt("Max-Forwards", 69)
	b.Header("From", `"Alice Example" <sip:+4940111222@gw.example.com>;tag=1a2b3c4d`)
	b.Header("To", "<sip:+4930123456@carrier.example.com>")
	b.Header("Call-ID", "0123456789abcdef0123")
	b.CSeq(1, INVITE)
	b.Header("Contact", "<sip:gw.example.com:5061;transport=tls>")
	for f := range m.Fields() {
		switch f.ID {
		case HdrVia, HdrMaxForwards, HdrFrom, HdrTo, HdrCallID, HdrCSeq, HdrContact, HdrContentLength:
		default:
			b.Field(f)
		}
	}
	return b.Finish(m.Body())
}

func TestBuiltInviteParses(t *testing.T) {
	m := mustParse(t, invite)
	var b Builder
	out := mustParse(t, outgoing(&b, nil, m))
	if string(out.Body()) != string(m.Body()) || string(out.First(HdrSessionExpires)) != "1800;refresher=uac" {
		t.Errorf("got\n%s", out.Bytes())
	}
}

func BenchmarkBuildInvite(b *testing.B) {
	m := mustParse(b, invite)
	var w Builder
	buf := make([]byte, 0, 2048)
	b.ReportAllocs()
	for b.Loop() {
		buf = outgoing(&w, buf[:0], m)
	}
}
