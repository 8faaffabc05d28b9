package sip

import "testing"

func TestCSeqs(t *testing.T) {
	for _, c := range []struct {
		in   string
		want CSeq
	}{
		{"0 ACK", CSeq{0, ACK}},
		{"1 INVITE", CSeq{1, INVITE}},
		{"0009  \t INVITE", CSeq{9, INVITE}},
		{"2147483647 x!%*_+`'~.-9", CSeq{1<<31 - 1, "x!%*_+`'~.-9"}},
		{"7 invite", CSeq{7, "invite"}}, // "The method names are case-sensitive" (RFC 3261 §7.1)
	} {
		if got, rule := parseCSeq([]byte(c.in)); rule != "" || got != c.want {
			t.Errorf("%q: got %v, %s", c.in, got, rule)
		}
	}
	for _, in := range []string{
		"", " ", "1", "1 ", "INVITE", "1INVITE", "-1 INVITE", "+1 INVITE", "1 INVITE x", "1 INV/ITE", "1, INVITE", "0x1 INVITE", "1.0 INVITE",
		"2147483648 INVITE", "4294967296 INVITE", "18446744073709551617 INVITE", "1 \xc3\x89", " 1 INVITE",
	} {
		if got, rule := parseCSeq([]byte(in)); rule == "" {
			t.Errorf("%q: taken as %v", in, got)
		}
	}
}

func TestMethodsAreNotAllocated(t *testing.T) {
	for _, method := range []Method{INVITE, ACK, BYE, CANCEL, OPTIONS, REGISTER, PRACK, UPDATE, INFO, MESSAGE, SUBSCRIBE, NOTIFY, REFER, PUBLISH} {
		b := []byte(method)
		if n := testing.AllocsPerRun(10, func() {
			if methodOf(b) != method {
				t.Errorf("got %q, want %q", methodOf(b), method)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", method, n)
		}
	}
	b := []byte("UNKNOWN")
	m := methodOf(b)
	b[0] = 'X'
	if m != "UNKNOWN" {
		t.Errorf("an unknown method changed with its bytes: %q", m)
	}
}
