package store

import (
	"cmp"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"time"
)

const (
	moveBatch  = 1 << 20 // bytes of the journal that go into one transaction
	sweepEvery = time.Hour
	sweepRows  = 500 // that are deleted in one transaction
)

// A mover owns the table. All of it is used by its goroutine only, apart from before it runs and after.
type mover struct {
	s       *Store
	left    []leftover // of earlier runs, not in the table yet, the older one first
	holding *segment   // to be moved
	before  int64      // IDs below are of earlier runs
	begun   uint64     // numbers up to that, too

	d        *db // nil: not open
	put      *stmt
	putPart  *stmt
	putMoved *stmt
	parts    *parts
	entry    uint64    // the newest in the table
	newest   int64     // the greatest ID in the table
	signs    time.Time // the last sign of life of earlier runs

	added [handshakeKinds]int // handshakes since the table was last trimmed

	row  []any
	text []byte
	calm bool // leave the processor to the shards now and then
}

// A leftover is what an earlier run left in a journal file.
type leftover struct {
	file File
	end  int64
}

// run is the mover's goroutine.
func (m *mover) run() {
	retry, sweep, shakes := time.NewTimer(time.Hour), time.NewTimer(time.Minute), time.NewTimer(time.Hour)
	defer retry.Stop()
	defer sweep.Stop()
	defer shakes.Stop()
	retry.Stop()
	shakes.Stop()
	m.calm = true
	pause := time.Duration(0)
	if m.d == nil { // it could not be opened
		pause = firstRetry
		retry.Reset(pause)
	}
	for {
		full := m.s.full
		if m.holding != nil {
			full = nil
		}
		select {
		case m.holding = <-full:
		case <-retry.C:
		case <-sweep.C:
			sweep.Reset(m.sweep())
			continue
		case <-m.s.shakes.wake:
			shakes.Reset(shakeEvery)
			continue
		case <-shakes.C:
			if again := m.shakes(); again > 0 {
				shakes.Reset(again)
			}
			continue
		case <-m.s.stop:
			return
		}
		err := m.work()
		if err != nil {
			m.close()
			pause = min(max(2*pause, firstRetry), lastRetry)
			retry.Reset(pause)
		} else {
			pause = 0
		}
		m.s.mu.Lock()
		m.s.stuck = err
		m.s.mu.Unlock()
		m.s.wake()
	}
}

// work moves what is to be moved.
func (m *mover) work() error {
	if m.d == nil {
		if err := m.recover(); err != nil {
			return err
		}
	}
	if m.holding == nil {
		return nil
	}
	if err := m.move(m.holding.file, m.holding.end); err != nil {
		return m.explain(err)
	}
	m.s.free <- m.holding
	m.holding = nil
	return nil
}

// explain adds whether the disk is full, which SQLite does not always say.
func (m *mover) explain(err error) error {
	if !noRoom(err) {
		if full := m.s.o.probe(m.s.dir); noRoom(full) {
			err = fmt.Errorf("%w: %w", full, err)
		}
	}
	return fmt.Errorf("%s: %w", tableName, err)
}

// recover opens the table, moves what earlier runs left in the journal, and marks what they left open.
func (m *mover) recover() error {
	err := m.open()
	for _, seg := range m.left {
		if err == nil {
			err = m.move(seg.file, seg.end)
		}
	}
	if err == nil {
		err = m.interrupt()
	}
	if err != nil {
		err = m.explain(err)
		m.close()
		return err
	}
	m.left = nil
	return nil
}

// open opens the table.
func (m *mover) open() (err error) {
	if err := private(filepath.Join(m.s.dir, tableName)); err != nil {
		return err
	}
	m.d, err = openDB(m.s.dir, "rwc", "journal_mode(wal)", "synchronous(full)", "journal_size_limit(16777216)", "cache_size(-8000)")
	if err != nil {
		return err
	}
	if err := m.d.migrate(); err != nil {
		return err
	}
	for to, query := range map[**stmt]string{
		&m.put: upsertCall, &m.putPart: upsertPart, &m.putMoved: "UPDATE moved SET entry = ?, at = ?",
	} {
		if *to, err = m.d.prepare(query); err != nil {
			return err
		}
	}
	if m.parts, err = readParts(m.d); err != nil {
		return err
	}
	entry, err := m.d.number("SELECT entry FROM moved")
	if err != nil {
		return err
	}
	m.entry = uint64(entry)
	at, err := m.d.number("SELECT at FROM moved")
	if err != nil {
		return err
	}
	if at > 0 {
		m.signs = time.UnixMilli(at).UTC()
	}
	m.newest, err = m.d.number("SELECT max(seq) FROM calls")
	return err
}

// move moves the entries of a journal file, in several transactions when they are many.
func (m *mover) move(f File, end int64) error {
	t := tail{file: f}
	if !t.open() {
		return errors.New("a journal file has lost its header")
	}
	for t.off < end {
		found, err := t.batch(moveBatch)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return fmt.Errorf("a journal file holds %d bytes of records, and %d were written", t.off, end)
		}
		if err := m.batch(found); err != nil {
			return err
		}
	}
	return nil
}

// batch moves entries in one transaction: of each record the newest state, and none that is in the table already.
func (m *mover) batch(found []entry) error {
	newest := make(map[int64]int, len(found))
	for i, e := range found {
		if e.number > m.entry {
			newest[e.id] = i
		}
	}
	if len(newest) == 0 {
		return nil
	}
	order := make([]int, 0, len(newest))
	for _, i := range newest {
		order = append(order, i)
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(found[a].id, found[b].id) })
	last, signs := found[len(found)-1].number, m.signs
	err := m.d.within(func() error {
		for n, i := range order {
			c, err := found[i].decode()
			if err != nil { // whole by its checksum: of a program that is not ours
				m.s.o.Log.Error("a record in the journal cannot be read", "id", FormatID(found[i].id), "cause", err)
				continue
			}
			if err := m.call(found[i].id, found[i].number, c); err != nil {
				return err
			}
			signs = latest(signs, c.Began, c.Answered, c.Ended)
			if n%8 == 7 {
				runtime.Gosched() // a shard has waited for a tenth of a millisecond
			}
			if m.calm && n%64 == 63 {
				time.Sleep(time.Millisecond) // nobody waits for rows
			}
		}
		if err := m.parts.write(m.putPart); err != nil {
			return err
		}
		return m.putMoved.exec(int64(last), millis(signs))
	})
	if err == nil {
		m.entry, m.signs = last, signs
	}
	return err
}

// call puts one record into the table.
func (m *mover) call(id int64, number uint64, c *CDR) error {
	m.text = appendJSON(m.text[:0], c)
	p, err := m.parts.of(m.d, id)
	if err != nil {
		return err
	}
	p.add(id, c)
	var out Leg
	if len(c.Out) > 0 {
		out = c.Out[len(c.Out)-1]
	}
	m.row = append(m.row[:0],
		id, c.ID, int64(number), string(c.State),
		c.Began.UnixMilli(), orNull(c.Answered), orNull(c.Ended),
		c.Caller, c.Called, c.Route, c.In.Peer, c.In.CallID, out.Peer, out.CallID, len(c.Out),
		c.EndedBy, c.Cause.SIP, c.Cause.Q850, c.Cause.Text, string(m.text),
		c.Run, int64(c.Call), reasonsText(c))
	return m.put.exec(m.row...)
}

// interrupt marks the records that earlier runs left open. When the call ended is not known and is not guessed.
func (m *mover) interrupt() error {
	text := "the gateway ended without being told to, before " + stamp(m.s.o.Now())
	if !m.signs.IsZero() {
		text = fmt.Sprintf("the gateway ended without being told to, after %s and before %s", stamp(m.signs), stamp(m.s.o.Now()))
	}
	for {
		type row struct {
			id int64
			c  *CDR
		}
		var open []row
		err := m.d.each("SELECT seq, record FROM calls WHERE state IN ('open', 'answered') AND seq < ? LIMIT ?", func(v []driver.Value) (bool, error) {
			id, _ := v[0].(int64)
			c, err := readRecord(v[1])
			open = append(open, row{id, c})
			return true, err
		}, m.before, sweepRows)
		if err != nil || len(open) == 0 {
			return err
		}
		err = m.d.within(func() error {
			for _, r := range open {
				r.c.State, r.c.EndedBy, r.c.Cause.Text = Interrupted, "gateway", text
				if err := m.call(r.id, m.begun, r.c); err != nil {
					return err
				}
			}
			return m.parts.write(m.putPart)
		})
		if err != nil {
			return err
		}
		m.s.o.Log.Warn("calls of an earlier run had not ended", "calls", len(open), "cause", text)
	}
}

// sweep deletes some records that are older than they are kept, and says when to look again.
func (m *mover) sweep() time.Duration {
	if m.d == nil {
		return time.Minute
	}
	limit := m.s.o.Now().Add(-m.s.o.Keep)
	var last int64
	n := 0
	err := m.sweepShakes()
	if err == nil && m.s.o.Keep <= 0 {
		return sweepEvery
	}
	if err != nil {
		m.s.o.Log.Warn("old records of handshakes cannot be deleted", "cause", m.explain(err))
	}
	err = m.d.within(func() error {
		err := m.d.each("SELECT seq FROM calls WHERE seq < ? AND state NOT IN ('open', 'answered') AND coalesce(ended, began) < ? ORDER BY seq LIMIT ?",
			func(v []driver.Value) (bool, error) {
				last, _ = v[0].(int64)
				n++
				return true, nil
			}, firstID(limit.Add(time.Minute)), limit.UnixMilli(), sweepRows)
		if err != nil || n == 0 {
			return err
		}
		if err := m.d.exec("DELETE FROM calls WHERE seq <= ? AND state NOT IN ('open', 'answered') AND coalesce(ended, began) < ?", last, limit.UnixMilli()); err != nil {
			return err
		}
		return m.d.exec("DELETE FROM parts WHERE first < (SELECT max(first) FROM parts WHERE first <= (SELECT min(seq) FROM calls))")
	})
	if err == nil {
		m.parts, err = readParts(m.d)
	}
	switch {
	case err != nil:
		m.s.o.Log.Warn("old records of calls cannot be deleted", "cause", m.explain(err))
		m.close()
		return time.Minute
	case n == sweepRows:
		return 100 * time.Millisecond
	}
	return sweepEvery
}

// finish moves the rest when both goroutines have ended. What cannot be moved is in the journal, for the next run.
func (m *mover) finish() {
	m.calm = false
	if m.d == nil && m.recover() != nil {
		return
	}
	m.shakes()
	todo := []*segment{m.holding}
	select {
	case seg := <-m.s.full:
		todo = append(todo, seg)
	default:
	}
	for _, seg := range append(todo, m.s.w.active) {
		if seg == nil || seg.end == 0 {
			continue
		}
		if err := m.move(seg.file, seg.end); err != nil {
			m.s.o.Log.Warn("records of calls stay in the journal for the next run", "cause", m.explain(err))
			return
		}
	}
}

func (m *mover) close() error {
	if m.d == nil {
		return nil
	}
	var errs []error
	for _, s := range []*stmt{m.put, m.putPart, m.putMoved} {
		if s != nil {
			errs = append(errs, s.Close())
		}
	}
	m.put, m.putPart, m.putMoved = nil, nil, nil
	errs = append(errs, m.d.Close())
	m.d = nil
	return errors.Join(errs...)
}

// readRecord reads the column record.
func readRecord(v driver.Value) (*CDR, error) {
	c := &CDR{}
	text, _ := v.(string)
	if err := json.Unmarshal([]byte(text), c); err != nil {
		return nil, fmt.Errorf("a record in %s cannot be read: %w", tableName, err)
	}
	return c, nil
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// orNull is the column's value for a time.
func orNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMilli()
}

func latest(t time.Time, others ...time.Time) time.Time {
	for _, o := range others {
		if o.After(t) {
			t = o
		}
	}
	return t
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }
