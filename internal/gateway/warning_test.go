package gateway

import (
	"crypto/tls"
	"io"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/sallyport-sip/sallyport/internal/testca"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// A call that fails because TLS with the next hop does says why in a Warning, in public words: no name, file or address.
func TestWarningSaysWhyTLSFailed(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(r *rig, theirs *tls.Config)
		want   string
	}{
		{"we refuse", func(_ *rig, c *tls.Config) {
			c.Certificates = []tls.Certificate{testca.New("other CA").Leaf("acme.example").TLS()}
		}, `"no TLS with the next hop: its certificate is not signed by a trusted CA"`},
		{"we refuse an expired one", func(r *rig, c *tls.Config) {
			c.Certificates = []tls.Certificate{r.ca.Leaf("acme.example", testca.Expired()).TLS()}
		}, `"no TLS with the next hop: its certificate has expired"`},
		{"it refuses us", func(_ *rig, c *tls.Config) { c.ClientCAs = testca.New("other CA").Pool() },
			`"no TLS with the next hop: it refused the TLS handshake"`},
	} {
		for _, v := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(tt.name+" "+tls.VersionName(v), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := start(t, setting{targets: transport.TLS, routes: "{from: [office], to: [acme]}"})
					r.acme.Close()
					theirs := r.tls("acme.example")
					theirs.MaxVersion = v
					tt.change(r, theirs)
					ln, err := r.net.Listen(t.Context(), addrPort(acmeAddr))
					if err != nil {
						t.Fatal(err)
					}
					defer ln.Close()
					go func() {
						if nc, err := ln.Accept(); err == nil {
							_ = tls.Server(nc, theirs).HandshakeContext(t.Context())
							io.Copy(io.Discard, nc)
							nc.Close()
						}
					}()
					r.office.Send(r.office.Request(sip.INVITE, number))
					r.office.Want(100)
					m := r.refused(503)
					if got := string(m.First(sip.HdrWarning)); !strings.HasPrefix(got, "399 ") || !strings.HasSuffix(got, tt.want) {
						t.Errorf("Warning %q, want %s", got, tt.want)
					}
					if all := string(m.Bytes()); strings.Contains(all, "other CA") || strings.Contains(all, "acme") || strings.Contains(all, "test CA") {
						t.Errorf("it tells too much:\n%s", all)
					}
				})
			})
		}
	}
}
