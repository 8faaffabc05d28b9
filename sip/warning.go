package sip

import (
	"iter"
	"strconv"
)

// Warning is one value of the Warning header (RFC 3261 §20.43).
type Warning struct {
	Code  int    // 300 to 399 in SIP
	Agent []byte // host and port, or a pseudonym, of who warns
	Text  []byte // with its quotes
}

// Append appends the warning as it is written.
func (w Warning) Append(dst []byte) []byte {
	dst = append(strconv.AppendInt(dst, int64(w.Code), 10), ' ')
	return append(append(append(dst, w.Agent...), ' '), w.Text...)
}

// Warnings returns every value of Warning.
func (m *Message) Warnings() iter.Seq2[Warning, error] { return values(m, HdrWarning, parseWarning) }

const warningRule = "three digits, a host or a name, and a quoted text, single spaces between"

func parseWarning(b []byte, i int) (w Warning, end int, rule string) {
	end = endOf(b, i, classDigit)
	n, ok := number(b[i:end], 999)
	if !ok || n < 100 || end != i+3 || !at(b, end, ' ') {
		return w, i, warningRule
	}
	w.Code = int(n)
	start := end + 1
	for end = start; end < len(b) && b[end] != ' '; end++ {
	}
	if w.Agent = b[start:end]; !warnAgent(w.Agent) {
		return w, start, "who warns is a host with or without a port, or a token"
	}
	start = min(end+1, len(b))
	if !at(b, start, '"') {
		return w, start, warningRule
	}
	if end = endQuoted(b, start); end < 0 {
		return w, start, "the text's quotes close"
	}
	w.Text = b[start:end]
	return w, end, ""
}

// warnAgent is hostport / pseudonym.
func warnAgent(b []byte) bool {
	if all(b, classToken) {
		return true
	}
	end := endHost(b, 0)
	if end == 0 || end == len(b) {
		return end > 0
	}
	_, last, ok := endPort(b, end+1)
	return b[end] == ':' && ok && last == len(b)
}
