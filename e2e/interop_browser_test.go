//go:build interop

package e2e

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
)

// TestBrowser has a page in headless Chromium send one MESSAGE and one INVITE with SIP.js over secure WebSocket, through the
// gateway to a peer on UDP: the browser's own SDP arrives byte for byte, so does the answer, which the browser takes, and the
// call is answered, acknowledged and ended.
func TestBrowser(t *testing.T) {
	chromium := need(t, "chromium", "chromium")
	page := newPage(t)
	dir := t.TempDir()
	pin := writeIdentity(t, dir)
	host := "127.0.0.1"
	office := siptest.New(t, siptest.Config{Name: "office", Timeout: time.Minute})
	port, admin := freePort(t, host), net.JoinHostPort(host, freePort(t, host))
	serve(t, dir, fmt.Sprintf(`
data: %[1]s
admin: {listen: %[2]q}
listeners:
  web: {listen: "wss:127.0.0.1:%[3]s", client_certificates: none, origins: [%[4]q], path: /sip}
  lan: {listen: "udp:127.0.0.1:%[5]s"}
identities:
  gateway: {certificate: gw.pem, key: gw-key.pem}
defaults: {identity: gateway}
peers:
  browser: {uri: "sip:browser.invalid;transport=wss", accept_from: ["tcp:127.0.0.1"], listener: web}
  office: {uri: "sip:%[6]s", accept_from: ["udp:%[6]s"], listener: lan}
routes:
  - {from: [browser], to: [office]}
`, dir, admin, port, page.url, freePort(t, host), office.Addr()))

	query := url.Values{"server": {"wss://127.0.0.1:" + port + "/sip"}, "to": {"sip:+4930@gw.example"}}
	browse(t, chromium, pin, page.url+"/phone.html?"+query.Encode())

	flow := newFlow(t, admin, "ended", func() {
		m := office.WantRequest(sip.MESSAGE)
		if got := string(m.Body()); got != "Grüße aus dem Browser" {
			t.Errorf("the MESSAGE has the body %q", got)
		}
		office.Reply(m, 200)
		page.wants(t, "message")
		invite := office.WantRequest(sip.INVITE)
		answer, offer := page.wants(t, "answer"), page.wants(t, "offer")
		if got := string(invite.Body()); got != offer || !strings.Contains(offer, "a=fingerprint:") {
			t.Errorf("the INVITE has the SDP\n%s\nwant\n%s", got, offer)
		}
		office.Reply(invite, 180)
		office.Reply(invite, 200, siptest.Body("application/sdp", answer))
		office.WantRequest(sip.ACK)
		if got := page.wants(t, "answered"); got != answer {
			t.Errorf("the browser got the SDP\n%s\nwant\n%s", got, answer)
		}
		page.wants(t, "call")
		office.Reply(office.WantRequest(sip.BYE), 200)
		page.wants(t, "done")
	})
	if got := flow.Legs[0].Peer; got != "browser" {
		t.Errorf("the first leg is of %q", got)
	}
	wantNoCalls(t, admin)
}

// TestBrowserFromAnotherPage has the same page under an origin that is not listed: the browser gets no connection.
func TestBrowserFromAnotherPage(t *testing.T) {
	chromium := need(t, "chromium", "chromium")
	page := newPage(t)
	dir := t.TempDir()
	pin := writeIdentity(t, dir)
	port := freePort(t, "127.0.0.1")
	g := serve(t, dir, fmt.Sprintf(`
data: %s
listeners:
  web: {listen: "wss:127.0.0.1:%s", client_certificates: none, origins: ["https://phone.example"]}
identities:
  gateway: {certificate: gw.pem, key: gw-key.pem}
defaults: {identity: gateway}
peers:
  browser: {uri: "sip:browser.invalid;transport=wss", accept_from: ["127.0.0.1"]}
`, dir, port))
	query := url.Values{"server": {"wss://127.0.0.1:" + port}, "to": {"sip:+4930@gw.example"}}
	browse(t, chromium, pin, page.url+"/phone.html?"+query.Encode())
	select {
	case text := <-page.told["error"]:
		if !strings.Contains(text, "1006") {
			t.Errorf("the page says %q, want that the WebSocket closed with 1006", text)
		}
	case <-time.After(time.Minute):
		t.Error("the page says nothing")
	}
	g.log.wants(t, 0, "inbound connection refused", "403 Forbidden", page.url)
}

// A page is the browser's: a server on loopback, and what its script tells.
type page struct {
	url  string
	told map[string]chan string
}

// newPage fetches SIP.js, of the version and content that the lock file names, and serves it with the page.
func newPage(t *testing.T) *page {
	t.Helper()
	npm := need(t, "npm", "npm")
	root := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json", "phone.html"} {
		b, err := os.ReadFile(filepath.Join("testdata", "browser", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	p := &page{told: map[string]chan string{}}
	for _, what := range []string{"error", "message", "offer", "answer", "answered", "call", "done"} {
		p.told[what] = make(chan string, 16)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /sip.js/", http.FileServer(http.Dir(filepath.Join(root, "node_modules"))))
	mux.HandleFunc("GET /phone.html", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, filepath.Join(root, "phone.html")) })
	mux.HandleFunc("POST /told/{what}", func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		if ch := p.told[r.PathValue("what")]; ch != nil {
			select {
			case ch <- string(b):
			default:
			}
		}
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: mux}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = srv.Serve(ln) }()
	t.Cleanup(func() { srv.Close(); <-ended })
	p.url = "http://" + netip.MustParseAddrPort(ln.Addr().String()).String()
	return p
}

// wants waits until the page tells something.
func (p *page) wants(t *testing.T, what string) string {
	t.Helper()
	select {
	case text := <-p.told[what]:
		return text
	case text := <-p.told["error"]:
		t.Fatalf("the page failed: %s", text)
	case <-time.After(time.Minute):
		t.Fatalf("the page does not tell of %q", what)
	}
	return ""
}

// writeIdentity makes the gateway's certificate, and returns the hash of its key by which the browser believes it.
func writeIdentity(t *testing.T, dir string) (pin string) {
	t.Helper()
	sallyport(t, dir, "cert", "ca", "--name", "ca", "--out", "ca.pem")
	sallyport(t, dir, "cert", "issue", "--ca", "ca.pem", "--sip", "gw.example", "--dns", "gw.example", "--out", "gw.pem")
	return pinOf(t, filepath.Join(dir, "gw.pem"))
}

// pinOf is the hash of the key of a certificate, by which Chromium can be told to believe it.
func pinOf(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// browse opens a page in a browser of its own, which ends with the test.
func browse(t *testing.T, chromium, pin, page string) {
	t.Helper()
	said := &log{}
	cmd := exec.Command(chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
		"--user-data-dir="+t.TempDir(), "--ignore-certificate-errors-spki-list="+pin, "--remote-debugging-port=0", page)
	cmd.Stdout, cmd.Stderr = said, said
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("the browser's output:\n%s", said)
		}
	})
}
