package sip

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// invite has the 14 headers and the SDP of an ordinary call.
var invite = []byte(strings.ReplaceAll(`INVITE sip:+4930123456@gw.example.com;user=phone SIP/2.0
Via: SIP/2.0/TLS pbx.example.com:5061;branch=z9hG4bK74bf9a1c;rport
Max-Forwards: 70
From: "Alice Example" <sip:+4940111222@pbx.example.com>;tag=9fxced76sl
To: <sip:+4930123456@gw.example.com;user=phone>
Call-ID: 3848276298220188511@pbx.example.com
CSeq: 1 INVITE
Contact: <sip:+4940111222@pbx.example.com:5061;transport=tls>
Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, PRACK, REFER, NOTIFY
Supported: replaces, timer, 100rel
Session-Expires: 1800;refresher=uac
P-Asserted-Identity: <sip:+4940111222@pbx.example.com>
User-Agent: Example PBX 12.4
Content-Type: application/sdp
Content-Length: 224

v=0
o=pbx 2890844526 2890844526 IN IP4 192.0.2.10
s=-
c=IN IP4 192.0.2.10
t=0 0
m=audio 49172 RTP/AVP 8 0 101
a=rtpmap:8 PCMA/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-16
a=sendrecv
`, "\n", "\r\n"))

func mustParse(t testing.TB, raw []byte) *Message {
	t.Helper()
	m, err := Parse(raw)
	if err == nil {
		err = m.Check()
	}
	if err != nil {
		t.Fatalf("%v in\n%s", err, raw)
	}
	return m
}

func TestParseInvite(t *testing.T) {
	m := mustParse(t, invite)
	defer m.Release()
	via, _ := m.Via()
	from, _ := m.From()
	to, _ := m.To()
	contact, _ := m.Contact()
	uri, _ := contact.URI()
	cseq, _ := m.CSeq()
	for _, c := range []struct{ what, got, want string }{
		{"method", string(m.Method()), "INVITE"},
		{"Request-URI", string(m.RequestURI()), "sip:+4930123456@gw.example.com;user=phone"},
		{"Via transport", string(via.Transport), "TLS"},
		{"Via host", string(via.Host), "pbx.example.com"},
		{"branch", string(via.Branch()), "z9hG4bK74bf9a1c"},
		{"display", string(from.Display), `"Alice Example"`},
		{"From tag", string(from.Tag()), "9fxced76sl"},
		{"To tag", string(to.Tag()), ""},
		{"Contact host", string(uri.Host), "pbx.example.com"},
		{"Contact transport", string(uri.Transport()), "tls"},
		{"CSeq method", string(cseq.Method), "INVITE"},
		{"Call-ID", string(m.CallID()), "3848276298220188511@pbx.example.com"},
		{"body", string(m.Body()[:3]), "v=0"},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %q, want %q", c.what, c.got, c.want)
		}
	}
	if via.Port != 5061 || uri.Port != 5061 || cseq.Seq != 1 || !via.RPort() {
		t.Errorf("numbers: via %d, contact %d, cseq %d, rport %t", via.Port, uri.Port, cseq.Seq, via.RPort())
	}
	var allow []string
	for v := range m.Values(HdrAllow) {
		allow = append(allow, string(v))
	}
	if want := strings.Split("INVITE ACK CANCEL BYE OPTIONS UPDATE PRACK REFER NOTIFY", " "); !slices.Equal(allow, want) {
		t.Errorf("Allow: got %q, want %q", allow, want)
	}
	n := 0
	for range m.Fields() {
		n++
	}
	if n != 14 {
		t.Errorf("fields: got %d, want 14", n)
	}
}

func TestParseAllocatesNothing(t *testing.T) {
	m := Acquire()
	defer m.Release()
	allocs := testing.AllocsPerRun(100, func() {
		if m.Load(invite) != nil || m.Check() != nil {
			t.Fatal("refused")
		}
	})
	if allocs != 0 {
		t.Errorf("parse, check and index: %v allocations, want 0", allocs)
	}
}

func request(lines ...string) []byte {
	head := []string{
		"INVITE sip:b@example.com SIP/2.0",
		"Via: SIP/2.0/UDP a.example.com;branch=z9hG4bK1",
		"From: <sip:a@example.com>;tag=1", "To: <sip:b@example.com>", "Call-ID: 1@a", "CSeq: 1 INVITE",
		"Contact: <sip:a@192.0.2.1>",
	}
	for _, l := range lines {
		name, _, _ := strings.Cut(l, ":")
		if strings.Contains(l, " SIP/") && !strings.Contains(l, ": ") {
			head[0] = l
			continue
		}
		i := slices.IndexFunc(head, func(h string) bool { return strings.HasPrefix(h, name+":") })
		switch {
		case strings.HasPrefix(l, "+"):
			head = append(head, l[1:])
		case i < 0:
			head = append(head, l)
		case strings.HasSuffix(l, ":"):
			head = slices.Delete(head, i, i+1)
		default:
			head[i] = l
		}
	}
	return []byte(strings.Join(head, "\r\n") + "\r\n\r\n")
}

// TestCheckRefuses changes one line of a good request at a time.
func TestCheckRefuses(t *testing.T) {
	mustParse(t, request()).Release()
	for _, c := range []struct {
		name, header string // the header that the error names
		lines        []string
		status       int
	}{
		{"no Via", "Via", []string{"Via:"}, 400},
		{"Via without host", "Via", []string{"Via: SIP/2.0/UDP ;branch=z9hG4bK1"}, 400},
		{"Via of another protocol", "Via", []string{"Via: HTTP/1.1 a"}, 400},
		{"Via with an empty parameter", "Via", []string{"Via: SIP/2.0/UDP a;;,;,,"}, 400},
		{"Via port too large", "Via", []string{"Via: SIP/2.0/UDP a:65536;branch=z9hG4bK1"}, 400},
		{"no From", "From", []string{"From:"}, 400},
		{"two From", "From", []string{"+From: <sip:c@example.com>;tag=2"}, 400},
		{"open quotes in To", "To", []string{`To: "Mr. J. User <sip:j@example.com>`}, 400},
		{"spaces in To's URI", "To", []string{"To: < sip:b@example.com >"}, 400},
		{"no Call-ID", "Call-ID", []string{"Call-ID:"}, 400},
		{"Call-ID with a space", "Call-ID", []string{"Call-ID: a b"}, 400},
		{"CSeq of another method", "CSeq", []string{"CSeq: 1 BYE"}, 400},
		{"CSeq too large", "CSeq", []string{"CSeq: 2147483648 INVITE"}, 400},
		{"CSeq without a number", "CSeq", []string{"CSeq: INVITE"}, 400},
		{"Max-Forwards too large", "Max-Forwards", []string{"Max-Forwards: 300"}, 400},
		{"two Max-Forwards", "Max-Forwards", []string{"Max-Forwards: 3", "+Max-Forwards: 4"}, 400},
		{"INVITE without Contact", "Contact", []string{"Contact:"}, 400},
		{"Contact with headers outside brackets", "Contact", []string{"Contact: sip:a@example.com?Route=x"}, 400},
		{"Route that is no URI", "Route", []string{"Route: <nonsense>"}, 400},
		{"Request-URI in brackets", "Request-URI", []string{"INVITE <sip:b@example.com> SIP/2.0"}, 400},
		{"Request-URI with spaces", "Request-URI", []string{"INVITE sip:b@example.com; lr SIP/2.0"}, 400},
		{"Request-URI with headers", "Request-URI", []string{"INVITE sip:b@example.com?Route=%3Csip:c%3E SIP/2.0"}, 400},
		{"two spaces", "Request-URI", []string{"INVITE  sip:b@example.com SIP/2.0"}, 400},
		{"version 7", "Request-Line", []string{"INVITE sip:b@example.com SIP/7.0"}, 505},
		{"two Content-Lengths", "Content-Length", []string{"Content-Length: 0", "+Content-Length: 1"}, 400},
		{"negative Content-Length", "Content-Length", []string{"Content-Length: -999"}, 400},
		{"Content-Length beyond the datagram", "Content-Length", []string{"Content-Length: 9999"}, 400},
		{"a line without a colon", "header", []string{"+nonsense"}, 400},
		{"a lone CR", "header", []string{"+Subject: a\rb"}, 400},
		{"a lone LF", "header", []string{"+Subject: a\nb"}, 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := Parse(request(c.lines...))
			if err == nil {
				err = m.Check()
			}
			pe, ok := errors.AsType[*ParseError](err)
			if !ok {
				t.Fatalf("got %v, want a *ParseError", err)
			}
			if pe.Header != c.header || pe.Status() != c.status {
				t.Errorf("got %q with %d, want %q with %d", pe, pe.Status(), c.header, c.status)
			}
			m.Release()
		})
	}
}

// TestCheckAccepts holds what must not be refused, however odd it looks.
func TestCheckAccepts(t *testing.T) {
	for name, lines := range map[string][]string{
		"folded Via":              {"Via: SIP/2.0/UDP\r\n a.example.com\r\n\t;branch=z9hG4bK1"},
		"spaces around slashes":   {"Via: SIP / 2.0 / UDP a.example.com : 5060 ;branch=z9hG4bK1"},
		"no space before bracket": {"To: caller<sip:b@example.com>"},
		"escaped quotes":          {`From: "a \" b\\" <sip:a@example.com>;tag=1`},
		"user with a semicolon":   {"INVITE sip:user;par=u%40example.net@example.com SIP/2.0"},
		"IPv6":                    {"INVITE sip:b@[2001:db8::10]:5070 SIP/2.0", "Via: SIP/2.0/TCP [2001:db8::9:1];branch=z9hG4bK1"},
		"compact forms":           {"Via:", "From:", "To:", "Call-ID:", "Contact:", "+v: SIP/2.0/UDP a;branch=z9hG4bK1", "+f: <sip:a@b>;tag=1", "+t: <sip:b@b>", "+i: 1", "+m: <sip:a@b>"},
		"leading zeros":           {"CSeq: 0009 INVITE", "Max-Forwards: 0068"},
		"unknown scheme":          {"INVITE nobodyKnowsThisScheme:opaque SIP/2.0"},
		"tel URI":                 {"INVITE tel:+49-30-123456 SIP/2.0"},
		"colon after spaces":      {"+Subject   : x"},
		"bare addr-spec":          {"From: sip:a@example.com;tag=1"},
		"unknown method":          {"!interesting-Method0123456789_*+`.%indeed'~ sip:b@example.com SIP/2.0", "CSeq: 1 !interesting-Method0123456789_*+`.%indeed'~"},
	} {
		t.Run(name, func(t *testing.T) { mustParse(t, request(lines...)).Release() })
	}
}

func TestResponseIsRead(t *testing.T) {
	m := mustParse(t, []byte("SIP/2.0 180 Ringing here\r\nv: SIP/2.0/UDP a;branch=z9hG4bK1\r\nf: <sip:a@b>;tag=1\r\nt: <sip:b@b>;tag=2\r\ni: 1\r\nCSeq: 7 INVITE\r\n\r\n"))
	if m.IsRequest() || m.StatusCode() != 180 || string(m.Reason()) != "Ringing here" || m.Method() != INVITE {
		t.Errorf("got %d %q of %s", m.StatusCode(), m.Reason(), m.Method())
	}
	for _, line := range []string{"SIP/2.0 4294967301 better", "SIP/2.0 99 low", "SIP/2.0 20", "SIP/2.0 abc x"} {
		if m, err := Parse([]byte(line + "\r\n\r\n")); err == nil || m.IsRequest() {
			t.Errorf("%q: got error %v, request %t", line, err, m.IsRequest())
		}
	}
}

func TestValuesOfListsAndRepeats(t *testing.T) {
	m := mustParse(t, request(`+Route: <sip:a;lr>, "x, y" <sip:b,c@d;lr>;p="1,2"`, "+Route: <sip:e;lr>", "+Call-Info: ,,"))
	var got []string
	for v := range m.Values(HdrRoute) {
		got = append(got, string(v))
	}
	if want := []string{"<sip:a;lr>", `"x, y" <sip:b,c@d;lr>;p="1,2"`, "<sip:e;lr>"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for v := range m.Values(HdrCallInfo) {
		t.Errorf("an empty list yielded %q", v)
	}
}

func TestCloneOutlivesRelease(t *testing.T) {
	m := mustParse(t, invite)
	c := m.Clone()
	m.Release()
	mustParse(t, []byte("SIP/2.0 200 OK\r\nv: SIP/2.0/UDP a;branch=z9hG4bK1\r\nf: <sip:a@b>;tag=1\r\nt: <sip:b@b>;tag=2\r\ni: 1\r\nCSeq: 7 INVITE\r\n\r\n"))
	if string(c.Bytes()) != string(invite) || string(c.CallID()) != "3848276298220188511@pbx.example.com" {
		t.Error("the clone changed with its origin")
	}
}

func BenchmarkParseInvite(b *testing.B) {
	m := Acquire()
	b.SetBytes(int64(len(invite)))
	b.ReportAllocs()
	for b.Loop() {
		if m.Load(invite) != nil || m.Check() != nil {
			b.Fatal("refused")
		}
	}
}
