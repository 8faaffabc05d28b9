package store

import (
	"crypto/sha256"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
)

// Records of handshakes go another way than those of calls, because they may be lost: they wait in memory, within a bound, and the
// mover writes what waits once a second, in one transaction. What came in the last second before a crash is lost; what finds no room,
// because the disk takes nothing or too many come, makes the oldest go, which are counted. Nobody waits.
//
// Failures of peers, successes of peers, and whatever strangers do have bounds of their own, in memory and in the table, so that none
// pushes out another.
const (
	shakeEvery = time.Second
	shakeRetry = 5 * time.Second
)

// HandshakeKind says by which bounds a record is kept.
type HandshakeKind uint8

// The kinds.
const (
	PeerFailure HandshakeKind = iota // of a peer, or from its address
	PeerSuccess
	OfStranger
	handshakeKinds
)

// mostWaiting is how many may wait in memory, which is also how many are written in a second, and mostRows how many the table keeps, with a
// tenth more until it is trimmed.
var (
	mostWaiting = [handshakeKinds]int{PeerFailure: 512, PeerSuccess: 128, OfStranger: 64}
	mostRows    = [handshakeKinds]int{PeerFailure: 10000, PeerSuccess: 10000, OfStranger: 2000}
)

// A waitingShake is a handshake that is not in the table yet.
type waitingShake struct {
	id     int64
	record func() *callflow.Handshake
}

// shakes are the handshakes that wait.
type shakes struct {
	mu      sync.Mutex // guards what follows
	waiting [handshakeKinds][]waitingShake
	lost    uint64
	armed   bool // the mover has been told
	wake    chan struct{}
	failing error // why the table takes none; nil: it does
}

// PutHandshake takes the record of a handshake, or its newest state. The id is one of NextID's. The record is made by calling record
// in the store's goroutine, soon or never. PutHandshake never waits.
func (s *Store) PutHandshake(id int64, kind HandshakeKind, record func() *callflow.Handshake) {
	q := &s.shakes
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting[kind] = append(q.waiting[kind], waitingShake{id, record})
	q.bound(kind)
	if !q.armed {
		q.armed = true
		select {
		case q.wake <- struct{}{}:
		default:
		}
	}
}

// bound lets the oldest go that are too many. The caller holds mu.
func (q *shakes) bound(kind HandshakeKind) {
	if n := len(q.waiting[kind]) - mostWaiting[kind]; n > 0 {
		q.waiting[kind] = slices.Delete(q.waiting[kind], 0, n)
		q.lost += uint64(n)
	}
}

// take returns what waits.
func (q *shakes) take() [handshakeKinds][]waitingShake {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := q.waiting
	q.waiting = [handshakeKinds][]waitingShake{}
	q.armed = false
	return all
}

// back returns to the queue what could not be written.
func (q *shakes) back(all [handshakeKinds][]waitingShake, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.failing = err
	for kind := range all {
		q.waiting[kind] = append(all[kind], q.waiting[kind]...)
		q.bound(HandshakeKind(kind))
	}
}

// written notes that the table takes handshakes.
func (q *shakes) written() (again bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	again = q.failing != nil
	q.failing = nil
	return again
}

// shakes writes the handshakes that wait, and says when to look again: 0 when there is something new to wait for.
func (m *mover) shakes() time.Duration {
	q := &m.s.shakes
	if m.d == nil { // the records of calls have told of that already
		return shakeRetry
	}
	all := q.take()
	if err := m.putShakes(all); err != nil {
		q.back(all, m.explain(err))
		m.s.wake()
		return shakeRetry
	}
	if q.written() {
		m.s.wake()
	}
	return 0
}

func (m *mover) putShakes(all [handshakeKinds][]waitingShake) error {
	n := 0
	for _, list := range all {
		n += len(list)
	}
	if n == 0 {
		return nil
	}
	err := m.d.within(func() error {
		for kind, list := range all {
			for i, w := range list {
				if err := m.putShake(HandshakeKind(kind), w); err != nil {
					return err
				}
				if m.calm && i%32 == 31 {
					time.Sleep(time.Millisecond)
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	trim := false
	for kind, list := range all {
		m.added[kind] += len(list)
		trim = trim || m.added[kind] > mostRows[kind]/10
	}
	if trim {
		return m.sweepShakes()
	}
	return nil
}

func (m *mover) putShake(kind HandshakeKind, w waitingShake) error {
	h := *w.record()
	ours, err := m.putChain(h.OurChain)
	if err != nil {
		return err
	}
	theirs, err := m.putChain(h.PeerChain)
	if err != nil {
		return err
	}
	chain := h.PeerChain
	h.OurChain, h.PeerChain = nil, nil
	text, err := json.Marshal(&h)
	if err != nil {
		return err
	}
	if err := m.d.exec("INSERT OR REPLACE INTO handshakes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		w.id, h.At.UnixMilli(), int64(kind), h.Peer, h.Address, h.Listener, h.Role, h.Outcome, h.Code, ours, theirs, string(text)); err != nil {
		return err
	}
	if h.Peer == "" || len(chain) == 0 {
		return nil
	}
	accepted := int64(0)
	if slices.ContainsFunc(h.Verdicts, func(v callflow.Verdict) bool { return v.ByGateway && v.Accepted }) {
		accepted = 1
	}
	role := callflow.RoleServer
	if h.Role == callflow.RoleServer {
		role = callflow.RoleClient
	}
	return m.d.exec("INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?, ?)", h.Peer, role, accepted, h.At.Add(h.Took).UnixMilli(), theirs)
}

// putChain keeps a chain under its hash, once however often it is shown, and returns the hash; nil for none.
func (m *mover) putChain(chain [][]byte) ([]byte, error) {
	if len(chain) == 0 {
		return nil, nil
	}
	text := joinChain(chain)
	sum := sha256.Sum256(text)
	if err := m.d.exec("INSERT OR IGNORE INTO chains VALUES (?, ?)", sum[:], text); err != nil {
		return nil, err
	}
	return sum[:], nil
}

// joinChain writes certificates one after the other, each after its length in three bytes, as TLS does.
func joinChain(chain [][]byte) []byte {
	var b []byte
	for _, der := range chain {
		b = append(b, byte(len(der)>>16), byte(len(der)>>8), byte(len(der)))
		b = append(b, der...)
	}
	return b
}

// splitChain is the reverse of joinChain. Of what it never wrote it returns the part that can be read.
func splitChain(b []byte) [][]byte {
	chain := [][]byte{}
	for len(b) >= 3 {
		n := int(b[0])<<16 | int(b[1])<<8 | int(b[2])
		if len(b) < 3+n {
			break
		}
		chain = append(chain, slices.Clone(b[3:3+n]))
		b = b[3+n:]
	}
	return chain
}

// sweepShakes deletes handshakes that are too old or too many, and chains that nobody has any more. The last chain of each peer
// stays.
func (m *mover) sweepShakes() error {
	m.added = [handshakeKinds]int{}
	return m.d.within(func() error {
		if keep := m.s.o.KeepHandshakes; keep > 0 {
			if err := m.d.exec("DELETE FROM handshakes WHERE at < ?", m.s.o.Now().Add(-keep).UnixMilli()); err != nil {
				return err
			}
		}
		for kind, most := range mostRows {
			if err := m.d.exec(`DELETE FROM handshakes WHERE kind = ? AND seq <=
				(SELECT seq FROM handshakes WHERE kind = ? ORDER BY seq DESC LIMIT 1 OFFSET ?)`, kind, kind, most); err != nil {
				return err
			}
		}
		return m.d.exec(`DELETE FROM chains WHERE sum NOT IN (SELECT ours FROM handshakes WHERE ours IS NOT NULL
			UNION SELECT theirs FROM handshakes WHERE theirs IS NOT NULL UNION SELECT chain FROM seen)`)
	})
}

// Handshakes returns the records of handshakes in dir that f wants, the newest first, also while a gateway writes there, which is
// about a second ahead. It changes nothing.
func Handshakes(dir string, f callflow.HandshakeFilter) ([]*callflow.Handshake, error) {
	var found []*callflow.Handshake
	err := reading(dir, func(d *db) error {
		where, args := shakesWhere(&f)
		return d.each(`SELECT h.record, o.der, t.der FROM handshakes h LEFT JOIN chains o ON o.sum = h.ours
			LEFT JOIN chains t ON t.sum = h.theirs`+where+" ORDER BY h.seq DESC", func(row []driver.Value) (bool, error) {
			h := &callflow.Handshake{}
			text, _ := row[0].(string)
			if err := json.Unmarshal([]byte(text), h); err != nil {
				return false, fmt.Errorf("a handshake in %s cannot be read: %w", tableName, err)
			}
			ours, _ := row[1].([]byte)
			theirs, _ := row[2].([]byte)
			h.OurChain, h.PeerChain = splitChain(ours), splitChain(theirs)
			if f.Wants(h) {
				found = append(found, h)
			}
			return f.Limit == 0 || len(found) < f.Limit, nil
		}, args...)
	})
	return found, err
}

// shakesWhere is the part of a filter that the columns answer.
func shakesWhere(f *callflow.HandshakeFilter) (string, []any) {
	where, args := " WHERE 1", []any{}
	add := func(cond string, values ...any) {
		where += " AND " + cond
		args = append(args, values...)
	}
	if id, ok := ParseID(f.ID); ok {
		add("h.seq = ?", id)
	} else if f.ID != "" {
		add("0")
	}
	if !f.Since.IsZero() {
		add("h.at >= ?", f.Since.UnixMilli())
	}
	if !f.Until.IsZero() {
		add("h.at <= ?", f.Until.UnixMilli())
	}
	if f.Peer != "" {
		add("(h.peer = ? OR h.address = ?)", f.Peer, f.Peer)
	}
	if f.Code != "" {
		add("h.code = ?", f.Code)
	}
	if f.Failed {
		add("h.outcome IN (?, ?)", callflow.OutcomeRefused, callflow.OutcomeFailed)
	}
	return where, args
}

// LastChains returns the chain that each peer showed last in each role, one that was accepted and one that was not, in the order of
// the names. It reads what is in dir, also while a gateway writes there.
func LastChains(dir string) ([]callflow.Seen, error) {
	var all []callflow.Seen
	err := reading(dir, func(d *db) error {
		return d.each(`SELECT s.peer, s.role, s.accepted, s.at, c.der FROM seen s JOIN chains c ON c.sum = s.chain
			ORDER BY s.peer, s.role, s.at DESC`, func(row []driver.Value) (bool, error) {
			s := callflow.Seen{}
			s.Peer, _ = row[0].(string)
			s.Role, _ = row[1].(string)
			accepted, _ := row[2].(int64)
			at, _ := row[3].(int64)
			der, _ := row[4].([]byte)
			s.Accepted, s.At, s.Chain = accepted == 1, time.UnixMilli(at).UTC(), splitChain(der)
			all = append(all, s)
			return true, nil
		})
	})
	return all, err
}

// reading calls f with the database of dir, when it has handshakes.
func reading(dir string, f func(*db) error) error {
	wrap := func(err error) error {
		if err != nil {
			err = fmt.Errorf("data directory %s: %w", dir, err)
		}
		return err
	}
	d, err := openReader(dir)
	if err != nil {
		return wrap(err)
	}
	if d == nil {
		return wrap(exists(dir))
	}
	defer d.Close()
	version, err := d.number("PRAGMA user_version")
	if err != nil || version < 2 { // of an older program, which kept none
		return wrap(err)
	}
	return wrap(f(d))
}
