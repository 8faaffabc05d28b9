package events

import (
	"container/heap"
	"time"
)

// item is an event on its way to an endpoint.
type item struct {
	id      string
	kind    Type
	at      time.Time
	lane    string
	body    []byte // the document
	number  uint64 // by which items are in order
	tries   int
	settled bool // taken by the endpoint, or given up
}

// lane is the events of one call, or of one peer, in order: the next one goes when the first is settled.
type lane struct {
	name  string
	items []*item
	due   time.Time // of the first
	index int       // in the heap; -1: it is under way
}

// lanes are those of one endpoint: a heap by when they are due. It is pure; whoever owns it holds a lock.
type lanes struct {
	named map[string]*lane
	ready laneHeap
	count int // items
	bytes int
}

func newLanes() *lanes { return &lanes{named: make(map[string]*lane)} }

// push adds an item at the end of its lane.
func (l *lanes) push(it *item, now time.Time) {
	l.count++
	l.bytes += it.size()
	if of := l.named[it.lane]; of != nil {
		of.items = append(of.items, it)
		return
	}
	of := &lane{name: it.lane, items: []*item{it}, due: now}
	l.named[it.lane] = of
	heap.Push(&l.ready, of)
}

// first is the lane that is due first, nil when all are under way.
func (l *lanes) first() *lane {
	if len(l.ready) == 0 {
		return nil
	}
	return l.ready[0]
}

// take says that the first item of a lane is under way.
func (l *lanes) take(of *lane) *item {
	heap.Remove(&l.ready, of.index)
	of.index = -1
	return of.items[0]
}

// settle says that the first item of a lane is settled.
func (l *lanes) settle(of *lane, now time.Time) {
	it := of.items[0]
	it.settled = true
	l.count--
	l.bytes -= it.size()
	of.items[0] = nil
	of.items = of.items[1:]
	if len(of.items) == 0 {
		delete(l.named, of.name)
		return
	}
	of.due = now
	heap.Push(&l.ready, of)
}

// again says that it has to be tried once more.
func (l *lanes) again(of *lane, due time.Time) {
	of.due = due
	heap.Push(&l.ready, of)
}

// hurry makes everything due at once.
func (l *lanes) hurry(now time.Time) {
	for _, of := range l.ready {
		of.due = now
	}
	heap.Init(&l.ready)
}

// all are the items, in no order.
func (l *lanes) all() []*item {
	items := make([]*item, 0, l.count)
	for _, of := range l.named {
		items = append(items, of.items...)
	}
	return items
}

type laneHeap []*lane

func (h laneHeap) Len() int { return len(h) }

// Of lanes that are due at once the one goes first whose event came first.
func (h laneHeap) Less(i, j int) bool {
	if !h[i].due.Equal(h[j].due) {
		return h[i].due.Before(h[j].due)
	}
	return h[i].items[0].number < h[j].items[0].number
}

func (h laneHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *laneHeap) Push(x any) {
	of := x.(*lane)
	of.index = len(*h)
	*h = append(*h, of)
}

func (h *laneHeap) Pop() any {
	old := *h
	of := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return of
}
