// Package ship sends the records of calls elsewhere: as lines of JSON to a file or over HTTP, when they are over, and to RADIUS accounting.
//
// Its main type is Shipping. Each target has a goroutine, which ends with Close, and a cursor on the disk: the number of the last
// change in the store that the target has taken. So nothing is lost while a target is away or the gateway is; what was taken just before
// a crash may be sent once more, with the same id.
package ship

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport-sip/sallyport/internal/radius"
	"github.com/sallyport-sip/sallyport/internal/store"
)

// Target is where records go, as the configuration has it: Path, URL or RADIUS.
type Target struct {
	Name    string
	Path    string
	Rotate  int64         // bytes at which the file is begun anew
	Every   time.Duration // the periods of UTC that have files of their own; 0: none
	URL     string
	Secret  []byte
	Roots   *x509.CertPool // nil: the system's
	Timeout time.Duration
	RADIUS  *radius.Config
	Interim time.Duration // between two updates of a call that is up; 0: none
}

// remedy is what to see to when it takes nothing.
func (t *Target) remedy() string {
	if t.RADIUS != nil {
		return "see that it runs, that it has this gateway as a client with the same secret, and what its log says"
	}
	return "see that it can be reached and has room"
}

// Options are what Shipping needs of its surroundings.
type Options struct {
	Version string
	Run     string // names this run of the gateway
	Raise   func(name, text, remedy string)
	Clear   func(name string)
	Dial    func(ctx context.Context, network, address string) (net.Conn, error) // nil: the system's network
}

const (
	// batchOf and batchAfter are how many records go together, and how long the first waits for others.
	batchOf    = 500
	batchAfter = time.Second
	// firstPause and longestPause are how long a target that took nothing is left alone.
	firstPause   = time.Second
	longestPause = time.Minute
)

// Shipping sends records to its targets. Its methods may be called by any goroutine.
type Shipping struct {
	dir string
	o   Options

	mu      sync.Mutex // guards what follows
	running map[string]*shipment
	closed  bool
}

// New returns one without targets, for the store in dir.
func New(dir string, o Options) *Shipping {
	if o.Dial == nil {
		o.Dial = new(net.Dialer).DialContext
	}
	return &Shipping{dir: dir, o: o, running: make(map[string]*shipment)}
}

// shipment is one target at work.
type shipment struct {
	target  Target
	s       *Shipping
	stop    context.CancelFunc
	work    sync.WaitGroup
	sent    atomic.Uint64 // records
	failing bool          // owned by its goroutine
	leaves  atomic.Bool   // it ends for good: it is not begun anew with other settings
	session *session
	radius  *radiusSink // nil when it is none
}

// Apply has records sent to these targets from now on. One that is as it was goes on; a changed one goes on from where it was; one that is gone
// is forgotten, and one of that name begins anew.
func (s *Shipping) Apply(targets []Target) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	sessions := make(map[string]*session) // of those that go on
	for name, r := range s.running {
		i := slices.IndexFunc(targets, func(t Target) bool { return t.Name == name })
		if i >= 0 && reflect.DeepEqual(targets[i], r.target) {
			continue
		}
		r.end(i < 0)
		delete(s.running, name)
		if i >= 0 {
			sessions[name] = r.session
		} else {
			os.Remove(s.cursor(name))
			s.o.Clear(alarmOf(name))
		}
	}
	for _, t := range targets {
		if s.running[t.Name] == nil {
			s.running[t.Name] = s.start(t, sessions[t.Name])
		}
	}
}

func alarmOf(name string) string { return "cdr_ship " + name }

// Close ends the sending. What was not sent is sent by the next run.
func (s *Shipping) Close() {
	s.mu.Lock()
	s.closed = true
	running := s.running
	s.mu.Unlock()
	var all sync.WaitGroup
	for _, r := range running {
		all.Go(func() { r.end(true) })
	}
	all.Wait()
}

// Sent is how many records each target has taken in this run.
func (s *Shipping) Sent() map[string]uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[string]uint64, len(s.running))
	for name, r := range s.running {
		all[name] = r.sent.Load()
	}
	return all
}

// end stops it. leaves says that no other takes its place.
func (r *shipment) end(leaves bool) {
	r.leaves.Store(leaves)
	r.stop()
	r.work.Wait()
}

// start begins to send to a target, in the place of what had that session, nil for none.
func (s *Shipping) start(t Target, before *session) *shipment {
	if before == nil {
		before = newSession()
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &shipment{target: t, s: s, stop: cancel, session: before}
	sink := r.newSink()
	r.radius, _ = sink.(*radiusSink)
	r.work.Go(func() {
		for tries := 1; ctx.Err() == nil; tries++ {
			err := sink.begin(ctx)
			if err == nil {
				break
			}
			r.trouble(ctx, tries, err)
		}
		for ctx.Err() == nil {
			r.run(ctx, sink)
		}
		sink.close(r.leaves.Load())
	})
	return r
}

// cursor is the file that says how far a target is.
func (s *Shipping) cursor(name string) string {
	return filepath.Join(s.dir, "cdr-ship-"+name+".cursor")
}

// run sends what comes, until it fails to read or ctx ends.
func (r *shipment) run(ctx context.Context, sink sink) {
	at, err := readCursor(r.s.cursor(r.target.Name))
	if err != nil {
		r.trouble(ctx, 1, err)
		return
	}
	records := make(chan store.Followed)
	failed := make(chan error, 1)
	reading, cancel := context.WithCancel(ctx)
	var reader sync.WaitGroup
	defer reader.Wait()
	defer cancel()
	reader.Go(func() { failed <- r.read(reading, sink, at, records) })
	tick, stop := sink.ticks()
	defer stop()
	for {
		batch, err := gather(ctx, records, failed, tick)
		if len(batch) > 0 && !r.deliver(ctx, sink, batch) {
			return
		}
		if err != nil {
			r.trouble(ctx, 1, err)
			return
		}
		if ctx.Err() != nil {
			return
		}
		if len(batch) == 0 {
			sink.tick(ctx, time.Now())
		}
	}
}

// read passes on the records that the target wants.
func (r *shipment) read(ctx context.Context, sink sink, at uint64, to chan<- store.Followed) error {
	begun := func(at uint64) { r.keep(at) }
	for c, err := range store.FollowFrom(ctx, r.s.dir, at, begun, store.Filter{}) {
		if err != nil {
			return err
		}
		if !sink.wants(c.State) {
			continue
		}
		select {
		case to <- c:
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

// gather waits for records, and for some more that go with them. When a tick comes before the first it returns none.
func gather(ctx context.Context, records <-chan store.Followed, failed <-chan error, tick <-chan time.Time) (batch []store.Followed, err error) {
	var late <-chan time.Time
	for len(batch) < batchOf {
		select {
		case c := <-records:
			if batch == nil {
				t := time.NewTimer(batchAfter)
				defer t.Stop()
				late = t.C
			}
			batch = append(batch, c)
			tick = nil
		case <-tick:
			return nil, nil
		case <-late:
			return batch, nil
		case err := <-failed:
			return batch, err
		case <-ctx.Done():
			return nil, nil
		}
	}
	return batch, nil
}

// deliver sends a batch until the target has taken it. False means that ctx has ended.
func (r *shipment) deliver(ctx context.Context, sink sink, batch []store.Followed) bool {
	last := batch[len(batch)-1].Entry
	for tries := 1; ; tries++ {
		err := sink.send(ctx, batch)
		if err == nil {
			err = r.keep(last)
		}
		if err == nil {
			r.sent.Add(uint64(len(batch)))
			r.well()
			return true
		}
		if !r.trouble(ctx, tries, err) {
			return false
		}
	}
}

// Accounting is what became of the requests of each target that is RADIUS.
func (s *Shipping) Accounting() map[string]radius.Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[string]radius.Counts)
	for name, r := range s.running {
		if r.radius != nil {
			all[name] = r.radius.client.Counts()
		}
	}
	return all
}

func (r *shipment) well() {
	if r.failing {
		r.failing = false
		r.s.o.Clear(alarmOf(r.target.Name))
	}
}

// trouble says that the target takes nothing, and waits. False means that ctx has ended.
func (r *shipment) trouble(ctx context.Context, tries int, err error) bool {
	if ctx.Err() != nil {
		return false
	}
	if !r.failing {
		r.failing = true
		r.s.o.Raise(alarmOf(r.target.Name), "records of calls are not sent to "+r.target.Name+": "+err.Error(),
			r.target.remedy()+"; nothing is lost, the records are in the data directory until it takes them")
	}
	t := time.NewTimer(min(firstPause<<min(tries-1, 10), longestPause))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// keep writes how far the target is.
func (r *shipment) keep(at uint64) error {
	path := r.s.cursor(r.target.Name)
	tmp := path + ".new"
	if err := os.WriteFile(tmp, []byte(strconv.FormatUint(at, 10)+"\n"), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

func readCursor(path string) (uint64, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	at, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 63)
	if err != nil {
		return 0, fmt.Errorf("%s is no cursor: remove it, and records are sent from then on", path)
	}
	return at, nil
}
