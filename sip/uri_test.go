package sip

import (
	"errors"
	"strings"
	"testing"
)

// show writes the parts of a URI that are there, so that a table can hold them.
func show(u URI) string {
	parts := []string{string(u.Scheme)}
	add := func(name string, v []byte) {
		if v != nil {
			parts = append(parts, name+"="+string(v))
		}
	}
	add("user", u.User)
	add("password", u.Password)
	add("host", u.Host)
	if u.Port != 0 {
		parts = append(parts, "port="+itoa(int(u.Port)))
	}
	add("params", u.Params)
	add("headers", u.Headers)
	return strings.Join(parts, " ")
}

func itoa(n int) string {
	var b Builder
	b.HeaderInt("", int64(n))
	return strings.TrimSuffix(string(b.b[2:]), "\r\n")
}

func TestURIs(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"sip:example.com", "sip host=example.com"},
		{"sips:example.com", "sips host=example.com"},
		{"SIP:a@b", "SIP user=a host=b"},
		{"SiPs:a@b", "SiPs user=a host=b"},
		{"sip:alice@example.com", "sip user=alice host=example.com"},
		{"sip:alice:secret@example.com:5060", "sip user=alice password=secret host=example.com port=5060"},
		{"sip:alice:@example.com", "sip user=alice password= host=example.com"},
		{"sip:example.com:5060", "sip host=example.com port=5060"},
		{"sip:example.com:05060", "sip host=example.com port=5060"},
		{"sip:example.com:65535", "sip host=example.com port=65535"},
		{"sip:192.0.2.1:1;lr", "sip host=192.0.2.1 port=1 params=;lr"},
		{"sip:host_1.example.com.", "sip host=host_1.example.com."},
		{"sip:user;par=u%40example.net@example.com", "sip user=user;par=u%40example.net host=example.com"},
		{"sip:a?b/c&d=e+f$g,h@i", "sip user=a?b/c&d=e+f$g,h host=i"},
		{"sip:-_.!~*'()@a", "sip user=-_.!~*'() host=a"},
		{"sip:%00%ff%4A@a", "sip user=%00%ff%4A host=a"},
		{"sip:a:b&=+$,c%20@h", "sip user=a password=b&=+$,c%20 host=h"},
		{"sip:[2001:db8::10]", "sip host=[2001:db8::10]"},
		{"sip:a@[2001:db8::10]:5070;transport=tls?x=y", "sip user=a host=[2001:db8::10] port=5070 params=;transport=tls headers=x=y"},
		{"sip:h;transport=tls;lr;maddr=[::1];x=%20:/", "sip host=h params=;transport=tls;lr;maddr=[::1];x=%20:/"},
		{"sip:h?Route=%3Csip:a%3E&b=c", "sip host=h headers=Route=%3Csip:a%3E&b=c"},
		{"sip:a@h;p?x", "sip user=a host=h params=;p headers=x"},
		{"tel:+49-30-123456", "tel user=+49-30-123456"},
		{"tel:7042;phone-context=example.com", "tel user=7042 params=;phone-context=example.com"},
		{"TEL:*#(a.f)", "TEL user=*#(a.f)"},
		{"urn:service:sos", "urn user=service:sos"},
		{"soap.beep://192.0.2.1:3002", "soap.beep user=//192.0.2.1:3002"},
		{"nobodyKnowsThisScheme:totally\xc3\xa9opaque{}@;,", "nobodyKnowsThisScheme user=totally\xc3\xa9opaque{}@;,"},
		{"sip:a@h?Replaces=1@b;to-tag=2,x", "sip user=a host=h headers=Replaces=1@b;to-tag=2,x"}, // met in Refer-To, with its escapes forgotten
	} {
		u, err := ParseURI([]byte(c.in))
		if err != nil {
			t.Errorf("%q: %v", c.in, err)
		} else if got := show(u); got != c.want {
			t.Errorf("%q:\ngot  %s\nwant %s", c.in, got, c.want)
		}
	}
}

func TestURIsThatAreRefused(t *testing.T) {
	for _, c := range []struct{ why, in string }{
		{"empty", ""},
		{"no scheme", ":a@b"},
		{"no colon", "sip"},
		{"in brackets", "<sip:a@b>"},
		{"space before", " sip:a@b"},
		{"space behind", "sip:a@b "},
		{"no host", "sip:"},
		{"no host, short scheme path", "sips:"},
		{"no host behind a user", "sip:a@"},
		{"no host before parameters", "sip:;lr"},
		{"no host before a port", "sip::5060"},
		{"empty user", "sip:@b"},
		{"empty user with a password", "sip::secret@b"},
		{"two at signs", "sip:a@b@c"},
		{"space in the user", "sip:a b@c"},
		{"quotes in the user", `sip:"a"@c`},
		{"broken escape", "sip:a%4@c"},
		{"escape that is no number", "sip:a%4g@c"},
		{"broken escape at the end", "sip:a%@c"},
		{"two passwords", "sip:a:b:c@d"},
		{"brackets in the password", "sip:a:[b]@c"},
		{"UTF-8 in the user", "sip:\xc3\xa9@c"},
		{"NUL in the user", "sip:a\x00@c"},
		{"host of a hyphen", "sip:-a"},
		{"host of a dot", "sip:a@.b"},
		{"escape in the host", "sip:a%62c"},
		{"UTF-8 in the host", "sip:\xc3\xa9xample"},
		{"slash behind the host", "sip:a@b/c"},
		{"no port", "sip:a@b:"},
		{"port 0", "sip:a@b:0"},
		{"port 65536", "sip:a@b:65536"},
		{"port 2^32 + 1", "sip:a@b:4294967297"},
		{"endless port", "sip:a@b:" + strings.Repeat("1", 200)},
		{"port with a sign", "sip:a@b:+1"},
		{"two ports", "sip:a@b:1:2"},
		{"word for a port", "sip:a@b:sip"},
		{"IPv6 without brackets", "sip:2001:db8::10"},
		{"empty parameter", "sip:a@b;"},
		{"empty parameter between", "sip:a@b;;lr"},
		{"parameter without a name", "sip:a@b;=x"},
		{"parameter without a value", "sip:a@b;x="},
		{"parameter with two values", "sip:a@b;x=y=z"},
		{"space in a parameter", "sip:a@b; lr"},
		{"quotes in a parameter", `sip:a@b;x="y"`},
		{"at sign in a parameter", "sip:[::1];x=a@b"},
		{"at sign in the headers, without a user", "sip:a?x=[b]@c"},
		{"comma in a parameter", "sip:a@b;x=y,z"},
		{"broken escape in a parameter", "sip:a@b;x=%2"},
		{"empty headers", "sip:a@b?"},
		{"space in the headers", "sip:a@b?x=y z"},
		{"CR LF in the headers", "sip:a@b?x=\r\ny"},
		{"brackets in the headers", "sip:a@b?x=<y>"},
		{"quotes in the headers", `sip:a@b?x="y"`},
		{"brackets in another scheme", "urn:<a>"},
		{"DEL in the headers", "sip:a@b?x=\x7f"},
		{"tel without a number", "tel:"},
		{"tel without a number, with parameters", "tel:;x=y"},
		{"tel with letters", "tel:+49x"},
		{"tel with an empty parameter", "tel:1;"},
		{"tel with headers", "tel:1;a?b"},
		{"other scheme with nothing behind", "urn:"},
		{"other scheme with a space", "urn:a b"},
		{"other scheme with a control character", "urn:a\x01b"},
		{"slash in the scheme", "s/ip:a"},
	} {
		t.Run(c.why, func(t *testing.T) {
			u, err := ParseURI([]byte(c.in))
			if pe, ok := errors.AsType[*ParseError](err); !ok || pe.Header != "URI" || pe.Rule == "" {
				t.Errorf("%q: got %v, %s", c.in, err, show(u))
			}
		})
	}
}

func TestHosts(t *testing.T) {
	for _, h := range []string{
		"a", "A-1.b_c", "192.0.2.1", "x.", "1a",
		"[::]", "[::1]", "[1::]", "[1:2:3:4:5:6:7:8]", "[2001:DB8::a]", "[1::2:3:4:5:6:7]", "[::ffff:192.0.2.1]", "[1:2:3:4:5:6:1.2.3.4]", "[::1.2.3.4]",
		"[2001:db8:::192.0.2.1]", // RFC 5118 §4.10
	} {
		u, err := ParseURI([]byte("sip:u@" + h + ":5060"))
		if err != nil || string(u.Host) != h || u.Port != 5060 || string(u.HostName()) != strings.Trim(h, "[]") {
			t.Errorf("%s: host %q, name %q, %v", h, u.Host, u.HostName(), err)
		}
	}
	for _, h := range []string{
		"[]", "[1]", "[:]", "[:::]", "[1:2]", "[1:2:3:4:5:6:7]", "[1:2:3:4:5:6:7:8:9]", "[1:2:3:4:5:6:7:8::]", "[::1:2:3:4:5:6:7:8]", "[1::2::3]", "[12345::]",
		"[g::]", "[1:2:3:4:5:6:7:]", "[:1:2:3:4:5:6:7]", "[::1%eth0]", "[::1", "::1", "[::1]a", "[[::1]]", "[2001:db8:::1]",
		"[1:2:3:4:5:6:7:1.2.3.4]", "[::1.2.3]", "[::1.2.3.4.5]", "[::256.2.3.4]", "[::1.2.3.4:1]", "[::1..3.4]", "[1.2.3.4]", "[::0001.2.3.4]",
	} {
		if u, err := ParseURI([]byte("sip:u@" + h)); err == nil {
			t.Errorf("%s: taken as %s", h, show(u))
		}
	}
}

func TestURIAccessors(t *testing.T) {
	u, err := ParseURI([]byte("SIPS:a@[::1]:5061;Transport=TCP;lr"))
	if err != nil {
		t.Fatal(err)
	}
	if !u.Is("sips") || u.Is("sip") || !u.SIP() || string(u.Transport()) != "TCP" {
		t.Errorf("sips %t, sip %t, SIP %t, transport %q", u.Is("sips"), u.Is("sip"), u.SIP(), u.Transport())
	}
	tel, err := ParseURI([]byte("tel:1"))
	if err != nil || tel.SIP() || tel.Transport() != nil || tel.HostName() != nil {
		t.Errorf("%v, SIP %t, transport %q, host %q", err, tel.SIP(), tel.Transport(), tel.HostName())
	}
}

func TestAppendUnescape(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "abc": "abc", "%41%62c": "Abc", "u%40example.net": "u@example.net", "%00": "\x00", "%2541": "%41",
		"%": "%", "%4": "%4", "%zz": "%zz", "a%4": "a%4", "%%41": "%A", "RE%47IST%45R": "REGISTER",
	} {
		if got := string(AppendUnescape([]byte("<"), []byte(in))); got != "<"+want {
			t.Errorf("%q: got %q, want %q", in, got, "<"+want)
		}
	}
}
