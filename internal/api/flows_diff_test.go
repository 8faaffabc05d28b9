package api

import (
	"encoding/json"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/callflow/export"
)

// TestDiffOfTwoRows asks for what is different between a request and its repetition under another branch.
func TestDiffOfTwoRows(t *testing.T) {
	g, _ := running(t, "")
	s := newServer(g, Options{})
	record(s, 1)
	h := s.Handler(true)
	for path, want := range map[string]string{
		"/api/v1/flows/7/diff?a=2&b=3": `there is no flow "7"`,
		"/api/v1/flows/1/diff?a=1&b=9": "is no SIP message; name two rows that are",
	} {
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, httptest.NewRequest("GET", path, nil)); w.Code == 200 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: got %d, %s", path, w.Code, w.Body)
		}
	}

	f := &callflow.Flow{ID: "1", Lifelines: []callflow.Lifeline{{Name: "office"}, {Name: "gateway", Gateway: true}}, Rows: []callflow.Row{
		{Number: 1, Kind: callflow.RowSIP, To: 1, Leg: -1, Label: "BYE", Raw: []byte("BYE sip:a SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK0\r\n\r\n")},
		{Number: 2, Kind: callflow.RowSIP, To: 1, Leg: -1, Label: "BYE", Raw: []byte("BYE sip:a SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\n\r\n")},
	}}
	get := func(query string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		q, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		writeDiff(w, f, q)
		return w
	}
	var d export.Diff
	if w := get("a=1&b=2"); w.Code != 200 || json.Unmarshal(w.Body.Bytes(), &d) != nil || len(d.Changes) != 1 || d.Changes[0].Name != "Via" {
		t.Errorf("got %d, %s", w.Code, w.Body)
	}
	for _, c := range []struct {
		query  string
		status int
		says   string
	}{
		{"a=1&b=2&format=text", 200, "  - SIP/2.0/UDP h;branch=z9hG4bK0\n  + SIP/2.0/UDP h;branch=z9hG4bK1\n"},
		{"a=2", 400, `b="" is no number of a row: name two rows, as a=2&b=16`},
		{"a=0&b=2", 400, `a="0" is no number`},
		{"a=2&b=99", 400, "call 1 has no row 99"},
		{"a=1&b=2&format=gif", 400, `format "gif": unknown, use json or text`},
	} {
		if w := get(c.query); w.Code != c.status || !strings.Contains(w.Body.String(), c.says) {
			t.Errorf("%s: got %d, %s", c.query, w.Code, w.Body)
		}
	}
}
