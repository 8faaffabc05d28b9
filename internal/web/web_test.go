package web

import (
	"bytes"
	"compress/gzip"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
)

func get(t *testing.T, method, target string, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	Handler().ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// loaded are the files that the document asks for.
var loaded = regexp.MustCompile(`(?:src|href)="([^"]+)"`)

// The document is never kept by a browser, and each file that it names is there,
// with its type, and may be kept for ever because its name has a hash.
func TestFiles(t *testing.T) {
	index := get(t, "GET", "/")
	if got := index.Header.Get("Cache-Control"); index.StatusCode != 200 || got != "no-store" {
		t.Errorf("the document has status %d and Cache-Control %q", index.StatusCode, got)
	}
	document := body(t, index)
	names := loaded.FindAllStringSubmatch(document, -1)
	kinds := map[string]int{}
	for _, m := range names {
		r := get(t, "GET", m[1])
		if r.StatusCode != 200 || r.Header.Get("Cache-Control") != "public, max-age=31536000, immutable" {
			t.Errorf("%s has status %d and Cache-Control %q", m[1], r.StatusCode, r.Header.Get("Cache-Control"))
		}
		if !regexp.MustCompile(`^/assets/[a-z]+-[\w-]{8}\.\w+$`).MatchString(m[1]) {
			t.Errorf("%s has no hash in its name", m[1])
		}
		kinds[r.Header.Get("Content-Type")]++
	}
	for _, want := range []string{"text/javascript; charset=utf-8", "text/css; charset=utf-8", "image/svg+xml"} {
		if kinds[want] == 0 {
			t.Errorf("the document loads no %s; it loads %v", want, kinds)
		}
	}
}

// The policy forbids what is inline, so the document has none of it, and names
// no other host.
func TestNothingInline(t *testing.T) {
	document := body(t, get(t, "GET", "/"))
	for what, bad := range map[string]string{
		"a script in it":    `(?s)<script[^>]*>[^<]+</script>`,
		"a style in it":     `<style|\sstyle=`,
		"a handler in it":   `\son\w+=`,
		"another host":      `(?:src|href)="(?:https?:)?//`,
		"a base of its own": `<base`,
	} {
		if found := regexp.MustCompile(bad).FindString(document); found != "" {
			t.Errorf("the document has %s: %s", what, found)
		}
	}
}

// Every answer has the policy and the other guards, those that are errors too.
func TestGuards(t *testing.T) {
	for _, target := range []string{"/", "/call/41", "/nothing", "/assets/none.js"} {
		h := get(t, "GET", target).Header
		for _, want := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"} {
			if !strings.Contains(h.Get("Content-Security-Policy")+";", want+";") {
				t.Errorf("%s: the policy has no %s: %s", target, want, h.Get("Content-Security-Policy"))
			}
		}
		if strings.Contains(h.Get("Content-Security-Policy"), "unsafe") {
			t.Errorf("%s: the policy is %s", target, h.Get("Content-Security-Policy"))
		}
		for name, want := range map[string]string{"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin"} {
			if got := h.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", target, name, got, want)
			}
		}
	}
}

// A file goes out gzipped to who takes that, and is the same to who does not.
func TestCompressed(t *testing.T) {
	name := loaded.FindStringSubmatch(regexp.MustCompile(`<script[^>]*>`).FindString(body(t, get(t, "GET", "/"))))[1]
	plain := body(t, get(t, "GET", name))
	for accept, want := range map[string]bool{"gzip": true, "br;q=1, gzip;q=0.5": true, "": false, "br": false, "gzip;q=0": false, "gzip; q=0.0": false} {
		r := get(t, "GET", name, "Accept-Encoding", accept)
		got := r.Header.Get("Content-Encoding") == "gzip"
		if got != want || r.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("Accept-Encoding %q: gzipped is %t; Vary is %q", accept, got, r.Header.Get("Vary"))
		}
		if !got {
			continue
		}
		sent := body(t, r)
		z, err := gzip.NewReader(bytes.NewBufferString(sent))
		if err != nil {
			t.Fatal(err)
		}
		opened, err := io.ReadAll(z)
		if err != nil || string(opened) != plain || len(sent) >= len(plain) {
			t.Errorf("gzipped, it is %d bytes of %d; error %v", len(sent), len(plain), err)
		}
	}
}

// An address that a person may have typed or been sent leads to its place in the
// page, whatever stands in it, and to no other host.
func TestPlaces(t *testing.T) {
	for target, want := range map[string]string{
		"/call/41/row/17":          "/#/call/41/row/17",
		"/calls?filter=state:busy": "/#/calls?filter=state:busy",
		"/connections":             "/#/connections",
		"/call/%2F%2Fevil.example": "/#/call/%2F%2Fevil.example",
	} {
		r := get(t, "GET", target)
		if got := r.Header.Get("Location"); r.StatusCode != 302 || got != want {
			t.Errorf("%s: status %d to %q, want %q", target, r.StatusCode, got, want)
		}
	}
	for _, target := range []string{"/nothing", "/api/v1/none", "/index.html/x", "/assets/", "//evil.example/call"} {
		if r := get(t, "GET", target); r.StatusCode != 404 {
			t.Errorf("%s has status %d", target, r.StatusCode)
		}
	}
}

// Each page of the navigation has an address of its own.
func TestPlacesAreThePages(t *testing.T) {
	source, err := os.ReadFile("../../ui/src/pages/pages.ts")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{"call": true}
	for _, m := range regexp.MustCompile(`name: '(\w+)'`).FindAllStringSubmatch(string(source), -1) {
		want[m[1]] = true
	}
	if !maps.Equal(places, want) {
		t.Errorf("the addresses are %v, the pages %v", places, want)
	}
}

// The page can only be read.
func TestMethods(t *testing.T) {
	if r := get(t, "HEAD", "/"); r.StatusCode != 200 || body(t, r) != "" || r.Header.Get("Content-Length") == "0" {
		t.Errorf("HEAD: %d, %v", r.StatusCode, r.Header)
	}
	if r := get(t, "POST", "/"); r.StatusCode != 405 || r.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d, %v", r.StatusCode, r.Header)
	}
}
