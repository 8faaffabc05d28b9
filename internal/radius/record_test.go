package radius

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	wire "layeh.com/radius"
	"layeh.com/radius/rfc2865"
	"layeh.com/radius/rfc2866"

	"github.com/sallyport-sip/sallyport/internal/store"
)

var began = time.Date(2026, 3, 1, 9, 30, 0, 94e6, time.UTC)

func sample() *store.CDR {
	return &store.CDR{
		ID: "k3f9-7", State: store.Ended, Caller: "+49301234", Called: "+49895678", Route: "out",
		Began: began, Answered: began.Add(2 * time.Second), Ended: began.Add(65*time.Second + 900*time.Millisecond), EndedBy: "caller",
		Cause: store.Cause{SIP: 200, Text: "the caller hung up"}, Verdict: "secured", Session: "0123456789abcdef0123456789abcdef",
		In: store.Leg{
			Peer: "office", CallID: "a@office", Transport: "tls", Remote: "192.0.2.7:40001", KnownBy: "certificate",
			TLS: &store.TLS{Version: "1.3", Suite: "TLS_AES_128_GCM_SHA256", Mutual: true, Identity: []string{"office.example", "pbx.example"}},
		},
		Out: []store.Leg{{Peer: "dead"}, {Peer: "acme", CallID: "b@gw", Transport: "udp", Remote: "192.0.2.9:5060"}},
	}
}

// show is what a request says, a line for each attribute.
func show(r Request) string {
	var b strings.Builder
	for _, a := range r.attributes {
		if vendor, v, err := wire.VendorSpecific(a.Attribute); a.Type == rfc2865.VendorSpecific_Type && err == nil {
			if int(v[1]) != len(v) {
				fmt.Fprintf(&b, "bad length %d of %d\n", v[1], len(v))
			}
			fmt.Fprintf(&b, "%d/%d %s\n", vendor, v[0], v[2:])
			continue
		}
		if n, err := wire.Integer(a.Attribute); err == nil && a.Type != rfc2866.AcctSessionID_Type && a.Type != rfc2865.UserName_Type {
			fmt.Fprintf(&b, "%d %d\n", a.Type, n)
			continue
		}
		fmt.Fprintf(&b, "%d %s\n", a.Type, a.Attribute)
	}
	return b.String()
}

// What a server is told of a call: 40 Acct-Status-Type, 44 Acct-Session-Id, 32 NAS-Identifier, 61 NAS-Port-Type, 55 Event-Timestamp,
// 1 User-Name, 31 Calling-Station-Id, 30 Called-Station-Id, 46 Acct-Session-Time, 49 Acct-Terminate-Cause; vendor/type for those of vendors.
func TestCall(t *testing.T) {
	const ids = "44 k3f9-7\n32 gw1\n61 5\n"
	const parties = "1 office\n31 +49301234\n30 +49895678\n"
	const voice = "9/33 h323-gw-id=gw1\n9/26 h323-call-origin=answer\n9/27 h323-call-type=VoIP\n" +
		"9/25 h323-setup-time=09:30:00.094 UTC Sun Mar 1 2026\n9/28 h323-connect-time=09:30:02.094 UTC Sun Mar 1 2026\n"
	const conf = "9/23 h323-remote-address=192.0.2.7\n9/24 h323-conf-id=01234567 89ABCDEF 01234567 89ABCDEF\n"
	const over = "9/29 h323-disconnect-time=09:31:05.994 UTC Sun Mar 1 2026\n9/30 h323-disconnect-cause=10\n"
	const pairs = `9/1 sallyport-state=ended
9/1 sallyport-verdict=secured
9/1 sallyport-sip=200
9/1 sallyport-session=0123456789abcdef0123456789abcdef
9/1 sallyport-in-peer=office
9/1 sallyport-in-transport=tls
9/1 sallyport-in-known-by=certificate
9/1 sallyport-in-tls-version=1.3
9/1 sallyport-in-tls-suite=TLS_AES_128_GCM_SHA256
9/1 sallyport-in-tls-mutual=true
9/1 sallyport-in-tls-identity=office.example
9/1 sallyport-in-tls-identity=pbx.example
9/1 sallyport-in-call-id=a@office
9/1 sallyport-out-peer=acme
9/1 sallyport-out-transport=udp
9/1 sallyport-out-call-id=b@gw
9/1 sallyport-route=out
9/1 sallyport-cause=the caller hung up
`
	for name, tt := range map[string]struct {
		got  Request
		want string
	}{
		"start":   {Call(Start, "gw1", sample(), time.Time{}), "40 1\n" + ids + "55 1772357402\n" + parties + voice + conf + pairs},
		"stop":    {Call(Stop, "gw1", sample(), time.Time{}), "40 2\n" + ids + "55 1772357465\n" + parties + "46 63\n49 1\n" + voice + over + conf + pairs},
		"interim": {Call(Interim, "gw1", sample(), began.Add(32*time.Second)), "40 3\n" + ids + "55 1772357432\n" + parties + "46 30\n" + voice + conf + pairs},
		"on":      {Gateway(On, "gw1", "k3f9", began), "40 7\n44 k3f9\n32 gw1\n61 5\n55 1772357400\n"},
		"off":     {Gateway(Off, "gw1", "k3f9", began), "40 8\n44 k3f9\n32 gw1\n61 5\n55 1772357400\n"},
	} {
		if got := show(tt.got); got != tt.want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, tt.want)
		}
	}
}

// Why a call is over is told by Acct-Terminate-Cause and by the cause of Q.850, where there is one.
func TestWhyACallIsOver(t *testing.T) {
	for _, tt := range []struct {
		state     store.State
		by        string
		sip, q850 int
		want      rfc2866.AcctTerminateCause
		cause     string
	}{
		{store.Ended, "caller", 200, 0, rfc2866.AcctTerminateCause_Value_UserRequest, "10"},
		{store.Ended, "callee", 200, 31, rfc2866.AcctTerminateCause_Value_UserRequest, "1f"},
		{store.Ended, "gateway", 200, 0, rfc2866.AcctTerminateCause_Value_NASRequest, ""},
		{store.Cancelled, "caller", 487, 0, rfc2866.AcctTerminateCause_Value_UserRequest, ""},
		{store.Refused, "callee", 486, 17, rfc2866.AcctTerminateCause_Value_HostRequest, "11"},
		{store.Refused, "gateway", 404, 0, rfc2866.AcctTerminateCause_Value_UserError, ""},
		{store.Refused, "gateway", 503, 0, rfc2866.AcctTerminateCause_Value_ServiceUnavailable, ""},
		{store.Interrupted, "gateway", 0, 0, rfc2866.AcctTerminateCause_Value_NASReboot, ""},
	} {
		c := sample()
		c.State, c.EndedBy, c.Cause = tt.state, tt.by, store.Cause{SIP: tt.sip, Q850: tt.q850}
		if tt.state != store.Ended {
			c.Answered = time.Time{}
		}
		got := show(Call(Stop, "gw1", c, time.Time{}))
		if want := fmt.Sprintf("\n49 %d\n", tt.want); !strings.Contains(got, want) {
			t.Errorf("%+v: got\n%s", tt, got)
		}
		_, after, found := strings.Cut(got, "h323-disconnect-cause=")
		if cause, _, _ := strings.Cut(after, "\n"); cause != tt.cause || found != (tt.cause != "") {
			t.Errorf("%+v: cause %q", tt, cause)
		}
	}
}

// When a call was over that a crash interrupted is not known, and not guessed.
func TestInterruptedCallHasNoLength(t *testing.T) {
	c := sample()
	c.State, c.Ended = store.Interrupted, time.Time{}
	got := show(Call(Stop, "gw1", c, time.Time{}))
	for _, not := range []string{"\n46 ", "\n55 ", "h323-disconnect-time"} {
		if strings.Contains(got, not) {
			t.Errorf("%q is in\n%s", not, got)
		}
	}
}

// What comes from the network is text and nothing more, is cut at whole characters, and never makes a packet too long.
func TestHostileRecord(t *testing.T) {
	c := sample()
	c.Caller = "a\r\nUser-Name = \"root\"\x00" + strings.Repeat("ü", 300)
	c.Called, c.In.CallID, c.Cause.Text = strings.Repeat("9", 9000), strings.Repeat("ä", 9000), strings.Repeat("x", 9000)
	long := strings.Repeat("n", 5000)
	c.In.TLS.Identity = []string{long, long, long, long, "fifth", long}
	c.Out[1].TLS = c.In.TLS
	c.Out[1].CallID, c.Out[1].Peer, c.In.Peer = long, long, long
	r := Call(Stop, strings.Repeat("g", 253), c, time.Time{})
	b, err := r.packet(7, []byte("secret"), time.Now())
	if err != nil || len(b) > 4096 || len(b) < 3500 {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
	p, err := wire.Parse(b, []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range p.Attributes {
		if s := string(a.Attribute); a.Type == rfc2865.CallingStationID_Type && (strings.ContainsAny(s, "\r\n\x00") || !utf8.ValidString(s) || len(s) < 250) {
			t.Errorf("caller %q", s)
		}
		if strings.Contains(string(a.Attribute), "fifth") {
			t.Error("a fifth identity is told")
		}
	}
	if _, err := rfc2866.AcctDelayTime_Lookup(p); err != nil {
		t.Errorf("Acct-Delay-Time: %v", err)
	}
}
