package ua

import (
	"errors"
	"strconv"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// deliver takes one batch from a reader: each message is checked and admitted,
// and those of one shard are posted together. It runs in the reader's
// goroutine.
func (srv *Server) deliver(packets []transport.Packet) {
	var answered *transport.Conn
	kept := packets[:0]
	for i := range packets {
		p := &packets[i] // in its place: a copy would be allocated, for the hook
		if err := srv.admit(p); err != nil {
			if srv.refuse(p, err) {
				answered = p.Conn
			}
			p.Msg.Release()
			continue
		}
		kept = append(kept, *p)
	}
	if answered != nil {
		answered.Flush()
	}
	if len(srv.shards) == 1 {
		srv.post(srv.shards[0], kept)
		return
	}
	// Runs of packets for one shard stay in order; packets of one Call-ID are
	// all for one shard.
	for len(kept) > 0 {
		shard := srv.shardFor(&kept[0])
		n := 1
		for n < len(kept) && srv.shardFor(&kept[n]) == shard {
			n++
		}
		srv.post(srv.shards[shard], kept[:n])
		kept = kept[n:]
	}
}

// admit checks a message and asks the hook. The error says what becomes of it.
func (srv *Server) admit(p *transport.Packet) error {
	if p.Err == nil {
		p.Err = p.Msg.Check()
	}
	if p.Err != nil {
		srv.stats.malformed.Add(1)
	}
	if srv.AdmitMessage != nil {
		if err := srv.AdmitMessage(p); err != nil {
			return err
		}
	}
	if p.Err == nil {
		return nil
	}
	if pe, ok := errors.AsType[*sip.ParseError](p.Err); ok {
		return &sip.StatusError{Code: pe.Status(), Reason: phrase(pe), Err: pe}
	}
	// The last word before the stream ends that cannot be cut any further.
	code := 400
	if fe, ok := errors.AsType[*sip.FrameError](p.Err); ok {
		code = fe.Status()
	}
	return &sip.StatusError{Code: code, Err: p.Err}
}

// phrase tells a peer which part of its message is wrong.
func phrase(e *sip.ParseError) string {
	if e.Status() != 400 {
		return ""
	}
	return "Bad Request: " + e.Header
}

// refuse answers a request without keeping state, and drops what is no
// request, what has no answer, and what cannot be answered. It says whether
// there is something to be written.
func (srv *Server) refuse(p *transport.Packet, err error) bool {
	status, ok := errors.AsType[*sip.StatusError](err)
	if !ok || !p.Msg.IsRequest() || p.Msg.Method() == sip.ACK || p.Msg.First(sip.HdrVia) == nil {
		srv.stats.dropped.Add(1)
		return false
	}
	var b sip.Builder
	b.Reset(make([]byte, 0, 512))
	b.Response(p.Msg, status.Code, status.Phrase(), statelessTag(p), viaSource(p.Source))
	if status.Header != "" {
		b.Raw([]byte(status.Header + "\r\n"))
	}
	first, err := p.Conn.Send(b.Finish(nil), destination(p))
	return err == nil && first
}

// statelessTag is the same for each copy of a request, as RFC 3261 §8.2.7 asks.
func statelessTag(p *transport.Packet) []byte {
	const seed = 14695981039346656037 // FNV-1a
	h := uint64(seed)
	for _, c := range p.Msg.CallID() {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return strconv.AppendUint([]byte("s"), h, 36)
}

// shardFor returns the shard of an admitted message: for a request by its
// Call-ID, for a response by our own branch.
func (srv *Server) shardFor(p *transport.Packet) int {
	if p.Msg.IsRequest() {
		return srv.shardOf(p.Msg.CallID())
	}
	via, _ := p.Msg.Via()
	if n := branchShard(via.Branch()); n >= 0 && n < len(srv.shards) {
		return n
	}
	return 0 // a stray one; the layer drops it
}

// post puts one connection's packets into a shard's mailbox. When that is full,
// a new request gets a 503. For the rest the reader of a stream waits, as it
// does for all when its connection has had its share, and UDP drops.
func (srv *Server) post(s *Shard, packets []transport.Packet) {
	var deadline time.Time
	for len(packets) > 0 {
		rest, room, full := s.box.put(packets)
		if len(rest) == 0 {
			return
		}
		packets = rest
		p := &packets[0]
		if deadline.IsZero() {
			deadline = time.Now().Add(srv.queues.Wait)
		}
		fresh := opensDialog(p.Msg)
		waits := room != nil && p.Conn.Info().Transport != transport.UDP && !(full && fresh)
		if waits && waitFor(room, time.Until(deadline)) {
			continue
		}
		if fresh {
			srv.overload(p, LimitWaiting)
		} else {
			srv.stats.dropped.Add(1)
			srv.exceeded(p, LimitWaiting)
		}
		p.Msg.Release()
		packets = packets[1:]
	}
}

// The limits of what a server holds, as Hooks.Excess names them.
const (
	LimitWaiting      sip.Limit = "waiting"
	LimitTransactions sip.Limit = "transactions"
)

// overload refuses a request that there is no room for, without state.
func (srv *Server) overload(p *transport.Packet, l sip.Limit) {
	srv.stats.overload.Add(1)
	srv.exceeded(p, l)
	if srv.refuse(p, &sip.StatusError{Code: 503, Header: "Retry-After: 5"}) {
		p.Conn.Flush()
	}
}

func (srv *Server) exceeded(p *transport.Packet, l sip.Limit) {
	if srv.Excess != nil {
		srv.Excess(transport.Excess{Limit: l, Info: p.Conn.Info(), Peer: p.Conn.Identity().Peer, Err: errOverload})
	}
}

var errOverload = errors.New("there is no room for more")

// opensDialog says whether a message is a request outside any dialog, which
// may be refused when there is no room.
func opensDialog(m *sip.Message) bool {
	if !m.IsRequest() || m.Method() == sip.ACK || m.Method() == sip.CANCEL {
		return false
	}
	to, err := m.To()
	return err == nil && to.Tag() == nil
}

func waitFor(room <-chan struct{}, d time.Duration) bool {
	if d <= 0 {
		return false
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-room:
		return true
	case <-t.C:
		return false
	}
}
