package store

import (
	"cmp"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"math"
	"os"
	"path/filepath"
	"slices"
)

// Errors of a directory in which no gateway ever kept records.
var (
	errNone  = errors.New("no gateway has kept records of calls there")
	errNoDir = errors.New("there is no such directory: a gateway makes it when it first starts")
)

// Query returns the records of the store in dir that f wants, also while a gateway writes there, and after one was
// killed: what is not in the table yet is read from the journal. It changes nothing. When it fails, the last pair has the
// error.
func Query(dir string, f Filter) iter.Seq2[*CDR, error] {
	return func(yield func(*CDR, error) bool) {
		q := &query{dir: dir, f: f, yield: yield}
		if err := q.run(); err != nil && !q.over {
			yield(nil, fmt.Errorf("data directory %s: %w", dir, err))
		}
	}
}

// A query merges two sequences in the order of the IDs: the rows of the table, and the records of the journal, which
// replace rows that are older.
type query struct {
	dir   string
	f     Filter
	yield func(*CDR, error) bool
	d     *db

	waiting []recorded       // of the journal, wanted, not yielded yet, in order
	newer   map[int64]uint64 // the number of every record in the journal
	n       int              // yielded
	over    bool             // no more is wanted
}

// recorded is a record with its place.
type recorded struct {
	id     int64
	number uint64 // of its entry
	c      *CDR
}

func (q *query) run() error {
	// The journal first: what is moved meanwhile is then in both.
	entries, err := readJournal(q.dir)
	if err != nil {
		return err
	}
	var moved uint64
	if q.d, err = openReader(q.dir); err != nil {
		return err
	}
	if q.d != nil {
		defer q.d.Close()
		n, err := q.d.number("SELECT entry FROM moved")
		if err != nil {
			return err
		}
		moved = uint64(n)
	} else if len(entries) == 0 {
		return exists(q.dir)
	}
	if err := q.overlay(entries, moved); err != nil {
		return err
	}
	if q.d != nil {
		if err := q.parts(); err != nil {
			return err
		}
	}
	q.before(math.MaxInt64)
	return nil
}

// overlay takes the newest entry of each record that is not in the table.
func (q *query) overlay(entries []entry, moved uint64) error {
	q.newer = map[int64]uint64{}
	newest := map[int64]entry{}
	for _, e := range entries {
		if e.number > moved && e.number > newest[e.id].number {
			newest[e.id] = e
			q.newer[e.id] = e.number
		}
	}
	for _, e := range newest {
		c, err := e.decode()
		if err != nil {
			return err
		}
		if q.f.wants(c) {
			q.waiting = append(q.waiting, recorded{e.id, e.number, c})
		}
	}
	slices.SortFunc(q.waiting, func(a, b recorded) int { return q.order(a.id, b.id) })
	return nil
}

// order compares IDs in the order that is wanted.
func (q *query) order(a, b int64) int {
	if q.f.Oldest {
		return cmp.Compare(a, b)
	}
	return cmp.Compare(b, a)
}

// before yields what waits and comes before id.
func (q *query) before(id int64) {
	if id == math.MaxInt64 && !q.f.Oldest {
		id = math.MinInt64
	}
	for len(q.waiting) > 0 && !q.over && q.order(q.waiting[0].id, id) < 0 {
		q.give(q.waiting[0].c)
		q.waiting = q.waiting[1:]
	}
}

func (q *query) give(c *CDR) {
	q.n++
	if !q.yield(c, nil) || q.n == q.f.Limit {
		q.over = true
	}
}

// parts goes through the parts of the table.
func (q *query) parts() error {
	const some = 64 // at once
	bloom, words := q.f.filters()
	list := q.d.partColumns(bloom, words) + " WHERE first < ? ORDER BY first DESC LIMIT ?"
	at := int64(math.MaxInt64)
	if id, ok := ParseID(q.f.Before); ok {
		at = id
	}
	if q.f.Oldest {
		list, at = q.d.partColumns(bloom, words)+" WHERE first > ? ORDER BY first LIMIT ?", -1
	}
	end := at // of the part, when the newest comes first
	for !q.over {
		type seen struct {
			first int64
			may   bool
		}
		var found []seen
		err := q.d.each(list, func(row []driver.Value) (bool, error) {
			p := scanPart(row)
			found = append(found, seen{p.first, q.f.mayBeIn(p)})
			return true, nil
		}, at, some+1)
		if err != nil {
			return err
		}
		for i, p := range found[:min(len(found), some)] {
			if q.f.Oldest {
				end = math.MaxInt64
				if i+1 < len(found) {
					end = found[i+1].first
				}
			}
			if p.may {
				if err := q.part(p.first, end); err != nil || q.over {
					return err
				}
			}
			end, at = p.first, p.first
			if q.f.Look != nil && !q.f.Oldest {
				if q.before(p.first - 1); q.over || !q.f.Look(FormatID(p.first)) {
					q.over = true
					return nil
				}
			}
		}
		if len(found) <= some {
			return nil
		}
	}
	return nil
}

// part yields the rows of one part. They are read first: nothing may hold a transaction open while the caller looks at
// a record, because the gateway's log of the database would grow for as long.
func (q *query) part(first, end int64) error {
	direction := " DESC"
	if q.f.Oldest {
		direction = ""
	}
	where, args := q.f.where(q.d.version)
	var rows []recorded
	err := q.d.each("SELECT seq, entry, record FROM calls WHERE seq >= ? AND seq < ?"+where+" ORDER BY seq"+direction,
		func(row []driver.Value) (bool, error) {
			id, _ := row[0].(int64)
			number, _ := row[1].(int64)
			c, err := readRecord(row[2])
			if err != nil {
				return false, err
			}
			if q.newer[id] <= uint64(number) && q.f.wants(c) {
				rows = append(rows, recorded{id, uint64(number), c})
			}
			return q.f.Limit == 0 || len(rows) < q.f.Limit-q.n, nil
		}, append([]any{first, end}, args...)...)
	if err != nil {
		return err
	}
	for _, r := range rows {
		q.before(r.id)
		if q.over {
			return nil
		}
		if len(q.waiting) > 0 && q.waiting[0].id == r.id { // the row is the newer one
			q.waiting = q.waiting[1:]
		}
		if q.give(r.c); q.over {
			return nil
		}
	}
	return nil
}

// readJournal reads what is in the journal of dir.
func readJournal(dir string) ([]entry, error) {
	var all []entry
	for _, name := range journalNames {
		f, err := os.Open(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found, err := readAll(f)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		all = append(all, found...)
	}
	return all, nil
}

func readAll(f *os.File) ([]entry, error) {
	t := tail{file: f}
	if !t.open() {
		return nil, nil
	}
	var all []entry
	for {
		t.buf = nil // the entries keep it
		found, err := t.batch(256 << 10)
		if err != nil || len(found) == 0 {
			return all, err
		}
		all = append(all, found...)
	}
}

// openReader connects to the database to read; nil when there is none. Someone who may not write in the directory can
// read there all the same: beside a running gateway by the files that it has, and else, when no gateway left any, as a
// file that nobody writes.
func openReader(dir string) (*db, error) {
	path := filepath.Join(dir, tableName)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	d, err := openDB(dir, "ro")
	if err == nil {
		if version, verr := d.number("PRAGMA user_version"); verr != nil {
			d.Close()
			err = verr
		} else if version == 0 { // being made
			d.Close()
			return nil, nil
		} else if version > int64(len(schema)) {
			d.Close()
			return nil, fmt.Errorf("%s was written by a newer sallyport: use that one", tableName)
		} else {
			d.version = version
		}
	}
	if err == nil {
		return d, nil
	}
	if _, left := os.Stat(path + "-wal"); errors.Is(left, fs.ErrNotExist) {
		if d, ierr := openDB(dir, "immutable"); ierr == nil {
			d.version, _ = d.number("PRAGMA user_version")
			return d, nil
		}
	}
	return nil, fmt.Errorf("%s: %w", tableName, err)
}

// exists is nil for a directory of a store.
func exists(dir string) error {
	_, err := os.Stat(filepath.Join(dir, journalNames[0]))
	if errors.Is(err, fs.ErrNotExist) {
		if _, none := os.Stat(dir); errors.Is(none, fs.ErrNotExist) {
			return errNoDir
		}
		return errNone
	}
	return err
}
