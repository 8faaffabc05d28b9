package gateway

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
)

// witness is a peer that keeps every message it was sent.
type witness struct {
	*siptest.Peer
	name string
	got  []*siptest.Message
}

func (w *witness) want(code int) *siptest.Message {
	m := w.Want(code)
	w.got = append(w.got, m)
	return m
}

func (w *witness) request(method sip.Method) *siptest.Message {
	m := w.WantRequest(method)
	w.got = append(w.got, m)
	return m
}

// secrets are headers that would tell the other side about this one: about its
// hosts, its dialogs and its credentials.
func (w *witness) secrets() []siptest.Option {
	var options []siptest.Option
	for _, line := range []string{
		`Warning: 370 %[1]s:5999 "Low", 399 %[1]s "High"`,
		`Warning: 301 %[1]s "No"`,
		`P-Asserted-Identity: "Boss" <sip:boss@%[1]s>, <tel:+4930555>`,
		`P-Preferred-Identity: <sip:boss@%[1]s>`,
		`P-Charging-Vector: icid-value=1;icid-generated-at=%[1]s`,
		`P-Visited-Network-ID: "%[1]s"`,
		`P-Access-Network-Info: 3GPP; utran-cell-id-3gpp=%[1]s`,
		`P-Associated-URI: <sip:boss@%[1]s>`,
		`Path: <sip:%[1]s;lr>`,
		`Service-Route: <sip:%[1]s;lr>`,
		`Authorization: Digest username="bob", realm="%[1]s", response="0"`,
		`Proxy-Authorization: Digest username="bob", realm="%[1]s", response="0"`,
		`WWW-Authenticate: Digest realm="%[1]s", nonce="0"`,
		`Proxy-Authenticate: Digest realm="%[1]s", nonce="0"`,
		`Authentication-Info: nextnonce="%[1]s"`,
		`Proxy-Authentication-Info: nextnonce="%[1]s"`,
		`Security-Client: tls;q=0.1;alg=%[1]s`,
		`Security-Server: tls;q=0.1;alg=%[1]s`,
		`Security-Verify: tls;q=0.1;alg=%[1]s`,
		`In-Reply-To: 1@%[1]s`,
		`Target-Dialog: 1@%[1]s;local-tag=1;remote-tag=2`,
	} {
		name, value, _ := strings.Cut(fmt.Sprintf(line, w.host()), ": ")
		options = append(options, siptest.Add(name, value))
	}
	return options
}

// host is a name of this side's.
func (w *witness) host() string { return "inside." + w.name + ".test" }

// tokens are what names this side's dialogs, hosts and ports, in all messages
// that it was sent and that it sends: each repeats them.
func (w *witness) tokens() []string {
	seen := map[string]bool{w.host(): true, w.Addr().Addr().String(): true, fmt.Sprintf(":%d", w.Addr().Port()): true}
	for _, m := range w.got {
		seen[string(m.CallID())] = true
		if a, err := m.From(); err == nil && a.Tag() != nil {
			seen[string(a.Tag())] = true
		}
		if a, err := m.To(); err == nil && a.Tag() != nil {
			seen[string(a.Tag())] = true
		}
		if v, err := m.Via(); err == nil {
			seen[string(v.Branch())] = true
		}
	}
	var all []string
	for token := range seen {
		all = append(all, token)
	}
	return all
}

// sees checks that no message that w was sent has a token of the other side's.
func (r *rig) sees(w, other *witness) {
	r.Helper()
	for _, m := range w.got {
		head, _, _ := bytes.Cut(m.Bytes(), []byte("\r\n\r\n"))
		for _, token := range other.tokens() {
			if bytes.Contains(head, []byte(token)) {
				r.Errorf("%s sees %q of %s:\n%s", w.name, token, other.name, head)
			}
		}
	}
}

// No Via, Record-Route, Contact, Call-ID, tag or challenge of one leg shows on
// the other: over all messages that reach either side.
func TestRule12NothingOfOneLegShowsOnTheOther(t *testing.T) {
	hops(t, func(r *rig) {
		office := &witness{Peer: r.office, name: "office"}
		acme := &witness{Peer: r.acme, name: "acme"}
		in := append(office.secrets(),
			siptest.Set("From", `"Bob" <sip:bob@`+office.host()+`>;tag=tagoffice`),
			siptest.Set("Call-ID", "call@"+office.host()),
			siptest.Set("Contact", "<sip:bob@"+office.host()+">"),
			siptest.Add("v", "SIP/2.0/UDP "+office.host()+";branch=z9hG4bKbelow"),
			siptest.Set("Record-Route", "<sip:"+office.host()+";lr>"),
			siptest.Body("application/sdp", offer))
		out := append(acme.secrets(),
			siptest.Set("Record-Route", "<sip:"+acme.host()+";lr>"),
			siptest.Body("application/sdp", answer))
		withTag := func(m *siptest.Message, tag string) []siptest.Option {
			to := string(m.First(sip.HdrTo))
			return append(out[:len(out):len(out)], siptest.Set("To", to+";tag=tagacme"+tag),
				siptest.Set("Contact", "<sip:x@"+acme.host()+">"))
		}

		r.office.Send(r.office.Request(sip.INVITE, number, in...))
		office.want(100)
		invite := acme.request(sip.INVITE)
		from, _ := invite.From()
		if string(from.RawURI) != "sip:bob@"+gatewayAddr || string(from.Display) != `"Bob"` {
			r.Errorf("the From is %s", invite.First(sip.HdrFrom))
		}
		r.acme.Reply(invite, 180, withTag(invite, "1")...)
		office.want(180)
		r.acme.Reply(invite, 183, withTag(invite, "2")...)
		office.want(183)
		r.acme.Reply(invite, 200, withTag(invite, "1")...)
		ok := office.want(200)
		office.Send(office.Ack(ok, office.secrets()...))
		acme.request(sip.ACK)
		r.acme.Reply(invite, 200, withTag(invite, "3")...)
		acme.request(sip.ACK)
		acme.Reply(acme.request(sip.BYE), 200)

		for _, method := range []sip.Method{sip.INFO, sip.UPDATE, sip.NOTIFY} {
			office.Send(office.InDialog(method, office.secrets()...))
			acme.Reply(acme.request(method), 200, out...)
			office.want(200)
		}
		office.Send(office.InDialog(sip.INVITE, office.secrets()...))
		invite = acme.request(sip.INVITE)
		r.acme.Reply(invite, 407, acme.secrets()...)
		acme.request(sip.ACK)
		office.Send(office.Ack(office.want(403)))

		office.Send(office.InDialog(sip.BYE, office.secrets()...))
		office.want(200)
		acme.Reply(acme.request(sip.BYE), 200, out...)

		// A call that fails, and one that is cancelled.
		r.office.Send(r.office.Request(sip.INVITE, number, in...))
		office.want(100)
		invite = acme.request(sip.INVITE)
		r.acme.Reply(invite, 401, withTag(invite, "4")...)
		acme.request(sip.ACK)
		m := office.want(403)
		office.Send(office.Ack(m))
		r.office.Send(r.office.Request(sip.INVITE, number, append(in, siptest.Set("Call-ID", "cancelled@"+office.host()))...))
		office.want(100)
		invite = acme.request(sip.INVITE)
		r.acme.Reply(invite, 180, withTag(invite, "5")...)
		office.want(180)
		office.Send(office.Cancel(office.secrets()...))
		office.want(200)
		office.Send(office.Ack(office.want(487)))
		acme.Reply(acme.request(sip.CANCEL), 200, out...)
		r.acme.Reply(invite, 487, withTag(invite, "5")...)
		acme.request(sip.ACK)

		r.sees(acme, office)
		r.sees(office, acme)
	})
}

// An unknown header crosses with its bytes, and so does a known one that is
// end to end.
func TestEndToEndHeadersCross(t *testing.T) {
	run(t, plain, func(r *rig) {
		headers := [][2]string{
			{"X-Custom", "  any ; bytes=\"here\" , too"}, {"Subject", "lunch"}, {"Session-Expires", "1800;refresher=uac"},
			{"Min-SE", "90"}, {"Supported", "timer, 100rel"}, {"Organization", "ACME"},
			{"User-to-User", "56a390f3d2b7310023;encoding=hex"}, {"Privacy", "id"}, {"Session-ID", "ab30317f1a784dc48ff824d0d3715d86;remote=00000000000000000000000000000000"},
		}
		var options []siptest.Option
		for _, h := range headers {
			options = append(options, siptest.Add(h[0], h[1]))
		}
		r.invite(options...)
		invite := r.acme.WantRequest(sip.INVITE)
		for _, h := range headers {
			if line := h[0] + ": " + strings.TrimSpace(h[1]) + "\r\n"; !bytes.Contains(invite.Bytes(), []byte(line)) {
				r.Errorf("%q did not cross", line)
			}
		}
		r.refuse(r.acme, invite, 486)
		r.refused(486)
	})
}

// An anonymous caller stays anonymous (RFC 3323 §4.1.1.3).
func TestAnonymousCallersStayAnonymous(t *testing.T) {
	run(t, plain, func(r *rig) {
		r.invite(siptest.Set("From", `"Anonymous" <sip:anonymous@anonymous.invalid>;tag=1`))
		invite := r.acme.WantRequest(sip.INVITE)
		from, _ := invite.From()
		if string(from.RawURI) != "sip:anonymous@anonymous.invalid" {
			r.Errorf("the From is %s", invite.First(sip.HdrFrom))
		}
		r.refuse(r.acme, invite, 486)
		r.refused(486)
	})
}
