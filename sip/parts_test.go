package sip

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

// partsIn shows the parts of a message with that Content-Type and body.
func partsIn(t *testing.T, contentType, body string, limit int) (out []string, err error) {
	t.Helper()
	var lines []string
	if contentType != "" {
		lines = append(lines, "Content-Type: "+contentType)
	}
	raw := request(append(lines, fmt.Sprintf("Content-Length: %d", len(body)))...)
	m, err := Parse(append(raw, body...))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Release()
	for p, err := range m.Parts(limit) {
		if err != nil {
			return out, err
		}
		kind, err := p.ContentType()
		if err != nil {
			return out, err
		}
		out = append(out, string(kind.Append(nil))+"|"+string(p.Header("x"))+"|"+string(p.Body))
	}
	return out, nil
}

func TestParts(t *testing.T) {
	const two = "preamble\r\n--b\r\nContent-Type: application/sdp\r\nX: 1\r\n 2\r\n\r\nv=0\r\n\r\n--b  \r\n\r\nno head\r\n--bb\r\n--b--\r\nepilogue"
	for _, c := range []struct{ name, kind, body, want string }{
		{"two", "multipart/mixed;boundary=b", two, "application/sdp|1\r\n 2|v=0\r\n;text/plain||no head\r\n--bb"},
		{"quoted", `Multipart/Mixed; Boundary="b"`, two, "application/sdp|1\r\n 2|v=0\r\n;text/plain||no head\r\n--bb"},
		{"no type", "", "x", "text/plain||x"},
		{"another type", "application/sdp", "v=0", "text/plain||v=0"},
		{"empty", "application/sdp", "", ""},
		{"head alone", "multipart/mixed;boundary=b", "--b\r\nX: 1\r\n--b--", "text/plain|1|"},
		{"LF alone", "multipart/mixed;boundary=b", "--b\nX: 1\n\nc\n--b--", "text/plain|1|c"},
		{"folded type", "multipart/mixed;boundary=b", "--b\r\nContent-Type: a/b;\r\n c=d\r\n\r\nc\r\n--b--", "a/b;  c=d||c"},
	} {
		got, err := partsIn(t, c.kind, c.body, 0)
		if s := strings.Join(got, ";"); err != nil || strings.ReplaceAll(s, ";   c=d", ";  c=d") != c.want {
			t.Errorf("%s: got %q, %v, want %q", c.name, s, err, c.want)
		}
	}
}

func TestPartsThatAreRefused(t *testing.T) {
	const one = "--b\r\n\r\nx\r\n--b--"
	for _, c := range []struct {
		name, kind, body, header string
		limit                    int
		passed                   Limit
	}{
		{"no boundary", "multipart/mixed", one, "Content-Type", 0, ""},
		{"an impossible boundary", `multipart/mixed;boundary="b "`, one, "Content-Type", 0, ""},
		{"a long boundary", "multipart/mixed;boundary=" + strings.Repeat("b", 71), one, "Content-Type", 0, ""},
		{"no part", "multipart/mixed;boundary=c", one, "body", 0, ""},
		{"not closed", "multipart/mixed;boundary=b", "--b\r\n\r\nx\r\n--b\r\ny", "body", 0, ""},
		{"a malformed type", "multipart/mixed;;", one, "Content-Type", 0, ""},
		{"a malformed type of a part", "multipart/mixed;boundary=b", "--b\r\nContent-Type: a\r\n\r\nx\r\n--b--", "Content-Type", 0, ""},
		{"too many", "multipart/mixed;boundary=b", "--b\r\n\r\nx\r\n--b\r\n\r\nx\r\n--b--", "body", 1, LimitBodyParts},
	} {
		_, err := partsIn(t, c.kind, c.body, c.limit)
		if pe, ok := errors.AsType[*ParseError](err); !ok || pe.Header != c.header || pe.Limit != c.passed {
			t.Errorf("%s: got %v", c.name, err)
		}
	}
}

func TestPartsOfParts(t *testing.T) {
	inner := "--i\r\nContent-Disposition: render;handling=optional\r\n\r\none\r\n--i\r\n\r\ntwo\r\n--i--"
	body := "--o\r\nContent-Type: multipart/alternative;boundary=i\r\n\r\n" + inner + "\r\n--o--"
	raw := request("Content-Type: multipart/mixed;boundary=o", fmt.Sprintf("l: %d", len(body)))
	m := mustParse(t, append(raw, body...))
	defer m.Release()
	var got []string
	for p, err := range m.Parts(0) {
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.ContentDisposition(); err != ErrAbsent {
			t.Errorf("disposition of the outer part: %v", err)
		}
		for q, err := range p.Parts(2) {
			if err != nil {
				t.Fatal(err)
			}
			d, _ := q.ContentDisposition()
			got = append(got, fmt.Sprintf("%s %t %s", d.Type, d.Optional(), q.Body))
		}
	}
	if s := strings.Join(got, ","); s != "render true one, false two" {
		t.Errorf("got %q", s)
	}
}

// FuzzParts: whatever a body is, its parts stand in it one behind the other.
func FuzzParts(f *testing.F) {
	f.Add("multipart/mixed;boundary=b", []byte("--b\r\nX: 1\r\n\r\nx\r\n--b\r\n\r\ny\r\n--b--"))
	f.Add(`multipart/signed;boundary="a b"`, []byte("p\n--a b\n\nx\n--a b--"))
	f.Fuzz(func(t *testing.T, kind string, body []byte) {
		m := Acquire()
		defer m.Release()
		if m.Load([]byte("SIP/2.0 200 OK\r\nc: "+kind+"\r\n\r\n"+string(body))) != nil {
			return
		}
		n, used := 0, 0
		for p, err := range m.Parts(5) {
			if err != nil {
				break
			}
			n++
			used += len(p.Head) + len(p.Body)
			p.Header("X")
			if v, err := p.ContentType(); err == nil {
				v.Boundary()
			}
		}
		if n > 5 || used > len(m.Body()) {
			t.Errorf("%d parts of %d bytes in %d", n, used, len(m.Body()))
		}
	})
}

// The multipart message of RFC 4475 §3.1.1.11 has text and a binary signature.
func TestPartsOfTheTortureMessage(t *testing.T) {
	raw, err := os.ReadFile("testdata/rfc4475/mpart01.dat")
	if err != nil {
		t.Fatal(err)
	}
	m := mustParse(t, raw)
	defer m.Release()
	var got []string
	for p, err := range m.Parts(0) {
		if err != nil {
			t.Fatal(err)
		}
		kind, _ := p.ContentType()
		got = append(got, fmt.Sprintf("%s/%s %d", kind.Type, kind.Subtype, len(p.Body)))
	}
	if s := strings.Join(got, ", "); s != "text/plain 5, application/octet-stream 342" {
		t.Errorf("got %s", s)
	}
}
