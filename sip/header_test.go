package sip

import (
	"strings"
	"testing"
)

// TestEveryNameIsKnown asks for each header by its full and its compact name, in
// each case, and for what is nearly that name.
func TestEveryNameIsKnown(t *testing.T) {
	known := map[string]HeaderID{}
	for id := HdrVia; id < numHeaders; id++ {
		if id.String() == "" {
			t.Fatalf("header %d has no row", id)
		}
		known[strings.ToLower(id.String())] = id
		if c := headers[id].compact; c != 0 {
			known[string(c)] = id
		}
	}
	for name, id := range known {
		title := strings.ToUpper(name[:1]) + name[1:]
		for _, n := range []string{name, strings.ToUpper(name), title} {
			if got := headerOf([]byte(n)); got != id {
				t.Errorf("%q: got %q, want %q", n, got, id)
			}
		}
		for _, n := range []string{name + "x", "x" + name, name[:len(name)-1], name + "\x00", "\x00" + name, strings.ReplaceAll(name, "-", "\r"), strings.ReplaceAll(name, "e", "E\x00")} {
			if got := headerOf([]byte(n)); got != known[strings.ToLower(n)] {
				t.Errorf("%q: got %q", n, got)
			}
		}
	}
	if got := headerOf(nil); got != HdrOther {
		t.Errorf("no name: got %q", got)
	}
	if got := headerOf([]byte(strings.Repeat("a", 70))); got != HdrOther {
		t.Errorf("a long name: got %q", got)
	}
}

func TestOnlyLongestNameIsThatLong(t *testing.T) {
	longest := 0
	for id := HdrVia; id < numHeaders; id++ {
		longest = max(longest, len(id.String()))
	}
	if longest != longestName {
		t.Errorf("got %d, want longestName, %d", longest, longestName)
	}
}

// TestNamesAreFoundWhereverTheyStand moves a name's colon over every place that
// a word of the lookup has, in a line of its own and at the buffer's end.
func TestNamesAreFoundWhereverTheyStand(t *testing.T) {
	for id := HdrVia; id < numHeaders; id++ {
		for _, line := range []string{id.String() + ": v", id.String() + " \t:v", id.String() + ":"} {
			m, err := Parse([]byte("OPTIONS sip:a SIP/2.0\r\n" + line + "\r\n\r\n"))
			if err != nil && id != HdrContentLength {
				t.Errorf("%q: %v", line, err)
			}
			if !m.Has(id) || string(m.First(id)) != strings.Trim(line[len(id.String()):], " \t:") {
				t.Errorf("%q: has %t, value %q", line, m.Has(id), m.First(id))
			}
			for f := range m.Fields() {
				if string(f.Name) != id.String() || f.ID != id {
					t.Errorf("%q: field %q of %q", line, f.Name, f.ID)
				}
			}
			m.Release()
		}
	}
}

func TestUnknownNamesAreKept(t *testing.T) {
	m, err := Parse([]byte("OPTIONS sip:a SIP/2.0\r\nX-Custom: 1\r\nx: 2\r\n!%*_+`'~.-9: 3\r\nA-Name-Of-More-Than-Sixteen-Bytes :4\r\nVi: 5\r\n\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Release()
	var got []string
	for f := range m.Fields() {
		got = append(got, f.ID.String()+"|"+string(f.Name)+"|"+string(f.Value))
	}
	want := "|X-Custom|1 Session-Expires|x|2 |!%*_+`'~.-9|3 |A-Name-Of-More-Than-Sixteen-Bytes|4 |Vi|5"
	if s := strings.Join(got, " "); s != want {
		t.Errorf("got  %s\nwant %s", s, want)
	}
}
