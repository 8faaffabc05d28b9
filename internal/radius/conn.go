package radius

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	wire "layeh.com/radius"
)

// conn is a connection with one server, over which many requests may be under way.
type conn struct {
	nc     net.Conn
	client *Client
	secret []byte
	stream bool
	forged atomic.Bool // an answer came that was not of who has the secret

	once sync.Once
	dead chan struct{} // closed when it has ended
	err  error         // why, when dead is closed

	mu      sync.Mutex // guards what follows
	next    byte
	waiting map[byte]sent // by identifier
}

// sent is one sending of a request. Those of the same request have the same answer.
type sent struct {
	packet []byte
	answer chan struct{} // has room for one
}

var errManyWaiting = errors.New("256 requests wait for its answer")

// write sends the request as one of its own. An answer to any of its sendings counts.
func (k *conn) write(r *Request, answer chan struct{}, within time.Duration) error {
	k.mu.Lock()
	id := k.next
	for tries := 0; ; tries++ {
		if _, taken := k.waiting[id]; !taken {
			break
		}
		if tries == 255 {
			k.mu.Unlock()
			return errManyWaiting
		}
		id++
	}
	now := time.Now()
	b, err := r.packet(id, k.secret, now)
	if err == nil {
		k.next = id + 1
		k.waiting[id] = sent{b, answer}
	}
	k.mu.Unlock()
	if err != nil {
		return err
	}
	k.nc.SetWriteDeadline(now.Add(within))
	_, err = k.nc.Write(b)
	return err
}

// forget frees the identifiers of a request.
func (k *conn) forget(answer chan struct{}) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for id, s := range k.waiting {
		if s.answer == answer {
			delete(k.waiting, id)
		}
	}
}

// end closes the connection, once.
func (k *conn) end(why error) {
	k.once.Do(func() {
		k.err = why
		close(k.dead)
		k.nc.Close()
	})
}

func (k *conn) over() bool {
	select {
	case <-k.dead:
		return true
	default:
		return false
	}
}

// read takes answers until the connection ends.
func (k *conn) read() {
	b := make([]byte, wire.MaxPacketLength)
	for {
		n, err := k.receive(b)
		if err != nil {
			k.end(err)
			return
		}
		k.take(b[:n])
	}
}

const headerLength = 20

var errNoPacket = errors.New("what came is no RADIUS packet")

func (k *conn) receive(b []byte) (int, error) {
	if !k.stream {
		return k.nc.Read(b)
	}
	if _, err := io.ReadFull(k.nc, b[:4]); err != nil {
		return 0, err
	}
	n := int(binary.BigEndian.Uint16(b[2:4]))
	if n < headerLength || n > len(b) {
		return 0, errNoPacket
	}
	_, err := io.ReadFull(k.nc, b[4:n])
	return n, err
}

// take judges an answer. One that is not authentic is dropped (RFC 2866 section 3).
func (k *conn) take(b []byte) {
	if len(b) < headerLength {
		k.client.forged.Add(1)
		return
	}
	n := int(binary.BigEndian.Uint16(b[2:4])) // what is longer is padding
	if n < headerLength || n > len(b) || wire.Code(b[0]) != wire.CodeAccountingResponse {
		k.client.forged.Add(1)
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	s, ok := k.waiting[b[1]]
	if !ok {
		return // it was answered before, or given up
	}
	if !wire.IsAuthenticResponse(b[:n], s.packet, k.secret) {
		k.forged.Store(true)
		k.client.forged.Add(1)
		return
	}
	select {
	case s.answer <- struct{}{}:
	default:
	}
}
