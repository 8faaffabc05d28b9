package api

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sallyport-sip/sallyport/internal/callflow"
)

// record makes a call that failed, in the memory of a server's gateway.
func record(s *Server, number uint64) {
	in := callflow.Call{Number: number, Direction: callflow.In, CallID: "a", Peer: "office"}
	out := callflow.Call{Number: number, Direction: callflow.Out, CallID: "b", Peer: "acme"}
	s.gateway.Record(callflow.LegCreated, in, "")
	s.gateway.Record(callflow.LegCreated, out, "routed")
	s.gateway.Record(callflow.TargetFailed, out, "connection refused")
}

func TestFlows(t *testing.T) {
	g, _ := running(t, "filters: {bad: \"state:failed\"}\n")
	s := newServer(g, Options{})
	for n := uint64(1); n <= 5; n++ {
		record(s, n)
	}
	h := s.Handler(true)
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		return w
	}
	list := func(query string) (ids, next string) {
		var doc FlowList
		w := get("/api/v1/flows" + query)
		if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil || doc.Version != 1 {
			t.Fatalf("%s: %v: %s", query, err, w.Body)
		}
		for _, f := range doc.Flows {
			ids += strings.TrimPrefix(f.ID, g.Recorder().Run()+"-")
		}
		return ids, doc.Next
	}
	if ids, next := list(""); ids != "54321" || next != "" {
		t.Errorf("got %s, %q", ids, next)
	}
	if ids, _ := list("?filter=id:2,4"); ids != "42" {
		t.Errorf("got %s", ids)
	}
	if ids, _ := list("?filter=-peer:acme"); ids != "" {
		t.Errorf("got %s", ids)
	}
	if ids, next := list("?limit=0"); ids != "54321" || next != "" {
		t.Errorf("limit=0: got %s, %q", ids, next)
	}
	ids, next := list("?limit=2")
	if ids != "54" || next == "" {
		t.Errorf("got %s, %q", ids, next)
	}
	ids, next = list("?limit=2&before=" + next)
	if ids != "32" || next == "" {
		t.Errorf("got %s, %q", ids, next)
	}
	if ids, next = list("?limit=2&before=" + next); ids != "1" || next != "" {
		t.Errorf("got %s, %q", ids, next)
	}
	for _, test := range []struct {
		path        string
		status      int
		says        string
		disposition string
	}{
		{"/api/v1/flows/3", 200, `-3"`, ""},
		{"/api/v1/flows/33", 404, `there is no flow "33" in memory, and no history is kept`, ""},
		{"/api/v1/flows?before=x", 400, `before "x" is not what an earlier list has as next`, ""},
		{"/api/v1/flows?filter=peeer:x", 400, "filter, character 1: there is no key \"peeer\": did you mean peer:?\npeeer:x\n^^^^^\n", ""},
		{"/api/v1/stream?filter=route:x", 400, "a flow has no such thing", ""},
		{"/api/v1/flows/" + g.Recorder().Run() + "-3", 200, `-3"`, ""},
		{"/api/v1/flows/x-3", 404, "no flow", ""},
		{"/api/v1/filters?check=state%3Dfailed", 200, `"check":{"good":true,"text":"state:failed","at":0`, ""},
		{"/api/v1/filters?check=a+peeer:x", 200, `"check":{"good":false,"text":"a peeer:x","at":3`, ""},
		{"/api/v1/filters", 200, `{"filters":[{"name":"bad","text":"state:failed"}],"keys":[{"name":"state","kind":"word"`, ""},
		{"/api/v1/flows?filter=@bda", 400, "did you mean @bad?", ""},
		{"/api/v1/flows?limit=x", 400, `limit "x" is no whole number`, ""},
		{"/api/v1/flows/3/export", 200, "-3: ", `attachment; filename="flow-RUN-3.txt"`},
		{"/api/v1/flows/3/export?format=json", 200, `-3"`, `attachment; filename="flow-RUN-3.json"`},
		{"/api/v1/flows/3/export?time=day&hide=B&width=60&ascii=1", 200, "not shown: hop B", `attachment; filename="flow-RUN-3.txt"`},
		{"/api/v1/flows/3/export?hide=C", 400, `hide="C": call RUN-3 has no leg "C"; its legs are A, B`, ""},
		{"/api/v1/flows/3/export?width=10", 400, `width="10": use a number from 60 to 1000`, ""},
		{"/api/v1/flows/3/export?format=gif", 400, `export format "gif": unknown, use one of text, `, ""},
		{"/api/v1/flows/3/export?format=pcapng", 200, "Without secrets", `attachment; filename="flow-RUN-3.pcapng"`},
		{"/api/v1/flows/3/export?format=pcapng&secrets=1", 403, "-3 has no TLS connection: export it without secrets", ""},
		{"/api/v1/flows/3/export?format=json&secrets=1", 403, "only format pcapng has a place for them, not json", ""},
		{"/api/v1/flows/33/export?format=json", 404, "no flow", ""},
	} {
		w := get(test.path)
		if w.Code != test.status || !strings.Contains(w.Body.String(), strings.ReplaceAll(test.says, "RUN", g.Recorder().Run())) || w.Header().Get("Content-Disposition") != strings.ReplaceAll(test.disposition, "RUN", g.Recorder().Run()) {
			t.Errorf("%s: got %d, %v, %s", test.path, w.Code, w.Header(), w.Body)
		}
	}
	w := httptest.NewRecorder()
	over := httptest.NewRequest("GET", "/api/v1/flows/3/export?format=pcapng&secrets=1", nil)
	over.Host = "127.0.0.1"
	s.Handler(false).ServeHTTP(w, over)
	if w.Code != 403 || !strings.Contains(w.Body.String(), "only on the gateway's own socket") {
		t.Errorf("secrets over the network: %d, %s", w.Code, w.Body)
	}
}
