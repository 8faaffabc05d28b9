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
`, addr, freePort(t, "127.0.0.1"), admin)
	gw := serve(t, dir, config, addr)

	for _, version := range []string{"1.2", "1.3"} {
		t.Run("TLS "+version, func(t *testing.T) {
			client := func(t *testing.T, name, send string) string {
				text, _ := output(t, 20*time.Second, send, "openssl", pki.client(addr, version, name)...)
				return text
			}
			t.Run("no certificate", func(t *testing.T) {
				from := gw.log.Len()
				wantText(t, client(t, "", ""), map[string]string{
					"1.2": "SSL alert number 40",  // handshake_failure, RFC 5246 §7.4.6
					"1.3": "SSL alert number 116", // certificate_required, RFC 8446 §6.2
				}[version])
				gw.log.wants(t, from, "refused", "certificate")
			})
			t.Run("unknown CA", func(t *testing.T) {
				from := gw.log.Len()
				// crypto/tls sends bad_certificate for every refusal of ours, whatever its cause.
				wantText(t, client(t, "rogue", ""), "SSL alert number 42")
				gw.log.wants(t, from, "refused", "rogue.example")
			})
			t.Run("name of no peer", func(t *testing.T) {
				from := gw.log.Len()
				client(t, "stranger", options(addr))
				gw.log.wants(t, from, "stranger.example")
			})
			t.Run("right certificate", func(t *testing.T) {
				// The gateway keeps the connection: openssl is ended by the test once it has the answer.
				text := talk(t, pki, addr, version, "acme", options(addr))
				wantText(t, text, "Verification: OK", "CN = Test CA", "TLSv"+version+", Cipher is", "SIP/2.0 200 ")
			})
		})
	}
}

// options is an OPTIONS to the gateway itself. No line begins with Q or R, which s_client would take for a command.
func options(addr string) string {
	return strings.ReplaceAll(`OPTIONS sip:`+addr+`;transport=tls SIP/2.0
Via: SIP/2.0/TLS 127.0.0.1:5071;branch=z9hG4bKopenssl
From: <sip:acme.example>;tag=1
To: <sip:`+addr+`>
Call-ID: openssl@acme.example
CSeq: 1 OPTIONS
Max-Forwards: 70
Content-Length: 0

`, "\n", "\r\n")
}

// talk sends request over openssl's client and returns what openssl printed until the answer was there.
func talk(t *testing.T, pki pki, addr, version, name, request string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "openssl", pki.client(addr, version, name)...)
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
