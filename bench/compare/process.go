//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/sallyport-sip/sallyport/bench/proccpu"
)

const (
	startTime = 15 * time.Second
	stopTime  = 10 * time.Second
)

// process is an element under way.
type process struct {
	cmd   *exec.Cmd
	log   string
	ended chan struct{} // closed when the first process has ended
}

// endWithUs has the kernel end a child when this program dies without doing it.
func endWithUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} }

func start(argv []string, log string) (*process, error) {
	out, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = endWithUs()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, log: log, ended: make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// listening waits until some socket is bound to the address.
func (p *process) listening(ctx context.Context, transport string, at netip.AddrPort) error {
	limit := time.After(startTime)
	for !bound(transport, at) {
		select {
		case <-p.ended:
			return fmt.Errorf("ended at once; its last words:\n%s", p.lastWords())
		case <-limit:
			return fmt.Errorf("does not listen on %s %v after %v; its last words:\n%s", transport, at, startTime, p.lastWords())
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	// Bound is not yet served: an element forks its workers after it binds.
	select {
	case <-p.ended:
		return fmt.Errorf("ended at once; its last words:\n%s", p.lastWords())
	case <-time.After(500 * time.Millisecond):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// bound looks for the address in the kernel's table of sockets: on TCP one that listens.
func bound(transport string, at netip.AddrPort) bool {
	table, state := "/proc/net/tcp", " 0A "
	if transport == "udp" {
		table, state = "/proc/net/udp", " "
	}
	b, err := os.ReadFile(table)
	if err != nil {
		return false
	}
	ip := at.Addr().As4()
	local := fmt.Sprintf(": %08X:%04X ", binary.NativeEndian.Uint32(ip[:]), at.Port())
	for line := range strings.Lines(string(b)) {
		if strings.Contains(line, local) && strings.Contains(line, state) {
			return true
		}
	}
	return false
}

// stop ends the element: asked first, then killed, its descendants too. All go by process number.
func (p *process) stop() { p.stopWithin(stopTime) }

func (p *process) stopWithin(patience time.Duration) {
	tree, _ := proccpu.Tree(p.pid())
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(patience):
	}
	for _, pid := range tree[min(1, len(tree)):] {
		if running(pid) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// running says that pid still runs; the numbers were read seconds ago and have not come round again.
func running(pid int) bool { return syscall.Kill(pid, 0) == nil }

// lastWords is the end of the element's output.
func (p *process) lastWords() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}
