// Package api is the gateway's HTTP interface: what the page, the terminal and
// scripts read.
//
// Reading starts at Start and the table routes. The server's goroutines end
// with Server.Close.
package api

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow/export"
	"github.com/sallyport-sip/sallyport/internal/gateway"
)

// routes is every call of the API.
var routes = []struct {
	pattern string
	handler func(*gateway.Gateway, http.ResponseWriter, *http.Request)
}{
	{"GET /healthz", health},
	{"GET /api/v1/flows", flows},
}

// Server serves the API of one gateway.
type Server struct {
	http     *http.Server
	listener net.Listener
	done     chan error
}

// Start serves on addr until Close. An addr that is not valid means that no API
// is wanted; the Server is then nil, which Addr and Close accept.
func Start(addr netip.AddrPort, g *gateway.Gateway) (*Server, error) {
	if !addr.IsValid() {
		return nil, nil
	}
	network := "tcp"
	if addr.Addr().Is4() {
		network = "tcp4" // with "tcp", 0.0.0.0 would take IPv6 too
	}
	l, err := net.Listen(network, addr.String())
	if err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	s := &Server{
		http:     &http.Server{Handler: Handler(g), ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10},
		listener: l,
		done:     make(chan error, 1),
	}
	go func() { s.done <- s.http.Serve(l) }()
	return s, nil
}

// Handler returns the API as an http.Handler.
func Handler(g *gateway.Gateway) http.Handler {
	mux := http.NewServeMux()
	for _, r := range routes {
		mux.HandleFunc(r.pattern, func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("Cache-Control", "no-store")
			w.Header().Set("X-Content-Type-Options", "nosniff")
			r.handler(g, w, req)
		})
	}
	return mux
}

// Addr is where the API is served, "off" when it is not.
func (s *Server) Addr() string {
	if s == nil {
		return "off"
	}
	return s.listener.Addr().String()
}

// Close ends the server after the requests under way, at the latest when ctx
// ends.
func (s *Server) Close(ctx context.Context) error {
	if s == nil {
		return nil
	}
	err := s.http.Shutdown(ctx)
	if serving := <-s.done; !errors.Is(serving, http.ErrServerClosed) {
		err = errors.Join(err, serving)
	}
	return err
}

// health says that the gateway runs.
func health(g *gateway.Gateway, w http.ResponseWriter, _ *http.Request) {
	fmt.Fprintf(w, "ok, %d calls\n", g.Calls())
}

// flows returns what is recorded, as the document of "demo --json".
func flows(g *gateway.Gateway, w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	export.JSON(w, g.Recorder().Flows(), export.Options{})
}
