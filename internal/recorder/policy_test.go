package recorder

import (
	"crypto/tls"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/testca"
	"github.com/sallyport-sip/sallyport/internal/trust"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// TestSecretsComeUnderTheNameOfThePolicy holds the names that trust gives its policies against those that the recorder
// looks for: were they different, no TLS 1.3 handshake could be read.
func TestSecretsComeUnderTheNameOfThePolicy(t *testing.T) {
	dir := t.TempDir()
	ca := testca.New("Lab Root")
	gw := ca.Leaf("gw.example")
	for name, data := range map[string][]byte{"ca.pem": ca.PEM(), "gw.pem": gw.PEM(), "gw-key.pem": gw.KeyPEM()} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, problems := config.Parse(filepath.Join(dir, "sallyport.yaml"), []byte(`
listeners:
  outside: {listen: "tls:127.0.0.1:5061", client_certificates: required}
identities:
  gateway: {certificate: gw.pem, key: gw-key.pem}
trust:
  partners: {files: [ca.pem]}
defaults: {identity: gateway, trust: [partners]}
peers:
  acme: {uri: "sip:127.0.0.1:5071;transport=tls", certificate_names: [acme.example]}
routes:
  - {from: [acme], to: [acme]}
data: ./data
`))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	asked := map[string]bool{}
	options := trust.Options{KeyLog: func(who string) io.Writer {
		asked[who] = true
		return io.Discard
	}}
	if _, problems := options.Load(cfg); len(problems) > 0 {
		t.Fatal(problems)
	}
	for _, info := range []transport.ConnInfo{{Inbound: true, Listener: "outside"}, {Peer: "acme"}} {
		if !asked[policy(info)] {
			t.Errorf("no secrets under %q; trust has %v", policy(info), asked)
		}
	}
}

// TestResumedHandshake reads a second connection that resumes the session of the first: no certificate crosses.
func TestResumedHandshake(t *testing.T) {
	for version, want := range map[uint16]string{
		tls.VersionTLS13: "p:ClientHello g:ServerHello g:EncryptedExtensions g:Finished p:Finished g:NewSessionTicket",
		tls.VersionTLS12: "p:1:ClientHello g:2:ServerHello g:NewSessionTicket g:12:ChangeCipherSpec g:13:Finished " +
			"p:10:ChangeCipherSpec p:11:Finished p:14:ApplicationData p:15:Alert=close_notify g:15:Alert=close_notify",
	} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, version)
				r.listen()
				cfg := r.config("", r.peer)
				cfg.ClientSessionCache = tls.NewLRUClientSessionCache(1)
				for _, id := range []string{"a1", "a2"} {
					r.visit(tls.Client(r.call(gatewayAddr), cfg), id)
				}
				r.close()
				flows := r.rec.Flows()
				if len(flows) != 2 {
					t.Fatalf("got %d flows, want 2", len(flows))
				}
				hop := flows[1].Legs[0].Hop
				if got := story(hop.Handshake); got != want {
					t.Errorf("handshake\n got %s\nwant %s", got, want)
				}
				if tls := hop.Link.TLS; !tls.Resumed || !tls.Mutual {
					t.Errorf("got %+v, want resumed and mutual", tls)
				}
			})
		})
	}
}

// visit sends an INVITE, reads what comes for a second, and closes.
func (r *rig) visit(c *tls.Conn, callID string) {
	if _, err := io.WriteString(c, invite(callID)); err != nil {
		r.t.Error(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(time.Second))
	_, _ = io.Copy(io.Discard, c)
	c.Close()
	synctest.Wait()
}

// TestSteppedAside looks at the wrapper after the handshake: nothing that passes is read any more.
func TestSteppedAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, tls.VersionTLS13)
		var w *wrapped
		wrap := func(nc net.Conn, info transport.ConnInfo) net.Conn {
			w = r.rec.WrapConn(nc, info).(*wrapped)
			return w
		}
		r.e = transport.New(transport.Config{Network: r.net, Hooks: transport.Hooks{
			Deliver:  func(batch []transport.Packet) {},
			WrapConn: wrap, Opened: r.rec.Opened, Confirmed: r.rec.Confirmed, Refused: r.rec.Refused, Closed: r.rec.Closed,
		}})
		r.listen()
		c := tls.Client(r.call(gatewayAddr), r.config("", r.peer))
		for range 3 {
			if _, err := io.WriteString(c, strings.Repeat("\r\n", 2)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if w.live.Load() != nil {
			t.Error("the wrapper still reads")
		}
		c.Close()
		r.close()
		if n := len(r.rec.conns); n != 0 {
			t.Errorf("%d connections are still known", n)
		}
	})
}
