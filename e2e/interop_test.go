//go:build interop

package e2e

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A gateway is a running "sallyport serve".
type gateway struct {
	cmd *exec.Cmd
	log *log // its standard output and standard error
}

// log collects what a process prints, line by line, while the test reads it.
type log struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Len is how much has been printed: String()[Len():] later is what came since.
func (l *log) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Len()
}

// wants waits until what was printed after offset from has all the words on one line.
func (l *log) wants(t *testing.T, from int, words ...string) {
	t.Helper()
	found := eventually(5*time.Second, func() bool {
		for line := range strings.Lines(l.String()[from:]) {
			if hasAll(line, words) {
				return true
			}
		}
		return false
	})
	if !found {
		t.Errorf("no line of the log has all of %q:\n%s", words, l.String()[from:])
	}
}

func hasAll(line string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(line, w) {
			return false
		}
	}
	return true
}

// serve writes config into dir, starts the gateway on it and waits until it serves. When the test ends, SIGTERM must
// end the gateway with status 0.
func serve(t *testing.T, dir, config string) *gateway {
	t.Helper()
	file := filepath.Join(dir, "sallyport.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	g := &gateway{cmd: exec.Command(binary, "serve", "--config", file), log: &log{}}
	g.cmd.Stdout, g.cmd.Stderr = g.log, g.log
	if err := g.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- g.cmd.Wait() }()
	t.Cleanup(func() { g.stop(t, ended) })
	if !eventually(10*time.Second, func() bool { return strings.Contains(g.log.String(), "msg=serving") || len(ended) > 0 }) {
		t.Fatalf("the gateway does not serve:\n%s", g.log)
	}
	return g
}

func (g *gateway) stop(t *testing.T, ended <-chan error) {
	if err := g.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("SIGTERM: %v; its log:\n%s", err, g.log)
		return
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("the gateway ended with %v, want status 0 after SIGTERM; its log:\n%s", err, g.log)
		}
	case <-time.After(10 * time.Second):
		g.cmd.Process.Kill()
		t.Errorf("the gateway did not end within 10 s of SIGTERM; its log:\n%s", g.log)
	}
	if t.Failed() {
		t.Logf("the gateway's log:\n%s", g.log)
	}
}

// eventually tries until ok or the time is over, and returns the last answer.
func eventually(limit time.Duration, ok func() bool) bool {
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if ok() {
			return true
		}
	}
	return ok()
}

// need returns the path of a program that this test drives. Without it the test fails in CI, which installs it, and is
// skipped elsewhere.
func need(t *testing.T, program, debianPackage string) string {
	t.Helper()
	name, err := exec.LookPath(program)
	switch {
	case err == nil:
		return name
	case os.Getenv("CI") != "":
		t.Fatalf("%s is missing: apt-get install %s", program, debianPackage)
	}
	t.Skipf("%s is not installed (Debian: %s)", program, debianPackage)
	return ""
}

// output runs a program to its end, at most for limit, and returns what it printed and its exit status.
func output(t *testing.T, limit time.Duration, stdin string, name string, args ...string) (text string, status int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("%s did not end within %v:\n%s", filepath.Base(name), limit, out)
	}
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}
