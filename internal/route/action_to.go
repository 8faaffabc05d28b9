package route

import (
	"fmt"
	"strings"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/peer"
)

// toPeers calls peers, one after the other. Which of them can carry the call is
// known beforehand, so both decisions are made once.
type toPeers struct {
	all       []*peer.Peer
	sip, sips Decision
}

func actionTo(r *config.Route, peers *peer.Table) action {
	if r.To == nil {
		return nil
	}
	a := &toPeers{}
	for _, name := range r.To {
		if p := peers.Lookup(name); p != nil {
			a.all = append(a.all, p)
		}
	}
	a.sip = a.decision("route "+r.Name, (*peer.Peer).CanSIP)
	a.sips = a.decision("route "+r.Name, (*peer.Peer).CanSIPS)
	return a
}

// decision keeps the targets that can carry the call.
func (a *toPeers) decision(label string, can func(*peer.Peer) bool) Decision {
	var d Decision
	for _, p := range a.all {
		if can(p) {
			d.Targets = append(d.Targets, p)
		}
	}
	switch {
	case len(d.Targets) == 0:
		d.Outcome = SIPSNotAllowed
		d.Why = label + " matches, but sips: can reach none of its targets"
	case len(d.Targets) < len(a.all):
		d.Why = fmt.Sprintf("%s: to %s; sips: cannot reach the other targets", label, names(d.Targets))
	default:
		d.Why = fmt.Sprintf("%s: to %s", label, names(d.Targets))
	}
	return d
}

func (a *toPeers) decide(f Facts) Decision {
	if f.SIPS {
		return a.sips
	}
	return a.sip
}

// explain says why targets are left out.
func (a *toPeers) explain(f Facts) []string {
	var lines []string
	for _, p := range a.all {
		switch {
		case f.SIPS && !p.Secure():
			lines = append(lines, fmt.Sprintf("target %s: left out, the call is sips: and the peer is reached over %s", p.Name, p.Transport))
		case f.SIPS && !p.CanSIPS():
			lines = append(lines, fmt.Sprintf("target %s: left out, the call is sips: and its profile has sips: never", p.Name))
		case !f.SIPS && !p.CanSIP():
			lines = append(lines, fmt.Sprintf("target %s: left out, its profile has sips: required and it is reached over %s", p.Name, p.Transport))
		}
	}
	return lines
}

func (a *toPeers) String() string { return "to " + names(a.all) }

func names(peers []*peer.Peer) string {
	var b strings.Builder
	for i, p := range peers {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(p.Name)
	}
	return b.String()
}
