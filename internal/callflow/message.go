package callflow

import (
	"bytes"
	"strconv"

	"github.com/sallyport-sip/sallyport/sip"
)

// A message is what a ladder needs to know of a SIP message. It owns its strings.
type message struct {
	request bool
	method  sip.Method // of a response: the CSeq method
	code    int
	reason  string
	callID  string
	branch  string
	cseq    uint32
	fromTag string
	toTag   string
	from    string // user@host
	to      string
	sdp     bool
	// of a NOTIFY: the subscription ends with it
	terminated bool
	// of a request: the UUID of who sends it (RFC 7989)
	session string
	// of a request: what it names of other calls
	names  []naming
	detail *detail // nil for a 100, and for what names no call
}

// read takes from the bytes what can be indexed; ok is false when that does not name a call.
func read(raw []byte) (m message, ok bool) {
	p := sip.Acquire()
	defer p.Release()
	_ = p.Load(raw) // a message with an error is recorded too: what could be indexed stays readable
	m = message{
		request: p.IsRequest(), method: p.Method(), code: p.StatusCode(), reason: string(p.Reason()),
		callID: string(p.CallID()), sdp: hasSDP(p),
	}
	if m.method == sip.NOTIFY {
		state, _, _ := bytes.Cut(p.First(sip.HdrSubscriptionState), []byte(";"))
		m.terminated = bytes.EqualFold(bytes.TrimSpace(state), []byte("terminated"))
	}
	if m.request {
		if id, err := p.SessionID(); err == nil && !sip.NullUUID(id.Local) {
			m.session = string(id.Local)
		}
		m.names = names(p)
	}
	if via, err := p.Via(); err == nil {
		m.branch = string(via.Branch())
	}
	if c, err := p.CSeq(); err == nil {
		m.cseq = c.Seq
	}
	if a, err := p.From(); err == nil {
		m.from, m.fromTag = who(a), string(a.Tag())
	}
	if a, err := p.To(); err == nil {
		m.to, m.toTag = who(a), string(a.Tag())
	}
	if m.callID == "" || m.method == "" {
		return m, false
	}
	if m.code != 100 {
		m.detail = detailOf(p, raw)
	}
	return m, true
}

// who is user@host, or the URI as it stands when it is not a SIP URI.
func who(a sip.Address) string {
	u, err := a.URI()
	switch {
	case err != nil || len(u.Host) == 0:
		return string(a.RawURI)
	case len(u.User) == 0:
		return string(u.Host)
	}
	return string(u.User) + "@" + string(u.Host)
}

func hasSDP(p *sip.Message) bool {
	const kind = "application/sdp"
	v := p.First(sip.HdrContentType)
	return len(p.Body()) > 0 && len(v) >= len(kind) && bytes.EqualFold(v[:len(kind)], []byte(kind))
}

// label is the text inside the arrow.
func (m *message) label() string {
	var s string
	switch {
	case m.request:
		s = string(m.method)
	default:
		s = strconv.Itoa(m.code) + " " + m.phrase()
		if m.method != sip.INVITE {
			s += " (" + string(m.method) + ")"
		}
	}
	if m.sdp {
		s += " (SDP)"
	}
	return s
}

func (m *message) phrase() string {
	if m.reason != "" {
		return m.reason
	}
	return sip.StatusText(m.code)
}

// initial reports whether the message is an INVITE outside any dialog (RFC 3261 §12.2): it begins a leg.
func (m *message) initial() bool { return m.request && m.method == sip.INVITE && m.toTag == "" }

// key is equal for a message and its retransmissions in the same direction. A 2xx is retransmitted by its user agent
// and not by a transaction, so the To tag keeps the answers of two branches of a fork apart.
func (m *message) key(out bool) string {
	return strconv.FormatBool(out) + string(m.method) + strconv.Itoa(m.code) + " " +
		strconv.FormatUint(uint64(m.cseq), 10) + " " + m.branch + " " + m.toTag
}
