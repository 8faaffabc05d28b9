//go:build unix

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sallyport-sip/sallyport/sip/ua"
)

// rewrite changes the file of a site's gateway.
func (s *site) rewrite(t *testing.T, config string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, "sallyport.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
}

// signal sends the gateway a signal.
func (s *site) signal(t *testing.T, sig os.Signal) {
	t.Helper()
	if err := s.gateway.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

// logs waits for a line in the gateway's log.
func (s *site) logs(t *testing.T, msg string) {
	t.Helper()
	soon(t, "the gateway says: "+msg, func() bool { return len(s.gateway.logged(msg)) > 0 || s.gateway.over() })
}

// A gateway that is told to stop takes no new call, waits for those it has, and
// ends when the last one has ended by itself.
func TestStopWaitsForCalls(t *testing.T) {
	t.Parallel()
	s := newSite(t, "127.0.0.1", "1.3", "1.3", "ca")
	s.rewrite(t, strings.Replace(s.config, "drain: 0", "drain: 5m", 1))
	sallyport(t, s.dir, "reload")
	ctx, cancel := context.WithTimeout(t.Context(), sitePatience)
	defer cancel()
	ours, theirs := s.talk(ctx, t)
	s.signal(t, syscall.SIGTERM)
	s.logs(t, "draining: new calls are refused, calls may end by themselves")
	_, err := s.call(ctx, t, "+490", ua.InviteOptions{})
	if no, ok := errors.AsType[*ua.ResponseError](err); !ok || no.Code != 503 {
		t.Errorf("a new call: got %v, want 503", err)
	}
	answer, err := http.Get("http://" + s.admin + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("healthz: got %s", answer.Status)
	}
	if err := theirs.Bye(ctx); err != nil {
		t.Errorf("BYE: %v", err)
	}
	wantOver(ctx, t, ours)
	s.gateway.wantStatus(t, 0)
	if len(s.gateway.logged("ending the calls that are left")) > 0 {
		t.Error("it has ended calls itself")
	}
}

// A second signal ends the calls that are left at once, with BYE.
func TestSecondSignalEndsCalls(t *testing.T) {
	t.Parallel()
	s := newSite(t, "127.0.0.1", "udp", "1.3", "ca")
	s.rewrite(t, strings.Replace(s.config, "drain: 0", "drain: 1h", 1))
	sallyport(t, s.dir, "reload")
	ctx, cancel := context.WithTimeout(t.Context(), sitePatience)
	defer cancel()
	ours, theirs := s.talk(ctx, t)
	s.signal(t, syscall.SIGTERM)
	s.logs(t, "draining: new calls are refused, calls may end by themselves")
	s.signal(t, syscall.SIGTERM)
	s.gateway.wantStatus(t, 0)
	wantOver(ctx, t, ours)
	wantOver(ctx, t, theirs)
}

// A reload with other certificates and another route leaves the calls that are
// up alone; new ones go by what it says.
func TestReloadKeepsCalls(t *testing.T) {
	t.Parallel()
	s := newSite(t, "127.0.0.1", "1.3", "1.2", "ca")
	ctx, cancel := context.WithTimeout(t.Context(), sitePatience)
	defer cancel()
	ours, theirs := s.talk(ctx, t)

	sallyport(t, s.dir, "cert", "issue", "--ca", "ca.pem", "--force", "--sip", "gateway.example", "--dns", "gateway.example", "--out", "gateway.pem")
	s.rewrite(t, strings.Replace(s.config, `number: "+49*"`, `number: "+44*"`, 1))
	if said := sallyport(t, s.dir, "reload"); !strings.HasPrefix(said, "sallyport.yaml: taken: version ") {
		t.Errorf("reload says %q", said)
	}
	_, err := s.call(ctx, t, "+490", ua.InviteOptions{})
	if no, ok := errors.AsType[*ua.ResponseError](err); !ok || no.Code != 404 {
		t.Errorf("got %v, want 404 by the new route", err)
	}
	if err := ours.Bye(ctx); err != nil {
		t.Errorf("BYE: %v", err)
	}
	wantOver(ctx, t, theirs)
	s.gateway.terminate(t)
}

// status is the part of "sallyport status --json" that tests look at.
type gatewayStatus struct {
	State         string
	Calls         int
	Configuration struct {
		Version string
		Reloads int
		Refused *struct{ Problems []struct{ Line int } }
	}
	Peers []struct {
		Name    string
		Up      bool
		In, Out struct{ Calls, Answered int }
	}
	Connections struct{ Open int }
}

func TestStatusOfARunningGateway(t *testing.T) {
	t.Parallel()
	s := newSite(t, "127.0.0.1", "1.3", "udp", "ca")
	ctx, cancel := context.WithTimeout(t.Context(), sitePatience)
	defer cancel()
	ours, theirs := s.talk(ctx, t)
	var st gatewayStatus
	if err := json.Unmarshal([]byte(sallyport(t, s.dir, "status", "--json")), &st); err != nil {
		t.Fatal(err)
	}
	if st.State != "serving" || st.Calls != 1 || st.Connections.Open != 1 || len(st.Peers) != 2 ||
		st.Peers[0].Name != "caller" || st.Peers[0].In.Calls != 1 || st.Peers[1].Out.Calls != 1 || !st.Peers[1].Up {
		t.Errorf("got %+v", st)
	}
	page := sallyport(t, s.dir, "status")
	for _, word := range []string{"serving for ", "1 call", "sallyport.yaml", "outside: tls 127.0.0.1:", "caller", "answerer", "alarms"} {
		if !strings.Contains(page, word) {
			t.Errorf("the page has no %q:\n%s", word, page)
		}
	}
	for line := range strings.Lines(page) {
		if n := len([]rune(strings.TrimRight(line, "\n"))); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	if err := ours.Bye(ctx); err != nil {
		t.Errorf("BYE: %v", err)
	}
	wantOver(ctx, t, theirs)
	soon(t, "the call is gone", func() bool {
		err := json.Unmarshal([]byte(sallyport(t, s.dir, "status", "--json")), &st)
		return err == nil && st.Calls == 0 && st.Peers[0].In.Answered == 1
	})
	s.gateway.terminate(t)
	if _, err := os.Stat(filepath.Join(s.dir, "data", "sallyport.sock")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

// A gateway that was killed leaves its socket and its data; the next one starts
// with both.
func TestStartAfterAKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := plainConfig(someAddresses(t, "127.0.0.1", 1)[0])
	for range 2 {
		p := startServe(t, dir, config)
		soon(t, "it answers", func() bool { return strings.Contains(sallyport(t, dir, "status"), "serving for") })
		p.cmd.Process.Kill()
		<-p.ended
	}
	p := startServe(t, dir, config)
	sallyport(t, dir, "status")
	p.terminate(t)
}
