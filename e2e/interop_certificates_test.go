//go:build interop

package e2e

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/internal/testca"
)

// TestCertificateCasesWithOpenSSL is TestCertificateCases with openssl at the other end in both roles: what it prints of
// our alerts and answers, and what the gateway says.
func TestCertificateCasesWithOpenSSL(t *testing.T) {
	need(t, "openssl", "openssl")
	for _, version := range []string{"1.2", "1.3"} {
		t.Run("TLS "+version, func(t *testing.T) {
			s := newCertificateStage(t)
			servers := map[string]*log{}
			for _, c := range s.cases {
				servers[c.ID] = s.opensslServer(t, c, version)
			}
			s.serve(t)
			for _, c := range s.cases {
				out := servers[c.ID]
				if !eventually(30*time.Second, func() bool {
					return strings.Contains(out.String(), "CIPHER is") || strings.Contains(out.String(), "error")
				}) {
					t.Fatalf("case %s: the gateway did not come to openssl's server:\n%s", c.ID, out)
				}
				var err error
				if !strings.Contains(out.String(), "CIPHER is") {
					err = errors.New(out.String())
				}
				if testca.Refused(c.Server) && !strings.Contains(out.String(), "SSL alert number 42") {
					t.Errorf("case %s: openssl's server saw no alert bad_certificate:\n%s", c.ID, out)
				}
				s.checkServer(t, c, err)
				s.checkClient(t, c, s.opensslClient(t, c, version))
			}
			s.checkRecords(t)
		})
	}
}

// certificate are the arguments by which openssl shows what the peer of a case shows.
func (s *certificateStage) certificate(c testca.Case, version string) []string {
	file := filepath.Join(s.dir, c.ID+".pem")
	args := []string{"-CAfile", filepath.Join(s.dir, "ca.pem"), "-cert", file, "-key", file, "-tls" + strings.ReplaceAll(version, ".", "_")}
	if len(s.leaves[c.ID].Chain) > 1 {
		args = append(args, "-cert_chain", file)
	}
	return args
}

// opensslServer starts a server that takes one connection and demands our certificate.
func (s *certificateStage) opensslServer(t *testing.T, c testca.Case, version string) *log {
	t.Helper()
	args := append([]string{"s_server", "-accept", s.server[c.ID], "-naccept", "1", "-Verify", "1", "-verify_return_error"}, s.certificate(c, version)...)
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "openssl", args...)
	out := &log{}
	cmd.Stdout, cmd.Stderr = out, out
	stdin, stay := io.Pipe() // at the end of its input it would leave
	cmd.Stdin = stdin
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		stay.Close()
		cmd.Wait()
	})
	if !eventually(10*time.Second, func() bool { return strings.Contains(out.String(), "ACCEPT") }) {
		t.Fatalf("case %s: openssl's server does not listen:\n%s", c.ID, out)
	}
	return out
}

// opensslClient shows the leaf of a case, sends an OPTIONS and returns the first line of the answer, empty when our alert
// came instead.
func (s *certificateStage) opensslClient(t *testing.T, c testca.Case, version string) string {
	t.Helper()
	args := append([]string{"s_client", "-connect", s.gateway[c.ID], "-bind", s.client[c.ID] + ":0", "-servername", "gateway.example",
		"-verify_hostname", "gateway.example", "-verify_return_error", "-ign_eof"}, s.certificate(c, version)...)
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "openssl", args...)
	out := &log{}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(options(s.gateway[c.ID])), out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // the connection stays, for who looks at it
		cancel()
		cmd.Wait()
	})
	const alert = "SSL alert number 42"
	eventually(30*time.Second, func() bool {
		_, answer, ok := strings.Cut(out.String(), "SIP/2.0 ")
		return ok && strings.Contains(answer, "\r\n") || strings.Contains(out.String(), alert)
	})
	if _, answer, ok := strings.Cut(out.String(), "SIP/2.0 "); ok {
		return "SIP/2.0 " + answer
	}
	if !strings.Contains(out.String(), alert) {
		t.Errorf("case %s: openssl's client got neither an answer nor alert bad_certificate:\n%s", c.ID, out)
	}
	return ""
}

// TestOpenSSLAsksForNames asks a listener with several identities for one after the other with openssl's -servername.
func TestOpenSSLAsksForNames(t *testing.T) {
	need(t, "openssl", "openssl")
	d := testca.NewDomains()
	dir := t.TempDir()
	for name, l := range map[string]*testca.Leaf{
		"main": d.Root.Leaf("main.example"), "tenants": d.Root.Leaf("tenants", testca.DNS("*.tenants.example")),
		"big": d.Root.Leaf("big", testca.DNS("big.tenants.example")), "uri": d.Root.Leaf("uri", testca.URI("sip:uri.example")),
	} {
		if err := os.WriteFile(filepath.Join(dir, name+".pem"), append(l.PEM(), l.KeyPEM()...), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "ca.pem"), d.Root.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	lax, strict := net.JoinHostPort("127.0.0.1", freePort(t, "127.0.0.1")), net.JoinHostPort("127.0.0.1", freePort(t, "127.0.0.1"))
	startServe(t, dir, `listeners:
  lax: {listen: "tls:`+lax+`", identities: [tenants, big, uri], client_certificates: none}
  strict: {listen: "tls:`+strict+`", identities: [tenants, big, uri], sni: strict, client_certificates: none}
identities:
  main: {certificate: main.pem, key: main.pem}
  tenants: {certificate: tenants.pem, key: tenants.pem}
  big: {certificate: big.pem, key: big.pem}
  uri: {certificate: uri.pem, key: uri.pem}
trust: {partners: {files: [ca.pem]}}
defaults: {identity: main, trust: [partners]}
peers:
  a: {uri: "sips:a.example", accept_from: []}
  b: {uri: "sips:b.example", accept_from: []}
routes: [{from: [a], to: [b]}]
`)
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		for _, tt := range []struct{ addr, name, want string }{
			{lax, "", "CN = main.example"},
			{lax, "main.example", "CN = main.example"},
			{lax, "a.tenants.example", "CN = tenants"},
			{lax, "big.tenants.example", "CN = big"},
			{lax, "URI.example", "CN = uri"},
			{lax, "nobody.example", "CN = main.example"},
			{strict, "", "CN = main.example"},
			{strict, "a.tenants.example", "CN = tenants"},
			{strict, "nobody.example", "SSL alert number 112"}, // unrecognized_name, RFC 6066 §3
		} {
			args := []string{"s_client", "-connect", tt.addr, version, "-CAfile", filepath.Join(dir, "ca.pem"), "-servername", tt.name}
			if tt.name == "" {
				args = append(args[:len(args)-2], "-noservername")
			}
			if text, _ := output(t, 20*time.Second, "", "openssl", args...); !strings.Contains(text, tt.want) {
				t.Errorf("%s, asked for %q of %s: want %q in\n%s", version, tt.name, tt.addr, tt.want, text)
			}
		}
	}
}
