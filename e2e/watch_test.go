//go:build linux

package e2e

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// openTerminal returns both ends of a pseudo-terminal of 80 columns and 24 lines.
func openTerminal(t *testing.T) (ours, theirs *os.File) {
	t.Helper()
	ours, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close() })
	fd := int(ours.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err = errors.Join(err, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0), unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80})); err != nil {
		t.Fatal(err)
	}
	theirs, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { theirs.Close() })
	return ours, theirs
}

// TestWatchShowsWhatHappens: on a real terminal, a call that comes while the list is open is listed, and its ladder is drawn; the gateway
// goes and comes back, and the list says so and goes on; q gives the terminal back.
func TestWatchShowsWhatHappens(t *testing.T) {
	t.Parallel()
	dir, at := t.TempDir(), someAddresses(t, "127.0.0.1", 3)
	config := "listeners:\n  office: {listen: \"udp:" + at[0] + "\"}\npeers:\n  pbx: {uri: \"sip:" + at[1] + ";transport=udp\", accept_from: [127.0.0.1]}\n" +
		"  trunk: {uri: \"sip:" + at[2] + ";transport=udp\", accept_from: []}\nroutes:\n  - {from: [pbx], to: [trunk], number: \"+49*\"}\ndata: data\n"
	gateway := startServe(t, dir, config)

	ours, theirs := openTerminal(t)
	shown := &printed{}
	read := make(chan struct{})
	go func() {
		defer close(read)
		b := make([]byte, 1<<16)
		for {
			n, err := ours.Read(b)
			shown.Write(b[:n])
			if err != nil {
				return
			}
		}
	}()
	cmd := exec.Command(binary, "watch", "--config", "sallyport.yaml")
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = dir, theirs, theirs, theirs
	cmd.Env = append(os.Environ(), "TERM=xterm", "NO_COLOR=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { cmd.Process.Kill() })
	theirs.Close()
	seen := 0 // bytes of what was shown before
	appears := func(text string) {
		t.Helper()
		soon(t, text+" is on the terminal", func() bool { return strings.Contains(shown.String()[seen:], text) })
		seen = strings.LastIndex(shown.String(), text) + len(text)
	}
	appears("No call yet")
	phone, err := (&net.Dialer{LocalAddr: net.UDPAddrFromAddrPort(netip.MustParseAddrPort(at[1]))}).Dial("udp", at[0])
	if err != nil {
		t.Fatal(err)
	}
	defer phone.Close()
	invite := strings.ReplaceAll(request("watched", "UDP", ""), "OPTIONS", "INVITE")
	if _, err := phone.Write([]byte(invite)); err != nil {
		t.Fatal(err)
	}
	appears("a@acme.example")
	ours.Write([]byte("\r"))
	appears("─ INVITE ─")
	ours.Write([]byte("q"))
	appears("FAILED")
	gateway.terminate(t)
	appears("Connection lost")
	startServe(t, dir, config)
	appears("live ●")
	ours.Write([]byte("q"))
	if err := <-ended; err != nil {
		t.Errorf("watch ended with %v", err)
	}
	appears("\x1b[?1049l")
	ours.Close()
	<-read
}
