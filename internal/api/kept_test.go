package api

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// How kept connections do, and what was too large for UDP, stands in the status and
// in the metrics.
func TestKeptConnectionsAreShown(t *testing.T) {
	g, dir := running(t, "")
	const file = `listeners: {lan: {listen: "udp:192.0.2.1:5060"}, lan-tcp: {listen: "tcp:192.0.2.1:5060"}}
profiles: {trunk: {connection: {connect: always, retry_first: 1h, retry_longest: 1h}}}
peers:
  office: {uri: "sip:192.0.2.2"}
  acme: {uri: "sip:192.0.2.3;transport=tcp", profile: trunk}
cdr: off
`
	if err := os.WriteFile(filepath.Join(dir, "sallyport.yaml"), []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := g.Reload(); len(r.Problems) > 0 {
		t.Fatal(r.Problems)
	}
	handler := newServer(g, Options{}).Handler(true)
	get := func(path string) string {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		return w.Body.String()
	}
	var doc Peers
	for doc.Peers == nil || doc.Peers[1].Kept == nil || doc.Peers[1].Kept.State != "waiting" { // until it was dialled
		if err := json.Unmarshal([]byte(get("/api/v1/peers")), &doc); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
	if p := doc.Peers[0]; p.Kept != nil || p.Large == nil || *p.Large != (Large{}) {
		t.Errorf("the peer on UDP: %+v, %+v", p.Kept, p.Large)
	}
	p := doc.Peers[1]
	if p.Large != nil || p.Kept.Next == nil || time.Until(*p.Kept.Next) < time.Minute || p.Kept.Failures != 1 || !strings.Contains(p.Kept.Cause, "192.0.2.3:5060") {
		t.Errorf("the peer on TCP: %+v, %+v", p.Kept, p.Large)
	}
	page := get("/metrics")
	for _, want := range []string{
		`sallyport_peer_large_requests_total{peer="office",way="tcp"} 0`, `sallyport_connections_dead_total{sign="no_pong"} 0`,
		`sallyport_connections_aliased{peer="acme"} 0`, "sallyport_keep_alives_received_total 0", `sallyport_peer_kept_connected{peer="acme"} 0`,
	} {
		if !strings.Contains(page, want+"\n") {
			t.Errorf("the metrics lack %s", want)
		}
	}
}
