package sip

import (
	"errors"
	"strings"
	"testing"
)

// TestCheckHeader judges every value of headerValues, alone and in a message.
func TestCheckHeader(t *testing.T) {
	for id := HdrVia; id < numHeaders; id++ {
		values, ok := headerValues[id]
		if !ok || len(values.good) == 0 || len(values.bad) == 0 {
			t.Errorf("%s has no values, or only good or bad ones", id)
		}
		for _, v := range values.good {
			if err := CheckHeader(id, []byte(v)); err != nil {
				t.Errorf("%q: %v", v, err)
			}
		}
		for _, v := range values.bad {
			pe, ok := errors.AsType[*ParseError](CheckHeader(id, []byte(v)))
			if !ok || pe.Header != id.String() || pe.Rule == "" || pe.Offset < 0 || pe.Offset > len(v) {
				t.Errorf("%s: %q: got %v", id, v, pe)
			}
		}
	}
	if err := CheckHeader(HdrOther, []byte("\x00,;")); err != nil {
		t.Errorf("an unknown header: %v", err)
	}
}

// Spaces around separators mean nothing, and neither does the case of parameter
// names.
func TestSpacesAroundSeparators(t *testing.T) {
	spaced := strings.NewReplacer(";", " \t; ", ",", " , ", "=", " = ", "/", " / ")
	for id, v := range map[HeaderID]string{
		HdrContentType: "text/html;charset=x", HdrAccept: "a/b;q=0.1,c/d", HdrEvent: "a;ID=b", HdrRetryAfter: "1;Duration=2", HdrSupported: "a,b",
		HdrContact: "<sip:a@b>;Q=0.1,<sip:c@d>", HdrReplaces: "1@a;TO-TAG=1;from-tag=2", HdrWWWAuthenticate: `Digest realm="a",NONCE="b"`, HdrUserAgent: "a/b",
	} {
		if err := CheckHeader(id, []byte(spaced.Replace(v))); err != nil {
			t.Errorf("%s: %q: %v", id, spaced.Replace(v), err)
		}
	}
}

func TestManyParametersAreRefused(t *testing.T) {
	many := func(n int) []byte {
		b := []byte("a")
		for i := range n {
			b = append(b, ";p"+itoa(i)...)
		}
		return b
	}
	if err := CheckHeader(HdrEvent, many(64)); err != nil {
		t.Error(err)
	}
	if err := CheckHeader(HdrEvent, many(65)); err == nil {
		t.Error("65 parameters are taken")
	}
}

// CheckAll finds what Check leaves, and says where in the message it stands.
func TestCheckAll(t *testing.T) {
	for _, lines := range [][]string{
		nil, {"+Subject:", "+Supported:", "+X-Own: \"", "+Date: Sat, 13 Nov 2010 23:29:00 GMT"}, {"Contact: <sip:a@192.0.2.1>", "+m: <sip:b@c>;q=1"},
	} {
		m := mustParse(t, request(lines...))
		if err := m.CheckAll(); err != nil {
			t.Errorf("%q: %v", lines, err)
		}
		m.Release()
	}
	for header, line := range map[string]string{
		"Date": "+Date: !now", "Supported": "+k: a,b,!(", "Expires": "+Expires: !x", "Via": "+v: SIP/2.0/UDP !a_b",
	} {
		raw := request(strings.Replace(line, "!", "", 1))
		m := mustParse(t, raw)
		pe, ok := errors.AsType[*ParseError](m.CheckAll())
		if !ok || pe.Header != header || pe.Offset < 200 || pe.Offset >= len(raw) {
			t.Errorf("%q: got %v", line, pe)
		}
		m.Release()
	}
	m, _ := Parse(request("From:"))
	if m.CheckAll() == nil {
		t.Error("what Check refuses is taken")
	}
}

func TestQValues(t *testing.T) {
	for in, want := range map[string]int{"0": 0, "1": 1000, "0.5": 500, "0.123": 123, "1.000": 1000, "0.": 0, "1.": 1000, "1.001": -1, "2": -1, "0.1234": -1, "": -1, ".5": -1, "0,5": -1, "01": -1, "0.a": -1} {
		if got, ok := qvalue([]byte(in)); ok != (want >= 0) || ok && got != want {
			t.Errorf("%q: got %d, %t", in, got, ok)
		}
	}
}

func TestQuotedStrings(t *testing.T) {
	for in, want := range map[string]string{`"a"`: "a", `""`: "", `"a\"b\\"`: `a"b\`, "a": "a", `"a`: `"a`, "": ""} {
		if got := string(AppendUnquoted(nil, []byte(in))); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
		if again := string(AppendUnquoted(nil, AppendQuoted(nil, []byte(want)))); again != want {
			t.Errorf("%s quoted and unquoted is %s", want, again)
		}
	}
}
