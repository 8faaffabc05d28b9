package ua

import (
	"context"
	"strings"
	"sync/atomic"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/dialog"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// sessions is the ShardHandler below a Handler: it keeps the calls, answers
// what belongs to no handler, and gives the rest to the handler in order.
//
// What belongs to a shard stands in its home and is touched in the shard only.
// Users call from anywhere; their work is posted to the call's shard and waited
// for (sessions.in). A message is copied for the handler, and the copy is not
// touched in the shard but while the handler waits there.
type sessions struct {
	srv     *Server
	handler Handler
	ctx     context.Context // of all requests and calls
	stop    context.CancelCauseFunc
	homes   []home // by the shard's number

	draining atomic.Bool // Shutdown was called: nothing new is begun
}

// home is what one shard holds. Owned by the shard.
type home struct {
	calls map[dialog.ID]*Call
	lines map[string]*line // by Call-ID, while there is work
	idle  chan struct{}    // closed when there is no line; nil unless Shutdown waits for that
}

// unavailable refuses what there is no room or no time for.
var unavailable = &sip.StatusError{Code: 503, Header: "Retry-After: 5"}

// leave takes away a line that has no work.
func (h *home) leave(key string) {
	delete(h.lines, key)
	if h.idle != nil && len(h.lines) == 0 {
		close(h.idle)
		h.idle = nil
	}
}

func newSessions(srv *Server) *sessions {
	ss := &sessions{srv: srv, handler: srv.Handler, homes: make([]home, srv.Shards)}
	if ss.handler == nil {
		ss.handler = refuseAll
	}
	ss.ctx, ss.stop = context.WithCancelCause(context.Background())
	for i := range ss.homes {
		ss.homes[i] = home{calls: map[dialog.ID]*Call{}, lines: map[string]*line{}}
	}
	return ss
}

// close ends every context, so that handlers come to an end.
func (ss *sessions) close() { ss.stop(ErrServerClosed) }

func (ss *sessions) home(s *Shard) *home { return &ss.homes[s.index] }

// in runs f in a shard and waits for it.
func (ss *sessions) in(s *Shard, f func(*Shard) error) error {
	err := ErrServerClosed
	ss.srv.Do(s.index, func(s *Shard) {
		if !s.quit {
			err = f(s)
		}
	})
	return err
}

// call finds the call that a request belongs to, nil when there is none.
func (h *home) call(m *sip.Message) *Call {
	to, err := m.To()
	if err != nil || to.Tag() == nil {
		return nil
	}
	from, err := m.From()
	if err != nil {
		return nil
	}
	return h.calls[dialog.ID{CallID: string(m.CallID()), LocalTag: string(to.Tag()), RemoteTag: string(from.Tag())}]
}

// Request makes sessions a ShardHandler.
func (ss *sessions) Request(s *Shard, tx *ServerTx, p *transport.Packet) {
	m := p.Msg
	method := m.Method()
	to, _ := m.To()
	call := ss.home(s).call(m)
	if call != nil && !sameParty(call.flow.Conn, p.Conn) {
		call = nil // "the dialog" of somebody who only knows its tags
	}
	switch {
	case call == nil && (method == sip.BYE || to.Tag() != nil && belongs(method)):
		// RFC 3261 §12.2.2, §15.1.2
		s.Reply(tx, &sip.StatusError{Code: 481})
		return
	case call != nil:
		if refusal := call.receive(s, p); refusal != nil {
			s.Reply(tx, refusal)
			return
		}
	case ss.draining.Load():
		s.Reply(tx, unavailable)
		return
	}
	if method == sip.BYE {
		s.Reply(tx, &sip.StatusError{Code: 200})
		call.byeReceived(s)
		return
	}
	if refusal := ss.extensions(m); refusal != nil {
		s.Reply(tx, refusal)
		return
	}
	r, refusal := newRequest(ss, s, tx, p, call)
	if refusal != nil {
		s.Reply(tx, refusal)
		return
	}
	if !ss.enqueue(s, r) {
		r.refuse(s, unavailable)
		r.end()
	}
}

// Ack makes sessions a ShardHandler.
func (ss *sessions) Ack(s *Shard, p *transport.Packet) {
	call := ss.home(s).call(p.Msg)
	if call == nil || !sameParty(call.flow.Conn, p.Conn) {
		return
	}
	call.ackReceived(s, p.Msg)
}

// extensions refuses a request that requires an extension which nobody here
// knows (RFC 3261 §8.2.2.3).
func (ss *sessions) extensions(m *sip.Message) *sip.StatusError {
	var unknown []string
	for v := range m.Values(sip.HdrRequire) {
		known := false
		for _, s := range ss.srv.Supported {
			known = known || strings.EqualFold(s, string(v))
		}
		if !known {
			unknown = append(unknown, string(v))
		}
	}
	if unknown == nil {
		return nil
	}
	return &sip.StatusError{Code: 420, Header: "Unsupported: " + strings.Join(unknown, ", ")}
}

// sameParty says whether two connections are with the same party, as far as
// anybody has proved who he is: a dialog of an identified peer is for no one
// else, nor that of a certificate. Where nobody proved anything the tags, which
// nobody can guess, have to do.
func sameParty(a, b *transport.Conn) bool {
	if a == b {
		return true
	}
	if a.Identity().Peer != b.Identity().Peer {
		return false
	}
	one, other := a.TLS(), b.TLS()
	switch {
	case a.Identity().Peer != "":
		return true
	case one == nil || len(one.PeerCertificates) == 0:
		return true
	case other == nil || len(other.PeerCertificates) == 0:
		return false
	}
	return one.PeerCertificates[0].Equal(other.PeerCertificates[0])
}
