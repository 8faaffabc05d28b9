package sip

import (
	"iter"
	"sync"
)

// Message is a SIP request or response: a view on its own bytes. See the
// package comment for who may hold it.
type Message struct {
	buf    []byte
	method Method // of the request line
	code   int    // of the status line, 0 for a request
	uri    span   // Request-URI, or reason phrase of a response
	body   int    // where the body begins
	fields []field
	first  [numHeaders]uint16 // 1 + index in fields of the first field of each header

	err       *ParseError // what the index found wrong, first thing first
	cseq      CSeq
	via       Via
	viaSeen   bool
	cseqSeen  bool
	inline    [48]field
	lengthSet bool // a Content-Length was there
	length    int  // its value
	maxURI    int  // the limits that it was indexed with
	maxVias   int
}

// span is a piece of the message's buffer.
type span struct{ start, end uint32 }

type field struct {
	name, value span
	id          HeaderID
}

// Field is one header field: its name and value as written, folds replaced by
// spaces.
type Field struct {
	ID          HeaderID
	Name, Value []byte
}

var messages = sync.Pool{New: func() any { return new(Message) }}

// Acquire returns an empty message from a pool.
func Acquire() *Message {
	return messages.Get().(*Message)
}

// Release gives the message back. The caller was its owner and is so no more.
func (m *Message) Release() {
	if poison {
		for i := range m.buf {
			m.buf[i] = 0xDB
		}
	}
	if cap(m.buf) > maxPooled {
		m.buf = nil
	}
	m.reset()
	m.cseq, m.via = CSeq{}, Via{}
	messages.Put(m)
}

// maxPooled keeps one huge message from holding its memory for ever.
const maxPooled = 16 << 10

func (m *Message) reset() {
	m.buf = m.buf[:0]
	m.clearIndex()
}

func (m *Message) clearIndex() {
	m.first = [numHeaders]uint16{}
	if m.fields == nil || cap(m.fields) > 4*len(m.inline) {
		m.fields = m.inline[:0]
	}
	m.fields = m.fields[:0]
	m.method, m.code, m.uri, m.body = "", 0, span{}, 0
	m.err, m.viaSeen, m.cseqSeen, m.lengthSet, m.length = nil, false, false, false, 0
}

// Parse loads a message that stands alone, as in a datagram. On an error the
// message is returned too, with what could be indexed.
func Parse(b []byte) (*Message, error) {
	m := Acquire()
	return m, m.Load(b)
}

// Load copies b, one whole message, into m and indexes it. Bytes behind the
// Content-Length are dropped (RFC 3261 §18.3). The error is a *ParseError; what
// could be indexed stays readable, so that a 400 can be built.
func (m *Message) Load(b []byte) error { return m.LoadWithin(b, DefaultLimits()) }

// LoadWithin is Load with other limits than the default ones.
func (m *Message) LoadWithin(b []byte, limits Limits) error {
	limits.complete()
	m.buf = append(m.buf[:0], b[:min(len(b), limits.Message)]...)
	end, whole := m.index(m.buf, limits)
	switch {
	case len(b) > limits.Message:
		m.body, m.err = len(m.buf), tooMuch(LimitMessage, "message", -1, limits.Message)
	case !whole:
		m.body = len(m.buf)
		m.fail("message", len(b), "the header section ends with an empty line")
	case !m.lengthSet || m.length < 0:
		m.body = end
	case end+m.length > len(m.buf):
		m.body = end
		m.fail("Content-Length", -1, "the body is as long as Content-Length says")
	default:
		m.body = end
		m.buf = m.buf[:end+m.length]
	}
	m.checkParts(limits.BodyParts)
	if m.err != nil {
		return m.err
	}
	return nil
}

// fail keeps the first error.
func (m *Message) fail(header string, offset int, rule string) {
	if m.err == nil {
		m.err = ruleError(header, offset, rule)
	}
}

// Clone returns a copy with an owner of its own.
func (m *Message) Clone() *Message {
	c := Acquire()
	c.reset()
	c.buf = append(c.buf, m.buf...)
	c.fields = append(c.fields, m.fields...)
	c.method, c.code, c.uri, c.body, c.first = m.method, m.code, m.uri, m.body, m.first
	c.err, c.length, c.lengthSet, c.maxURI = m.err, m.length, m.lengthSet, m.maxURI
	return c
}

// IsRequest says whether the message began with a request line.
func (m *Message) IsRequest() bool { return m.code == 0 }

// Method returns the request's method, or for a response that of its CSeq.
func (m *Message) Method() Method {
	if m.code == 0 {
		return m.method
	}
	c, _ := m.CSeq()
	return c.Method
}

// StatusCode returns 100 to 699 for a response and 0 for a request.
func (m *Message) StatusCode() int { return m.code }

// Reason returns the reason phrase of a response.
func (m *Message) Reason() []byte {
	if m.code == 0 {
		return nil
	}
	return m.at(m.uri)
}

// RequestURI returns the Request-URI as written.
func (m *Message) RequestURI() []byte {
	if m.code != 0 {
		return nil
	}
	return m.at(m.uri)
}

// Bytes returns the whole message.
func (m *Message) Bytes() []byte { return m.buf }

// Body returns what stands behind the header section.
func (m *Message) Body() []byte { return m.buf[min(m.body, len(m.buf)):] }

func (m *Message) at(s span) []byte { return m.buf[s.start:s.end:s.end] }

func (m *Message) field(i int) Field {
	f := &m.fields[i]
	return Field{f.id, m.at(f.name), m.at(f.value)}
}

// Fields returns every header field in the order in which it was written.
func (m *Message) Fields() iter.Seq[Field] {
	return func(yield func(Field) bool) {
		for i := range m.fields {
			if !yield(m.field(i)) {
				return
			}
		}
	}
}

// First returns the value of the first field of a known header, nil when there
// is none. For headers with comma lists it may hold several values.
func (m *Message) First(id HeaderID) []byte {
	if i := m.first[id]; i > 0 {
		return m.at(m.fields[i-1].value)
	}
	return nil
}

// Has says whether a known header is there.
func (m *Message) Has(id HeaderID) bool { return m.first[id] > 0 }

// Several says whether a known header has more than one value, in further fields
// or, where it takes lists, behind a comma.
func (m *Message) Several(id HeaderID) bool {
	i := int(m.first[id])
	if i == 0 {
		return false
	}
	for j := i; j < len(m.fields); j++ {
		if m.fields[j].id == id {
			return true
		}
	}
	if headers[id].shape != list {
		return false
	}
	_, rest := cutList(m.at(m.fields[i-1].value))
	return rest != nil
}

// Values returns every value of a known header, those of comma lists one by
// one, in order.
func (m *Message) Values(id HeaderID) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		i := int(m.first[id])
		if i == 0 {
			return
		}
		for i--; i < len(m.fields); i++ {
			if m.fields[i].id != id {
				continue
			}
			rest := m.at(m.fields[i].value)
			if headers[id].shape != list {
				if !yield(rest) {
					return
				}
				continue
			}
			for more := true; more; {
				var v []byte
				v, rest = cutList(rest)
				more = rest != nil
				if len(v) > 0 && !yield(v) {
					return
				}
			}
		}
	}
}

// Via returns the topmost Via value.
func (m *Message) Via() (Via, error) {
	if err := m.readVia(); err != nil {
		return m.via, err
	}
	return m.via, nil
}

func (m *Message) readVia() *ParseError {
	if m.viaSeen {
		return nil
	}
	m.via = Via{}
	if _, rule := m.via.parse(m.First(HdrVia)); rule != "" {
		return m.broken(HdrVia, rule)
	}
	m.viaSeen = true
	return nil
}

// CSeq returns the CSeq header.
func (m *Message) CSeq() (CSeq, error) {
	if err := m.readCSeq(); err != nil {
		return m.cseq, err
	}
	return m.cseq, nil
}

func (m *Message) readCSeq() *ParseError {
	if m.cseqSeen {
		return nil
	}
	var rule string
	if m.cseq, rule = parseCSeq(m.First(HdrCSeq)); rule != "" {
		return m.broken(HdrCSeq, rule)
	}
	m.cseqSeen = true
	return nil
}

// From returns the From header.
func (m *Message) From() (Address, error) { return m.address(HdrFrom) }

// To returns the To header.
func (m *Message) To() (Address, error) { return m.address(HdrTo) }

// Contact returns the first Contact value.
func (m *Message) Contact() (Address, error) { return m.address(HdrContact) }

// CallID returns the Call-ID, nil when there is none.
func (m *Message) CallID() []byte { return m.First(HdrCallID) }

// MaxForwards returns the hops left and whether the header is there and a
// number from 0 to 255 (RFC 3261 §20.22).
func (m *Message) MaxForwards() (int, bool) {
	n, ok := number(m.First(HdrMaxForwards), 255)
	return int(n), ok
}

// address parses the first value.
func (m *Message) address(id HeaderID) (Address, error) {
	var a Address
	v := m.First(id)
	if headers[id].shape == list {
		v, _ = cutList(v)
	}
	if rule := a.parseAll(v); rule != "" {
		return a, m.broken(id, rule)
	}
	return a, nil
}

// broken makes an error that names where the header stands.
func (m *Message) broken(id HeaderID, rule string) *ParseError {
	offset := -1
	if i := m.first[id]; i > 0 {
		offset = int(m.fields[i-1].value.start)
	} else {
		rule = "the header is mandatory"
	}
	return ruleError(id.String(), offset, rule)
}
