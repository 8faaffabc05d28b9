package gateway

import (
	"reflect"
	"time"

	"github.com/sallyport-sip/sallyport/internal/peer"
	"github.com/sallyport-sip/sallyport/internal/trust"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// former is a peer as it was before a reload that took it away, or that
// recognises it in another way, while calls with it go on: they end as they
// began. It begins nothing new.
type former struct {
	*peer.Peer
	trust *trust.Set // of this peer alone
	idle  time.Time  // since when it is known to have no calls; zero: it has some
}

// formerLingers is how long a former peer is kept after its calls, for messages
// that come late: 64*T1.
const formerLingers = 32 * time.Second

func inCalls(p *peer.Peer) bool {
	return p.State.In.Calls() > 0 || p.State.Out.Calls() > 0 || p.State.Subscriptions.Load()+p.State.Notifying.Load() > 0
}

// formerPeers returns those of before that are still needed.
func formerPeers(before *snapshot, now *peer.Table) []former {
	var all []former
	for _, f := range before.former {
		switch {
		case inCalls(f.Peer):
			f.idle = time.Time{}
		case f.idle.IsZero():
			f.idle = time.Now()
		}
		if f.idle.IsZero() || time.Since(f.idle) < formerLingers {
			all = append(all, f)
		}
	}
	for _, p := range before.peers.All() {
		if inCalls(p) && !sameWay(p, now.Lookup(p.Name)) {
			all = append(all, former{Peer: p, trust: before.trust.Of(p.Name)})
		}
	}
	return all
}

// sameWay says whether a peer is reached and recognised as before, apart from
// its certificates.
func sameWay(a, b *peer.Peer) bool {
	return a != nil && b != nil && a.URI == b.URI && a.Path == b.Path && a.Listener == b.Listener && a.Pinned == b.Pinned &&
		reflect.DeepEqual(a.AcceptFrom, b.AcceptFrom) && (len(a.CertNames) > 0) == (len(b.CertNames) > 0)
}

// wasPeer returns the former peer that a packet came from and for one of whose calls
// it may be, nil when there is none.
func (snap *snapshot) wasPeer(p *transport.Packet) *peer.Peer {
	if len(snap.former) == 0 {
		return nil
	}
	if m := p.Msg; m.IsRequest() && m.Method() != sip.CANCEL {
		if to, err := m.To(); err != nil || to.Tag() == nil {
			return nil // it begins something
		}
	}
	for _, f := range snap.former {
		if p.Conn.Transport() != transport.UDP {
			if p.Conn.Identity().Peer == f.Name {
				return f.Peer
			}
		} else if f.At(peer.Origin{Transport: transport.UDP, Source: p.Source, Listener: p.Conn.Info().Listener}) {
			return f.Peer
		}
	}
	return nil
}

// trustOf returns the set that judges a peer: that of now, or for a peer that is
// gone the last it had.
func (snap *snapshot) trustOf(name string) *trust.Set {
	if snap.peers.Lookup(name) == nil {
		if f := snap.lookupFormer(name); f != nil {
			return f.trust
		}
	}
	return snap.trust
}

// lookupFormer returns the latest of a name, nil when there is none.
func (snap *snapshot) lookupFormer(name string) *former {
	for i := len(snap.former) - 1; i >= 0; i-- {
		if f := &snap.former[i]; f.Name == name {
			return f
		}
	}
	return nil
}
