package gateway

import (
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/sallyport-sip/sallyport/internal/testca"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

var update = flag.Bool("update", false, "rewrite the goldens")

// The log says why a connection did not come up in the words of its ladder,
// with the remedy, at once, and tells who calls us from whom we call.
func TestRefusalsInTheLog(t *testing.T) {
	var got strings.Builder
	synctest.Test(t, func(t *testing.T) {
		r := start(t, setting{targets: transport.TLS})
		from := 0
		said := func(title string) {
			synctest.Wait()
			all := r.log.String()
			got.WriteString(warnings(title, all[from:]))
			from = len(all)
		}
		on := transport.TLS
		calls := func(title string, then func(net.Conn)) {
			nc, err := r.net.Dial(t.Context(), addrPort("203.0.113.9:0"), r.listener(on))
			if err != nil {
				t.Fatal(err)
			}
			then(nc)
			said("we are called: " + title)
			nc.Close()
		}
		shake := func(version uint16, change func(*tls.Config)) func(net.Conn) {
			return func(nc net.Conn) {
				cfg := r.tls("acme.example")
				cfg.MinVersion, cfg.MaxVersion = version, version
				change(cfg)
				_ = tls.Client(nc, cfg).HandshakeContext(t.Context()) // in TLS 1.3 the refusal comes later
			}
		}
		for _, v := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			calls("no certificate, "+tls.VersionName(v), shake(v, func(c *tls.Config) { c.Certificates = nil }))
			calls("another CA, "+tls.VersionName(v), shake(v, func(c *tls.Config) {
				other := testca.New("other CA").Leaf("acme.example").TLS()
				c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &other, nil }
			}))
			calls("it does not know our CA, "+tls.VersionName(v), shake(v, func(c *tls.Config) { c.RootCAs = testca.New("other CA").Pool() }))
		}
		calls("TLS 1.1", shake(tls.VersionTLS11, func(*tls.Config) {}))
		calls("plain SIP", func(nc net.Conn) { io.WriteString(nc, "OPTIONS sip:gw.example SIP/2.0\r\n\r\n") })
		calls("closed", func(nc net.Conn) { nc.Close() })
		on = transport.TCP
		calls("TLS on the tcp: listener", func(nc net.Conn) {
			shake(tls.VersionTLS13, func(*tls.Config) {})(nc)
			nc.Close()
		})

		fails := func(title string) {
			r.office.Send(r.office.Request(sip.INVITE, number))
			r.office.Want(100)
			r.refused(503)
			said("we call: " + title)
		}
		r.acme.Close()
		r.backup.Close()
		fails("nothing listens")
	})
	for _, v := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, setting{targets: transport.TLS, routes: "{from: [office], to: [acme]}"})
			r.acme.Close()
			theirs := r.tls("acme.example")
			theirs.MaxVersion, theirs.ClientCAs = v, testca.New("other CA").Pool()
			ln, err := r.net.Listen(t.Context(), addrPort(acmeAddr))
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			go func() {
				nc, err := ln.Accept()
				if err == nil {
					_ = tls.Server(nc, theirs).HandshakeContext(t.Context())
					io.Copy(io.Discard, nc) // else a reset may overtake the alert
					nc.Close()
				}
			}()
			r.office.Send(r.office.Request(sip.INVITE, number))
			r.office.Want(100)
			r.refused(503)
			synctest.Wait()
			got.WriteString(warnings("we call: it does not know our CA, "+tls.VersionName(v), r.log.String()))
		})
	}
	const golden = "testdata/refusals.txt"
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got.String(), want)
	}
}

// unstable are the parts of a line that are another in each run.
var unstable = regexp.MustCompile(` connection=\d+|(remote=[0-9.]+):\d+| call=\d+`)

// warnings is what a log warns of, without what is another in each run: its
// order is, too, because a connection and the calls on it have goroutines of
// their own.
func warnings(title, log string) string {
	var lines []string
	for line := range strings.Lines(log) {
		if _, line, ok := strings.Cut(line, "level=WARN "); ok {
			lines = append(lines, unstable.ReplaceAllString(line, "$1"))
		}
	}
	slices.Sort(lines)
	return fmt.Sprintf("== %s ==\n%s\n", title, strings.Join(lines, ""))
}
