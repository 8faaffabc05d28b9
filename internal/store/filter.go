package store

import (
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Filter says which records are wanted: those of which everything that is set is so.
type Filter struct {
	Since, Until time.Time // when the call began; Until itself is not included
	Number       string    // caller or called; a prefix when it ends in *
	Peer         string    // of any leg, also of a target that was tried in vain
	CallID       string    // of any leg, also of a target that was tried in vain
	Flow         string    // RUN-NUMBER, the id of the call's flow
	Reason       string    // why it failed: a status code, "q850:N", or a code of docs/reference/faults.md; of any leg
	State        State
	Verdict      string
	Failed       bool   // refused or interrupted
	Before       string // only records whose ID sorts before this one; empty: all
	Oldest       bool   // oldest first, else newest first
	Limit        int    // 0: all

	// Look is called of a search for the newest first after each part of the table, found or not, with the ID before which nothing has
	// been looked at yet, and ends the search by false. Nil: it goes on to the end.
	Look func(before string) bool
}

// wants says whether f wants c.
func (f *Filter) wants(c *CDR) bool {
	some := func(want string, of func(*Leg) string) bool {
		return want == "" || of(&c.In) == want || slices.ContainsFunc(c.Out, func(l Leg) bool { return of(&l) == want })
	}
	return (f.Since.IsZero() || !c.Began.Before(f.Since)) &&
		(f.Until.IsZero() || c.Began.Before(f.Until)) &&
		(f.Before == "" || c.ID < f.Before) &&
		(f.State == "" || f.State == c.State) &&
		(f.Verdict == "" || f.Verdict == c.Verdict) &&
		(!f.Failed || c.State == Refused || c.State == Interrupted) &&
		(f.Flow == "" || f.Flow == c.Flow()) &&
		(f.Reason == "" || gave(c, f.Reason)) &&
		(matches(f.Number, c.Caller) || matches(f.Number, c.Called)) &&
		some(f.Peer, func(l *Leg) string { return l.Peer }) &&
		some(f.CallID, func(l *Leg) string { return l.CallID })
}

func matches(pattern, number string) bool {
	prefix, open := strings.CutSuffix(pattern, "*")
	return pattern == "" || number == prefix || open && strings.HasPrefix(number, prefix)
}

// filters says which filters of a part the search looks at.
func (f *Filter) filters() (bloom, words bool) {
	prefix := strings.HasSuffix(f.Number, "*")
	return f.Number != "" && !prefix || f.CallID != "" || f.Peer != "", prefix || f.Reason != "" || f.Flow != ""
}

// mayBeIn says whether a part of the table can hold a record that f wants.
func (f *Filter) mayBeIn(p *part) bool {
	switch {
	case !f.Since.IsZero() && p.to < f.Since.UnixMilli(),
		!f.Until.IsZero() && p.from > f.Until.UnixMilli(),
		f.Number != "" && !strings.HasSuffix(f.Number, "*") && !p.may(keyNumber, f.Number),
		strings.HasSuffix(f.Number, "*") && !p.mayBegin(f.Number[:len(f.Number)-1]),
		f.Reason != "" && !p.mayHave(keyReason, f.Reason),
		f.Flow != "" && !p.mayHave(keyFlow, f.Flow),
		f.CallID != "" && !p.may(keyCallID, f.CallID),
		f.Peer != "" && !p.may(keyPeer, f.Peer):
		return false
	}
	return true
}

// where is as much of f as SQLite can judge by the columns of a version: it lets pass all that wants does, and more.
func (f *Filter) where(version int64) (sql string, args []any) {
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
		end := prefix + "\U0010ffff"
		add("(caller >= ? AND caller < ? OR called >= ? AND called < ?)", prefix, end, prefix, end)
	case prefix != "":
		add("(caller = ? OR called = ?)", prefix, prefix)
	}
	run, number, ok := strings.Cut(f.Flow, "-")
	switch n, _ := strconv.ParseInt(number, 10, 64); {
	case version < 3: // the columns are not there yet
	case ok:
		add("call = ? AND run = ?", n, run)
	}
	if f.Reason != "" && version >= 3 {
		add("(reasons IS NULL OR instr(reasons, ?) > 0)", " "+f.Reason+" ")
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

// flowName is the id of a call's flow.
func flowName(run string, call uint64) string { return run + "-" + strconv.FormatUint(call, 10) }

// reasons are the codes by which a call that failed is found, some perhaps twice: status codes above 299, the causes of Q.850, and
// the reasons of TLS and connections.
func reasons(c *CDR) iter.Seq[string] {
	return func(yield func(string) bool) {
		if c.Cause.SIP >= 300 && !yield(strconv.Itoa(c.Cause.SIP)) || c.Cause.Q850 > 0 && !yield("q850:"+strconv.Itoa(c.Cause.Q850)) {
			return
		}
		for i := range c.Out {
			l := &c.Out[i]
			if l.Code >= 300 && !yield(strconv.Itoa(l.Code)) || l.Reason != "" && !yield(l.Reason) {
				return
			}
		}
	}
}

// gave says whether a call has a reason.
func gave(c *CDR, reason string) bool {
	for r := range reasons(c) {
		if r == reason {
			return true
		}
	}
	return false
}

// reasonsText is the column: the reasons, each with a blank before and after it.
func reasonsText(c *CDR) string {
	text := " "
	for r := range reasons(c) {
		if !strings.Contains(text, " "+r+" ") {
			text += r + " "
		}
	}
	return text
}
