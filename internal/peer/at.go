package peer

// At says whether the peer is recognised at an origin by its address alone, as
// BySource does. It knows of no other peer and of no other configuration than
// the peer's own, so that it holds for the calls that began under it.
func (p *Peer) At(o Origin) bool {
	if len(p.CertNames) > 0 || p.Pinned && p.Listener != o.Listener {
		return false
	}
	source := plain(o.Source)
	for _, s := range p.AcceptFrom {
		if admits(s, o.Transport, source) {
			return true
		}
	}
	return false
}
