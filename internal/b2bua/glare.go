package b2bua

import (
	"bytes"
	"slices"

	"github.com/sallyport-sip/sallyport/internal/cross"
	"github.com/sallyport-sip/sallyport/sip"
)

// Glare: both sides want to change the session at once. The gateway is the UAS
// of the one and the UAC of the other, so it sees each glare first, on whatever
// wire the two requests pass each other, and refuses what the far side would
// have to refuse. Who sent it tries again after the time that is his: 2.1 to 4
// seconds as owner of the leg's Call-ID, up to 2 seconds otherwise (RFC 3261
// §14.1). A caller owns his leg's Call-ID and a target does not, so two sides
// never choose from the same interval.

// glare refuses an INVITE or UPDATE that may not cross now; nil when it may, and
// for other methods.
func (c *Call) glare(f *fork, m *sip.Message) *sip.StatusError {
	switch m.Method() {
	case sip.INVITE:
		if err := c.inviting(f); err != nil {
			return err
		}
		return f.offers()
	case sip.UPDATE:
		// "If an UPDATE is received before the UAS has generated a final response to
		// a previous UPDATE on the same dialog, the UAS MUST return a 500 response to
		// the new UPDATE, and MUST include a Retry-After header field" (RFC 3311 §5.2).
		for _, x := range c.passing {
			if x.method == sip.UPDATE && x.near == f {
				return cross.Later()
			}
		}
		if describes(m) {
			return f.offers()
		}
	}
	return nil
}

// inviting refuses an INVITE in a dialog while another is under way. "A UAS that
// receives a second INVITE before it sends the final response to a first INVITE
// ... on the same dialog MUST return a 500 ... and MUST include a Retry-After
// header field with a randomly chosen value of between 0 and 10 seconds." "A
// UAS that receives an INVITE on a dialog while an INVITE it had sent on that
// dialog is in progress MUST return a 491" (RFC 3261 §14.2); the same while one
// was answered and has no ACK yet.
func (c *Call) inviting(f *fork) *sip.StatusError {
	if c.state == trying && f.leg == c.in {
		return cross.Later()
	}
	for _, x := range c.passing {
		if x.method == sip.INVITE && x.near == f {
			return cross.Later()
		} else if x.method == sip.INVITE {
			return pending()
		}
	}
	if c.state == trying || slices.ContainsFunc(c.answers, func(n *answer) bool { return !n.acked }) {
		return pending()
	}
	return nil
}

// offers refuses an offer of f's peer while another has no answer: with 491 when
// that is the other side's, with 500 when it is f's own (RFC 3311 §5.2).
func (f *fork) offers() *sip.StatusError {
	switch {
	case f.joined.offering:
		return pending()
	case f.offering:
		return cross.Later()
	}
	return nil
}

func pending() *sip.StatusError { return &sip.StatusError{Code: 491} }

// Whose offer waits for its answer is noted at each message that crosses, by the
// pairs of RFC 3262 §5, RFC 3311 §5 and RFC 3261 §13.2.1: INVITE and its first
// response with a description, a 2xx and its ACK, a reliable 1xx and its PRACK,
// PRACK or UPDATE and their 2xx. An answer in an unreliable 1xx counts, as it
// does for callers.

// requested notes a request that crosses from f. The ACK is noted in answer.go.
func (f *fork) requested(m *sip.Message) {
	switch m.Method() {
	case sip.INVITE:
		f.offering, f.described = describes(m), false
	case sip.UPDATE:
		f.offering = f.offering || describes(m)
	case sip.PRACK:
		// It has the answer to the far side's offer in the 1xx, or else perhaps an
		// offer.
		f.offering = describes(m) && !f.joined.offering || f.offering
		f.joined.offering = false
	}
}

// void takes back what f offered in a request that failed without a response.
func (f *fork) void(method sip.Method) {
	switch method {
	case sip.INVITE:
		f.offering, f.described = false, false
		if f.joined != nil {
			f.joined.offering = false
		}
	case sip.PRACK, sip.UPDATE:
		f.offering = false
	}
}

// responded notes a response that crosses to f, the side that sent the request.
func (f *fork) responded(method sip.Method, m *sip.Message) {
	code, far := m.StatusCode(), f.joined
	if far == nil {
		return // the other dialog is over
	}
	if method != sip.INVITE {
		if code >= 200 && (method == sip.PRACK || method == sip.UPDATE) {
			f.offering = false
		}
		return
	}
	switch {
	case code >= 300:
		f.offering, far.offering = false, false
	case !describes(m) || f.described: // what comes after the first repeats it
	case f.offering:
		f.offering, f.described = false, true
	case code >= 200 || m.Has(sip.HdrRSeq):
		far.offering, f.described = true, true
	}
	if code >= 200 {
		f.offering, f.described = false, false
	}
}

// describes says whether a message has a session description, alone or as a part
// of its body.
func describes(m *sip.Message) bool {
	if len(m.Body()) == 0 {
		return false
	}
	t := bytes.ToLower(m.First(sip.HdrContentType))
	return bytes.HasPrefix(t, []byte("application/sdp")) ||
		bytes.HasPrefix(t, []byte("multipart/")) && bytes.Contains(bytes.ToLower(m.Body()), []byte("application/sdp"))
}
