//go:build interop

package e2e

import (
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestOpenSSL meets the gateway's TLS listener as openssl's client, with certificates that openssl made: without one,
// with one of an unknown CA, with one of the right CA and a name that no peer has, and with the right one.
func TestOpenSSL(t *testing.T) {
	need(t, "openssl", "openssl")
	dir := t.TempDir()
	pki := opensslPKI(t, dir)
	tlsPort, admin := freePort(t, "127.0.0.1"), freePort(t, "127.0.0.1")
	addr := net.JoinHostPort("127.0.0.1", tlsPort)
	config := fmt.Sprintf(`
listeners:
  outside: {listen: "tls:%[1]s", client_certificates: required}
  lan: {listen: "tcp:127.0.0.1:%[4]s"}
identities:
  gateway: {certificate: gateway.pem, key: gateway-key.pem}
trust:
  partners: {files: [ca.pem]}
defaults: {identity: gateway, trust: [partners]}
profiles:
  carrier: {sips: allowed}
peers:
  acme: {uri: "sip:127.0.0.1:%[2]s;transport=tls", certificate_names: [acme.example], profile: carrier}
  office: {uri: "sip:127.0.0.1:%[2]s;transport=tcp"}
routes:
  - {from: [acme], to: [office]}
admin: {listen: "127.0.0.1:%[3]s"}
data: ./data
`, addr, freePort(t, "127.0.0.1"), admin, freePort(t, "127.0.0.1"))
	gw := serve(t, dir, config)
	admin = net.JoinHostPort("127.0.0.1", admin)

	for _, version := range []string{"1.2", "1.3"} {
		t.Run("TLS "+version, func(t *testing.T) {
			// refused returns what openssl printed until the gateway closed the connection.
			refused := func(t *testing.T, name string) string {
				text, _ := output(t, 20*time.Second, "", "openssl", pki.client(addr, version, name)...)
				return text
			}
			t.Run("no certificate", func(t *testing.T) {
				from := gw.log.Len()
				flow := newFlow(t, admin, "refused", func() {
					wantText(t, refused(t, ""), map[string]string{
						"1.2": "SSL alert number 40",  // handshake_failure, RFC 5246 §7.4.6
						"1.3": "SSL alert number 116", // certificate_required, RFC 8446 §6.2
					}[version])
				})
				gw.log.wants(t, from, "inbound connection refused", "certificate")
				wantRefusal(t, flow, version, "certificate")
			})
			t.Run("unknown CA", func(t *testing.T) {
				from := gw.log.Len()
				flow := newFlow(t, admin, "refused", func() {
					// crypto/tls sends bad_certificate for every refusal of ours, whatever its cause.
					wantText(t, refused(t, "rogue"), "SSL alert number 42")
				})
				gw.log.wants(t, from, "inbound connection refused", "rogue.example", "Other CA")
				wantRefusal(t, flow, version, "Other CA")
			})
			// The listener trusts the CA, so the handshake is good; but nobody with that name is a peer.
			t.Run("name of no peer", func(t *testing.T) {
				from := gw.log.Len()
				wantText(t, talk(t, pki, addr, version, "stranger", options(addr)), "Verification: OK", "SIP/2.0 403 ")
				gw.log.wants(t, from, "connection of a stranger", "no peer has a name of its certificate")
				gw.log.wants(t, from, "request of a stranger refused", "method=OPTIONS")
			})
			t.Run("right certificate", func(t *testing.T) {
				from := gw.log.Len()
				wantText(t, talk(t, pki, addr, version, "acme", options(addr)),
					"Verification: OK", "CN = Test CA", "TLSv"+version+", Cipher is", "SIP/2.0 200 ")
				gw.log.wants(t, from, "connection opened", "peer=acme")
			})
		})
	}
}

// talk sends request over openssl's client and returns what openssl printed until the answer was there; the gateway keeps
// the connection, so openssl is ended then.
func talk(t *testing.T, pki pki, addr, version, name, request string) string {
	t.Helper()
	return talkAs(t, pki.client(addr, version, name), request)
}

// talkAs is talk with arguments of the caller's.
func talkAs(t *testing.T, args []string, request string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "openssl", args...)
	out := &log{}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(request), out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	eventually(5*time.Second, func() bool { return len(ended) > 0 || strings.Contains(out.String(), "SIP/2.0 ") })
	// Let the rest of the answer come: it ends with an empty line.
	eventually(time.Second, func() bool {
		_, answer, ok := strings.Cut(out.String(), "SIP/2.0 ")
		return ok && strings.Contains(answer, "\r\n\r\n")
	})
	cmd.Process.Kill()
	<-ended
	return out.String()
}

// wantRefusal holds a recorded handshake against what must be there: openssl's ClientHello, our alert, and our verdict
// with its reason and a remedy.
func wantRefusal(t *testing.T, c call, version, reason string) {
	t.Helper()
	if len(c.Legs) != 1 {
		t.Fatalf("the flow has %d legs, want 1", len(c.Legs))
	}
	hop := c.Legs[0].Hop
	if hop.TLS.Version != version {
		t.Errorf("recorded TLS version %q, want %s", hop.TLS.Version, version)
	}
	hello, alert := false, false
	for _, step := range hop.Handshake {
		hello = hello || step.Step == "ClientHello" && step.From == "peer"
		alert = alert || step.Step == "Alert" && step.From == "gateway"
	}
	if !hello || !alert {
		t.Errorf("recorded steps %v, want the peer's ClientHello and our Alert", hop.Handshake)
	}
	for _, v := range hop.Verdicts {
		if v.By == "gateway" && !v.Accepted && strings.Contains(v.Reason, reason) && v.Remedy != "" {
			return
		}
	}
	t.Errorf("recorded verdicts %v, want a refusal of ours with %q and a remedy", hop.Verdicts, reason)
}

func wantText(t *testing.T, text string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("openssl did not print %q:\n%s", want, text)
		}
	}
}

// pki is a directory with ca.pem, and for each name NAME.pem and NAME-key.pem.
type pki struct{ dir string }

func (p pki) file(name string) string { return filepath.Join(p.dir, name) }

// opensslPKI makes two CAs and their certificates with openssl.
func opensslPKI(t *testing.T, dir string) pki {
	t.Helper()
	p := pki{dir}
	p.ca(t, "ca", "Test CA")
	p.ca(t, "other-ca", "Other CA")
	p.issue(t, "ca", "gateway")
	p.issue(t, "ca", "acme")
	p.issue(t, "ca", "stranger")
	p.issue(t, "other-ca", "rogue")
	return p
}

// client returns the arguments of openssl that connect to addr with this TLS version and this certificate (none when
// name is empty), stay until the gateway closes, and accept no certificate but the gateway's.
func (p pki) client(addr, version, name string) []string {
	args := []string{"s_client", "-connect", addr, "-servername", "gateway.example", "-verify_hostname", "gateway.example",
		"-CAfile", p.file("ca.pem"), "-verify_return_error", "-ign_eof", "-tls" + strings.ReplaceAll(version, ".", "_")}
	if name != "" {
		args = append(args, "-cert", p.file(name+".pem"), "-key", p.file(name+"-key.pem"))
	}
	return args
}

func (p pki) ca(t *testing.T, name, subject string) {
	t.Helper()
	p.openssl(t, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
		"-subj", "/CN="+subject, "-keyout", p.file(name+"-key.pem"), "-out", p.file(name+".pem"))
}

// issue makes a certificate for the domain NAME.example with a SIP URI and a DNS name, as RFC 5922 §4 has it.
func (p pki) issue(t *testing.T, ca, name string) {
	t.Helper()
	domain := name + ".example"
	p.openssl(t, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
		"-subj", "/CN="+domain, "-addext", "subjectAltName=URI:sip:"+domain+",DNS:"+domain,
		"-addext", "basicConstraints=critical,CA:FALSE", "-CA", p.file(ca+".pem"), "-CAkey", p.file(ca+"-key.pem"),
		"-keyout", p.file(name+"-key.pem"), "-out", p.file(name+".pem"))
}

func (p pki) openssl(t *testing.T, args ...string) {
	t.Helper()
	if text, status := output(t, 20*time.Second, "", "openssl", args...); status != 0 {
		t.Fatalf("openssl %s: status %d\n%s", args[0], status, text)
	}
}
