//go:build interop

package e2e

import (
	"net"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// A kamailio is a proxy with its own certificate before a peer on UDP. It can be killed and started again at the same addresses.
type kamailio struct {
	dir  string
	udp  string // where the peer behind it finds it
	tls  string // where the gateway finds it
	log  *log
	cmd  *exec.Cmd
	over chan error
}

// newKamailio prepares one that hands calls over TLS to the peer behind it, and calls of that peer to the gateway. Its certificate
// is proxy.pem in certificates, and it believes ca.pem there.
func newKamailio(t *testing.T, certificates, behind, gateway, method string) *kamailio {
	t.Helper()
	k := &kamailio{
		dir: t.TempDir(), log: &log{},
		udp: net.JoinHostPort("127.0.0.1", freePort(t, "127.0.0.1")),
		tls: net.JoinHostPort("127.0.0.1", freePort(t, "127.0.0.1")),
	}
	values := map[string]string{"DIR": k.dir, "METHOD": method}
	for prefix, addr := range map[string]string{"UDP_": k.udp, "TLS_": k.tls, "BEHIND_": behind, "GATEWAY_": gateway} {
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			t.Fatal(err)
		}
		values[prefix+"HOST"], values[prefix+"PORT"] = host, port
	}
	for _, file := range []string{"kamailio.cfg", "tls.cfg"} {
		template(t, filepath.Join("testdata", "kamailio", file), filepath.Join(k.dir, file), values)
	}
	join(t, filepath.Join(k.dir, "own.pem"), filepath.Join(certificates, "proxy.pem"))
	join(t, filepath.Join(k.dir, "own-key.pem"), filepath.Join(certificates, "proxy-key.pem"))
	join(t, filepath.Join(k.dir, "ca.pem"), filepath.Join(certificates, "ca.pem"))
	return k
}

// start starts it and waits until it takes connections. When the test ends, it is killed.
func (k *kamailio) start(t *testing.T) {
	t.Helper()
	k.cmd = exec.Command(need(t, "kamailio", "kamailio kamailio-tls-modules"),
		"-DD", "-E", "-f", filepath.Join(k.dir, "kamailio.cfg"), "-m", "64", "-Y", k.dir, "-w", k.dir)
	k.cmd.Stdout, k.cmd.Stderr = k.log, k.log
	k.cmd.SysProcAttr = &syscall.SysProcAttr{
		Setpgid:   true,            // its processes are killed together
		Pdeathsig: syscall.SIGTERM, // should the test itself die
	}
	from := k.log.Len()
	if err := k.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	k.over = make(chan error, 1)
	go func(cmd *exec.Cmd, over chan<- error) { over <- cmd.Wait() }(k.cmd, k.over)
	t.Cleanup(func() {
		k.kill()
		if t.Failed() {
			t.Logf("Kamailio printed:\n%s", tail(k.log.String(), 60))
		}
	})
	soon(t, "Kamailio takes connections", func() bool {
		c, err := net.DialTimeout("tcp", k.tls, time.Second)
		if err == nil {
			c.Close()
		}
		return err == nil || len(k.over) > 0
	})
	if len(k.over) > 0 {
		t.Fatalf("Kamailio ended at once:\n%s", k.log.String()[from:])
	}
}

// kill ends all its processes without a word, and waits until the first is over.
func (k *kamailio) kill() {
	if k.cmd == nil {
		return
	}
	syscall.Kill(-k.cmd.Process.Pid, syscall.SIGKILL)
	<-k.over
	k.cmd = nil
}

// freeAddresses returns addresses whose ports are free, for a gateway.
func freeAddresses(t *testing.T, n int) (found []string) {
	t.Helper()
	for range n {
		found = append(found, net.JoinHostPort("127.0.0.1", freePort(t, "127.0.0.1")))
	}
	return found
}
