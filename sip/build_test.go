package sip

import (
	"slices"
	"strings"
	"testing"
)

func TestResponseCopiesWhatItMust(t *testing.T) {
	m := mustParse(t, request("Via: SIP/2.0/UDP a.example.com;rport;branch=z9hG4bK1;received=6.6.6.6 , SIP/2.0/TCP first.example.com;branch=z9hG4bK0", "+v: SIP/2.0/TCP zero;branch=z9hG4bK9"))
	got := string(AppendResponse(nil, m, 480, "", []byte("t1"), Source{Host: "192.0.2.7", Port: 5099}, `Warning: 380 gw "no"`))
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

func TestResponseToARequestWithoutToHasNone(t *testing.T) {
	m, err := Parse(request("To:"))
	if err != nil || m.Check() == nil {
		t.Fatalf("parse: %v, want the missing To to be found by Check", err)
	}
	if got := string(AppendResponse(nil, m, 400, "", []byte("ours"), Source{})); strings.Contains(got, "To:") {
		t.Errorf("got\n%s", got)
	}
}

func TestResponseKeepsAToTag(t *testing.T) {
	m := mustParse(t, request("To: <sip:b@example.com>;tag=theirs"))
	if got := string(AppendResponse(nil, m, 200, "", []byte("ours"), Source{})); strings.Contains(got, "ours") || !strings.Contains(got, "tag=theirs\r\n") {
		t.Errorf("got\n%s", got)
	}
}

// TestTopVia holds what becomes of the topmost Via alone.
func TestTopVia(t *testing.T) {
	for _, c := range []struct{ name, via, host, want string }{
		{"neither asked for nor there", "SIP/2.0/UDP a;branch=1", "192.0.2.7", "SIP/2.0/UDP a;branch=1;received=192.0.2.7"},
		{"no parameters", "SIP/2.0/UDP a:5070", "192.0.2.7", "SIP/2.0/UDP a:5070;received=192.0.2.7"},
		{"rport asked for", "SIP/2.0/UDP a;rport;branch=1", "192.0.2.7", "SIP/2.0/UDP a;rport=5099;branch=1;received=192.0.2.7"},
		{"rport with a value", "SIP/2.0/UDP a;branch=1;RPORT=1", "192.0.2.7", "SIP/2.0/UDP a;branch=1;rport=5099;received=192.0.2.7"},
		{"received of the sender's", "SIP/2.0/UDP a;Received=6.6.6.6;branch=1", "192.0.2.7", "SIP/2.0/UDP a;branch=1;received=192.0.2.7"},
		{"received twice", "SIP/2.0/UDP a;received=6.6.6.6;received=7.7.7.7", "192.0.2.7", "SIP/2.0/UDP a;received=192.0.2.7"},
		{"IPv6, without brackets", "SIP/2.0/UDP [2001:db8::1];branch=1;rport", "2001:db8::9", "SIP/2.0/UDP [2001:db8::1];branch=1;rport=5099;received=2001:db8::9"},
		{"other parameters as they are", `SIP/2.0/UDP a ; x = "y;rport,z" ; TTL=1 ;maddr=b`, "192.0.2.7", `SIP/2.0/UDP a ; x = "y;rport,z" ; TTL=1 ;maddr=b;received=192.0.2.7`},
		{"more values behind", "SIP/2.0/UDP a;rport , SIP/2.0/UDP b;rport,SIP/2.0/UDP c", "192.0.2.7", "SIP/2.0/UDP a;rport=5099;received=192.0.2.7, SIP/2.0/UDP b;rport,SIP/2.0/UDP c"},
		{"no source", "SIP/2.0/UDP a;rport;received=6.6.6.6", "", "SIP/2.0/UDP a;rport;received=6.6.6.6"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := Parse(request("Via: " + c.via)) // without Check, which refuses the one of two
			if err != nil {
				t.Fatal(err)
			}
			defer m.Release()
			var b Builder
			b.Reset(nil)
			first, _, _ := strings.Cut(string(b.Echo(m, Source{Host: c.host, Port: 5099})), "\r\n")
			if want := "Via: " + c.want; first != want {
				t.Errorf("got  %s\nwant %s", first, want)
			}
		})
	}
}

func TestToTag(t *testing.T) {
	for _, c := range []struct{ to, want string }{
		{"<sip:b@example.com>", "<sip:b@example.com>;tag=ours"},
		{"sip:b@example.com", "sip:b@example.com;tag=ours"},
		{"<sip:b@example.com;tag=uri>", "<sip:b@example.com;tag=uri>;tag=ours"},
		{`"x;tag=no" <sip:b@example.com>;x`, `"x;tag=no" <sip:b@example.com>;x;tag=ours`},
		{"<sip:b@example.com>;tag=theirs", "<sip:b@example.com>;tag=theirs"},
		{"<sip:b@example.com>;x=y;TAG=theirs", "<sip:b@example.com>;x=y;TAG=theirs"},
		{"<sip:b@example.com>;tag", "<sip:b@example.com>;tag"},
	} {
		m := mustParse(t, request("To: "+c.to))
		if got := string(AppendResponse(nil, m, 200, "", []byte("ours"), Source{})); !strings.Contains(got, "\r\nTo: "+c.want+"\r\n") {
			t.Errorf("%s: want %s in\n%s", c.to, c.want, got)
		}
		if got := string(AppendResponse(nil, m, 100, "", nil, Source{})); !strings.Contains(got, "\r\nTo: "+c.to+"\r\n") {
			t.Errorf("%s: without a tag of ours:\n%s", c.to, got)
		}
		m.Release()
	}
}

func TestTimestampGoesIntoATryingAlone(t *testing.T) {
	m := mustParse(t, request("Timestamp: 54.1"))
	defer m.Release()
	for _, code := range []int{100, 180, 200} {
		got := string(AppendResponse(nil, m, code, "", nil, Source{}))
		if has := strings.Contains(got, "\r\nTimestamp: 54.1\r\n"); has != (code == 100) {
			t.Errorf("%d: Timestamp %t", code, has)
		}
	}
}

// A malformed request is answered too, and nothing in it becomes a line of the
// answer: not what stands behind a lone CR or LF.
func TestAnswerToMalformedRequest(t *testing.T) {
	m, err := Parse(request(
		"Via: SIP/2.0/UDP a.example.com;branch=z9hG4bK1\nX-Via: 1", "From: \"\rX-From: 1\" <sip:a@example.com>;tag=1", "To: \"\n\nX-To: 1\" <sip:b@example.com>",
		"Call-ID: 1\n\rX-Call: 1", "CSeq: 1 INVITE\r", "Timestamp: \n1"))
	if err == nil {
		t.Fatal("taken")
	}
	defer m.Release()
	for _, source := range []Source{{}, {Host: "192.0.2.1", Port: 5060}} {
		got := string(AppendResponse(nil, m, 100, "", []byte("t"), source))
		if strings.Contains(strings.ReplaceAll(got, "\r\n", ""), "\r") || strings.Contains(strings.ReplaceAll(got, "\r\n", ""), "\n") {
			t.Errorf("a CR or LF is alone in\n%q", got)
		}
		if n := strings.Count(got, "\r\n"); n != 9 || !strings.HasSuffix(got, "\r\n\r\n") {
			t.Errorf("%d lines in\n%s", n, got)
		}
		again, err := Parse([]byte(got))
		if err != nil {
			t.Errorf("%v in\n%s", err, got)
		}
		for f := range again.Fields() {
			if f.ID == HdrOther {
				t.Errorf("%s: %s became a field", f.Name, f.Value)
			}
		}
		again.Release()
	}
}

func TestAnswerRepeatsTheFirstOfASingleHeader(t *testing.T) {
	m, err := Parse(request("+f: <sip:x@example.com>;tag=2", "+Call-ID: 2@a", "+CSeq: 2 BYE", "+t: <sip:y@example.com>", "+v: SIP/2.0/UDP b"))
	if err == nil {
		t.Fatal("taken")
	}
	defer m.Release()
	r := mustParse(t, AppendResponse(nil, m, 400, "", nil, Source{}))
	defer r.Release()
	want := []string{"Via=SIP/2.0/UDP a.example.com;branch=z9hG4bK1", "From=<sip:a@example.com>;tag=1", "Call-ID=1@a", "CSeq=1 INVITE", "Via=SIP/2.0/UDP b", "To=<sip:b@example.com>", "Content-Length=0"}
	if got := fieldsOf(r); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestEveryBuilderLine(t *testing.T) {
	var b Builder
	b.Reset([]byte("before "))
	b.Request("x!", []byte("sip:a"))
	b.Field(Field{Name: []byte("v"), Value: []byte("a:b")})
	b.Header("Subject")
	b.Header("Subject", "a", "", "b")
	b.HeaderBytes("Subject", []byte("c"), nil, []byte("d"))
	b.HeaderInt("Expires", -7)
	b.CSeq(1<<31-1, BYE)
	b.Raw([]byte("X: 1\r\nY: 2\r\n"))
	got := string(b.Finish([]byte("body")))
	want := "before x! sip:a SIP/2.0\r\nv: a:b\r\nSubject: \r\nSubject: ab\r\nSubject: cd\r\nExpires: -7\r\nCSeq: 2147483647 BYE\r\nX: 1\r\nY: 2\r\nContent-Length: 4\r\n\r\nbody"
	if got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	b.Reset(nil)
	b.Status(199, "")
	b.Status(299, "")
	b.Status(486, "Not today")
	want = "SIP/2.0 199 Early Dialog Terminated\r\nSIP/2.0 299 OK\r\nSIP/2.0 486 Not today\r\nContent-Length: 0\r\n\r\n"
	if got := string(b.Finish(nil)); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestBuildingAllocates(t *testing.T) {
	m := mustParse(t, invite)
	defer m.Release()
	var w Builder
	if n := testing.AllocsPerRun(100, func() { outgoing(&w, make([]byte, 0, 2048), m) }); n > 1 {
		t.Errorf("the outgoing INVITE: %v allocations, want the buffer's alone", n)
	}
	buf := make([]byte, 0, 2048)
	tag, source := []byte("ours"), Source{Host: "192.0.2.1", Port: 5060}
	if n := testing.AllocsPerRun(100, func() { AppendResponse(buf, m, 486, "", tag, source, "Retry-After: 1") }); n != 0 {
		t.Errorf("a response into a buffer that is there: %v allocations", n)
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
