package gateway

import (
	"strings"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/internal/store"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

const (
	both    = `asserts: {domains: [office.example, 192.0.2.10, "2001:db8::a"], numbers: ["+4930*", "110"]}`
	domains = `asserts: {domains: [office.example]}`
	digits  = `asserts: {numbers: ["+4930*"]}`
)

// Who a peer may say that its requests are from, in From: another one gets 403, with
// the cause in log, flow, record and count, whatever the request begins.
func TestFromIsWhatAPeerMayClaim(t *testing.T) {
	for _, test := range []struct {
		asserts, from string
		may           bool
	}{
		{both, "sip:alice@office.example", true},
		{both, "sips:alice@OFFICE.example.", true},
		{both, "sip:alice@192.0.2.10", true},
		{both, "sip:alice@[2001:db8:0::a]", true},
		{both, "sip:alice@sub.office.example", false},
		{both, "sip:alice@evil.example", false},
		{both, "sip:office.example", true}, // its domain alone
		{both, "sip:+4930123@office.example", true},
		{both, "sip:+49-(30)-12.3@office.example;user=phone", true},
		{both, "sip:%2B4930123@office.example", true},
		{both, "sip:+4930123;isub=1@office.example;user=phone", true},
		{both, "sip:+4989123@office.example", false},
		{both, "sip:+4989%20123@office.example", false}, // shown as a number
		{both, "sip:+4989123:secret@office.example", false},
		{both, "sip:+4989123%3Bext@office.example", false},
		{both, "sip:%09+4989123%0A@office.example", false},
		{both, "sip:%EF%BC%8B4989123@office.example", false},  // a full-width plus
		{both, "sip:+4989%E2%80%8B123@office.example", false}, // a space of no width
		{both, "sip:%2B4989123@office.example", false},
		{both, "sip:+4930123@evil.example", false},
		{both, "sip:110@office.example", true},
		{both, "sip:111@office.example", false},
		{both, "sip:1-1.0@office.example", true},
		{both, "sip:alice@office.example;user=phone", false},
		{both, "tel:+4930123", true},
		{both, "tel:+49-30-123", true},
		{both, "tel:+4989123", false},
		{both, "mailto:alice@office.example", false},
		{both, "sip:anonymous@anonymous.invalid", true},
		{both, "sip:anonymous.invalid", true},
		{both, "sip:+4989123@anonymous.invalid", false},
		{both, "sip:+4930123@anonymous.invalid", true},
		{domains, "sip:+4989123@office.example", true},
		{domains, "sip:+4989123@evil.example", false},
		{domains, "tel:+4930123", false},
		{digits, "sip:+4930123@evil.example", true},
		{digits, "sip:alice@office.example", false},
		{digits, "sip:+4989123@office.example", false},
	} {
		t.Run(test.from+" with "+test.asserts, func(t *testing.T) {
			set := plain
			set.extra = map[string]string{"office": test.asserts}
			run(t, set, func(r *rig) {
				from := siptest.Set("From", "<"+test.from+">;tag=claim")
				r.invite(from)
				if test.may {
					r.refuse(r.acme, r.acme.WantRequest(sip.INVITE), 486)
					r.refused(486)
				} else {
					m := r.refused(403)
					r.header(m, sip.HdrWarning, `399 192.0.2.1:5060 "the From names somebody whom this peer may not claim to be"`)
					got := r.last()
					if got.State != store.Refused || !strings.Contains(got.Cause.Text, "its From is "+strings.Replace(test.from, "secret", "******", 1)) || !strings.Contains(got.Cause.Text, "peers.office.asserts") {
						r.Errorf("the record says %+v", got.Cause)
					}
					if !strings.Contains(r.ladder(), "may not claim") || !strings.Contains(r.log.String(), "may not claim") {
						r.Error("not in the flow or not in the log")
					}
				}
				refused := uint64(0)
				for _, method := range []sip.Method{sip.MESSAGE, sip.SUBSCRIBE, sip.PUBLISH} {
					r.office.Send(r.office.Request(method, number, about(from)...))
					if test.may {
						r.acme.Reply(r.acme.WantRequest(method), 404)
						r.office.Want(404)
						continue
					}
					r.office.Want(403)
					refused++
				}
				if !test.may {
					refused++
					for _, c := range r.Relayed() {
						if c.Outcome != "not_backed" || c.N != 1 {
							r.Errorf("counted: %+v", c)
						}
					}
				}
				if got := r.Peers()[0].State.ClaimsRefused.Load(); got != refused {
					r.Errorf("%d refusals are counted, want %d", got, refused)
				}
				r.acme.WantSilence(time.Second)
			})
		})
	}
}

const claimsOfAll = "hears: [p-asserted-identity, remote-party-id, diversion, history-info, p-dcs]"

var claims = []siptest.Option{
	siptest.Add("P-Asserted-Identity", `"A, B" <sip:+4930123@office.example>, <tel:+4989555>`),
	siptest.Add("P-Preferred-Identity", "<sip:alice@office.example>"),
	siptest.Add("Remote-Party-ID", `<sip:+4989555@office.example>;party=calling`),
	siptest.Add("diversion", `<sip:+4989777@office.example>;reason=no-answer, <tel:+4930444>;reason=user-busy`),
	siptest.Add("History-Info", "<sip:bob@evil.example>;index=1"),
	siptest.Add("P-DCS-Trace-Party-ID", "<tel:+4930123>"),
	siptest.Add("P-DCS-Billing-Info", `36123E5C:0152@bid/x;charge="tel:+4989555";calling="tel:+4930123"`),
	siptest.Add("P-DCS-OSPS", "BLV"),
}

// told are the lines of a message that claim to be somebody.
func told(m *siptest.Message) string {
	var lines []string
	for line := range strings.SplitSeq(string(m.Bytes()), "\r\n") {
		lower := strings.ToLower(line)
		for _, prefix := range []string{"p-asserted", "p-preferred", "remote-party", "diversion", "history", "p-dcs"} {
			if strings.HasPrefix(lower, prefix) {
				lines = append(lines, line)
			}
		}
	}
	return strings.Join(lines, "\n")
}

// What a peer claims in other headers crosses to who hears it, as far as asserts backs
// it (RFC 3325, RFC 5806, RFC 5503): in requests that begin something, inside of dialogs, and
// in responses. Without asserts it passes with a note; without hears all but
// P-Asserted-Identity does, unless privacy is wanted.
func TestClaimsCrossToWhoHearsThem(t *testing.T) {
	const all = `P-Asserted-Identity: "A, B" <sip:+4930123@office.example>, <tel:+4989555>
Remote-Party-ID: <sip:+4989555@office.example>;party=calling
diversion: <sip:+4989777@office.example>;reason=no-answer, <tel:+4930444>;reason=user-busy
History-Info: <sip:bob@evil.example>;index=1
P-DCS-Trace-Party-ID: <tel:+4930123>
P-DCS-Billing-Info: 36123E5C:0152@bid/x;charge="tel:+4989555";calling="tel:+4930123"
P-DCS-OSPS: BLV`
	const backed = `P-Asserted-Identity: "A, B" <sip:+4930123@office.example>
diversion: <tel:+4930444>;reason=user-busy
History-Info: <sip:bob@evil.example>;index=1
P-DCS-Trace-Party-ID: <tel:+4930123>`
	const unlisted = `Remote-Party-ID: <sip:+4989555@office.example>;party=calling
diversion: <sip:+4989777@office.example>;reason=no-answer, <tel:+4930444>;reason=user-busy
History-Info: <sip:bob@evil.example>;index=1
P-DCS-Trace-Party-ID: <tel:+4930123>
P-DCS-Billing-Info: 36123E5C:0152@bid/x;charge="tel:+4989555";calling="tel:+4930123"
P-DCS-OSPS: BLV`
	const unlistedBacked = `diversion: <tel:+4930444>;reason=user-busy
History-Info: <sip:bob@evil.example>;index=1
P-DCS-Trace-Party-ID: <tel:+4930123>`
	const diversion = "diversion: <sip:+4989777@office.example>;reason=no-answer, <tel:+4930444>;reason=user-busy"
	for _, test := range []struct{ name, office, acme, privacy, want string }{
		{"nothing is written", "", "", "", unlisted},
		{"nothing is written, and no privacy wanted", "", "", "none;critical", unlisted},
		{"nothing is written, and privacy for media", "", "", "session", unlisted},
		{"nothing is written, and privacy wanted", "", "", "critical;ID", ""},
		{"nothing is written, and privacy of a kind to come", "", "", "location", ""},
		{"nobody hears", "", "hears: []", "", ""},
		{"all is heard, and nothing judged", "", claimsOfAll, "id", all},
		{"some is heard", "", "hears: [diversion]", "", diversion},
		{"some is heard, and privacy wanted", "", "hears: [diversion]", "id", diversion},
		{"all is heard as far as it is backed", both, claimsOfAll, "id", backed},
		{"backed, and nothing is written", both, "", "", unlistedBacked},
		{"backed, and privacy wanted", both, "", "id", ""},
		{"backed, and nobody hears", both, "hears: []", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			set := plain
			set.extra = map[string]string{"office": test.office, "acme": test.acme}
			set.routes = "{from: [office], to: [acme]}|{from: [acme], to: [office]}"
			run(t, set, func(r *rig) {
				claims := claims
				if test.privacy != "" {
					claims = append([]siptest.Option{siptest.Set("Privacy", test.privacy)}, claims...)
				}
				options := append([]siptest.Option{siptest.Set("From", "<sip:+4930123@office.example>;tag=x")}, claims...)
				r.invite(options...)
				invite := r.acme.WantRequest(sip.INVITE)
				if got := told(invite); got != test.want {
					r.Errorf("INVITE:\n%s\nwant\n%s", got, test.want)
				}
				r.acme.Reply(invite, 200)
				r.office.Send(r.office.Ack(r.office.Want(200)))
				r.acme.WantRequest(sip.ACK)
				r.office.Send(r.office.InDialog(sip.UPDATE, claims...))
				update := r.acme.WantRequest(sip.UPDATE)
				if got := told(update); got != test.want {
					r.Errorf("UPDATE:\n%s\nwant\n%s", got, test.want)
				}
				r.acme.Reply(update, 200, siptest.Add("P-Asserted-Identity", "<tel:+4930123>"))
				if got := told(r.office.Want(200)); got != "" {
					r.Errorf("the office hears\n%s", got)
				}
				r.acme.Send(r.acme.InDialog(sip.UPDATE))
				r.office.Reply(r.office.WantRequest(sip.UPDATE), 200, claims...)
				if got := told(r.acme.Want(200)); got != test.want {
					r.Errorf("200 to UPDATE:\n%s\nwant\n%s", got, test.want)
				}
				r.hangUp(r.office, r.acme)
				r.office.Send(r.office.Request(sip.MESSAGE, number, append(options, siptest.Body("text/plain", "x"))...))
				message := r.acme.WantRequest(sip.MESSAGE)
				if got := told(message); got != test.want {
					r.Errorf("MESSAGE:\n%s\nwant\n%s", got, test.want)
				}
				r.acme.Reply(message, 200)
				r.office.Want(200)
				stripped := uint64(0)
				if test.office != "" {
					stripped = 2 * 5
					// Inside of the dialog too, of what acme would have been told.
					switch test.want {
					case backed:
						stripped += 2 * 5
					case unlistedBacked:
						stripped += 2 * 4
					}
				}
				if got := r.Peers()[0].State.ClaimsStripped.Load(); got != stripped {
					r.Errorf("%d values are counted as left out, want %d", got, stripped)
				}
				bare := strings.NewReplacer(" ", "", "│", "", "\n", "")
				ladder := bare.Replace(r.ladder())
				const judgedOf = "p-asserted-identity, remote-party-id, diversion, p-dcs"
				private := test.privacy != "" && test.privacy != "session" && !strings.HasPrefix(test.privacy, "none")
				for text, is := range map[string]bool{
					"left out, because office may not claim it: P-Asserted-Identity <tel:+4989555>, Remote-Party-ID ": test.office != "",
					"who it is from is what the peer says: it has no asserts that would back it":                      test.office == "", // the call
					"who it is from is what office says: it has no asserts that would back it":                        test.office == "", // MESSAGE
					"; office has no asserts that would back its " + judgedOf:                                         test.office == "",
					"; by its hears acme is not told p-asserted-identity":                                             test.acme != claimsOfAll,
					"; by its hears acme is not told p-asserted-identity, remote-party-id, diversion, history-info":   test.acme == "hears: []",
					"; because of Privacy acme is not told remote-party-id, diversion, history-info, p-dcs":           test.acme == "" && private,
				} {
					if strings.Contains(ladder, bare.Replace(text)) != is {
						r.Errorf("%q is in the ladder: %v, want %v\n%s", text, !is, is, r.ladder())
					}
				}
			})
		})
	}
}

// With otherwise: refuse the request is refused for any of them, and inside of a dialog
// it is left out all the same.
func TestClaimsAreRefusedWhereAskedFor(t *testing.T) {
	set := plain
	set.office, set.targets = transport.TLS, transport.TLS
	set.extra = map[string]string{"office": strings.Replace(both, "]}", "], otherwise: refuse}", 1), "acme": claimsOfAll}
	run(t, set, func(r *rig) {
		from := siptest.Set("From", "<sip:+4930123@office.example>;tag=x")
		for _, claim := range [][2]string{
			{"P-Asserted-Identity", "<tel:+4989555>"}, {"P-Asserted-Identity", "<tel:+4930555>, <sip:a@evil.example>"},
			{"Remote-Party-ID", "<sip:a@evil.example>"}, {"Diversion", "<sip:a@evil.example>;reason=unknown"},
			{"P-DCS-Redirect", `"tel:+4930555" redirector-uri="tel:+4989555" count=1`}, {"P-DCS-LAES", "203.0.113.1:8888"},
			{"Diversion", "no address"},
		} {
			r.invite(from, siptest.Add(claim[0], claim[1]))
			m := r.refused(403)
			if got := string(m.First(sip.HdrWarning)); !strings.Contains(got, "the "+claim[0]+" names somebody") {
				r.Errorf("%s: Warning %q", claim[0], got)
			}
		}
		_, _ = r.answered(from, siptest.Add("P-Asserted-Identity", "<tel:+4930555>"), siptest.Add("History-Info", "<sip:a@evil.example>;index=1"))
		r.office.Send(r.office.InDialog(sip.UPDATE, siptest.Add("P-Asserted-Identity", "<tel:+4989555>")))
		update := r.acme.WantRequest(sip.UPDATE)
		if got := told(update); got != "" {
			r.Errorf("crossed: %s", got)
		}
		r.acme.Reply(update, 200)
		r.office.Want(200)
		r.hangUp(r.office, r.acme)
	})
}
