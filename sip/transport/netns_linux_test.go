package transport

import (
	"context"
	"net/netip"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// inNamespace runs a test once more in a process with a network of its own, which
// it may break, and says whether this is that process.
func inNamespace(t *testing.T) bool {
	t.Helper()
	const mark = "SALLYPORT_TEST_NETNS"
	if os.Getenv(mark) == t.Name() {
		return true
	}
	if os.Getuid() != 0 {
		t.Skip("only root may make a network namespace")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("there is no command ip: install iproute2")
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), mark+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	out, err := cmd.CombinedOutput()
	if errno, ok := err.(*os.PathError); ok && errno.Err == syscall.EPERM {
		t.Skip("this machine allows no network namespaces")
	}
	if err != nil {
		t.Fatalf("in a namespace: %v\n%s", err, out)
	}
	return false
}

func ip(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %v: %v\n%s", args, err, out)
	}
}

// The far side vanishes without a word, under bytes that are on their way and on
// a connection at rest. TCP finds both out in the time that the manner gives it.
func TestUnacknowledgedBytesEndTheConnection(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	ip(t, "link", "set", "lo", "up")
	ip(t, "address", "add", "192.0.2.9/32", "dev", "lo")
	server := newNode(t, nil, nil)
	l, err := server.Listen(ListenConfig{Name: "far", Transport: TCP, Addr: netip.MustParseAddrPort("192.0.2.9:0")})
	if err != nil {
		t.Fatal(err)
	}
	client := newNode(t, nil, func(cfg *Config) { cfg.Manner = &Manner{KeepAlive: time.Second, Unacknowledged: 2 * time.Second} })
	dial := func() *Conn {
		c, err := client.Dial(context.Background(), DialConfig{Key: Key{Transport: TCP, Remote: l.Addr(), Peer: time.Now().String()}})
		if err != nil {
			t.Fatal(err)
		}
		send(t, c, message(1, ""))
		server.wantText(message(1, ""))
		return c
	}
	busy, resting := dial(), dial()
	// Outgoing packets have nowhere to go, and nobody says so.
	ip(t, "link", "set", "lo", "down")
	send(t, busy, message(2, ""))
	for range 2 {
		got := want(t, client.closed, "the end of a connection")
		if got.why.Dead != DeathUnacknowledged {
			t.Errorf("ended with %q, sign %q, want %q", got.why.Text, got.why.Dead, DeathUnacknowledged)
		}
	}
	if busy.Alive() || resting.Alive() {
		t.Error("a connection lives on")
	}
	ip(t, "link", "set", "lo", "up") // so that the server's end can go
}
