package peer

import (
	"bytes"
	"strings"
	"testing"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

func TestPlace(t *testing.T) {
	for _, test := range []struct {
		over   transport.Transport
		secure bool
		want   string
	}{
		{transport.UDP, false, "<sip:gw.example:5061>"},
		{transport.TCP, false, "<sip:gw.example:5061;transport=tcp>"},
		{transport.TLS, false, "<sip:gw.example:5061;transport=tls>"},
		{transport.TLS, true, "<sips:gw.example:5061>"},
	} {
		p := Place{HostPort: "gw.example:5061", Transport: test.over}
		var b sip.Builder
		b.Reset(nil)
		p.Contact(&b, test.secure)
		if got, _, _ := strings.Cut(string(b.Finish(nil)), "\r\n"); got != "Contact: "+test.want {
			t.Errorf("%v: got %s, want %s", test.over, got, test.want)
		}
		b.Reset(nil)
		p.Via(&b, []byte("z9hG4bK1"))
		want := "Via: SIP/2.0/" + test.over.Via() + " gw.example:5061;branch=z9hG4bK1\r\n"
		if test.over == transport.UDP {
			want = strings.Replace(want, ";", ";rport;", 1) // RFC 3581 §3
		}
		if got, _, _ := bytes.Cut(b.Finish(nil), []byte("Content-Length")); string(got) != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
