package recorder

import "maps"

import "github.com/sallyport-sip/sallyport/internal/trust"

// A Refusal is one kind of connection that did not come up.
type Refusal struct {
	Peer string     // whom we called; empty for who called us
	Code trust.Code // of the first verdict that was no
	By   string     // who said it: "gateway" or "peer"; empty when nobody did
}

// Refusals returns how many connections did not come up, by kind, since the
// Recorder was made.
func (r *Recorder) Refusals() map[Refusal]uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	counts := make(map[Refusal]uint64, len(r.refusals))
	maps.Copy(counts, r.refusals)
	return counts
}

// count counts a refusal.
func (k *conn) count(verdicts []trust.Verdict) {
	code, by := trust.Unexplained, ""
	for _, v := range verdicts {
		if !v.Accepted && v.Code != trust.NotJudged {
			if code = v.Code; v.KnownBy != trust.Unknown {
				by = v.By
			}
			break
		}
	}
	k.r.mu.Lock()
	k.r.refusals[Refusal{k.info.Peer, code, by}]++
	k.r.mu.Unlock()
}
