package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/sallyport-sip/sallyport/internal/peer"
	"github.com/sallyport-sip/sallyport/sip/resolve"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// walk is the addresses of a peer's name for one request, in the order in which
// they are tried: as RFC 3263 has them, but those that have failed lately last. One
// step is made after the other, in the shard or in a worker.
type walk struct {
	g      *Gateway
	p      *peer.Peer
	walk   *resolve.Walk
	hint   netip.AddrPort // tried before all others; not valid: none
	over   transport.Transport
	done   netip.AddrPort   // the hint, once tried
	spared []resolve.Target // that are down, for when nothing else is left
	now    time.Time        // of the step
}

func (g *Gateway) walk(p *peer.Peer, t transport.Transport) *walk {
	snap := g.snapshot.Load()
	return &walk{g: g, p: p, over: t, walk: snap.resolver.Walk(snap.query(p, t))}
}

// connect is a peer.Next: it reaches for the next address.
func (w *walk) connect(s *ua.Shard, done peer.Connected) {
	w.now = s.Now()
	to, ok := w.pick(func() (resolve.Target, error) {
		if to, ok := w.walk.Known(); ok {
			return to, nil
		}
		return resolve.Target{}, errUnknown
	})
	if ok == nil {
		cfg := w.config(to)
		if c, err := w.g.standing(cfg); c != nil || err != nil {
			done(s, ua.Flow{Conn: c, Addr: to.Addr}, w.next(), err)
			return
		}
	}
	started := s.Go(func() func(*ua.Shard) {
		flow, err := w.dial(to, ok)
		return func(s *ua.Shard) { done(s, flow, w.next(), err) }
	})
	if !started {
		done(s, ua.Flow{}, nil, fmt.Errorf("peer %s: %w", w.p.Name, peer.ErrBusy))
	}
}

// errUnknown says that the next address has to be looked up.
var errUnknown = errors.New("it has to be looked up")

// next leads on, nil when there is no address left.
func (w *walk) next() peer.Next {
	if len(w.spared) == 0 && !w.walk.More() {
		return nil
	}
	return w.connect
}

// pick chooses the next address. look finds the next one of the name.
func (w *walk) pick(look func() (resolve.Target, error)) (resolve.Target, error) {
	if w.hint.IsValid() {
		w.done, w.hint = w.hint, netip.AddrPort{}
		return resolve.Target{Transport: w.over.String(), Addr: w.done}, nil
	}
	for w.walk.More() {
		to, err := look()
		switch {
		case errors.Is(err, resolve.ErrEnd):
		case err != nil && len(w.spared) > 0 && !errors.Is(err, errUnknown):
		case err != nil:
			return to, err
		case to.Addr == w.done:
			continue
		case w.p.State.AskAt(to.Addr, w.now, w.p.DownFor):
			return to, nil
		default:
			w.spared = append(w.spared, to)
			continue
		}
		break
	}
	if len(w.spared) > 0 {
		to := w.spared[0]
		w.spared = w.spared[1:]
		return to, nil
	}
	return resolve.Target{}, resolve.ErrEnd
}

// dial connects to an address that was picked, or picks one first. It blocks.
// While there is another address, one that does not answer has half of the peer's
// response_timeout.
func (w *walk) dial(to resolve.Target, picked error) (ua.Flow, error) {
	ctx := context.Background() // time limits of the resolver and the endpoint end it, and Close does
	if errors.Is(picked, errUnknown) {
		to, picked = w.pick(func() (resolve.Target, error) { return w.walk.Next(w.g.stopping) })
	}
	if picked != nil {
		return ua.Flow{}, fmt.Errorf("peer %s: %w", w.p.Name, picked)
	}
	flow := ua.Flow{Addr: to.Addr}
	if w.next() != nil {
		limit := w.p.ResponseTimeout / 2
		limited, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no connection within %v", limit))
		defer cancel()
		ctx = limited
	}
	c, err := w.g.server.Endpoint().Dial(ctx, w.config(to))
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = fmt.Errorf("%w: %w", cause, err)
	}
	if err != nil {
		return flow, fmt.Errorf("peer %s: %w", w.p.Name, err)
	}
	flow.Conn = c
	return flow, nil
}

func (w *walk) config(to resolve.Target) transport.DialConfig {
	t, _ := transport.ParseTransport(to.Transport)
	if t == transport.UDP {
		w.g.answerers.note(to.Addr, w.now)
	}
	return w.g.dialConfig(w.p, t, to.Addr)
}

// dial connects to a peer at the first of its addresses that can be reached. It
// blocks.
func (g *Gateway) dial(p *peer.Peer) (flow ua.Flow, err error) {
	for w := g.walk(p, 0); ; {
		w.now = time.Now()
		f, e := w.dial(resolve.Target{}, errUnknown)
		if e == nil {
			return f, nil
		}
		if err == nil || !errors.Is(e, resolve.ErrEnd) {
			err = e
		}
		if w.next() == nil {
			return flow, err
		}
	}
}
