package events

import (
	"context"
	"time"
)

// post takes events from the lanes and posts them, one at a time, until ctx ends.
func (q *queue) post(ctx context.Context) {
	for {
		job, wait, changed := q.next(time.Now())
		if job == nil {
			t := time.NewTimer(wait)
			select {
			case <-t.C:
			case <-changed:
			case <-ctx.Done():
				t.Stop()
				return
			}
			t.Stop()
			continue
		}
		if job.old {
			q.expired(job)
			continue
		}
		after, err := job.send(ctx)
		if ctx.Err() != nil {
			return // the next run posts it
		}
		q.sent(job, after, err)
	}
}

// never is a wait that something else ends.
const never = time.Hour

// next returns what is to be posted now; nil when that is nothing, with how long to wait or what to wait for.
func (q *queue) next(now time.Time) (job *request, wait time.Duration, changed chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	of := q.lanes.first()
	switch {
	case of == nil || q.busy >= q.e.AtOnce || q.probing:
		return nil, never, q.changed
	case of.due.After(now):
		return nil, of.due.Sub(now), q.changed
	case q.rests.After(now):
		if old := of.items[0]; now.Sub(old.at) <= q.e.GiveUp {
			return nil, q.rests.Sub(now), q.changed
		}
	}
	it := q.lanes.take(of)
	job = &request{client: q.client, e: &q.e, lane: of, item: it, agent: "sallyport/" + q.w.o.Version}
	e := q.e
	job.e = &e
	if now.Sub(it.at) > e.GiveUp {
		job.old = true
		return job, 0, nil
	}
	q.busy++
	it.tries++
	if !q.rests.IsZero() {
		q.probing, job.probe = true, true
	}
	return job, 0, nil
}

// expired gives an event up that nobody has taken for too long.
func (q *queue) expired(job *request) {
	q.mu.Lock()
	q.gaveUp++
	n, last := q.gaveUp, q.lastError
	q.lanes.settle(job.lane, time.Now())
	q.wake()
	q.mu.Unlock()
	q.settled(job.item)
	if n&(n-1) == 0 { // 1, 2, 4, 8: no flood
		q.w.o.Log.Error("events for a webhook are given up: they are too old", "webhook", q.name, "event", job.item.id, "type", job.item.kind, "so_far", n, "cause", last)
	}
}

// settled has the journal say, soon, that an item is done with.
func (q *queue) settled(it *item) {
	q.disk.Lock()
	defer q.disk.Unlock()
	q.unsaid = append(q.unsaid, it)
	if len(q.unsaid) >= sayAt && q.broken == nil {
		q.wrote(q.settledLine(), time.Now())
	}
}

// sayAt is how many settled items go into the journal together, when no new ones do. So many may be posted twice after a crash.
const sayAt = 16

// sent takes note of how a request went.
func (q *queue) sent(job *request, after time.Duration, err error) {
	now := time.Now()
	q.mu.Lock()
	q.busy--
	if job.probe {
		q.probing = false
	}
	if err == nil {
		q.delivered++
		q.lanes.settle(job.lane, now)
		was := q.well()
		q.wake()
		q.mu.Unlock()
		q.settled(job.item)
		if was {
			q.w.o.Clear(q.alarm())
		}
		return
	}
	q.failed++
	q.lastError = err.Error()
	q.lanes.again(job.lane, now.Add(max(after, pauseAfter(job.item.tries, longestPause))))
	raise := q.ill(now, after)
	q.wake()
	since := q.since
	q.mu.Unlock()
	if job.item.tries == 1 {
		q.w.o.Log.Warn("webhook did not take an event: it is tried again", "webhook", q.name, "event", job.item.id, "type", job.item.kind, "cause", err)
	}
	if raise {
		q.w.o.Raise(q.alarm(), "webhook "+q.name+" takes no events since "+since.UTC().Format(time.DateTime)+" UTC: "+err.Error(),
			"see that its endpoint runs and answers with 2xx; events wait for it, until they are older than give_up")
	}
}

// well notes that the endpoint has taken an event, and says whether there was an alarm. The caller holds mu.
func (q *queue) well() (alarmed bool) {
	alarmed = q.alarmed
	q.failures, q.rests, q.since, q.alarmed, q.lastError = 0, time.Time{}, time.Time{}, false, ""
	return alarmed
}

// ill notes that it has not, and says whether that is worth an alarm. The caller holds mu.
func (q *queue) ill(now time.Time, after time.Duration) (raise bool) {
	if q.failures++; q.failures == 1 {
		q.since = now
	}
	if q.failures >= restAfter {
		q.rests = now.Add(max(min(after, longestRest), pauseAfter(q.failures-restAfter+1, longestRest)))
	}
	raise = !q.alarmed && now.Sub(q.since) >= alarmAfter
	q.alarmed = q.alarmed || raise
	return raise
}

// pauseAfter is how long to wait after so many tries.
func pauseAfter(tries int, most time.Duration) time.Duration {
	return min(firstPause<<min(tries-1, 16), most)
}

// stats says how the endpoint does.
func (q *queue) stats() Stats {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := Stats{
		Name: q.name, Waiting: q.lanes.count, Delivered: q.delivered, Failed: q.failed, GaveUp: q.gaveUp, Lost: q.lost,
		Error: q.lastError, Resting: q.rests.After(time.Now()),
	}
	for _, of := range q.lanes.named {
		if at := of.items[0].at; s.Oldest.IsZero() || at.Before(s.Oldest) {
			s.Oldest = at
		}
	}
	return s
}
