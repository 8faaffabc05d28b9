package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/gateway"
	"github.com/sallyport-sip/sallyport/internal/memnet"
	"github.com/sallyport-sip/sallyport/internal/store"
)

// pastDir makes the directory of a gateway with records of an earlier run: n calls, one a second, and a handshake that was refused after
// every fourth. The clock went back by an hour in the middle.
func pastDir(t *testing.T, n int) (dir string, ids []string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "api")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	now := time.Now().Add(-24 * time.Hour)
	clock := func() time.Time { return now }
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(filepath.Join(dir, "data"), store.Options{Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if now = now.Add(time.Second); i == n/2 {
			now = now.Add(-time.Hour)
		}
		c := &store.CDR{ID: s.NewID(), Call: uint64(i + 1), Run: "past22", State: store.Refused, Caller: "alice", Called: fmt.Sprintf("+4930%03d", i), Began: now, Ended: now,
			EndedBy: "gateway", Cause: store.Cause{SIP: 503, Text: "the certificate has expired"}, In: store.Leg{Peer: "office", CallID: fmt.Sprintf("In-%d", i), Transport: "udp"},
			Out: []store.Leg{{Peer: "acme", CallID: fmt.Sprintf("out-%d", i), Reason: "expired", Remote: "192.0.2.3:5061"}}}
		s.Put(c)
		ids = append(ids, c.Flow())
		if i%4 == 3 {
			id, _ := store.ParseID(s.NewID())
			h := &callflow.Handshake{ID: store.FormatID(id), Run: "past22", Connection: uint64(i), At: now, Role: callflow.RoleServer, Transport: "tls", Listener: "outside",
				Outcome: callflow.OutcomeRefused, Code: "expired", Verdicts: []callflow.Verdict{{ByGateway: true, Code: "expired", Reason: "the certificate has expired"}}}
			s.PutHandshake(id, store.OfStranger, func() *callflow.Handshake { return h })
			ids = append(ids, fmt.Sprintf("past22-conn-%d", i))
		}
		if i == 5 { // one made for a call, which tells of it
			id, _ := store.ParseID(s.NewID())
			h := &callflow.Handshake{ID: store.FormatID(id), Run: "past22", Connection: 1000, At: now, Role: callflow.RoleClient, Transport: "tls", Peer: "acme",
				Remote: netip.MustParseAddrPort("192.0.2.3:5061"), Outcome: callflow.OutcomeRefused, Code: "expired", Verdicts: []callflow.Verdict{{ByGateway: true, Code: "expired"}}}
			s.PutHandshake(id, store.PeerFailure, func() *callflow.Handshake { return h })
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	slices.Reverse(ids)
	return dir, ids
}

// pastServer is the API of a gateway that runs anew in such a directory.
func pastServer(t testing.TB, dir string) *Server {
	t.Helper()
	file := filepath.Join(dir, "sallyport.yaml")
	if err := os.WriteFile(file, []byte(strings.Replace(plain, "cdr: off", "cdr: interval", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, problems := config.Load(file)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	g, problems := gateway.New(cfg, gateway.Options{Network: memnet.New(memnet.Options{})})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if err := g.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Close(context.Background()) })
	return newServer(g, Options{})
}

func listPage(t *testing.T, s *Server, text, before string, limit int) (doc FlowList) {
	t.Helper()
	w := httptest.NewRecorder()
	q := url.Values{"filter": {text}, "before": {before}, "limit": {fmt.Sprint(limit)}}
	s.Handler(true).ServeHTTP(w, httptest.NewRequest("GET", "/api/v1/flows?"+q.Encode(), nil))
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil {
		t.Fatalf("%s: %v: %s", text, err, w.Body)
	}
	return doc
}

// listAll follows the pages to the end.
func listAll(t *testing.T, s *Server, text string, limit int) (all []callflow.Summary) {
	t.Helper()
	for before := ""; ; {
		doc := listPage(t, s, text, before, limit)
		all = append(all, doc.Flows...)
		if doc.Next == "" {
			return all
		}
		if doc.Next == before {
			t.Fatalf("%s: the list stands still at %s", text, before)
		}
		before = doc.Next
	}
}

func idsOf(all []callflow.Summary) (ids []string) {
	for i := range all {
		ids = append(ids, all[i].ID)
	}
	return ids
}

// The list goes on below memory into what is recorded, page by page, with each flow once.
func TestFlowsGoOnIntoTheRecords(t *testing.T) {
	dir, want := pastDir(t, 50)
	s := pastServer(t, dir)
	for n := uint64(1); n <= 3; n++ {
		record(s, n)
		want = slices.Insert(want, 0, fmt.Sprintf("%s-%d", s.gateway.Recorder().Run(), n))
	}
	for _, limit := range []int{1, 2, 3, 7, 62, 63, 64, 65, 66, 0} {
		all := listAll(t, s, "", limit)
		if got := idsOf(all); !slices.Equal(got, want) {
			t.Errorf("limit %d: got %v, want %v", limit, got, want)
		}
	}
	all := listAll(t, s, "number:+4930042", 10)
	if len(all) != 1 {
		t.Fatalf("got %+v", all)
	}
	if c := all[0]; c.ID != "past22-43" || c.Live || !c.Done || c.State != callflow.StateFailed || c.Reason != "expired" || c.From != "alice" || c.To != "+4930042" ||
		!slices.Equal(c.Peers, []string{"office", "acme"}) || !slices.Equal(c.Hops, []string{"udp", "xtls"}) || c.Sentence != "Refused with 503: the certificate has expired" {
		t.Errorf("got %+v", c)
	}
	for text, n := range map[string]int{
		"id:past22-7": 1, "id:past22-conn-7": 1, "call-id:In-9": 1, "call-id:in-9": 0, "peer:acme state:failed id:past22-*": 50, "state:refused": 12,
		"tls.reason:expired": 62, "code:503": 50, "finding:x": 0, "since:1h": 3, "listener:outside": 12, "number:+49300*": 50, "until:12h -peer:acme": 12,
	} {
		if got := listAll(t, s, text, 5); len(got) != n {
			t.Errorf("%s: got %d, want %d: %v", text, len(got), n, idsOf(got))
		}
	}
}

// A call that memory has and that is recorded is one line, that of memory, whether or not the filter wants it by one of them.
func TestFlowsInMemoryAndRecorded(t *testing.T) {
	dir, _ := pastDir(t, 0)
	s := pastServer(t, dir)
	record(s, 1)
	began := time.Now().Add(-time.Minute)
	for _, call := range []uint64{1, 2} {
		s.gateway.CDR(&store.CDR{ID: s.gateway.NewID(), Call: call, State: store.Answered, Caller: "alice", Called: "bob", Began: began, Answered: began, In: store.Leg{Peer: "office"}})
	}
	run := s.gateway.Recorder().Run()
	for len(listPage(t, s, "from:alice", "", 0).Flows) == 0 { // until the second is on the disk
		time.Sleep(time.Millisecond)
	}
	all := listAll(t, s, "", 1)
	if got := idsOf(all); len(got) != 2 || !slices.Contains(got, run+"-1") || !slices.Contains(got, run+"-2") {
		t.Fatalf("got %v", got)
	}
	if got := listAll(t, s, "from:alice", 0); len(got) != 1 || got[0].ID != run+"-2" || !got[0].Live || got[0].Done {
		t.Errorf("got %+v", got)
	}
}

// A search that takes too long says so, and goes on where it stopped.
func TestFlowsSearchIsBounded(t *testing.T) {
	dir, want := pastDir(t, 10)
	s := pastServer(t, dir)
	s.searchWithin = 0 // each page looks at one record
	cut := listPage(t, s, "to:none", "", 5)
	if !cut.Cut || cut.Next == "" || len(cut.Flows) != 0 {
		t.Errorf("got %+v", cut)
	}
	if got := idsOf(listAll(t, s, "", 5)); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := idsOf(listAll(t, s, "to:+4930002", 5)); !slices.Equal(got, []string{"past22-3"}) {
		t.Errorf("got %v", got)
	}
}
