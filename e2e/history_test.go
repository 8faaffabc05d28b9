package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
)

// kept is what the test reads of a flow's document.
type kept struct {
	Calls []struct {
		ID    string `json:"id"`
		State string `json:"state"`
		Legs  []struct {
			CallID string `json:"call_id"`
			Hop    struct {
				Handshake []struct {
					Name string `json:"name"`
				} `json:"handshake"`
				Verdicts []struct {
					Accepted bool `json:"accepted"`
				} `json:"verdicts"`
			} `json:"hop"`
		} `json:"legs"`
		Events []json.RawMessage `json:"events"`
	} `json:"calls"`
}

// TestHistorySurvivesAKill: a gateway that is killed tells, when it runs again, the whole ladder of a call that it had served before, with the
// TLS handshakes of both hops.
func TestHistorySurvivesAKill(t *testing.T) {
	t.Parallel()
	s := newSite(t, "127.0.0.1", "1.3", "1.2", "ca")
	s.answered(t)
	s.busy(t)
	var id, state string
	soon(t, "both calls are over", func() bool {
		calls := recorded(t, s.admin)
		if len(calls) < 2 || calls[0].State != "busy" || calls[1].State != "ended" {
			return false
		}
		id, state = calls[1].ID, calls[1].State
		return true
	})
	if !strings.Contains(id, "-") {
		t.Fatalf("the call's id %q has no run", id)
	}
	path := "/api/v1/flows/" + id
	before := flowDocument(t, apiText(t, s.admin, path))
	soon(t, "the history is on the disk", func() bool { // what is younger than 50 ms need not be
		entries, err := os.ReadDir(s.dir + "/data/history")
		if err != nil || len(entries) == 0 {
			return false
		}
		info, err := entries[0].Info()
		return err == nil && info.Size() > 4000
	})
	if err := s.gateway.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-s.gateway.ended
	again := startServe(t, s.dir, s.config)
	var after kept
	soon(t, "the call is told", func() bool { // what the killed one was writing is looked at beside the start
		answer, err := http.Get("http://" + s.admin + path)
		if err != nil {
			return false
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil || answer.StatusCode != http.StatusOK {
			return false
		}
		after = flowDocument(t, string(text))
		return true
	})
	if len(after.Calls) != 1 || after.Calls[0].ID != id || after.Calls[0].State != state {
		t.Fatalf("after the kill: %+v", after)
	}
	got, want := after.Calls[0], before.Calls[0]
	if len(got.Events) < len(want.Events) || len(got.Events) < 20 {
		t.Errorf("%d rows, before the kill %d", len(got.Events), len(want.Events))
	}
	for i := range got.Legs {
		if n := len(got.Legs[i].Hop.Handshake); n < 8 || n != len(want.Legs[i].Hop.Handshake) || len(got.Legs[i].Hop.Verdicts) != 2 {
			t.Errorf("leg %d: a handshake of %d steps, before the kill %d; verdicts %+v", i, n, len(want.Legs[i].Hop.Handshake), got.Legs[i].Hop.Verdicts)
		}
	}
	// The commands find it by list, filter and id, beside what the new run has.
	list := sallyport(t, s.dir, "flow", "list", "--config", "sallyport.yaml", "call-id:"+after.Calls[0].Legs[1].CallID)
	if !strings.Contains(list, id) || strings.Count(list, "\n") != 2 {
		t.Errorf("flow list: %s", list)
	}
	var page struct {
		Flows []struct{ ID string }
		Next  string
	}
	first := sallyport(t, s.dir, "flow", "list", "--config", "sallyport.yaml", "--json", "--limit", "1")
	if err := json.Unmarshal([]byte(first), &page); err != nil || len(page.Flows) != 1 || page.Flows[0].ID == id || page.Next == "" {
		t.Errorf("the first page: %v, %s", err, first)
	}
	if second := sallyport(t, s.dir, "flow", "list", "--config", "sallyport.yaml", "--limit", "1", "--before", page.Next); !strings.Contains(second, id) {
		t.Errorf("the second page: %s", second)
	}
	if shown := sallyport(t, s.dir, "flow", "show", id, "--config", "sallyport.yaml"); !strings.Contains(shown, id) || !strings.Contains(shown, "INVITE") || !strings.Contains(shown, "BYE") {
		t.Errorf("flow show: %s", shown)
	}
	if file := sallyport(t, s.dir, "flow", "export", id, "--config", "sallyport.yaml", "--format", "json"); len(flowDocument(t, file).Calls) != 1 {
		t.Errorf("flow export: %s", file)
	}
	again.terminate(t)
}

func flowDocument(t *testing.T, text string) (k kept) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &k); err != nil {
		t.Fatalf("%v in %.200s", err, text)
	}
	return k
}
