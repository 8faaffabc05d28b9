package api

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/gateway"
	"github.com/sallyport-sip/sallyport/internal/memnet"
	"github.com/sallyport-sip/sallyport/internal/testca"
)

// plain is a file without TLS.
const plain = `listeners: {lan: {listen: "udp:192.0.2.1:5060"}}
peers:
  office: {uri: "sip:192.0.2.2", limits: {calls_in: 3}}
  acme: {uri: "sip:192.0.2.3"}
cdr: off
`

const token = "correct-horse-battery"

// operatorToken is that of who may also act.
const operatorToken = "battery-staple-operator"

// running returns a gateway on an in-memory network, and its directory. Its file
// is plain and what more says. The directory has a certificate for api.example
// and a token.
func running(t *testing.T, more string) (*gateway.Gateway, string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "api") // short, for the socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	gw := testca.New("test CA").Leaf("api.example")
	for name, b := range map[string][]byte{
		"sallyport.yaml": []byte(plain + more), "gw.pem": gw.PEM(), "gw-key.pem": gw.KeyPEM(), "token": []byte(token + "\n"), "operator": []byte(operatorToken + "\n"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, problems := config.Load(filepath.Join(dir, "sallyport.yaml"))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	g, problems := gateway.New(cfg, gateway.Options{Network: memnet.New(memnet.Options{})})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if err := g.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Close(context.Background()) })
	return g, dir
}

// started returns a server of such a gateway, and its directory.
func started(t *testing.T, more string) (*Server, string) {
	t.Helper()
	g, dir := running(t, more)
	s, err := Start(g, Options{Version: "v1.2.3"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(context.Background()) })
	return s, dir
}

func TestHandler(t *testing.T) {
	g, _ := running(t, "")
	handler := newServer(g, Options{}).Handler(true)
	for _, test := range []struct {
		method, path string
		status       int
		kind, body   string
	}{
		{"GET", "/healthz", 200, "text/plain; charset=utf-8", "ok\n"},
		{"GET", "/metrics", 200, "text/plain; version=0.0.4; charset=utf-8; escaping=underscores", ""},
		{"GET", "/api/v1/status", 200, "application/json", ""},
		{"GET", "/api/v1/calls", 200, "application/json", `{"calls":[]}` + "\n"},
		{"GET", "/api/v1/peers", 200, "application/json", ""},
		{"GET", "/api/v1/connections", 200, "application/json", `{"connections":[]}` + "\n"},
		{"GET", "/api/v1/flows", 200, "application/json", `{"version":1,"flows":[],"next":"","cut":false,"dropped":0}` + "\n"},
		{"GET", "/api/v1/flows?limit=-1", 400, "text/plain; charset=utf-8", "limit \"-1\" is no whole number from 0 on\n"},
		{"GET", "/api/v1/reload", 405, "text/plain; charset=utf-8", "Method Not Allowed\n"},
		{"POST", "/api/v1/flows", 405, "text/plain; charset=utf-8", "Method Not Allowed\n"},
		{"GET", "/api/v2/flows", 404, "text/plain; charset=utf-8", "404 page not found\n"},
	} {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(test.method, test.path, nil))
		got := w.Result()
		if got.StatusCode != test.status || got.Header.Get("Content-Type") != test.kind || test.body != "" && w.Body.String() != test.body {
			t.Errorf("%s %s: got %d, %s, %q", test.method, test.path, got.StatusCode, got.Header.Get("Content-Type"), w.Body)
		}
		if test.status == 200 && (got.Header.Get("Cache-Control") != "no-store" || got.Header.Get("X-Content-Type-Options") != "nosniff") {
			t.Errorf("%s: got headers %v", test.path, got.Header)
		}
	}
}

// get asks a client for a document.
func get(t *testing.T, c *http.Client, url string, doc any) {
	t.Helper()
	answer, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err == nil {
		err = json.Unmarshal(b, doc)
	}
	if err != nil || answer.StatusCode != 200 {
		t.Fatalf("%s: %s, %v\n%s", url, answer.Status, err, b)
	}
}

func TestStatus(t *testing.T) {
	s, dir := started(t, "")
	var st Status
	get(t, Local(filepath.Join(dir, "data")), "http://gateway/api/v1/status", &st)
	if st.Version != "v1.2.3" || st.State != "serving" || st.Started.IsZero() || st.Configuration.File != filepath.Join(dir, "sallyport.yaml") ||
		len(st.Configuration.Version) != 64 || st.Configuration.Refused != nil || len(st.Alarms) != 0 {
		t.Errorf("got %+v", st)
	}
	if want := (Listener{"lan", "udp", "192.0.2.1:5060", "192.0.2.1:5060"}); len(st.Listeners) != 1 || st.Listeners[0] != want {
		t.Errorf("listeners: got %+v", st.Listeners)
	}
	if len(st.Peers) != 2 || st.Peers[0].Name != "office" || !st.Peers[0].Up || st.Peers[0].In.MostCalls != 3 || st.Peers[1].Down != nil {
		t.Errorf("peers: got %+v", st.Peers)
	}
	go s.gateway.Drain(t.Context())
	for !s.gateway.Draining() {
	}
	get(t, Local(filepath.Join(dir, "data")), "http://gateway/api/v1/status", &st)
	if st.State != "draining" {
		t.Errorf("got %s", st.State)
	}
	w := httptest.NewRecorder()
	s.Handler(false).ServeHTTP(w, httptest.NewRequest("GET", "/healthz", nil))
	if w.Code != 503 || w.Body.String() != "draining\n" {
		t.Errorf("healthz: got %d, %q", w.Code, w.Body)
	}
}

func TestMetrics(t *testing.T) {
	s, dir := started(t, "")
	if err := os.WriteFile(filepath.Join(dir, "sallyport.yaml"), []byte("listeners: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.gateway.Reload()
	w := httptest.NewRecorder()
	s.Handler(true).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, line := range []string{
		`sallyport_build_info{version="v1.2.3"} 1`,
		`sallyport_calls 0`,
		`sallyport_draining 0`,
		`sallyport_peer_up{peer="office"} 1`,
		`sallyport_peer_calls{direction="out",peer="acme"} 0`,
		`sallyport_peer_calls_limited_total{direction="in",peer="office"} 0`,
		`sallyport_connections{peer=""} 0`,
		`sallyport_connections_opened_total{peer="acme"} 0`,
		`sallyport_configuration_reloads_total{result="refused"} 1`,
		`go_goroutines `,
	} {
		if !strings.Contains(w.Body.String(), "\n"+line) {
			t.Errorf("%s is missing in:\n%s", line, w.Body)
		}
	}
}

func TestReload(t *testing.T) {
	_, dir := started(t, "")
	local, file := Local(filepath.Join(dir, "data")), filepath.Join(dir, "sallyport.yaml")
	reload := func(status int) (doc Reloaded) {
		answer, err := local.Post("http://gateway/api/v1/reload", "", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		if err := json.NewDecoder(answer.Body).Decode(&doc); err != nil || answer.StatusCode != status {
			t.Fatalf("got %s, %v", answer.Status, err)
		}
		return doc
	}
	before := reload(200).Version
	if err := os.WriteFile(file, []byte(plain+"drain: soon\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	doc := reload(422)
	if doc.Taken || doc.Version != before || len(doc.Problems) != 1 || doc.Problems[0].Line != 6 || doc.Problems[0].Column != 8 {
		t.Errorf("got %+v", doc)
	}
	var st Status
	get(t, local, "http://gateway/api/v1/status", &st)
	if st.Configuration.Refused == nil || len(st.Configuration.Refused.Problems) != 1 || st.Configuration.Reloads != 1 {
		t.Errorf("got %+v", st.Configuration)
	}
	if err := os.WriteFile(file, []byte(plain+"drain: 5s\ndata: elsewhere\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if doc := reload(200); !doc.Taken || doc.Version == before || len(doc.Problems) != 0 || len(doc.NeedsRestart) != 1 {
		t.Errorf("got %+v", doc)
	}
	st = Status{}
	if get(t, local, "http://gateway/api/v1/status", &st); st.Configuration.Refused != nil {
		t.Errorf("got %+v", st.Configuration)
	}
}

func TestNoAdmin(t *testing.T) {
	s, _ := started(t, "")
	if s.Addr() != "off" {
		t.Errorf("got %s", s.Addr())
	}
	if err := (*Server)(nil).Close(t.Context()); err != nil || (*Server)(nil).Addr() != "off" {
		t.Errorf("a server that was never started: %v", err)
	}
}

// A reload moves the API, and with it goes the old address.
func TestReloadMovesTheAPI(t *testing.T) {
	s, dir := started(t, "admin: {listen: \"127.0.0.1:0\"}\n")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	old := s.Addr()
	reload := func(listen string) gateway.Reload {
		if err := os.WriteFile(filepath.Join(dir, "sallyport.yaml"), []byte(plain+"admin: {listen: \""+listen+"\"}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return s.gateway.Reload()
	}
	if r := reload(taken.Addr().String()); len(r.Problems) != 1 || r.Problems[0].Line != 6 || !strings.Contains(r.Problems[0].What, "the API cannot be opened") {
		t.Errorf("got %v", r.Problems)
	}
	var st Status
	get(t, http.DefaultClient, "http://"+old+"/api/v1/status", &st)
	if r := reload("127.0.0.2:0"); len(r.Problems) > 0 {
		t.Skip("no second loopback address here: ", r.Problems)
	}
	if s.Addr() == old {
		t.Error("it did not move")
	}
	get(t, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, "http://"+s.Addr()+"/api/v1/status", &st)
	s.leaving.Wait()
	if c, err := net.Dial("tcp", old); err == nil {
		c.Close()
		t.Error("the old address is still open")
	}
}

// A staged configuration comes as the body; a file is named only by who may read
// what the gateway may. Asking changes nothing.
func TestTrustDiff(t *testing.T) {
	s, dir := started(t, guarded)
	staged := filepath.Join(dir, "staged.yaml")
	if err := os.WriteFile(staged, []byte(plain+"trust: {t: {files: [nothing.pem]}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, kind, body string
		local            bool
		status           int
		says             string
	}{
		{"the same", "application/yaml", plain + guarded, false, 200, `"breaks":false`},
		{"a bad one", "application/yaml", "listeners: 1", false, 422, `"problems":[{`},
		{"a missing file of it", "application/yaml", plain + "trust: {t: {files: [nothing.pem]}}", false, 422, dir + "/nothing.pem"},
		{"a file over the network", "application/json", `{"file": "` + staged + `"}`, false, 403, "only on the local socket"},
		{"a file", "application/json", `{"file": "` + staged + `"}`, true, 422, `staged.yaml","line":6`},
		{"a relative file", "application/json", `{"file": "staged.yaml"}`, true, 400, "names the file"},
		{"too large", "application/yaml", strings.Repeat("#", maxBody+1), false, 413, "too large"},
	} {
		w, r := httptest.NewRecorder(), httptest.NewRequest("POST", "https://localhost/api/v1/trust/diff", strings.NewReader(test.body))
		r.Header.Set("Authorization", "Bearer "+operatorToken)
		r.Header.Set("Content-Type", test.kind)
		s.Handler(test.local).ServeHTTP(w, r)
		if w.Code != test.status || !strings.Contains(w.Body.String(), test.says) {
			t.Errorf("%s: got %d, %s", test.name, w.Code, w.Body)
		}
	}
	w := httptest.NewRecorder()
	s.Handler(true).ServeHTTP(w, httptest.NewRequest("POST", "/api/v1/reload?evict=maybe", nil))
	if w.Code != 400 || s.gateway.Loaded().Reloads != 0 {
		t.Errorf("evict=maybe: got %d, %s", w.Code, w.Body)
	}
}
