package sip

import (
	"errors"
	"iter"
)

// Every known header has a kind: the Go type of one value and the grammar that
// judges it. The table of headers names the kind; the accessors of Message use
// the same parser, so that what CheckHeader takes an accessor reads.

// ErrAbsent is what an accessor returns for a header that is not there.
var ErrAbsent = errors.New("the header is not there")

// A parser reads the value at i of b. It returns where that ends, or where it
// breaks the rule.
type parser[T any] func(b []byte, i int) (v T, end int, rule string)

// kind is what the values of a header are.
type kind struct {
	name  string // the Go type of one value
	empty bool   // the header may have no value
	judge func(b []byte, i int) (end int, rule string)
}

func kindOf[T any](name string, parse parser[T]) kind {
	return kind{name: name, judge: func(b []byte, i int) (end int, rule string) {
		_, end, rule = parse(b, i)
		return end, rule
	}}
}

// orEmpty is the kind for headers that may stand without a value.
func (k kind) orEmpty() kind {
	k.empty = true
	return k
}

// CheckHeader judges the whole value of a known header field, a comma list with
// all its values, by the grammar of its RFC, without the liberties that
// [Message.Check] takes. Other headers have any value. The error is a
// *ParseError whose offset counts from the start of value.
func CheckHeader(id HeaderID, value []byte) error {
	if offset, rule := id.judge(value); rule != "" {
		return ruleError(id.String(), offset, rule)
	}
	return nil
}

// judge returns the first rule that b breaks, and where.
func (id HeaderID) judge(b []byte) (offset int, rule string) {
	if id == HdrOther || id >= numHeaders {
		return 0, ""
	}
	h := &headers[id]
	if b = trimEnd(b); skipSpace(b, 0) == len(b) {
		if h.kind.empty {
			return 0, ""
		}
		return 0, "the header has a value"
	}
	for i := 0; ; i++ {
		i = skipSpace(b, i)
		end, rule := h.kind.judge(b, i)
		if rule != "" {
			return max(end, i), rule
		}
		if i = skipSpace(b, end); i == len(b) {
			return 0, ""
		}
		if h.shape != list || b[i] != ',' {
			return i, "nothing follows the value, and commas stand between values of a list"
		}
	}
}

// CheckAll is Check and then judges every known header of the message by
// [CheckHeader]: for a user agent that wants to be strict, and for tests. The
// error is a *ParseError whose offset counts from the start of the message.
func (m *Message) CheckAll() error {
	if err := m.check(); err != nil {
		return err
	}
	for i := range m.fields {
		f := &m.fields[i]
		if offset, rule := f.id.judge(m.at(f.value)); rule != "" {
			return ruleError(f.id.String(), int(f.value.start)+offset, rule)
		}
	}
	return nil
}

// first parses the first value of a header.
func first[T any](m *Message, id HeaderID, parse parser[T]) (v T, err error) {
	i := int(m.first[id])
	if i == 0 {
		return v, ErrAbsent
	}
	v, _, err = parseField(m, m.fields[i-1], 0, parse)
	return v, err
}

// parseField parses the value at i of a field and returns where it ends: at a
// comma or the field's end.
func parseField[T any](m *Message, f field, i int, parse parser[T]) (v T, end int, err error) {
	b := m.at(f.value)
	v, end, rule := parse(b, i)
	if rule == "" {
		if end = skipSpace(b, end); end == len(b) || b[end] == ',' && headers[f.id].shape == list {
			return v, end, nil
		}
		rule = "nothing follows the value"
	}
	var none T
	return none, len(b), ruleError(f.id.String(), int(f.value.start)+end, rule)
}

// values parses every value of a header in order. A value that is malformed
// yields its error and ends its field.
func values[T any](m *Message, id HeaderID, parse parser[T]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for n := int(m.first[id]) - 1; n >= 0 && n < len(m.fields); n++ {
			if m.fields[n].id != id {
				continue
			}
			b := m.at(m.fields[n].value)
			for i := 0; i < len(b); {
				v, end, err := parseField(m, m.fields[n], i, parse)
				if !yield(v, err) {
					return
				}
				i = skipSpace(b, end+1)
			}
		}
	}
}

// paramRule says what the value of a parameter is.
type paramRule struct {
	name string
	ok   func(value []byte) bool
	rule string
}

// maxParams is how many parameters a strict header has; their names are compared
// with one another.
const maxParams = 64

// judgeParams looks for a parameter that stands twice (RFC 3261 §7.3.1) or has
// no value that it may have.
func judgeParams(p Params, rules ...paramRule) string {
	n := 0
	for rest := []byte(p); len(rest) > 0; n++ {
		var name, v []byte
		name, v, rest = nextParam(rest)
		if n == maxParams {
			return "a value has at most 64 parameters"
		}
		if len(rest) > 0 && paramIn(rest, name) {
			return "a parameter stands at most once (RFC 3261 §7.3.1)"
		}
		for i := range rules {
			if equalFold(name, rules[i].name) && !rules[i].ok(v) {
				return rules[i].rule
			}
		}
	}
	return ""
}

// paramIn says whether p has a parameter of that name.
func paramIn(p, name []byte) bool {
	for n := 0; len(p) > 0 && n < maxParams; n++ {
		var other []byte
		if other, _, p = nextParam(p); len(other) == len(name) && equalFold(other, name) {
			return true
		}
	}
	return false
}

// What values of parameters are.
func isToken(v []byte) bool    { return all(v, classToken) }
func isEmpty(v []byte) bool    { return len(v) == 0 }
func isDigits(v []byte) bool   { return all(v, classDigit) }
func isQuoted(v []byte) bool   { return len(v) > 0 && v[0] == '"' && endQuoted(v, 0) == len(v) }
func isSeconds(v []byte) bool  { _, ok := number(v, maxSeconds); return ok }
func isTTL(v []byte) bool      { _, ok := number(v, 255); return ok && len(v) <= 3 }
func isHost(v []byte) bool     { return strictHost(v) }
func isQValue(v []byte) bool   { _, ok := qvalue(v); return ok }
func isLowerHex(v []byte) bool { return endOfAny(v, "0123456789abcdef") == len(v) }

// endOfAny reads bytes that are in set.
func endOfAny(b []byte, set string) (i int) {
	for ; i < len(b); i++ {
		found := false
		for j := 0; j < len(set) && !found; j++ {
			found = b[i] == set[j]
		}
		if !found {
			break
		}
	}
	return i
}

// qvalue reads a number from 0 to 1 with up to three decimals and returns it in
// thousandths (RFC 3261 §25.1).
func qvalue(v []byte) (thousandths int, ok bool) {
	if len(v) == 0 || len(v) > 5 || v[0] != '0' && v[0] != '1' || len(v) > 1 && v[1] != '.' {
		return 0, false
	}
	thousandths = int(v[0]-'0') * 1000
	for i, unit := 2, 100; i < len(v); i, unit = i+1, unit/10 {
		if class[v[i]]&classDigit == 0 {
			return 0, false
		}
		thousandths += int(v[i]-'0') * unit
	}
	return thousandths, thousandths <= 1000
}

// Q returns the preference that a parameter q gives, in thousandths, 1000 when
// none is there (RFC 3261 §20.1, §20.10). A malformed one counts for nothing.
func (p Params) Q() int {
	v, ok := p.Get("q")
	if !ok {
		return 1000
	}
	n, _ := qvalue(v)
	return n
}

// unquote returns what stands between the quotes of v, quoted-pairs kept; v
// itself when it has none.
func unquote(v []byte) []byte {
	if isQuoted(v) {
		return v[1 : len(v)-1]
	}
	return v
}

// AppendUnquoted appends what a quoted string stands for: without quotes, each
// quoted-pair as the character it is (RFC 3261 §25.1). Other text stays.
func AppendUnquoted(dst, v []byte) []byte {
	if !isQuoted(v) {
		return append(dst, v...)
	}
	for i := 1; i < len(v)-1; i++ {
		if v[i] == '\\' {
			i++
		}
		dst = append(dst, v[i])
	}
	return dst
}

// AppendQuoted appends text as a quoted string.
func AppendQuoted(dst, text []byte) []byte {
	dst = append(dst, '"')
	for _, c := range text {
		if c == '"' || c == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, c)
	}
	return append(dst, '"')
}

// params reads the parameters at i of a value and judges them.
func params(b []byte, i int, rules ...paramRule) (p Params, end int, rule string) {
	start := skipSpace(b, i)
	if end, _ = endParams(b, start); end < 0 || end < len(b) && b[end] != ',' {
		return nil, start, "a parameter is empty or malformed"
	}
	p = Params(trimEnd(b[start:end]))
	if rule = judgeParams(p, rules...); rule != "" {
		return nil, start, rule
	}
	return p, end, ""
}
