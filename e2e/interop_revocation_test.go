//go:build interop

package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestOpenSSLRevocation meets what openssl makes of revocation: its responder, which the gateway asks about peers and for
// its own staple, its client, which sees that staple, its server, which staples, and its CRLs.
func TestOpenSSLRevocation(t *testing.T) {
	need(t, "openssl", "openssl")
	dir := t.TempDir()
	ports := make([]string, 6)
	for i := range ports {
		ports[i] = net.JoinHostPort("127.0.0.1", freePort(t, "127.0.0.1"))
	}
	listener, strict, responder, goodServer, badServer := ports[0], ports[1], ports[2], ports[3], ports[4]
	pki := pki{dir}
	pki.ca(t, "ca", "Test CA")
	for _, name := range []string{"acme", "beta", "gamma", "delta"} {
		pki.issue(t, "ca", name)
	}
	pki.issueResponded(t, "gateway", "http://"+responder+"/")
	pki.database(t, "gateway", "acme", "beta", "gamma", "delta")
	for _, name := range []string{"beta", "delta"} {
		pki.openssl(t, "ca", "-config", pki.file("ca.cnf"), "-revoke", pki.file(name+".pem"), "-crl_reason", "keyCompromise")
	}
	pki.openssl(t, "ca", "-config", pki.file("ca.cnf"), "-gencrl", "-out", pki.file("ca.crl"))

	run := func(args ...string) *log {
		cmd := exec.CommandContext(t.Context(), "openssl", args...)
		out := &log{}
		cmd.Stdout, cmd.Stderr = out, out
		_, err := cmd.StdinPipe() // s_server ends with its input
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			cmd.Process.Kill()
			cmd.Wait()
			if t.Failed() {
				t.Logf("openssl %s:\n%s", args[0], out)
			}
		})
		return out
	}
	_, port, _ := net.SplitHostPort(responder)
	// It serves one connection after the other and waits for ever on one that brings no question: nothing may try it.
	run("ocsp", "-index", pki.file("index.txt"), "-port", port, "-rsigner", pki.file("ca.pem"), "-rkey", pki.file("ca-key.pem"), "-CA", pki.file("ca.pem"), "-nmin", "60").
		wants(t, 0, "waiting for OCSP client connections")
	for name, at := range map[string]string{"acme": goodServer, "beta": badServer} {
		pki.openssl(t, "ocsp", "-issuer", pki.file("ca.pem"), "-cert", pki.file(name+".pem"), "-url", "http://"+responder+"/", "-noverify", "-respout", pki.file(name+".der"))
		run("s_server", "-accept", at, "-cert", pki.file(name+".pem"), "-key", pki.file(name+"-key.pem"), "-status_file", pki.file(name+".der")).wants(t, 0, "ACCEPT")
	}

	gw := serve(t, dir, fmt.Sprintf(`
listeners:
  outside: {listen: "tls:%[1]s"}
  strict: {listen: "tls:%[2]s", policy: asking}
identities: {gateway: {certificate: gateway.pem, key: gateway-key.pem}}
trust:
  partners: {files: [ca.pem]}
policies:
  asking: {revocation: hard, ocsp: fetch, ocsp_responder: "http://%[3]s/"}
  stapled: {revocation: hard}
defaults: {identity: gateway, trust: [partners]}
profiles: {kept: {connection: {connect: always}}}
peers:
  acme: {uri: "sip:%[4]s;transport=tls", certificate_names: [acme.example], profile: kept, policy: stapled, listener: outside}
  beta: {uri: "sip:%[5]s;transport=tls", certificate_names: [beta.example], profile: kept, policy: stapled, listener: outside}
  gamma: {uri: "sip:%[6]s;transport=tls", certificate_names: [gamma.example]}
routes:
  - {from: [gamma], to: [acme]}
cdr: "off"
data: ./data
`, listener, strict, responder, goodServer, badServer, ports[5]))

	// As client: what openssl's server staples is taken, and believed.
	gw.log.wants(t, 0, "connection opened", "peer=acme")
	gw.log.wants(t, 0, "connection to peer failed", "peer=beta", "was revoked by CN=Test CA", "says the OCSP answer that was stapled", "code=revoked")

	// The answer about our own certificate comes from openssl's responder.
	if !eventually(5*time.Second, func() bool {
		return strings.Contains(talkAs(t, append(pki.client(listener, "1.3", "gamma"), "-status"), options(listener)), "OCSP Response Status: successful")
	}) {
		t.Error("no OCSP answer is stapled")
	}
	for _, version := range []string{"1.2", "1.3"} {
		t.Run("TLS "+version, func(t *testing.T) {
			// As server: openssl's client sees our staple.
			wantText(t, talkAs(t, append(pki.client(listener, version, "gamma"), "-status"), options(listener)),
				"OCSP Response Status: successful", "Cert Status: good", "SIP/2.0 200 ")
			// openssl's responder is asked about who calls.
			wantText(t, talk(t, pki, strict, version, "gamma", options(strict)), "SIP/2.0 200 ")
			from := gw.log.Len()
			output(t, 10*time.Second, "", "openssl", pki.client(strict, version, "delta")...)
			gw.log.wants(t, from, "inbound connection refused", "CN=delta.example was revoked by CN=Test CA", "(key compromise)", "says the OCSP responder")
			// What openssl's server has stapled about itself counts when it calls, too.
			from = gw.log.Len()
			output(t, 10*time.Second, "", "openssl", pki.client(strict, version, "beta")...)
			gw.log.wants(t, from, "inbound connection refused", "CN=beta.example was revoked by CN=Test CA", "stapled to an earlier handshake")
		})
	}

	// A CRL that openssl made, in a file that is named now and read again when it changes.
	text, err := os.ReadFile(pki.file("sallyport.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	pki.rewrite(t, "sallyport.yaml", text, "{files: [ca.pem]}", "{files: [ca.pem], crls: [ca.crl]}")
	pki.sallyport(t, "reload", "--config", pki.file("sallyport.yaml"))
	wantText(t, talk(t, pki, listener, "1.3", "gamma", options(listener)), "SIP/2.0 200 ")
	from := gw.log.Len()
	output(t, 10*time.Second, "", "openssl", pki.client(listener, "1.3", "beta")...)
	gw.log.wants(t, from, "inbound connection refused", "was revoked by CN=Test CA", "says the CRL in")
	pki.openssl(t, "ca", "-config", pki.file("ca.cnf"), "-revoke", pki.file("gamma.pem"))
	pki.openssl(t, "ca", "-config", pki.file("ca.cnf"), "-gencrl", "-out", pki.file("ca.crl"))
	pki.sallyport(t, "reload", "--config", pki.file("sallyport.yaml"))
	from = gw.log.Len()
	output(t, 10*time.Second, "", "openssl", pki.client(listener, "1.2", "gamma")...)
	gw.log.wants(t, from, "inbound connection refused", "certificate CN=gamma.example was revoked")
}
