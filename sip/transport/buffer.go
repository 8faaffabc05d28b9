package transport

import (
	"sync"
)

// bufferSize is what one read takes: the payload of a TLS record at most, and
// the size of most of what SIP sends in one go.
const bufferSize = 16 << 10

// buffer is a byte slice from a pool. Whoever holds it gives it back, so that a
// connection at rest has none.
type buffer struct {
	b    []byte
	next *buffer // in a stream's queue
}

var buffers = sync.Pool{New: func() any { return &buffer{b: make([]byte, 0, bufferSize)} }}

func takeBuffer() *buffer { return buffers.Get().(*buffer) }

// drop gives the buffer back; one that grew goes to the garbage collector.
func (b *buffer) drop() {
	if b == nil || cap(b.b) > 2*bufferSize {
		return
	}
	b.b = b.b[:0]
	buffers.Put(b)
}

// inbox holds bytes that were read and not yet used up. It belongs to a reader.
type inbox struct {
	buf  *buffer
	from int // of buf.b, the first byte not used up
}

func (in *inbox) bytes() []byte {
	if in.buf == nil {
		return nil
	}
	return in.buf.b[in.from:]
}

func (in *inbox) empty() bool { return in.buf == nil || in.from == len(in.buf.b) }

// held is the memory in use.
func (in *inbox) held() int {
	if in.buf == nil {
		return 0
	}
	return cap(in.buf.b)
}

// space returns room for the next read, at least one byte.
func (in *inbox) space() []byte {
	if in.buf == nil {
		in.buf = takeBuffer()
	}
	b := in.buf.b
	if in.from > 0 {
		b = b[:copy(b, b[in.from:])]
		in.from = 0
	}
	if len(b) == cap(b) {
		grown := &buffer{b: append(make([]byte, 0, 2*cap(b)), b...)}
		in.buf.b = b
		in.buf.drop()
		in.buf = grown
		b = grown.b
	}
	in.buf.b = b
	return b[len(b):cap(b)]
}

// add counts n bytes that were read into space.
func (in *inbox) add(n int) { in.buf.b = in.buf.b[:len(in.buf.b)+n] }

// use takes n bytes away.
func (in *inbox) use(n int) { in.from += n }

// rest gives the buffer back when nothing is in it.
func (in *inbox) rest() {
	if in.buf != nil && in.empty() {
		in.clear()
	}
}

// clear throws everything away.
func (in *inbox) clear() {
	in.buf.drop()
	in.buf, in.from = nil, 0
}
