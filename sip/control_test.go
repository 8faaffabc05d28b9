package sip

import (
	"errors"
	"strings"
	"testing"
)

// TestOnlyLineEnds puts each control character at each place of lines that are
// fine without it.
func TestOnlyLineEnds(t *testing.T) {
	for _, lines := range []int{0, 1, 3, 40, 400} {
		b := []byte(strings.Repeat("Name: value, other\r\n", lines) + "a: \" ~\"\r\n")
		if !onlyLineEnds(b, 2*lines+2) || onlyLineEnds(b, 2*lines+1) || onlyLineEnds(b, 2*lines+3) {
			t.Fatalf("%d lines are not counted", lines)
		}
		for i := 0; i < len(b); i += 1 + i/100 {
			for c := byte(0); c <= 0x7f; c++ {
				old := b[i]
				if b[i] = c; control(c) && !control(old) && onlyLineEnds(b, 2*lines+2) {
					t.Fatalf("%#x at %d of %d lines is not seen", c, i, lines)
				}
				b[i] = old
			}
		}
	}
}

// refusal loads raw and returns what it is refused for.
func refusal(t *testing.T, raw []byte, limits Limits) *ParseError {
	t.Helper()
	m := Acquire()
	defer m.Release()
	err := m.LoadWithin(raw, limits)
	if err == nil {
		return nil
	}
	pe, ok := errors.AsType[*ParseError](err)
	if !ok {
		t.Fatalf("got %v, want a *ParseError", err)
	}
	return pe
}

func TestControlCharactersAreRefused(t *testing.T) {
	const lineEnds, controls = "lines end with CR LF, and no line holds either alone", "no control characters but tabs"
	for _, c := range []struct{ bad, line, header, rule string }{
		{"\x00", "+Subject: a\x00b", "Subject", controls},
		{"\x00", "+s: a\x00b", "Subject", controls},
		{"\x01", "+X-Own: a\x01b", "X-Own", controls},
		{"\x7f", "+Organization: a\x7f", "Organization", controls},
		{"\x1b", `From: "` + "\x1b" + `" <sip:a@b>;tag=1`, "From", controls},
		{"\x07", "To: <sip:b@example.com>;x=\x07", "To", controls},
		{"\x00", "+X-Own: \\\x00", "X-Own", controls},
		{"\x00", "+X-Own: \"\"\\\x00", "X-Own", controls},
		{"\x00", "+X-Own: ()\\\x00", "X-Own", controls},
		{"\x00", "INVITE sip:b@example.com\x00 SIP/2.0", "Request-Line", controls},
		{"\r", "+Subject: a\rb", "Subject", lineEnds},
		{"\r", "+Subject: a\r", "Subject", lineEnds},
		{"\n", "+Subject: a\nb", "Subject", lineEnds},
		{"\n", "+Subject: a\n\tb", "Subject", lineEnds},
		{"\r", "+Subject: \"\\\rb\"", "Subject", lineEnds},
		{"\n", "+Subject: \"\\\nb\"", "Subject", lineEnds},
	} {
		raw := request(c.line)
		pe := refusal(t, raw, DefaultLimits())
		if pe == nil {
			t.Errorf("%q is taken", c.line)
			continue
		}
		if pe.Header != c.header || pe.Rule != c.rule || pe.Status() != 400 || raw[pe.Offset] != c.bad[0] {
			t.Errorf("%q: got %q", c.line, pe)
		}
	}
	if pe := refusal(t, []byte("SIP/2.0 200 O\x00K\r\n\r\n"), DefaultLimits()); pe == nil || pe.Header != "Status-Line" || pe.Offset != 13 {
		t.Errorf("a status line: got %v", pe)
	}
}

// What a quoted-pair holds is allowed (RFC 4475 §3.1.1.2 has such a message),
// and so are tabs, folds and any bytes of a body.
func TestControlCharactersThatAreTaken(t *testing.T) {
	for _, line := range []string{
		"To: \"BEL:\\\x07 NUL:\\\x00 DEL:\\\x7f\" <sip:b@example.com>",
		"+User-Agent: a (b \\\x00 (c\\\x01) \\\x02)",
		"+Subject: a\tb",
		"+Subject: a\r\n\tb",
		"+X-Own: \"a\tb\" \xc3\xa9",
	} {
		if pe := refusal(t, request(line), DefaultLimits()); pe != nil {
			t.Errorf("%q: %v", line, pe)
		}
	}
	if pe := refusal(t, append(request("l: 3"), 0, 1, 2), DefaultLimits()); pe != nil {
		t.Errorf("a body: %v", pe)
	}
}

func TestOverLongPartsAreNamed(t *testing.T) {
	limits := Limits{HeaderLine: 200}
	for _, c := range []struct{ header, line string }{
		{"Subject", "+s: " + strings.Repeat("b", 200)},
		{"X-Own", "+X-Own: " + strings.Repeat("b", 200)},
		{"header", "+" + strings.Repeat("(", 201)},
		{"Request-Line", strings.Repeat("I", 200) + " sip:b SIP/2.0"},
	} {
		pe := refusal(t, request(c.line), limits)
		if pe == nil || pe.Header != c.header || pe.Limit != LimitHeaderLine || pe.Status() != 400 || pe.Offset < 0 {
			t.Errorf("%.30s: got %v", c.line, pe)
		}
	}
	if pe := refusal(t, []byte("SIP/2.0 200 "+strings.Repeat("a", 200)+"\r\n\r\n"), limits); pe == nil || pe.Header != "Status-Line" || pe.Limit != LimitHeaderLine {
		t.Errorf("a reason: %v", pe)
	}
}
