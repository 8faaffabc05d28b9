package events

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	// gather is for how long events wait for others that go to the disk with them.
	gather = 10 * time.Millisecond
	// maxWaiting bounds the bytes of events that wait for an endpoint.
	maxWaiting = 64 << 20
	// restAfter is how many failures in a row let an endpoint rest.
	restAfter = 5
	// firstPause and longestPause are how long an event waits for its next try, longestRest for how long an endpoint rests.
	firstPause   = time.Second
	longestPause = 5 * time.Minute
	longestRest  = time.Minute
	// alarmAfter is for how long an endpoint fails before there is an alarm.
	alarmAfter = time.Minute
	// diskAgain is after how long a journal that could not be written is tried again.
	diskAgain = 5 * time.Second
)

// queue is what waits for one endpoint. One goroutine takes events from the hub into the journal and then into the lanes; others,
// as many as may post at once, take them from there.
type queue struct {
	name string
	w    *Webhooks
	ctx  context.Context
	stop context.CancelFunc
	work sync.WaitGroup

	reader   *Reader // of the goroutine of collect, as what follows
	missed   uint64  // events that found no room, and were not told yet
	missedAt *item   // the last of them

	disk    sync.Mutex // guards what follows; taken before mu
	journal *journal
	broken  error     // why the journal cannot be written; nil: it can
	retry   time.Time // when that is tried again
	unsaid  []*item   // settled, which the journal does not say yet

	mu        sync.Mutex // guards what follows
	e         Endpoint
	client    *http.Client
	lanes     *lanes
	number    uint64
	changed   chan struct{} // closed when there is something to do, and replaced
	failures  int           // in a row
	since     time.Time     // of the first of them
	rests     time.Time     // until then it is left alone; zero: it is not
	probing   bool          // one request looks whether it is well again
	busy      int           // requests under way
	posters   int           // goroutines that make them
	alarmed   bool
	lastError string

	delivered, failed, gaveUp, lost uint64
}

// startQueue begins to post to an endpoint, first what an earlier run left.
func startQueue(w *Webhooks, e Endpoint) *queue {
	ctx, cancel := context.WithCancel(context.Background())
	q := &queue{name: e.Name, w: w, ctx: ctx, stop: cancel, lanes: newLanes(), changed: make(chan struct{}), reader: w.hub.Reader()}
	if !w.began {
		q.reader, _ = w.hub.After(FormatID(w.hub.run, 0))
	}
	q.set(e)
	j, left, err := openJournal(w.journalName(e.Name))
	if err != nil {
		w.o.Log.Error("what an earlier run left for a webhook cannot be read", "webhook", e.Name, "cause", err)
		j = &journal{path: w.journalName(e.Name)}
	}
	q.journal = j
	now := time.Now()
	for _, it := range left {
		q.number++
		it.number = q.number
		q.lanes.push(it, now)
	}
	q.save(nil, true)
	q.work.Go(func() { q.collect(ctx) })
	q.employ()
	return q
}

// set puts the configuration in force. The caller holds mu, or is the only one.
func (q *queue) set(e Endpoint) {
	q.e, q.client = e, NewClient(e.URL, e.Roots, e.AtOnce, q.w.o.Dial)
}

// change puts another configuration in force, for what waits too.
func (q *queue) change(e Endpoint) {
	q.mu.Lock()
	defer q.mu.Unlock()
	old := q.client
	q.set(e)
	old.CloseIdleConnections()
	q.rests, q.failures = time.Time{}, 0 // it may be for that that it was changed
	q.lanes.hurry(time.Now())
	q.employ()
	q.wake()
}

// employ starts as many goroutines as may post at once; those that are too many wait (see next). The caller holds mu, or is the
// only one.
func (q *queue) employ() {
	for ; q.posters < q.e.AtOnce; q.posters++ {
		q.work.Go(func() { q.post(q.ctx) })
	}
}

// wake has those look who wait for something to do. The caller holds mu.
func (q *queue) wake() {
	close(q.changed)
	q.changed = make(chan struct{})
}

// close ends the queue when all that the hub has is in the journal, and the requests under way are given up.
func (q *queue) close() {
	q.stop()
	q.work.Wait()
	q.mu.Lock()
	q.client.CloseIdleConnections()
	q.mu.Unlock()
	q.say()
}

// collect takes events from the hub.
func (q *queue) collect(ctx context.Context) {
	room := make([]Event, 256)
	for ctx.Err() == nil {
		n, gap, err := q.reader.Read(ctx, room)
		if err != nil {
			break
		}
		q.accept(room[:n], gap)
		if n < len(room) {
			t := time.NewTimer(gather)
			select {
			case <-t.C:
			case <-ctx.Done():
				t.Stop()
			}
		}
	}
	for {
		n, gap := q.reader.Poll(room)
		if n == 0 {
			return
		}
		q.accept(room[:n], gap)
	}
}

// accept puts events into the journal, and then into the lanes.
func (q *queue) accept(events []Event, gap *Event) {
	q.mu.Lock()
	want, most, room := q.e.Want, q.e.Waiting, q.e.Waiting-q.lanes.count
	space := maxWaiting - q.lanes.bytes
	q.mu.Unlock()
	var items []*item
	add := func(e *Event) {
		it := newItem(e)
		if room--; room < 0 {
			q.miss(it, most)
			return
		}
		if space -= it.size(); space < 0 {
			q.miss(it, most)
			return
		}
		if q.missed > 0 {
			items = append(items, q.tellMissed())
		}
		items = append(items, it)
	}
	if gap != nil {
		add(gap)
		q.mu.Lock()
		q.lost += gap.Lost.Count
		q.mu.Unlock()
	}
	for i := range events {
		if e := &events[i]; want.Wants(e) {
			add(e)
		}
	}
	q.save(items, false)
	if len(items) == 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	for _, it := range items {
		q.number++
		it.number = q.number
		q.lanes.push(it, now)
	}
	q.wake()
}

// miss counts an event that finds no room. It and tellMissed are for the goroutine of collect alone.
func (q *queue) miss(it *item, most int) {
	if q.missed == 0 {
		q.w.o.Log.Error("events for a webhook are lost: too many wait for it", "webhook", q.name, "waiting", most)
	}
	q.missed++
	q.missedAt = it
	q.mu.Lock()
	q.lost++
	q.mu.Unlock()
}

// tellMissed is the event that says so, once there is room again.
func (q *queue) tellMissed() *item {
	run, seq, _ := ParseID(q.missedAt.id)
	e := &Event{Version: Version, ID: FormatID(run, seq), Type: Lost, At: q.missedAt.at, Lost: &Gap{Count: q.missed, Why: "too many events waited for the webhook"}}
	q.missed, q.missedAt = 0, nil
	return newItem(e)
}

func newItem(e *Event) *item {
	body, err := json.Marshal(e)
	if err != nil {
		panic("events: an event cannot be written: " + err.Error())
	}
	return &item{id: e.ID, kind: e.Type, at: e.At, lane: laneOf(e), body: body}
}

// laneOf names what an event is in order with: its call, its peer, or all else.
func laneOf(e *Event) string {
	return cmp.Or(e.Call.ID, e.Call.CallID, e.Peer, "gateway")
}

// save puts items into the journal, and returns when they are on the disk. When that fails they are posted all the same; only a
// crash would lose them. anew writes the file anew.
func (q *queue) save(items []*item, anew bool) {
	q.disk.Lock()
	defer q.disk.Unlock()
	now := time.Now()
	if q.broken != nil && now.Before(q.retry) {
		return
	}
	if anew || q.broken != nil || q.journal.file == nil || q.journal.full() {
		q.unsaid = nil
		q.wrote(q.journal.rewrite(append(q.pending(), items...)), now)
		return
	}
	if len(items) == 0 {
		return
	}
	err := q.settledLine()
	if err == nil {
		err = q.journal.add(items)
	}
	q.wrote(err, now)
}

// pending are the items that wait, in order.
func (q *queue) pending() []*item {
	q.mu.Lock()
	defer q.mu.Unlock()
	items := q.lanes.all()
	slices.SortFunc(items, func(a, b *item) int { return cmp.Compare(a.number, b.number) })
	return items
}

// settledLine writes which items are settled, when there are some. The caller holds disk.
func (q *queue) settledLine() error {
	if len(q.unsaid) == 0 || q.journal.file == nil {
		return nil
	}
	items := q.unsaid
	q.unsaid = nil
	return q.journal.done(items)
}

// say writes what is settled.
func (q *queue) say() {
	q.disk.Lock()
	defer q.disk.Unlock()
	if q.broken == nil {
		q.wrote(q.settledLine(), time.Now())
	}
}

// wrote takes note of how writing went. The caller holds disk.
func (q *queue) wrote(err error, now time.Time) {
	switch {
	case err != nil:
		q.retry = now.Add(diskAgain)
		if q.broken == nil {
			q.w.o.Raise(q.diskAlarm(), "events for webhook "+q.name+" are in memory only: "+err.Error(), diskRemedy(q.journal.path))
		}
	case q.broken != nil:
		q.w.o.Clear(q.diskAlarm())
	}
	q.broken = err
}
