package api

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/gateway"
	"github.com/sallyport-sip/sallyport/internal/memnet"
)

// running returns a gateway on an in-memory network.
func running(t *testing.T) *gateway.Gateway {
	t.Helper()
	cfg, problems := config.Parse("sallyport.yaml", []byte("listeners: {lan: {listen: \"udp:192.0.2.1:5060\"}}\n"+
		"peers: {office: {uri: \"sip:192.0.2.2\"}}\n"))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	cfg.Data = t.TempDir()
	g, problems := gateway.New(cfg, gateway.Options{Network: memnet.New(memnet.Options{})})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if err := g.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Close(context.Background()) })
	return g
}

func TestHandler(t *testing.T) {
	handler := Handler(running(t))
	for _, test := range []struct {
		method, path string
		status       int
		kind, body   string
	}{
		{"GET", "/healthz", 200, "text/plain; charset=utf-8", "ok, 0 calls\n"},
		{"GET", "/api/v1/flows", 200, "application/json", ""},
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

// Without calls the document is a whole one, with an empty list.
func TestFlowsOfNoCalls(t *testing.T) {
	w := httptest.NewRecorder()
	Handler(running(t)).ServeHTTP(w, httptest.NewRequest("GET", "/api/v1/flows", nil))
	var document struct{ Calls []any }
	if err := json.Unmarshal(w.Body.Bytes(), &document); err != nil || document.Calls == nil || len(document.Calls) != 0 {
		t.Errorf("got %s, %v", w.Body, err)
	}
}

func TestStartAndClose(t *testing.T) {
	g := running(t)
	s, err := Start(netip.MustParseAddrPort("127.0.0.1:0"), g)
	if err != nil {
		t.Fatal(err)
	}
	got, err := http.Get("http://" + s.Addr() + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	if body, err := io.ReadAll(got.Body); err != nil || got.StatusCode != 200 {
		t.Errorf("got %d, %q, %v", got.StatusCode, body, err)
	}
	_, err = Start(netip.MustParseAddrPort(s.Addr()), g)
	if err == nil || !strings.HasPrefix(err.Error(), "admin: listen ") || !strings.Contains(err.Error(), s.Addr()) {
		t.Errorf("the port is taken: got %v", err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if got, err := http.Get("http://" + s.Addr() + "/healthz"); err == nil {
		got.Body.Close()
		t.Error("it still answers")
	}
}

func TestNoAddressMeansNoServer(t *testing.T) {
	s, err := Start(netip.AddrPort{}, nil)
	if s != nil || err != nil || s.Addr() != "off" || s.Close(t.Context()) != nil {
		t.Errorf("got %v, %v", s, err)
	}
}
