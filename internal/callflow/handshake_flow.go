package callflow

import "time"

// Flow returns the story of a handshake as a flow with one hop, as it is drawn. The gateway's lifeline is called gateway.
func (h *Handshake) Flow(gateway string) *Flow {
	l := &Link{
		ID: h.Connection, Inbound: h.Role == RoleServer, Transport: h.Transport, Local: h.Local, Remote: h.Remote,
		Listener: h.Listener, Peer: h.Peer, Opened: h.At,
		TLS: &TLS{Version: h.Chosen.Version, Suite: h.Chosen.Suite, Group: h.Chosen.Group, Resumed: h.Chosen.Resumed,
			Mutual: len(h.OurChain) > 0 && len(h.PeerChain) > 0, PeerNames: h.NamesFound},
	}
	var events []Event
	add := func(since time.Duration, e Event) {
		e.Seq, e.At, e.Link = uint64(len(events)+1), h.At.Add(since), l
		events = append(events, e)
	}
	if len(h.Steps) > 0 || !h.Failed() {
		add(0, Event{Kind: Opened})
	}
	for i := range h.Steps {
		add(h.Steps[i].Since, Event{Kind: HandshakeStep, Step: h.Steps[i].Step})
	}
	for i := range h.Verdicts {
		add(h.Took, Event{Kind: Judged, Verdict: &h.Verdicts[i]})
	}
	if h.Failed() {
		add(h.Took, Event{Kind: Refused, Reason: h.Sentence})
	} else {
		add(h.Took, Event{Kind: Ready})
	}
	b := walk{gateway: gateway, conns: map[uint64]*conn{}, legs: map[string][]*leg{}, numbers: map[uint64]*call{}}
	for i := range events {
		b.step(&events[i])
	}
	c := b.order[0]
	c.settleOrder()
	d := Out
	if l.Inbound {
		d = In
	}
	k := b.newCall(h.ID)
	b.own(c, b.newLeg(k, d, h.Peer, "", 0))
	return b.draw(k)
}
