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

// A hang-up, which some send to have a configuration read again, ends no calls.
func TestAHangUpDoesNotEndTheGateway(t *testing.T) {
	p := startServe(t, t.TempDir(), plainConfig(someAddresses(t, "127.0.0.1", 1)[0]))
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	const said = "SIGHUP: the configuration is not read again while the gateway runs; restart it for that"
	soon(t, "the gateway speaks of the signal", func() bool { return len(p.logged(said)) == 1 || p.over() })
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
