package api

import (
	"net/http"
	"time"

	"github.com/sallyport-sip/sallyport/internal/filter"
)

// FilterList is the document of GET /api/v1/filters.
type FilterList struct {
	Filters []SavedFilter `json:"filters"` // in the order of the configuration
	Keys    []FilterKey   `json:"keys"`    // of the language, in the order of its page
	Check   *FilterCheck  `json:"check"`   // of the filter that was asked about; null: of none
}

// SavedFilter is one of the configuration.
type SavedFilter struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// FilterKey is one key of the language.
type FilterKey struct {
	Name    string   `json:"name"`
	Kind    string   `json:"kind"` // "text", "address", "word", "number", "duration", "time"
	Example string   `json:"example"`
	About   string   `json:"about"`
	Words   []string `json:"words"` // that it takes, of "word"
}

// FilterCheck says whether a filter can be understood.
type FilterCheck struct {
	Good   bool   `json:"good"`
	Text   string `json:"text"`   // as it would be written; of a bad one as it came
	At     int    `json:"at"`     // where it is wrong, in characters from 1; 0: it is not
	What   string `json:"what"`   // what is wrong
	Remedy string `json:"remedy"` // what to do
}

// filters is GET /api/v1/filters: what can be written as a filter of flows.
func (s *Server) filters(w http.ResponseWriter, r *http.Request) {
	cfg := s.gateway.Config()
	doc := FilterList{Filters: []SavedFilter{}, Keys: []FilterKey{}}
	for i := range cfg.Filters {
		doc.Filters = append(doc.Filters, SavedFilter{cfg.Filters[i].Name, cfg.Filters[i].Text})
	}
	for _, k := range filter.Keys(filter.Flows) {
		doc.Keys = append(doc.Keys, FilterKey{k.Name, k.Kind, k.Example, k.About, append([]string{}, k.Words...)})
	}
	if q := r.URL.Query(); q.Has("check") {
		doc.Check = checkOf(q.Get("check"), cfg.SavedFilters())
	}
	writeJSON(w, doc)
}

func checkOf(text string, saved map[string]string) *FilterCheck {
	f, err := filter.Parse(text, filter.Options{Now: time.Now(), For: filter.Flows, Saved: saved})
	if err == nil {
		return &FilterCheck{Good: true, Text: f.String()}
	}
	e := err.(*filter.Error)
	return &FilterCheck{Text: e.Text, At: e.Column(), What: e.What, Remedy: e.Remedy}
}
