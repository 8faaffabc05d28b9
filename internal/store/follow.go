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

// A follower reads both journal files as they are written.
type follower struct {
	dir   string
	files [2]*os.File
	tails [2]tail
	first [2]uint64 // of the header by which the tail reads
	last  uint64    // the newest number that was seen
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
