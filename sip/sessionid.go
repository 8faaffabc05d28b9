package sip

// SessionID is the value of Session-ID: one UUID of each side of a session
// (RFC 7989 §5). Who follows the older RFC 7329 sends one alone.
type SessionID struct {
	Local  []byte // of who sent the message: 32 small hexadecimal digits
	Remote []byte // of the other side as far as the sender knows it; nil in the older form
	Params Params // all parameters, remote among them
}

// nullUUID stands for a side that is not known yet (RFC 7989 §5).
const nullUUID = "00000000000000000000000000000000"

// NullUUID says whether a UUID is the null one.
func NullUUID(uuid []byte) bool { return string(uuid) == nullUUID }

// Append appends the value as it is written.
func (s SessionID) Append(dst []byte) []byte { return append(append(dst, s.Local...), s.Params...) }

// SessionID returns the Session-ID header, ErrAbsent when there is none.
func (m *Message) SessionID() (SessionID, error) { return first(m, HdrSessionID, parseSessionID) }

func parseSessionID(b []byte, i int) (s SessionID, end int, rule string) {
	const uuidRule = "a UUID is 32 small hexadecimal digits (RFC 7989 §5)"
	if end = endOf(b, i, classToken); !isUUID(b[i:end]) {
		return s, i, uuidRule
	}
	s.Local = b[i:end]
	s.Params, end, rule = params(b, end, paramRule{"remote", isUUID, uuidRule})
	s.Remote, _ = s.Params.Get("remote")
	return s, end, rule
}

func isUUID(v []byte) bool { return len(v) == len(nullUUID) && isLowerHex(v) }
