package domaincert_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"net/url"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sallyport-sip/sallyport/internal/testca"
	"github.com/sallyport-sip/sallyport/sip/domaincert"
)

// What a certificate speaks of is found whether or not it counts.
func TestClaims(t *testing.T) {
	t.Parallel()
	cert := mint(testca.URI("sip:a.example:5061;transport=tls", "sips:b.example", "sip:user@c.example:5061", "sips:user@[2001:db8::1]", "https://d.example/", "sip:alice%40e.example"),
		testca.DNS("f.example", "*.g.example"), testca.IP("192.0.2.1"))
	want := []string{"a.example", "192.0.2.1", "b.example", "c.example", "2001:db8::1", "f.example", "*.g.example", "cn.example"}
	if got := domaincert.Claims(cert); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// name draws names of few letters, so that they are often equal, one within the other, or of another case.
var name = rapid.Custom(func(t *rapid.T) string {
	labels := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "A", "*", "xn--a"}), 1, 4).Draw(t, "labels")
	return strings.Join(labels, ".") + rapid.SampledFrom([]string{"", "."}).Draw(t, "dot")
})

var leaf = rapid.Custom(func(t *rapid.T) *x509.Certificate {
	c := &x509.Certificate{Subject: pkix.Name{CommonName: name.Draw(t, "cn")}}
	c.DNSNames = rapid.SliceOfN(name, 0, 3).Draw(t, "dns")
	for range rapid.IntRange(0, 2).Draw(t, "uris") {
		c.URIs = append(c.URIs, &url.URL{
			Scheme: rapid.SampledFrom([]string{"sip", "SIP", "sips", "https"}).Draw(t, "scheme"),
			Opaque: rapid.SampledFrom([]string{"", "", "u@"}).Draw(t, "user") + name.Draw(t, "host") + rapid.SampledFrom([]string{"", ":5061", ";x=y"}).Draw(t, "rest"),
		})
	}
	return c
})

// The rules of RFC 5922 as sentences that hold for every certificate, whatever its names.
func TestRulesHoldForEveryCertificate(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c, want := leaf.Draw(t, "certificate"), name.Draw(t, "want")
		names, claims := domaincert.Names(c), domaincert.Claims(c)
		strict, strictErr := domaincert.Match(c, []string{want}, domaincert.Options{})
		loose, looseErr := domaincert.Match(c, []string{want}, domaincert.Options{CommonName: true, Wildcard: true})

		// A DNS name counts only where no sip: URI does, a common name only without any subjectAltName.
		has := func(k domaincert.Kind) bool {
			return slices.ContainsFunc(names, func(n domaincert.Name) bool { return n.Kind == k })
		}
		if has(domaincert.URI) && (has(domaincert.DNS) || has(domaincert.CN)) || has(domaincert.CN) && len(c.DNSNames)+len(c.URIs) > 0 {
			t.Fatalf("names %v", names)
		}
		// What counts is spoken of, so that nobody is missed who looks there first.
		for _, n := range names {
			if !slices.Contains(claims, n.Value) {
				t.Fatalf("%v counts and is not among the claims %q", n, claims)
			}
		}
		// Leave is only ever given, and what it lets in is the rule that it is about.
		if strictErr == nil && looseErr != nil {
			t.Fatalf("accepted as %v by the strict rules, refused by loose ones: %v", strict, looseErr)
		}
		if strictErr != nil && looseErr == nil && loose.Name.Kind != domaincert.CN && !strings.HasPrefix(loose.Name.Value, "*.") {
			t.Fatalf("loose rules let %v in for %s", loose.Name, want)
		}
		// A strict match is one of whole names; a wildcard stands for exactly one label.
		same := func(a, b string) bool {
			return strings.EqualFold(strings.TrimSuffix(a, "."), strings.TrimSuffix(b, "."))
		}
		if strictErr == nil && !same(strict.Name.Value, want) {
			t.Fatalf("%v matches %s", strict.Name, want)
		}
		if looseErr == nil && !same(loose.Name.Value, want) {
			_, parent, _ := strings.Cut(want, ".")
			if !same(strings.TrimPrefix(loose.Name.Value, "*."), parent) || strings.HasPrefix(want, "*") {
				t.Fatalf("%v matches %s", loose.Name, want)
			}
		}
		// Neither case nor a final dot of what is wanted makes a difference.
		_, again := domaincert.Match(c, []string{strings.ToUpper(strings.TrimSuffix(want, "."))}, domaincert.Options{})
		if (again == nil) != (strictErr == nil) {
			t.Fatalf("%s: %v, in upper case without a dot: %v", want, strictErr, again)
		}
	})
}
