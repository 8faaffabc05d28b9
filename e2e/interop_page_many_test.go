//go:build interop

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"github.com/sallyport-sip/sallyport/internal/api"
	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/callflow/export"
	"github.com/sallyport-sip/sallyport/internal/web"
)

const manyCalls = 10_000

// TestPageOfManyCalls has the page over ten thousand calls, and a ladder of two thousand rows: what is drawn stays what is on the
// screen, the end can be reached, what comes in above does not move what one reads, and how long the first paint took is logged.
func TestPageOfManyCalls(t *testing.T) {
	t.Parallel()
	news := make(chan callflow.Summary)
	srv := httptest.NewServer(manyFlows(news))
	t.Cleanup(srv.Close)
	b := openPage(t, srv.URL, "/")
	t.Cleanup(srv.CloseClientConnections) // streams do not end by themselves
	b.until(`the first of them are listed`, rows+`.length > 10`)
	b.until(`they are painted`, `performance.getEntriesByName('first-contentful-paint').length > 0`)
	t.Logf("first contentful paint after %.0f ms, the first rows after %.0f ms", b.number(`performance.getEntriesByName('first-contentful-paint')[0].startTime`), b.number(`performance.now()`))
	few := rows + `.length < 100`
	b.is(`only those on the screen are drawn`, few)

	b.eval(`void (window.list = document.getElementById('call-list'))`)
	b.eval(`list.focus()`)
	all := `/^10,000 calls/.test(document.querySelector('.foot').innerText.trim())`
	eventually(tabPatience, func() bool { // each time at the end the next page is loaded
		b.key(kb.End)
		return b.ask(all)
	})
	b.is(`all of them are there`, all)
	b.key(kb.End)
	b.until(`the oldest can be seen`, rows+`.some(r => r.startsWith('1 '))`)
	b.is(`still only those on the screen are drawn`, few)

	b.eval(`void (list.scrollTop = 5000 * 30)`)
	b.until(`in the middle there are rows too`, rows+`.some(r => r.startsWith('`+strconv.Itoa(manyCalls-5000)+` '))`)
	b.eval(`void (window.seen = [...document.querySelectorAll('#call-list [role=option]')].find(r => r.getBoundingClientRect().top > list.getBoundingClientRect().top).innerText)`)
	for i := range 3 {
		news <- manySummary(manyCalls + 1 + i)
	}
	b.until(`new ones are counted`, `/^10,003 calls/.test(document.querySelector('.foot').innerText.trim())`)
	b.until(`what one reads stays where it is`, `[...document.querySelectorAll('#call-list [role=option]')].find(r => r.getBoundingClientRect().top > list.getBoundingClientRect().top).innerText === window.seen`)
	b.eval(`void (list.scrollTop = 0)`)
	b.until(`and the new ones are at the top`, rows+`[0].startsWith('`+strconv.Itoa(manyCalls+3)+` ')`)

	b.open("/#/call/long")
	b.until(`the long ladder is open`, lines+`.length > 10`)
	b.is(`of its rows only those on the screen are drawn`, lines+`.length < 100`)
	b.eval(`document.getElementById('ladder').focus()`)
	b.key(kb.End)
	b.until(`its end can be reached`, cursor+`.includes('OPTIONS 2000')`)
	// A key of a person writes nothing when it is taken for a command; one that is sent from here would.
	b.eval(`document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {key: '/', bubbles: true, cancelable: true}))`)
	b.key("1234" + kb.Enter)
	b.until(`and a row can be searched`, cursor+`.includes('OPTIONS 1234')`)
	b.wantsQuiet()
}

// manySummary is the n-th call.
func manySummary(n int) callflow.Summary {
	states := []callflow.State{callflow.StateEnded, callflow.StateBusy, callflow.StateFailed, callflow.StateCancelled}
	return callflow.Summary{
		ID: strconv.Itoa(n), Number: uint64(n), State: states[n%len(states)], Sentence: "A call of many", From: "alice@a.example", To: fmt.Sprintf("+49%07d@b.example", n),
		Start: time.Date(2026, 1, 1, 0, 0, n, 0, time.UTC), Done: true, Peers: []string{"a", "b"}, Legs: 2, Hops: []string{"13m", "12"}, Findings: []string{},
	}
}

// manyFlows is the page, and an API over ten thousand calls and one of two thousand rows.
func manyFlows(news <-chan callflow.Summary) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", web.Handler())
	mux.HandleFunc("GET /api/v1/session", func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(api.Session{Role: "reader"})
	})
	mux.HandleFunc("GET /api/v1/flows", func(w http.ResponseWriter, r *http.Request) {
		limit, _ := strconv.Atoi(r.FormValue("limit"))
		from := manyCalls
		if before, err := strconv.Atoi(r.FormValue("before")); err == nil {
			from = before
		}
		doc := struct {
			Version int                `json:"version"`
			Flows   []callflow.Summary `json:"flows"`
			Next    string             `json:"next"`
		}{Version: 1}
		for n := from; n > 0 && len(doc.Flows) < limit; n-- {
			doc.Flows = append(doc.Flows, manySummary(n))
			doc.Next = strconv.Itoa(n - 1)
		}
		if doc.Next == "0" {
			doc.Next = ""
		}
		json.NewEncoder(w).Encode(doc)
	})
	mux.HandleFunc("GET /api/v1/flows/long", func(w http.ResponseWriter, _ *http.Request) {
		export.JSON(w, []*callflow.Flow{longFlow()}, export.Options{})
	})
	mux.HandleFunc("GET /api/v1/stream", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for {
			c := http.NewResponseController(w)
			fmt.Fprint(w, "event: status\ndata: {\"calls\":0,\"connections\":0,\"failed\":0,\"refused\":0,\"ring\":0,\"dropped\":0}\n\n")
			c.Flush()
			select {
			case <-r.Context().Done():
				return
			case s := <-news:
				b, _ := json.Marshal(map[string]any{"changed": []callflow.Summary{s}, "gone": []string{}})
				fmt.Fprintf(w, "id: %d\nevent: flows\ndata: %s\n\n", s.Number, b)
			case <-time.After(time.Second):
			}
		}
	})
	return mux
}

// longFlow has two thousand rows.
func longFlow() *callflow.Flow {
	f := &callflow.Flow{
		ID: "long", State: callflow.StateAnswered, Sentence: "Answered, and talked about at length", Start: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		Lifelines: []callflow.Lifeline{{Name: "a"}, {Name: "gateway", Gateway: true}}, Legs: []*callflow.Leg{{Name: "A", Direction: callflow.In, Peer: "a"}},
	}
	for n := 1; n <= 2000; n++ {
		since := time.Duration(n) * time.Second
		f.Rows = append(f.Rows, callflow.Row{
			Number: n, Seq: uint64(n), At: f.Start.Add(since), Since: since, Kind: callflow.RowSIP, To: 1, Label: fmt.Sprintf("OPTIONS %d", n), Raw: []byte("OPTIONS sip:a SIP/2.0\r\n\r\n"),
		})
	}
	return f
}
