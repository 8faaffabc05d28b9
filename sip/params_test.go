package sip

import (
	"slices"
	"strings"
	"testing"
)

func TestParams(t *testing.T) {
	p := Params(`;a=1; B = "x;c=no\";" ;flag;empty="";d=[::1];a=2`)
	if end, _ := endParams(p, 0); end != len(p) {
		t.Fatal("refused")
	}
	for _, c := range []struct {
		name, value string
		ok          bool
	}{
		{"a", "1", true}, {"A", "1", true}, {"b", `"x;c=no\";"`, true}, {"flag", "", true}, {"empty", `""`, true}, {"d", "[::1]", true},
		{"c", "", false}, {"", "", false}, {"fla", "", false}, {"flags", "", false},
	} {
		if v, ok := p.Get(c.name); string(v) != c.value || ok != c.ok {
			t.Errorf("%q: got %q, %t", c.name, v, ok)
		}
	}
	if v, _ := p.Get("flag"); v != nil {
		t.Errorf("a flag has the value %q", v)
	}
	if v, ok := Params(nil).Get("a"); v != nil || ok {
		t.Errorf("no parameters: got %q, %t", v, ok)
	}
}

// Nobody has checked the parameters of a message that is malformed: Get says
// something about any bytes.
func TestGetOfMalformedParams(t *testing.T) {
	for _, p := range []string{";", ";;", "=", ";=", ";a=", "a", `;"`, `;a="`, `;a="\`, ";a==", "; =;", ";a;a"} {
		if _, ok := Params(p).Get("b"); ok {
			t.Errorf("%q has a b", p)
		}
	}
}

func TestCutList(t *testing.T) {
	for _, c := range []struct {
		in   string
		want []string
	}{
		{"", []string{""}},
		{"a", []string{"a"}},
		{"a,b , c", []string{"a", "b", "c"}},
		{",", []string{"", ""}},
		{"a,", []string{"a", ""}},
		{`"a,b",c`, []string{`"a,b"`, "c"}},
		{`"a\",b",c`, []string{`"a\",b"`, "c"}},
		{`"a\\",b`, []string{`"a\\"`, "b"}},
		{"<a,b>,c", []string{"<a,b>", "c"}},
		{`<a"b>,c"`, []string{`<a"b>`, `c"`}},
		{`"<",a`, []string{`"<"`, "a"}},
		{`"open,b`, []string{`"open,b`}},
		{"<open,b", []string{"<open,b"}},
		{`a;x="1,2";y=<3,4>,b`, []string{`a;x="1,2";y=<3,4>`, "b"}},
	} {
		var got []string
		for rest := []byte(c.in); rest != nil || got == nil; {
			var v []byte
			v, rest = cutList(rest)
			got = append(got, string(v))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%q: got %q, want %q", c.in, got, c.want)
		}
	}
}

// TestClasses compares the table of characters with the grammar's words.
func TestClasses(t *testing.T) {
	const alphanum = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	for _, c := range []struct {
		name  string
		bits  uint8
		chars string
	}{
		{"token", classToken, alphanum + "-.!%*_+`'~"},
		{"word", classWord, alphanum + "-.!%*_+`'~()<>:\\\"/[]?{}"},
		{"user", classUser, alphanum + "-_.!~*'()&=+$,;?/"},
		{"paramchar", classParam, alphanum + "-_.!~*'()[]/:&+$"},
		{"host", classHost, alphanum + "-._"},
		{"DIGIT", classDigit, "0123456789"},
	} {
		for i := range 256 {
			want := strings.IndexByte(c.chars, byte(i)) >= 0
			if got := class[i]&c.bits != 0; got != want {
				t.Errorf("%s: %q is in it %t, want %t", c.name, byte(i), got, want)
			}
		}
	}
}

// TestEndOf puts the first byte that is not of the class at every place, since
// four are looked at in one step.
func TestEndOf(t *testing.T) {
	for n := range 12 {
		for bad := range n + 1 {
			b := []byte(strings.Repeat("a", n))
			if bad < n {
				b[bad] = ' '
			}
			for i := range n + 1 {
				want := bad
				if i > bad {
					want = n
				}
				if got := endOf(b, i, classToken); got != want {
					t.Errorf("%q from %d: got %d, want %d", b, i, got, want)
				}
			}
		}
	}
}
