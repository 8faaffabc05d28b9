package callflow

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"hash/fnv"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport-sip/sallyport/sip"
)

// To tell one flow, only some of what happened is needed. Each event is filed under a few keys, and Gather asks for what is under those
// that lead to the flow: of a call its number, then the Call-IDs of its legs, then their connections. What is found tells the same as
// all events would. The keys are part of the form of the history on disk.

// A Key is what an event is filed under: a hash.
type Key uint64

// The high half of a Call-ID's key is the hash that names a flow which no record joins, so that it can be found by that name.

func callKey(number uint64) Key {
	return hashed('n', binary.LittleEndian.AppendUint64(make([]byte, 0, 8), number))
}

func connKey(id uint64) Key {
	return hashed('c', binary.LittleEndian.AppendUint64(make([]byte, 0, 8), id))
}

func failedKey(peer string) Key { return hashed('f', []byte(peer)) }

func dialledKey(peer string) Key { return hashed('d', []byte(peer)) }

func legKey(callID []byte) Key {
	high, low := uint32(2166136261), uint32(0) // FNV-1a, as in unjoined
	for _, c := range callID {
		high = (high ^ uint32(c)) * 16777619
		low = (low ^ uint32(c)) * 0x5bd1e995
	}
	return Key(high)<<32 | Key(low^low>>15)
}

func hashed(kind byte, b []byte) Key {
	h := fnv.New64a()
	_, _ = h.Write([]byte{kind})
	_, _ = h.Write(b)
	return Key(h.Sum64())
}

// A Filer says which uses of a connection are its first: the first message on it, and the first leg that was made on it. They are filed under
// the connection, too, because they decide in whose flow it is drawn. It must be shown all events of one run, in their order. Its zero value
// is ready.
type Filer struct {
	begun map[uint64]uses // by connection
}

type uses struct{ message, leg bool }

// First reports whether an event is such a use.
func (f *Filer) First(e *Event) bool {
	switch {
	case e.Kind == Message:
		return e.Link != nil && e.Link.Transport != "udp" && f.first(e.Link.ID, uses{message: true})
	case e.Call != nil:
		return (e.Kind == LegCreated || e.Kind == TargetFailed) && e.Call.Connection != 0 && f.first(e.Call.Connection, uses{leg: true})
	case e.Link != nil && (e.Kind == Refused || e.Kind == Closed):
		delete(f.begun, e.Link.ID)
	}
	return false
}

func (f *Filer) first(id uint64, use uses) bool {
	was := f.begun[id]
	if was.message && use.message || was.leg && use.leg {
		return false
	}
	if f.begun == nil {
		f.begun = make(map[uint64]uses)
	}
	f.begun[id] = uses{was.message || use.message, was.leg || use.leg}
	return true
}

// Keys appends the keys of an event; raw is the message of one whose Kind is Message, and first what a Filer said of it.
func (e *Event) Keys(to []Key, raw []byte, first bool) []Key {
	switch {
	case e.Kind == Message:
		if id := callIDIn(raw); id != nil {
			to = append(to, legKey(id))
		}
		if first {
			to = append(to, connKey(e.Link.ID))
		}
	case e.Call != nil:
		c := e.Call
		if c.Number != 0 {
			to = append(to, callKey(c.Number))
		}
		if (c.Number == 0 || e.Kind == LegCreated) && c.CallID != "" {
			to = append(to, legKey([]byte(c.CallID)))
		}
		if first {
			to = append(to, connKey(c.Connection))
		}
		if e.Kind == TargetFailed && c.Connection == 0 {
			to = append(to, failedKey(c.Peer))
		}
	case e.Link != nil:
		to = append(to, connKey(e.Link.ID))
		if e.Link.Inbound || e.Link.Peer == "" {
			break
		}
		switch e.Kind {
		case Opened:
			to = append(to, dialledKey(e.Link.Peer))
		case Refused:
			to = append(to, dialledKey(e.Link.Peer), failedKey(e.Link.Peer))
		}
	}
	return to
}

// callIDIn finds the Call-ID of a message without parsing the rest of it; nil when there is none.
func callIDIn(raw []byte) []byte {
	for rest := raw; len(rest) > 0; {
		line := rest
		if i := bytes.IndexByte(rest, '\n'); i >= 0 {
			line, rest = rest[:i], rest[i+1:]
		} else {
			rest = nil
		}
		n := 0
		switch {
		case len(line) == 0 || line[0] == '\r':
			return nil
		case line[0]|0x20 == 'i':
			n = 1
		case line[0]|0x20 == 'c' && len(line) > 7 && bytes.EqualFold(line[:7], []byte("call-id")):
			n = 7
		default:
			continue
		}
		name, value, _ := bytes.Cut(line[n:], []byte(":"))
		if len(bytes.TrimSpace(name)) > 0 || len(value) == 0 && len(name) == len(line[n:]) {
			continue
		}
		if value = bytes.TrimSpace(value); len(value) > 0 && (len(rest) == 0 || rest[0] != ' ' && rest[0] != '\t') {
			return value
		}
		p := sip.Acquire() // folded over lines
		defer p.Release()
		_ = p.Load(raw)
		return bytes.Clone(p.CallID())
	}
	return nil
}

// A Source has events by their keys.
type Source interface {
	// Find calls f with the events under the keys from first to last whose Seq is in the window, in any order, some perhaps twice, and
	// perhaps some outside of the window. The events are f's.
	Find(first, last Key, in Window, f func(Event)) error
}

// A Window is a span of Seq, both ends included.
type Window struct{ From, To uint64 }

// always is the window of what is looked for wherever it is.
var always = Window{0, math.MaxUint64}

// Gather returns the events that tell the flow with this id, in their order, for Build; it may be some more. The id is one of this run.
func Gather(src Source, id string) ([]Event, error) {
	g := gathering{src: src, events: map[uint64]Event{}, asked: map[Key]bool{}}
	var err error
	if name, ok := strings.CutPrefix(id, "conn-"); ok {
		n, bad := strconv.ParseUint(name, 10, 64)
		if bad != nil {
			return nil, nil
		}
		err = g.conn(n)
	} else if name, ok := strings.CutPrefix(id, "leg-"); ok {
		n, bad := strconv.ParseUint(name, 16, 32)
		if bad != nil {
			return nil, nil
		}
		err = g.legs(Key(n)<<32, Key(n)<<32|0xffffffff)
	} else {
		n, bad := strconv.ParseUint(id, 10, 64)
		if bad != nil {
			return nil, nil
		}
		err = g.call(n)
	}
	all := make([]Event, 0, len(g.events))
	for _, e := range g.events {
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b Event) int { return cmp.Compare(a.Seq, b.Seq) })
	return all, err
}

// Find returns the flow with this id from a source, nil when it tells none. It is what Build makes of all events, except that of a leg
// without a record it is not said the how manieth on its connection it is.
func (b Builder) Find(src Source, id string) (*Flow, error) {
	events, err := Gather(src, id)
	if err != nil {
		return nil, err
	}
	for _, f := range b.build(events, true) {
		if f.ID == id {
			return f, nil
		}
	}
	return nil, nil
}

type gathering struct {
	src    Source
	events map[uint64]Event // by Seq
	asked  map[Key]bool
}

// find takes the events under some keys, once, and calls f with each.
func (g *gathering) find(first, last Key, f func(*Event)) error {
	if g.asked[first] {
		return nil
	}
	g.asked[first] = true
	return g.src.Find(first, last, always, func(e Event) {
		g.events[e.Seq] = e
		f(&e)
	})
}

// call takes a call with its legs.
func (g *gathering) call(number uint64) error {
	var records []*Event
	err := g.find(callKey(number), callKey(number), func(e *Event) {
		if e.Call != nil && e.Call.Number == number {
			records = append(records, e)
		}
	})
	for _, e := range records {
		if err == nil && e.Call.CallID != "" {
			k := legKey([]byte(e.Call.CallID))
			err = g.legs(k, k)
		}
		if err == nil && e.Call.Connection != 0 {
			err = g.conn(e.Call.Connection)
		}
		switch {
		case err != nil:
		case e.Kind == TargetFailed && e.Call.Connection == 0:
			err = g.failed(e)
		case e.Kind == LegCreated && e.Call.Direction == Out:
			err = g.dialled(e)
		}
	}
	return err
}

// dialled takes the connections that were begun to a leg's peer before the leg had a message: one of them may have been for it.
func (g *gathering) dialled(created *Event) error {
	in := Window{created.Seq, created.Seq + patience}
	key := legKey([]byte(created.Call.CallID))
	for seq, e := range g.events {
		if e.Kind == Message && seq > created.Seq && seq < in.To && legKey(callIDIn(e.Raw)) == key {
			in.To = seq
		}
	}
	var conns []uint64
	key = dialledKey(created.Call.Peer)
	err := g.src.Find(key, key, in, func(e Event) {
		if e.Seq >= in.From && e.Seq <= in.To && e.Link != nil && !slices.Contains(conns, e.Link.ID) {
			conns = append(conns, e.Link.ID)
		}
	})
	for _, id := range conns {
		if err == nil {
			err = g.conn(id)
		}
	}
	return err
}

// patience is how many events later, of all flows, what belongs to one may be.
const patience = 100_000

// legs takes the messages of a Call-ID, or of all with that name, and the connections they went by.
func (g *gathering) legs(first, last Key) error {
	var conns []uint64
	err := g.find(first, last, func(e *Event) {
		if l := e.Link; e.Kind == Message && l != nil && l.Transport != "udp" && !slices.Contains(conns, l.ID) {
			conns = append(conns, l.ID)
		}
	})
	for _, id := range conns {
		if err == nil {
			err = g.conn(id)
		}
	}
	return err
}

// conn takes a connection.
func (g *gathering) conn(id uint64) error {
	var refused *Event
	err := g.find(connKey(id), connKey(id), func(e *Event) {
		if e.Kind == Refused && e.Link.ID == id && !e.Link.Inbound && e.Link.Peer != "" {
			refused = e
		}
	})
	if err == nil && refused != nil {
		err = g.failed(refused)
	}
	return err
}

// Of failures around one, so many are looked at: which call is told of a refused connection depends on those that failed beside it.
const (
	failedBefore = 16
	failedAfter  = 4
)

// failed takes what else failed with a peer about when e did: refused connections, and targets that had none.
func (g *gathering) failed(e *Event) error {
	peer := ""
	if e.Link != nil {
		peer = e.Link.Peer
	} else {
		peer = e.Call.Peer
	}
	var all []Event
	key := failedKey(peer)
	if err := g.src.Find(key, key, Window{max(e.Seq, patience) - patience, e.Seq + patience}, func(other Event) { all = append(all, other) }); err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b Event) int { return cmp.Compare(a.Seq, b.Seq) })
	all = slices.CompactFunc(all, func(a, b Event) bool { return a.Seq == b.Seq })
	at, _ := slices.BinarySearchFunc(all, e.Seq, func(o Event, seq uint64) int { return cmp.Compare(o.Seq, seq) })
	for _, o := range all[max(0, at-failedBefore):min(len(all), at+1+failedAfter)] {
		g.events[o.Seq] = o
		if o.Link == nil {
			continue
		}
		k := connKey(o.Link.ID)
		if err := g.find(k, k, func(*Event) {}); err != nil {
			return err
		}
	}
	return nil
}
