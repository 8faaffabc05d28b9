//go:build interop

package e2e

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// record is what "sallyport cdr --format json" prints for a call, as far as it is compared.
type record struct {
	ID      string `json:"id"`
	State   string `json:"state"`
	Called  string `json:"called"`
	EndedBy string `json:"ended_by"`
	Cause   struct {
		SIP  int    `json:"sip"`
		Text string `json:"text"`
	} `json:"cause"`
	Verdict string      `json:"verdict"`
	In      recordLeg   `json:"in"`
	Out     []recordLeg `json:"out"`
}

type recordLeg struct {
	Peer   string `json:"peer"`
	CallID string `json:"call_id"`
	TLS    *struct {
		Version  string   `json:"version"`
		Mutual   bool     `json:"mutual"`
		Identity []string `json:"identity"`
	} `json:"tls"`
}

// records returns the records of all calls so far, in the order in which they began.
func records(t *testing.T, dir string) (all []record) {
	t.Helper()
	for line := range strings.Lines(sallyport(t, dir, "cdr", "--config", "sallyport.yaml", "--format", "json", "--limit", "0")) {
		var r record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		all = append(all, r)
	}
	return all
}

// recordOf returns the record of the call that a flow shows, once it is over.
func recordOf(t *testing.T, dir string, c call) (found record) {
	t.Helper()
	soon(t, "the call is recorded to its end", func() bool {
		for _, r := range records(t, dir) {
			if r.In.CallID == c.Legs[0].CallID {
				found = r
				return r.State != "open" && r.State != "answered"
			}
		}
		return false
	})
	return found
}

// check holds a record against the state of the call's flow, who ended the call, and the peers of both hops, of which those on TLS have shown
// certificates of their names.
func (r record) check(t *testing.T, flowState, by, verdict string, peers [2]string) {
	t.Helper()
	want := map[string]struct {
		state string
		sip   int
	}{"ended": {"ended", 200}, "busy": {"refused", 486}, "cancelled": {"cancelled", 487}}[flowState]
	if r.State != want.state || r.Cause.SIP != want.sip || r.EndedBy != by || r.Verdict != verdict || r.Cause.Text == "" {
		t.Errorf("recorded as %s by %s with %+v, %s; want %s by %s with %d, %s", r.State, r.EndedBy, r.Cause, r.Verdict, want.state, by, want.sip, verdict)
	}
	legs := append([]recordLeg{r.In}, r.Out...)
	if len(legs) != 2 {
		t.Fatalf("the record has %d legs, want 2", len(legs))
	}
	for i, l := range legs {
		if l.Peer != peers[i] {
			t.Errorf("leg %d of the record is with %q, want %s", i, l.Peer, peers[i])
		}
		if l.TLS != nil && (!l.TLS.Mutual || !slices.Contains(l.TLS.Identity, l.Peer+".example")) {
			t.Errorf("TLS of the record with %s is %+v, want it mutual and with the name", l.Peer, l.TLS)
		}
	}
}
