package cross

import (
	"bytes"
	"strings"
	"testing"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/peer"
	"github.com/sallyport-sip/sallyport/sip"
)

// asserting are the peers of a file in which one has asserts and the other hears all.
func asserting(t testing.TB) Sides {
	cfg, problems := config.Parse("sallyport.yaml", []byte(`
listeners: {a: {listen: "udp:127.0.0.1:5060"}}
peers:
  office: {uri: "sip:127.0.0.2", asserts: {domains: [office.example], numbers: ["+4930*"]}}
  acme: {uri: "sip:127.0.0.3", hears: [p-asserted-identity, remote-party-id, diversion, history-info, p-dcs]}
routes: [{from: [office], to: [acme]}]
`))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	peers := peer.Compile(cfg, nil)
	return Sides{From: peers.Lookup("office"), To: peers.Lookup("acme"), Place: here, Near: new(UUID), Far: new(UUID)}
}

// Whatever stands in a claim, no number and no domain crosses that the sender may not
// claim.
func FuzzClaims(f *testing.F) {
	for _, value := range []string{
		`"A, \"B\"" <sip:+4930123@office.example>, <tel:+4989555>`, `sip:a@evil.example`, `<sip:a@office.example>;x="<sip:b@evil.example>"`,
		`36123E5C/x;charge="tel:+4989555";calling="tel:+4930123"`, `,,<,>"`, `tel:+4930`, `<tel:+4930>,`, `"sips:a@office.example" redirector-uri="sip:b@evil.example"`,
	} {
		f.Add(value)
	}
	sides := asserting(f)
	f.Fuzz(func(t *testing.T, value string) {
		if strings.ContainsAny(value, "\r\n") {
			return
		}
		for _, name := range []string{"P-Asserted-Identity", "Diversion", "Remote-Party-ID", "P-DCS-Billing-Info"} {
			m, err := sip.Parse([]byte("OPTIONS sip:x@gw.example SIP/2.0\r\n" + name + ": " + value + "\r\n\r\n"))
			if err != nil {
				return
			}
			var b sip.Builder
			b.Reset(nil)
			Headers(&b, m, sides)
			crossed, err := sip.Parse(append([]byte("OPTIONS sip:x@gw.example SIP/2.0\r\n"), b.Finish(nil)...))
			if err != nil {
				t.Errorf("%s of %q: %v", name, value, err)
			} else {
				for f := range crossed.Fields() {
					if c := claimOf(f); c != "" {
						for _, v := range valuesOf(f.Value, c) {
							if !backs(sides.From.Asserts, v, c) {
								t.Errorf("%s: %q crossed of %q", name, v, value)
							}
							if c == config.ClaimDCS && bytes.Contains(bytes.ToLower(v), []byte("tel:+4989")) {
								t.Errorf("%s: %q crossed", name, v)
							}
						}
					}
				}
				crossed.Release()
			}
			m.Release()
		}
	})
}
