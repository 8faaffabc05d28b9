package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A process is a running sallyport.
type process struct {
	cmd    *exec.Cmd
	stdout *printed
	stderr *printed
	ended  chan struct{} // closed when it is over; its status is in cmd.ProcessState then
}

// printed collects what a process prints while the test reads it.
type printed struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (o *printed) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *printed) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// start runs sallyport in dir. When the test ends and it still runs, it is killed.
func start(t *testing.T, dir string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(binary, args...), stdout: &printed{}, stderr: &printed{}, ended: make(chan struct{})}
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, p.stdout, p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-p.ended
		if t.Failed() {
			t.Logf("sallyport %s printed:\n%s", strings.Join(args, " "), tail(p.stderr.String(), 40))
		}
	})
	return p
}

// tail is the last lines of a text.
func tail(text string, lines int) string {
	all := strings.SplitAfter(text, "\n")
	return strings.Join(all[max(0, len(all)-lines):], "")
}

// startServe writes a configuration into dir, starts the gateway on it with a log in JSON, and waits until it serves.
func startServe(t *testing.T, dir, config string) *process {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "sallyport.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, dir, "serve", "--log-format", "json")
	soon(t, "the gateway serves", func() bool { return len(p.logged("serving")) > 0 || p.over() })
	if p.over() {
		t.Fatalf("the gateway ended at once:\n%s", p.stderr)
	}
	return p
}

func (p *process) over() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// terminate sends SIGTERM and wants the end with status 0 within the time that the gateway allows itself, and a bit.
func (p *process) terminate(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "windows" {
		return // there is no such signal
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.wantStatus(t, 0)
}

// wantStatus waits for the end.
func (p *process) wantStatus(t *testing.T, want int) {
	t.Helper()
	select {
	case <-p.ended:
		if got := p.cmd.ProcessState.ExitCode(); got != want {
			t.Errorf("ended with %v, want status %d", p.cmd.ProcessState, want)
		}
	case <-time.After(10 * time.Second):
		p.cmd.Process.Signal(syscall.SIGQUIT) // every goroutine's stack, for the reader of the failure
		<-p.ended
		t.Errorf("not over within 10 s:\n%s", p.stderr)
	}
}

// A logLine is one of "serve --log-format json".
type logLine struct {
	Msg        string `json:"msg"`
	Connection uint64 `json:"connection"`
	Transport  string `json:"transport"`
	Remote     string `json:"remote"`
	Peer       string `json:"peer"`
	Cause      string `json:"cause"`
}

// logged returns the lines with this message.
func (p *process) logged(msg string) []logLine {
	var found []logLine
	for text := range strings.Lines(p.stderr.String()) {
		var line logLine
		if json.Unmarshal([]byte(text), &line) == nil && line.Msg == msg {
			found = append(found, line)
		}
	}
	return found
}

// soon waits until something is so. The limit is for machines that do much else.
func soon(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// sallyport runs a command to its end, wants status 0 and returns its standard output.
func sallyport(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("sallyport %s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	return string(out)
}
