package recorder

import (
	"bytes"
	"encoding/hex"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/callflow/export"
	"github.com/sallyport-sip/sallyport/internal/tlswire"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// Key retention: for peers for which an operator has turned it on, for a limited time, the records of TLS connections are kept as they
// cross the network, together with the secrets that open them. RFC 9850 is about files of such secrets: they are for "systems where TLS
// only protects test data". All of it is in memory and nowhere else, and it is wiped when the time is over, when retention is turned
// off, and when the recorder ends.
//
// A record can be opened only when all before it in its direction are there, because each is numbered by counting. So of a connection
// the beginning is kept, up to keptOfOne bytes, and what comes then is counted; and when there is too much in all, the oldest
// connections go as a whole, those that are closed first.
//
// Who calls is known when the handshake is over. Until then connections to our listeners are kept on trial, within a bound of their
// own, so that strangers cannot push out what is kept.

// Bounds of what is kept, in bytes.
const (
	keptInAll   = 64 << 20
	keptOfOne   = 16 << 20
	keptOnTrial = 8 << 20
	trialOfOne  = 128 << 10
	keptConns   = 4096    // connections, on trial or not
	keptSecrets = 4 << 10 // of a key log, of one connection
)

// retention is what is kept. It is safe for concurrent use.
type retention struct {
	on atomic.Bool // some peer has it on: else nothing else is looked at

	mu      sync.Mutex           // guards what follows
	peers   map[string]time.Time // until when
	conns   map[uint64]*keptConn
	order   []*keptConn // the oldest first
	randoms map[[32]byte][]*keptConn
	bytes   int // of connections that are sure
	trial   int // of the others
}

// keptConn is one connection. Guarded by retention.mu, but for over.
type keptConn struct {
	over atomic.Bool // nothing more is kept of it

	link    uint64
	opened  time.Time
	peer    string // empty: on trial
	random  [32]byte
	known   bool // random is
	keyLog  []byte
	records []export.Record
	bytes   int
	missing int
	closed  bool
}

// Retain sets for which peers' TLS connections the records and secrets are kept, and until when; connections that begin from now on
// count. What is kept of other peers is wiped.
func (r *Recorder) Retain(peers map[string]time.Time) {
	t := &r.retention
	t.mu.Lock()
	defer t.mu.Unlock()
	t.peers = peers
	t.on.Store(len(peers) > 0)
	for _, k := range slices.Clone(t.order) {
		if _, ok := peers[k.peer]; !ok && (k.peer != "" || len(peers) == 0) {
			t.wipe(k)
		}
	}
}

// Kept returns what is kept of a connection: a copy, nil when there is nothing. Its peer must have retention on still.
func (r *Recorder) Kept(l *callflow.Link, now time.Time) *export.Kept {
	t := &r.retention
	t.mu.Lock()
	defer t.mu.Unlock()
	k := t.conns[l.ID]
	if k == nil || k.peer == "" || !k.opened.Equal(l.Opened) || !now.Before(t.peers[k.peer]) || len(k.keyLog) == 0 {
		return nil
	}
	return &export.Kept{KeyLog: bytes.Clone(k.keyLog), Records: slices.Clone(k.records), Missing: k.missing}
}

// KeptStats says how much is kept: connections, and bytes of their records.
func (r *Recorder) KeptStats() (conns, size int) {
	t := &r.retention
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.order), t.bytes + t.trial
}

// begin makes the record of a connection; nil when nothing is to be kept of it.
func (t *retention) begin(info transport.ConnInfo, opened time.Time) *keptConn {
	if !t.on.Load() {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	k := &keptConn{link: info.ID, opened: opened}
	switch {
	case info.Inbound:
		if t.trial >= keptOnTrial {
			return nil
		}
	case !opened.Before(t.peers[info.Peer]):
		return nil
	default:
		k.peer = info.Peer
	}
	if len(t.order) >= keptConns {
		t.evict()
	}
	if t.conns == nil {
		t.conns, t.randoms = make(map[uint64]*keptConn), make(map[[32]byte][]*keptConn)
	}
	t.conns[k.link] = k
	t.order = append(t.order, k)
	return k
}

// identified tells who is there: nothing is kept on of anybody else.
func (t *retention) identified(id uint64, peer string) {
	if !t.on.Load() {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	k := t.conns[id]
	switch {
	case k == nil || k.peer != "":
	case peer == "" || !k.opened.Before(t.peers[peer]):
		t.wipe(k)
	default:
		t.trial -= k.bytes
		t.bytes += k.bytes
		k.peer = peer
	}
}

// ended notes that a connection is closed; one that was on trial is nobody's.
func (t *retention) ended(id uint64) {
	if !t.on.Load() {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if k := t.conns[id]; k != nil {
		if k.closed = true; k.peer == "" {
			t.wipe(k)
		}
	}
}

// hello notes the random value of the ClientHello, by which key logs name a connection.
func (t *retention) hello(k *keptConn, random [32]byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !k.known && !k.over.Load() {
		k.random, k.known = random, true
		t.randoms[random] = append(t.randoms[random], k)
	}
}

// keep takes what was read or is about to be written. b is copied.
func (t *retention) keep(k *keptConn, out bool, b []byte) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if k.over.Load() {
		return
	}
	most := keptOfOne
	if k.peer == "" {
		most = trialOfOne
	} else if !now.Before(t.peers[k.peer]) {
		t.wipe(k)
		return
	}
	if k.missing > 0 || k.bytes+len(b) > most {
		k.missing += len(b)
		return
	}
	k.records = append(k.records, export.Record{At: now, Out: out, Data: bytes.Clone(b)})
	k.bytes += len(b)
	if k.peer == "" {
		t.trial += len(b)
		return
	}
	t.bytes += len(b)
	for t.bytes > keptInAll && len(t.order) > 1 {
		t.evict()
	}
}

// line takes a line of a key log, which is overwritten afterwards.
func (t *retention) line(line []byte) {
	if !t.on.Load() {
		return
	}
	_, rest, _ := bytes.Cut(line, []byte(" "))
	name, _, ok := bytes.Cut(rest, []byte(" "))
	var random [32]byte
	if !ok || len(name) != hex.EncodedLen(len(random)) {
		return
	}
	if _, err := hex.Decode(random[:], name); err != nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, k := range t.randoms[random] {
		if k.keyLog == nil {
			k.keyLog = make([]byte, 0, keptSecrets) // in one place, to be overwritten
		}
		if len(k.keyLog)+len(line)+1 <= keptSecrets {
			k.keyLog = append(append(k.keyLog, bytes.TrimRight(line, "\r\n")...), '\n')
		}
	}
}

// evict lets the oldest connection go, one that is closed first. The caller holds mu.
func (t *retention) evict() {
	i := max(slices.IndexFunc(t.order, func(k *keptConn) bool { return k.closed }), 0)
	t.wipe(t.order[i])
}

// wipe forgets a connection; its secrets are overwritten. The caller holds mu.
func (t *retention) wipe(k *keptConn) {
	k.over.Store(true)
	clear(k.keyLog[:cap(k.keyLog)])
	if k.peer == "" {
		t.trial -= k.bytes
	} else {
		t.bytes -= k.bytes
	}
	k.keyLog, k.records, k.bytes = nil, nil, 0
	delete(t.conns, k.link)
	if k.known {
		same := slices.DeleteFunc(t.randoms[k.random], func(o *keptConn) bool { return o == k })
		if t.randoms[k.random] = same; len(same) == 0 {
			delete(t.randoms, k.random)
		}
	}
	t.order = slices.DeleteFunc(t.order, func(o *keptConn) bool { return o == k })
}

// retain shows a piece of the stream to retention.
func (w *wrapped) retain(from tlswire.Side, b []byte) {
	if w.kept.over.Load() {
		return
	}
	w.retention.keep(w.kept, from == w.us, b)
}
