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

// valuesOf returns all values of a header, joined by bars.
func valuesOf(m *Message, id HeaderID) string {
	var out []string
	for v := range m.Values(id) {
		out = append(out, string(v))
	}
	return strings.Join(out, " | ")
}

func TestSeveral(t *testing.T) {
	for text, want := range map[string]bool{
		"":                               false,
		"Via: a":                         false,
		"Via: a;x=\"b, c\"":              false,
		"Via: a, b":                      true,
		"Via: a\r\nSubject: x\r\nv: b":   true,
		"Route: a\r\nVia: a\r\nRoute: b": false,
	} {
		m, err := Parse([]byte("OPTIONS sip:a SIP/2.0\r\nTo: x\r\n" + text + "\r\n\r\n"))
		if text == "" {
			m, err = Parse([]byte("OPTIONS sip:a SIP/2.0\r\nTo: x\r\n\r\n"))
		}
		if err != nil || m.Several(HdrVia) != want {
			t.Errorf("%q: got %v, %v", text, m.Several(HdrVia), err)
		}
		m.Release()
	}
}

func TestValuesAndFirst(t *testing.T) {
	m, err := Parse([]byte(strings.ReplaceAll(`OPTIONS sip:a SIP/2.0
Route: <sip:a;lr>, "x, y" <sip:b,c@d;lr>;p="1,2"
Subject: a, b
Call-Info: ,,
Authorization: Digest a="1", b="2"
X-List: a, b
route: <sip:e;lr>
Accept:
Authorization: Digest c="3"
Allow: INVITE , , BYE ,
Warning: 399 a "b, c", 399 d "e"

`, "\n", "\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Release()
	for _, c := range []struct {
		id            HeaderID
		first, values string
	}{
		{HdrRoute, `<sip:a;lr>, "x, y" <sip:b,c@d;lr>;p="1,2"`, `<sip:a;lr> | "x, y" <sip:b,c@d;lr>;p="1,2" | <sip:e;lr>`},
		{HdrSubject, "a, b", "a, b"},
		{HdrCallInfo, ",,", ""},
		{HdrAuthorization, `Digest a="1", b="2"`, `Digest a="1", b="2" | Digest c="3"`},
		{HdrAccept, "", ""},
		{HdrAllow, "INVITE , , BYE ,", "INVITE | BYE"},
		{HdrWarning, `399 a "b, c", 399 d "e"`, `399 a "b, c" | 399 d "e"`},
		{HdrSupported, "", ""},
		{HdrOther, "", ""},
	} {
		if got := string(m.First(c.id)); got != c.first {
			t.Errorf("first %s: got %q, want %q", c.id, got, c.first)
		}
		if got := valuesOf(m, c.id); got != c.values {
			t.Errorf("values of %s: got %q, want %q", c.id, got, c.values)
		}
	}
	if m.First(HdrAccept) == nil || m.First(HdrSupported) != nil {
		t.Errorf("an empty header: %v, one that is absent: %v", m.First(HdrAccept), m.First(HdrSupported))
	}
	if !m.Has(HdrAccept) || m.Has(HdrSupported) || m.Has(HdrOther) {
		t.Errorf("has Accept %t, Supported %t, other %t", m.Has(HdrAccept), m.Has(HdrSupported), m.Has(HdrOther))
	}
}

func TestIteratorsStopWhenTold(t *testing.T) {
	m := mustParse(t, request("Route: <sip:a;lr>, <sip:b;lr>", "+Route: <sip:c;lr>", "+Subject: x"))
	defer m.Release()
	for _, id := range []HeaderID{HdrRoute, HdrSubject} {
		n := 0
		for range m.Values(id) {
			n++
			break
		}
		if n != 1 {
			t.Errorf("%s: %d values after a break", id, n)
		}
	}
	n := 0
	for range m.Fields() {
		n++
		break
	}
	if n != 1 {
		t.Errorf("%d fields after a break", n)
	}
}

// A slice of a message ends where its part ends: who appends to one writes over
// nothing.
func TestSlicesEndWithTheirPart(t *testing.T) {
	m := mustParse(t, invite)
	defer m.Release()
	_ = append(m.First(HdrCallID), "overwritten"...)
	_ = append(m.RequestURI(), "overwritten"...)
	for f := range m.Fields() {
		_ = append(f.Name, "overwritten"...)
		_ = append(f.Value, "overwritten"...)
	}
	if string(m.Bytes()) != string(invite) {
		t.Errorf("got\n%s", m.Bytes())
	}
}

func TestAccessorsOfWhatIsNotThere(t *testing.T) {
	m, err := Parse([]byte("OPTIONS sip:a SIP/2.0\r\nMax-Forwards: x\r\n\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Release()
	for name, f := range map[string]func() error{
		"Via":     func() error { _, err := m.Via(); return err },
		"From":    func() error { _, err := m.From(); return err },
		"To":      func() error { _, err := m.To(); return err },
		"Contact": func() error { _, err := m.Contact(); return err },
		"CSeq":    func() error { _, err := m.CSeq(); return err },
	} {
		pe, ok := errors.AsType[*ParseError](f())
		if !ok || pe.Header != name || pe.Rule != "the header is mandatory" || pe.Offset != -1 {
			t.Errorf("%s: got %v", name, pe)
		}
	}
	if n, ok := m.MaxForwards(); ok {
		t.Errorf("Max-Forwards of a word: %d", n)
	}
	if m.CallID() != nil || m.Body() == nil || len(m.Body()) != 0 {
		t.Errorf("Call-ID %v, body %v", m.CallID(), m.Body())
	}
}

func TestContactIsTheFirst(t *testing.T) {
	m := mustParse(t, request(`Contact: "a, b" <sip:a@192.0.2.1;x=y>;q=1, <sip:b@192.0.2.2>`, "+m: <sip:c@192.0.2.3>", "+Max-Forwards: 7"))
	defer m.Release()
	c, err := m.Contact()
	if err != nil || string(c.Display) != `"a, b"` || string(c.RawURI) != "sip:a@192.0.2.1;x=y" || string(c.Params) != ";q=1" {
		t.Errorf("got %q %q %q, %v", c.Display, c.RawURI, c.Params, err)
	}
	if n, ok := m.MaxForwards(); n != 7 || !ok {
		t.Errorf("Max-Forwards %d, %t", n, ok)
	}
}

// A message that is used again remembers nothing of the one before.
func TestLoadForgets(t *testing.T) {
	m := mustParse(t, invite)
	defer m.Release()
	if err := m.Load([]byte("SIP/2.0 200 OK\r\nTo: t\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	for id := HdrVia; id < numHeaders; id++ {
		if m.Has(id) != (id == HdrTo) {
			t.Errorf("has %s: %t", id, m.Has(id))
		}
	}
	if _, err := m.Via(); err == nil {
		t.Error("the Via is that of the message before")
	}
	if _, err := m.CSeq(); err == nil || m.Method() != "" {
		t.Errorf("the CSeq is that of the message before: %q", m.Method())
	}
	if m.IsRequest() || m.RequestURI() != nil || len(m.Body()) != 0 || len(fieldsOf(m)) != 1 {
		t.Errorf("request %t, URI %q, body %q, fields %q", m.IsRequest(), m.RequestURI(), m.Body(), fieldsOf(m))
	}
	if err := m.Load([]byte("nonsense")); err == nil || m.Has(HdrTo) || m.StatusCode() != 0 {
		t.Errorf("nonsense: %v, To %t, status %d", err, m.Has(HdrTo), m.StatusCode())
	}
	if err := m.Load(invite); err != nil || m.Check() != nil {
		t.Errorf("after nonsense: %v, %v", err, m.Check())
	}
}

// Load copies: the caller's buffer is the caller's again.
func TestLoadCopies(t *testing.T) {
	b := slices.Clone(invite)
	m := mustParse(t, b)
	defer m.Release()
	clear(b)
	if string(m.Bytes()) != string(invite) {
		t.Error("the message changed with the bytes that it was loaded from")
	}
}

func TestCloneOutlivesRelease(t *testing.T) {
	m := mustParse(t, invite)
	c := m.Clone()
	defer c.Release()
	m.Release()
	mustParse(t, []byte("SIP/2.0 200 OK\r\nv: SIP/2.0/UDP a;branch=z9hG4bK1\r\nf: <sip:a@b>;tag=1\r\nt: <sip:b@b>;tag=2\r\ni: 1\r\nCSeq: 7 INVITE\r\n\r\n"))
	if string(c.Bytes()) != string(invite) || string(c.CallID()) != "3848276298220188511@pbx.example.com" {
		t.Error("the clone changed with its origin")
	}
}

func TestCloneIsEqual(t *testing.T) {
	for _, raw := range [][]byte{
		invite,
		request("Via: nonsense"),
		request("+no colon"),
		[]byte("SIP/2.0 200 OK\r\nTo: t\r\n\r\n"),
		[]byte("nonsense"),
		nil,
	} {
		m, err := Parse(raw)
		if err == nil {
			err = m.Check()
		}
		c := m.Clone()
		cerr := c.Check()
		if (err == nil) != (cerr == nil) || err != nil && err.Error() != cerr.Error() {
			t.Errorf("%q: clone's check says %v, want %v", raw, cerr, err)
		}
		if c.Method() != m.Method() || c.StatusCode() != m.StatusCode() || string(c.RequestURI()) != string(m.RequestURI()) ||
			string(c.Reason()) != string(m.Reason()) || string(c.Body()) != string(m.Body()) || !slices.Equal(fieldsOf(c), fieldsOf(m)) {
			t.Errorf("%q: the clone differs", raw)
		}
		c.Release()
		m.Release()
	}
}

// In builds with the race detector, who keeps a slice of a released message
// reads poison.
func TestReleasePoisons(t *testing.T) {
	m := mustParse(t, invite)
	kept := m.CallID()
	before := string(kept)
	m.Release()
	poisoned := string(kept) == strings.Repeat("\xdb", len(kept))
	if poisoned != poison || !poison && string(kept) != before {
		t.Errorf("poison is %t, and the released message's Call-ID %q", poison, kept)
	}
}

// One huge message must not make the pool hold its memory for ever, nor one with
// many fields.
func TestReleaseGivesBackWhatIsLarge(t *testing.T) {
	m, _ := Parse([]byte("OPTIONS sip:a SIP/2.0\r\n" + strings.Repeat("A: b\r\n", 256) + "\r\n" + strings.Repeat("x", 60_000)))
	if len(fieldsOf(m)) != 256 {
		t.Fatalf("%d fields", len(fieldsOf(m)))
	}
	m.Release()
	if cap(m.buf) > maxPooled || cap(m.fields) > len(m.inline) {
		t.Errorf("keeps %d bytes and %d fields", cap(m.buf), cap(m.fields))
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
