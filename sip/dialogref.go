package sip

import "iter"

// DialogRef names a dialog, as Replaces (RFC 3891 §6.1), Join (RFC 3911 §7.1) and
// Target-Dialog (RFC 4538 §7) do.
type DialogRef struct {
	CallID []byte
	Params Params
}

// ToTag returns the to-tag of Replaces and Join, or the remote-tag of
// Target-Dialog.
func (d DialogRef) ToTag() []byte { return d.either("to-tag", "remote-tag") }

// FromTag returns the from-tag of Replaces and Join, or the local-tag of
// Target-Dialog.
func (d DialogRef) FromTag() []byte { return d.either("from-tag", "local-tag") }

func (d DialogRef) either(a, b string) []byte {
	v, ok := d.Params.Get(a)
	if !ok {
		v, _ = d.Params.Get(b)
	}
	return v
}

// EarlyOnly says whether a Replaces is only for a dialog that is early yet.
func (d DialogRef) EarlyOnly() bool {
	_, ok := d.Params.Get("early-only")
	return ok
}

// Append appends the value as it is written.
func (d DialogRef) Append(dst []byte) []byte { return append(append(dst, d.CallID...), d.Params...) }

// Replaces returns the Replaces header, ErrAbsent when there is none.
func (m *Message) Replaces() (DialogRef, error) { return first(m, HdrReplaces, parseReplaces) }

// Join returns the Join header, ErrAbsent when there is none.
func (m *Message) Join() (DialogRef, error) { return first(m, HdrJoin, parseReplaces) }

// TargetDialog returns the Target-Dialog header, ErrAbsent when there is none.
func (m *Message) TargetDialog() (DialogRef, error) {
	return first(m, HdrTargetDialog, parseTargetDialog)
}

func parseReplaces(b []byte, i int) (DialogRef, int, string) {
	return dialogRef(b, i, "to-tag", "from-tag")
}

func parseTargetDialog(b []byte, i int) (DialogRef, int, string) {
	return dialogRef(b, i, "local-tag", "remote-tag")
}

func dialogRef(b []byte, i int, tag1, tag2 string) (d DialogRef, end int, rule string) {
	if d.CallID, end, rule = parseCallID(b, i); rule != "" {
		return d, end, rule
	}
	d.Params, end, rule = params(b, end,
		paramRule{tag1, isToken, "the tags are tokens"},
		paramRule{tag2, isToken, "the tags are tokens"},
		paramRule{"early-only", isEmpty, "early-only has no value"})
	if rule != "" {
		return d, end, rule
	}
	_, ok1 := d.Params.Get(tag1)
	_, ok2 := d.Params.Get(tag2)
	if !ok1 || !ok2 {
		return d, i, "a Call-ID and both tags of the dialog"
	}
	return d, end, ""
}

// parseCallID reads word [ "@" word ] (RFC 3261 §20.8).
func parseCallID(b []byte, i int) (id []byte, end int, rule string) {
	const callIDRule = "a word, or two with an @ between"
	end = endOf(b, i, classWord)
	if end == i {
		return nil, i, callIDRule
	}
	if at(b, end, '@') {
		start := end + 1
		if end = endOf(b, start, classWord); end == start {
			return nil, start, callIDRule
		}
	}
	return b[i:end], end, ""
}

// CallIDs returns every value of In-Reply-To: the calls that the message answers
// (RFC 3261 §20.21).
func (m *Message) CallIDs() iter.Seq2[[]byte, error] { return values(m, HdrInReplyTo, parseCallID) }
