package api

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// The page can be had without a token, because it knows nothing of itself; what
// is the API's cannot, however its path is written. Host and HTTPS are asked of
// both. The local socket has no page.
func TestPageBesideTheAPI(t *testing.T) {
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "page") })
	g, _ := running(t, guarded)
	s := newServer(g, Options{Page: page})
	for _, test := range []struct {
		method, target, host string
		clear, local         bool
		status               int
		page                 bool
	}{
		{"GET", "/", "api.example", false, false, 200, true},
		{"GET", "/assets/index.js", "api.example", false, false, 200, true},
		{"GET", "/apiary", "api.example", false, false, 200, true},
		{"GET", "/", "evil.example", false, false, 421, false},
		{"GET", "/", "api.example", true, false, 403, false},
		{"GET", "/api/v1/status", "api.example", false, false, 401, false},
		{"GET", "/api", "api.example", false, false, 401, false},
		{"GET", "/api/v1/none", "api.example", false, false, 401, false},
		{"GET", "//api/v1/status", "api.example", false, false, 401, false},
		{"GET", "/x/../api/v1/status", "api.example", false, false, 401, false},
		{"GET", "/%61pi/v1/status", "api.example", false, false, 401, false},
		{"POST", "/api/v1/reload", "api.example", false, false, 401, false},
		{"GET", "/metrics", "api.example", false, false, 401, false},
		{"GET", "/metrics/", "api.example", false, false, 401, false},
		{"GET", "/healthz", "api.example", false, false, 200, false},
		{"GET", "/", "api.example", true, true, 404, false},
		{"GET", "/api/v1/status", "api.example", true, true, 200, false},
	} {
		r := httptest.NewRequest(test.method, test.target, nil)
		r.Host, r.TLS = test.host, nil
		if !test.clear {
			r.TLS = &tls.ConnectionState{}
		}
		w := httptest.NewRecorder()
		s.Handler(test.local).ServeHTTP(w, r)
		if isPage := w.Body.String() == "page"; w.Code != test.status || isPage != test.page {
			t.Errorf("%s %s of %s: status %d, want %d; the page %t", test.method, test.target, test.host, w.Code, test.status, isPage)
		}
	}
}

// With a page there, the API's own paths are still answered by the API.
func TestPageLeavesTheAPI(t *testing.T) {
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "page") })
	g, _ := running(t, "admin: {listen: \"127.0.0.1:0\"}\n")
	h := newServer(g, Options{Page: page}).Handler(false)
	for target, status := range map[string]int{"GET /api/v1/none": 404, "POST /api/v1/status": 405, "GET /api/v1/status": 200, "GET /api/v1/reload": 405} {
		method, path, _ := strings.Cut(target, " ")
		r := httptest.NewRequest(method, path, nil)
		r.Host = "localhost"
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != status || w.Body.String() == "page" {
			t.Errorf("%s: status %d, want %d: %s", target, w.Code, status, w.Body)
		}
	}
}
