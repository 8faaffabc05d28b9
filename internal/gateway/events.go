package gateway

import (
	"time"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/events"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// Emit makes the gateway a b2bua.Ways.
func (g *Gateway) Emit(e *events.Event) { g.events.Emit(e) }

// Events returns what applications are told.
func (g *Gateway) Events() *events.Hub { return g.events }

// Of handshakes with strangers no more are told, so that who floods us pushes nothing out of the memory of events.
const (
	strangeEvents = 10 // a second
	strangeBurst  = 50
)

// tellHandshake tells applications of a connection that did not come up.
func (g *Gateway) tellHandshake(info transport.ConnInfo, h events.Handshake) {
	now := time.Now()
	if info.Peer == "" && info.Inbound && g.unknown.Take(now, strangeEvents, strangeBurst) > 0 {
		return
	}
	h.Connection, h.Inbound, h.Transport, h.Remote, h.Listener = info.ID, info.Inbound, info.Transport.String(), info.Remote.String(), info.Listener
	g.Emit(&events.Event{Type: events.HandshakeRefused, At: now, Peer: info.Peer, Handshake: &h})
}

// tellReload tells applications what became of an attempt.
func (g *Gateway) tellReload(by, version string, problems []config.Problem) {
	r := &events.Reload{By: by, Taken: len(problems) == 0, Version: version}
	for _, p := range problems {
		r.Problems = append(r.Problems, p.String())
	}
	g.Emit(&events.Event{Type: events.Reloaded, Reload: r})
}

// tellEnding tells applications of what ends.
func (g *Gateway) tellEnding(e *Ending, now time.Time) {
	g.Emit(&events.Event{Type: events.CertExpiring, At: now, Certificate: &events.Certificate{
		Kind: string(e.Kind), Name: e.Name, Subject: e.Subject, Ends: e.Ends.UTC(), File: e.File, Text: endingLine(e, now), Remedy: endingRemedy(e),
	}})
}
