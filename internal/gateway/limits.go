package gateway

import (
	"errors"
	"fmt"
	"time"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/guard"
	"github.com/sallyport-sip/sallyport/internal/peer"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// The limits that are the gateway's own, as they are counted.
const (
	limitMessages          sip.Limit = "messages"
	limitMessagesPerSource sip.Limit = "messages_per_source"
	limitMessagesPerPeer   sip.Limit = "messages_per_peer"
	limitStranger          sip.Limit = "not_a_peer"
)

// How many times its messages a second may come at once from who was quiet.
const (
	burstOfAll    = 2
	burstOfSource = 5
	burstOfPeer   = 2
)

// rateWithin is how many times its new requests a second a peer may send of those
// that belong to what is there: a call has one INVITE, and ACK, PRACK, UPDATE and
// BYE.
const rateWithin = 4

// inlet is what a listener remembers of who sent how much. It is the same for the
// listener of that name after a reload.
type inlet struct {
	limits  *config.ListenerLimits
	all     *guard.Bucket  // of who is no peer
	sources *guard.Sources // likewise
}

// newInlets makes the inlets of a configuration, with what those before remember.
func newInlets(cfg *config.Config, before map[string]inlet) map[string]inlet {
	inlets := make(map[string]inlet, len(cfg.Listeners)+1)
	add := func(name string, l *config.ListenerLimits) {
		next := before[name]
		if next.limits = l; next.all == nil {
			next.all, next.sources = new(guard.Bucket), guard.NewSources()
		}
		inlets[name] = next
	}
	for i := range cfg.Listeners {
		add(cfg.Listeners[i].Name, &cfg.Listeners[i].Limits)
	}
	add("", config.DefaultListenerLimits()) // of connections that we made, or whose listener is gone
	return inlets
}

func (snap *snapshot) inlet(listener string) inlet {
	if g, ok := snap.inlets[listener]; ok {
		return g
	}
	return snap.inlets[""]
}

// limitsOf are the transport's limits of one listener. over are those that do not
// come from the configuration.
func limitsOf(l *config.ListenerLimits, over transport.Limits) transport.Limits {
	return over.Or(transport.Limits{
		Message: sip.Limits{
			Message: int(l.MessageSize), Headers: int(l.Headers), HeaderLine: int(l.HeaderLength),
			URI: int(l.URILength), Vias: int(l.Vias), BodyParts: int(l.BodyParts),
		},
		Conns: int(l.Connections), ConnsPerSource: int(l.ConnectionsPerSource),
		Handshakes: int(l.Handshakes), HandshakesPerSource: int(l.HandshakesPerSource),
		HandshakeTimeout: l.HandshakeTime.Duration, FirstMessage: l.FirstMessage.Duration, WholeMessage: l.WholeMessage.Duration,
		Idle: l.Idle.Duration, IdleUnknown: l.IdleUnknown.Duration, KeepAlives: int(l.KeepAlives),
		Pending: int(l.Pending), PendingPeer: int(l.PendingPeer), Stall: l.Stall.Duration,
	})
}

// limitsInAll are the transport's limits of all listeners together. What one
// source may have is each listener's to say.
func limitsInAll(l *config.TotalLimits, over transport.Limits) transport.Limits {
	return over.Or(transport.Limits{
		Conns: int(l.Connections), ConnsPerSource: int(l.Connections),
		Handshakes: int(l.Handshakes), HandshakesPerSource: int(l.Handshakes),
		Unfinished: int(l.Unfinished), Backlog: int(l.Pending),
	})
}

// queuesOf are the shards' limits.
func queuesOf(l *config.TotalLimits) ua.Queues {
	return ua.Queues{Bytes: int(l.Waiting), Transactions: int(l.Transactions)}
}

// errPace refuses a request beyond what a peer may send; a moment later there is
// room again.
var errPace = &sip.StatusError{Code: 503, Header: "Retry-After: 1", Err: errors.New("more requests a second than the peer may send")}

// pace holds a peer to its requests a second. Nothing of another peer is counted,
// whatever address it comes from. What goes on with something has a larger rate of
// its own, and at once one more for each call: who floods us with new requests can
// still hang up.
func (g *Gateway) pace(from *peer.Peer, p *transport.Packet) error {
	if !p.Msg.IsRequest() {
		return nil // as many as we asked for
	}
	listener := p.Conn.Info().Listener
	most := int(g.snapshot.Load().inlet(listener).limits.MessagesPerPeer)
	var wait time.Duration
	if state := from.State; goesOn(p.Msg) {
		most *= rateWithin
		calls := state.In.Calls() + state.Out.Calls()
		wait = state.Within.Take(p.At, most, burstOfPeer*most+int(calls))
	} else {
		wait = state.Requests.Take(p.At, most, burstOfPeer*most)
	}
	if wait == 0 {
		return nil
	}
	g.limited.count(passed{listener, limitMessagesPerPeer}, "peer", from.Name, "source", p.Source)
	return errPace
}

// goesOn says whether a request belongs to something that is there already, as far
// as it says so itself: to a dialog, or to the request that it cancels.
func goesOn(m *sip.Message) bool {
	if method := m.Method(); method == sip.ACK || method == sip.CANCEL {
		return true
	}
	to, err := m.To()
	return err == nil && to.Tag() != nil
}

// flood says whether somebody who is no peer sends too much: what is more gets no
// answer, and a stream of it ends.
func (g *Gateway) flood(p *transport.Packet) bool {
	listener := p.Conn.Info().Listener
	inlet := g.snapshot.Load().inlet(listener)
	which, most := limitMessagesPerSource, int(inlet.limits.MessagesPerSource)
	if inlet.sources.Of(p.Source.Addr()).Take(p.At, most, burstOfSource*most) == 0 {
		which, most = limitMessages, int(inlet.limits.Messages)
		if inlet.all.Take(p.At, most, burstOfAll*most) == 0 {
			return false
		}
	}
	g.limited.count(passed{listener, which}, "source", p.Source)
	if p.Conn.Transport() != transport.UDP {
		p.Conn.Close(fmt.Errorf("it sends more than %d messages a second and is no peer", most))
	}
	return true
}

// exceeded counts what the transport and the shards refuse.
func (g *Gateway) exceeded(x transport.Excess) {
	g.limited.count(passed{x.Info.Listener, x.Limit}, "peer", x.Peer, "source", x.Info.Remote, "cause", x.Err)
}
