package filter

import (
	"strings"
	"time"
)

// A Filter says which flows, records of calls and records of handshakes are wanted. A nil Filter wants all.
type Filter struct {
	clauses []clause // all must hold
}

// A clause holds when one of its terms does.
type clause []term

// A term is one condition.
type term struct {
	not    bool
	key    *key  // nil: words that may stand anywhere
	op     op    // of a key
	values []val // of a key: one must fit; without one: a single one
	saved  *saved
	at     int // in the text, in bytes
}

// A saved filter is used by its name.
type saved struct {
	name string
	*Filter
}

// op compares.
type op uint8

const (
	is op = iota // ":"
	less
	most
	more
	least
)

var opText = [...]string{is: ":", less: "<", most: "<=", more: ">", least: ">="}

// A val is one value as it was written, and what it means for its key.
type val struct {
	text    string
	literal bool // an asterisk in it is an asterisk
	number  int64
}

// String writes the filter so that Parse reads the same.
func (f *Filter) String() string {
	if f == nil {
		return ""
	}
	var b strings.Builder
	for i, c := range f.clauses {
		if i > 0 {
			b.WriteByte(' ')
		}
		for j, t := range c {
			if j > 0 {
				b.WriteString(" OR ")
			}
			t.write(&b)
		}
	}
	return b.String()
}

func (t *term) write(b *strings.Builder) {
	if t.not {
		b.WriteByte('-')
	}
	switch {
	case t.saved != nil:
		b.WriteString("@" + t.saved.name)
		return
	case t.key != nil:
		b.WriteString(t.key.name + opText[t.op])
	}
	for i, v := range t.values {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(v.quoted(t.key == nil))
	}
}

// quoted writes a value, in quotes where it would be read as something else without.
func (v val) quoted(bare bool) string {
	special := " \t\r\n\",\\"
	if bare {
		special = " \t\r\n\"\\"
	}
	plain := v.text != "" && !strings.ContainsAny(v.text, special) && !(v.literal && strings.Contains(v.text, "*")) &&
		strings.IndexFunc(v.text, func(r rune) bool { return r < ' ' || r == 0x7f }) < 0
	if bare && plain {
		key, _, _ := cutKey(v.text)
		plain = key == "" && v.text[0] != '-' && v.text[0] != '@' && !isOperator(v.text)
	}
	if plain {
		return v.text
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(v.text) + `"`
}

// Empty reports whether the filter wants everything.
func (f *Filter) Empty() bool { return f == nil || len(f.clauses) == 0 }

// fits reports whether a text is what a value says: equal without regard to case, with asterisks for any characters.
func (v *val) fits(text string) bool {
	if v.literal || !strings.Contains(v.text, "*") {
		return strings.EqualFold(v.text, text)
	}
	return glob(strings.ToLower(v.text), strings.ToLower(text))
}

// is is fits with regard to case.
func (v *val) is(text string) bool {
	if v.literal || !strings.Contains(v.text, "*") {
		return v.text == text
	}
	return glob(v.text, text)
}

// glob matches a pattern in which an asterisk stands for any characters, in time that is the product of both lengths at most.
func glob(pattern, text string) bool {
	star, back := -1, 0
	p, t := 0, 0
	for t < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, back = p, t
			p++
		case p < len(pattern) && pattern[p] == text[t]:
			p++
			t++
		case star >= 0:
			back++
			p, t = star+1, back
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// compare reports whether a number is as a term says.
func (t *term) compare(n int64) bool {
	for i := range t.values {
		w := t.values[i].number
		switch t.op {
		case is:
			if n == w {
				return true
			}
		case less:
			return n < w
		case most:
			return n <= w
		case more:
			return n > w
		case least:
			return n >= w
		}
	}
	return false
}

// An Error says what is wrong with a filter, and where.
type Error struct {
	Text   string // the filter
	At     int    // where in it, in bytes from 0
	Length int    // of what is wrong, in bytes; 0: something is missing there
	What   string
	Remedy string // empty: What says it
}

// Column is where in the filter, in characters from 1.
func (e *Error) Column() int { return len([]rune(e.Text[:e.At])) + 1 }

// Error is one line.
func (e *Error) Error() string {
	s := "filter, character " + itoa(e.Column()) + ": " + e.What
	if e.Remedy != "" {
		s += ": " + e.Remedy
	}
	return s
}

// Caret is the filter, and a line below that marks the place.
func (e *Error) Caret() string {
	clean := func(s string) string {
		return strings.Map(func(r rune) rune {
			if r < ' ' || r >= 0x7f && r < 0xa0 {
				return ' '
			}
			return r
		}, s)
	}
	wide := max(1, len([]rune(e.Text[e.At:e.At+e.Length])))
	return clean(e.Text) + "\n" + strings.Repeat(" ", e.Column()-1) + strings.Repeat("^", wide)
}

// Bounds returns the times between which everything begins that the filter wants; zero where there is no bound. The upper one is
// not included.
func (f *Filter) Bounds() (since, until time.Time) {
	for t := range f.must() {
		if t.key == nil || t.op != is || len(t.values) != 1 {
			continue
		}
		at := time.Unix(0, t.values[0].number)
		switch {
		case t.key.name == "since" && at.After(since):
			since = at
		case t.key.name == "until" && (until.IsZero() || at.Before(until)):
			until = at
		}
	}
	return since, until
}
