package ua

import (
	"github.com/sallyport-sip/sallyport/sip"
)

// withdrawal cancels an INVITE by the rules of RFC 3261 §9.1: "If no
// provisional response has been received, the CANCEL request MUST NOT be sent",
// and after the final one it has no effect. Owned by the shard.
type withdrawal struct {
	tx      *ClientTx // of the INVITE, nil once it has its final response
	flow    Flow
	invite  []byte
	branch  []byte
	ringing bool // a provisional response has come
	wanted  bool
	sent    bool
}

// left takes note of where the request left.
func (w *withdrawal) left(tx *ClientTx, f Flow, b []byte) {
	w.tx, w.flow, w.invite = tx, f, b
}

// provisional notes a provisional response.
func (w *withdrawal) provisional(s *Shard) {
	w.ringing = true
	if w.wanted {
		w.withdraw(s)
	}
}

// withdraw sends the CANCEL now, or when the first provisional response comes.
func (w *withdrawal) withdraw(s *Shard) {
	w.wanted = true
	if w.tx == nil || !w.ringing || w.sent {
		return
	}
	w.sent = true
	s.Request(w.flow, sip.CANCEL, w.branch, cancelFor(w.invite), unheeded{})
	s.CancelSent(w.tx)
}

// cancelFor writes the CANCEL of a request: "The Request-URI, Call-ID, To, the
// numeric part of CSeq, and From header fields in the CANCEL request MUST be
// identical to those in the request being cancelled", Via is its topmost one,
// and Route is the same.
func cancelFor(invite []byte) []byte {
	m, _ := sip.Parse(invite) // we wrote it, and it was checked
	defer m.Release()
	var b sip.Builder
	b.Reset(make([]byte, 0, 512))
	b.Request(sip.CANCEL, m.RequestURI())
	b.HeaderBytes("Via", m.First(sip.HdrVia))
	for f := range m.Fields() {
		switch f.ID {
		case sip.HdrMaxForwards, sip.HdrRoute, sip.HdrFrom, sip.HdrTo, sip.HdrCallID, sip.HdrSessionID:
			b.Field(f)
		}
	}
	cseq, _ := m.CSeq()
	b.CSeq(cseq.Seq, sip.CANCEL)
	return b.Finish(nil)
}

// unheeded is the ClientUser of a request whose answer changes nothing.
type unheeded struct{}

func (unheeded) Response(*Shard, *ClientTx, *sip.Message) {}
func (unheeded) ClientDone(*Shard, *ClientTx, error)      {}
