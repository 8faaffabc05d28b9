package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"path/filepath"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/gateway"
	"github.com/sallyport-sip/sallyport/internal/trust"
)

// localKey marks the requests of the local socket: whoever sends them may read
// what the gateway may.
type localKey struct{}

func markLocal(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), localKey{}, true)))
	})
}

func isLocal(r *http.Request) bool { return r.Context().Value(localKey{}) != nil }

// trustDiff is POST /api/v1/trust/diff: a configuration as the body, or on the
// local socket a document that names its file. Nothing is changed.
func (s *Server) trustDiff(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		status := http.StatusBadRequest
		if _, large := errors.AsType[*http.MaxBytesError](err); large {
			status = http.StatusRequestEntityTooLarge
		}
		http.Error(w, "the configuration cannot be read: "+err.Error(), status)
		return
	}
	var cfg *config.Config
	var problems []config.Problem
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind == "application/json" {
		var named struct {
			File string `json:"file"`
		}
		switch err := json.Unmarshal(body, &named); {
		case !isLocal(r):
			http.Error(w, "a file is named only on the local socket: send the configuration itself, as application/yaml", http.StatusForbidden)
			return
		case err != nil || !filepath.IsAbs(named.File):
			http.Error(w, `the document names the file: {"file": "/path/of/the.yaml"}`, http.StatusBadRequest)
			return
		}
		cfg, problems = config.Load(named.File)
	} else {
		cfg, problems = config.Parse(s.gateway.Config().File, body)
	}
	var d gateway.Diff
	if len(problems) == 0 {
		d, problems = s.gateway.Diff(cfg)
	}
	s.gateway.Audit("trust diff", "by", asker(r), "configuration", cfg.File, "problems", len(problems), "breaks", d.Breaks())
	w.Header().Set("Content-Type", "application/json")
	if len(problems) > 0 {
		w.WriteHeader(http.StatusUnprocessableEntity)
	}
	writeJSON(w, TrustDiffOf(d, problems))
}

// TrustDiffOf makes the document.
func TrustDiffOf(d gateway.Diff, problems []config.Problem) TrustDiff {
	doc := TrustDiff{Breaks: d.Breaks(), Problems: append([]config.Problem{}, problems...), Changes: changesOf(d.Changes), Peers: []PeerDiff{},
		Gone: append([]string{}, d.Gone...)}
	for _, p := range d.Peers {
		one := PeerDiff{Peer: p.Peer, State: p.State, Seen: []Judged{}, Shown: []Shown{}, Failing: failingOf(p.Live)}
		for _, j := range p.Seen {
			seen := Judged{Role: j.Role.String(), Listener: j.Listener, At: j.At.UTC(), Live: j.Live, Subject: j.Subject, State: j.State}
			if j.Why != nil {
				seen.Why = j.Why.Error()
			}
			if r, ok := errors.AsType[*trust.Refusal](j.Why); ok {
				seen.Code, seen.Remedy = string(r.Code), r.Remedy
			}
			one.Seen = append(one.Seen, seen)
		}
		for _, s := range p.Shown {
			one.Shown = append(one.Shown, Shown{s.Listener, certificates(s.Old), certificates(s.New), s.MustKnow})
		}
		doc.Peers = append(doc.Peers, one)
	}
	return doc
}
