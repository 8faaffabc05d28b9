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

const radiusSecret = "correct-horse-battery"

// TestFreeRADIUS has FreeRADIUS keep account of calls, over UDP and over TLS: it takes what the gateway sends, knows each attribute by its
// name, and has what was said when it comes back after it was away.
func TestFreeRADIUS(t *testing.T) {
	t.Parallel()
	need(t, "freeradius", "freeradius")
	for _, over := range []string{"udp", "tls"} {
		t.Run(over, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, "127.0.0.1", "1.3", "udp", "ca")
			sallyport(t, s.dir, "cert", "issue", "--ca", "ca.pem", "--dns", "localhost", "--ip", "127.0.0.1", "--out", "radius.pem")
			writeFile(t, filepath.Join(s.dir, "radius.secret"), radiusSecret+"\n")
			port := freePort(t, "127.0.0.1")
			f := startFreeRADIUS(t, s.dir, over, port)
			section := fmt.Sprintf("cdr_ship: {billing: {radius: [\"%s:127.0.0.1:%s\"], nas_identifier: gw1, interval: 1s, ", over, port)
			if over == "udp" {
				section += "secret_file: radius.secret}}\n"
			} else {
				section += "trust: [partners]}}\n"
			}
			writeFile(t, filepath.Join(s.dir, "sallyport.yaml"), s.config+section)
			sallyport(t, s.dir, "reload")
			f.soon(t, `Acct-Status-Type = Accounting-On`, `NAS-Identifier = "gw1"`)
			s.answered(t)
			who := []string{`User-Name = "caller"`, `Calling-Station-Id = "`, `Cisco-AVPair = "sallyport-in-tls-version=1.3"`,
				`Cisco-AVPair = "sallyport-in-tls-identity=caller.example"`, `Cisco-AVPair = "sallyport-verdict=`, `h323-connect-time = "`, `Acct-Delay-Time = `, `Event-Timestamp = "`}
			f.soon(t, append(who, `Acct-Status-Type = Start`)...)
			f.soon(t, append(who, `Acct-Status-Type = Stop`, `Acct-Terminate-Cause = User-Request`, `h323-disconnect-cause = "`, `Acct-Session-Time = `)...)
			f.stop(t)
			s.busy(t)
			f.start(t)
			f.soon(t, `Acct-Status-Type = Stop`, `Acct-Terminate-Cause = Host-Request`, `Cisco-AVPair = "sallyport-sip=486"`)
			s.gateway.terminate(t)
			f.soon(t, `Acct-Status-Type = Accounting-Off`)
		})
	}
}

// freeRADIUS is an accounting server that writes what it is told into a file.
type freeRADIUS struct {
	cmd                  *exec.Cmd
	out                  *log
	dir, detail, address string
	over                 string
}

func startFreeRADIUS(t *testing.T, in, over, port string) *freeRADIUS {
	t.Helper()
	dir := filepath.Join(in, "freeradius")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	f := &freeRADIUS{dir: dir, detail: filepath.Join(dir, "detail"), address: net.JoinHostPort("127.0.0.1", port), over: over}
	secret, kind, secure := radiusSecret, "acct", ""
	if over == "tls" {
		secret, kind = "radsec", "auth+acct"
		secure = fmt.Sprintf(`proto = tcp
  tls {
   private_key_file = %[1]s/radius-key.pem
   certificate_file = %[1]s/radius.pem
   ca_file = %[1]s/ca.pem
   require_client_cert = yes
   tls_min_version = "1.2"
   tls_max_version = "1.3"
  }`, in)
	}
	writeFile(t, filepath.Join(dir, "radiusd.conf"), fmt.Sprintf(`prefix = /usr
name = radiusd
libdir = /usr/lib/freeradius
logdir = %s
run_dir = %[1]s
db_dir = %[1]s
pidfile = %[1]s/pid
log {
 destination = stdout
}
clients them {
 client gateway {
  ipaddr = 127.0.0.1
  secret = %s
  proto = %s
 }
}
thread pool {
 start_servers = 1
 max_servers = 2
 min_spare_servers = 1
 max_spare_servers = 2
}
modules {
 detail {
  filename = %[1]s/detail
 }
}
server accounts {
 listen {
  type = %[4]s
  ipaddr = 127.0.0.1
  port = %s
  clients = them
  %s
 }
 authorize {
 }
 accounting {
  detail
 }
}
`, dir, secret, over, kind, port, secure))
	f.start(t)
	return f
}

func (f *freeRADIUS) start(t *testing.T) {
	t.Helper()
	f.cmd, f.out = exec.Command("freeradius", "-fxx", "-l", "stdout", "-d", f.dir), &log{}
	f.cmd.Stdout, f.cmd.Stderr = f.out, f.out
	if err := f.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		f.stop(t)
		if t.Failed() {
			t.Logf("FreeRADIUS printed:\n%s", tail(f.out.String(), 40))
		}
	})
	soon(t, "FreeRADIUS listens", func() bool {
		if f.over == "tls" {
			c, err := net.Dial("tcp", f.address)
			if err == nil {
				c.Close()
			}
			return err == nil
		}
		c, err := net.ListenPacket("udp", f.address)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
}

func (f *freeRADIUS) stop(t *testing.T) {
	t.Helper()
	if f.cmd.ProcessState == nil {
		f.cmd.Process.Kill()
		f.cmd.Wait()
	}
}

// soon waits until there is a request with all these lines.
func (f *freeRADIUS) soon(t *testing.T, lines ...string) {
	t.Helper()
	var text string
	if !eventually(time.Minute, func() bool {
		b, _ := os.ReadFile(f.detail)
		text = string(b)
		for _, request := range strings.Split(text, "\n\n") {
			if has(request, lines) {
				return true
			}
		}
		return false
	}) {
		t.Fatalf("FreeRADIUS was told of no request with %q, only\n%s", lines, text)
	}
}

func has(request string, lines []string) bool {
	for _, l := range lines {
		if !strings.Contains(request, "\t"+l) {
			return false
		}
	}
	return true
}
