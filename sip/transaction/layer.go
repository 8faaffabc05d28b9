package transaction

import (
	"fmt"
	"hash/maphash"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
)

// User is what stands above a Layer: the transaction user of RFC 3261 §17, and
// the way to the transport. Its methods are called from within calls to the
// Layer and to Timers.Advance, and may call the Layer again.
type User interface {
	// SendClient transmits b where the client's request goes. It must neither
	// block nor keep b. It may report a failure by Layer.ClientFailed.
	SendClient(c *Client, b []byte)
	// SendServer transmits b back to where the request came from. It must
	// neither block nor keep b.
	SendServer(s *Server, b []byte)
	// ClientResponse gives a response to the TU: each 1xx, the final one, and
	// for INVITE every further 2xx during 64*T1. m stays the caller's.
	ClientResponse(c *Client, m *sip.Message)
	// ClientDone says that c ended: err is nil, ErrTimeout, or ErrTransport
	// wrapped with its cause. It is called once for each client; c must not be
	// used any more when it returns.
	ClientDone(c *Client, err error)
	// ServerDone is ClientDone for servers.
	ServerDone(s *Server, err error)
}

// Layer holds the transactions of one shard. It is owned by one goroutine, as
// are its transactions and the Timers given to it.
type Layer struct {
	cfg    Config
	timers *Timers
	user   User
	seed   maphash.Seed
	count  int

	clients table[Client] // by branch
	servers table[Server] // by branch and sent-by, or what RFC 2543 needs
	merges  table[Server] // by Call-ID, From tag and CSeq (RFC 3261 §8.2.2.2)

	scratch     []byte // for keys
	builder     sip.Builder
	freeClients []*Client
	freeServers []*Server
	freeBuffers [][]byte
}

// maxFree bounds each list of things kept for reuse, so that a burst does not
// hold its memory for ever.
const maxFree = 4096

// NewLayer returns a layer without transactions. Its timers run when the owner
// advances timers.
func NewLayer(cfg Config, timers *Timers, user User) *Layer {
	return &Layer{
		cfg:     cfg.WithDefaults(),
		timers:  timers,
		user:    user,
		seed:    maphash.MakeSeed(),
		clients: table[Client]{},
		servers: table[Server]{},
		merges:  table[Server]{},
	}
}

// Len is the number of transactions that exist, clients and servers.
func (l *Layer) Len() int { return l.count }

// table finds transactions by the hash of their key. The seed is secret, so
// nobody can aim at one hash; whoever looks up compares the whole key all the
// same. Unlike a map from strings it allocates nothing per entry.
type table[T any] map[uint64]*link[T]

// link is a transaction's place in a table.
type link[T any] struct {
	hash uint64
	next *link[T]
	of   *T // nil while not in the table
}

func (t table[T]) insert(hash uint64, l *link[T], of *T) {
	*l = link[T]{hash: hash, next: t[hash], of: of}
	t[hash] = l
}

func (t table[T]) remove(l *link[T]) {
	if l.of == nil {
		return
	}
	if first := t[l.hash]; first != l {
		for first.next != l {
			first = first.next
		}
		first.next = l.next
	} else if l.next != nil {
		t[l.hash] = l.next
	} else {
		delete(t, l.hash)
	}
	*l = link[T]{}
}

func (l *Layer) hash(key []byte) uint64 { return maphash.Bytes(l.seed, key) }

// buffer returns an empty buffer for a message of the layer's own.
func (l *Layer) buffer() []byte {
	if n := len(l.freeBuffers); n > 0 {
		b := l.freeBuffers[n-1]
		l.freeBuffers = l.freeBuffers[:n-1]
		return b
	}
	return make([]byte, 0, 512)
}

func (l *Layer) recycle(b []byte) {
	if cap(b) > 0 && cap(b) <= 4096 && len(l.freeBuffers) < maxFree {
		l.freeBuffers = append(l.freeBuffers, b[:0])
	}
}

// pop takes one transaction from a free list, or makes one.
func pop[T any](free *[]*T) *T {
	if n := len(*free); n > 0 {
		t := (*free)[n-1]
		(*free)[n-1] = nil
		*free = (*free)[:n-1]
		return t
	}
	return new(T)
}

func push[T any](free *[]*T, t *T) {
	if len(*free) < maxFree {
		*free = append(*free, t)
	}
}

// failed wraps what the transport said.
func failed(cause error) error {
	if cause == nil {
		return ErrTransport
	}
	return fmt.Errorf("%w: %w", ErrTransport, cause)
}

// instant is now as the machines count it.
func (l *Layer) instant(now time.Time) time.Duration { return l.timers.since(now) }
