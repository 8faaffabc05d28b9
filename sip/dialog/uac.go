package dialog

import (
	"slices"

	"github.com/sallyport-sip/sallyport/sip"
)

// UAC is a request of ours that can make dialogs, an INVITE above all, and the
// dialogs that it made: one for each remote tag that answered, because the
// request may have been forked on its way (RFC 3261 §12.1.2, §13.2.2.4).
type UAC struct {
	CallID     string
	LocalTag   string
	Local      Party  // From
	Remote     Party  // To
	RequestURI string // where dialogs go until their Contact is known
	Seq        uint32 // CSeq number
	Secure     bool   // sent over TLS to a SIPS URI

	Dialogs []*Dialog
}

// NewUAC reads a request of ours, as it is sent. tls says that it goes over TLS.
func NewUAC(req *sip.Message, tls bool) (*UAC, error) {
	from, err := req.From()
	if err != nil {
		return nil, err
	}
	to, err := req.To()
	if err != nil {
		return nil, err
	}
	cseq, err := req.CSeq()
	if err != nil {
		return nil, err
	}
	uri := string(req.RequestURI())
	return &UAC{
		CallID:     string(req.CallID()),
		LocalTag:   string(from.Tag()),
		Local:      party(from),
		Remote:     party(to),
		RequestURI: uri,
		Seq:        cseq.Seq,
		Secure:     tls && sips(uri),
	}, nil
}

// Response takes a response to the request and returns the dialog that it makes
// or belongs to; created says that this response made it. A 100, a 1xx without
// To tag and a failure have none; a failure ends all early dialogs (RFC 3261
// §12.1, §12.3). A 2xx confirms its dialog.
//
// The error says that the response has a Contact or Record-Route that cannot be
// used; for a 1xx it can be passed over, a 2xx is a call that can only be ended;
// see Unusable.
func (u *UAC) Response(resp *sip.Message) (d *Dialog, created bool, err error) {
	code := resp.StatusCode()
	if code >= 300 {
		u.failed()
		return nil, false, nil
	}
	to, err := resp.To()
	if err != nil {
		return nil, false, err
	}
	tag := string(to.Tag())
	// "... only 2xx and 101-199 responses with a To tag ... will establish a
	// dialog"; for a 2xx of RFC 2543 the tag "is considered to have a value of
	// null".
	if code < 200 && (code == 100 || tag == "") {
		return nil, false, nil
	}
	if d = u.Find(tag); d != nil {
		return d, false, u.update(d, resp)
	}
	target, routes, err := u.learn(resp, u.RequestURI)
	if err != nil {
		return nil, false, err
	}
	d = &Dialog{
		ID:       ID{CallID: u.CallID, LocalTag: u.LocalTag, RemoteTag: tag},
		State:    Early,
		Local:    u.Local,
		Remote:   u.Remote,
		Target:   target,
		Routes:   routes,
		Secure:   u.Secure,
		LocalSeq: Seq{u.Seq, true},
	}
	if code >= 200 {
		d.Confirm()
	}
	u.Dialogs = append(u.Dialogs, d)
	return d, true, nil
}

// Unusable makes the dialog of a 2xx for which Response has an error, so that it
// can be acknowledged and ended all the same: its requests go where u went.
func (u *UAC) Unusable(remoteTag string) *Dialog {
	d := &Dialog{
		ID: ID{CallID: u.CallID, LocalTag: u.LocalTag, RemoteTag: remoteTag}, State: Confirmed,
		Local: u.Local, Remote: u.Remote, Target: u.RequestURI, Secure: u.Secure, LocalSeq: Seq{u.Seq, true},
	}
	u.Dialogs = append(u.Dialogs, d)
	return d
}

// Find returns the dialog with a remote tag, nil when there is none.
func (u *UAC) Find(remoteTag string) *Dialog {
	for _, d := range u.Dialogs {
		if d.ID.RemoteTag == remoteTag {
			return d
		}
	}
	return nil
}

// update takes a further response into an early dialog. "If the dialog
// identifier in the 2xx response matches the dialog identifier of an existing
// dialog, the dialog MUST be transitioned to the "confirmed" state, and the
// route set for the dialog MUST be recomputed based on the 2xx response."
// (RFC 3261 §13.2.2.4). A further 1xx only brings the Contact that an earlier
// one lacked. A dialog given up while early may still get its 2xx: it stays
// terminated, but is to be acknowledged and ended by the right way.
func (u *UAC) update(d *Dialog, resp *sip.Message) error {
	if d.State == Confirmed {
		return nil // a 2xx sent again
	}
	if resp.StatusCode() < 200 && d.Target != u.RequestURI {
		return nil
	}
	target, routes, err := u.learn(resp, d.Target)
	if err != nil {
		return err
	}
	d.Target = target
	if resp.StatusCode() >= 200 {
		d.Routes = routes
		d.Confirm()
	}
	return nil
}

// learn reads the remote target and the route set from a response. A response
// that establishes a dialog has a Contact; in practice many a 180 has none, and
// then the target known so far stays.
func (u *UAC) learn(resp *sip.Message, known string) (target string, routes []string, err error) {
	target = known
	if resp.Has(sip.HdrContact) {
		if target, err = contact(resp); err != nil {
			return "", nil, err
		}
	}
	if routes, err = recordRoutes(resp); err != nil {
		return "", nil, err
	}
	slices.Reverse(routes) // "taken in reverse order"
	return target, raised(routes, u.Secure), nil
}

// failed ends what a non-2xx final response ends: "any early dialogs created
// through provisional responses to that request are terminated" (RFC 3261
// §12.3).
func (u *UAC) failed() {
	for _, d := range u.Dialogs {
		if d.State == Early {
			d.Terminate()
		}
	}
}
