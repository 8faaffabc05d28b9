package dialog

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-sip/sallyport/sip"
)

func parse(t *testing.T, text string) *sip.Message {
	t.Helper()
	m, err := sip.Parse([]byte(text))
	if err != nil {
		t.Fatalf("parse: %v\n%s", err, text)
	}
	t.Cleanup(m.Release)
	return m
}

// request is an INVITE from Alice to Bob, with lines added and pairs of old and
// new text replaced.
func request(lines string, edit ...string) string {
	text := "INVITE sip:bob@biloxi.example SIP/2.0\r\n" +
		"Via: SIP/2.0/TLS pc33.atlanta.example;branch=z9hG4bKnashds8\r\n" +
		"Max-Forwards: 70\r\n" +
		"To: Bob <sip:bob@biloxi.example>\r\n" +
		"From: \"Alice A.\" <sip:alice@atlanta.example;x=y>;tag=1928301774\r\n" +
		"Call-ID: a84b4c76e66710\r\n" +
		"CSeq: 314159 INVITE\r\n" +
		"Contact: <sip:alice@pc33.atlanta.example;transport=tls>\r\n" +
		lines +
		"Content-Length: 0\r\n\r\n"
	return strings.NewReplacer(edit...).Replace(text)
}

// response is Bob's answer to it; without a Contact of its own.
func response(code int, tag, lines string) string {
	if tag != "" {
		tag = ";tag=" + tag
	}
	return fmt.Sprintf("SIP/2.0 %d %s\r\n", code, sip.StatusText(code)) +
		"Via: SIP/2.0/TLS pc33.atlanta.example;branch=z9hG4bKnashds8\r\n" +
		"To: Bob <sip:bob@biloxi.example>" + tag + "\r\n" +
		"From: \"Alice A.\" <sip:alice@atlanta.example;x=y>;tag=1928301774\r\n" +
		"Call-ID: a84b4c76e66710\r\n" +
		"CSeq: 314159 INVITE\r\n" +
		lines +
		"Content-Length: 0\r\n\r\n"
}

const (
	bobsContact = "Contact: <sip:bob@192.0.2.4>\r\n"
	bobsProxies = "Record-Route: <sip:p2.biloxi.example;lr>;hop=2, <sip:p1.atlanta.example;lr>\r\n"
)

func equal(a, b *Dialog) bool {
	x, y := *a, *b
	routes := slices.Equal(x.Routes, y.Routes)
	x.Routes, y.Routes = nil, nil
	return routes && fmt.Sprintf("%+v", x) == fmt.Sprintf("%+v", y)
}

func TestNewUAS(t *testing.T) { // RFC 3261 §12.1.1
	base := Dialog{
		ID:        ID{"a84b4c76e66710", "314159", "1928301774"},
		State:     Early,
		Local:     Party{"Bob", "sip:bob@biloxi.example"},
		Remote:    Party{`"Alice A."`, "sip:alice@atlanta.example;x=y"},
		Target:    "sip:alice@pc33.atlanta.example;transport=tls",
		RemoteSeq: Seq{314159, true},
	}
	for _, c := range []struct {
		name string
		req  string
		tls  bool
		want func(d *Dialog)
	}{
		{"without proxies", request(""), true, func(*Dialog) {}},
		{"the route set is taken in order, parameters kept", request(bobsProxies), false, func(d *Dialog) {
			d.Routes = []string{"<sip:p2.biloxi.example;lr>;hop=2", "<sip:p1.atlanta.example;lr>"}
		}},
		{"several Record-Route fields", request("Record-Route: <sip:a.example;lr>\r\nRecord-Route: <sip:b.example;lr>\r\n"), false, func(d *Dialog) {
			d.Routes = []string{"<sip:a.example;lr>", "<sip:b.example;lr>"}
		}},
		{"Record-Route without brackets", request("Record-Route: sip:a.example;lr\r\n"), false, func(d *Dialog) {
			d.Routes = []string{"<sip:a.example;lr>"}
		}},
		{"SIPS over TLS is secure", request("", "INVITE sip:", "INVITE sips:"), true, func(d *Dialog) { d.Secure = true }},
		{"the scheme has no case", request("", "INVITE sip:", "INVITE SIPS:"), true, func(d *Dialog) { d.Secure = true }},
		{"SIPS without TLS is not", request("", "INVITE sip:", "INVITE sips:"), false, func(*Dialog) {}},
		{"RFC 2543: no From tag", request("", ";tag=1928301774", ""), false, func(d *Dialog) { d.ID.RemoteTag = "" }},
		{"RFC 2543: no Contact", request("", "z9hG4bK", "", "Contact: <sip:alice@pc33.atlanta.example;transport=tls>\r\n", ""), false, func(d *Dialog) {
			d.Target = "sip:alice@atlanta.example;x=y"
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := base
			c.want(&want)
			got, err := NewUAS(parse(t, c.req), "314159", c.tls)
			if err != nil {
				t.Fatal(err)
			}
			if !equal(got, &want) {
				t.Errorf("got  %+v\nwant %+v", *got, want)
			}
		})
	}
}

func TestNewUASRefuses(t *testing.T) {
	for name, req := range map[string]string{
		"no Contact":           request("", "Contact: <sip:alice@pc33.atlanta.example;transport=tls>\r\n", ""),
		"a Contact of all":     request("", "<sip:alice@pc33.atlanta.example;transport=tls>", "*"),
		"a tel Contact":        request("", "sip:alice@pc33.atlanta.example;transport=tls", "tel:+4930123456"),
		"a broken Contact":     request("", "<sip:alice@pc33.atlanta.example;transport=tls>", "<sip:>"),
		"a tel Record-Route":   request("Record-Route: <tel:+4930123456>\r\n"),
		"a bad Record-Route":   request("Record-Route: <sip:>\r\n"),
		"an open Record-Route": request("Record-Route: <sip:a.example\r\n"),
		"a bad From":           request("", "\"Alice A.\" <sip:alice@atlanta.example;x=y>", "<"),
		"a bad To":             request("", "Bob <sip:bob@biloxi.example>", "<"),
		"a bad CSeq":           request("", "314159 INVITE", "x"),
	} {
		d, err := NewUAS(parse(t, req), "1", false)
		if se, ok := errors.AsType[*sip.StatusError](err); d != nil || !ok || se.Code != 400 {
			t.Errorf("%s: got %v, %v, want a 400", name, d, err)
		}
	}
}

func uac(t *testing.T, tls bool, edit ...string) *UAC {
	t.Helper()
	u, err := NewUAC(parse(t, request("", edit...)), tls)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestUACResponse(t *testing.T) { // RFC 3261 §12.1.2
	base := Dialog{
		ID:       ID{"a84b4c76e66710", "1928301774", "bob1"},
		State:    Early,
		Local:    Party{`"Alice A."`, "sip:alice@atlanta.example;x=y"},
		Remote:   Party{"Bob", "sip:bob@biloxi.example"},
		Target:   "sip:bob@192.0.2.4",
		LocalSeq: Seq{314159, true},
	}
	for _, c := range []struct {
		name string
		resp string
		want func(d *Dialog) // nil: there is no dialog
	}{
		{"100", response(100, "bob1", bobsContact), nil},
		{"180 without To tag", response(180, "", bobsContact), nil},
		{"180", response(180, "bob1", bobsContact), func(*Dialog) {}},
		{"180 without Contact", response(180, "bob1", ""), func(d *Dialog) { d.Target = "sip:bob@biloxi.example" }},
		{"200", response(200, "bob1", bobsContact), func(d *Dialog) { d.State = Confirmed }},
		{"200 of RFC 2543", response(200, "", bobsContact), func(d *Dialog) { d.State, d.ID.RemoteTag = Confirmed, "" }},
		{"the route set is taken in reverse order", response(200, "bob1", bobsContact+bobsProxies), func(d *Dialog) {
			d.State = Confirmed
			d.Routes = []string{"<sip:p1.atlanta.example;lr>", "<sip:p2.biloxi.example;lr>;hop=2"}
		}},
		{"302", response(302, "bob1", bobsContact), nil},
		{"486", response(486, "bob1", ""), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := uac(t, true)
			got, created, err := u.Response(parse(t, c.resp))
			if err != nil {
				t.Fatal(err)
			}
			if c.want == nil {
				if got != nil || created || len(u.Dialogs) != 0 {
					t.Errorf("got %+v, want no dialog", got)
				}
				return
			}
			want := base
			c.want(&want)
			if !created || !equal(got, &want) {
				t.Errorf("got  %+v, created %v\nwant %+v", *got, created, want)
			}
		})
	}
	for _, c := range []struct {
		tls    bool
		scheme string
		want   bool
	}{{true, "sips:", true}, {false, "sips:", false}, {true, "sip:", false}} {
		d, _, _ := uac(t, c.tls, "INVITE sip:", "INVITE "+c.scheme).Response(parse(t, response(200, "b", bobsContact)))
		if d.Secure != c.want {
			t.Errorf("secure is %v for %s with TLS %v", d.Secure, c.scheme, c.tls)
		}
	}
}

func TestUACErrors(t *testing.T) {
	for name, edit := range map[string][2]string{
		"From": {"\"Alice A.\" <sip:alice@atlanta.example;x=y>", "<"},
		"To":   {"Bob <sip:bob@biloxi.example>", "<"},
		"CSeq": {"314159 INVITE", "x"},
	} {
		if u, err := NewUAC(parse(t, request("", edit[0], edit[1])), false); err == nil {
			t.Errorf("a bad %s gave %+v", name, u)
		}
	}
	for name, resp := range map[string]string{
		"Contact":      response(200, "bob1", "Contact: <tel:+4930123456>\r\n"),
		"Record-Route": response(200, "bob1", bobsContact+"Record-Route: <sip:>\r\n"),
		"To":           strings.Replace(response(200, "bob1", bobsContact), "Bob <sip:bob@biloxi.example>", "<", 1),
	} {
		u := uac(t, false)
		if d, _, err := u.Response(parse(t, resp)); err == nil || d != nil || len(u.Dialogs) != 0 {
			t.Errorf("a bad %s gave %+v, %v", name, d, err)
		}
		early, _, err := u.Response(parse(t, response(180, "bob1", bobsContact)))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := u.Response(parse(t, resp)); err == nil || early.State != Early {
			t.Errorf("a bad %s confirmed a dialog", name)
		}
	}
}

// TestFork: each remote tag has a dialog of its own (RFC 3261 §13.2.2.4), and a
// failure ends those that are early (§12.3).
func TestFork(t *testing.T) {
	u := uac(t, false)
	take := func(code int, tag, lines string) (*Dialog, bool) {
		t.Helper()
		d, created, err := u.Response(parse(t, response(code, tag, lines)))
		if err != nil {
			t.Fatal(err)
		}
		return d, created
	}
	one, created := take(180, "one", "")
	two, createdToo := take(183, "two", "Contact: <sip:two@192.0.2.5>\r\n"+bobsProxies)
	if !created || !createdToo || one == two || len(u.Dialogs) != 2 {
		t.Fatalf("dialogs %v", u.Dialogs)
	}
	if d, created := take(183, "one", "Contact: <sip:one@192.0.2.6>\r\nRecord-Route: <sip:x.example;lr>\r\n"); d != one || created {
		t.Error("a further 1xx made another dialog")
	}
	if one.Target != "sip:one@192.0.2.6" || one.Routes != nil {
		t.Errorf("a further 1xx: target %q, routes %q", one.Target, one.Routes)
	}
	take(183, "one", "Contact: <sip:other@192.0.2.7>\r\n")
	if one.Target != "sip:one@192.0.2.6" {
		t.Errorf("a 1xx changed the target that was known to %q", one.Target)
	}

	// The 2xx computes the route set again, here to the empty one.
	if d, created := take(200, "two", "Contact: <sip:two@192.0.2.8>\r\n"); d != two || created {
		t.Error("the 2xx made another dialog")
	}
	if two.State != Confirmed || two.Target != "sip:two@192.0.2.8" || two.Routes != nil {
		t.Errorf("confirmed: %+v", *two)
	}
	take(200, "two", "Contact: <sip:late@192.0.2.8>\r\n")
	if two.Target != "sip:two@192.0.2.8" {
		t.Error("a 2xx sent again changed the dialog")
	}
	if three, created := take(200, "three", bobsContact); !created || three.State != Confirmed {
		t.Error("a second fork that answers has no dialog of its own")
	}

	// A dialog given up still learns where its ACK and BYE go.
	one.Terminate()
	take(200, "one", "Contact: <sip:one@192.0.2.9>\r\n"+bobsProxies)
	if one.State != Terminated || one.Target != "sip:one@192.0.2.9" || len(one.Routes) != 2 {
		t.Errorf("given up: %+v", *one)
	}

	early, _ := take(180, "four", bobsContact)
	take(486, "five", "")
	if early.State != Terminated || two.State != Confirmed {
		t.Errorf("after a failure: early is %v, confirmed is %v", early.State, two.State)
	}
	if u.Find("two") != two || u.Find("none") != nil {
		t.Error("Find does not find by remote tag")
	}
}

func TestReceive(t *testing.T) { // RFC 3261 §12.2.2
	d, err := NewUAS(parse(t, request("")), "1", false)
	if err != nil {
		t.Fatal(err)
	}
	in := func(method string, seq int) error {
		return d.Receive(parse(t, request("", "INVITE sip:", method+" sip:", "314159 INVITE", fmt.Sprint(seq, " ", method))))
	}
	for _, c := range []struct {
		method string
		seq    int
		code   int // 0: taken
		now    uint32
	}{
		{"ACK", 314159, 0, 314159},
		{"BYE", 314158, 500, 314159},
		{"INFO", 314160, 0, 314160},
		{"INFO", 314170, 0, 314170}, // "higher ... by more than one ... is not an error condition"
		{"INVITE", 314169, 500, 314170},
		{"ACK", 314160, 0, 314170},
		{"CANCEL", 314160, 0, 314170},
		{"BYE", 314170, 0, 314170},
	} {
		err := in(c.method, c.seq)
		se, ok := errors.AsType[*sip.StatusError](err)
		if (err != nil) != (c.code != 0) || ok && se.Code != c.code {
			t.Errorf("%s %d: %v, want code %d", c.method, c.seq, err, c.code)
		}
		if d.RemoteSeq.Value != c.now {
			t.Errorf("%s %d: remote sequence number %d, want %d", c.method, c.seq, d.RemoteSeq.Value, c.now)
		}
	}
	if err := d.Receive(parse(t, request("", "314159 INVITE", "x"))); err == nil {
		t.Error("a broken CSeq was taken")
	}

	// At the UAC's side it is empty until the other side sends a request.
	d, _, err = uac(t, false).Response(parse(t, response(200, "bob1", bobsContact)))
	if err != nil || d.RemoteSeq.Known {
		t.Fatalf("%v, %+v", err, d.RemoteSeq)
	}
	if err := in("BYE", 0); err != nil || d.RemoteSeq != (Seq{0, true}) {
		t.Errorf("the first request of the other side: %v, %+v", err, d.RemoteSeq)
	}
}

func TestRefresh(t *testing.T) { // RFC 3261 §12.2.1.2, §12.2.2
	const old, moved = "sip:bob@192.0.2.4", "sip:alice@pc33.atlanta.example;transport=tls"
	as := func(method string) string { return request("", "INVITE", method) }
	for _, c := range []struct {
		name string
		msg  string
		want string
	}{
		{"re-INVITE", request(bobsProxies), moved},
		{"UPDATE", as("UPDATE"), moved},
		{"NOTIFY", as("NOTIFY"), moved},
		{"ACK is none", as("ACK"), old},
		{"INFO is none", as("INFO"), old},
		{"BYE is none", as("BYE"), old},
		{"re-INVITE without Contact", request("", "Contact: <sip:alice@pc33.atlanta.example;transport=tls>\r\n", ""), old},
		{"2xx", response(200, "bob1", "Contact: <sip:bob@192.0.2.9>\r\n"), "sip:bob@192.0.2.9"},
		{"2xx without Contact", response(200, "bob1", ""), old},
		{"2xx to INFO", strings.Replace(response(200, "bob1", "Contact: <sip:bob@192.0.2.9>\r\n"), "INVITE", "INFO", 1), old},
		{"180", response(180, "bob1", "Contact: <sip:bob@192.0.2.9>\r\n"), old},
		{"302", response(302, "bob1", "Contact: <sip:bob@192.0.2.9>\r\n"), old},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := Dialog{Target: old, Routes: []string{"<sip:p.example;lr>"}}
			if err := d.Refresh(parse(t, c.msg)); err != nil {
				t.Fatal(err)
			}
			if d.Target != c.want || len(d.Routes) != 1 {
				t.Errorf("target %q, want %q; routes %q", d.Target, c.want, d.Routes)
			}
		})
	}
	d := Dialog{Target: old}
	err := d.Refresh(parse(t, request("", "sip:alice@pc33.atlanta.example;transport=tls", "tel:+49301234")))
	if se, ok := errors.AsType[*sip.StatusError](err); !ok || se.Code != 400 || d.Target != old {
		t.Errorf("a tel Contact: %v, target %q", err, d.Target)
	}
}

func TestOwns(t *testing.T) {
	d, _, err := uac(t, false).Response(parse(t, response(200, "bob1", bobsContact)))
	if err != nil {
		t.Fatal(err)
	}
	// A request of Bob's has his tag in From.
	bye := func(edit ...string) string {
		return request("", append(edit, "INVITE", "BYE", "tag=1928301774", "tag=bob1",
			"<sip:bob@biloxi.example>", "<sip:bob@biloxi.example>;tag=1928301774")...)
	}
	for _, c := range []struct {
		name string
		msg  string
		want bool
	}{
		{"response", response(200, "bob1", ""), true},
		{"response of another fork", response(200, "bob2", ""), false},
		{"request", bye(), true},
		{"request with another Call-ID", bye("a84b4c76e66710", "other"), false},
		{"request with another tag of ours", bye("<sip:bob@biloxi.example>", "<sip:bob@biloxi.example>;tag=192830177"), false},
		{"request with the tags the other way round", request("", "<sip:bob@biloxi.example>", "<sip:bob@biloxi.example>;tag=bob1"), false},
		{"request with an unreadable To", bye("Bob <sip:bob@biloxi.example>", "<"), false},
		{"request with an unreadable From", bye("\"Alice A.\" <sip:alice@atlanta.example;x=y>", "<"), false},
	} {
		if got := d.Owns(parse(t, c.msg)); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	m := parse(t, bye())
	if n := testing.AllocsPerRun(100, func() { d.Owns(m) }); n != 0 {
		t.Errorf("Owns makes %v allocations, want none", n)
	}
}

func TestStates(t *testing.T) {
	d := Dialog{State: Early}
	d.Confirm()
	if d.State != Confirmed {
		t.Errorf("state %v, want confirmed", d.State)
	}
	d.Terminate()
	d.Confirm()
	if d.State != Terminated {
		t.Errorf("state %v, want terminated", d.State)
	}
	for s, want := range map[State]string{0: "none", Early: "early", Confirmed: "confirmed", Terminated: "terminated"} {
		if s.String() != want {
			t.Errorf("state %d is %q, want %q", s, s, want)
		}
	}
	for code, want := range map[int]bool{408: true, 481: true, 200: false, 404: false, 500: false} {
		if Ends(code) != want {
			t.Errorf("Ends(%d) is %v", code, !want)
		}
	}
}
