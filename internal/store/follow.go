package store

import (
	"cmp"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// pollEvery is how often a follower looks into the journal.
const pollEvery = 200 * time.Millisecond

// Follow returns every state that records get from now on, as far as f wants it, until ctx ends; its Limit and Oldest do
// not count. It waits for a gateway that does not run yet, and goes on when one is restarted. When it fails, the last
// pair has the error.
func Follow(ctx context.Context, dir string, f Filter) iter.Seq2[*CDR, error] {
	return func(yield func(*CDR, error) bool) {
		fo := &follower{dir: dir}
		defer fo.close()
		err := fo.begin()
		tick := time.NewTicker(pollEvery)
		defer tick.Stop()
		for err == nil {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			var found []*CDR
			found, err = fo.poll()
			for _, c := range found {
				if f.wants(c) && !yield(c, nil) {
					return
				}
			}
		}
		yield(nil, fmt.Errorf("data directory %s: %w", dir, err))
	}
}

// Followed is a record as it became, and the number of that change: greater than all before, in this and in earlier runs.
type Followed struct {
	Entry uint64
	*CDR
}

// FollowFrom is Follow for who goes on after a change that it has seen, in this run of the gateway or in an earlier one: it gives first
// the records that have changed since, each as it is now. after 0 is from now on, and then begun is called with where that is.
func FollowFrom(ctx context.Context, dir string, after uint64, begun func(uint64), f Filter) iter.Seq2[Followed, error] {
	return func(yield func(Followed, error) bool) {
		fo := &follower{dir: dir}
		defer fo.close()
		err := fo.from(after)
		if err == nil && after == 0 {
			begun(fo.last)
		}
		tick := time.NewTicker(pollEvery)
		defer tick.Stop()
		for err == nil {
			var found []Followed
			if found, err = fo.changes(); err != nil {
				break
			}
			for _, c := range found {
				if f.wants(c.CDR) && !yield(c, nil) {
					return
				}
			}
			if fo.behind || len(fo.queue) > 0 {
				continue
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
		yield(Followed{}, fmt.Errorf("data directory %s: %w", dir, err))
	}
}

// from stands after a change; 0: after the newest.
func (fo *follower) from(after uint64) error {
	if after == 0 {
		if err := fo.begin(); err != nil || fo.last > 0 {
			return err
		}
		newest, err := fo.newest()
		fo.last = max(newest, 1) // less than any: 0 would be from then on again
		return err
	}
	if _, err := os.Stat(fo.dir); err != nil {
		return err
	}
	fo.last, fo.behind = after, true
	return nil
}

// newest is the number of the newest change in the table.
func (fo *follower) newest() (uint64, error) {
	d, err := openReader(fo.dir)
	if err != nil || d == nil {
		return 0, err
	}
	defer d.Close()
	n, err := d.number("SELECT entry FROM moved")
	return uint64(n), err
}

// pageOfMissed is how many records of the table are read at once.
const pageOfMissed = 10_000

// changes returns the next changes, those of the table first.
func (fo *follower) changes() ([]Followed, error) {
	if fo.behind {
		found, err := fo.missedFrom(fo.last, 1<<63-1)
		if err != nil {
			return nil, err
		}
		fo.behind = len(found) >= pageOfMissed
		if len(found) > 0 {
			fo.last = found[len(found)-1].Entry
			return found, nil
		}
	}
	if len(fo.queue) == 0 {
		var err error
		if fo.queue, err = fo.read(); err != nil {
			return nil, err
		}
	}
	var found []Followed
	for len(fo.queue) > 0 {
		e := fo.queue[0]
		if e.number > fo.last+1 && fo.last != 0 {
			missed, err := fo.missedFrom(fo.last, e.number)
			if err != nil {
				return nil, err
			}
			if found = append(found, missed...); len(missed) >= pageOfMissed {
				fo.last = missed[len(missed)-1].Entry
				return found, nil
			}
		}
		fo.queue = fo.queue[1:]
		if e.number <= fo.last {
			continue
		}
		fo.last = e.number
		c, err := e.decode()
		if err != nil {
			return nil, err
		}
		found = append(found, Followed{e.number, c})
	}
	return found, nil
}

// missedFrom returns records that are in the table only, a page of them.
func (fo *follower) missedFrom(after, before uint64) (found []Followed, err error) {
	d, err := openReader(fo.dir)
	if err != nil || d == nil {
		return nil, err
	}
	defer d.Close()
	var seq int64
	take := func(row []driver.Value) (bool, error) {
		c, err := readRecord(row[0])
		n, _ := row[1].(int64)
		seq, _ = row[2].(int64)
		found = append(found, Followed{uint64(n), c})
		return err == nil, err
	}
	err = d.each("SELECT record, entry, seq FROM calls WHERE entry > ? AND entry < ? ORDER BY entry, seq LIMIT ?", take, int64(after), int64(min(before, 1<<63-1)), int64(pageOfMissed))
	if err == nil && len(found) == pageOfMissed { // those that a crash interrupted share a number
		err = d.each("SELECT record, entry, seq FROM calls WHERE entry = ? AND seq > ? ORDER BY seq", take, int64(found[pageOfMissed-1].Entry), seq)
	}
	return found, err
}

// A follower reads both journal files as they are written.
type follower struct {
	dir   string
	files [2]*os.File
	tails [2]tail
	first [2]uint64 // of the header by which the tail reads
	last  uint64    // the newest number that was seen

	behind bool    // the table may have changes after last
	queue  []entry // that were read and not given yet
}

// begin stands at the end of the journal.
func (fo *follower) begin() error {
	if _, err := os.Stat(fo.dir); err != nil {
		return err
	}
	found, err := fo.read()
	for _, e := range found {
		fo.last = max(fo.last, e.number)
	}
	return err
}

// read returns the new entries of both files, in order.
func (fo *follower) read() ([]entry, error) {
	var all []entry
	for i, name := range journalNames {
		if fo.files[i] == nil {
			f, err := os.Open(filepath.Join(fo.dir, name))
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return nil, err
			}
			fo.files[i] = f
		}
		fresh := tail{file: fo.files[i]}
		if !fresh.open() {
			continue
		}
		if first := fresh.next; first != fo.first[i] { // the file is used anew
			fo.first[i], fo.tails[i] = first, fresh
		}
		for {
			fo.tails[i].buf = nil // the entries keep it
			found, err := fo.tails[i].batch(64 << 10)
			if err != nil {
				return nil, fmt.Errorf("read %s: %w", name, err)
			}
			if len(found) == 0 {
				break
			}
			all = append(all, found...)
		}
	}
	slices.SortFunc(all, func(a, b entry) int { return cmp.Compare(a.number, b.number) })
	return all, nil
}

// poll returns the records whose state is new.
func (fo *follower) poll() ([]*CDR, error) {
	entries, err := fo.read()
	if err != nil {
		return nil, err
	}
	var found []*CDR
	for _, e := range entries {
		if e.number <= fo.last {
			continue
		}
		if fo.last != 0 && e.number != fo.last+1 {
			missed, err := fo.missed(fo.last, e.number)
			if err != nil {
				return nil, err
			}
			found = append(found, missed...)
		}
		fo.last = e.number
		c, err := e.decode()
		if err != nil {
			return nil, err
		}
		found = append(found, c)
	}
	return found, nil
}

// missed returns what is in the table only: the gateway was restarted, or this process stood still for long.
func (fo *follower) missed(after, before uint64) (found []*CDR, err error) {
	d, err := openReader(fo.dir)
	if err != nil || d == nil {
		return nil, err
	}
	defer d.Close()
	err = d.each("SELECT record FROM calls WHERE entry > ? AND entry < ? ORDER BY entry", func(row []driver.Value) (bool, error) {
		c, err := readRecord(row[0])
		found = append(found, c)
		return err == nil, err
	}, int64(after), int64(before))
	return found, err
}

func (fo *follower) close() {
	for _, f := range fo.files {
		if f != nil {
			f.Close()
		}
	}
}
