package filter

import (
	"bytes"
	"iter"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/store"
)

// A subject is what a filter judges.
type subject struct {
	of       func(*key) (n found, ok bool) // what it has under a key; not ok: that cannot be said of it
	contains func(text string, everything bool) bool
}

// Flow reports whether the filter wants a flow.
func (f *Filter) Flow(fl *callflow.Flow) bool {
	return f.Empty() || f.wants(&subject{
		of: func(k *key) (found, bool) {
			if k.flow == nil {
				return found{}, false
			}
			return k.flow(fl), true
		},
		contains: func(text string, everything bool) bool { return flowContains(fl, text, everything) },
	})
}

// Call reports whether the filter wants a record of a call.
func (f *Filter) Call(c *store.CDR) bool {
	return f.Empty() || f.wants(&subject{
		of: func(k *key) (found, bool) {
			if k.call == nil {
				return found{}, false
			}
			return k.call(c), true
		},
		contains: func(text string, _ bool) bool { return holds(callTexts(c), text) },
	})
}

// Handshake reports whether the filter wants a record of a handshake.
func (f *Filter) Handshake(h *callflow.Handshake) bool {
	return f.Empty() || f.wants(&subject{
		of: func(k *key) (found, bool) {
			if k.shake == nil {
				return found{}, false
			}
			return k.shake(h), true
		},
		contains: func(text string, _ bool) bool { return holds(shakeTexts(h), text) },
	})
}

func (f *Filter) wants(s *subject) bool {
	for _, c := range f.clauses {
		if !slices.ContainsFunc(c, func(t term) bool { return t.holds(s) }) {
			return false
		}
	}
	return true
}

func (t *term) holds(s *subject) bool {
	switch {
	case t.saved != nil:
		return t.saved.wants(s) != t.not
	case t.key == nil:
		return s.contains(bareWord(&t.values[0]), false) != t.not
	case t.key.name == "text":
		return slices.ContainsFunc(t.values, func(v val) bool { return s.contains(v.text, true) }) != t.not
	}
	n, ok := s.of(t.key)
	return ok && t.fits(n) != t.not
}

// bareWord is what a word that stands alone looks for. A scheme is no part of what is listed, and asterisks at the ends go without
// saying.
func bareWord(v *val) string {
	if v.literal {
		return v.text
	}
	word := strings.Trim(v.text, "*")
	for _, s := range schemes {
		if rest, ok := strings.CutPrefix(word, s+":"); ok && rest != "" {
			return rest
		}
	}
	return word
}

func (t *term) fits(n found) bool {
	switch t.key.kind {
	case moment:
		return slices.ContainsFunc(n.numbers, func(at int64) bool {
			return slices.ContainsFunc(t.values, func(v val) bool { return (at >= v.number) == (t.key.name == "since") })
		})
	case number, duration:
		return slices.ContainsFunc(n.numbers, func(m int64) bool {
			return t.compare(m) || t.op == is && slices.ContainsFunc(t.values, func(v val) bool {
				return strings.Contains(v.text, "*") && v.fits(strconv.FormatInt(m, 10))
			})
		})
	case address:
		return slices.ContainsFunc(n.texts, func(s string) bool {
			return slices.ContainsFunc(t.values, func(v val) bool { return v.addresses(s) })
		})
	}
	return slices.ContainsFunc(n.texts, func(s string) bool {
		return slices.ContainsFunc(t.values, func(v val) bool { return t.key.cased && v.is(s) || !t.key.cased && v.fits(s) })
	})
}

// addresses reports whether a value is an address as a person may write it: whole, the user alone, or the host alone. Where only the
// user is known, only that counts.
func (v *val) addresses(s string) bool {
	want := *v
	for _, scheme := range schemes {
		want.text = strings.TrimPrefix(want.text, scheme+":")
	}
	if want.fits(s) {
		return s != "" || want.text == ""
	}
	user, host, both := strings.Cut(s, "@")
	wantUser, _, whole := strings.Cut(want.text, "@")
	switch {
	case both && !whole:
		return want.fits(user) || want.fits(host)
	case !both && whole:
		want.text = wantUser
		return want.fits(s)
	}
	return false
}

// must are the terms that hold of everything that the filter wants.
func (f *Filter) must() iter.Seq[*term] {
	return func(yield func(*term) bool) { f.eachMust(yield) }
}

func (f *Filter) eachMust(yield func(*term) bool) bool {
	if f == nil {
		return true
	}
	for _, c := range f.clauses {
		if len(c) != 1 || c[0].not {
			continue
		}
		if c[0].saved != nil {
			if !c[0].saved.eachMust(yield) {
				return false
			}
		} else if !yield(&c[0]) {
			return false
		}
	}
	return true
}

func holds(all iter.Seq[string], text string) bool {
	for s := range all {
		if containsFold(s, text) {
			return true
		}
	}
	return false
}

// flowContains looks where a person would: the numbers, names and addresses, the Call-IDs, the sentence, and what is wrong. With
// everything it looks at the rows and into the messages too.
func flowContains(f *callflow.Flow, text string, everything bool) bool {
	if holds(flowTexts(f), text) {
		return true
	}
	if !everything {
		return false
	}
	for i := range f.Rows {
		r := &f.Rows[i]
		if containsFold(r.Label, text) || containsFold(r.Note, text) || containsFoldBytes(r.Raw, text) {
			return true
		}
	}
	return false
}

func flowTexts(f *callflow.Flow) iter.Seq[string] {
	return func(yield func(string) bool) {
		ok := yield(f.ID) && yield(f.Sentence) && yield(f.From) && yield(f.To) && yield(f.Session)
		for _, l := range f.Legs {
			ok = ok && yield(l.Peer) && yield(l.CallID)
			for i := range l.Hop.Verdicts {
				v := &l.Hop.Verdicts[i]
				ok = ok && (v.Accepted || yield(v.Code) && yield(v.Reason))
			}
		}
		for i := range f.Lifelines {
			ok = ok && yield(f.Lifelines[i].Name) && yield(f.Lifelines[i].Address)
		}
		for i := range f.Findings {
			ok = ok && yield(f.Findings[i].Code) && yield(f.Findings[i].Sentence)
		}
	}
}

func callTexts(c *store.CDR) iter.Seq[string] {
	return func(yield func(string) bool) {
		ok := yield(c.ID) && yield(c.Flow()) && yield(c.Caller) && yield(c.Called) && yield(c.Route) && yield(c.Cause.Text) && yield(c.Cause.Reason) && yield(c.Verdict)
		for l := range sides(c) {
			ok = ok && yield(l.Peer) && yield(l.CallID) && yield(l.Remote) && yield(l.Text) && yield(l.Reason)
			if l.TLS != nil {
				for _, name := range l.TLS.Identity {
					ok = ok && yield(name)
				}
			}
		}
	}
}

func shakeTexts(h *callflow.Handshake) iter.Seq[string] {
	return func(yield func(string) bool) {
		ok := yield(h.ID) && yield(h.Peer) && yield(h.Address) && yield(h.Listener) && yield(h.Code) && yield(h.Sentence) &&
			yield(h.Remote.String()) && yield(h.Offered.ServerName)
		for _, all := range [][]string{h.NamesFound, h.NamesWanted} {
			for _, name := range all {
				ok = ok && yield(name)
			}
		}
		for i := range h.Verdicts {
			ok = ok && yield(h.Verdicts[i].Reason)
		}
	}
}

// containsFold reports whether text stands in s, without regard to case.
func containsFold(s, text string) bool {
	if len(text) > len(s) && isASCII(text) {
		return false
	}
	if isASCII(text) {
		first := text[0] | 0x20
		for i := 0; i+len(text) <= len(s); i++ {
			if s[i]|0x20 == first && strings.EqualFold(s[i:i+len(text)], text) {
				return true
			}
		}
		return false
	}
	return strings.Contains(strings.ToLower(s), strings.ToLower(text))
}

func containsFoldBytes(b []byte, text string) bool {
	if isASCII(text) {
		first := text[0] | 0x20
		for i := 0; i+len(text) <= len(b); i++ {
			if b[i]|0x20 == first && bytes.EqualFold(b[i:i+len(text)], []byte(text)) {
				return true
			}
		}
		return false
	}
	return bytes.Contains(bytes.ToLower(b), []byte(strings.ToLower(text)))
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf || s[i] > unicode.MaxASCII {
			return false
		}
	}
	return s != ""
}

// methods are those of the requests in a flow. The first word of a message tells.
func methods(f *callflow.Flow) (n found) {
	for i := range f.Rows {
		word, _, ok := bytes.Cut(f.Rows[i].Raw, []byte(" "))
		if ok && !bytes.HasPrefix(word, []byte("SIP/")) && !slices.Contains(n.texts, string(word)) {
			n.texts = append(n.texts, string(word))
		}
	}
	return n
}

// codes are those of the responses in a flow.
func codes(f *callflow.Flow) (n found) {
	for i := range f.Rows {
		version, rest, ok := bytes.Cut(f.Rows[i].Raw, []byte(" "))
		if !ok || !bytes.HasPrefix(version, []byte("SIP/")) || len(rest) < 3 {
			continue
		}
		if code, err := strconv.Atoi(string(rest[:3])); err == nil && !slices.Contains(n.numbers, int64(code)) {
			n.numbers = append(n.numbers, int64(code))
		}
	}
	return n
}
