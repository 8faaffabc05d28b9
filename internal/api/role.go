package api

import (
	"cmp"
	"net/http"
)

// A role is what somebody may do who asks.
type role uint8

// The roles, each of which may do what the one before may.
const (
	roleNone     role = iota
	roleReader        // may look
	roleOperator      // may also end calls, reload and close connections
)

// String is the word of the API.
func (r role) String() string { return [...]string{"none", "reader", "operator"}[r] }

// roleOf says what the configuration in force lets somebody do: by the local socket, by a token, or by the session that was begun with one.
func (s *Server) roleOf(r *http.Request) role {
	if isLocal(r) {
		return roleOperator
	}
	a := s.gateway.Admin()
	least := roleReader
	if a.NeedsToken {
		least = roleNone
	}
	token := bearer(r)
	switch {
	case a.Operator.Matches(token):
		return roleOperator
	case a.Token.Matches(token):
		return roleReader
	case token != "":
		return least
	}
	return max(least, s.sessions.role(r, a))
}

// acting has a handler answer operators only.
func (s *Server) acting(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if s.roleOf(r) < roleOperator {
			http.Error(w, "this is for operators: sign in with the token of admin.operator_token_file, or use the commands of sallyport on the gateway's own machine", http.StatusForbidden)
			return
		}
		h(w, r)
	}
}

// asker says in the audit who has sent a request.
func asker(r *http.Request) string {
	if isLocal(r) {
		return "the local socket"
	}
	return cmp.Or(r.RemoteAddr, "unknown")
}
