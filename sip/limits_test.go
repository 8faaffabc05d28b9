package sip

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// multipart is a body of n parts, the last of which holds inner.
func multipart(boundary string, n int, inner string) string {
	var b strings.Builder
	b.WriteString("preamble\r\n")
	for i := range n {
		fmt.Fprintf(&b, "--%s\r\nContent-Type: text/plain\r\n\r\npart %d\r\n", boundary, i)
	}
	return strings.TrimSuffix(b.String(), "\r\n") + inner + "\r\n--" + boundary + "--\r\n"
}

// withBody is a request with a body of that type.
func withBody(contentType, body string) []byte {
	m := request("Content-Type: "+contentType, fmt.Sprintf("Content-Length: %d", len(body)))
	return append(m, body...)
}

// Every limit, just kept and just passed, in a datagram and on a stream.
func TestLimitsOfAMessage(t *testing.T) {
	longURI := func(n int) []byte {
		return bytes.Replace(request("Content-Length: 0"), []byte("sip:b@example.com"), []byte("sip:"+strings.Repeat("b", n-4)), 1)
	}
	inner := "--i\r\n\r\none\r\n--i\r\n\r\ntwo\r\n--i--"
	nested := "--o\r\nContent-Type: multipart/mixed;\r\n boundary=\"i\"\r\n\r\n" + inner + "\r\n--o--"
	whole := withBody("text/plain", "123456789")
	for _, c := range []struct {
		name   string
		limits Limits
		m      []byte
		passed Limit
		status int
	}{
		{"message", Limits{Message: len(whole)}, whole, "", 0},
		{"message+1", Limits{Message: len(whole) - 1}, whole, LimitMessage, 513},
		{"header section", Limits{Message: 100}, whole, LimitMessage, 513},
		{"headers", Limits{Headers: 9}, request("A: 1", "B: 1", "Content-Length: 0"), "", 0},
		{"headers+1", Limits{Headers: 8}, request("A: 1", "B: 1", "Content-Length: 0"), LimitHeaders, 400},
		{"header length", Limits{HeaderLine: 100}, request("A: "+strings.Repeat(",", 97), "Content-Length: 0"), "", 0},
		{"header length+1", Limits{HeaderLine: 100}, request("A: "+strings.Repeat(",", 98), "Content-Length: 0"), LimitHeaderLine, 400},
		{"header length+1, folded", Limits{HeaderLine: 100}, request("A: "+strings.Repeat(",\r\n ", 24)+"x", "Content-Length: 0"), "", 0},
		{"header length+2, folded", Limits{HeaderLine: 100}, request("A: "+strings.Repeat(",\r\n ", 25), "Content-Length: 0"), LimitHeaderLine, 400},
		{"Request-URI", Limits{URI: 50}, longURI(50), "", 0},
		{"Request-URI+1", Limits{URI: 50}, longURI(51), LimitURI, 414},
		{"URI in Contact", Limits{URI: 50}, request("Contact: <sip:"+strings.Repeat("c", 46)+">", "Content-Length: 0"), "", 0},
		{"URI in Contact+1", Limits{URI: 50}, request("Contact: <sip:"+strings.Repeat("c", 47)+">", "Content-Length: 0"), LimitURI, 400},
		{"URI in Route+1", Limits{URI: 50}, request("Route: <sip:a>, <sip:"+strings.Repeat("c", 47)+">", "Content-Length: 0"), LimitURI, 400},
		{"Vias", Limits{Vias: 3}, request("v: SIP/2.0/UDP b, SIP/2.0/UDP c", "Content-Length: 0"), "", 0},
		{"Vias+1", Limits{Vias: 2}, request("v: SIP/2.0/UDP b, SIP/2.0/UDP c", "Content-Length: 0"), LimitVias, 400},
		{"parts", Limits{BodyParts: 3}, withBody("multipart/mixed;boundary=b", multipart("b", 3, "")), "", 0},
		{"parts+1", Limits{BodyParts: 2}, withBody("Multipart/Mixed; Boundary=\"b\"", multipart("b", 3, "")), LimitBodyParts, 400},
		{"parts without an end", Limits{BodyParts: 2}, withBody("multipart/mixed;boundary=b", strings.Repeat("--b\r\n\r\n", 3)), LimitBodyParts, 400},
		{"no parts but the boundary's beginning", Limits{BodyParts: 1}, withBody("multipart/mixed;boundary=b", strings.Repeat("--bb\r\n\r\n", 3)), "", 0},
		{"nested parts", Limits{BodyParts: 3}, withBody("multipart/mixed;boundary=o", nested), "", 0},
		{"nested parts+1", Limits{BodyParts: 2}, withBody("multipart/mixed;boundary=o", nested), LimitBodyParts, 400},
		{"parts of a body that is none", Limits{BodyParts: 1}, withBody("text/plain;boundary=b", multipart("b", 3, "")), "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := Acquire()
			defer m.Release()
			err := m.LoadWithin(c.m, c.limits)
			if err == nil {
				err = m.Check()
			}
			checkPassed(t, m, err, c.passed, c.status)

			for _, size := range sizes(len(c.m)) {
				f := Framer{Limits: c.limits}
				var n int
				err, n = nil, 0
				b := bytes.Clone(c.m)
				for at := size; n == 0 && err == nil; at = min(at+size, len(b)) {
					if n, _, err = f.Next(b[:at], m); n == 0 && err == nil && at == len(b) {
						t.Fatalf("pieces of %d: no end", size)
					}
				}
				if err == nil {
					err = m.Check()
				}
				checkPassed(t, m, err, c.passed, c.status)
			}
		})
	}
}

// checkPassed judges an error, and whether what is left of the message suffices for an answer.
func checkPassed(t *testing.T, m *Message, err error, want Limit, status int) {
	t.Helper()
	if got := LimitOf(err); got != want || (want == "") != (err == nil) {
		t.Fatalf("passed %q with %v, want %q", got, err, want)
	}
	var refused interface{ Status() int }
	if !errors.As(err, &refused) {
		return
	}
	if got := refused.Status(); got != status {
		t.Errorf("%v is answered with %d, want %d", err, got, status)
	}
	if !m.Has(HdrVia) {
		t.Errorf("%v: no Via is left to answer by", err)
	}
}

func TestEndlessHeaderSectionCanBeAnswered(t *testing.T) {
	start := request()
	start = start[:len(start)-2]
	for _, more := range []string{"Subject: " + strings.Repeat(",", 1<<20), strings.Repeat("Subject: again\r\n", 1<<16)} {
		m := Acquire()
		var f Framer
		b := append(bytes.Clone(start), more...)
		n, _, err := f.Next(b[:DefaultLimits().Message+1], m)
		if LimitOf(err) != LimitMessage || n != 0 {
			t.Fatalf("got %d, %v", n, err)
		}
		answer := string(AppendResponse(nil, m, 513, "", []byte("t"), Source{}))
		for _, want := range []string{"SIP/2.0 513 Message Too Large\r\n", "\r\nVia: ", "\r\nFrom: ", "\r\nTo: ", "\r\nCall-ID: ", "\r\nCSeq: "} {
			if !strings.Contains(answer, want) {
				t.Errorf("%q is not in\n%s", want, answer)
			}
		}
		m.Release()
	}
}

// Deep nesting costs no more than the limit of parts allows.
func TestNestedPartsEnd(t *testing.T) {
	body := ""
	for i := 0; len(body) < 60_000; i++ {
		body += fmt.Sprintf("--b%d\r\nContent-Type: multipart/mixed;boundary=b%d\r\n\r\n", i, i+1)
	}
	m := Acquire()
	defer m.Release()
	if err := m.LoadWithin(withBody("multipart/mixed;boundary=b0", body), Limits{BodyParts: 1000}); LimitOf(err) != LimitBodyParts {
		t.Errorf("got %v", err)
	}
}
