package sip

import (
	"strings"
	"testing"
)

func TestAddresses(t *testing.T) {
	for _, c := range []struct{ in, display, uri, params, tag string }{
		{"<sip:a@b>", "", "sip:a@b", "", ""},
		{"<sip:a@b>;tag=1", "", "sip:a@b", ";tag=1", "1"},
		{" \t <sip:a@b> \t ; \t tag \t = \t 1 \t ", "", "sip:a@b", "; \t tag \t = \t 1", "1"},
		{"Alice <sip:a@b>", "Alice", "sip:a@b", "", ""},
		{"Alice of  Wonder.Land! <sip:a@b>", "Alice of  Wonder.Land!", "sip:a@b", "", ""},
		{"caller<sip:a@b>", "caller", "sip:a@b", "", ""},
		{"J\xc3\xbcrgen <sip:a@b>", "J\xc3\xbcrgen", "sip:a@b", "", ""},
		{`"Alice" <sip:a@b>`, `"Alice"`, "sip:a@b", "", ""},
		{`"Alice"<sip:a@b>`, `"Alice"`, "sip:a@b", "", ""},
		{`"" <sip:a@b>`, `""`, "sip:a@b", "", ""},
		{`"a \" <sip:x@y>;tag=no, \\" <sip:a@b>;tag=yes`, `"a \" <sip:x@y>;tag=no, \\"`, "sip:a@b", ";tag=yes", "yes"},
		{"\"a\\\x07\x00\" <sip:a@b>", "\"a\\\x07\x00\"", "sip:a@b", "", ""},
		{"<sip:a@b;lr?x=y,z>;p", "", "sip:a@b;lr?x=y,z", ";p", ""},
		{"sip:a@b", "", "sip:a@b", "", ""},
		{"sip:a@b;tag=1;x", "", "sip:a@b", ";tag=1;x", "1"},
		{"sip:a@b ; TAG = 1", "", "sip:a@b", "; TAG = 1", "1"},
		{"*", "", "*", "", ""},
		{"*;q=0.5", "", "*", ";q=0.5", ""},
		{`<sip:a@b>;x="a;tag=no\"";tag=yes`, "", "sip:a@b", `;x="a;tag=no\"";tag=yes`, "yes"},
		{"<nonsense>", "", "nonsense", "", ""}, // the URI is judged by URI
	} {
		a, err := ParseAddress([]byte(c.in))
		if err != nil {
			t.Errorf("%q: %v", c.in, err)
			continue
		}
		if string(a.Display) != c.display || string(a.RawURI) != c.uri || string(a.Params) != c.params || string(a.Tag()) != c.tag {
			t.Errorf("%q: display %q, URI %q, params %q, tag %q", c.in, a.Display, a.RawURI, a.Params, a.Tag())
		}
	}
}

func TestAddressesThatAreRefused(t *testing.T) {
	for _, c := range []struct{ why, in string }{
		{"empty", ""},
		{"spaces", " \t"},
		{"quotes that do not close", `"Alice <sip:a@b>`},
		{"quotes that an escape keeps open", `"Alice\" <sip:a@b>`},
		{"quotes alone", `"Alice"`},
		{"a bare URI behind quotes", `"Alice" sip:a@b`},
		{"a word behind quotes", `"Alice" B <sip:a@b>`},
		{"quotes behind a word", `Alice "B" <sip:a@b>`},
		{"a comma in a bare name", "Bell, Alexander <sip:a@b>"},
		{"a colon in a bare name", "Alice: <sip:a@b>"},
		{"an at sign in a bare name", "a@b <sip:a@b>"},
		{"no URI", "Alice <>"},
		{"a bracket that does not close", "Alice <sip:a@b"},
		{"a bracket that only closes", "sip:a@b>"},
		{"two brackets", "<<sip:a@b>"},
		{"a word behind the bracket", "<sip:a@b> x"},
		{"two addresses", "<sip:a@b>, <sip:c@d>"},
		{"two bare addresses", "sip:a@b, sip:c@d"},
		{"a comma at the end", "<sip:a@b>,"},
		{"bare with headers", "sip:a@b?x=y"},
		{"bare with quotes", `sip:"a"@b`},
		{"bare with a space", "sip:a @b"},
		{"bare with a control character", "sip:a\x01@b"},
		{"an empty parameter", "<sip:a@b>;"},
		{"an empty parameter between", "<sip:a@b>;;tag=1"},
		{"a parameter without a value", "<sip:a@b>;tag="},
		{"a parameter with two values", "<sip:a@b>;tag=a=b"},
		{"open quotes in a parameter", `<sip:a@b>;x="y`},
	} {
		t.Run(c.why, func(t *testing.T) {
			a, err := ParseAddress([]byte(c.in))
			if err == nil && !strings.HasPrefix(c.why, "two brackets") {
				t.Errorf("%q: taken, display %q, URI %q, params %q", c.in, a.Display, a.RawURI, a.Params)
			}
			if err == nil {
				if _, err := a.URI(); err == nil {
					t.Errorf("%q: its URI %q is taken", c.in, a.RawURI)
				}
			}
		})
	}
}
