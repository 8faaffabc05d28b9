package domaincert_test

import (
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-sip/sallyport/internal/testca"
	"github.com/sallyport-sip/sallyport/sip/domaincert"
)

var root = testca.New("Test Root")

func mint(opts ...testca.Option) *x509.Certificate { return root.Leaf("cn.example", opts...).Cert() }

func TestNames(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		cert    *x509.Certificate
		want    string
		ignored string
	}{
		{"uri", mint(testca.URI("sip:acme.example")), "[URI:sip:acme.example]",
			"[CN=cn.example does not count beside a subjectAltName (RFC 5922 §7.1)]"},
		{"uri before dns", mint(testca.URI("SIP:Acme.Example"), testca.DNS("dns.example")), "[URI:sip:Acme.Example]",
			"[DNS:dns.example does not count beside a sip: URI (RFC 5922 §7.1) CN=cn.example does not count beside a subjectAltName (RFC 5922 §7.1)]"},
		{"uri with port and parameters", mint(testca.URI("sip:acme.example:5061;transport=tls?subject=x")), "[URI:sip:acme.example]", ""},
		{"uri with IPv6", mint(testca.URI("sip:[2001:db8::1]:5061")), "[URI:sip:2001:db8::1]", ""},
		{"user uri", mint(testca.URI("sip:alice@acme.example"), testca.DNS("acme.example")), "[DNS:acme.example]",
			"[URI:sip:alice@acme.example names a user, not a domain (RFC 5922 §7.1) CN=cn.example does not count beside a subjectAltName (RFC 5922 §7.1)]"},
		{"sips uri", mint(testca.URI("sips:acme.example")), "[]",
			"[URI:sips:acme.example is not a sip: URI; sips: does not count (RFC 5922 §7.1) CN=cn.example does not count beside a subjectAltName (RFC 5922 §7.1)]"},
		{"other uri", mint(testca.URI("https://acme.example/")), "[]", ""},
		{"authority form", mint(testca.URI("sip://acme.example")), "[]", ""},
		{"escaped user", mint(testca.URI("sip:alice%40acme.example")), "[]", ""},
		{"bad port", mint(testca.URI("sip:acme.example:sip")), "[]", ""},
		{"common name alone", mint(testca.CommonNameOnly()), "[CN=cn.example]", ""},
		{"common name with spaces", testca.New("Not A Name").Cert, "[]", ""},
		{"common name beside address", mint(testca.IP("192.0.2.1")), "[IP:192.0.2.1]",
			"[CN=cn.example does not count beside a subjectAltName (RFC 5922 §7.1)]"},
		{"mapped address", mint(testca.IP("::ffff:192.0.2.1")), "[IP:192.0.2.1]", ""},
		{"wildcard is listed", mint(testca.DNS("*.acme.example")), "[DNS:*.acme.example]", ""},
		{"mail only", mint(testca.Template(func(c *x509.Certificate) { c.EmailAddresses = []string{"a@b.example"} })), "[]",
			"[CN=cn.example does not count beside a subjectAltName (RFC 5922 §7.1)]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := fmt.Sprint(domaincert.Names(tt.cert)); got != tt.want {
				t.Errorf("Names: got %s, want %s", got, tt.want)
			}
			var ignored []string
			for _, i := range domaincert.NotCounted(tt.cert) {
				ignored = append(ignored, i.Value+" "+i.Why)
			}
			if got := fmt.Sprint(ignored); tt.ignored != "" && got != tt.ignored {
				t.Errorf("NotCounted: got %s, want %s", got, tt.ignored)
			}
		})
	}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	var (
		strict   = domaincert.Options{}
		cn       = domaincert.Options{CommonName: true}
		wildcard = domaincert.Options{Wildcard: true}
	)
	for _, tt := range []struct {
		name string
		opts domaincert.Options
		cert *x509.Certificate
		want []string
		got  string // the name that matched, or the error
	}{
		{"uri", strict, mint(testca.URI("sip:acme.example")), []string{"acme.example"}, "URI:sip:acme.example"},
		{"case", strict, mint(testca.URI("sip:acme.example")), []string{"ACME.Example"}, "URI:sip:acme.example"},
		{"trailing dots", strict, mint(testca.DNS("acme.example.")), []string{"acme.example"}, "DNS:acme.example."},
		{"trailing dot wanted", strict, mint(testca.DNS("acme.example")), []string{"acme.example."}, "DNS:acme.example"},
		{"second wanted", strict, mint(testca.DNS("b.example", "c.example")), []string{"a.example", "c.example"}, "DNS:c.example"},
		{"a-label", strict, mint(testca.DNS("xn--bcher-kva.example")), []string{"XN--BCHER-KVA.example"}, "DNS:xn--bcher-kva.example"},
		{"u-label wanted", strict, mint(testca.DNS("xn--bcher-kva.example")), []string{"bücher.example"},
			"certificate is for DNS:xn--bcher-kva.example, not for bücher.example"},
		{"other", strict, mint(testca.DNS("acme.example")), []string{"b.example", "c.example"},
			"certificate is for DNS:acme.example, not for b.example or c.example"},
		{"suffix", strict, mint(testca.DNS("foo.acme.example")), []string{"acme.example"},
			"certificate is for DNS:foo.acme.example, not for acme.example"},
		{"parent", strict, mint(testca.DNS("acme.example")), []string{"foo.acme.example"},
			"certificate is for DNS:acme.example, not for foo.acme.example"},
		{"dns beside uri", strict, mint(testca.URI("sip:acme.example"), testca.DNS("gw.acme.example")), []string{"gw.acme.example"},
			"certificate is for URI:sip:acme.example, not for gw.acme.example: DNS:gw.acme.example does not count beside a sip: URI (RFC 5922 §7.1)"},
		{"sips", strict, mint(testca.URI("sips:acme.example")), []string{"acme.example"},
			"certificate is for no SIP domain, not for acme.example: URI:sips:acme.example is not a sip: URI; sips: does not count (RFC 5922 §7.1)"},
		{"user", strict, mint(testca.URI("sip:alice@acme.example")), []string{"acme.example"},
			"certificate is for no SIP domain, not for acme.example: URI:sip:alice@acme.example names a user, not a domain (RFC 5922 §7.1)"},
		{"wildcard refused", strict, mint(testca.DNS("*.acme.example")), []string{"gw.acme.example"},
			"certificate is for DNS:*.acme.example, not for gw.acme.example: DNS:*.acme.example does not count: RFC 5922 §7.2 allows no wildcard"},
		{"wildcard for itself", strict, mint(testca.DNS("*.acme.example")), []string{"*.acme.example"}, "DNS:*.acme.example"},
		{"wildcard allowed", wildcard, mint(testca.DNS("*.acme.example")), []string{"GW.acme.example."}, "DNS:*.acme.example"},
		{"wildcard for two labels", wildcard, mint(testca.DNS("*.acme.example")), []string{"a.b.acme.example"},
			"certificate is for DNS:*.acme.example, not for a.b.acme.example"},
		{"wildcard for none", wildcard, mint(testca.DNS("*.acme.example")), []string{"acme.example"},
			"certificate is for DNS:*.acme.example, not for acme.example"},
		{"wildcard of a top level", wildcard, mint(testca.DNS("*.example")), []string{"acme.example"},
			"certificate is for DNS:*.example, not for acme.example"},
		{"wildcard in a uri", wildcard, mint(testca.URI("sip:*.acme.example")), []string{"gw.acme.example"},
			"certificate is for no SIP domain, not for gw.acme.example"},
		{"partial wildcard", wildcard, mint(testca.DNS("g*.acme.example")), []string{"gw.acme.example"},
			"certificate is for no SIP domain, not for gw.acme.example"},
		{"common name refused", strict, mint(testca.CommonNameOnly()), []string{"cn.example"},
			"certificate is for CN=cn.example, not for cn.example: CN=cn.example does not count: it is the common name of a certificate without subjectAltName"},
		{"common name allowed", cn, mint(testca.CommonNameOnly()), []string{"cn.example"}, "CN=cn.example"},
		{"common name beside san", cn, mint(testca.DNS("acme.example")), []string{"cn.example"},
			"certificate is for DNS:acme.example, not for cn.example: CN=cn.example does not count beside a subjectAltName (RFC 5922 §7.1)"},
		{"address", strict, mint(testca.IP("192.0.2.1")), []string{"192.0.2.1"}, "IP:192.0.2.1"},
		{"address beside uri", strict, mint(testca.URI("sip:acme.example"), testca.IP("2001:db8::1")), []string{"[2001:DB8:0::1]"}, "IP:2001:db8::1"},
		{"address in uri", strict, mint(testca.URI("sip:192.0.2.1")), []string{"192.0.2.1"}, "URI:sip:192.0.2.1"},
		{"address as dns", strict, mint(testca.DNS("192.0.2.1")), []string{"192.0.2.1"},
			"certificate is for DNS:192.0.2.1, not for 192.0.2.1: DNS:192.0.2.1 does not count: an address is an iPAddress entry of subjectAltName"},
		{"other address", strict, mint(testca.IP("192.0.2.1")), []string{"192.0.2.2"}, "certificate is for IP:192.0.2.1, not for 192.0.2.2"},
		{"address with zone", strict, mint(testca.IP("fe80::1")), []string{"fe80::1%eth0"}, "certificate is for IP:fe80::1, not for fe80::1%eth0"},
		{"nothing wanted", strict, mint(testca.DNS("acme.example")), nil, "no name to compare the certificate with"},
		{"empty wanted", strict, mint(testca.DNS("acme.example")), []string{""}, "certificate is for DNS:acme.example, not for "},
		{"many names", strict, mint(testca.DNS("a.example", "b.example", "c.example", "d.example", "e.example", "f.example", "g.example", "h.example", "i.example")), []string{"z.example"},
			"certificate is for DNS:a.example, DNS:b.example, DNS:c.example, DNS:d.example, DNS:e.example, DNS:f.example, DNS:g.example, DNS:h.example, and 1 more, not for z.example"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r, err := domaincert.Match(tt.cert, tt.want, tt.opts)
			got := r.Name.String()
			if err != nil {
				got = err.Error()
			} else if !slices.Contains(tt.want, r.Want) {
				t.Errorf("matched %q, which was not wanted", r.Want)
			}
			if got != tt.got {
				t.Errorf("got  %s\nwant %s", got, tt.got)
			}
		})
	}
}

// A name with a NUL byte or another character that no host name has must neither count nor be cut.
func TestNamesOutsideDNS(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"acme.example\x00.evil.example", "acme..example", ".acme.example", "ac me.example", "acme.example/x", strings.Repeat("a", 64) + ".example", "acme.exampl\u212a"} {
		cert := &x509.Certificate{DNSNames: []string{bad}}
		if got := domaincert.Names(cert); len(got) != 0 {
			t.Errorf("%q counts as %v", bad, got)
		}
		if _, err := domaincert.Match(cert, []string{"acme.example", bad}, domaincert.Options{Wildcard: true}); err == nil {
			t.Errorf("%q matched", bad)
		}
	}
}

// FuzzMatch checks what must hold for any names: a match is literal, or a wildcard that was allowed, or an equal
// address; without options a dNSName never matches beside a sip: URI.
func FuzzMatch(f *testing.F) {
	f.Add("sip:acme.example", "acme.example", "cn.example", "acme.example", "192.0.2.1", false, false)
	f.Add("sips:acme.example", "*.acme.example", "cn.example", "gw.acme.example", "2001:db8::1", true, true)
	f.Add("sip:alice@acme.example", "", "acme.example", "acme.example", "", true, false)
	f.Add("sip:[2001:db8::1]:5061;x=y", "a.b", "", "[2001:db8::1]", "2001:db8::1", false, true)
	f.Fuzz(func(t *testing.T, uri, dns, cn, want, ip string, allowCN, allowWildcard bool) {
		cert := &x509.Certificate{}
		cert.Subject.CommonName = cn
		if u, err := url.Parse(uri); err == nil && uri != "" {
			cert.URIs = []*url.URL{u}
		}
		if dns != "" {
			cert.DNSNames = []string{dns}
		}
		if a := net.ParseIP(ip); a != nil {
			cert.IPAddresses = []net.IP{a}
		}
		r, err := domaincert.Match(cert, []string{want}, domaincert.Options{CommonName: allowCN, Wildcard: allowWildcard})
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without words")
			}
			return
		}
		if !slices.Contains(domaincert.Names(cert), r.Name) {
			t.Errorf("matched %v, which Names does not list", r.Name)
		}
		trim := func(s string) string { return strings.ToLower(strings.TrimSuffix(s, ".")) }
		literal := trim(r.Name.Value) == trim(want)
		a, errA := netip.ParseAddr(strings.Trim(want, "[]"))
		b, errB := netip.ParseAddr(r.Name.Value)
		switch {
		case errA == nil && errB == nil && a.Unmap() == b.Unmap() && (r.Name.Kind == domaincert.IP || r.Name.Kind == domaincert.URI):
		case r.Name.Kind == domaincert.URI && literal:
			if strings.Contains(uri, "@") || strings.HasPrefix(strings.ToLower(uri), "sips:") {
				t.Errorf("%q matched", uri)
			}
		case r.Name.Kind == domaincert.DNS && literal:
		case r.Name.Kind == domaincert.DNS && allowWildcard && strings.HasPrefix(dns, "*.") && strings.HasSuffix(trim(want), trim(dns[1:])):
		case r.Name.Kind == domaincert.CN && literal && allowCN && len(cert.URIs)+len(cert.DNSNames)+len(cert.IPAddresses) == 0:
		default:
			t.Errorf("want %q matched %v of uri %q dns %q cn %q ip %q", want, r.Name, uri, dns, cn, ip)
		}
	})
}
