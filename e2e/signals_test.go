//go:build unix

package e2e

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// plainConfig is the least that a gateway needs.
func plainConfig(listen string) string {
	return "listeners:\n  lan: {listen: \"tcp:" + listen + "\"}\npeers:\n  office: {uri: \"sip:192.0.2.1;transport=tcp\"}\n"
}

// A hang-up has the configuration read again; one with problems is refused, and
// neither ends the gateway.
func TestAHangUpReloads(t *testing.T) {
	dir, listen := t.TempDir(), someAddresses(t, "127.0.0.1", 2)
	p := startServe(t, dir, plainConfig(listen[0]))
	hangUp := func(config, wanted string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "sallyport.yaml"), []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		soon(t, "the gateway says: "+wanted, func() bool { return len(p.logged(wanted)) == 1 || p.over() })
	}
	hangUp(plainConfig(listen[1]), "configuration taken")
	if c, err := net.Dial("tcp", listen[1]); err != nil {
		t.Error(err)
	} else {
		c.Close()
	}
	hangUp("listeners: {}\n", "the configuration stays as it was")
	p.terminate(t)
}

// The program that reads the log may end before the gateway.
func TestTheGatewayOutlivesTheReaderOfItsLog(t *testing.T) {
	dir, listen := t.TempDir(), someAddresses(t, "127.0.0.1", 1)[0]
	if err := os.WriteFile(filepath.Join(dir, "sallyport.yaml"), []byte(plainConfig(listen)), 0o600); err != nil {
		t.Fatal(err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "serve")
	cmd.Dir, cmd.Stderr = dir, write
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	write.Close()
	p := &process{cmd: cmd, stderr: &printed{}, ended: make(chan struct{})}
	go func() {
		cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-p.ended
	})
	connect := func() bool {
		c, err := net.Dial("tcp", listen)
		if err == nil {
			c.Close()
		}
		return err == nil
	}
	soon(t, "the gateway listens", func() bool { return connect() || p.over() })
	read.Close()
	for range 3 { // each is a line of the log
		if !connect() {
			t.Fatalf("the gateway has ended: %v", cmd.ProcessState)
		}
	}
	p.terminate(t)
}
