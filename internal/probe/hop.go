package probe

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/peer"
	"github.com/sallyport-sip/sallyport/internal/trust"
	"github.com/sallyport-sip/sallyport/sip/resolve"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// Stage says how far a hop came.
type Stage string

// The stages, in their order.
const (
	StageConnect   Stage = "connect"   // no connection came up
	StageHandshake Stage = "handshake" // connected, and one side refused the other
	StageOptions   Stage = "options"   // connected and accepted, and OPTIONS got no answer
	StageAnswered  Stage = "answered"  // OPTIONS got a final answer
)

// rank orders the stages.
func (s Stage) rank() int {
	return map[Stage]int{StageConnect: 1, StageHandshake: 2, StageOptions: 3, StageAnswered: 4}[s]
}

// Hop is the try of one address.
type Hop struct {
	Transport transport.Transport
	Addr      netip.AddrPort
	Host      string // whose address it is; empty: it was written in the URI
	Local     netip.AddrPort
	Connected time.Duration // how long connecting took, before any handshake; 0 when it failed
	Stage     Stage
	TLS       *Handshake // nil without TLS, and when none began
	Answer    *Answer    // nil when none came

	Failed   *trust.Verdict // why the hop does not work; nil when it does
	Notes    []string       // what else was found out, in sentences
	Pong     *Pong          // nil: nobody asked
	Promised bool           // the server has promised to answer keep-alives (RFC 6223)

	Flow *callflow.Flow // steps and messages, for a ladder; nil when nothing was recorded
}

// Works says whether a request gets through and is answered as by somebody who is in service.
func (h *Hop) Works() bool { return h.Failed == nil }

// Handshake is what is known of a TLS handshake, whether it succeeded or not.
type Handshake struct {
	*callflow.Handshake                     // what the wire showed, with the verdicts of both sides
	Shown               []*x509.Certificate // what we have to show, leaf first
	Chain               []*x509.Certificate // what the server showed, leaf first
	Review              trust.Review        // of Chain
	Staple              []byte              // an OCSP response that came with it (RFC 6066 §8)
}

// Complete says whether both sides have accepted, as far as the other side has said.
func (d *Handshake) Complete() bool { return !d.Failed() }

// Mutual says whether both sides showed a certificate.
func (d *Handshake) Mutual() bool { return d.Asked && len(d.OurChain) > 0 }

// Pong is the answer to a keep-alive (RFC 5626 §3.5.1).
type Pong struct {
	Came bool
	Took time.Duration
}

// errDone ends a connection that has told what there is to know.
var errDone = errors.New("the probe is over")

// hop tries one address.
func (p *Probe) hop(ctx context.Context, to *peer.Peer, target resolve.Target) *Hop {
	t := transportOf(target)
	h := &Hop{Transport: t, Addr: target.Addr, Host: target.Host, Stage: StageConnect}
	q := newRequest(to, t)
	w := newWatch(q)
	p.now.Store(w)
	if t == transport.UDP {
		if err := p.listen(to, target.Addr.Addr()); err != nil {
			h.fail(trust.ExplainDial(err))
			return h
		}
	}
	cfg := p.reach.DialConfig(to, t, target.Addr)
	cfg.Timeout = p.Timeout
	if p.Source.IsValid() && t.Reliable() {
		cfg.Local = netip.AddrPortFrom(p.Source, 0)
	}
	c, err := p.endpoint.Dial(ctx, cfg)
	if err == nil {
		h.Local, h.Connected, h.Stage = c.Info().Local, c.ConnectTime(), StageOptions
		p.ask(ctx, h, w, c, to, q)
		if h.Answer != nil && h.Answer.Malformed != "" && t.Reliable() {
			wait(ctx, w.over, linger) // a stream that cannot be read further says so by its end
		}
		c.Close(errDone)
	}
	if t.Reliable() {
		wait(ctx, w.over, 2*linger)
	}
	p.conclude(h, w, to, err)
	if h.Failed != nil && ctx.Err() == nil {
		p.sniff(ctx, h)
	}
	return h
}

// wait waits for something, at most so long. It says whether that came.
func wait[T any](ctx context.Context, c <-chan T, most time.Duration) bool {
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-c:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// conclude gathers what the hooks have seen, when nothing more is to come.
func (p *Probe) conclude(h *Hop, w *watch, to *peer.Peer, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.connected > 0 {
		h.Connected = w.connected
	}
	h.Flow = p.flow(w.id)
	if h.Transport.Secure() && w.connected > 0 {
		p.handshake(h, w, to)
	}
	switch {
	case err != nil && w.failed == nil: // nothing was sent: the context ended, or there is no socket
		h.fail(trust.ExplainDial(err))
	case err != nil:
		if h.Stage = StageConnect; h.TLS != nil {
			h.Stage = StageHandshake
		}
		h.fail(firstNo(w.verdicts, err))
	case len(w.verdicts) > 0: // TLS 1.3: the server refused us after our side was done
		h.Stage, h.Answer = StageHandshake, nil
		h.fail(firstNo(w.verdicts, nil))
	default:
		h.judgeAnswer(w)
	}
	if w.requests > 0 {
		h.Notes = append(h.Notes, fmt.Sprintf("The server sent %d requests of its own on this connection; the probe answers none.", w.requests))
	}
}

func (h *Hop) fail(v trust.Verdict) { h.Failed = &v }

// firstNo is the first verdict that refuses or fails.
func firstNo(verdicts []trust.Verdict, err error) trust.Verdict {
	for _, v := range verdicts {
		if !v.Accepted && v.Code != trust.NotJudged {
			return v
		}
	}
	if err == nil {
		err = errors.New("the connection ended")
	}
	return trust.ExplainDial(err)
}

// flow is what the recorder tells of a connection.
func (p *Probe) flow(id uint64) *callflow.Flow {
	for _, f := range p.recorder.Flows() {
		for _, l := range f.Legs {
			if l.Hop.Link != nil && l.Hop.Link.ID == id {
				return f
			}
		}
	}
	return nil
}

// handshake gathers what is known of the handshake.
func (p *Probe) handshake(h *Hop, w *watch, to *peer.Peer) {
	for _, record := range p.recorder.Handshakes(callflow.HandshakeFilter{}) {
		if record.Connection == w.id {
			h.TLS = &Handshake{Handshake: record}
		}
	}
	if h.TLS == nil {
		return
	}
	d := h.TLS
	if id := p.reach.Trust().PeerIdentity(to.Name); id != nil {
		d.Shown = id.Chain
	}
	if d.Local.IsValid() {
		h.Local = d.Local
	}
	if w.state != nil {
		d.Chain, d.Staple = w.state.PeerCertificates, w.state.OCSPResponse
		d.Review, _ = p.reach.Trust().ReviewPeer(to.Name, w.state)
	}
}
