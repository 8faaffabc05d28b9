//go:build interop

package e2e

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"
)

// document is what "demo --json" prints and the API returns for recorded flows, as far as it is compared.
type document struct {
	Calls []call `json:"calls"`
}

type call struct {
	ID       string  `json:"id"`
	State    string  `json:"state"`
	Sentence string  `json:"sentence"`
	Legs     []leg   `json:"legs"`
	Events   []event `json:"events"`
}

type event struct {
	Kind  string `json:"kind"`
	From  string `json:"from"`
	Label string `json:"label"`
	Leg   string `json:"leg"`
}

type leg struct {
	Name      string `json:"name"`
	Direction string `json:"direction"`
	Peer      string `json:"peer"`
	CallID    string `json:"call_id"`
	Hop       struct {
		Local  string `json:"local"`
		Remote string `json:"remote"`
		TLS    struct {
			Version   string   `json:"version"`
			Mutual    bool     `json:"mutual"`
			PeerNames []string `json:"peer_names"`
		} `json:"tls"`
		Handshake []step    `json:"handshake"`
		Verdicts  []verdict `json:"verdicts"`
	} `json:"hop"`
}

type step struct {
	From      string `json:"from"`
	Step      string `json:"step"`
	Encrypted bool   `json:"encrypted"`
	Alert     string `json:"alert"`
}

type verdict struct {
	By       string `json:"by"`
	Accepted bool   `json:"accepted"`
	Reason   string `json:"reason"`
	Remedy   string `json:"remedy"`
}

// flows asks the gateway's API for what is recorded.
func flows(t *testing.T, admin string) []call {
	t.Helper()
	var list struct {
		Flows []struct {
			ID string `json:"id"`
		} `json:"flows"`
	}
	if err := json.Unmarshal([]byte(apiText(t, admin, "/api/v1/flows")), &list); err != nil {
		t.Fatal(err)
	}
	var calls []call
	for _, f := range list.Flows {
		var doc document
		if err := json.Unmarshal([]byte(apiText(t, admin, "/api/v1/flows/"+f.ID)), &doc); err != nil {
			t.Fatal(err)
		}
		calls = append(calls, doc.Calls...)
	}
	return calls
}

// newFlow runs what makes one new flow, waits until it is recorded in this state and returns it.
func newFlow(t *testing.T, admin, state string, make func()) call {
	t.Helper()
	known := map[string]bool{}
	for _, c := range flows(t, admin) {
		known[c.ID] = true
	}
	make()
	var found *call
	eventually(5*time.Second, func() bool {
		for _, c := range flows(t, admin) {
			if !known[c.ID] && c.State == state {
				found = &c
			}
		}
		return found != nil
	})
	if found == nil {
		t.Fatalf("no new flow in the state %s is recorded", state)
	}
	return *found
}

// wantNoCalls waits until the gateway has no call any more.
func wantNoCalls(t *testing.T, admin string) {
	t.Helper()
	var left struct {
		Calls []struct {
			State, From, To string
		}
	}
	gone := eventually(90*time.Second, func() bool {
		answer, err := http.Get("http://" + admin + "/api/v1/calls")
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		left.Calls = nil
		if err := json.NewDecoder(answer.Body).Decode(&left); err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("calls: status %d, %v", answer.StatusCode, err)
		}
		return len(left.Calls) == 0
	})
	if !gone {
		t.Errorf("the gateway still has calls: %+v", left.Calls)
	}
}
