package api

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/sallyport-sip/sallyport/internal/gateway"
	"github.com/sallyport-sip/sallyport/internal/guard"
)

const (
	// cookieName has the prefix by which browsers keep a cookie to this host and to HTTPS.
	cookieName = "__Host-sallyport"
	// sessionFor is how long somebody stays signed in.
	sessionFor = 12 * time.Hour
	// maxSessions bounds those that are signed in; the one that would end first goes.
	maxSessions = 256
	// maxTries is how many wrong tokens one address may bring in a minute, and maxTriers how many addresses are counted.
	maxTries  = 10
	maxTriers = 1024
)

// sessions are the people who are signed in to the page. Its zero value is ready. They are in memory only: a restart signs everybody out.
type sessions struct {
	mu     sync.Mutex // guards what follows
	open   map[[sha256.Size]byte]session
	wrong  map[string]int // tokens in this minute, by address
	minute time.Time
}

// A session lasts until its time is over or the token with which it was begun is no longer the configuration's.
type session struct {
	token guard.Token
	until time.Time
}

// role says what a request's session lets it do.
func (s *sessions) role(r *http.Request, a gateway.Admin) role {
	c, err := r.Cookie(cookieName)
	if err != nil {
		return roleNone
	}
	s.mu.Lock()
	one, found := s.open[sha256.Sum256([]byte(c.Value))]
	s.mu.Unlock()
	switch {
	case !found || !time.Now().Before(one.until):
		return roleNone
	case one.token == a.Operator:
		return roleOperator
	case one.token == a.Token:
		return roleReader
	}
	return roleNone
}

// begin returns the secret of a new session.
func (s *sessions) begin(token guard.Token, now time.Time) (secret string, until time.Time) {
	secret, until = rand.Text(), now.Add(sessionFor)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = make(map[[sha256.Size]byte]session)
	}
	var first [sha256.Size]byte
	for key, one := range s.open {
		if !now.Before(one.until) {
			delete(s.open, key)
		} else if have, ok := s.open[first]; !ok || one.until.Before(have.until) {
			first = key
		}
	}
	if len(s.open) >= maxSessions {
		delete(s.open, first)
	}
	s.open[sha256.Sum256([]byte(secret))] = session{token, until}
	return secret, until
}

func (s *sessions) end(secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, sha256.Sum256([]byte(secret)))
}

// mayTry says whether an address may bring another token, and failed counts one that was wrong.
func (s *sessions) mayTry(address string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.minute) >= time.Minute {
		s.minute, s.wrong = now, make(map[string]int)
	}
	n, known := s.wrong[address]
	return n < maxTries && (known || len(s.wrong) < maxTriers)
}

func (s *sessions) failed(address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wrong[address]++
}

// mySession is GET /api/v1/session: what the one who asks may do. It is answered to anybody, so that a page knows whether to ask for a token.
func (s *Server) mySession(w http.ResponseWriter, r *http.Request) {
	a := s.gateway.Admin()
	writeJSON(w, Session{Role: s.roleOf(r).String(), NeedsToken: a.NeedsToken, Operators: a.Operator != (guard.Token{})})
}

// signIn is POST /api/v1/session with {"token": "…"}: the answer sets a cookie by which the requests of a browser are known from then on.
func (s *Server) signIn(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Token string `json:"token"`
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.Token == "" {
		http.Error(w, `the body is {"token": "…"} with the token of admin.token_file or admin.operator_token_file`, http.StatusBadRequest)
		return
	}
	address := r.RemoteAddr
	if host, _, err := net.SplitHostPort(address); err == nil {
		address = host
	}
	now := time.Now()
	if !s.sessions.mayTry(address, now) {
		w.Header().Set("Retry-After", "60")
		http.Error(w, "too many wrong tokens in a minute: wait one", http.StatusTooManyRequests)
		return
	}
	a := s.gateway.Admin()
	doc := Session{NeedsToken: a.NeedsToken, Operators: a.Operator != (guard.Token{})}
	var token guard.Token
	switch {
	case a.Operator.Matches(in.Token):
		doc.Role, token = roleOperator.String(), a.Operator
	case a.Token.Matches(in.Token):
		doc.Role, token = roleReader.String(), a.Token
	default:
		s.sessions.failed(address)
		s.gateway.Audit("sign in refused", "by", asker(r))
		http.Error(w, "this token is none of the gateway's: look into the files that admin.token_file and admin.operator_token_file name", http.StatusForbidden)
		return
	}
	secret, until := s.sessions.begin(token, now)
	s.gateway.Audit("sign in", "by", asker(r), "role", doc.Role)
	http.SetCookie(w, sessionCookie(secret, int(sessionFor/time.Second)))
	doc.Until = &until
	writeJSON(w, doc)
}

// signOut is DELETE /api/v1/session.
func (s *Server) signOut(w http.ResponseWriter, r *http.Request) {
	if c, err := r.Cookie(cookieName); err == nil {
		s.sessions.end(c.Value)
	}
	http.SetCookie(w, sessionCookie("", -1))
	w.WriteHeader(http.StatusNoContent)
}

// sessionCookie is one that no script reads and no page of another site sends. Tokens exist only where the API is HTTPS.
func sessionCookie(secret string, seconds int) *http.Cookie {
	return &http.Cookie{Name: cookieName, Value: secret, Path: "/", MaxAge: seconds, Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode}
}
