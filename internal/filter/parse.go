package filter

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sallyport-sip/sallyport/internal/config"
)

// Options are what Parse needs to know besides the text.
type Options struct {
	Now   time.Time         // what since:1h counts from; in the time zone of times that name none
	For   Subject           // what is filtered; 0: anything
	Saved map[string]string // filters that may be used by name
}

// Subject is what a filter is for.
type Subject uint8

// The subjects.
const (
	Flows      Subject = iota + 1 // flows, also in the lines of a list
	Calls                         // records of calls
	Handshakes                    // records of handshakes
)

var subjectWords = map[Subject]string{Flows: "a flow", Calls: "a record of a call", Handshakes: "a record of a handshake"}

const (
	maxText  = 4096 // bytes of a filter
	maxTerms = 64   // with those of saved ones
	maxDeep  = 8    // saved filters within saved filters
)

// Parse reads a filter. Its error is an *Error. The grammar:
//
//	filter = term *( [ "OR" ] term )
//	term   = [ "-" ] ( key op value *( "," value ) / value / "@" name )
//	op     = ":" / "<" / "<=" / ">" / ">="
//	value  = 1*( any but blank, comma and quote ) / quote *( any, or \" or \\ ) quote
//
// with blanks between terms. In a value without a key a comma is a comma.
func Parse(text string, o Options) (*Filter, error) {
	p := &parser{text: text, o: o}
	f, err := p.filter()
	if err != nil {
		return nil, err
	}
	return f, nil
}

type parser struct {
	text  string
	at    int
	o     Options
	deep  []string // names of the saved filters that are being read
	terms *int
}

func (p *parser) wrong(at, length int, remedy, format string, args ...any) *Error {
	return &Error{Text: p.text, At: at, Length: length, What: fmt.Sprintf(format, args...), Remedy: remedy}
}

func (p *parser) filter() (*Filter, *Error) {
	switch {
	case len(p.text) > maxText:
		return nil, &Error{Text: p.text, What: fmt.Sprintf("it has %d bytes, and %d are the most", len(p.text), maxText)}
	case !utf8.ValidString(p.text):
		return nil, &Error{Text: strings.ToValidUTF8(p.text, "?"), What: "it is not UTF-8"}
	}
	if p.terms == nil {
		p.terms = new(int)
	}
	f := &Filter{}
	or := -1 // where an OR waits for its second side
	for p.blanks(); p.at < len(p.text); p.blanks() {
		from := p.at
		switch word := p.word(); word {
		case "OR":
			if or >= 0 || len(f.clauses) == 0 {
				return nil, p.wrong(from, 2, `write a condition on both sides, as in state:busy OR state:failed; the word itself is "OR"`, "nothing stands before OR")
			}
			or = from
			p.at += 2
			continue
		case "AND", "NOT":
			remedy := "leave it out: conditions beside each other must all hold"
			if word == "NOT" {
				remedy = "write a minus before the condition, as in -state:failed"
			}
			return nil, p.wrong(from, 3, remedy, "there is no %s", word)
		}
		t, err := p.term()
		if err != nil {
			return nil, err
		}
		if *p.terms++; *p.terms > maxTerms {
			return nil, p.wrong(from, p.at-from, "", "there are more than %d conditions", maxTerms)
		}
		if or >= 0 {
			last := &f.clauses[len(f.clauses)-1]
			*last = append(*last, t)
		} else {
			f.clauses = append(f.clauses, clause{t})
		}
		or = -1
	}
	if or >= 0 {
		return nil, p.wrong(or, 2, `write a condition on both sides, as in state:busy OR state:failed; the word itself is "OR"`, "nothing stands behind OR")
	}
	return f, nil
}

func (p *parser) blanks() {
	for p.at < len(p.text) && isBlank(p.text[p.at]) {
		p.at++
	}
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// word is what stands up to the next blank.
func (p *parser) word() string {
	rest := p.text[p.at:]
	if i := strings.IndexAny(rest, " \t\r\n"); i >= 0 {
		rest = rest[:i]
	}
	return rest
}

func isOperator(word string) bool { return word == "OR" || word == "AND" || word == "NOT" }

// schemes begin URIs, and no keys: sip:alice@example.com is a word.
var schemes = []string{"sip", "sips", "tel"}

// cutKey splits "key>=value"; the key is empty when a text does not begin with one.
func cutKey(text string) (key string, o op, rest string) {
	n := 0
	for n < len(text) && (text[n] >= 'a' && text[n] <= 'z' || text[n] >= 'A' && text[n] <= 'Z' || n > 0 && (text[n] >= '0' && text[n] <= '9' || strings.IndexByte(".-_", text[n]) >= 0)) {
		n++
	}
	if n == 0 || n == len(text) {
		return "", 0, text
	}
	key, rest = strings.ToLower(text[:n]), text[n:]
	switch {
	case strings.HasPrefix(rest, "<="):
		return key, most, rest[2:]
	case strings.HasPrefix(rest, ">="):
		return key, least, rest[2:]
	case rest[0] == '<':
		return key, less, rest[1:]
	case rest[0] == '>':
		return key, more, rest[1:]
	case rest[0] == ':' && !slices.Contains(schemes, key), rest[0] == '=' && lookup(key) != nil:
		return key, is, rest[1:]
	}
	return "", 0, text
}

func (p *parser) term() (t term, err *Error) {
	t.at = p.at
	if p.text[p.at] == '-' {
		t.not = true
		p.at++
		if p.at == len(p.text) || isBlank(p.text[p.at]) {
			return t, p.wrong(t.at, 1, "write it directly before a condition, as in -state:failed", "a minus stands alone")
		}
	}
	from := p.at
	if p.text[p.at] == '@' {
		p.at++
		return p.saved(t, from)
	}
	name, o, rest := cutKey(p.text[p.at:])
	switch {
	case name == "filter" && o == is:
		p.at = len(p.text) - len(rest)
		return p.saved(t, from)
	case name != "":
		if t.key = lookup(name); t.key == nil {
			return t, p.unknown(from, name)
		}
		t.op = o
		p.at = len(p.text) - len(rest)
		if err := p.allowed(t, from); err != nil {
			return t, err
		}
	}
	return t, p.values(&t)
}

// unknown is the error for a key that is none.
func (p *parser) unknown(from int, name string) *Error {
	remedy := `put it in quotes if it is what you look for, or see docs/reference/filter.md for the keys`
	if near, ok := config.Nearest(name, keyNames()); ok {
		remedy = fmt.Sprintf("did you mean %s:?", near)
	}
	return p.wrong(from, len(name), remedy, "there is no key %q", name)
}

// allowed refuses what a key cannot be asked.
func (p *parser) allowed(t term, from int) *Error {
	length := p.at - from
	if p.o.For != 0 && !t.key.of(p.o.For) {
		return p.wrong(from, length, "leave it out here", "%s: %s has no such thing", t.key.name, subjectWords[p.o.For])
	}
	if t.op != is && !t.key.kind.compares() {
		return p.wrong(from, length, fmt.Sprintf("write %s:", t.key.name), "%s is no number, and %s compares numbers", t.key.name, opText[t.op])
	}
	return nil
}

// values reads the values of a term.
func (p *parser) values(t *term) *Error {
	for {
		from := p.at
		v, err := p.value(t.key == nil)
		if err != nil {
			return err
		}
		if t.key != nil {
			if p.at == from {
				return p.wrong(t.at, p.at-t.at, fmt.Sprintf("write one directly behind it, as in %s", t.key.example), "%s is without a value", t.key.name)
			}
			if err := p.understand(t, &v, from); err != nil {
				return err
			}
		}
		t.values = append(t.values, v)
		switch {
		case p.at == len(p.text) || isBlank(p.text[p.at]):
			return nil
		case t.key != nil && p.text[p.at] == ',' && t.op == is:
			p.at++
		case t.key != nil && p.text[p.at] == ',':
			return p.wrong(p.at, 1, fmt.Sprintf("write %s%sX OR %s%sY", t.key.name, opText[t.op], t.key.name, opText[t.op]), "a comparison takes one value")
		default:
			return p.wrong(p.at, 1, "put a blank between them", "something follows the closing quote")
		}
	}
}

// value reads one value: in quotes, or up to the next blank, and with a key up to the next comma.
func (p *parser) value(bare bool) (v val, err *Error) {
	from := p.at
	if p.at == len(p.text) || p.text[p.at] != '"' {
		ends := " \t\r\n,\""
		if bare {
			ends = " \t\r\n\""
		}
		n := strings.IndexAny(p.text[p.at:], ends)
		if n < 0 {
			n = len(p.text) - p.at
		}
		v.text = p.text[p.at : p.at+n]
		p.at += n
		if p.at < len(p.text) && p.text[p.at] == '"' {
			return v, p.wrong(p.at, 1, `put quotes around all of it, and write \" for one that belongs to it`, "a quote stands in the middle of a word")
		}
		if i := strings.IndexFunc(v.text, func(r rune) bool { return r < ' ' || r == 0x7f }); i >= 0 {
			return v, p.wrong(p.at-n+i, 1, "put the word in quotes", "a control character stands outside of quotes")
		}
		if strings.IndexByte(v.text, '\\') >= 0 {
			return v, p.wrong(p.at-n+strings.IndexByte(v.text, '\\'), 1, `put the word in quotes, and write \\ for it`, "a backslash stands outside of quotes")
		}
		return v, nil
	}
	var b strings.Builder
	for p.at++; p.at < len(p.text); p.at++ {
		switch c := p.text[p.at]; {
		case c == '"':
			p.at++
			v.text = b.String()
			v.literal = strings.Contains(v.text, "*")
			if v.text == "" {
				return v, p.wrong(from, 2, "leave it out, or write something between the quotes", "there is nothing between the quotes")
			}
			return v, nil
		case c == '\\' && p.at+1 < len(p.text) && strings.IndexByte(`"\`, p.text[p.at+1]) >= 0:
			p.at++
			b.WriteByte(p.text[p.at])
		default:
			b.WriteByte(c)
		}
	}
	return v, p.wrong(from, 1, "close it", "a quote is not closed")
}

// understand finds what a value means for its key.
func (p *parser) understand(t *term, v *val, from int) *Error {
	length := p.at - from
	pattern := !v.literal && strings.Contains(v.text, "*")
	switch t.key.kind {
	case enumerated:
		words := t.key.words()
		fits := slices.ContainsFunc(words, v.fits)
		if fits {
			return nil
		}
		remedy := "it is one of " + strings.Join(words, ", ")
		if len(words) > 20 {
			remedy = "docs/reference/filter.md says where they are listed"
		}
		if near, ok := config.Nearest(v.text, words); ok {
			remedy = fmt.Sprintf("did you mean %s:%s?", t.key.name, near)
		}
		return p.wrong(from, length, remedy, "%s has no %q", t.key.name, v.text)
	case number:
		n, err := strconv.ParseInt(v.text, 10, 64)
		if err != nil && !(pattern && t.op == is && strings.Trim(v.text, "0123456789*") == "") {
			return p.wrong(from, length, "write "+t.key.example, "%q is no whole number", v.text)
		}
		v.number = n
	case duration:
		d, ok := Duration(v.text)
		if !ok {
			return p.wrong(from, length, "write 200ms, 2s, 1m30s, 3h or 2d", "%q is no duration", v.text)
		}
		v.number = int64(d)
	case moment:
		at, ok := When(v.text, p.o.Now)
		if !ok {
			return p.wrong(from, length, `write 90m, 2h, 7d, 15:04, 2006-01-02 or "2006-01-02 15:04"`, "%q is no time", v.text)
		}
		v.number = at.UnixNano()
	}
	return nil
}

// saved reads the name of a saved filter.
func (p *parser) saved(t term, from int) (term, *Error) {
	v, err := p.value(true)
	if err != nil {
		return t, err
	}
	name, length := v.text, p.at-from
	text, ok := p.o.Saved[name]
	names := make([]string, 0, len(p.o.Saved))
	for n := range p.o.Saved {
		names = append(names, n)
	}
	slices.Sort(names)
	switch near, isNear := config.Nearest(name, names); {
	case ok:
	case isNear:
		return t, p.wrong(from, length, fmt.Sprintf("did you mean @%s?", near), "no filter is saved as %q", name)
	case len(names) == 0:
		return t, p.wrong(from, length, `save one under "filters" in the configuration, or put the word in quotes`, "no filter is saved as %q", name)
	default:
		return t, p.wrong(from, length, "there are @"+strings.Join(names, ", @"), "no filter is saved as %q", name)
	}
	if slices.Contains(p.deep, name) || len(p.deep) == maxDeep {
		return t, p.wrong(from, length, "take one of them out", "the filters %s use each other", strings.Join(append(p.deep, name), ", "))
	}
	inner := &parser{text: text, o: p.o, deep: append(slices.Clone(p.deep), name), terms: p.terms}
	f, err := inner.filter()
	if err != nil {
		return t, p.wrong(from, length, strings.TrimPrefix(err.Error(), "filter, "), "the filter that is saved as %q is wrong", name)
	}
	t.saved = &saved{name, f}
	return t, nil
}

// Duration reads a duration as the filter has it: that of Go, and days.
func Duration(text string) (time.Duration, bool) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		return time.Duration(n) * 24 * time.Hour, err == nil
	}
	d, err := time.ParseDuration(text)
	return d, err == nil && d >= 0
}

// When reads a time in one of the usual forms, in the time zone of now where it names none, or how long before now it was.
func When(text string, now time.Time) (time.Time, bool) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return now.AddDate(0, 0, -int(n)), true
		}
	}
	if ago, ok := Duration(text); ok {
		return now.Add(-ago), true
	}
	for _, form := range []string{time.RFC3339, time.DateTime, "2006-01-02 15:04", "2006-01-02T15:04:05", "2006-01-02T15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(form, text, now.Location()); err == nil {
			return t, true
		}
	}
	for _, form := range []string{time.TimeOnly, "15:04"} {
		if t, err := time.ParseInLocation(form, text, now.Location()); err == nil {
			return time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), t.Second(), 0, now.Location()), true
		}
	}
	return time.Time{}, false
}

func itoa(n int) string { return strconv.Itoa(n) }
