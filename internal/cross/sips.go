package cross

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/peer"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/dialog"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// The rules for sips: in what arrives (RFC 5630). That nothing sips: leaves over a
// hop without TLS is Hop.Reach's and the routes' to see; docs/reference/sips.md has
// each rule with what keeps it.
//
// Where the RFC has two ways to refuse, the gateway takes 400 for URIs of one message
// that contradict each other, and 480 with Warning 380 or 381 for a message that is
// right and cannot be served.

// The texts of RFC 5630 §5.1.2 for the Warnings 380 and 381.
const (
	sipsNotAllowed = "SIPS Not Allowed"
	sipsRequired   = "SIPS Required"
)

// NotAllowed refuses what is sips: and cannot be had so.
func NotAllowed(place peer.Place, why error) *sip.StatusError {
	return &sip.StatusError{Code: 480, Header: fmt.Sprintf("Warning: 380 %s %q", place.HostPort, sipsNotAllowed), Err: why}
}

// Required refuses what is sip: and may only be sips:.
func Required(place peer.Place, why error) *sip.StatusError {
	return &sip.StatusError{Code: 480, Header: fmt.Sprintf("Warning: 381 %s %q", place.HostPort, sipsRequired), Err: why}
}

// Begins judges the URIs of a request outside of any dialog that came over a hop. It
// says whether the sender's side of the dialog that it makes is sips: "If the request
// that initiated the dialog contained a SIPS URI in the Request-URI or in the top
// Record-Route header field value, if there was any, or the Contact header field if
// there was no Record-Route header field, the Contact header field in the response
// MUST be a SIPS URI" (RFC 3261 §12.1.1).
func Begins(m *sip.Message, from *peer.Peer, over transport.Transport, place peer.Place) (sips bool, refusal *sip.StatusError) {
	uri, err := sip.ParseURI(m.RequestURI())
	if err != nil {
		return false, &sip.StatusError{Code: 400, Err: err}
	}
	asked := uri.Is("sips")
	if err := judged("Request-URI", uri, false, over); err != nil {
		return false, &sip.StatusError{Code: 400, Err: err}
	}
	contact, contactErr := contactOf(m)
	if contactErr == nil {
		// "If a UAS needs to reject a request because the URIs are used
		// inconsistently ... the UAS MUST reject the request with a 400" (RFC 5630 §5.1.2).
		if err := judged("Contact", contact, asked, over); err != nil {
			return false, &sip.StatusError{Code: 400, Err: err}
		}
	}
	next, hasNext := first(m, sip.HdrRecordRoute)
	for _, top := range [...]sip.HeaderID{sip.HdrRecordRoute, sip.HdrRoute} {
		if uri, ok := first(m, top); ok {
			if err := judged(top.String(), uri, false, over); err != nil {
				return false, &sip.StatusError{Code: 400, Err: err}
			}
		}
	}
	if !hasNext {
		next, hasNext = contact, contactErr == nil
	}
	sips = asked || hasNext && next.Is("sips")
	if sips && from.SIPS == config.SIPSNever {
		return false, NotAllowed(place, fmt.Errorf("peer %s: its profile has sips: never, and the request wants a sips: dialog", from.Name))
	}
	return sips, nil
}

// Moves says why a message inside a dialog, or one that makes ours, cannot be taken
// because of the scheme of where its sender wants our requests; nil when it can. In a
// sips: dialog that is a sips: URI (RFC 5630 §5.1.1.2, §5.1.2), and one that is sips:
// needs TLS. The first Record-Route counts where the message may set the route set.
func Moves(m *sip.Message, sips bool, over transport.Transport) error {
	if !dialog.Refreshes(m.Method()) || !m.IsRequest() && m.StatusCode() >= 300 {
		return nil
	}
	if contact, err := contactOf(m); err == nil {
		if err := judged("Contact", contact, sips, over); err != nil {
			return err
		}
	}
	if m.IsRequest() {
		return nil
	}
	if top, ok := last(m, sip.HdrRecordRoute); ok {
		return judged("Record-Route", top, false, over)
	}
	return nil
}

// judged says what is wrong with a URI as the place where requests are sent over a
// hop.
func judged(where string, uri sip.URI, sips bool, over transport.Transport) error {
	switch {
	case !uri.SIP():
		return nil // judged elsewhere
	case sips && !uri.Is("sips"):
		return fmt.Errorf("its %s is sip: and the request or dialog is sips: (RFC 5630 §5.1.1)", where)
	case uri.Is("sips") && strings.EqualFold(string(uri.Transport()), "udp"):
		return fmt.Errorf("its %s is sips: with transport=udp, over which there is no TLS (RFC 3261 §26.2.2)", where)
	case uri.Is("sips") && !over.Secure():
		return fmt.Errorf("its %s is sips: and it came over %v", where, over)
	}
	return nil
}

var errNone = errors.New("no Contact")

func contactOf(m *sip.Message) (sip.URI, error) {
	if !m.Has(sip.HdrContact) {
		return sip.URI{}, errNone
	}
	c, err := m.Contact()
	if err != nil {
		return sip.URI{}, err
	}
	return c.URI()
}

// first is the URI of the first value of a header with routes.
func first(m *sip.Message, id sip.HeaderID) (sip.URI, bool) {
	for v := range m.Values(id) {
		return uriIn(v)
	}
	return sip.URI{}, false
}

// last is that of the last one.
func last(m *sip.Message, id sip.HeaderID) (uri sip.URI, ok bool) {
	for v := range m.Values(id) {
		uri, ok = uriIn(v)
	}
	return uri, ok
}

func uriIn(value []byte) (sip.URI, bool) {
	a, err := sip.ParseAddress(value)
	if err != nil {
		return sip.URI{}, false
	}
	uri, err := a.URI()
	return uri, err == nil
}

// Redirected is what a redirection that is not followed means to the sender: where it
// leads only to the other scheme, nobody may follow it without being told to
// (RFC 5630 §5.3), and the sender hears which one is wanted.
func Redirected(m *sip.Message, sips bool, place peer.Place) *sip.StatusError {
	why := fmt.Errorf("redirected with %d, which is not followed", m.StatusCode())
	same, other := false, false
	for v := range m.Values(sip.HdrContact) {
		if uri, ok := uriIn(v); ok && uri.SIP() {
			same, other = same || uri.Is("sips") == sips, other || uri.Is("sips") != sips
		}
	}
	switch {
	case same || !other:
		return &sip.StatusError{Code: 480, Err: why}
	case sips:
		return NotAllowed(place, fmt.Errorf("%w: it leads a sips: request to sip: (RFC 5630 §5.3)", why))
	}
	return Required(place, fmt.Errorf("%w: it leads a sip: request to sips: (RFC 5630 §5.3)", why))
}

// Refers says why a REFER may not go from one side to the other, nil when it may. What
// it makes is derived from the dialog, which "cannot result in an effective downgrading
// of SIPS to SIP, without the explicit authorization of the entities involved"
// (RFC 5630 §5.1.1.3): where either side's profile has sips: required, its Refer-To has
// to be sips:. Elsewhere it crosses as it is, and who is to follow it decides; down says
// that it leads from sips: to sip:.
func Refers(m *sip.Message, from, to *peer.Peer, sips bool, place peer.Place) (down bool, refusal *sip.StatusError) {
	uri, ok := uriIn(bytes.TrimSpace(m.First(sip.HdrReferTo)))
	if m.Method() != sip.REFER || !ok || !uri.Is("sip") {
		return false, nil
	}
	for _, p := range [...]*peer.Peer{from, to} {
		if p.SIPS == config.SIPSRequired {
			return false, Required(place, fmt.Errorf("its Refer-To is sip:, and the profile of %s has sips: required", p.Name))
		}
	}
	return sips, nil
}
