package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/internal/api"
)

// A kept connection that is away stands under its peer, with the reason and the next
// try; what was found dead stands under the connections.
func TestStatusShowsConnectionsThatAreAway(t *testing.T) {
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	next := at.Add(time.Minute)
	s := &api.Status{State: "serving", Connections: api.Connections{Aliased: 2, Dead: api.Dead{NoPong: 3}}, Peers: []api.Peer{
		{Name: "up", Up: true, Kept: &api.Kept{State: "up", Since: at, Cause: "an old story"}},
		{Name: "away", Up: true, Kept: &api.Kept{State: "waiting", Since: at, Next: &next, Failures: 2, Cause: "connection refused"}},
	}}
	page := statusPage{style{width: 120}, &strings.Builder{}}.draw(s)
	for _, want := range []string{
		"no connection since 2026-03-04 05:06:07 UTC, dialled again at 05:07:07: connection refused",
		"2 of theirs serve our requests too", "found dead: 3 without a pong, 0 unacknowledged, 0 silent",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
	if strings.Contains(page, "an old story") {
		t.Errorf("a connection that is up is explained:\n%s", page)
	}
}
