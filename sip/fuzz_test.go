package sip

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// FuzzFramer: a stream is cut into the same messages, with the same faults, and
// ends for the same reason, in whatever pieces it comes.
func FuzzFramer(f *testing.F) {
	f.Add(invite, 10)
	f.Add(slices.Concat(invite, invite), 100)
	f.Add([]byte("\r\n\r\nOPTIONS sip:a SIP/2.0\r\nl: 0\r\n\r\n"), 3)
	f.Add([]byte("OPTIONS sip:a SIP/2.0\r\nv: a\r\n\tb\r\nl: 2\r\n\r\nab\r\nPOST /x HTTP/1.1\r\n"), 1)
	f.Add([]byte("SIP/2.0 200\r\nl:1\r\nl:2\r\n\r\n"), 7)
	f.Add([]byte("\x16\x03\x01"), 1)
	for i, b := range corpus(f) {
		f.Add(b, 1+i*7)
	}
	small := Limits{Message: 300, Headers: 6, HeaderLine: 60}
	f.Fuzz(func(t *testing.T, b []byte, size int) {
		if size <= 0 || len(b) > 4096 {
			return
		}
		for _, limits := range []Limits{{}, small} {
			whole := frames(limits, bytes.Clone(b), max(1, len(b)))
			pieces := frames(limits, bytes.Clone(b), size)
			if !equal(whole, pieces) {
				t.Fatalf("limits %v, in one piece:\n%+v\npieces of %d:\n%+v", limits, whole, size, pieces)
			}
			checkCut(t, limits, whole, len(b))
		}
	})
}

// corpus is every message of an RFC that is among the test data, in both forms
// when there are two.
func corpus(f *testing.F) (messages [][]byte) {
	f.Helper()
	for _, pattern := range []string{"rfc4475/*.dat", "rfc5118/*/*", "rfc3665/*.sip"} {
		files, err := filepath.Glob(filepath.Join("testdata", pattern))
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			messages = append(messages, b)
		}
	}
	if len(messages) != 50+2*12+178 {
		f.Fatalf("%d messages", len(messages))
	}
	return messages
}

// checkCut: nothing longer than the limit comes out, and no byte twice.
func checkCut(t *testing.T, limits Limits, c cut, n int) {
	if limits.Message == 0 {
		limits = DefaultLimits()
	}
	if c.left > limits.Message {
		t.Fatalf("%d bytes wait, more than the limit", c.left)
	}
	if c.pings+c.left > n {
		t.Fatalf("%d bytes of %d were keep-alives, %d are left", c.pings, n, c.left)
	}
}

// FuzzMessage: parse, encode, parse gives the same message; a clone is equal; a
// response can be built of whatever was read, and parses when the request did.
func FuzzMessage(f *testing.F) {
	f.Add(invite)
	f.Add(request("Via: SIP/2.0/UDP\r\n a ;branch=z9hG4bK1;rport"))
	f.Add(request(`Contact: "a\" <,>" <sip:a:b@[::1]:5>;q=1, sip:c;x="y,z"`, "+Route: <sip:a;lr>,<sips:b>", "+m: <tel:1>", "l: 0"))
	f.Add([]byte("REGISTER sip:a SIP/2.0\r\nVia : SIP / 2.0 / UDP a : 1 ; rport ,SIP/2.0/TLS b\r\nf:a:b\r\nt:*\r\ni:1@b\r\nCSeq:1\tREGISTER\r\nm:*\r\n\r\nx"))
	f.Add([]byte("SIP/2.0 200 OK\r\nv: SIP/2.0/UDP a\r\nf: <sip:a@b>;tag=1\r\nt: <sip:b@b>\r\ni: 1\r\nCSeq: 7 INVITE\r\n\r\n"))
	f.Add([]byte("SIP/2.0 200 OK\r\nv: SIP/2.0/UDP a\nx: y\r\nf: a\rb\r\n\r\n"))
	for _, b := range corpus(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Parse(b)
		defer m.Release()
		if err == nil {
			err = m.Check()
		}
		clone := m.Clone()
		sameMessage(t, m, clone, err)
		clone.Release()
		again, err2 := Parse(m.Bytes())
		if err2 == nil {
			err2 = again.Check()
		}
		if (err == nil) != (err2 == nil) {
			t.Fatalf("parse says %v, parse of what was parsed %v", err, err2)
		}
		if err == nil {
			sameMessage(t, m, again, err)
		}
		again.Release()
		responds(t, m, err)
		if err == nil {
			checked(t, m)
			rebuilt(t, m)
		}
	})
}

func sameMessage(t *testing.T, a, b *Message, err error) {
	t.Helper()
	if !bytes.Equal(a.Bytes(), b.Bytes()) || !bytes.Equal(a.Body(), b.Body()) || !slices.Equal(fieldsOf(a), fieldsOf(b)) ||
		a.Method() != b.Method() || a.StatusCode() != b.StatusCode() || !bytes.Equal(a.RequestURI(), b.RequestURI()) || !bytes.Equal(a.Reason(), b.Reason()) {
		t.Fatalf("%v:\n%q\nis not\n%q", err, a.Bytes(), b.Bytes())
	}
	for id := HdrVia; id < numHeaders; id++ {
		if valuesOf(a, id) != valuesOf(b, id) || !bytes.Equal(a.First(id), b.First(id)) || a.Has(id) != b.Has(id) {
			t.Fatalf("%s: %q is not %q", id, valuesOf(a, id), valuesOf(b, id))
		}
	}
}

// responds builds an answer to m, malformed or not.
func responds(t *testing.T, m *Message, err error) {
	t.Helper()
	if !m.IsRequest() || len(fieldsOf(m)) > 250 || len(m.Bytes()) > 8000 {
		return // what is added may pass a limit
	}
	response := AppendResponse(nil, m, 400, "", []byte("x"), Source{Host: "192.0.2.1", Port: 5060})
	r, rerr := Parse(response)
	defer r.Release()
	if rerr == nil && err == nil {
		rerr = r.Check()
	}
	if rerr != nil {
		t.Fatalf("%v: the answer %v\n%q", err, rerr, response)
	}
	for f := range r.Fields() {
		if f.ID == HdrOther {
			t.Fatalf("%q of the request became a field of\n%q", f.Name, response)
		}
	}
	if err == nil && (string(r.CallID()) != string(m.CallID()) || r.Method() != m.Method()) {
		t.Fatalf("the answer is to another request:\n%q", response)
	}
	if err == nil {
		mine, _ := m.Via()
		theirs, _ := r.Via()
		if !bytes.Equal(mine.Branch(), theirs.Branch()) || !bytes.Equal(mine.Host, theirs.Host) || mine.RPort() != theirs.RPort() {
			t.Fatalf("the answer goes another way:\n%q", response)
		}
	}
}

// checked: after Check no accessor fails.
func checked(t *testing.T, m *Message) {
	t.Helper()
	from, err1 := m.From()
	to, err2 := m.To()
	_, err3 := from.URI()
	_, err4 := to.URI()
	_, err5 := m.CSeq()
	via, err6 := m.Via()
	if err := errors.Join(err1, err2, err3, err4, err5, err6); err != nil || len(via.Host) == 0 || len(m.CallID()) == 0 {
		t.Fatalf("after Check: %v, Via host %q, Call-ID %q", err, via.Host, m.CallID())
	}
	if !m.IsRequest() {
		return
	}
	if _, err := ParseURI(m.RequestURI()); err != nil {
		t.Fatalf("after Check: %v", err)
	}
	for _, id := range []HeaderID{HdrContact, HdrRoute, HdrRecordRoute} {
		n := 0
		for v := range m.Values(id) {
			n++
			a, err := ParseAddress(v)
			if err == nil && string(a.RawURI) != "*" {
				_, err = a.URI()
			}
			if err != nil {
				t.Fatalf("after Check, %s value %q: %v", id, v, err)
			}
		}
		if m.Has(id) && n == 0 {
			t.Fatalf("after Check, %s has no value", id)
		}
	}
}

// rebuilt writes the message from its parts.
func rebuilt(t *testing.T, m *Message) {
	t.Helper()
	var b Builder
	if m.IsRequest() {
		b.Request(m.Method(), m.RequestURI())
	} else {
		b.Status(m.StatusCode(), string(m.Reason()))
	}
	for f := range m.Fields() {
		if f.ID != HdrContentLength {
			b.Field(f)
		}
	}
	again, err := Parse(b.Finish(m.Body()))
	defer again.Release()
	if err == nil {
		err = again.Check()
	}
	// Content-Length moves to the end, and an empty reason is filled in.
	if err != nil || m.Method() != again.Method() || !bytes.Equal(m.Body(), again.Body()) || !bytes.Equal(m.RequestURI(), again.RequestURI()) {
		t.Fatalf("built again: %v\n%q", err, again.Bytes())
	}
	for id := HdrVia; id < numHeaders; id++ {
		if id != HdrContentLength && valuesOf(m, id) != valuesOf(again, id) {
			t.Fatalf("built again, %s: %q is not %q", id, valuesOf(again, id), valuesOf(m, id))
		}
	}
}

// FuzzURI: a URI made of the parts of one that was read is that URI, byte for
// byte; and it can stand in an address, in brackets, alone or in a list.
func FuzzURI(f *testing.F) {
	for _, s := range []string{
		"sip:a:b@[::1]:5060;transport=tls;lr?x=y", "sips:example.com", "tel:+49-30;phone-context=x", "urn:a", "SIP:%41@b:05060;x=%2F",
		"sip:a;b?c@[2001:db8:::192.0.2.1]", "sip:a:@b", "tel:1;x", "sip:a@[1:2:3:4:5:6:7:8]?a=b",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		u, err := ParseURI(b)
		if err != nil {
			return
		}
		if u.SIP() && len(u.HostName()) == 0 || len(u.Scheme) == 0 {
			t.Fatalf("%q has no host or scheme: %s", b, show(u))
		}
		if got := join(u, b); got != string(b) {
			t.Fatalf("%q is of parts that make %q", b, got)
		}
		u.Params.Get("transport")
		a, err := ParseAddress(slices.Concat([]byte(`"x" <`), b, []byte(">;tag=1")))
		if err != nil || !bytes.Equal(a.RawURI, b) || string(a.Tag()) != "1" {
			t.Fatalf("%q in an address: %q, %v", b, a.RawURI, err)
		}
		first, rest := cutList(slices.Concat([]byte("<"), b, []byte(">,<sip:c>")))
		if !bytes.Equal(first, slices.Concat([]byte("<"), b, []byte(">"))) || string(rest) != "<sip:c>" {
			t.Fatalf("%q in a list: %q and %q", b, first, rest)
		}
	})
}

// join writes a URI from its parts. The port is taken as it was written.
func join(u URI, b []byte) string {
	s := string(u.Scheme) + ":" + string(u.User)
	if u.Password != nil {
		s += ":" + string(u.Password)
	}
	if u.User != nil && u.SIP() {
		s += "@"
	}
	s += string(u.Host)
	if u.Port != 0 {
		digits := b[len(s)+1:]
		digits = digits[:endOf(digits, 0, classDigit)]
		if n, ok := number(digits, 65535); !ok || n != uint64(u.Port) {
			return "another port"
		}
		s += ":" + string(digits)
	}
	s += string(u.Params)
	if u.Headers != nil {
		s += "?" + string(u.Headers)
	}
	return s
}
