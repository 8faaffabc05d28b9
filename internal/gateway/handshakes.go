package gateway

import (
	"cmp"
	"iter"
	"slices"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/store"
)

// Handshakes returns the records of handshakes that f wants, the newest first: those in memory, and those in the store that are
// older.
func (g *Gateway) Handshakes(f callflow.HandshakeFilter) ([]*callflow.Handshake, error) {
	all := g.recorder.Handshakes(f)
	if g.store == nil {
		return all, nil
	}
	kept, err := store.Handshakes(g.first.Data, f)
	if err != nil {
		return nil, err
	}
	known := make(map[string]bool, len(all))
	for _, h := range all {
		known[h.ID] = true
	}
	for _, h := range kept {
		if !known[h.ID] {
			all = append(all, h)
		}
	}
	slices.SortFunc(all, func(a, b *callflow.Handshake) int { return cmp.Compare(b.ID, a.ID) })
	if f.Limit > 0 && len(all) > f.Limit {
		all = all[:f.Limit]
	}
	return all, nil
}

// Records returns the records of calls that f wants; none where no records are kept.
func (g *Gateway) Records(f store.Filter) iter.Seq2[*store.CDR, error] {
	if g.store == nil {
		return func(func(*store.CDR, error) bool) {}
	}
	return store.Query(g.first.Data, f)
}

// LastChains returns the chain that each peer showed last in each role, in this run or an earlier one: one that was accepted, and one
// that was not, the newer one first.
func (g *Gateway) LastChains() ([]callflow.Seen, error) {
	all := g.recorder.LastChains()
	if g.store == nil {
		return all, nil
	}
	kept, err := store.LastChains(g.first.Data)
	if err != nil {
		return nil, err
	}
	for _, k := range kept {
		if !slices.ContainsFunc(all, func(s callflow.Seen) bool { return s.Peer == k.Peer && s.Role == k.Role && s.Accepted == k.Accepted }) {
			all = append(all, k)
		}
	}
	slices.SortFunc(all, func(a, b callflow.Seen) int {
		return cmp.Or(cmp.Compare(a.Peer, b.Peer), cmp.Compare(a.Role, b.Role), b.At.Compare(a.At))
	})
	return all, nil
}
