package cli

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/sallyport-sip/sallyport/internal/trust"
)

// demoSite is a directory with everything that a first gateway needs: a CA, an
// identity, two peers' certificates, one of a foreign CA, and a configuration.
type demoSite struct {
	dir     string
	config  string // path of sallyport.yaml
	gateway netip.AddrPort
	pbx     netip.AddrPort // where the calling peer can be called
	carrier netip.AddrPort // where the answering peer is called
	admin   netip.AddrPort

	ca   *x509.CertPool
	cert map[string]tls.Certificate // by file name: gateway, pbx, carrier, rogue
}

// The names in the demo's certificates.
const (
	demoGateway = "gateway.example"
	demoPBX     = "pbx.example"
	demoCarrier = "carrier.example"
	demoRogue   = "rogue.example"
)

var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// newDemoSite writes a new directory.
func newDemoSite() (*demoSite, error) {
	dir, err := os.MkdirTemp("", "sallyport-demo-")
	if err != nil {
		return nil, err
	}
	d := &demoSite{
		dir: dir, config: filepath.Join(dir, "sallyport.yaml"),
		ca: x509.NewCertPool(), cert: make(map[string]tls.Certificate),
	}
	if err := d.mint(); err != nil {
		return d, fmt.Errorf("certificates in %s: %w", dir, err)
	}
	for _, port := range []struct {
		at   *netip.AddrPort
		want uint16
	}{{&d.gateway, 5061}, {&d.pbx, 5071}, {&d.carrier, 5072}, {&d.admin, 8061}} {
		if *port.at, err = freeAddress(port.want); err != nil {
			return d, err
		}
	}
	return d, os.WriteFile(d.config, []byte(d.yaml()), 0o600)
}

// mint makes the two CAs and the certificates.
func (d *demoSite) mint() error {
	ca, err := trust.NewCA(trust.Request{Name: "Sallyport Demo CA"})
	if err != nil {
		return err
	}
	foreign, err := trust.NewCA(trust.Request{Name: "Somebody Else's CA"})
	if err != nil {
		return err
	}
	d.ca.AddCert(ca.Chain[0])
	if err := ca.Write(filepath.Join(d.dir, "ca.pem"), filepath.Join(d.dir, "ca-key.pem"), false); err != nil {
		return err
	}
	for _, c := range []struct {
		file, domain string
		by           *trust.Issued
	}{{"gateway", demoGateway, ca}, {"pbx", demoPBX, ca}, {"carrier", demoCarrier, ca}, {"rogue", demoRogue, foreign}} {
		leaf, err := trust.Issue(c.by, trust.Request{
			Name: c.domain, SIP: []string{c.domain}, DNS: []string{c.domain}, IP: []netip.Addr{loopback}, Days: 30,
		})
		if err != nil {
			return err
		}
		if err := leaf.Write(filepath.Join(d.dir, c.file+".pem"), filepath.Join(d.dir, c.file+"-key.pem"), false); err != nil {
			return err
		}
		d.cert[c.file] = leaf.TLS()
	}
	return nil
}

// yaml is the configuration, as a person would write it.
func (d *demoSite) yaml() string {
	return fmt.Sprintf(`# A gateway between a PBX and a carrier, with mutual TLS on both sides
listeners:
  outside: {listen: "tls:%s", client_certificates: required}
identities:
  gateway: {certificate: gateway.pem, key: gateway-key.pem}
trust:
  demo: {files: [ca.pem]}
defaults: {identity: gateway, trust: [demo]}
peers:
  pbx:     {uri: "sip:%s;transport=tls", certificate_names: [%s]}
  carrier: {uri: "sip:%s;transport=tls", certificate_names: [%s]}
routes:
  - {from: [pbx], number: "+49*", to: [carrier]}
  - {from: [carrier], to: [pbx]}
admin: {listen: "%s"}
data: ./data
`, d.gateway, d.pbx, demoPBX, d.carrier, demoCarrier, d.admin)
}

// freeAddress returns a loopback address with the usual port, or with another
// one when that is taken.
func freeAddress(usual uint16) (netip.AddrPort, error) {
	for _, port := range []uint16{usual, 0} {
		l, err := net.Listen("tcp", netip.AddrPortFrom(loopback, port).String())
		if err != nil {
			continue
		}
		defer l.Close()
		return l.Addr().(*net.TCPAddr).AddrPort(), nil
	}
	return netip.AddrPort{}, fmt.Errorf("no free TCP port on %s", loopback)
}
