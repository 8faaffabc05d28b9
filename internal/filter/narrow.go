package filter

import (
	"cmp"
	"iter"
	"strings"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/store"
)

// Calls is a search in the store that finds all records of calls that the filter wants, and perhaps more. What the store finds
// quickly is taken from the conditions that hold of everything wanted: times, numbers, peers, Call-IDs and states.
func (f *Filter) Calls() store.Filter {
	var s store.Filter
	s.Since, s.Until = f.Bounds()
	for t := range f.must() {
		if t.key == nil || t.op != is || len(t.values) != 1 {
			continue
		}
		v := &t.values[0]
		switch t.key.name {
		case "from", "to", "number":
			if n := numberPattern(v); s.Number == "" && n != "" {
				s.Number = n
			}
		case "peer":
			s.Peer = orExact(s.Peer, v)
		case "call-id":
			s.CallID = orExact(s.CallID, v)
		case "id":
			if run, number, ok := strings.Cut(v.text, "-"); ok && s.Flow == "" && run != "conn" && run != "leg" && strings.Trim(number, "0123456789") == "" && run == strings.ToLower(run) {
				s.Flow = v.text
			}
		case "tls.reason":
			s.Reason = cmp.Or(s.Reason, orLower(v))
		case "code":
			if v.number >= 300 {
				s.Reason = cmp.Or(s.Reason, itoa(int(v.number)))
			}
		case "security":
			s.Verdict = cmp.Or(s.Verdict, orLower(v))
		case "state":
			narrowState(&s, v)
		}
	}
	return s
}

// orExact is what is known already, else the value where it names one thing only. The store compares with regard to case.
func orExact(known string, v *val) string {
	if known != "" || strings.Contains(v.text, "*") {
		return known
	}
	return v.text
}

// orLower is the value of one of a few words, all of which are in lower case; empty when it stands for several.
func orLower(v *val) string { return strings.ToLower(orExact("", v)) }

// numberPattern is a value as the store wants it: a number, or its beginning and an asterisk; empty when it cannot be had so. A word
// may be a host as well, of which a record knows nothing, so only what looks like a number counts.
func numberPattern(v *val) string {
	text := v.text
	for _, s := range schemes {
		text = strings.TrimPrefix(text, s+":")
	}
	text, _, _ = strings.Cut(text, "@")
	plain := strings.TrimSuffix(text, "*")
	if plain == "" || v.literal || strings.Trim(plain, "+0123456789#") != "" {
		return ""
	}
	return text
}

func narrowState(s *store.Filter, v *val) {
	if s.State != "" || s.Failed {
		return
	}
	switch v.text {
	case string(callflow.StateRinging), string(store.Opened):
		s.State = store.Opened
	case string(callflow.StateBusy):
		s.State = store.Refused
	case string(callflow.StateFailed):
		s.Failed = true
	case string(store.Answered), string(store.Ended), string(store.Cancelled), string(store.Interrupted):
		s.State = store.State(v.text)
	}
}

// Handshakes is the same for records of handshakes.
func (f *Filter) Handshakes() callflow.HandshakeFilter {
	var h callflow.HandshakeFilter
	h.Since, h.Until = f.Bounds()
	for t := range f.must() {
		if t.key == nil || t.op != is || len(t.values) != 1 {
			continue
		}
		v := &t.values[0]
		switch t.key.name {
		case "peer":
			h.Peer = orExact(h.Peer, v)
		case "role":
			h.Role = cmp.Or(h.Role, orLower(v))
		case "state":
			h.Failed = h.Failed || v.text == string(callflow.StateFailed) || v.text == string(callflow.StateRefused)
		}
	}
	return h
}

// Narrow is a search in the store that is wanted already, with what the filter narrows it to besides. What both say is left as it was.
func (f *Filter) Narrow(s store.Filter) store.Filter {
	n := f.Calls()
	if n.Since.After(s.Since) {
		s.Since = n.Since
	}
	if !n.Until.IsZero() && (s.Until.IsZero() || n.Until.Before(s.Until)) {
		s.Until = n.Until
	}
	s.Number, s.Peer, s.CallID = cmp.Or(s.Number, n.Number), cmp.Or(s.Peer, n.Peer), cmp.Or(s.CallID, n.CallID)
	s.Reason, s.Flow = cmp.Or(s.Reason, n.Reason), cmp.Or(s.Flow, n.Flow)
	s.State, s.Verdict, s.Failed = cmp.Or(s.State, n.State), cmp.Or(s.Verdict, n.Verdict), s.Failed || n.Failed
	return s
}

// Only are those of a search that the filter wants, at most so many; 0: all.
func (f *Filter) Only(found iter.Seq2[*store.CDR, error], limit int) iter.Seq2[*store.CDR, error] {
	return func(yield func(*store.CDR, error) bool) {
		n := 0
		for c, err := range found {
			if err == nil && !f.Call(c) {
				continue
			}
			if n++; !yield(c, err) || n == limit {
				return
			}
		}
	}
}

// NarrowHandshakes is Narrow for handshakes. When the filter wants less than it narrows to, the limit is left to OnlyHandshakes.
func (f *Filter) NarrowHandshakes(s callflow.HandshakeFilter) callflow.HandshakeFilter {
	if f.Empty() {
		return s
	}
	n := f.Handshakes()
	if n.Since.After(s.Since) {
		s.Since = n.Since
	}
	if !n.Until.IsZero() && (s.Until.IsZero() || n.Until.Before(s.Until)) {
		s.Until = n.Until
	}
	s.Peer, s.Role = cmp.Or(s.Peer, n.Peer), cmp.Or(s.Role, n.Role)
	s.Failed, s.Limit = s.Failed || n.Failed, 0
	return s
}

// OnlyHandshakes are those that the filter wants, the first so many of them; 0: all.
func (f *Filter) OnlyHandshakes(found []*callflow.Handshake, limit int) []*callflow.Handshake {
	if f.Empty() {
		return found
	}
	var all []*callflow.Handshake
	for _, h := range found {
		if f.Handshake(h) && (limit == 0 || len(all) < limit) {
			all = append(all, h)
		}
	}
	return all
}
