// Package api is the gateway's HTTP interface: what the page, the terminal, the
// commands of this program and scripts read.
//
// Reading starts at Start and the table routes; admit.go has who may ask,
// types.go the documents. The API is served on a socket in the data directory
// (local.go), which only the user of the gateway can open, and on the address of
// the configuration's admin section if it has one (listen.go). The server's
// goroutines end with Server.Close.
package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport-sip/sallyport/internal/gateway"
)

// sessionPath is where people sign in, which they may do without a token.
const sessionPath = "/api/v1/session"

// routes is every call of the API. What is asked for by POST is done for operators only, apart from signing in.
var routes = []struct {
	pattern string
	handler func(*Server, http.ResponseWriter, *http.Request)
}{
	{"GET /healthz", (*Server).health},
	{"GET /metrics", (*Server).metrics},
	{"GET " + sessionPath, (*Server).mySession},
	{"POST " + sessionPath, (*Server).signIn},
	{"DELETE " + sessionPath, (*Server).signOut},
	{"GET /api/v1/status", (*Server).status},
	{"GET /api/v1/calls", (*Server).listCalls},
	{"POST /api/v1/calls/{number}/end", (*Server).endCall},
	{"GET /api/v1/peers", (*Server).listPeers},
	{"GET /api/v1/connections", (*Server).listConnections},
	{"GET /api/v1/certificates", (*Server).listEndings},
	{"GET /api/v1/flows", (*Server).listFlows},
	{"GET /api/v1/flows/{id}", (*Server).flow},
	{"GET /api/v1/flows/{id}/export", (*Server).exportFlow},
	{"GET /api/v1/flows/{id}/diff", (*Server).diffFlow},
	{"GET /api/v1/stream", (*Server).stream},
	{"GET /api/v1/filters", (*Server).filters},
	{"GET /api/v1/events", (*Server).streamEvents},
	{"GET /api/v1/handshakes", (*Server).listHandshakes},
	{"GET /api/v1/handshakes/{id}", (*Server).handshake},
	{"POST /api/v1/reload", (*Server).reload},
	{"POST /api/v1/trust/diff", (*Server).trustDiff},
}

// Options are what a Server takes besides its gateway.
type Options struct {
	Version string       // of the program
	Log     *slog.Logger // nil: nothing is logged
	Page    http.Handler // what people see at "/" of the admin section's address; nil: nothing
}

// Server serves the API of one gateway.
type Server struct {
	gateway *gateway.Gateway
	version string
	log     *slog.Logger
	pages   http.Handler // the metrics
	page    http.Handler // at "/"; nil: none
	feed    *feed        // of the streams

	searchWithin time.Duration // how long one request may search the records of calls

	sessions sessions
	leaving  sync.WaitGroup // addresses that are being closed

	ending  context.Context // is over when streams have to end
	end     context.CancelFunc
	readers atomic.Int64  // of events
	cut     atomic.Uint64 // of those, who were too slow

	mu    sync.Mutex // guards what follows
	local *listener  // nil: none
	admin *listener  // nil: off
}

// Start serves until Close: on the socket in the data directory, and where the
// configuration says. The gateway runs already. A reload that changes the
// address of the admin section moves the API.
func Start(g *gateway.Gateway, o Options) (*Server, error) {
	s := newServer(g, o)
	if at := g.Config().Admin.Listen.AddrPort; at.IsValid() {
		l, err := s.listen(at)
		if err != nil {
			return nil, err
		}
		s.move(l)
		s.serve(l, s.Handler(false))
	}
	s.openLocal(g.Config().Data)
	g.Follow(s.follow)
	return s, nil
}

func newServer(g *gateway.Gateway, o Options) *Server {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{gateway: g, version: o.Version, log: o.Log, page: o.Page, searchWithin: searchWithin}
	s.ending, s.end = context.WithCancel(context.Background())
	s.pages = s.newMetrics()
	s.feed = newFeed(g.Recorder(), g.Recorder().Run(), s.streamStatus)
	return s
}

// Handler returns the API as an http.Handler. Who asks on the local socket has
// proved who it is by opening it.
func (s *Server) Handler(local bool) http.Handler {
	mux := http.NewServeMux()
	for _, r := range routes {
		h := func(w http.ResponseWriter, req *http.Request) { r.handler(s, w, req) }
		if strings.HasPrefix(r.pattern, "POST ") && r.pattern != "POST "+sessionPath {
			h = s.acting(h)
		}
		mux.HandleFunc(r.pattern, func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("Cache-Control", "no-store")
			w.Header().Set("X-Content-Type-Options", "nosniff")
			h(w, req)
		})
	}
	h := http.MaxBytesHandler(mux, maxBody)
	if local {
		return markLocal(h)
	}
	return s.admit(s.besidePage(h))
}

// besidePage has the page answer what is not for the API.
func (s *Server) besidePage(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.isPage(r) {
			s.page.ServeHTTP(w, r)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// isPage says that a request is for the page. The page knows nothing but what the
// API tells it, so whoever gets this far may have it without a token.
func (s *Server) isPage(r *http.Request) bool {
	p := path.Clean("/" + r.URL.Path)
	return s.page != nil && p != "/metrics" && p != "/healthz" && p != "/api" && !strings.HasPrefix(p, "/api/")
}

// Addr is where the API is served, "off" when it is only on the local socket.
func (s *Server) Addr() string {
	if s == nil {
		return "off"
	}
	if l := s.open(); l != nil {
		return l.Addr().String()
	}
	return "off"
}

// open returns where the API is served.
func (s *Server) open() *listener {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.admin
}

// move serves the API elsewhere from now on, and returns where it was.
func (s *Server) move(to *listener) (from *listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	from, s.admin = s.admin, to
	return from
}

// Close ends the server after the requests under way, at the latest when ctx
// ends. A nil Server is closed already.
func (s *Server) Close(ctx context.Context) error {
	if s == nil {
		return nil
	}
	s.end()
	s.mu.Lock()
	local := s.local
	s.local = nil
	s.mu.Unlock()
	err := errors.Join(s.move(nil).close(ctx), local.close(ctx))
	s.leaving.Wait()
	s.feed.close()
	return err
}

// health says that the gateway runs: 200, or 503 while it takes no new calls.
func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	if s.gateway.Draining() {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, "draining")
		return
	}
	fmt.Fprintln(w, "ok")
}

// metrics is GET /metrics.
func (s *Server) metrics(w http.ResponseWriter, r *http.Request) { s.pages.ServeHTTP(w, r) }

// writeJSON writes one document.
func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.Encode(v) // an error means that the reader has gone
}

const (
	maxBody    = 64 << 10 // bytes of a request
	maxHeader  = 16 << 10
	readWithin = 10 * time.Second
	// writeWithin is how long a reader may take for a whole answer.
	writeWithin = 2 * time.Minute
	idleWithin  = 2 * time.Minute
)
