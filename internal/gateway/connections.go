package gateway

import (
	"cmp"
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/sallyport-sip/sallyport/internal/events"
	"github.com/sallyport-sip/sallyport/internal/trust"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// opened tells of a connection that came up.
func (g *Gateway) opened(c *transport.Conn) {
	g.recorder.Opened(c)
	g.overtaken(c)
	g.tend(c)
	g.leniently(c)
	n, _ := g.opens.LoadOrStore(c.Identity().Peer, new(atomic.Uint64))
	n.(*atomic.Uint64).Add(1)
	g.shakes.accepted(c)
	g.connection(slog.LevelInfo, "connection opened", c.Info(), c.Identity().Peer)
	g.came(c)
}

// overtaken brings a connection of ours under the policy in force, when a change
// of certificates came between its dialling and its opening. identify has judged
// it by that.
func (g *Gateway) overtaken(c *transport.Conn) {
	snap := g.snapshot.Load()
	if c.Info().Inbound || snap == nil || snap.peers.Lookup(c.Identity().Peer) == nil {
		return
	}
	if why := g.judge(c, snap, snap); why != nil {
		g.log.Warn("connection only serves what it was made for: the configuration has changed meanwhile", "connection", c.ID(), "peer", c.Identity().Peer, "cause", why)
		g.server.Endpoint().Retire(c)
		g.letGo([]*transport.Conn{c})
	}
}

// came lets a peer be called again at once that was away, and can only be reached
// by the connection that it has opened now. Of any other its own connection says
// nothing about ours to its address, or about a 503.
func (g *Gateway) came(c *transport.Conn) {
	snap := g.snapshot.Load()
	if snap == nil || !c.Info().Inbound {
		return
	}
	if p := snap.peers.Lookup(c.Identity().Peer); p != nil && p.URI.Unreachable() && p.State.Came(time.Now()) {
		g.log.Info("peer is up again: it has connected", "peer", p.Name, "connection", c.ID())
		g.Emit(events.Turned(p.Name, true, "it has connected"))
	}
}

// refusing tells of one that does not.
func (g *Gateway) refusing(info transport.ConnInfo, err error) {
	verdicts := g.recorder.Explain(info, err)
	g.shakes.refused(info, verdicts)
	g.failed(info, verdicts)
}

// closed tells of the end of one that did. A server of TLS 1.3 that does not
// take our certificate says so only there.
func (g *Gateway) closed(c *transport.Conn, why transport.CloseReason) {
	if verdicts := g.recorder.ExplainClose(c, why); verdicts != nil {
		g.failed(c.Info(), verdicts)
	}
	g.recorder.Closed(c, why)
	level := slog.LevelInfo
	if why.CutShort() && !why.Local {
		level = slog.LevelWarn
	}
	g.dead(why.Dead)
	g.lost(c.Identity().Peer, c, why.Text)
	g.connection(level, "connection closed", c.Info(), c.Identity().Peer, slog.String("cause", why.Text))
}

// failed says why a connection did not come up, in the words that its ladder
// has.
func (g *Gateway) failed(info transport.ConnInfo, verdicts []trust.Verdict) {
	by, cause, likely, remedy := "", "", "", ""
	code := trust.Unexplained
	for _, v := range verdicts {
		switch {
		case v.Accepted || v.Code == trust.NotJudged:
		case cause == "":
			by, cause, remedy, code = v.By, v.Reason, v.Remedy, v.Code
		case likely == "": // what on our side can be behind the peer's refusal
			likely, remedy = v.Reason, cmp.Or(v.Remedy, remedy)
		}
	}
	if code == trust.DomainValidated {
		g.validated(info, cause)
		return
	}
	msg := "connection to peer failed"
	if info.Inbound {
		msg = "inbound connection failed" // given up by the other side
		if by == "gateway" {
			msg = "inbound connection refused"
		}
	}
	g.tellHandshake(info, events.Handshake{By: by, Code: string(code), Cause: cause, Likely: likely, Remedy: remedy})
	g.connection(slog.LevelWarn, msg, info, info.Peer, slog.String("cause", cause), slog.String("likely", likely),
		slog.String("remedy", remedy), slog.String("code", string(code)))
}

// connection writes a line about a connection, without what it does not have.
func (g *Gateway) connection(level slog.Level, msg string, info transport.ConnInfo, peer string, more ...slog.Attr) {
	if peer == "" && info.Inbound && !g.strange.write(g.log) {
		return
	}
	attrs := []slog.Attr{
		slog.Uint64("connection", info.ID), slog.String("transport", info.Transport.String()), slog.String("remote", info.Remote.String()),
		slog.String("listener", info.Listener), slog.String("peer", peer),
	}
	kept := attrs[:0]
	for _, a := range append(attrs, more...) {
		if a.Value.Kind() != slog.KindString || a.Value.String() != "" {
			kept = append(kept, a)
		}
	}
	g.log.LogAttrs(context.Background(), level, msg, kept...)
}
