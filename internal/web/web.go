// Package web serves the page of the gateway: the calls, each as a ladder with
// an inspector, and what else a person wants to see of it.
//
// The page is made by Vite from ui/ and embedded from dist, so that building the
// program needs no Node. It reads the API of package api and nothing else: its
// policy lets no script, style, picture or connection come from elsewhere, and
// none stand in the document. What it shows belongs into the fragment of its
// address, which browsers send to nobody. Reading starts at Handler.
package web

import (
	"bytes"
	"compress/gzip"
	"embed"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
)

//go:embed dist
var dist embed.FS

// policy is what the page may load: its own files, and small pictures that its
// style sheet holds.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// guards are sent with every answer.
var guards = [][2]string{
	{"Content-Security-Policy", policy},
	{"X-Content-Type-Options", "nosniff"},
	{"X-Frame-Options", "DENY"},
	{"Referrer-Policy", "no-referrer"},
	{"Cross-Origin-Opener-Policy", "same-origin"},
	{"Cross-Origin-Resource-Policy", "same-origin"},
	{"Permissions-Policy", "camera=(), geolocation=(), microphone=()"},
}

// A file is one of the page's, ready to be sent. It does not change.
type file struct {
	kind    string // media type
	cache   string // Cache-Control
	body    []byte
	smaller []byte // gzipped; nil when that saves nothing
}

// files are all of them by their path.
var files = sync.OnceValue(func() map[string]*file {
	all := map[string]*file{}
	root, _ := fs.Sub(dist, "dist")
	fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		all["/"+name] = newFile(name, body)
		return nil
	})
	return all
})

func newFile(name string, body []byte) *file {
	f := &file{kind: mime.TypeByExtension(path.Ext(name)), cache: "no-store", body: body}
	switch path.Ext(name) { // the system's own table may know them by other names
	case ".js":
		f.kind = "text/javascript; charset=utf-8"
	case ".css":
		f.kind = "text/css; charset=utf-8"
	case ".svg":
		f.kind = "image/svg+xml"
	case ".html":
		f.kind = "text/html; charset=utf-8"
	}
	if strings.HasPrefix(name, "assets/") { // their names have a hash of what is in them
		f.cache = "public, max-age=31536000, immutable"
	}
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression)
	z.Write(body)
	z.Close()
	if b.Len() < len(body) {
		f.smaller = b.Bytes()
	}
	return f
}

// Handler serves the page at "/". An address such as /call/41/row/17 leads to the
// same place in the page.
func Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, g := range guards {
			w.Header().Set(g[0], g[1])
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "the page can only be read", http.StatusMethodNotAllowed)
			return
		}
		name := r.URL.Path
		if name == "/" {
			name = "/index.html"
		}
		f := files()[name]
		switch {
		case f != nil:
			f.send(w, r)
		case isPlace(r.URL.Path):
			http.Redirect(w, r, placeOf(r), http.StatusFound)
		default:
			http.Error(w, "there is nothing at this address; the page is at /", http.StatusNotFound)
		}
	})
}

// places are the first words of addresses in the page.
var places = map[string]bool{
	"call": true, "calls": true, "findings": true, "connections": true, "handshakes": true, "peers": true,
	"certificates": true, "configuration": true,
}

func isPlace(p string) bool {
	first, _, _ := strings.Cut(strings.TrimPrefix(p, "/"), "/")
	return places[first]
}

// placeOf is where in the page a path leads.
func placeOf(r *http.Request) string {
	at := "/#" + r.URL.EscapedPath()
	if r.URL.RawQuery != "" {
		at += "?" + r.URL.RawQuery
	}
	return at
}

func (f *file) send(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", f.kind)
	h.Set("Cache-Control", f.cache)
	h.Set("Vary", "Accept-Encoding")
	body := f.body
	if f.smaller != nil && takesGzip(r) {
		h.Set("Content-Encoding", "gzip")
		body = f.smaller
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method == http.MethodGet {
		w.Write(body) // an error means that the reader has gone
	}
}

// takesGzip reports whether the request accepts gzip (RFC 9110 §12.5.3).
func takesGzip(r *http.Request) bool {
	for coding := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, quality, _ := strings.Cut(coding, ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			q := strings.TrimPrefix(strings.ReplaceAll(quality, " ", ""), "q=")
			return strings.Trim(q, "0.") != "" || q == ""
		}
	}
	return false
}
