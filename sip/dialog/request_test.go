package dialog

import (
	"slices"
	"testing"

	"github.com/sallyport-sip/sallyport/sip"
)

func TestRoute(t *testing.T) { // RFC 3261 §12.2.1.1
	const target = "sip:user@remoteua"
	for _, c := range []struct {
		name   string
		target string
		set    []string
		uri    string
		routes []string
		hop    string
	}{
		{"empty route set", target, nil, target, nil, target},
		{"loose", target, []string{"<sip:p1;lr>", "<sip:p2>"}, target, []string{"<sip:p1;lr>", "<sip:p2>"}, "sip:p1;lr"},
		{"loose with a value, in any case", target, []string{"<sip:p1;LR=on>"}, target, []string{"<sip:p1;LR=on>"}, "sip:p1;LR=on"},
		{"strict, the example of the section", target, []string{"<sip:proxy1>", "<sip:proxy2>", "<sip:proxy3;lr>", "<sip:proxy4>"},
			"sip:proxy1", []string{"<sip:proxy2>", "<sip:proxy3;lr>", "<sip:proxy4>", "<sip:user@remoteua>"}, "sip:proxy1"},
		{"lr of the header is not lr of the URI", target, []string{"<sip:p1>;lr"}, "sip:p1", []string{"<sip:user@remoteua>"}, "sip:p1"},
		{"strict, stripped of what no Request-URI has", target, []string{"<sip:p1;method=INVITE;transport=tcp?subject=x>"},
			"sip:p1;transport=tcp", []string{"<sip:user@remoteua>"}, "sip:p1;method=INVITE;transport=tcp?subject=x"},
		{"target stripped of headers", "sip:a?b@h;x=1?p=q", nil, "sip:a?b@h;x=1", nil, "sip:a?b@h;x=1?p=q"},
		{"target stripped of the method", "sip:a@h;x=1;Method=INVITE", nil, "sip:a@h;x=1", nil, "sip:a@h;x=1;Method=INVITE"},
		{"a target that is all method", "sip:h;method=INVITE", nil, "sip:h", nil, "sip:h;method=INVITE"},
		{"a display name in the route", target, []string{`"P, 1" <sip:p1;lr>`}, target, []string{`"P, 1" <sip:p1;lr>`}, "sip:p1;lr"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := Dialog{Target: c.target, Routes: c.set}
			before := slices.Clone(c.set)
			uri, routes := d.Route()
			if uri != c.uri || !slices.Equal(routes, c.routes) {
				t.Errorf("got %q %q\nwant %q %q", uri, routes, c.uri, c.routes)
			}
			if hop := d.NextHop(); hop != c.hop {
				t.Errorf("next hop %q, want %q", hop, c.hop)
			}
			if !slices.Equal(d.Routes, before) {
				t.Errorf("the route set was changed to %q", d.Routes)
			}
		})
	}
}

func TestWrite(t *testing.T) { // RFC 3261 §12.2.1.1
	u := uac(t, false)
	d, _, err := u.Response(parse(t, response(200, "bob1", bobsContact+bobsProxies)))
	if err != nil {
		t.Fatal(err)
	}
	write := func(method sip.Method, seq uint32) string {
		var b sip.Builder
		b.Reset(nil)
		d.Start(&b, method)
		b.Header("Via", "SIP/2.0/TLS gw.example;branch=z9hG4bK1")
		d.Headers(&b, method, seq)
		return string(b.Finish(nil))
	}
	if got, want := write(sip.ACK, u.Seq), "ACK sip:bob@192.0.2.4 SIP/2.0\r\n"+
		"Via: SIP/2.0/TLS gw.example;branch=z9hG4bK1\r\n"+
		"Route: <sip:p1.atlanta.example;lr>\r\n"+
		"Route: <sip:p2.biloxi.example;lr>;hop=2\r\n"+
		"From: \"Alice A.\" <sip:alice@atlanta.example;x=y>;tag=1928301774\r\n"+
		"To: Bob <sip:bob@biloxi.example>;tag=bob1\r\n"+
		"Call-ID: a84b4c76e66710\r\n"+
		"CSeq: 314159 ACK\r\n"+
		"Content-Length: 0\r\n\r\n"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if seq := d.NextSeq(); seq != 314160 {
		t.Errorf("the next sequence number is %d, want 314160", seq)
	}

	// At the UAS's side the local sequence number is empty, and null tags and
	// display names are left out.
	d, err = NewUAS(parse(t, request("", ";tag=1928301774", "", "\"Alice A.\" ", "")), "gw1", false)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := write(sip.BYE, d.NextSeq()), "BYE sip:alice@pc33.atlanta.example;transport=tls SIP/2.0\r\n"+
		"Via: SIP/2.0/TLS gw.example;branch=z9hG4bK1\r\n"+
		"From: Bob <sip:bob@biloxi.example>;tag=gw1\r\n"+
		"To: <sip:alice@atlanta.example;x=y>\r\n"+
		"Call-ID: a84b4c76e66710\r\n"+
		"CSeq: 1 BYE\r\n"+
		"Content-Length: 0\r\n\r\n"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if a, b := d.NextSeq(), d.NextSeq(); a != 2 || b != 3 {
		t.Errorf("sequence numbers %d and %d, want 2 and 3", a, b)
	}
}
