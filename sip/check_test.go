package sip

import (
	"errors"
	"strings"
	"testing"
)

// TestCheckRefuses changes one line of a good request at a time.
func TestCheckRefuses(t *testing.T) {
	mustParse(t, request()).Release()
	for _, c := range []struct {
		name, header string // the header that the error names
		lines        []string
		status       int
	}{
		{"no Via", "Via", []string{"Via:"}, 400},
		{"Via without host", "Via", []string{"Via: SIP/2.0/UDP ;branch=z9hG4bK1"}, 400},
		{"Via of another protocol", "Via", []string{"Via: HTTP/1.1 a"}, 400},
		{"Via with an empty parameter", "Via", []string{"Via: SIP/2.0/UDP a;;,;,,"}, 400},
		{"Via port too large", "Via", []string{"Via: SIP/2.0/UDP a:65536;branch=z9hG4bK1"}, 400},
		{"Via with two branches", "Via", []string{"Via: SIP/2.0/UDP a;branch=z9hG4bK1;rport;Branch=z9hG4bK2"}, 400},
		{"Via with rport twice, a quoted semicolon between", "Via", []string{`Via: SIP/2.0/UDP a;branch=z9hG4bK1;rport;x="a;b";rport=1`}, 400},
		{"no From", "From", []string{"From:"}, 400},
		{"From with two tags", "From", []string{"From: <sip:a@example.com>;tag=1;tag=2"}, 400},
		{"To with two tags", "To", []string{"To: <sip:b@example.com>;TAG=1;x;tag=1"}, 400},
		{"two From", "From", []string{"+From: <sip:c@example.com>;tag=2"}, 400},
		{"open quotes in To", "To", []string{`To: "Mr. J. User <sip:j@example.com>`}, 400},
		{"spaces in To's URI", "To", []string{"To: < sip:b@example.com >"}, 400},
		{"no Call-ID", "Call-ID", []string{"Call-ID:"}, 400},
		{"Call-ID with a space", "Call-ID", []string{"Call-ID: a b"}, 400},
		{"CSeq of another method", "CSeq", []string{"CSeq: 1 BYE"}, 400},
		{"CSeq of another method, neither known", "CSeq", []string{"NEWMETHOD sip:b@example.com SIP/2.0", "CSeq: 1 INVITE"}, 501},
		{"CSeq too large", "CSeq", []string{"CSeq: 2147483648 INVITE"}, 400},
		{"CSeq without a number", "CSeq", []string{"CSeq: INVITE"}, 400},
		{"Max-Forwards too large", "Max-Forwards", []string{"Max-Forwards: 300"}, 400},
		{"two Max-Forwards", "Max-Forwards", []string{"Max-Forwards: 3", "+Max-Forwards: 4"}, 400},
		{"INVITE without Contact", "Contact", []string{"Contact:"}, 400},
		{"Contact with headers outside brackets", "Contact", []string{"Contact: sip:a@example.com?Route=x"}, 400},
		{"an empty Contact", "Contact", []string{"Contact: "}, 400},
		{"a comma behind Contact", "Contact", []string{"Contact: <sip:a@192.0.2.1>,"}, 400},
		{"a second Contact that is malformed", "Contact", []string{"+m: <sip:b@192.0.2.1>, <sip:c@>"}, 400},
		{"INVITE with the Contact of all", "Contact", []string{"Contact: *"}, 400},
		{"Route that is no URI", "Route", []string{"Route: <nonsense>"}, 400},
		{"Route with open quotes", "Route", []string{`Route: "x <sip:a;lr>`}, 400},
		{"a second Route that is malformed", "Route", []string{"Route: <sip:a;lr>, <sip:b;;lr>"}, 400},
		{"a Route of all", "Route", []string{"Route: *"}, 400},
		{"Record-Route that is no URI", "Record-Route", []string{"Record-Route: <sip:a;lr>", "+Record-Route: <sip:>"}, 400},
		{"From with two addresses", "From", []string{"From: <sip:a@example.com>;tag=1, <sip:b@example.com>"}, 400},
		{"From with a malformed URI", "From", []string{"From: <sip:a b@example.com>;tag=1"}, 400},
		{"no To", "To", []string{"To:"}, 400},
		{"two To, one compact", "To", []string{"+t: <sip:c@example.com>"}, 400},
		{"no CSeq", "CSeq", []string{"CSeq:"}, 400},
		{"CSeq of the method in other letters", "CSeq", []string{"CSeq: 1 invite"}, 400},
		{"an empty Call-ID", "Call-ID", []string{"Call-ID: "}, 400},
		{"Call-ID with two at signs", "Call-ID", []string{"Call-ID: a@b@c"}, 400},
		{"Call-ID that begins with an at sign", "Call-ID", []string{"Call-ID: @b"}, 400},
		{"Call-ID that ends with an at sign", "Call-ID", []string{"Call-ID: a@"}, 400},
		{"Call-ID with a comma", "Call-ID", []string{"Call-ID: a,b"}, 400},
		{"two Call-IDs, one compact", "Call-ID", []string{"+i: 2@a"}, 400},
		{"Max-Forwards of a word", "Max-Forwards", []string{"Max-Forwards: many"}, 400},
		{"negative Max-Forwards", "Max-Forwards", []string{"Max-Forwards: -1"}, 400},
		{"an empty Max-Forwards", "Max-Forwards", []string{"Max-Forwards: "}, 400},
		{"Request-URI in brackets", "Request-URI", []string{"INVITE <sip:b@example.com> SIP/2.0"}, 400},
		{"Request-URI with spaces", "Request-URI", []string{"INVITE sip:b@example.com; lr SIP/2.0"}, 400},
		{"Request-URI with headers", "Request-URI", []string{"INVITE sip:b@example.com?Route=%3Csip:c%3E SIP/2.0"}, 400},
		{"two spaces", "Request-URI", []string{"INVITE  sip:b@example.com SIP/2.0"}, 400},
		{"version 7", "Request-Line", []string{"INVITE sip:b@example.com SIP/7.0"}, 505},
		{"two Content-Lengths", "Content-Length", []string{"Content-Length: 0", "+Content-Length: 1"}, 400},
		{"negative Content-Length", "Content-Length", []string{"Content-Length: -999"}, 400},
		{"Content-Length beyond the datagram", "Content-Length", []string{"Content-Length: 9999"}, 400},
		{"a line without a colon", "header", []string{"+nonsense"}, 400},
		{"a lone CR", "Subject", []string{"+Subject: a\rb"}, 400},
		{"a lone LF", "Subject", []string{"+Subject: a\nb"}, 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := Parse(request(c.lines...))
			if err == nil {
				err = m.Check()
			}
			pe, ok := errors.AsType[*ParseError](err)
			if !ok {
				t.Fatalf("got %v, want a *ParseError", err)
			}
			if pe.Header != c.header || pe.Status() != c.status {
				t.Errorf("got %q with %d, want %q with %d", pe, pe.Status(), c.header, c.status)
			}
			m.Release()
		})
	}
}

// TestCheckAccepts holds what must not be refused, however odd it looks.
func TestCheckAccepts(t *testing.T) {
	for name, lines := range map[string][]string{
		"folded Via":              {"Via: SIP/2.0/UDP\r\n a.example.com\r\n\t;branch=z9hG4bK1"},
		"spaces around slashes":   {"Via: SIP / 2.0 / UDP a.example.com : 5060 ;branch=z9hG4bK1"},
		"no space before bracket": {"To: caller<sip:b@example.com>"},
		"escaped quotes":          {`From: "a \" b\\" <sip:a@example.com>;tag=1`},
		"user with a semicolon":   {"INVITE sip:user;par=u%40example.net@example.com SIP/2.0"},
		"IPv6":                    {"INVITE sip:b@[2001:db8::10]:5070 SIP/2.0", "Via: SIP/2.0/TCP [2001:db8::9:1];branch=z9hG4bK1"},
		"compact forms":           {"Via:", "From:", "To:", "Call-ID:", "Contact:", "+v: SIP/2.0/UDP a;branch=z9hG4bK1", "+f: <sip:a@b>;tag=1", "+t: <sip:b@b>", "+i: 1", "+m: <sip:a@b>"},
		"leading zeros":           {"CSeq: 0009 INVITE", "Max-Forwards: 0068"},
		"unknown scheme":          {"INVITE nobodyKnowsThisScheme:opaque SIP/2.0"},
		"tel URI":                 {"INVITE tel:+49-30-123456 SIP/2.0"},
		"colon after spaces":      {"+Subject   : x"},
		"bare addr-spec":          {"From: sip:a@example.com;tag=1"},
		"From without a tag":      {"From: <sip:a@example.com>"}, // RFC 2543 had none
		"Call-ID of odd words":    {"Call-ID: -.!%*_+`'~()<>:\\\"/[]?{}@-.!%*_+`'~()<>:\\\"/[]?{}"},
		"Max-Forwards 0":          {"Max-Forwards: 0"},
		"Max-Forwards 255":        {"Max-Forwards: 255"},
		"several Contacts":        {"Contact: <sip:a@192.0.2.1>, \"b, c\" <sip:b@192.0.2.2>;q=0.5", "+m: sip:d@192.0.2.3"},
		"several Routes":          {"Route: <sip:a;lr> , <sip:b;lr>", "+Route: <sip:c;lr>"},
		"several Record-Routes":   {"Record-Route: <sip:a;lr>, <sip:b;lr>", "+Record-Route: sip:c"},
		"a broken second Via":     {"+Via: nonsense"}, // others than the topmost are not ours to judge
		"no Contact, RFC 2543":    {"Via: SIP/2.0/UDP a.example.com", "Contact:"},
		"branch of the cookie":    {"Via: SIP/2.0/UDP a.example.com;branch=z9hG4bK"},
		"no branch":               {"Via: SIP/2.0/UDP a.example.com"},
		"unknown headers":         {"+X-Nobody-Knows: , ;; \"", "+x-a: \xff"},
		"unknown method":          {"!interesting-Method0123456789_*+`.%indeed'~ sip:b@example.com SIP/2.0", "CSeq: 1 !interesting-Method0123456789_*+`.%indeed'~"},
	} {
		t.Run(name, func(t *testing.T) { mustParse(t, request(lines...)).Release() })
	}
}

// The Contact that stands for all belongs to REGISTER alone.
func TestContactOfAll(t *testing.T) {
	register := []string{"REGISTER sip:example.com SIP/2.0", "CSeq: 1 REGISTER", "Contact: *"}
	mustParse(t, request(register...)).Release()
	mustParse(t, request("REGISTER sip:example.com SIP/2.0", "CSeq: 1 REGISTER", "Contact:")).Release()
	if m, err := Parse(request(append(register, "Route: *")...)); err != nil || m.Check() == nil {
		t.Errorf("a Route of it is taken: %v", err)
	}
	options := []string{"OPTIONS sip:example.com SIP/2.0", "CSeq: 1 OPTIONS", "Contact: *"}
	m, err := Parse(request(options...))
	if err == nil {
		err = m.Check()
	}
	if err == nil {
		t.Error("OPTIONS with it is taken")
	}
}

// A response is judged by what leads it back, and by the dialog when it makes one.
func TestCheckOfResponses(t *testing.T) {
	const good = "SIP/2.0 200 OK\r\nv: SIP/2.0/UDP a;branch=1\r\nf: <sip:a@b>;tag=1\r\nt: <sip:b@b>;tag=2\r\ni: 1\r\nCSeq: 7 INVITE\r\n\r\n"
	mustParse(t, []byte(good)).Release()
	mustParse(t, []byte(strings.Replace(good, "i: 1", "i: 1\r\nContact: nonsense", 1))).Release()
	for _, c := range []struct{ from, to, header string }{
		{"v: SIP/2.0/UDP a;branch=1\r\n", "", "Via"},
		{"f: <sip:a@b>;tag=1\r\n", "", "From"},
		{"t: <sip:b@b>;tag=2", "t: <sip:b@b", "To"},
		{"i: 1", "i: 1 2", "Call-ID"},
		{"7 INVITE", "x INVITE", "CSeq"},
		{"SIP/2.0 200", "SIP/2.0 2", "Status-Line"},
	} {
		m, err := Parse([]byte(strings.Replace(good, c.from, c.to, 1)))
		if err == nil {
			err = m.Check()
		}
		if pe, ok := errors.AsType[*ParseError](err); !ok || pe.Header != c.header {
			t.Errorf("%q for %q: got %v", c.to, c.from, err)
		}
		m.Release()
	}
}
