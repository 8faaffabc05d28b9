//go:build interop

package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestOpenSSLAsOldPeer meets openssl as it spoke TLS in 2010: versions 1.0 and 1.1, RSA key exchange, CBC suites. The
// ordinary listener refuses it and says why; the one with a legacy policy takes it, and so does a call of ours to a peer
// with one, each with an alarm that says what was negotiated.
func TestOpenSSLAsOldPeer(t *testing.T) {
	need(t, "openssl", "openssl")
	dir := t.TempDir()
	p := pki{dir}
	p.ca(t, "ca", "Test CA")
	p.issueRSA(t, "ca", "gateway")
	p.issueRSA(t, "ca", "acme")
	p.issueRSA(t, "ca", "museum")
	ports := make([]string, 5)
	for i := range ports {
		ports[i] = freePort(t, "127.0.0.1")
	}
	good, old, admin := net.JoinHostPort("127.0.0.1", ports[0]), net.JoinHostPort("127.0.0.1", ports[1]), net.JoinHostPort("127.0.0.1", ports[2])

	server := &log{}
	pbx := exec.CommandContext(t.Context(), "openssl", "s_server", "-accept", "127.0.0.1:"+ports[3], "-tls1", "-cipher", "AES128-SHA:@SECLEVEL=0",
		"-cert", p.file("museum.pem"), "-key", p.file("museum-key.pem"), "-CAfile", p.file("ca.pem"), "-Verify", "2", "-verify_return_error")
	in, err := pbx.StdinPipe() // it ends with its input
	if err != nil {
		t.Fatal(err)
	}
	pbx.Stdout, pbx.Stderr = server, server
	if err := pbx.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); pbx.Process.Kill(); pbx.Wait() })
	if !eventually(5*time.Second, func() bool { return strings.Contains(server.String(), "ACCEPT") }) {
		t.Fatalf("openssl does not accept:\n%s", server)
	}

	gw := serve(t, dir, fmt.Sprintf(`
listeners:
  outside: {listen: "tls:%s"}
  old: {listen: "tls:%s", policy: old}
identities:
  gateway: {certificate: gateway.pem, key: gateway-key.pem}
trust:
  partners: {files: [ca.pem]}
defaults: {identity: gateway, trust: [partners]}
policies:
  old: {legacy: true}
  older: {legacy: true}
  oldest: {legacy: true, max_version: 1.0, suites: [TLS_RSA_WITH_AES_128_CBC_SHA]}
profiles:
  kept: {connection: {connect: always}}
peers:
  acme: {uri: "sip:127.0.0.1:%s;transport=tls", certificate_names: [acme.example], policy: older}
  museum: {uri: "sip:127.0.0.1:%s;transport=tls", certificate_names: [museum.example], policy: oldest, profile: kept}
routes:
  - {from: [acme], to: [museum]}
admin: {listen: "%s"}
data: ./data
cdr: off
`, good, old, ports[4], ports[3], admin))

	// We are the client: the connection is made when the gateway starts.
	gw.log.wants(t, 0, "weak TLS was negotiated", `who="peer \"museum\""`, "TLS 1.0 with TLS_RSA_WITH_AES_128_CBC_SHA")
	if !eventually(5*time.Second, func() bool { return strings.Contains(server.String(), "CIPHER is AES128-SHA") }) {
		t.Errorf("openssl saw something else:\n%s", server)
	}

	// We are the server.
	for _, tt := range []struct{ version, suite, name string }{
		{"1", "AES128-SHA", "TLS 1.0 with TLS_RSA_WITH_AES_128_CBC_SHA"},
		{"1", "ECDHE-RSA-AES256-SHA", "TLS 1.0 with TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA"},
		{"1_1", "AES256-SHA", "TLS 1.1 with TLS_RSA_WITH_AES_256_CBC_SHA"},
		{"1_2", "AES128-SHA256", "TLS 1.2 with TLS_RSA_WITH_AES_128_CBC_SHA256"},
		{"1_2", "AES128-GCM-SHA256", "TLS 1.2 with TLS_RSA_WITH_AES_128_GCM_SHA256"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			client := func(addr string) []string {
				return append(p.client(addr, tt.version, "acme"), "-cipher", tt.suite+":@SECLEVEL=0")
			}
			from := gw.log.Len()
			text, _ := output(t, 20*time.Second, "", "openssl", client(good)...)
			if tt.version == "1_2" {
				wantText(t, text, "SSL alert number 40") // handshake_failure
				gw.log.wants(t, from, "inbound connection refused", "no_common_suite")
			} else {
				wantText(t, text, "SSL alert number 70") // protocol_version
				gw.log.wants(t, from, "inbound connection refused", "no_common_version")
			}
			wantText(t, talkAs(t, client(old), options(old)), "Verification: OK", "Cipher is "+tt.suite, "SIP/2.0 200 ")
			gw.log.wants(t, from, "weak TLS was negotiated", `who="listener \"old\""`, tt.name)
		})
	}
	text := pageOf(t, admin, "/api/v1/status")
	for _, want := range []string{"legacy TLS listener old", "legacy TLS peer acme", "legacy TLS peer museum", "TLS 1.1 with TLS_RSA_WITH_AES_256_CBC_SHA (1)"} {
		if !strings.Contains(text, want) {
			t.Errorf("the status lacks %q:\n%s", want, text)
		}
	}
	if text := pageOf(t, admin, "/metrics"); !strings.Contains(text, `legacy TLS listener old`) {
		t.Errorf("the metrics lack the alarm:\n%s", text)
	}
}

// pageOf is what the API says at a path.
func pageOf(t *testing.T, admin, path string) string {
	t.Helper()
	answer, err := http.Get("http://" + admin + path)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", path, answer.Status, err)
	}
	return string(body)
}

// issueRSA is issue with an RSA key, without which there is no RSA key exchange.
func (p pki) issueRSA(t *testing.T, ca, name string) {
	t.Helper()
	domain := name + ".example"
	p.openssl(t, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
		"-subj", "/CN="+domain, "-addext", "subjectAltName=URI:sip:"+domain+",DNS:"+domain,
		"-addext", "basicConstraints=critical,CA:FALSE", "-CA", p.file(ca+".pem"), "-CAkey", p.file(ca+"-key.pem"),
		"-keyout", p.file(name+"-key.pem"), "-out", p.file(name+".pem"))
}
