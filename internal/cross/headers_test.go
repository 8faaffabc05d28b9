package cross

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport-sip/sallyport/internal/peer"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

var here = peer.Place{Host: "gw.example", HostPort: "gw.example:5061", Transport: transport.TLS}

// across returns the header lines of m that cross.
func across(t testing.TB, lines ...string) string {
	t.Helper()
	m, err := sip.Parse([]byte("OPTIONS sip:x@gw.example SIP/2.0\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Release()
	var b sip.Builder
	b.Reset(make([]byte, 0, 512))
	Headers(&b, m, Sides{From: nobody, To: nobody, Place: here, Near: new(UUID), Far: new(UUID)})
	crossed, _, _ := bytes.Cut(b.Finish(nil), []byte("Content-Length: 0"))
	return string(crossed)
}

// Every header that this program knows by name, and whether it crosses. A new
// one has to be thought about here.
func TestWhatCrosses(t *testing.T) {
	crosses := map[sip.HeaderID]bool{
		sip.HdrContentType: true, sip.HdrContentEncoding: true, sip.HdrContentDisposition: true,
		sip.HdrContentLanguage: true, sip.HdrMIMEVersion: true, sip.HdrExpires: true, sip.HdrMinExpires: true,
		sip.HdrRequire: true, sip.HdrSupported: true, sip.HdrUnsupported: true, sip.HdrAllow: true,
		sip.HdrAllowEvents: true, sip.HdrEvent: true, sip.HdrSubscriptionState: true, sip.HdrAccept: true,
		sip.HdrAcceptEncoding: true, sip.HdrAcceptLanguage: true, sip.HdrSubject: true, sip.HdrDate: true,
		sip.HdrOrganization: true, sip.HdrPriority: true, sip.HdrServer: true, sip.HdrUserAgent: true,
		sip.HdrRetryAfter: true, sip.HdrReason: true, sip.HdrRSeq: true, sip.HdrSessionExpires: true,
		sip.HdrMinSE: true, sip.HdrReferTo: true, sip.HdrReferredBy: true, sip.HdrPrivacy: true,
		sip.HdrDiversion: true, sip.HdrHistoryInfo: true, sip.HdrSIPETag: true,
		sip.HdrSIPIfMatch: true, sip.HdrAlertInfo: true, sip.HdrCallInfo: true, sip.HdrErrorInfo: true,
		sip.HdrReplyTo: true, sip.HdrIdentity: true, sip.HdrUserToUser: true,
		sip.HdrMaxBreadth: true, // or a loop through us would begin with a whole one each time (RFC 5393)
	}
	for id := sip.HdrOther + 1; id.String() != ""; id++ {
		if id == sip.HdrWarning || id == sip.HdrContentLength {
			continue // one crosses with another agent, see below; the other is always written anew
		}
		line := id.String() + ": 1"
		if got := across(t, line) == line+"\r\n"; got != crosses[id] {
			t.Errorf("%s: crosses is %v, want %v", id, got, crosses[id])
		}
	}
}

// nobody is a peer that claims what it likes, and nothing says what it is told.
var nobody = &peer.Peer{}

func TestUnknownHeadersKeepTheirBytes(t *testing.T) {
	const line = `x-weird:  "a,b" ; c=%41 ,, d`
	if got, want := across(t, line), strings.Replace(line, ":  ", ": ", 1)+"\r\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A Warning crosses under our name, each of several in one line too.
func TestWarningsCrossUnderOurName(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{`301 host.example:5060 "No, really"`, `301 gw.example:5061 "No, really"`},
		{`370 a.example "Low", 399 b.example "High"`, `370 gw.example:5061 "Low"|399 gw.example:5061 "High"`},
		{`301  host.example   "spaces"`, `301 gw.example:5061 "spaces"`},
		{`301`, ``},
		{`301 host.example`, ``},
	} {
		var want strings.Builder
		for w := range strings.SplitSeq(test.want, "|") {
			if w != "" {
				want.WriteString("Warning: " + w + "\r\n")
			}
		}
		if got := across(t, "Warning: "+test.in); got != want.String() {
			t.Errorf("%s\ngot  %q\nwant %q", test.in, got, want.String())
		}
	}
}

func TestURI(t *testing.T) {
	for _, test := range []struct {
		secure     bool
		user, host string
		want       string
	}{
		{false, "bob", "a.example:5060", "sip:bob@a.example:5060"},
		{true, "bob", "a.example", "sips:bob@a.example"},
		{false, "", "a.example", "sip:a.example"},
	} {
		if got := URI(test.secure, []byte(test.user), test.host); got != test.want {
			t.Errorf("got %s, want %s", got, test.want)
		}
	}
	if got := Host("2001:db8::1"); got != "[2001:db8::1]" {
		t.Errorf("got %s", got)
	}
	if got := fmt.Sprint(Host("192.0.2.1"), Host("a.example")); got != "192.0.2.1a.example" {
		t.Errorf("got %s", got)
	}
}
