package transaction

import (
	"bytes"
	"strconv"

	"github.com/sallyport-sip/sallyport/sip"
)

// identity is what a request is matched by (RFC 3261 §17.2.3). Its slices are
// valid until the layer looks at the next request.
type identity struct {
	method sip.Method
	key    []byte // all but the method
	hash   uint64
	old    bool   // from a client of RFC 2543, whose branch is nothing to match by
	toTag  []byte // compared apart, because an ACK has that of the response
	merge  []byte // what a merged request shares with it, nil when it cannot be one
}

// identify reads a request's identity. ok is false when its Via, From, To or
// CSeq cannot be read, which Message.Check rules out.
func (l *Layer) identify(m *sip.Message) (id identity, ok bool) {
	via, err := m.Via()
	if err != nil {
		return id, false
	}
	cseq, err := m.CSeq()
	if err != nil {
		return id, false
	}
	to, err := m.To()
	if err != nil {
		return id, false
	}
	id.method, id.toTag = m.Method(), to.Tag()
	branch := via.Branch()
	id.old = sip.OldBranch(branch)
	// "If the request has no tag in the To header field, the UAS core MUST check
	// the request against ongoing transactions" (RFC 3261 §8.2.2.2). CANCEL and
	// ACK belong to another request.
	mergeable := id.toTag == nil && id.method != sip.CANCEL && id.method != sip.ACK
	var from sip.Address
	if id.old || mergeable {
		if from, err = m.From(); err != nil {
			return id, false
		}
	}

	// No header value holds a line feed, so it separates.
	b := l.scratch[:0]
	if !id.old {
		b = append(b, branch...)
		b = append(b, '\n')
		for _, c := range via.Host { // sent-by; host names have no case
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			b = append(b, c)
		}
		b = append(b, ':')
		b = strconv.AppendUint(b, uint64(via.Port), 10)
	} else {
		// "... the Request-URI, To tag, From tag, Call-ID, CSeq, and top Via
		// header field match". They are compared as written: a retransmission,
		// an ACK to a failure and a CANCEL repeat them byte by byte.
		b = append(b, m.RequestURI()...)
		b = append(b, '\n')
		b = append(b, from.Tag()...)
		b = append(b, '\n')
		b = append(b, m.CallID()...)
		b = append(b, '\n')
		b = strconv.AppendUint(b, uint64(cseq.Seq), 10)
		b = append(b, '\n')
		for top := range m.Values(sip.HdrVia) {
			b = append(b, top...)
			break
		}
	}
	end := len(b)
	if mergeable {
		b = append(b, m.CallID()...)
		b = append(b, '\n')
		b = append(b, from.Tag()...)
		b = append(b, '\n')
		b = strconv.AppendUint(b, uint64(cseq.Seq), 10)
		b = append(b, ' ')
		b = append(b, cseq.Method...)
		id.merge = b[end:]
	}
	l.scratch = b
	id.key = b[:end:end]
	id.hash = l.hash(id.key)
	return id, true
}

// find returns the server transaction of a request: of the same method, for an
// ACK that of its INVITE.
func (l *Layer) find(id *identity) *Server {
	for p := l.servers[id.hash]; p != nil; p = p.next {
		s := p.of
		if id.method == sip.ACK {
			// "... and the To tag of the ACK matches the To tag of the response
			// sent by the server transaction", for clients of RFC 2543.
			if s.Method == sip.INVITE && s.matches(id) && (!id.old || bytes.Equal(id.toTag, s.sentTag)) {
				return s
			}
		} else if s.Method == id.method && s.matches(id) && (!id.old || bytes.Equal(id.toTag, s.toTag)) {
			return s
		}
	}
	return nil
}

// cancelled returns the transaction that a CANCEL is about: matching is done as
// if its method were "anything but CANCEL or ACK" (RFC 3261 §9.2).
func (l *Layer) cancelled(id *identity) *Server {
	for p := l.servers[id.hash]; p != nil; p = p.next {
		s := p.of
		if s.Method != sip.CANCEL && s.matches(id) && (!id.old || bytes.Equal(id.toTag, s.toTag)) {
			return s
		}
	}
	return nil
}

// ongoing returns the hash of a request's merge key and whether a transaction
// already goes by it.
func (l *Layer) ongoing(merge []byte) (hash uint64, found bool) {
	hash = l.hash(merge)
	for p := l.merges[hash]; p != nil; p = p.next {
		if s := p.of; bytes.Equal(s.key[s.split:], merge) {
			return hash, true
		}
	}
	return hash, false
}
