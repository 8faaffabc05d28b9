package gateway

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/events"
	"github.com/sallyport-sip/sallyport/sip"
)

const hooked = `webhooks:
  crm: {url: "http://127.0.0.1:8099/calls", secret_file: crm.secret, events: [call.*]}
`

// A call that is busy reaches the application; a reload brings another endpoint and another secret; what nobody has taken when the gateway ends is in
// the data directory.
func TestWebhooksOfAGateway(t *testing.T) {
	const secret = "correct-horse-battery"
	var mu sync.Mutex
	var got []string
	refuse := false
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var e events.Event
		if err := json.Unmarshal(body, &e); err != nil || r.Header.Get(events.HeaderSignature) != events.Sign([]byte(secret), time.Now(), body) {
			t.Errorf("%v: %s, signed %s", err, body, r.Header.Get(events.HeaderSignature))
		}
		mu.Lock()
		defer mu.Unlock()
		if refuse {
			w.WriteHeader(500)
			return
		}
		got = append(got, r.URL.Path+" "+string(e.Type)+" "+e.Call.Caller+">"+e.Call.Called)
	})
	set := plain
	set.keys = hooked
	set.options = func(o *Options) {
		o.DialHTTP = func(ctx context.Context, _, address string) (net.Conn, error) {
			return o.Network.(interface {
				Dial(context.Context, netip.AddrPort, netip.AddrPort) (net.Conn, error)
			}).Dial(ctx, netip.MustParseAddrPort("192.0.2.1:0"), netip.MustParseAddrPort("192.0.2.99:8099"))
		}
	}
	dir := ""
	secretInto := func(d string) {
		if err := os.WriteFile(filepath.Join(d, "crm.secret"), []byte(secret+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	set.files = secretInto
	run(t, set, func(r *rig) {
		dir = r.dir
		l, err := r.net.Listen(r.Context(), netip.MustParseAddrPort("192.0.2.99:8099"))
		if err != nil {
			t.Fatal(err)
		}
		s := &http.Server{Handler: handler, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
		go s.Serve(l)
		r.Cleanup(func() { s.Close() })
		want := func(lines ...string) {
			t.Helper()
			time.Sleep(2 * time.Second)
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if !slices.Equal(got, lines) {
				t.Errorf("got %q, want %q", got, lines)
			}
			got = nil
		}
		r.rejected(486)
		want("/calls call.started office>+4930123", "/calls call.routed office>+4930123", "/calls call.busy office>+4930123")

		// Another path; a secret that is no good is refused.
		path := filepath.Join(dir, "sallyport.yaml")
		text, _ := os.ReadFile(path)
		os.WriteFile(path, []byte(strings.Replace(string(text), "/calls", "/busy", 1)), 0o600)
		os.WriteFile(filepath.Join(dir, "crm.secret"), []byte("short"), 0o600)
		if re := r.Reload(); len(re.Problems) != 1 || !strings.Contains(re.Problems[0].String(), `webhook "crm": secret_file`) || strings.Contains(re.Problems[0].String(), "short\"") {
			t.Errorf("problems %v", re.Problems)
		}
		secretInto(dir)
		if re := r.Reload(); len(re.Problems) != 0 {
			t.Errorf("problems %v", re.Problems)
		}
		r.rejected(486)
		want("/busy call.started office>+4930123", "/busy call.routed office>+4930123", "/busy call.busy office>+4930123")

		mu.Lock()
		refuse = true
		mu.Unlock()
		r.rejected(486)
		time.Sleep(2 * time.Second)
		if s := r.Webhooks()[0]; s.Waiting != 3 || s.Name != "crm" {
			t.Errorf("%+v", s)
		}
		// What happens while the gateway ends is told, too.
		r.invite()
		invite := r.acme.WantRequest(sip.INVITE)
		r.acme.Reply(invite, 180)
		r.office.Want(180)
		r.shut()
		b, err := os.ReadFile(filepath.Join(dir, "data", "webhook-crm.journal"))
		if err != nil || strings.Count(string(b), `"event":`) < 7 || !strings.Contains(string(b), "call.failed") {
			t.Errorf("%v: the journal is\n%s", err, b)
		}
	})
}

// A type that there is not, and a secret that everybody may read, are problems of the file.
func TestWebhooksAreChecked(t *testing.T) {
	dir := t.TempDir()
	text := `listeners: {a: {listen: "udp:127.0.0.1:5060"}}
peers: {p: {uri: "sip:192.0.2.1"}}
webhooks:
  crm: {url: "https://crm.example/x", secret_file: open, events: [call.*, call.bussy]}
  other: {url: "https://crm.example/x", secret_file: none}
`
	os.WriteFile(filepath.Join(dir, "f.yaml"), []byte(text), 0o600)
	os.WriteFile(filepath.Join(dir, "open"), []byte("correct-horse-battery"), 0o644)
	os.Chmod(filepath.Join(dir, "open"), 0o644)
	cfg, problems := config.Load(filepath.Join(dir, "f.yaml"))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	var got []string
	for _, p := range Check(cfg) {
		got = append(got, strings.ReplaceAll(p.String(), dir, "DIR"))
	}
	want := []string{
		`DIR/f.yaml:4:52: webhook "crm": secret_file "DIR/open": every user of the machine may open it (mode 0644), whoever has it is taken for you, take that away: chmod o= DIR/open`,
		`DIR/f.yaml:4:75: webhook "crm": there is no event "call.bussy": write a type such as "call.failed", or the beginning of some such as "call.*", see docs/reference/events.md for all types`,
		`DIR/f.yaml:5:54: webhook "other": secret_file "DIR/none": there is no such file, write a new one: openssl rand -hex 32`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
