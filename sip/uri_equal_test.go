package sip

import (
	"strings"
	"testing"
)

func mustURI(t testing.TB, s string) URI {
	t.Helper()
	u, err := ParseURI([]byte(s))
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return u
}

// TestURIEqual holds every example of RFC 3261 §19.1.4, and what its rules say
// besides. The first of each set is compared with the others, both ways.
func TestURIEqual(t *testing.T) {
	for _, c := range []struct {
		equal bool
		uris  []string
	}{
		// "The URIs within each of the following sets are equivalent"
		{true, []string{"sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"}},
		{true, []string{"sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on"}},
		{true, []string{"sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on"}},
		{true, []string{"sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com", "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com"}},
		{true, []string{"sip:alice@atlanta.com?subject=project%20x&priority=urgent", "sip:alice@atlanta.com?priority=urgent&subject=project%20x"}},
		// "The URIs within each of the following sets are not equivalent"
		{false, []string{"SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"}},
		{false, []string{"sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"}},
		{false, []string{"sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"}},
		{false, []string{"sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"}},
		{false, []string{"sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"}},
		{false, []string{"sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"}},
		// "equality is not transitive"
		{true, []string{"sip:carol@chicago.com", "sip:carol@chicago.com;security=on"}},
		{true, []string{"sip:carol@chicago.com", "sip:carol@chicago.com;security=off"}},
		{false, []string{"sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"}},
		// The rules.
		{false, []string{"sip:a@b", "sips:a@b", "tel:1", "urn:a"}},
		{false, []string{"sip:a@b", "sip:b", "sip:a:@b", "sip:a:c@b", "sip:A@b", "sip:a@c"}},
		{false, []string{"sip:a:c@b", "sip:a:C@b", "sip:a:@b"}},
		{true, []string{"sip:a:%63@b", "sip:a:c@b"}},
		{false, []string{"sip:a;b@c", "sip:a%3Bb@c", "sip:a%3bB@c"}},
		{true, []string{"sip:a%3Bb@c", "sip:a%3bb@C"}},
		{true, []string{"sip:a@b:5060", "sip:a@b:05060"}},
		{false, []string{"sip:a@b", "sip:a@b;user=ip", "sip:a@b;ttl=1", "sip:a@b;method=INVITE", "sip:a@b;maddr=b", "sip:a@b;TRANSPORT=udp"}},
		{true, []string{"sip:a@b", "sip:a@b;lr", "sip:a@b;x=1;y=2"}},
		{false, []string{"sip:a@b;lr", "sip:a@b;lr=on"}},
		{true, []string{"sip:a@b;x=%41", "sip:a@b;X=a", "sip:a@b;%78=A"}},
		{true, []string{"sip:a@b;x=1;x=2", "sip:a@b;x=1"}},
		{false, []string{"sip:a@b;x=1;x=2", "sip:a@b;x=2"}},
		{true, []string{"sip:a@b?Subject=x", "sip:a@b?s=X", "sip:a@b?subject=%78"}},
		{false, []string{"sip:a@b?x=%22Y%22", "sip:a@b?x=%22y%22"}},
		{false, []string{"sip:a@b?body=Y", "sip:a@b?body=y"}},
		{false, []string{"sip:a@b?x=1", "sip:a@b?x=1&x=1", "sip:a@b?x=2", "sip:a@b?y=1"}},
		{true, []string{"sip:a@[2001:db8::1]", "sip:a@[2001:DB8:0:0:0:0:0:1]"}},
		{false, []string{"sip:a@[2001:db8::1]", "sip:a@[2001:db8::2]"}},
		{true, []string{"sip:a@[2001:db8:::192.0.2.1]", "sip:a@[2001:DB8:::192.0.2.1]"}},
		// RFC 3966 §4.
		{true, []string{"tel:+1-201-555-0123", "tel:+12015550123", "TEL:+1(201)555.0123"}},
		{false, []string{"tel:+12015550123", "tel:12015550123", "tel:+12015550124", "tel:+12015550123;ext=1"}},
		{true, []string{"tel:863-1234;phone-context=+1-914-555", "tel:8631234;phone-context=+1914555"}},
		{true, []string{"tel:7042;phone-context=example.com;ext=1-2", "tel:7042;EXT=12;Phone-Context=EXAMPLE.com"}},
		{false, []string{"tel:7042;phone-context=example.com", "tel:7042;phone-context=example.net", "tel:7042"}},
		{true, []string{"tel:7A#;x", "tel:7a#;X"}},
		{true, []string{"urn:service:sos", "URN:service:sos"}},
		{false, []string{"urn:service:sos", "urn:service:SOS"}},
	} {
		a := mustURI(t, c.uris[0])
		for _, s := range c.uris[1:] {
			b := mustURI(t, s)
			if a.Equal(b) != c.equal || b.Equal(a) != c.equal {
				t.Errorf("%s and %s: got %t and %t, want %t", c.uris[0], s, a.Equal(b), b.Equal(a), c.equal)
			}
		}
		for _, s := range c.uris {
			if u := mustURI(t, s); !u.Equal(u) {
				t.Errorf("%s is not equal to itself", s)
			}
		}
	}
}

// A URI made to be slow to compare is compared as bytes.
func TestURIsWithManyParts(t *testing.T) {
	for _, tail := range []string{strings.Repeat(";a", 65), "?" + strings.Repeat("a=b&", 64) + "c=d"} {
		a, b := mustURI(t, "sip:a"+tail), mustURI(t, "sip:A"+tail)
		if !a.Equal(b) || a.Equal(mustURI(t, "sip:a"+strings.ToUpper(tail))) {
			t.Errorf("%.20s: not compared as bytes", tail)
		}
	}
}

func FuzzURIEqual(f *testing.F) {
	for _, s := range [][2]string{
		{"sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"},
		{"sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com", "sip:biloxi.com"},
		{"sip:a@b?x=%22Y\\%22%22&s=1", "sip:a:c@[::1]:5060;a;a=b"}, {"tel:+1-2;ext=1;phone-context=+1", "tel:+12"}, {"urn:a", "urn:A"},
	} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, s1, s2 string) {
		a, err1 := ParseURI([]byte(s1))
		b, err2 := ParseURI([]byte(s2))
		if err1 != nil || err2 != nil {
			return
		}
		if !a.Equal(a) || !b.Equal(b) {
			t.Errorf("%q or %q is not equal to itself", s1, s2)
		}
		if a.Equal(b) != b.Equal(a) {
			t.Errorf("%q and %q: %t one way, %t the other", s1, s2, a.Equal(b), b.Equal(a))
		}
		again, err := ParseURI(a.Append(nil))
		if err != nil || !a.Equal(again) {
			t.Errorf("%q written is %q: %v", s1, a.Append(nil), err)
		}
	})
}
