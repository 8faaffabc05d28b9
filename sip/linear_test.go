package sip

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// TestHostileInputTakesLinearTime gives every reader input of n and of four
// times n bytes. Work that grows with the square takes a second for the longer
// one, or at least a good part of it, and sixteen times as long as for the
// shorter; so only what is slow by both measures fails, in each of several tries.
func TestHostileInputTakesLinearTime(t *testing.T) {
	const (
		n    = 32 << 10
		slow = 30 * time.Millisecond
	)
	line := func(start, unit, end string) func(int) []byte {
		return func(n int) []byte {
			return []byte("INVITE sip:b@example.com SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=1;rport\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:b@b>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n" +
				start + strings.Repeat(unit, n/len(unit)) + end + "\r\nl: 0\r\n\r\n")
		}
	}
	// One header of 64 KiB is more than the default limits let pass.
	limits := Limits{Message: 1 << 20, Headers: 1 << 15, HeaderLine: 1 << 20}
	read := func(b []byte) {
		m := Acquire()
		defer m.Release()
		f := Framer{Limits: limits}
		_, _, _ = f.Next(b, m)
		_ = m.Check()
		for id := range numHeaders {
			for v := range m.Values(id) {
				a, _ := ParseAddress(v)
				_, _ = a.URI()
				a.Params.Get("none")
			}
		}
		AppendResponse(nil, m, 400, "", []byte("t"), Source{Host: "192.0.2.1", Port: 5060})
	}
	drip := func(b []byte) {
		m := Acquire()
		defer m.Release()
		f := Framer{Limits: limits}
		for i := range b {
			if _, _, err := f.Next(b[:i+1], m); err != nil {
				return
			}
		}
	}
	for _, c := range []struct {
		name string
		make func(n int) []byte
		do   func([]byte)
	}{
		{"many headers", line("", "A:\r\n", "A:"), read},
		{"many headers of one name", line("", "Route: <sip:a>\r\n", "Route: <sip:a>"), read},
		{"many Vias", line("", "v: SIP/2.0/UDP a\r\n", "v: SIP/2.0/UDP a"), read},
		{"commas in a list", line("Route: ", ",", ""), read},
		{"addresses in a list", line("Contact: ", "<sip:a>,", "<sip:a>"), read},
		{"Vias in a list", line("v: ", "SIP/2.0/UDP a,", "SIP/2.0/UDP a"), read},
		{"open quotes in a list", line("Route: ", `",`, ""), read},
		{"open brackets in a list", line("Route: ", "<,", ""), read},
		{"escapes in quotes", line(`Contact: "`, `\"`, ""), read},
		{"quotes in brackets in quotes", line("Contact: ", `"<">`, ""), read},
		{"parameters", line("Contact: <sip:a>", ";a=1", ""), read},
		{"semicolons", line("Contact: <sip:a>", ";", ""), read},
		{"parameters of a Via", line("v: SIP/2.0/UDP a", ";rport", ""), read},
		{"parameters of a URI", line("Contact: <sip:a", ";a=%20", ">"), read},
		{"colons in a user", line("Contact: <sip:", ":", "@a>"), read},
		{"at signs", line("Contact: <sip:", "@", ">"), read},
		{"open brackets of an address", line("Contact: <sip:", "[", ">"), read},
		{"colons of an address", line("Contact: <sip:[", ":", "]>"), read},
		{"groups of an address", line("Contact: <sip:[", "1:", "]>"), read},
		{"digits", line("Contact: <sip:a:", "0", ">"), read},
		{"spaces", line("Contact: ", " ", "<sip:a>"), read},
		{"folds", line("Contact: ", "\r\n ", "<sip:a>"), read},
		{"lone LFs", line("Contact: ", "\n", "<sip:a>"), read},
		{"lone CRs", line("Contact: ", "\r", "<sip:a>"), read},
		{"a name", line("", "a", ": b"), read},
		{"a method", line("X: ", "a", ""), func(b []byte) { read(bytes.ReplaceAll(b, []byte(" "), nil)) }},
		{"byte by byte: one header", line("X: ", "a", ""), drip},
		{"byte by byte: many headers", line("", "A:\r\n", "A:"), drip},
		{"byte by byte: folds", line("Contact: ", "\r\n ", ""), drip},
		{"byte by byte: lone LFs", line("Contact: ", "\n", ""), drip},
		{"byte by byte: keep-alives", func(n int) []byte { return bytes.Repeat([]byte("\r\n"), n) }, func(b []byte) {
			var f Framer
			m := Acquire()
			defer m.Release()
			for len(b) > 0 {
				used, _, err := f.Next(b, m)
				if used == 0 || err != nil {
					t.Fatalf("keep-alives: %d, %v", used, err)
				}
				b = b[used:]
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			small, large := c.make(n), c.make(4*n)
			for range 5 {
				took := best(c.do, large)
				if took < slow || took < 8*best(c.do, small) {
					return
				}
			}
			t.Errorf("%d bytes take %v, %d bytes %v", len(large), best(c.do, large), len(small), best(c.do, small))
		})
	}
}

// best returns the shortest time of some runs, each on a fresh copy of b, which
// readers may unfold.
func best(f func([]byte), b []byte) time.Duration {
	shortest := time.Duration(1 << 62)
	for range 3 {
		c := bytes.Clone(b)
		start := time.Now()
		f(c)
		shortest = min(shortest, time.Since(start))
	}
	return shortest
}
