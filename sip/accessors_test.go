package sip

import (
	"strings"
	"testing"
	"time"
)

// everything has headers with everything that an accessor may be asked for.
var everything = request(
	"Via: SIP/2.0/TLS a.example.com:5061;branch=z9hG4bK1;rport=4000;received=192.0.2.9;ttl=16;maddr=224.2.0.1;alias;keep=30",
	"+Via: SIP/2.0/UDP b", "Contact: \"A\" <sip:a@192.0.2.1;ob>;q=0.7;expires=60;reg-id=2;+sip.instance=\"<urn:uuid:1>\"",
	"+Content-Disposition: session;handling=optional", "+Event: presence.winfo;id=7", "+Allow-Events: presence, refer",
	"+Subscription-State: terminated;reason=probation;retry-after=5;expires=9", "+Reason: SIP;cause=200;text=\"Call \\\"a\\\"\"",
	"+Retry-After: 120 (busy);duration=30", "+Date: Sat, 13 Nov 2010 23:29:00 GMT", "+Session-ID: ab30317f1a784dc48ff824d0d3715d86;remote="+nullUUID,
	"+Replaces: 1@a;to-tag=2;from-tag=3;early-only", "+Target-Dialog: 4@a;local-tag=5;remote-tag=6",
	"+Session-Expires: 1800;refresher=uac", "+Min-SE: 90", "+Warning: 399 a:5060 \"b\"", "+Timestamp: 54.5 .25", "+RSeq: 8", "+RAck: 8 9 INVITE",
	"+Max-Breadth: 60", "+Flow-Timer: 120", "+Expires: 3600", "+Min-Expires: 61", "+Supported: 100rel, Path", "+Allow: INVITE, bye",
	"+Privacy: header;id", "+In-Reply-To: 1@a, 2@b", "+User-Agent: A/1 (b (c)) D",
	"+Authorization: Digest username=\"A \\\"b\\\"\", realm=\"c,d\", nonce=\"e\", uri=\"sip:f\", response=\"00\", nc=00000001", "+Authorization: Bearer x.y==",
	"+WWW-Authenticate: Digest realm=\"a\", nonce=\"b\"", "+Accept: application/*;q=0.5, text/plain", "Content-Type: multipart/mixed;boundary=\"b c\"",
)

func TestAccessors(t *testing.T) {
	m := mustParse(t, everything)
	defer m.Release()
	if err := m.CheckAll(); err != nil {
		t.Fatal(err)
	}
	via, _ := m.Via()
	ttl, ttlThere := via.TTL()
	contact, _ := m.Contact()
	uri, _ := contact.URI()
	expires, _ := contact.Expires()
	regID, _ := contact.RegID()
	disposition, _ := m.ContentDisposition()
	event, _ := m.Event()
	state, _ := m.SubscriptionState()
	stateRetry, _ := state.RetryAfter()
	stateExpires, _ := state.Expires()
	retry, _ := m.RetryAfter()
	duration, _ := retry.Duration()
	date, _ := m.Date()
	session, _ := m.SessionID()
	replaces, _ := m.Replaces()
	target, _ := m.TargetDialog()
	timer, _ := m.SessionExpires()
	minSE, _ := m.MinSE()
	stamp, _ := m.Timestamp()
	rseq, _ := m.RSeq()
	rack, _ := m.RAck()
	breadth, _ := m.MaxBreadth()
	flow, _ := m.FlowTimer()
	expiry, _ := m.Expires()
	minExpires, _ := m.MinExpires()
	kind, _ := m.ContentType()
	for _, c := range []struct{ what, got, want string }{
		{"Via", lines(ttl, ttlThere, via.MAddr(), via.SourcePort(), via.Keep(), via.Alias(), via.Received()), "16|true|224.2.0.1|4000|true|true|192.0.2.9"},
		{"Contact", lines(contact.Q(), expires, contact.Instance(), regID, uri.OB(), uri.LR()), "700|1m0s|urn:uuid:1|2|true|false"},
		{"Content-Disposition", lines(disposition.Type, disposition.Optional()), "session|true"},
		{"Event", lines(event.Type, event.Package(), event.ID()), "presence.winfo|presence|7"},
		{"Subscription-State", lines(state.State, state.Reason(), stateRetry, stateExpires), "terminated|probation|5s|9s"},
		{"Retry-After", lines(retry.Time, retry.Comment, duration), "2m0s|(busy)|30s"},
		{"Date", date.Format(time.RFC3339), "2010-11-13T23:29:00Z"},
		{"Session-ID", lines(session.Local, NullUUID(session.Local), NullUUID(session.Remote)), "ab30317f1a784dc48ff824d0d3715d86|false|true"},
		{"Replaces", lines(replaces.CallID, replaces.ToTag(), replaces.FromTag(), replaces.EarlyOnly()), "1@a|2|3|true"},
		{"Target-Dialog", lines(target.CallID, target.ToTag(), target.FromTag(), target.EarlyOnly()), "4@a|6|5|false"},
		{"session timer", lines(timer.Time, timer.Refresher(), minSE.Time, minSE.Refresher()), "30m0s|uac|1m30s|"},
		{"Timestamp", lines(stamp.Time, stamp.Delay), "54.5|.25"},
		{"numbers", lines(rseq, rack.RSeq, rack.CSeq.Seq, string(rack.CSeq.Method), breadth, flow, expiry, minExpires), "8|8|9|INVITE|60|2m0s|1h0m0s|1m1s"},
		{"tokens", lines(m.Lists(HdrSupported, "path"), m.Lists(HdrSupported, "timer"), m.Allows(INVITE), m.Allows(BYE), m.Privacy("ID"), m.Privacy("user")), "true|false|true|false|true|false"},
		{"Content-Type", lines(kind.Is("Multipart/MIXED"), kind.Is("multipart/mixe"), kind.Boundary()), "true|false|b c"},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %s, want %s", c.what, c.got, c.want)
		}
	}
}

func TestListAccessors(t *testing.T) {
	m := mustParse(t, everything)
	defer m.Release()
	var out []string
	add := func(err error, v ...any) {
		if err != nil {
			t.Error(err)
		}
		out = append(out, lines(v...))
	}
	for v, err := range m.Vias() {
		add(err, v.Host, v.Keep())
	}
	for v, err := range m.AllowEvents() {
		add(err, v)
	}
	for r, err := range m.Reasons() {
		code, _ := r.Cause()
		add(err, r.Protocol, code, r.Text())
	}
	for w, err := range m.Warnings() {
		add(err, w.Code, w.Agent, w.Text)
	}
	for id, err := range m.CallIDs() {
		add(err, id)
	}
	for a, err := range m.Authorizations() {
		user, _ := a.Params.Get("username")
		realm, _ := a.Params.Get("REALM")
		add(err, a.Scheme, user, realm, a.Token)
	}
	for a, err := range m.Challenges() {
		_, ok := a.Params.Get("qop")
		add(err, a.Is("digest"), ok)
	}
	for a, err := range m.Accepts() {
		add(err, a.Params.Q(), a.Accepts("application/sdp"), a.Accepts("text/plain"), a.Accepts("text/html"))
	}
	ua, err := m.UserAgent()
	for p := range ua.All() {
		add(err, p.Name, p.Version, p.Comment)
	}
	const want = "a.example.com|true b|false presence refer SIP|200|Call \\\"a\\\" 399|a:5060|\"b\" 1@a 2@b " +
		"Digest|A \\\"b\\\"|c,d| Bearer|||x.y== true|false 500|true|false|false 1000|false|true|false A|1| ||(b (c)) D||"
	if got := strings.Join(out, " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestAccessorsAllocateNothing(t *testing.T) {
	m := mustParse(t, everything)
	defer m.Release()
	allocs := testing.AllocsPerRun(20, func() {
		for v, err := range m.Vias() {
			if err != nil || len(v.Host) == 0 {
				t.Fatal(err)
			}
		}
		for a, err := range m.Authorizations() {
			if err != nil || len(a.Scheme) == 0 {
				t.Fatal(err)
			}
		}
		if e, err := m.Event(); err != nil || e.ID() == nil {
			t.Fatal(err)
		}
		if r, err := m.RAck(); err != nil || r.CSeq.Method != INVITE {
			t.Fatal(err)
		}
		if k, err := m.ContentType(); err != nil || k.Boundary() == nil {
			t.Fatal(err)
		}
		if err := m.CheckAll(); err != nil {
			t.Fatal(err)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations, want 0", allocs)
	}
}

// An accessor tells a header that is not there from one that is malformed, and
// says where that stands.
func TestAbsentAndMalformedHeaders(t *testing.T) {
	raw := request("+Date: today", "+Event: a b", "+Warning: 399 a \"b\", x", "+Warning: 398 c \"d\"")
	m := mustParse(t, raw)
	defer m.Release()
	if _, err := m.RSeq(); err != ErrAbsent {
		t.Errorf("RSeq: %v", err)
	}
	_, err := m.Date()
	if pe, ok := err.(*ParseError); !ok || pe.Header != "Date" || !strings.HasPrefix(string(raw[pe.Offset:]), "today") {
		t.Errorf("Date: %v", err)
	}
	if _, err := m.Event(); err == nil {
		t.Error("two events are taken")
	}
	var got []string
	for w, err := range m.Warnings() {
		got = append(got, lines(w.Code, err != nil))
	}
	if s := strings.Join(got, " "); s != "399|false 0|true 398|false" {
		t.Errorf("Warnings: got %s", s)
	}
}

func TestURIParameters(t *testing.T) {
	u := mustURI(t, "sip:alice@example.com;transport=UDP;user=Phone;method=REGISTER;ttl=15;maddr=239.255.255.1;lr?to=alice%40a&s=x%20y&flag")
	ttl, there := u.TTL()
	to, _ := u.Header("To")
	_, none := u.Header("from")
	got := lines(string(u.Method()), ttl, there, u.MAddr(), u.Phone(), u.LR(), u.OB(), to, none, u.Append(nil))
	want := "REGISTER|15|true|239.255.255.1|true|true|false|alice%40a|false|sip:alice@example.com;transport=UDP;user=Phone;method=REGISTER;ttl=15;maddr=239.255.255.1;lr?to=alice%40a&s=x%20y&flag"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	tel := mustURI(t, "tel:+1-(201)5.5")
	if !tel.Global() || !tel.Phone() || string(AppendNumber(nil, tel.User)) != "+120155" {
		t.Errorf("%s: global %t, phone %t, number %s", tel.User, tel.Global(), tel.Phone(), AppendNumber(nil, tel.User))
	}
}

func TestAppendEscape(t *testing.T) {
	for _, c := range []struct {
		part     URIPart
		in, want string
	}{
		{UserPart, "a b;c@d:e%", "a%20b;c%40d%3Ae%25"}, {ParamPart, "a;b=c[:]/", "a%3Bb%3Dc[:]/"}, {HeaderPart, "a=b&c d;?é", "a%3Db%26c%20d%3B?%C3%A9"},
	} {
		got := AppendEscape(nil, []byte(c.in), c.part)
		if string(got) != c.want || string(AppendUnescape(nil, got)) != c.in {
			t.Errorf("%q: got %q, want %q", c.in, got, c.want)
		}
	}
}
