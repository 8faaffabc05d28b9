package sip

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// fieldsOf returns each field as "name=value".
func fieldsOf(m *Message) (out []string) {
	for f := range m.Fields() {
		out = append(out, string(f.Name)+"="+string(f.Value))
	}
	return out
}

func TestFieldsAreCutAtColonsAndFolds(t *testing.T) {
	for _, c := range []struct {
		name, lines string
		want        []string
	}{
		{"plain", "Subject: a b\r\n", []string{"Subject=a b"}},
		{"no space", "Subject:a\r\n", []string{"Subject=a"}},
		{"spaces and tabs around", "Subject \t :\t a \t \r\n", []string{"Subject=a"}},
		{"empty", "Subject:\r\n", []string{"Subject="}},
		{"only spaces", "Subject:  \t \r\n", []string{"Subject="}},
		{"colons in the value", "Subject: a:b: c\r\n", []string{"Subject=a:b: c"}},
		{"fold", "Subject: a\r\n b\r\n", []string{"Subject=a   b"}},
		{"fold by a tab", "Subject: a\r\n\tb\r\n", []string{"Subject=a  \tb"}},
		{"folds of spaces only", "Subject: a\r\n \r\n \r\n b\r\n", []string{"Subject=a         b"}},
		{"value behind a fold", "Subject:\r\n a\r\n", []string{"Subject=a"}},
		{"colon behind a fold", "Subject\r\n : a\r\n", []string{"Subject=a"}},
		{"two fields", "Subject: a\r\n b\r\nDate: c\r\n", []string{"Subject=a   b", "Date=c"}},
		{"other bytes", "Subject: \t\xfe\xff é\r\n", []string{"Subject=\xfe\xff é"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := Parse([]byte("OPTIONS sip:a SIP/2.0\r\n" + c.lines + "\r\n"))
			if err != nil {
				t.Fatal(err)
			}
			defer m.Release()
			if got := fieldsOf(m); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestMalformedLines holds the faults of a header section, where they stand, and
// that the lines around them stay readable.
func TestMalformedLines(t *testing.T) {
	const start = "OPTIONS sip:a SIP/2.0\r\nTo: t\r\n" // 30 bytes
	for _, c := range []struct {
		name, line, header string
		offset             int
	}{
		{"no colon", "nonsense", "header", 30},
		{"no name", ": v", "header", 30},
		{"spaces for a name", "  : v", "", 0}, // a fold of the line before
		{"space in the name", "Sub ject: v", "header", 30},
		{"slash in the name", "Sub/ject: v", "header", 30},
		{"other than ASCII in the name", "Subjéct: v", "header", 30},
		{"NUL in a known name", "V\x00: v", "header", 30},
		{"CR in a known name", "Call\rID: v", "header", 30},
		{"CR in the value", "Subject: a\rb", "Subject", 40},
		{"CR before the line's end", "Subject: a\r", "Subject", 40},
		{"LF in the value", "Subject: a\nb", "Subject", 40},
		{"LF before the line's end", "Subject: a\n", "Subject", 40},
		{"LF in front", "\nSubject: a", "header", 30},
		{"second of a single header", "Date: a\r\nDate: a", "Date", 39},
		{"second by its compact form", "Subject: a\r\ns: a", "Subject", 42},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := Parse([]byte(start + c.line + "\r\nUser-Agent: u\r\n\r\n"))
			defer m.Release()
			pe, ok := errors.AsType[*ParseError](err)
			if ok != (c.header != "") || ok && (pe.Header != c.header || pe.Offset != c.offset || pe.Status() != 400) {
				t.Errorf("got %v, want a fault of %q at %d", err, c.header, c.offset)
			}
			if !strings.HasPrefix(string(m.First(HdrTo)), "t") || string(m.First(HdrUserAgent)) != "u" {
				t.Errorf("the other fields: got %q", fieldsOf(m))
			}
		})
	}
}

func TestSingleListAndManyHeaders(t *testing.T) {
	for id := HdrVia; id < numHeaders; id++ {
		m, err := Parse(fmt.Appendf(nil, "OPTIONS sip:a SIP/2.0\r\n%s: 0\r\n%s: 0\r\n\r\n", id, id))
		if refused, want := err != nil, headers[id].shape == single && id != HdrContentLength; refused != want {
			t.Errorf("two %s of the same value: refused %t, want %t", id, refused, want)
		}
		m.Release()
	}
}

func TestLimitsOfHeaders(t *testing.T) {
	for _, c := range []struct {
		name   string
		fields int
		length int // of one line
		bad    bool
	}{
		{"as many as allowed", 256, 20, false},
		{"one more", 257, 20, true},
		{"as long as allowed", 1, 8 << 10, false},
		{"one byte more", 1, 8<<10 + 1, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			line := "Z: " + strings.Repeat("z", c.length-3) + "\r\n"
			m, err := Parse([]byte("OPTIONS sip:a SIP/2.0\r\n" + strings.Repeat(line, c.fields) + "\r\nbody"))
			defer m.Release()
			if (err != nil) != c.bad {
				t.Errorf("got %v", err)
			}
			if n := len(fieldsOf(m)); n > 256 || !c.bad && n != c.fields {
				t.Errorf("indexed %d fields", n)
			}
			if string(m.Body()) != "body" {
				t.Errorf("body %q", m.Body())
			}
		})
	}
}

func TestFoldsCountForTheLineLimit(t *testing.T) {
	long := "Subject: a" + strings.Repeat("\r\n "+strings.Repeat("b", 100), 100)
	if m, err := Parse(request(long)); err == nil {
		t.Errorf("a header of %d bytes in short lines was taken, with %d", len(long), len(m.First(HdrSubject)))
	}
}

// More fields than the index can count to stay out of it, whatever the limits.
func TestFieldsBeyondTheIndexAreRefused(t *testing.T) {
	b := []byte("OPTIONS sip:a SIP/2.0\r\n" + strings.Repeat("A:\r\n", 70_000) + "To: t\r\nl: 0\r\n\r\n")
	f := Framer{Limits: Limits{Message: 1 << 20, Headers: 1 << 20, HeaderLine: 100}}
	m := Acquire()
	defer m.Release()
	if _, _, err := f.Next(b, m); err == nil || m.Has(HdrTo) {
		t.Errorf("got %v, To %q", err, m.First(HdrTo))
	}
}

func TestContentLength(t *testing.T) {
	for _, c := range []struct {
		name, lines, after string
		body               string
		bad                bool
	}{
		{"none: all that follows", "", "abc", "abc", false},
		{"exact", "Content-Length: 3\r\n", "abc", "abc", false},
		{"compact", "l:3\r\n", "abc", "abc", false},
		{"leading zeros", "Content-Length: 0003\r\n", "abc", "abc", false},
		{"less than follows", "Content-Length: 2\r\n", "abc", "ab", false},
		{"zero", "Content-Length: 0\r\n", "abc", "", false},
		{"the same twice", "Content-Length: 3\r\nl: 3\r\n", "abc", "abc", false},
		{"more than follows", "Content-Length: 4\r\n", "abc", "abc", true},
		{"two values", "Content-Length: 3\r\nl: 2\r\n", "abc", "abc", true},
		{"two, the second not a number", "Content-Length: 3\r\nl: x\r\n", "abc", "abc", true},
		{"two, the first not a number", "Content-Length: x\r\nl: 3\r\n", "abc", "abc", true},
		{"negative", "Content-Length: -3\r\n", "abc", "abc", true},
		{"signed", "Content-Length: +3\r\n", "abc", "abc", true},
		{"hexadecimal", "Content-Length: 0x3\r\n", "abc", "abc", true},
		{"empty", "Content-Length:\r\n", "abc", "abc", true},
		{"a list", "Content-Length: 3, 3\r\n", "abc", "abc", true},
		{"2^64", "Content-Length: 18446744073709551616\r\n", "abc", "abc", true},
		{"2^64 + 3", "Content-Length: 18446744073709551619\r\n", "abc", "abc", true},
		{"2^31", "Content-Length: 2147483648\r\n", "abc", "abc", true},
		{"endless", "Content-Length: " + strings.Repeat("9", 4000) + "\r\n", "abc", "abc", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := Parse([]byte("OPTIONS sip:a SIP/2.0\r\n" + c.lines + "\r\n" + c.after))
			defer m.Release()
			pe, ok := errors.AsType[*ParseError](err)
			if ok != c.bad || ok && pe.Header != "Content-Length" {
				t.Errorf("got %v", err)
			}
			if string(m.Body()) != c.body {
				t.Errorf("body %q, want %q", m.Body(), c.body)
			}
			if !c.bad && !strings.HasSuffix(string(m.Bytes()), "\r\n\r\n"+c.body) {
				t.Errorf("the message does not end with its body: %q", m.Bytes())
			}
		})
	}
}

func TestRequestLine(t *testing.T) {
	for _, c := range []struct {
		line, header string
		status       int
	}{
		{"OPTIONS sip:a SIP/2.0", "", 0},
		{"OPTIONS sip:a sip/2.0", "", 0},
		{"x!%*_+`'~.-9 sip:a SIP/2.0", "", 0},
		{"SIPPING sip:a SIP/2.0", "", 0},
		{"", "Request-Line", 400},
		{" ", "Request-Line", 400},
		{"OPTIONS", "Request-Line", 400},
		{"OPTIONS ", "Request-Line", 400},
		{"OPTIONS sip:a", "Request-Line", 400},
		{"OPTIONS SIP/2.0", "Request-Line", 400},
		{" OPTIONS sip:a SIP/2.0", "Request-Line", 400},
		{"OPTIONS  SIP/2.0", "Request-Line", 400},
		{"OPT/IONS sip:a SIP/2.0", "Request-Line", 400},
		{"OPTIÖNS sip:a SIP/2.0", "Request-Line", 400},
		{"OPTIONS sip:a SIP/2.0 ", "Request-Line", 400},
		{"OPTIONS\tsip:a\tSIP/2.0", "Request-Line", 400},
		{"OPTIONS sip:a SIP/", "Request-Line", 400},
		{"OPTIONS sip:a SIP/3.0", "Request-Line", 505},
		{"OPTIONS sip:a SIP/2.1", "Request-Line", 505},
		{"OPTIONS sip:a SIP/2.00", "Request-Line", 505},
		{"OPTIONS sip:a HTTP/1.1", "Request-Line", 400},
		{"OPTIONS sip:a SIP2.0", "Request-Line", 400},
	} {
		m, err := Parse([]byte(c.line + "\r\nTo: t\r\n\r\n"))
		pe, ok := errors.AsType[*ParseError](err)
		if ok != (c.header != "") || ok && (pe.Header != c.header || pe.Status() != c.status) {
			t.Errorf("%q: got %v, want %q with %d", c.line, err, c.header, c.status)
		}
		if !m.IsRequest() || m.StatusCode() != 0 || m.Reason() != nil || string(m.First(HdrTo)) != "t" {
			t.Errorf("%q: request %t, status %d, To %q", c.line, m.IsRequest(), m.StatusCode(), m.First(HdrTo))
		}
		m.Release()
	}
}

func TestStatusLine(t *testing.T) {
	for _, c := range []struct {
		line   string
		code   int // 0: malformed
		reason string
	}{
		{"SIP/2.0 200 OK", 200, "OK"},
		{"sip/2.0 100 Trying on", 100, "Trying on"},
		{"SIP/2.0 699 ", 699, ""},
		{"SIP/2.0 699", 699, ""},
		{"SIP/2.0 183 \xd0\x91 \t", 183, "\xd0\x91 \t"},
		{"SIP/2.0 099 low", 0, ""},
		{"SIP/2.0 700 high", 0, ""},
		{"SIP/2.0 20 short", 0, ""},
		{"SIP/2.0 2000 long", 0, ""},
		{"SIP/2.0 4294967301 better", 0, ""},
		{"SIP/2.0 -20 x", 0, ""},
		{"SIP/2.0 2x0 x", 0, ""},
		{"SIP/2.0  200 OK", 0, ""},
		{"SIP/2.0\t200 OK", 0, ""},
		{"SIP/2.0 200\tOK", 0, ""},
		{"SIP/2.0", 0, ""},
		{"SIP/3.0 200 OK", 0, ""},
		{"SIP/", 0, ""},
	} {
		m, err := Parse([]byte(c.line + "\r\nCSeq: 1 BYE\r\n\r\n"))
		if m.IsRequest() || m.RequestURI() != nil {
			t.Errorf("%q: is a request for %q", c.line, m.RequestURI())
		}
		switch {
		case c.code == 0 && err == nil:
			t.Errorf("%q: taken as %d", c.line, m.StatusCode())
		case c.code != 0 && (err != nil || m.StatusCode() != c.code || string(m.Reason()) != c.reason || m.Method() != BYE):
			t.Errorf("%q: got %d %q of %q, %v", c.line, m.StatusCode(), m.Reason(), m.Method(), err)
		}
		m.Release()
	}
}

func TestHeaderSectionMustEnd(t *testing.T) {
	whole := string(request("Subject: x"))
	for n := range len(whole) {
		m, err := Parse([]byte(whole[:n]))
		if pe, ok := errors.AsType[*ParseError](err); !ok || n > 40 && pe.Header != "message" {
			t.Fatalf("%d of %d bytes: got %v", n, len(whole), err)
		}
		if n > 100 && string(m.Method()) != "INVITE" {
			t.Fatalf("%d of %d bytes: the request line is not readable", n, len(whole))
		}
		m.Release()
	}
}
