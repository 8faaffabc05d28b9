package ua

import (
	"net/netip"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transaction"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// ServerUser is told what happens to a server transaction after its request.
type ServerUser interface {
	// MayCancel says whether a CANCEL for tx counts, because it comes from who
	// sent the INVITE. One that does not is answered with 481 (RFC 3261 §9.2).
	MayCancel(s *Shard, tx *ServerTx, p *transport.Packet) bool
	// Cancelled gets a CANCEL that counted, when its 200 has been sent. The user
	// answers the INVITE with 487, unless it has a final response already.
	Cancelled(s *Shard, tx *ServerTx, p *transport.Packet)
	// ServerDone says that tx is over: nil, transaction.ErrTimeout when no ACK came,
	// or transaction.ErrTransport.
	ServerDone(s *Shard, tx *ServerTx, err error)
}

// ServerTx is a server transaction. It keeps of its request what responses
// repeat, so the request itself need not be kept. Owned by its shard, and not
// to be used after ServerDone.
type ServerTx struct {
	User ServerUser
	// Tag is our To tag for a request that has none, set by the user who gives
	// responses their tag. It is the tag of the response to a CANCEL too: "the To
	// tag of the response to the CANCEL and the To tag in the response to the
	// original request SHOULD be the same" (RFC 3261 §9.2).
	Tag []byte

	tx     *transaction.Server
	method sip.Method
	conn   *transport.Conn
	source netip.AddrPort // where the request came from
	dest   netip.AddrPort // where responses go on UDP
	head   []byte         // Via, From, Call-ID and CSeq fields of every response, and then the value of To
	to     int            // where that begins
	tagged bool           // it has a tag
}

// Method returns the request's method.
func (tx *ServerTx) Method() sip.Method { return tx.method }

// Conn returns the connection that the request came on.
func (tx *ServerTx) Conn() *transport.Conn { return tx.conn }

// Source returns the address that the request came from.
func (tx *ServerTx) Source() netip.AddrPort { return tx.source }

// request gives one request to the layer and, when it is new, to the handler.
func (s *Shard) request(p *transport.Packet) {
	var tx *ServerTx
	if method := p.Msg.Method(); method != sip.ACK { // which has no transaction of its own
		tx = &ServerTx{method: method, conn: p.Conn, source: p.Source, dest: destination(p)}
	}
	source := s.viaSource(p.Source)
	source.Keep = p.Conn.Transport().Reliable()
	if p.Conn.Transport().WebSocket() && !asksForPort(p.Msg) {
		source = sip.Source{}
	}
	arrival := s.layer.Request(s.now, p.Msg, transaction.Origin{
		Reliable: p.Conn.Transport().Reliable(),
		Source:   source,
		Owner:    tx,
		Full:     s.full(p.Msg),
	})
	switch arrival.Verdict {
	case transaction.New:
		s.begin(tx, arrival.Server, p.Msg, source)
		s.server.shardHandler.Request(s, tx, p)
	case transaction.Merged:
		s.begin(tx, arrival.Server, p.Msg, source)
		s.Reply(tx, &sip.StatusError{Code: 482})
	case transaction.CancelFor:
		s.begin(tx, arrival.Server, p.Msg, source)
		s.cancel(tx, arrival.Invite, p)
	case transaction.AckForTU:
		s.server.shardHandler.Ack(s, p)
	case transaction.Refused:
		s.server.overload(p, LimitTransactions)
	}
}

// full says whether a request may begin no transaction any more. What belongs to
// a dialog, or ends a request, still may for a while.
func (s *Shard) full(m *sip.Message) bool {
	most := s.server.queues.Transactions / len(s.server.shards)
	n := s.layer.Len()
	return n >= most && (n >= most+most/8 || opensDialog(m))
}

// cancel answers a CANCEL, which is a transaction of its own, and passes it on
// to the user of the INVITE that it means (RFC 3261 §9.2). The 200 goes first:
// callers expect it before the 487.
func (s *Shard) cancel(tx *ServerTx, invite *transaction.Server, p *transport.Packet) {
	if invite == nil {
		s.Reply(tx, &sip.StatusError{Code: 481})
		return
	}
	target := invite.Owner.(*ServerTx)
	tx.Tag = target.Tag
	switch {
	case target.User == nil && target.source == tx.source:
		s.Reply(tx, &sip.StatusError{Code: 200}) // it was refused at once: the CANCEL has no effect
	case target.User != nil && target.User.MayCancel(s, target, p):
		s.Reply(tx, &sip.StatusError{Code: 200})
		target.User.Cancelled(s, target, p)
	default:
		s.Reply(tx, &sip.StatusError{Code: 481})
	}
}

// destination is where a response goes on UDP: to the source address, to its
// port with rport (RFC 3581 §4), else to the sent-by port. The host and maddr
// of a Via are never sent to.
//
// deviates: RFC 3261 §18.2.2 sends to maddr when there is one; that would let a
// sender choose whom we send to.
func destination(p *transport.Packet) netip.AddrPort {
	via, err := p.Msg.Via()
	if err != nil || via.RPort() {
		return p.Source
	}
	port := via.Port
	if port == 0 {
		port = 5060
	}
	return netip.AddrPortFrom(p.Source.Addr(), port)
}

// viaSource is what the topmost Via of a response shows.
func viaSource(source netip.AddrPort) sip.Source {
	return sip.Source{Host: source.Addr().Unmap().WithZone("").String(), Port: source.Port()}
}

// asksForPort says whether a request wants to know where it came from (RFC 3581
// §4). On a WebSocket nobody else is told: "When a SIP WebSocket Server receives a
// request, it MAY decide not to add a "received" parameter", because the address may be
// that of a proxy, which is nobody's business outside (RFC 7118 §5.3).
func asksForPort(m *sip.Message) bool {
	via, err := m.Via()
	return err == nil && via.RPort()
}

// maxHosts bounds how many source addresses a shard remembers as text.
const maxHosts = 1024

// viaSource is viaSource with a memory: most requests come from few addresses.
func (s *Shard) viaSource(source netip.AddrPort) sip.Source {
	addr := source.Addr()
	host, ok := s.hosts[addr]
	if !ok {
		if len(s.hosts) >= maxHosts {
			clear(s.hosts)
		}
		host = viaSource(source).Host
		s.hosts[addr] = host
	}
	return sip.Source{Host: host, Port: source.Port()}
}

// begin takes the transaction and copies what responses repeat (RFC 3261 §8.2.6.2).
func (s *Shard) begin(tx *ServerTx, t *transaction.Server, m *sip.Message, source sip.Source) {
	tx.tx = t
	var b sip.Builder
	b.Reset(s.scratch[:0])
	head := b.Echo(m, source)
	tx.to = len(head)
	head = append(head, m.First(sip.HdrTo)...)
	tx.head = append(s.headBuffer(len(head)), head...)
	if s.scratch = head; cap(head) > maxScratch {
		s.scratch = nil
	}
	to, _ := m.To()
	tx.tagged = to.Tag() != nil
}

// maxScratch bounds what a shard keeps for the next request's headers.
const maxScratch = 8 << 10

// maxHeads and maxHead bound what a shard keeps of the heads of transactions that
// have answered, for the next ones: how many, and how long.
const maxHeads, maxHead = 64, 2 << 10

// headBuffer returns room for n bytes, and for little more when it is new: a head
// is kept as long as a phone rings.
func (s *Shard) headBuffer(n int) []byte {
	if last := len(s.heads) - 1; last >= 0 && cap(s.heads[last]) >= n {
		b := s.heads[last]
		s.heads = s.heads[:last]
		return b
	}
	return make([]byte, 0, n)
}

// dropHead lets go of what responses repeat: the transaction has answered.
func (s *Shard) dropHead(tx *ServerTx) {
	if cap(tx.head) > 0 && cap(tx.head) <= maxHead && len(s.heads) < maxHeads {
		s.heads = append(s.heads, tx.head[:0])
	}
	tx.head, tx.to = nil, 0
}

// Response begins a response in b: its status line and the headers that it
// repeats, with toTag when the request's To has none. The caller adds further
// headers and a body, for which room bytes are made, ends it with Finish and
// gives it to Respond. After a final response there is nothing left to write
// another from.
func (tx *ServerTx) Response(b *sip.Builder, code int, reason string, toTag []byte, room int) {
	const line = len("SIP/2.0 200 \r\nTo: ;tag=\r\nContent-Length: 65536\r\n\r\n")
	b.Reset(make([]byte, 0, line+len(reason)+len(tx.head)+len(toTag)+room))
	b.Status(code, reason)
	b.Raw(tx.head[:tx.to])
	if to := tx.head[tx.to:]; tx.tagged || len(toTag) == 0 {
		b.HeaderBytes("To", to)
	} else {
		b.HeaderBytes("To", to, []byte(";tag="), toTag)
	}
}

// Respond sends a response. The bytes belong to the transaction from now on.
// False means that the transaction takes none any more. A 2xx to INVITE is sent
// again by whoever answered, by calling Respond again until the ACK comes
// (RFC 6026 §7.1).
func (s *Shard) Respond(tx *ServerTx, code int, b []byte) bool {
	if tx.tx == nil || !tx.tx.Respond(s.now, code, b) {
		return false
	}
	if code >= 200 {
		s.dropHead(tx)
	}
	return true
}

// Reply answers with a response that has no body and an own To tag. The
// error's cause stays with us; its code, phrase and header go out.
func (s *Shard) Reply(tx *ServerTx, e *sip.StatusError) {
	if tx.Tag == nil {
		tx.Tag = s.NewTag()
	}
	var b sip.Builder
	tx.Response(&b, e.Code, e.Phrase(), tx.Tag, len(e.Header)+2)
	if e.Header != "" {
		b.Raw([]byte(e.Header + "\r\n"))
	}
	s.Respond(tx, e.Code, b.Finish(nil))
}

// SendServer sends a response; it makes the shard a transaction.User. A stream
// that has gone is replaced by another connection of the same peer, never by
// one to a place that a header names.
func (s *Shard) SendServer(t *transaction.Server, b []byte) {
	tx := t.Owner.(*ServerTx)
	if tx.conn.Alive() {
		if s.transmit(Flow{tx.conn, tx.dest}, b) == nil {
			return
		}
	}
	s.server.reroute(s, tx.conn, b)
}

// ServerDone ends a server transaction; it makes the shard a transaction.User.
func (s *Shard) ServerDone(t *transaction.Server, err error) {
	tx := t.Owner.(*ServerTx)
	tx.tx = nil
	s.dropHead(tx)
	if tx.User != nil {
		tx.User.ServerDone(s, tx, err)
	}
}
