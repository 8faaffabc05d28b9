package ship

import (
	"context"
	"sync"
	"time"

	"github.com/sallyport-sip/sallyport/internal/radius"
	"github.com/sallyport-sip/sallyport/internal/store"
)

const (
	// lanes is how many requests are under way at once. Those of one call never are.
	lanes = 16
	// lookEvery is how often it is looked for calls that are due an interim update.
	lookEvery = time.Second
	// parting is for how long the end of accounting is tried to be told.
	parting = 3 * time.Second
)

// session is what lasts when a target is begun anew with other settings. Owned by the target's goroutine.
type session struct {
	begun time.Time // zero: the server has not been told yet that we are there
	up    map[string]*upCall
}

// upCall is a call that the server knows as going on.
type upCall struct {
	record *store.CDR
	due    time.Time // for the next interim update
}

func newSession() *session { return &session{up: make(map[string]*upCall)} }

// radiusSink tells an accounting server of calls: when they are answered, and when they are over.
type radiusSink struct {
	client  *radius.Client
	nas     string
	run     string
	made    time.Time
	interim time.Duration
	session *session
	taken   map[*store.CDR]bool // of a batch that comes again
}

func newRadiusSink(t Target, o Options, s *session) *radiusSink {
	return &radiusSink{
		client: radius.New(*t.RADIUS, radius.DialFunc(o.Dial)), nas: t.RADIUS.NAS, run: o.Run, made: time.Now(),
		interim: t.Interim, session: s, taken: make(map[*store.CDR]bool),
	}
}

// begin tells that accounting is on, once in a run of the gateway.
func (s *radiusSink) begin(ctx context.Context) error {
	if !s.session.begun.IsZero() {
		return nil
	}
	if err := s.client.Send(ctx, radius.Gateway(radius.On, s.nas, s.run, s.made)); err != nil {
		return err
	}
	s.session.begun = s.made
	return nil
}

func (s *radiusSink) wants(state store.State) bool { return state == store.Answered || state.Over() }

func (s *radiusSink) ticks() (<-chan time.Time, func()) {
	if s.interim == 0 {
		return nil, func() {}
	}
	t := time.NewTicker(lookEvery)
	return t.C, t.Stop
}

// send sends a request for each record, some at once, and those of one call one after the other.
func (s *radiusSink) send(ctx context.Context, batch []store.Followed) error {
	calls, order := make(map[string][]*store.CDR), []string(nil)
	for _, c := range batch {
		if calls[c.ID] == nil {
			order = append(order, c.ID)
		}
		calls[c.ID] = append(calls[c.ID], c.CDR)
	}
	ids := make(chan []*store.CDR)
	outcome := make(chan error, lanes)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var mu sync.Mutex // guards session.up and taken while lanes run
	for range min(lanes, len(order)) {
		go func() {
			var err error
			for records := range ids {
				if err == nil {
					err = s.call(ctx, records, &mu)
				}
			}
			outcome <- err
		}()
	}
	for _, id := range order {
		ids <- calls[id]
	}
	close(ids)
	var all []error
	for range min(lanes, len(order)) {
		all = append(all, <-outcome)
	}
	if err := first(all); err != nil {
		return err
	}
	clear(s.taken)
	return nil
}

// first is the first error; the others are of the same server.
func first(all []error) error {
	for _, err := range all {
		if err != nil {
			return err
		}
	}
	return nil
}

// call sends what there is of one call.
func (s *radiusSink) call(ctx context.Context, records []*store.CDR, mu *sync.Mutex) error {
	for _, c := range records {
		mu.Lock()
		known := s.session.up[c.ID]
		done := s.taken[c] || c.State == store.Answered && known != nil
		mu.Unlock()
		if done {
			continue
		}
		status := radius.Stop
		if c.State == store.Answered {
			status = radius.Start
		}
		if err := s.client.Send(ctx, radius.Call(status, s.nas, c, time.Time{})); err != nil {
			return err
		}
		mu.Lock()
		s.taken[c] = true
		if status == radius.Start {
			s.session.up[c.ID] = &upCall{c, c.Answered.Add(s.interim)}
		} else {
			delete(s.session.up, c.ID)
		}
		mu.Unlock()
	}
	return nil
}

// tick sends interim updates. One that is not taken is not sent again: the next one says more. So nobody waits long for a silent server.
func (s *radiusSink) tick(ctx context.Context, now time.Time) {
	if s.interim == 0 {
		return
	}
	var due []*store.CDR
	for _, u := range s.session.up {
		if !u.due.After(now) {
			due = append(due, u.record)
			u.due = now.Add(s.interim)
		}
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	free := make(chan struct{}, lanes)
	var work sync.WaitGroup
	for _, c := range due {
		free <- struct{}{}
		work.Go(func() {
			defer func() { <-free }()
			if ctx.Err() == nil && s.client.Send(ctx, radius.Call(radius.Interim, s.nas, c, now)) != nil {
				stop()
			}
		})
	}
	work.Wait()
}

// close tells that accounting is off, when that is so.
func (s *radiusSink) close(leaves bool) {
	defer s.client.Close()
	if !leaves || s.session.begun.IsZero() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), parting)
	defer cancel()
	// Nobody waits for who does not answer: the next Accounting-On says the same.
	_ = s.client.Send(ctx, radius.Gateway(radius.Off, s.nas, s.run, time.Now()))
}
