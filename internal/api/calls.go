package api

import (
	"net/http"
	"strconv"
)

// endCall is POST /api/v1/calls/{number}/end: 204 when the call is being ended.
func (s *Server) endCall(w http.ResponseWriter, r *http.Request) {
	number, err := strconv.ParseUint(r.PathValue("number"), 10, 64)
	if err != nil {
		http.Error(w, "a call is named by its number, as GET /api/v1/calls lists it", http.StatusBadRequest)
		return
	}
	found := s.gateway.EndCall(number)
	s.gateway.Audit("end call", "by", asker(r), "call", number, "found", found)
	if !found {
		http.Error(w, "there is no live call of that number: it is over, or was never there", http.StatusNotFound)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
