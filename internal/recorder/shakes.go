package recorder

import (
	"cmp"
	"crypto/sha256"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"
	"unsafe"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/store"
)

// Handshakes are kept in three classes, each with a bound of its own, so that no class pushes another out. Who floods us with
// handshakes that fail, or that succeed and are nobody's, fills the class of strangers only; and of one source and reason no more
// than a few a minute are kept there or among the failures, further ones are only counted in the record of the last.
type class uint8

const (
	failures  class = iota // of peers, and from the addresses of peers
	successes              // of peers
	strangers              // all others
	classes
)

// share is the part of the whole bound that each class has, in quarters.
var share = [classes]int{failures: 2, successes: 1, strangers: 1}

const (
	// DefaultHandshakeBytes is the memory that handshakes take when Config does not say.
	DefaultHandshakeBytes = 4 << 20

	mostAlike  = 8           // handshakes of one source and reason that are kept in a window
	window     = time.Minute // for that
	mostSource = 2048        // sources and reasons that are watched for that
	mostAddr   = 4096        // addresses of peers that are remembered
)

// shakes are the handshakes that are kept. It is safe for concurrent use and has a lock of its own, so that no message waits for it.
type shakes struct {
	mu       sync.Mutex // guards what follows
	rings    [classes]shakeRing
	last     int64 // the newest ID
	alike    map[likeness]*likes
	peers    map[netip.Addr]string // addresses from which or at which a peer has proved who it is
	repeated uint64                // that were only counted
	seen     map[seenKey]callflow.Seen

	outOfTime outOfTime
}

// likeness is what handshakes have in common that are counted instead of kept.
type likeness struct {
	source netip.Addr
	peer   string
	code   string
}

// likes counts the handshakes of one likeness.
type likes struct {
	began time.Time
	kept  int
	last  *shake // nil when it has gone
}

type seenKey struct {
	peer, role string
	accepted   bool
}

func (s *shakes) init(bound int) {
	s.alike, s.peers, s.seen = make(map[likeness]*likes), make(map[netip.Addr]string), make(map[seenKey]callflow.Seen)
	s.outOfTime = make(outOfTime)
	for c := range s.rings {
		s.rings[c] = shakeRing{most: bound / 4 * share[c], blobs: make(map[[32]byte]*blobs)}
	}
}

// add keeps a shake, or counts it in the record of one like it. It returns the shake to be written down: s itself, the one in
// which it was counted when its record shall be written again, or nil.
func (a *shakes) add(s *shake, now time.Time) *shake {
	a.mu.Lock()
	defer a.mu.Unlock()
	s.mu.Lock()
	failed, code := s.failed(), s.code()
	peer := s.link.Peer
	if s.source.IsValid() && peer == "" {
		s.address = a.peers[s.source]
	}
	s.known = peer != "" || s.address != ""
	s.mu.Unlock()
	c := strangers
	switch {
	case s.known && failed:
		c = failures
	case peer != "":
		c = successes
	}
	if c != successes {
		like := a.like(likeness{prefix(s.source), peer, code}, now)
		if like.kept >= mostAlike {
			a.repeated++
			return like.last.again(now)
		}
		like.kept++
		like.last, s.window = s, like
	}
	a.last = store.NextID(a.last, now)
	s.id = a.last
	a.rings[c].push(s)
	return s
}

// prefix is what one source is: an address, of IPv6 the network of 64 bits, because whoever has one address there has them all.
func prefix(a netip.Addr) netip.Addr {
	if a.Is6() && !a.Is4In6() {
		if p, err := a.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a.Unmap()
}

// like returns the window of a likeness. Of too many some other goes: it would begin anew.
func (a *shakes) like(k likeness, now time.Time) *likes {
	w := a.alike[k]
	if w == nil {
		if len(a.alike) >= mostSource {
			for other := range a.alike {
				delete(a.alike, other)
				break
			}
		}
		w = &likes{began: now}
		a.alike[k] = w
	}
	if now.Sub(w.began) >= window {
		*w = likes{began: now}
	}
	return w
}

// again counts one more like s, nil when it has gone meanwhile. It returns s when its record shall be written again: at the first
// repeat, and whenever their number has doubled.
func (s *shake) again(now time.Time) *shake {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.repeats++
	s.until = now
	if s.repeats&(s.repeats-1) == 0 {
		return s
	}
	return nil
}

// proved remembers at which address a peer has proved who it is.
func (a *shakes) proved(addr netip.Addr, peer string) {
	if !addr.IsValid() || peer == "" {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	addr = addr.Unmap()
	if _, ok := a.peers[addr]; !ok && len(a.peers) >= mostAddr {
		for other := range a.peers {
			delete(a.peers, other)
			break
		}
	}
	a.peers[addr] = peer
}

// moved puts a shake that was good for us into the failures, because the peer has refused us after all.
func (a *shakes) moved(s *shake) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.rings[successes].remove(s) {
		a.rings[failures].push(s)
	}
}

// saw keeps the chain that a peer showed, when none crossed the wire nothing.
func (a *shakes) saw(peer, role string, at time.Time, accepted bool, chain [][]byte) {
	if peer == "" || len(chain) == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen[seenKey{peer, role, accepted}] = callflow.Seen{Peer: peer, Role: role, At: at, Accepted: accepted, Chain: chain}
}

// Handshakes returns the records that f wants, the newest first, as far as they are still in memory. They are the caller's.
func (r *Recorder) Handshakes(f callflow.HandshakeFilter) []*callflow.Handshake {
	a := &r.shakes
	a.mu.Lock()
	var all []*shake
	for c := range a.rings {
		all = append(all, a.rings[c].list()...)
	}
	a.mu.Unlock()
	slices.SortFunc(all, func(x, y *shake) int { return cmp.Compare(y.id, x.id) })
	var found []*callflow.Handshake
	for _, s := range all {
		if f.Limit > 0 && len(found) == f.Limit {
			break
		}
		if !s.may(&f) {
			continue
		}
		if h := s.record(); f.Wants(h) {
			found = append(found, h)
		}
	}
	return found
}

// may leaves out, before a record is made, what f certainly does not want.
func (s *shake) may(f *callflow.HandshakeFilter) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return (f.ID == "" || f.ID == store.FormatID(s.id)) &&
		(f.Peer == "" || f.Peer == s.link.Peer || f.Peer == s.address) &&
		(f.Since.IsZero() || !s.began.Before(f.Since)) &&
		(!f.Failed || s.failed())
}

// LastChains returns the chain that each peer showed last in each role, since the Recorder was made, in the order of the names.
func (r *Recorder) LastChains() []callflow.Seen {
	r.shakes.mu.Lock()
	all := slices.Collect(maps.Values(r.shakes.seen))
	r.shakes.mu.Unlock()
	slices.SortFunc(all, func(x, y callflow.Seen) int {
		return cmp.Or(cmp.Compare(x.Peer, y.Peer), cmp.Compare(x.Role, y.Role), y.At.Compare(x.At))
	})
	return all
}

// HandshakeStats says how full the memory of handshakes is.
type HandshakeStats struct {
	Kept     int    // records
	Bytes    int    // that they take
	Bound    int    // of Bytes
	Dropped  uint64 // that had to go for newer ones
	Repeated uint64 // that were only counted, in the record of one like them
}

// HandshakeStats returns the numbers of this moment.
func (r *Recorder) HandshakeStats() HandshakeStats {
	a := &r.shakes
	a.mu.Lock()
	defer a.mu.Unlock()
	n := HandshakeStats{Repeated: a.repeated}
	for c := range a.rings {
		n.Kept += a.rings[c].count
		n.Bytes += a.rings[c].bytes
		n.Bound += a.rings[c].most
		n.Dropped += a.rings[c].dropped
	}
	return n
}

// A shakeRing holds shakes within a bound of bytes, and of each chain or list of CAs one copy, however many shakes have it. It is owned by
// shakes.mu.
type shakeRing struct {
	entries []shakeEntry // a circle
	head    int
	count   int
	bytes   int
	most    int
	dropped uint64
	blobs   map[[32]byte]*blobs
}

// A shakeEntry is a shake with what it counts. The shake is nil where one was taken out.
type shakeEntry struct {
	shake  *shake
	weight int
	holds  [3][32]byte // keys of blobs; zero for none
}

// blobs are a chain or a list of names that several shakes have.
type blobs struct {
	list    [][]byte
	holders int
	weight  int
}

func (r *shakeRing) push(s *shake) {
	s.mu.Lock()
	e := shakeEntry{shake: s, weight: s.weigh() + int(unsafe.Sizeof(shakeEntry{}))}
	for i, list := range []*[][]byte{&s.ours, &s.theirs, &s.state.AcceptableCAs} {
		*list, e.holds[i] = r.hold(*list)
	}
	s.state.ServerCertificates, s.state.ClientCertificates = nil, nil // they are in ours and theirs
	s.mu.Unlock()
	r.bytes += e.weight
	if r.count == len(r.entries) {
		r.grow()
	}
	r.entries[(r.head+r.count)%len(r.entries)] = e
	r.count++
	for r.bytes > r.most && r.count > 1 {
		r.drop()
	}
}

// hold returns the copy of a list that is shared, and its key.
func (r *shakeRing) hold(list [][]byte) ([][]byte, [32]byte) {
	if len(list) == 0 {
		return nil, [32]byte{}
	}
	h := sha256.New()
	weight := int(unsafe.Sizeof(blobs{})) + 64
	for _, b := range list {
		h.Write([]byte{byte(len(b) >> 16), byte(len(b) >> 8), byte(len(b))})
		h.Write(b)
		weight += len(b) + 24
	}
	key := [32]byte(h.Sum(nil))
	b := r.blobs[key]
	if b == nil {
		b = &blobs{list: list, weight: weight}
		r.blobs[key] = b
		r.bytes += weight
	}
	b.holders++
	return b.list, key
}

func (r *shakeRing) release(e *shakeEntry) {
	r.bytes -= e.weight
	for _, key := range e.holds {
		b := r.blobs[key]
		if b == nil {
			continue
		}
		if b.holders--; b.holders == 0 {
			delete(r.blobs, key)
			r.bytes -= b.weight
		}
	}
	*e = shakeEntry{}
}

func (r *shakeRing) grow() {
	bigger := make([]shakeEntry, max(16, 2*len(r.entries)))
	for i := range r.count {
		bigger[i] = r.entries[(r.head+i)%len(r.entries)]
	}
	r.entries, r.head = bigger, 0
}

// drop lets the oldest go.
func (r *shakeRing) drop() {
	if e := &r.entries[r.head]; e.shake != nil {
		if w := e.shake.window; w != nil && w.last == e.shake {
			w.last = nil // it would be kept in memory by that
		}
		r.release(e)
		r.dropped++
	}
	r.head = (r.head + 1) % len(r.entries)
	r.count--
}

// remove takes s out.
func (r *shakeRing) remove(s *shake) bool {
	for i := r.count - 1; i >= 0; i-- { // it is a young one
		if e := &r.entries[(r.head+i)%len(r.entries)]; e.shake == s {
			r.release(e)
			return true
		}
	}
	return false
}

func (r *shakeRing) list() []*shake {
	all := make([]*shake, 0, r.count)
	for i := range r.count {
		if s := r.entries[(r.head+i)%len(r.entries)].shake; s != nil {
			all = append(all, s)
		}
	}
	return all
}
