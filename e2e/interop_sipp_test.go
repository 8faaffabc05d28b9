//go:build interop

package e2e

import (
	"encoding/csv"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The load that SIPp puts through the gateway: its built-in caller and answerer.
const (
	sippCalls = 500
	sippRate  = 50 // calls a second
)

// Callers and answerers stand on loopback addresses of their own, so that the gateway can tell them apart on TCP, where
// the port of a source says nothing.
const (
	callerHost   = "127.0.0.1"
	answererHost = "127.0.0.2"
	secondHost   = "127.0.0.3"
)

func TestSIPp(t *testing.T) {
	t.Parallel()
	need(t, "sipp", "sip-tester")
	for _, transport := range []string{"udp", "tcp"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, stageOptions{in: transport, out: transport})
			s.load(t, sippCalls, sippRate)
		})
	}
}

// load puts SIPp's built-in calls through the gateway, and wants all of them to have succeeded at both ends.
func (s *stage) load(t *testing.T, calls, rate int) {
	t.Helper()
	uas := s.answerer.sipp(t, sippOptions{name: "uas", builtIn: true, calls: calls})
	uac := s.caller.sipp(t, sippOptions{name: "uac", builtIn: true, calls: calls, rate: rate})
	uac.wants(t, calls)
	if t.Failed() {
		return // the answerer would wait in vain for calls that never came
	}
	uas.wants(t, calls)
	for _, p := range []*sippProcess{uac, uas} {
		if got := p.count(t, "Retransmissions(C)"); s.caller.mode == "t1" && got != 0 {
			t.Errorf("%s: %d retransmissions on a stream, want none", p.name, got)
		}
	}
	wantNoCalls(t, s.admin)
}

// A station is where a SIPp stands: a peer of the gateway's.
type station struct {
	dir    string
	mode   string // how SIPp speaks: "u1" on UDP, "t1" on TCP
	host   string
	port   string
	target string // where a caller sends its calls, empty for an answerer
}

type sippOptions struct {
	name    string // of the scenario: a file NAME.xml in the directory, or one that is built in
	builtIn bool
	calls   int
	rate    int // calls a second; only for callers
	more    []string
}

// sippTime is how long a SIPp may run at most.
const sippTime = 100 * time.Second

// A sippProcess is a running SIPp.
type sippProcess struct {
	name   string
	dir    string
	cmd    *exec.Cmd
	log    *log
	exited chan error
}

// sipp starts SIPp at the station. An answerer listens when this returns.
func (a station) sipp(t *testing.T, o sippOptions) *sippProcess {
	t.Helper()
	scenario := []string{"-sf", o.name + ".xml"}
	if o.builtIn {
		scenario = []string{"-sn", o.name}
	}
	args := append(scenario,
		"-t", a.mode, "-i", a.host, "-p", a.port, "-mi", a.host, "-bind_local", "-nostdin", "-m", strconv.Itoa(o.calls),
		"-timeout", strconv.Itoa(int(sippTime/time.Second)), "-timeout_error", "-trace_stat", "-stf", o.name+".csv", "-fd", "1",
		"-trace_err", "-error_file", o.name+".err", "-s", "+4930123456",
	)
	if o.rate > 0 {
		args = append(args, "-r", strconv.Itoa(o.rate))
	}
	args = append(args, o.more...)
	if a.target != "" {
		args = append(args, a.target)
	}
	p := &sippProcess{name: o.name, dir: a.dir, cmd: exec.Command("sipp", args...), log: &log{}, exited: make(chan error, 1)}
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = a.dir, p.log, p.log
	p.cmd.Env = append(os.Environ(), "TERM=dumb")
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		p.exited <- p.cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-ended
	})
	if a.target == "" {
		ready := eventually(20*time.Second, func() bool { return len(p.exited) > 0 || bound(a.mode, net.JoinHostPort(a.host, a.port)) })
		if !ready || len(p.exited) > 0 {
			t.Fatalf("SIPp's %s does not listen on %s:%s:\n%s", p.name, a.host, a.port, p.failures())
		}
	}
	return p
}

// bound says whether somebody listens at addr. It asks the kernel: to try would take the port from who wants it.
func bound(mode, addr string) bool {
	at := netip.MustParseAddrPort(addr)
	a := at.Addr().As4()
	slices.Reverse(a[:]) // the kernel writes addresses as numbers of this machine
	file, want := "/proc/net/tcp", fmt.Sprintf(" %X:%04X 00000000:0000 0A ", a, at.Port())
	if mode == "u1" {
		file, want = "/proc/net/udp", fmt.Sprintf(" %X:%04X ", a, at.Port())
	}
	text, err := os.ReadFile(file)
	return err == nil && strings.Contains(string(text), want)
}

// wants waits for the end, and wants all the calls to have succeeded.
func (p *sippProcess) wants(t *testing.T, calls int) {
	t.Helper()
	if err := p.wait(sippTime + 10*time.Second); err != nil {
		t.Errorf("SIPp's %s ended with %v, want status 0:\n%s", p.name, err, p.failures())
	}
	if got := p.count(t, "SuccessfulCall(C)"); got != calls {
		t.Errorf("%s: %d calls succeeded, want %d", p.name, got, calls)
	}
	if got := p.count(t, "FailedCall(C)"); got != 0 {
		t.Errorf("%s: %d calls failed, want none:\n%s", p.name, got, p.failures())
	}
}

func (p *sippProcess) wait(limit time.Duration) error {
	select {
	case err := <-p.exited:
		return err
	case <-time.After(limit):
		return fmt.Errorf("no end within %v", limit)
	}
}

// count reads a column of the last row of SIPp's statistics.
func (p *sippProcess) count(t *testing.T, column string) int {
	t.Helper()
	f, err := os.Open(filepath.Join(p.dir, p.name+".csv"))
	if err != nil {
		t.Error(err)
		return -1
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.Comma, r.FieldsPerRecord, r.LazyQuotes = ';', -1, true
	rows, err := r.ReadAll()
	if err != nil || len(rows) < 2 {
		t.Errorf("SIPp's statistics have %d rows (%v)", len(rows), err)
		return -1
	}
	last := rows[len(rows)-1]
	for i, name := range rows[0] {
		if name == column && i < len(last) {
			n, err := strconv.Atoi(last[i])
			if err != nil {
				t.Errorf("%s of SIPp's %s: %v", column, p.name, err)
			}
			return n
		}
	}
	t.Errorf("SIPp's statistics have no column %q", column)
	return -1
}

// failures is what SIPp noted of unexpected messages, at most 4,000 bytes, or else the end of its last screen.
func (p *sippProcess) failures() string {
	text, err := os.ReadFile(filepath.Join(p.dir, p.name+".err"))
	if err == nil && len(text) > 0 {
		return string(text[:min(len(text), 4000)])
	}
	screen := p.log.String()
	return screen[max(0, len(screen)-2000):]
}
