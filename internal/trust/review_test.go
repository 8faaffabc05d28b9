package trust

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/testca"
)

// reviewed writes a review as lines: refusals by code, then the findings of each certificate.
func reviewed(r Review) (lines []string) {
	for _, refusal := range r.Refusals {
		lines = append(lines, "refused: "+string(refusal.Code))
	}
	for i, findings := range r.Findings {
		for _, f := range findings {
			lines = append(lines, fmt.Sprintf("%d %s %v: %s", i, f.What, f.Good, f.Text))
		}
	}
	return lines
}

// TestReview: what is said of each certificate of a chain that is wrong in one way, or in two.
func TestReview(t *testing.T) {
	root, other := testca.New("root"), testca.New("other")
	sub := root.Intermediate("sub")
	leaf := func(ca *testca.CA, o ...testca.Option) *testca.Leaf {
		return ca.Leaf("pbx", append([]testca.Option{testca.URI("sip:pbx.example")}, o...)...)
	}
	impostor := testca.New("root") // the name of the trusted one, and another key
	limited := root.Intermediate("limited", testca.Template(func(c *x509.Certificate) { c.PermittedDNSDomains = []string{"other.example"} }))
	short := root.Intermediate("short", testca.Template(func(c *x509.Certificate) { c.MaxPathLenZero = true }))
	crossed := leaf(sub)
	for _, tt := range []struct {
		name  string
		chain []*x509.Certificate
		want  []string // each begins a line
	}{
		{"good", leaf(sub).Chain, []string{
			"0 validity true: until ", "0 signature true: made by the key of the next one, CN=sub", "0 usage true: serverAuth, clientAuth", `0 trust true: it leads to CN=root, which is in trust "lab"`,
			"1 signature true: made by the key of CN=root, which is in trust", "1 authority true: ",
		}},
		{"unknown CA, wrong name", other.Leaf("x", testca.URI("sip:x.example")).Chain, []string{
			"refused: unknown_ca", "refused: name_mismatch", "0 signature false: cannot be verified: its issuer, CN=other, was not sent", "0 trust false: ",
		}},
		{"expired, wrong usage", leaf(root, testca.Expired(), testca.Usages(x509.ExtKeyUsageEmailProtection)).Chain, []string{
			"refused: expired", "refused: wrong_usage", "0 validity false: it expired on ", "0 usage false: emailProtection",
		}},
		{"not yet valid", leaf(root, testca.NotYetValid()).Chain, []string{"refused: not_yet_valid", "0 validity false: it is valid only from "}},
		{"self-signed", testca.SelfSigned("pbx", testca.URI("sip:pbx.example")).Chain, []string{"refused: self_signed", "0 signature true: self-signed", "0 trust false: "}},
		{"an impostor of the CA", leaf(impostor).Chain, []string{"refused: unknown_ca", "0 signature false: not made by the key of CN=root, although that has the name of its issuer"}},
		{"the wrong order", []*x509.Certificate{crossed.Chain[0], root.Cert, crossed.Chain[1]}, []string{
			"0 signature true: made by the key of CN=sub, which does not stand next to it", "1 trust true: it is itself in trust", "2 authority true",
		}},
		{"issued by a leaf", append(leaf(&testca.CA{Cert: crossed.Cert(), Key: crossed.Key}).Chain[:1:1], crossed.Chain...), []string{"refused: bad_issuer", "1 authority false: it is no CA certificate"}},
		{"a path that is too long", leaf(short.Intermediate("below")).Chain, []string{"2 authority false: it may stand above 0 intermediates at most, and there are 1"}},
		{"a name outside of the constraints", leaf(limited, testca.DNS("pbx.example")).Chain, []string{
			"refused: name_constraint", "1 name constraints false: DNS only below other.example: the first certificate does not keep to that",
		}},
		{"a name within them", limited.Leaf("a.other.example").Chain, []string{"refused: name_mismatch", "1 name constraints true: DNS only below other.example"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			anchors, err := NewAnchors(`"lab"`, []*x509.Certificate{root.Cert}, false)
			if err != nil {
				t.Fatal(err)
			}
			p := &Policy{Who: `peer "pbx"`, Anchors: anchors, Names: []string{"pbx.example"}, Rules: (&config.Config{}).PolicyOf("")}
			r := p.reviewAll(&tls.ConnectionState{Version: tls.VersionTLS13, CipherSuite: tls.TLS_AES_128_GCM_SHA256, PeerCertificates: tt.chain}, Server)
			lines := reviewed(r)
			for _, want := range tt.want {
				if !slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, want) }) {
					t.Errorf("no %q in\n%s", want, strings.Join(lines, "\n"))
				}
			}
			refusals := slices.ContainsFunc(tt.want, func(s string) bool { return strings.HasPrefix(s, "refused") })
			if !refusals && len(r.Refusals) > 0 && tt.name != "a path that is too long" {
				t.Errorf("refused: %v", r.Refusals[0])
			}
		})
	}
}

// TestReviewIsBounded: of a chain of hundreds only the first are looked at.
func TestReviewIsBounded(t *testing.T) {
	root := testca.New("root")
	anchors, err := NewAnchors(`"lab"`, []*x509.Certificate{root.Cert}, false)
	if err != nil {
		t.Fatal(err)
	}
	chain := root.Leaf("pbx", testca.URI("sip:pbx.example")).Chain
	for range 300 {
		chain = append(chain, root.Cert)
	}
	p := &Policy{Who: `peer "pbx"`, Anchors: anchors, Names: []string{"pbx.example"}, Rules: (&config.Config{}).PolicyOf("")}
	r := p.reviewAll(&tls.ConnectionState{Version: tls.VersionTLS13, CipherSuite: tls.TLS_AES_128_GCM_SHA256, PeerCertificates: chain}, Server)
	if len(r.Findings) != maxReviewed {
		t.Errorf("%d certificates were looked at, want %d", len(r.Findings), maxReviewed)
	}
}
