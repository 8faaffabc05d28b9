package store

import (
	"slices"
	"strings"
	"time"
)

// A Filter says which records are wanted: those of which everything that is set is so.
type Filter struct {
	Since, Until time.Time // when the call began; Until itself is not included
	Number       string    // caller or called; a prefix when it ends in *
	Peer         string    // of any leg, also of a target that was tried in vain
	CallID       string    // of any leg, also of a target that was tried in vain
	State        State
	Verdict      string
	Failed       bool // refused or interrupted
	Oldest       bool // oldest first, else newest first
	Limit        int  // 0: all
}

// wants says whether f wants c.
func (f *Filter) wants(c *CDR) bool {
	some := func(want string, of func(*Leg) string) bool {
		return want == "" || of(&c.In) == want || slices.ContainsFunc(c.Out, func(l Leg) bool { return of(&l) == want })
	}
	return (f.Since.IsZero() || !c.Began.Before(f.Since)) &&
		(f.Until.IsZero() || c.Began.Before(f.Until)) &&
		(f.State == "" || f.State == c.State) &&
		(f.Verdict == "" || f.Verdict == c.Verdict) &&
		(!f.Failed || c.State == Refused || c.State == Interrupted) &&
		(matches(f.Number, c.Caller) || matches(f.Number, c.Called)) &&
		some(f.Peer, func(l *Leg) string { return l.Peer }) &&
		some(f.CallID, func(l *Leg) string { return l.CallID })
}

func matches(pattern, number string) bool {
	prefix, open := strings.CutSuffix(pattern, "*")
	return pattern == "" || number == prefix || open && strings.HasPrefix(number, prefix)
}

// mayBeIn says whether a part of the table can hold a record that f wants.
func (f *Filter) mayBeIn(p *part) bool {
	switch {
	case !f.Since.IsZero() && p.to < f.Since.UnixMilli(),
		!f.Until.IsZero() && p.from > f.Until.UnixMilli(),
		f.Number != "" && !strings.HasSuffix(f.Number, "*") && !p.may(keyNumber, f.Number),
		f.CallID != "" && !p.may(keyCallID, f.CallID),
		f.Peer != "" && !p.may(keyPeer, f.Peer):
		return false
	}
	return true
}

// where is as much of f as SQLite can judge by the columns: it lets pass all that wants does, and more.
func (f *Filter) where() (sql string, args []any) {
	add := func(condition string, values ...any) {
		sql += " AND " + condition
		args = append(args, values...)
	}
	if !f.Since.IsZero() {
		add("began >= ?", f.Since.UnixMilli())
	}
	if !f.Until.IsZero() {
		add("began <= ?", f.Until.UnixMilli())
	}
	if f.State != "" {
		add("state = ?", string(f.State))
	}
	if f.Verdict != "" {
		add("record ->> '$.verdict' = ?", f.Verdict)
	}
	if f.Failed {
		add("state IN (?, ?)", string(Refused), string(Interrupted))
	}
	switch prefix, open := strings.CutSuffix(f.Number, "*"); {
	case open && prefix != "":
		add("(substr(caller, 1, length(?)) = ? OR substr(called, 1, length(?)) = ?)", prefix, prefix, prefix, prefix)
	case prefix != "":
		add("(caller = ? OR called = ?)", prefix, prefix)
	}
	// The columns have the last target only.
	if f.Peer != "" {
		add("(targets > 1 OR in_peer = ? OR out_peer = ?)", f.Peer, f.Peer)
	}
	if f.CallID != "" {
		add("(targets > 1 OR in_call_id = ? OR out_call_id = ?)", f.CallID, f.CallID)
	}
	return sql, args
}
