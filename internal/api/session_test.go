package api

import (
	"crypto/tls"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/internal/events"
	"github.com/sallyport-sip/sallyport/internal/gateway"
	"github.com/sallyport-sip/sallyport/internal/guard"
)

// browser asks as a page does: over HTTPS, by one host, with the cookies that it was given.
type browser struct {
	http.Handler
	cookies []*http.Cookie
}

func (b *browser) ask(method, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Host, r.TLS = "api.example", &tls.ConnectionState{}
	r.Header.Set("Origin", "https://api.example")
	for _, c := range b.cookies {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	b.ServeHTTP(w, r)
	if got := w.Result().Cookies(); len(got) > 0 {
		b.cookies = got
	}
	return w
}

func (b *browser) role(t *testing.T) string {
	t.Helper()
	var doc Session
	if err := json.Unmarshal(b.ask("GET", "/api/v1/session", "").Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	return doc.Role
}

func (b *browser) signIn(token string) *httptest.ResponseRecorder {
	return b.ask("POST", "/api/v1/session", `{"token": "`+token+`"}`)
}

// People sign in with a token, may do what it lets them until they sign out, and no longer than the token is the gateway's.
func TestSession(t *testing.T) {
	g, dir := running(t, guarded)
	h := newServer(g, Options{}).Handler(false)
	for _, test := range []struct {
		token, role string
		reads, acts int
	}{{token, "reader", 200, 403}, {operatorToken, "operator", 200, 200}} {
		b := &browser{Handler: h}
		if got := b.role(t); got != "none" {
			t.Errorf("before: %s", got)
		}
		if got := b.ask("GET", "/api/v1/calls", "").Code; got != 401 {
			t.Errorf("before: %d", got)
		}
		w := b.signIn(test.token)
		if w.Code != 200 {
			t.Fatalf("%s: %d %s", test.role, w.Code, w.Body)
		}
		c := w.Result().Cookies()[0]
		if !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" || strings.Contains(c.Value, test.token) {
			t.Errorf("%s: cookie %v", test.role, c)
		}
		if got := b.role(t); got != test.role {
			t.Errorf("signed in as %s, want %s", got, test.role)
		}
		if got := b.ask("GET", "/api/v1/calls", "").Code; got != test.reads {
			t.Errorf("%s reads: %d", test.role, got)
		}
		if got := b.ask("POST", "/api/v1/reload", "").Code; got != test.acts {
			t.Errorf("%s acts: %d", test.role, got)
		}
		kept := b.cookies
		if got := b.ask("DELETE", "/api/v1/session", "").Code; got != 204 {
			t.Errorf("sign out: %d", got)
		}
		b.cookies = kept // a browser forgets it; a thief does not
		if got := b.role(t); got != "none" {
			t.Errorf("after signing out: %s", got)
		}
	}

	b := &browser{Handler: h}
	b.signIn(operatorToken)
	if err := os.WriteFile(filepath.Join(dir, "operator"), []byte("another-operator-token"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := g.Reload(); len(r.Problems) > 0 {
		t.Fatal(r.Problems)
	}
	if got := b.role(t); got != "none" {
		t.Errorf("with a token that is no longer the gateway's: %s", got)
	}
}

func TestWrongTokens(t *testing.T) {
	g, _ := running(t, guarded)
	b := &browser{Handler: newServer(g, Options{}).Handler(false)}
	for _, body := range []string{"", "token", `{"token": 7}`, `{"token": ""}`} {
		if w := b.ask("POST", "/api/v1/session", body); w.Code != 400 || !strings.Contains(w.Body.String(), "admin.token_file") {
			t.Errorf("%q: %d %s", body, w.Code, w.Body)
		}
	}
	for range maxTries {
		if w := b.signIn("guessed-by-somebody"); w.Code != 403 || len(b.cookies) > 0 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	if w := b.signIn(token); w.Code != 429 || w.Header().Get("Retry-After") == "" {
		t.Errorf("after %d wrong ones: %d", maxTries, w.Code)
	}
}

// The two tokens must differ, or whoever may look could act.
func TestOneTokenForBoth(t *testing.T) {
	g, dir := running(t, guarded)
	if err := os.WriteFile(filepath.Join(dir, "operator"), []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := g.Reload(); len(r.Problems) != 1 || !strings.Contains(r.Problems[0].String(), "the operator's token is that of readers") {
		t.Errorf("got %v", r.Problems)
	}
}

// A session ends by its time, there are no more than so many, and the counting of wrong tokens begins anew each minute.
func TestSessionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(file, []byte(operatorToken), 0o600); err != nil {
			t.Fatal(err)
		}
		operators, err := guard.ReadToken(file)
		if err != nil {
			t.Fatal(err)
		}
		a := gateway.Admin{NeedsToken: true, Operator: operators}
		var s sessions
		may := func(secret string) role {
			r := httptest.NewRequest("GET", "/", nil)
			r.AddCookie(sessionCookie(secret, 1))
			return s.role(r, a)
		}
		first, until := s.begin(operators, time.Now())
		if may(first) != roleOperator || may("guessed") != roleNone {
			t.Error("a session is that of who has its secret")
		}
		time.Sleep(time.Until(until) - 1)
		second, _ := s.begin(operators, time.Now())
		if may(first) != roleOperator {
			t.Error("ended before its time")
		}
		time.Sleep(time.Nanosecond)
		if may(first) != roleNone || may(second) != roleOperator {
			t.Error("did not end by its time")
		}
		for range maxSessions {
			time.Sleep(time.Second)
			s.begin(operators, time.Now())
		}
		if len(s.open) != maxSessions || may(second) != roleNone {
			t.Errorf("%d sessions, want %d, the newest", len(s.open), maxSessions)
		}
		for range maxTries {
			s.mayTry("192.0.2.1", time.Now())
			s.failed("192.0.2.1")
		}
		if s.mayTry("192.0.2.1", time.Now()) || !s.mayTry("192.0.2.2", time.Now()) {
			t.Error("the one who tried must wait, another must not")
		}
		time.Sleep(time.Minute)
		if !s.mayTry("192.0.2.1", time.Now()) {
			t.Error("a minute later it may try again")
		}
	})
}

// A stream of events ends with the session by which it was opened.
func TestEventsEndWithTheSession(t *testing.T) {
	g, _ := running(t, guarded)
	s := newServer(g, Options{})
	b := &browser{Handler: s.Handler(false)}
	b.signIn(token)
	reader := &browser{Handler: b.Handler, cookies: b.cookies}
	ended := make(chan string, 1)
	go func() { ended <- reader.ask("GET", "/api/v1/events", "").Body.String() }()
	for s.readers.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	b.ask("DELETE", "/api/v1/session", "")
	for range 1000 {
		g.Emit(&events.Event{Type: events.CallBusy})
		select {
		case got := <-ended:
			if !strings.Contains(got, "signed out") {
				t.Errorf("ended with %q", got)
			}
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
	t.Fatal("who is signed out reads on")
}
