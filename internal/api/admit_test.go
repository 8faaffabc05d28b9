package api

import (
	"crypto/tls"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// guarded has HTTPS and a token.
const guarded = `identities: {api: {certificate: gw.pem, key: gw-key.pem}}
admin: {listen: "127.0.0.1:0", identity: api, token_file: token, operator_token_file: operator}
`

func TestAdmit(t *testing.T) {
	g, _ := running(t, "admin: {listen: \"127.0.0.1:0\"}\n")
	clear := newServer(g, Options{}).Handler(false)
	g, _ = running(t, guarded)
	secure := newServer(g, Options{}).Handler(false)
	bear, acts := http.Header{"Authorization": {"Bearer " + token}}, http.Header{"Authorization": {"Bearer " + operatorToken}}
	for _, test := range []struct {
		name         string
		handler      http.Handler
		method, path string
		host         string
		header       http.Header
		tls          bool
		status       int
	}{
		{"this machine", clear, "GET", "/api/v1/calls", "127.0.0.1:8061", nil, false, 200},
		{"by name", clear, "GET", "/api/v1/calls", "localhost:8061", nil, false, 200},
		{"IPv6", clear, "GET", "/api/v1/calls", "[::1]:8061", nil, false, 200},
		{"IPv6, no port", clear, "GET", "/api/v1/calls", "[::1]", nil, false, 200},
		{"a name that leads here", clear, "GET", "/api/v1/calls", "evil.example:8061", nil, false, 421},
		{"another address", clear, "GET", "/api/v1/calls", "192.0.2.1:8061", nil, false, 421},
		{"no host", clear, "GET", "/api/v1/calls", "", nil, false, 421},
		{"health of any name", clear, "GET", "/healthz", "evil.example", nil, false, 200},
		{"script that would act", clear, "POST", "/api/v1/reload", "localhost", nil, false, 403},
		{"page of another site", clear, "POST", "/api/v1/reload", "localhost", http.Header{"Origin": {"https://evil.example"}}, false, 403},
		{"fetched across sites", clear, "POST", "/api/v1/reload", "localhost", http.Header{"Sec-Fetch-Site": {"cross-site"}}, false, 403},

		{"with the token", secure, "GET", "/api/v1/calls", "api.example", bear, true, 200},
		{"scheme in capitals", secure, "GET", "/api/v1/calls", "api.example", http.Header{"Authorization": {"BEARER " + token}}, true, 200},
		{"metrics too", secure, "GET", "/metrics", "api.example", bear, true, 200},
		{"no token", secure, "GET", "/api/v1/calls", "api.example", nil, true, 401},
		{"metrics, no token", secure, "GET", "/metrics", "api.example", nil, true, 401},
		{"nothing there, no token", secure, "GET", "/nothing", "api.example", nil, true, 401},
		{"wrong token", secure, "GET", "/api/v1/calls", "api.example", http.Header{"Authorization": {"Bearer " + token + "x"}}, true, 401},
		{"half a token", secure, "GET", "/api/v1/calls", "api.example", http.Header{"Authorization": {"Bearer " + token[1:]}}, true, 401},
		{"empty token", secure, "GET", "/api/v1/calls", "api.example", http.Header{"Authorization": {"Bearer "}}, true, 401},
		{"another scheme", secure, "GET", "/api/v1/calls", "api.example", http.Header{"Authorization": {"Basic " + token}}, true, 401},
		{"clear", secure, "GET", "/api/v1/calls", "api.example", bear, false, 403},
		{"reader who would act", secure, "POST", "/api/v1/reload", "api.example", bear, true, 403},
		{"reader who would end a call", secure, "POST", "/api/v1/calls/1/end", "api.example", bear, true, 403},
		{"reader who would try a configuration", secure, "POST", "/api/v1/trust/diff", "api.example", bear, true, 403},
		{"operator reads", secure, "GET", "/api/v1/calls", "api.example", acts, true, 200},
		{"operator acts", secure, "POST", "/api/v1/reload", "api.example", acts, true, 200},
		{"operator ends a call that is not there", secure, "POST", "/api/v1/calls/1/end", "api.example", acts, true, 404},
		{"operator ends what is no call", secure, "POST", "/api/v1/calls/one/end", "api.example", acts, true, 400},
		{"operator ends one of another run", secure, "POST", "/api/v1/calls/another-1/end", "api.example", acts, true, 404},
		{"operator on our page", secure, "POST", "/api/v1/reload", "api.example", http.Header{"Authorization": acts["Authorization"], "Origin": {"https://api.example"}}, true, 200},
		{"operator sent by another page", secure, "POST", "/api/v1/reload", "api.example", http.Header{"Authorization": acts["Authorization"], "Origin": {"https://evil.example"}}, true, 403},
		{"who am I, without a token", secure, "GET", "/api/v1/session", "api.example", nil, true, 200},
		{"wrong host", secure, "GET", "/api/v1/calls", "evil.example", bear, true, 421},
		{"health without a token", secure, "GET", "/healthz", "api.example", nil, true, 200},
	} {
		r := httptest.NewRequest(test.method, test.path, nil)
		r.Host, r.TLS = test.host, nil
		if test.tls {
			r.TLS = &tls.ConnectionState{}
		}
		maps.Copy(r.Header, test.header)
		w := httptest.NewRecorder()
		test.handler.ServeHTTP(w, r)
		if w.Code != test.status {
			t.Errorf("%s: got %d, want %d: %s", test.name, w.Code, test.status, w.Body)
		}
		if challenge := w.Header().Get("WWW-Authenticate"); (challenge == `Bearer realm="sallyport"`) != (test.status == 401) {
			t.Errorf("%s: challenge %q", test.name, challenge)
		}
	}
}

// The API over HTTPS takes a new token and a new certificate with a reload.
func TestGuardFollowsTheFiles(t *testing.T) {
	s, dir := started(t, guarded)
	ask := func(token string) int {
		t.Helper()
		c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
		r, err := http.NewRequest("GET", "https://"+s.Addr()+"/api/v1/calls", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		answer, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		return answer.StatusCode
	}
	if got := ask(token); got != 200 {
		t.Errorf("got %d", got)
	}
	if _, err := http.Get("http://" + s.Addr() + "/api/v1/calls"); err != nil && !strings.Contains(err.Error(), "HTTP") {
		t.Errorf("clear: got %v", err)
	}
	write := func(text string) {
		if err := os.WriteFile(filepath.Join(dir, "token"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("short")
	if r := s.gateway.Reload(); len(r.Problems) != 1 || !strings.Contains(r.Problems[0].String(), "fewer than 16 characters") {
		t.Errorf("got %v", r.Problems)
	}
	if got := ask(token); got != 200 {
		t.Errorf("after a reload that was refused: got %d", got)
	}
	write("another-token-of-this-api")
	if r := s.gateway.Reload(); len(r.Problems) > 0 {
		t.Fatal(r.Problems)
	}
	if a, b := ask(token), ask("another-token-of-this-api"); a != 401 || b != 200 {
		t.Errorf("old token: %d, new token: %d", a, b)
	}
}

func TestManyConnectionsAreBounded(t *testing.T) {
	s, _ := started(t, "admin: {listen: \"127.0.0.1:0\"}\n")
	var open []net.Conn
	defer func() {
		for _, c := range open {
			c.Close()
		}
	}()
	for range maxConns {
		c, err := net.Dial("tcp", s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
	}
	c, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("one more is served")
	}
	c.Close()
	open[0].Close()
	open = open[1:]
	for { // until the server has noticed
		answer, err := http.Get("http://" + s.Addr() + "/healthz")
		if err == nil {
			answer.Body.Close()
			return
		}
	}
}
