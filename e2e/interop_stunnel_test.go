//go:build interop

package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestStunnel puts SIPp's calls through the gateway over mutual TLS on both hops. SIPp speaks TCP; stunnel stands before
// the caller as TLS client with a certificate of its own, and before the answerer as TLS server that wants the gateway's.
func TestStunnel(t *testing.T) {
	t.Parallel()
	need(t, "sipp", "sip-tester")
	need(t, "stunnel", "stunnel4")
	for _, hops := range []stageOptions{
		{in: "1.3", out: "1.3"},
		{in: "1.2", out: "1.2"},
		{in: "1.3", out: "1.2"},
	} {
		t.Run("TLS "+hops.in+" to "+hops.out, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, hops)
			s.load(t, stunnelCalls, sippRate)
			s.wantRecords(t, hops, stunnelCalls)
		})
	}
}

const stunnelCalls = 300

// wantRecords wants each call recorded once: ended, with the right peer over mutual TLS on either hop.
func (s *stage) wantRecords(t *testing.T, hops stageOptions, calls int) {
	t.Helper()
	var all []record
	soon(t, "all calls are recorded", func() bool {
		all = records(t, s.dir)
		return len(all) >= calls
	})
	if len(all) != calls {
		t.Errorf("%d calls are recorded, want %d", len(all), calls)
	}
	for _, r := range all {
		r.check(t, "ended", "caller", "hop-by-hop", [2]string{"caller", "answerer"})
		for i, l := range append([]recordLeg{r.In}, r.Out...) {
			if want := []string{hops.in, hops.out}[i]; l.TLS == nil || l.TLS.Version != want {
				t.Errorf("call %s: leg %d is over %+v, want TLS %s", r.ID, i, l.TLS, want)
			}
		}
		if t.Failed() {
			return
		}
	}
}

// TestStunnelRefuses shows that the stunnel of these tests does look at the gateway's certificate: with one of a name
// that it does not know, no call comes through.
func TestStunnelRefuses(t *testing.T) {
	t.Parallel()
	need(t, "sipp", "sip-tester")
	need(t, "stunnel", "stunnel4")
	dir := t.TempDir()
	issue(t, dir, "gateway", "answerer", "stranger")
	addr := tlsServer(t, dir, "answerer", "1.3", answererHost, net.JoinHostPort(answererHost, freePort(t, answererHost)))
	for name, want := range map[string]bool{"gateway": true, "stranger": false, "": false} {
		args := []string{"s_client", "-connect", addr, "-CAfile", filepath.Join(dir, "ca.pem"), "-verify_return_error",
			"-verify_hostname", "answerer.example", "-ign_eof"}
		if name != "" {
			args = append(args, "-cert", filepath.Join(dir, name+".pem"), "-key", filepath.Join(dir, name+"-key.pem"))
		}
		text, _ := output(t, 20*time.Second, "", "openssl", args...)
		// Behind the stunnel nobody listens, so that it closes in any case; but whom it refuses it sends an alert.
		if refused := strings.Contains(text, "alert "); refused == want {
			t.Errorf("certificate of %q: refused: %v, want %v:\n%s", name, refused, !want, text)
		}
	}
}

// tlsServer starts a TLS server on host that passes what it gets on to plain, and returns its address. It lets nobody in
// but the gateway.
func tlsServer(t *testing.T, dir, name, version, host, plain string) string {
	t.Helper()
	addr := net.JoinHostPort(host, freePort(t, host))
	stunnel(t, dir, name, version, fmt.Sprintf("client = no\naccept = %s\nconnect = %s\nrequireCert = yes\n", addr, plain))
	if !eventually(20*time.Second, func() bool { return bound("t1", addr) }) {
		t.Fatalf("stunnel does not listen on %s", addr)
	}
	return addr
}

// tlsClient starts a TLS client that passes what it gets on to the gateway, and returns its address.
func tlsClient(t *testing.T, dir, name, version, host, gateway string) string {
	t.Helper()
	addr := net.JoinHostPort(host, freePort(t, host))
	stunnel(t, dir, name, version, fmt.Sprintf("client = yes\naccept = %s\nconnect = %s\n", addr, gateway))
	if !eventually(20*time.Second, func() bool { return bound("t1", addr) }) {
		t.Fatalf("stunnel does not listen on %s", addr)
	}
	return addr
}

// stunnel runs until the test ends. It believes the test's authority, and of its certificates that of the gateway alone.
func stunnel(t *testing.T, dir, name, version, service string) {
	t.Helper()
	file := filepath.Join(dir, name+".stunnel")
	config := fmt.Sprintf(`foreground = yes
pid =
syslog = no
debug = info
[sip]
%scert = %s
key = %s
CAfile = %s
verifyChain = yes
checkHost = gateway.example
sslVersionMin = TLSv%[5]s
sslVersionMax = TLSv%[5]s
TIMEOUTclose = 0
`, service, filepath.Join(dir, name+".pem"), filepath.Join(dir, name+"-key.pem"), filepath.Join(dir, "ca.pem"), version)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd, out := exec.Command("stunnel", file), &log{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("the stunnel of %s printed:\n%s", name, tail(out.String(), 30))
		}
	})
}
