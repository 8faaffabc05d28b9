package domaincert_test

import (
	"crypto/x509"
	"fmt"
	"net/url"

	"github.com/sallyport-sip/sallyport/sip/domaincert"
)

func ExampleMatch() {
	cert := &x509.Certificate{
		URIs:     []*url.URL{{Scheme: "sip", Opaque: "acme.example"}},
		DNSNames: []string{"gw7.acme.example"},
	}
	r, err := domaincert.Match(cert, []string{"ACME.example"}, domaincert.Options{})
	fmt.Println(r.Name, err)
	_, err = domaincert.Match(cert, []string{"gw7.acme.example"}, domaincert.Options{})
	fmt.Println(err)
	// Output:
	// URI:sip:acme.example <nil>
	// certificate is for URI:sip:acme.example, not for gw7.acme.example: DNS:gw7.acme.example does not count beside a sip: URI (RFC 5922 §7.1)
}
