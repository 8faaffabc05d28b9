//go:build unix

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// trustDiff runs the command, and returns its exit status and what it printed.
func (s *site) trustDiff(t *testing.T, args ...string) (status int, out string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, append([]string{"trust", "diff"}, args...)...)
	cmd.Dir = s.dir
	b, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode(), string(b)
	} else if err != nil {
		t.Fatal(err)
	}
	return 0, string(b)
}

// What a staged configuration would do is told by the gateway that runs, and from its data when it has stopped.
func TestTrustDiff(t *testing.T) {
	t.Parallel()
	s := newSite(t, "127.0.0.1", "1.3", "1.2", "ca")
	ctx, cancel := context.WithTimeout(t.Context(), sitePatience)
	defer cancel()
	ours, theirs := s.talk(ctx, t)
	sallyport(t, s.dir, "cert", "ca", "--name", "wrong", "--out", "wrong.pem")
	sallyport(t, s.dir, "cert", "issue", "--ca", "wrong.pem", "--sip", "gateway.example", "--out", "renewed.pem")
	stage := func(name string, pieces ...string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(strings.NewReplacer(pieces...).Replace(s.config)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	stage("same.yaml")
	// The answerer stays with the right root, and the caller gets the wrong one.
	stage("wrong.yaml", "partners: {files: [ca.pem]}", "partners: {files: [ca.pem]}, wrong: {files: [wrong.pem]}", "certificate_names: [caller.example]", "certificate_names: [caller.example], trust: [wrong]")
	stage("ours.yaml", "certificate: gateway.pem, key: gateway-key.pem", "certificate: renewed.pem, key: renewed-key.pem")
	stage("bad.yaml", "ca.pem", "nothing.pem")
	ask := func(running bool) {
		t.Helper()
		for _, test := range []struct {
			file   string
			status int
			says   []string
			not    string
		}{
			{"same.yaml", 0, []string{"unaffected: 2 peers"}, "would stop"},
			{"wrong.yaml", 1, []string{"would stop verifying: 1 peer", "caller", "when it calls us on listener outside", "is signed by CN=ca, which is not trusted here", "[unknown_ca]", "remedy:", "unaffected: 1 peer"}, "answerer"},
			{"ours.yaml", 0, []string{"would see another certificate from us: 2 peers", "on listener outside: caller", "when we call: ", "answerer", "from CN=wrong", "see to it that they trust CN=wrong"}, "would stop"},
			{"bad.yaml", 1, []string{"nothing.pem", "there is no such file"}, "unaffected"},
		} {
			status, out := s.trustDiff(t, "--config", test.file)
			flat := strings.Join(strings.Fields(out), " ")
			for _, part := range test.says {
				if !strings.Contains(flat, part) {
					t.Errorf("running %v, %s: it does not say %q:\n%s", running, test.file, part, out)
				}
			}
			if status != test.status || strings.Contains(flat, test.not) {
				t.Errorf("running %v, %s: status %d, want %d:\n%s", running, test.file, status, test.status, out)
			}
			if live := strings.Contains(flat, "1 connection with 1 call"); live != (running && test.file == "wrong.yaml") {
				t.Errorf("running %v, %s: concerned are:\n%s", running, test.file, out)
			}
			for line := range strings.Lines(out) {
				if n := len([]rune(line)); n > 81 && test.file != "bad.yaml" {
					t.Errorf("%d columns: %s", n, line)
				}
			}
		}
		var doc struct {
			Breaks bool
			Peers  []struct{ Peer, State string }
		}
		_, out := s.trustDiff(t, "--config", "wrong.yaml", "--running", "sallyport.yaml", "--json")
		if err := json.Unmarshal([]byte(out), &doc); err != nil || !doc.Breaks || len(doc.Peers) != 2 || doc.Peers[0].State != "stops" {
			t.Errorf("running %v: got %v, %s", running, err, out)
		}
	}
	ask(true)
	if err := ours.Bye(ctx); err != nil {
		t.Error(err)
	}
	wantOver(ctx, t, theirs)
	s.gateway.terminate(t)
	ask(false)

	if status, out := s.trustDiff(t, "--config", "same.yaml", "--data", "nowhere"); status != 1 || !strings.Contains(out, "nowhere") {
		t.Errorf("no data: status %d: %s", status, out)
	}
	if status, out := s.trustDiff(t, "--confg", "same.yaml"); status != 2 {
		t.Errorf("a wrong flag: status %d: %s", status, out)
	}
}
