package recorder

import (
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/sallyport-sip/sallyport/internal/callflow"
)

// Run is a short word for this run of the gateway. With it in front a flow's id means the same for ever: "k3f9qz-41".
func (r *Recorder) Run() string { return r.run }

// newRun makes the word. It begins with a letter and has none that looks like another.
func newRun() string {
	const digits = "0123456789abcdefghjkmnpqrstvwxyz"
	b := make([]byte, 6)
	for i := range b {
		b[i] = digits[rand.IntN(len(digits))]
	}
	b[0] = digits[10+rand.IntN(len(digits)-10)]
	return string(b)
}

// SplitID splits a flow's id into the run and what counts within it; run is empty when the id names none.
func SplitID(id string) (run, rest string) {
	for _, kind := range []string{"conn-", "leg-"} {
		if strings.HasPrefix(id, kind) {
			return "", id
		}
	}
	if run, rest, ok := strings.Cut(id, "-"); ok {
		return run, rest
	}
	return "", id
}

// Flow returns one flow by its id, with the run or without; nil when the ring tells no such flow. Only its own events are
// taken from the ring. It is shared with other readers and must not be changed.
func (r *Recorder) Flow(id string) *callflow.Flow {
	run, id := SplitID(id)
	if run != "" && run != r.run {
		return nil
	}
	r.buildMu.Lock()
	defer r.buildMu.Unlock()
	next := r.next()
	if r.fresh && r.builtAt == next {
		if i := slices.IndexFunc(r.built, func(f *callflow.Flow) bool { return f.ID == id }); i >= 0 {
			return r.built[i]
		}
		return nil
	}
	if r.one.id != id || r.one.at != next {
		f, _ := r.builder.Find(r.source(), id) // a ring has no errors
		r.one = one{id, f, next}
	}
	return r.one.flow
}

// one is a flow that was built alone.
type one struct {
	id   string
	flow *callflow.Flow
	at   uint64 // Seq after the last event that it could hold
}

// next is the Seq of the next event.
func (r *Recorder) next() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ring.first + uint64(r.ring.count)
}

// A ringSource has the keys of all that is in the ring. It is good for one flow.
type ringSource struct {
	r     *Recorder
	filed []filed
}

type filed struct {
	key callflow.Key
	seq uint64
}

// source reads the keys, a batch at a time, as snapshot does.
func (r *Recorder) source() *ringSource {
	s := &ringSource{r: r}
	r.mu.Lock()
	next := r.ring.first
	last := next + uint64(r.ring.count)
	r.mu.Unlock()
	s.filed = make([]filed, 0, last-next)
	var filer callflow.Filer
	var keys []callflow.Key
	for next < last {
		r.mu.Lock()
		next = max(next, r.ring.first)
		for end := min(next+batch, last); next < end; next++ {
			e := r.ring.at(int(next - r.ring.first))
			ev := callflow.Event{Kind: callflow.Message}
			if e.event != nil {
				ev = *e.event
			}
			if e.conn != nil {
				ev.Link = e.conn.link.Load()
			}
			keys = ev.Keys(keys[:0], r.ring.content(e), filer.First(&ev))
			for _, k := range keys {
				s.filed = append(s.filed, filed{k, next})
			}
		}
		r.mu.Unlock()
	}
	return s
}

// Find makes a ringSource a callflow.Source. What has gone from the ring meanwhile is left out.
func (s *ringSource) Find(first, last callflow.Key, in callflow.Window, f func(callflow.Event)) error {
	for _, at := range s.filed {
		if at.key < first || at.key > last || at.seq < in.From || at.seq > in.To {
			continue
		}
		if e, ok := s.r.event(at.seq); ok {
			f(e)
		}
	}
	return nil
}

// event copies one event of the ring.
func (r *Recorder) event(seq uint64) (callflow.Event, bool) {
	r.mu.Lock()
	if seq < r.ring.first || seq >= r.ring.first+uint64(r.ring.count) {
		r.mu.Unlock()
		return callflow.Event{}, false
	}
	e := r.ring.at(int(seq - r.ring.first))
	ev, k := e.asEvent(seq, slices.Clone(r.ring.content(e))), e.conn
	r.mu.Unlock()
	if k != nil {
		ev.Link = k.link.Load()
	}
	return ev, true
}
