package api

import (
	"net/http"
	"strconv"
	"strings"
)

// endCall is POST /api/v1/calls/{number}/end: 204 when the call is being ended. The id of its flow, RUN-NUMBER, names it as well:
// one of another run of the gateway is over, whatever has its number now.
func (s *Server) endCall(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("number")
	number, err := strconv.ParseUint(strings.TrimPrefix(id, s.permanent("")), 10, 64)
	if err != nil && (!strings.Contains(id, "-") || len(id) > 64) {
		http.Error(w, "a call is named by its number, as GET /api/v1/calls lists it, or by the id of its flow", http.StatusBadRequest)
		return
	}
	found := err == nil && s.gateway.EndCall(number)
	s.gateway.Audit("end call", "by", asker(r), "call", id, "found", found)
	if !found {
		http.Error(w, "there is no live call of that number: it is over, or was never there", http.StatusNotFound)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
