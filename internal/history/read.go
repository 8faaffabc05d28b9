package history

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/sallyport-sip/sallyport/internal/callflow"
)

// Flow returns the flow with a permanent id, RUN-NUMBER, RUN-conn-N or RUN-leg-N; without RUN it is one of this run. Of this run it has
// what happened up to now. A nil History has none. The error is ErrOff or ErrNone when there is no such flow, or says why the files
// cannot be read.
func (h *History) Flow(ctx context.Context, id string) (*callflow.Flow, error) {
	if h == nil {
		return nil, ErrOff
	}
	run, rest := split(id)
	if run == "" {
		run = h.o.Run
	}
	if run == h.o.Run {
		h.catchUp(ctx)
	}
	src := &source{ctx: ctx, blocks: map[place][]kept{}}
	h.mu.Lock()
	off := h.limits.Off
	for _, s := range h.segments {
		if s.run == run && !s.broken {
			src.segments = append(src.segments, sight{name: s.name, size: s.size, index: slices.Clone(s.index), finished: s.finished})
		}
	}
	h.mu.Unlock()
	defer src.close()
	f, err := h.builder.Find(src, rest)
	switch {
	case err != nil:
		return nil, fmt.Errorf("history %s: %w", h.o.Dir, err)
	case f == nil && off:
		return nil, ErrOff
	case f == nil:
		return nil, ErrNone
	}
	f.ID = run + "-" + rest
	return f, nil
}

// split takes the run off a flow's id, as recorder.SplitID does.
func split(id string) (run, rest string) {
	if strings.HasPrefix(id, "conn-") || strings.HasPrefix(id, "leg-") {
		return "", id
	}
	if run, rest, ok := strings.Cut(id, "-"); ok {
		return run, rest
	}
	return "", id
}

// catchUp waits until what is in the ring has been read.
func (h *History) catchUp(ctx context.Context) {
	done := make(chan struct{})
	select {
	case h.asked <- done:
		<-done
	case <-h.stop:
	case <-ctx.Done():
	}
}

// A source reads the segments of one run for one flow.
type source struct {
	ctx      context.Context
	segments []sight
	blocks   map[place][]kept // that were read
}

// A sight is a segment as it was when the reading began.
type sight struct {
	name     string
	size     int64
	index    []filed
	finished bool
	file     *os.File // once it was opened
	gone     bool     // deleted meanwhile
}

// place is that of a block.
type place struct {
	segment int
	at      int64
}

// kept is an event with its keys.
type kept struct {
	event callflow.Event
	keys  []callflow.Key
}

// mostBlocks bounds what is held for one flow: some hundred megabytes of events.
const mostBlocks = 1024

var errLarge = errors.New("the flow is spread over too much of the history to be told")

// Find makes a source a callflow.Source.
func (s *source) Find(first, last callflow.Key, in callflow.Window, f func(callflow.Event)) error {
	for i := range s.segments {
		if err := s.ctx.Err(); err != nil {
			return err
		}
		places, err := s.places(i, first, last)
		if err != nil {
			return err
		}
		for _, at := range places {
			if s.outside(i, at, in) {
				continue
			}
			all, err := s.block(i, at)
			if err != nil {
				return err
			}
			for j := range all {
				e := &all[j]
				if e.event.Seq >= in.From && e.event.Seq <= in.To &&
					slices.ContainsFunc(e.keys, func(k callflow.Key) bool { return k >= first && k <= last }) {
					f(e.event)
				}
			}
		}
	}
	return nil
}

// spread is how far the Seq of a block's events may be above that of its first.
const spread = 1 << 16

// outside reports whether no event of a block is in the window.
func (s *source) outside(segment int, at int64, in callflow.Window) bool {
	if _, ok := s.blocks[place{segment, at}]; ok || in.From == 0 {
		return false
	}
	first, ok := firstSeq(s.segments[segment].file, at)
	return ok && (first > in.To || first+spread < in.From)
}

// places are where the blocks of a segment begin that have one of the keys.
func (s *source) places(i int, first, last callflow.Key) (all []int64, err error) {
	g := &s.segments[i]
	if g.gone || g.open() != nil {
		return nil, g.err()
	}
	add := func(at int64) {
		if !slices.Contains(all, at) {
			all = append(all, at)
		}
	}
	if g.finished {
		err := find(g.file, g.size, first, last, add)
		return all, err
	}
	for _, e := range g.index {
		if e.key >= first && e.key <= last {
			add(int64(e.at))
		}
	}
	return all, nil
}

// open opens the file, unless it is open. One that has been deleted meanwhile has nothing any more.
func (g *sight) open() error {
	if g.file != nil {
		return nil
	}
	f, err := os.Open(g.name)
	if err == nil {
		g.file = f
		return nil
	}
	g.gone = errors.Is(err, fs.ErrNotExist)
	return err
}

// err is why a segment cannot be read; nil for one that has gone.
func (g *sight) err() error {
	if g.gone {
		return nil
	}
	return g.open()
}

// block reads a block, once.
func (s *source) block(segment int, at int64) ([]kept, error) {
	p := place{segment, at}
	if all, ok := s.blocks[p]; ok {
		return all, nil
	}
	if len(s.blocks) >= mostBlocks {
		return nil, errLarge
	}
	k, err := readBlock(s.segments[segment].file, at)
	if err != nil {
		return nil, fmt.Errorf("%s at %d: %w", s.segments[segment].name, at, err)
	}
	all := make([]kept, 0, k.count)
	err = k.all(func(e *callflow.Event, first bool) {
		all = append(all, kept{*e, e.Keys(nil, e.Raw, first)})
	})
	if err != nil {
		return nil, fmt.Errorf("%s at %d: %w", s.segments[segment].name, at, err)
	}
	s.blocks[p] = all
	return all, nil
}

func (s *source) close() {
	for i := range s.segments {
		if f := s.segments[i].file; f != nil {
			f.Close()
		}
	}
}

// Runs returns the runs of which there is anything, the oldest first.
func (h *History) Runs() []string {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	var runs []string
	for _, s := range h.segments {
		if !slices.Contains(runs, s.run) {
			runs = append(runs, s.run)
		}
	}
	return runs
}
