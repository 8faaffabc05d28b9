package api

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/filter"
)

// mostHandshakes is how many are returned when nobody says.
const mostHandshakes = 100

// listHandshakes is GET /api/v1/handshakes: the records that fit, the newest first.
func (s *Server) listHandshakes(w http.ResponseWriter, r *http.Request) {
	f, err := handshakeFilter(r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	wanted, err := s.filterOf(r, filter.Handshakes)
	if err != nil {
		badQuery(w, err)
		return
	}
	found, err := s.gateway.Handshakes(wanted.NarrowHandshakes(f))
	if err != nil {
		s.cannotRead(w, err)
		return
	}
	found = wanted.OnlyHandshakes(found, f.Limit)
	writeJSON(w, Handshakes{Handshakes: append([]*callflow.Handshake{}, found...)})
}

// handshake is GET /api/v1/handshakes/ID.
func (s *Server) handshake(w http.ResponseWriter, r *http.Request) {
	found, err := s.gateway.Handshakes(callflow.HandshakeFilter{ID: r.PathValue("id"), Limit: 1})
	switch {
	case err != nil:
		s.cannotRead(w, err)
	case len(found) == 0:
		http.Error(w, fmt.Sprintf("there is no handshake %q, or it is kept no longer", r.PathValue("id")), http.StatusNotFound)
	default:
		writeJSON(w, found[0])
	}
}

func (s *Server) cannotRead(w http.ResponseWriter, err error) {
	s.log.Error("the records of handshakes cannot be read", "cause", err)
	http.Error(w, "the records of handshakes cannot be read: see the gateway's log", http.StatusInternalServerError)
}

// handshakeFilter reads the query of a request.
func handshakeFilter(q url.Values) (f callflow.HandshakeFilter, err error) {
	f = callflow.HandshakeFilter{Peer: q.Get("peer"), Listener: q.Get("listener"), Role: q.Get("role"), Outcome: q.Get("outcome"),
		Code: q.Get("code"), Limit: mostHandshakes}
	if text := q.Get("limit"); text != "" {
		n, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return f, fmt.Errorf("limit %q is no whole number from 0 on", text)
		}
		f.Limit = int(n)
	}
	if f.Failed, err = strconv.ParseBool(cmp.Or(q.Get("failed"), "false")); err != nil {
		return f, fmt.Errorf("failed %q is neither true nor false", q.Get("failed"))
	}
	for name, to := range map[string]*time.Time{"since": &f.Since, "until": &f.Until} {
		if text := q.Get(name); text != "" {
			if *to, err = time.Parse(time.RFC3339Nano, text); err != nil {
				return f, fmt.Errorf("%s %q is no time such as 2026-03-01T09:30:00Z", name, text)
			}
		}
	}
	return f, nil
}
