//go:build interop

package e2e

import (
	"encoding/csv"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// The load that SIPp puts through the gateway: its built-in caller and answerer.
const (
	sippCalls = 500
	sippRate  = 50 // calls a second
)

// SIPp stands on two loopback addresses, so that the gateway can tell the caller from the answerer on TCP, where the
// port of a source says nothing.
const (
	callerHost   = "127.0.0.1"
	answererHost = "127.0.0.2"
)

func TestSIPp(t *testing.T) {
	need(t, "sipp", "sip-tester")
	for _, transport := range []string{"udp", "tcp"} {
		t.Run(transport, func(t *testing.T) { sippThrough(t, transport) })
	}
}

// sippThrough places the calls over one transport on both legs, and wants all of them to have succeeded at both ends.
func sippThrough(t *testing.T, transport string) {
	dir := t.TempDir()
	gatewayPort, admin := freePort(t, callerHost), freePort(t, callerHost)
	caller, answerer := freePort(t, callerHost), freePort(t, answererHost)
	accept := fmt.Sprintf("%q", callerHost)
	if transport == "udp" {
		accept = fmt.Sprintf("%q", net.JoinHostPort(callerHost, caller))
	}
	config := fmt.Sprintf(`
listeners:
  lan-tcp: {listen: "tcp:%[1]s:%[3]s"}
  lan-udp: {listen: "udp:%[1]s:%[3]s"}
profiles:
  lan: {sips: never}
peers:
  caller:   {uri: "sip:%[1]s:%[4]s;transport=%[7]s", accept_from: [%[8]s], profile: lan}
  answerer: {uri: "sip:%[2]s:%[5]s;transport=%[7]s", accept_from: [%[2]q], profile: lan}
routes:
  - {from: [caller], number: "+49*", to: [answerer]}
admin: {listen: "%[1]s:%[6]s"}
data: ./data
`, callerHost, answererHost, gatewayPort, caller, answerer, admin, transport, accept)
	serve(t, dir, config, net.JoinHostPort(callerHost, gatewayPort))

	mode := map[string]string{"udp": "u1", "tcp": "t1"}[transport]
	uas := sipp(t, dir, "uas", mode, answererHost, answerer)
	uac := sipp(t, dir, "uac", mode, callerHost, caller, net.JoinHostPort(callerHost, gatewayPort),
		"-s", "+4930123456", "-r", strconv.Itoa(sippRate))
	for _, p := range []*sippProcess{uac, uas} {
		if err := p.wait(90 * time.Second); err != nil {
			t.Errorf("SIPp's %s ended with %v, want status 0:\n%s", p.name, err, p.failures())
		}
		if got := p.count(t, "SuccessfulCall(C)"); got != sippCalls {
			t.Errorf("%s: %d calls succeeded, want %d", p.name, got, sippCalls)
		}
		if got := p.count(t, "FailedCall(C)"); got != 0 {
			t.Errorf("%s: %d calls failed, want none:\n%s", p.name, got, p.failures())
		}
		if got := p.count(t, "Retransmissions(C)"); transport == "tcp" && got != 0 {
			t.Errorf("%s: %d retransmissions on TCP, want none", p.name, got)
		}
		if t.Failed() {
			return // the answerer would wait in vain for calls that never came
		}
	}
}

// A sippProcess is a running SIPp with one of its built-in scenarios.
type sippProcess struct {
	name   string
	dir    string
	cmd    *exec.Cmd
	log    *log
	exited chan error
}

func sipp(t *testing.T, dir, scenario, mode, host, port string, more ...string) *sippProcess {
	t.Helper()
	args := append([]string{
		"-sn", scenario, "-t", mode, "-i", host, "-p", port, "-bind_local", "-nostdin", "-m", strconv.Itoa(sippCalls),
		"-timeout", "80", "-timeout_error", "-trace_stat", "-stf", scenario + ".csv", "-fd", "1",
		"-trace_err", "-error_file", scenario + ".err",
	}, more...)
	p := &sippProcess{name: scenario, dir: dir, cmd: exec.Command("sipp", args...), log: &log{}, exited: make(chan error, 1)}
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, p.log, p.log
	p.cmd.Env = append(os.Environ(), "TERM=dumb")
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.exited <- p.cmd.Wait() }()
	t.Cleanup(func() { p.cmd.Process.Kill() })
	return p
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
	if err == nil {
		return string(text[:min(len(text), 4000)])
	}
	screen := p.log.String()
	return screen[max(0, len(screen)-2000):]
}
