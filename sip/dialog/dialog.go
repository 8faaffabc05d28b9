package dialog

import (
	"errors"
	"fmt"
	"strings"

	"github.com/sallyport-sip/sallyport/sip"
)

// ID identifies a dialog at our side (RFC 3261 §12). It can be a map's key.
type ID struct {
	CallID    string
	LocalTag  string
	RemoteTag string // empty for a peer of RFC 2543 that sets none
}

// State is how far a dialog is.
type State uint8

// The states (RFC 3261 §12, §12.3).
const (
	Early      State = iota + 1 // made by a provisional response
	Confirmed                   // a 2xx went over
	Terminated                  // over; nothing is sent or taken in it any more
)

// String returns the state's name in lower case.
func (s State) String() string {
	switch s {
	case Early:
		return "early"
	case Confirmed:
		return "confirmed"
	case Terminated:
		return "terminated"
	}
	return "none"
}

// Party is one side of a dialog as From and To name it.
type Party struct {
	Display string // display name as written, quotes included
	URI     string
}

// Seq is a sequence number that may still be empty.
type Seq struct {
	Value uint32
	Known bool
}

// Dialog is the state of one dialog (RFC 3261 §12). A copy is independent of
// the original; Routes is never changed in place.
type Dialog struct {
	ID     ID
	State  State
	Local  Party
	Remote Party
	Target string   // remote target: the URI of the other side's Contact
	Routes []string // route set: Route values in the order in which they are visited
	Secure bool     // set up by a SIPS URI over TLS

	LocalSeq  Seq // of our last request
	RemoteSeq Seq // of the other side's last request
}

// NewUAS returns the early dialog that our answer to req makes, with localTag
// as the To tag of that answer (RFC 3261 §12.1.1). tls says that req came over
// TLS. Confirm follows when the answer is a 2xx. The error is a
// *sip.StatusError with the code that refuses the request.
func NewUAS(req *sip.Message, localTag string, tls bool) (*Dialog, error) {
	from, err := req.From()
	if err != nil {
		return nil, refuse(err)
	}
	to, err := req.To()
	if err != nil {
		return nil, refuse(err)
	}
	cseq, err := req.CSeq()
	if err != nil {
		return nil, refuse(err)
	}
	target, err := caller(req, from)
	if err != nil {
		return nil, refuse(err)
	}
	routes, err := recordRoutes(req)
	if err != nil {
		return nil, refuse(err)
	}
	secure := tls && sips(string(req.RequestURI()))
	return &Dialog{
		ID:        ID{CallID: string(req.CallID()), LocalTag: localTag, RemoteTag: string(from.Tag())},
		State:     Early,
		Local:     party(to),
		Remote:    party(from),
		Target:    target,
		Routes:    raised(routes, secure), // "taken in order"
		Secure:    secure,
		RemoteSeq: Seq{cseq.Seq, true},
	}, nil
}

// Confirm moves an early dialog on when a 2xx goes over.
func (d *Dialog) Confirm() {
	if d.State == Early {
		d.State = Confirmed
	}
}

// Terminate ends the dialog.
func (d *Dialog) Terminate() { d.State = Terminated }

// Owns says whether a message that we received belongs to the dialog: a request
// of the other side, or a response to one of ours (RFC 3261 §12). It copies
// nothing.
func (d *Dialog) Owns(m *sip.Message) bool {
	from, err := m.From()
	if err != nil {
		return false
	}
	to, err := m.To()
	if err != nil {
		return false
	}
	local, remote := to.Tag(), from.Tag()
	if !m.IsRequest() {
		local, remote = remote, local
	}
	return string(m.CallID()) == d.ID.CallID && string(local) == d.ID.LocalTag && string(remote) == d.ID.RemoteTag
}

// Receive takes a request of the other side into the order of the dialog
// (RFC 3261 §12.2.2). The error is a *sip.StatusError of 500 for a request
// whose sequence number is lower than one that came before. ACK and CANCEL have
// the number of the request that they belong to, and are not judged.
func (d *Dialog) Receive(req *sip.Message) error {
	if m := req.Method(); m == sip.ACK || m == sip.CANCEL {
		return nil
	}
	cseq, err := req.CSeq()
	if err != nil {
		return refuse(err)
	}
	if d.RemoteSeq.Known && cseq.Seq < d.RemoteSeq.Value {
		return &sip.StatusError{
			Code: 500,
			Err:  fmt.Errorf("dialog: %s has CSeq %d, after one with %d", cseq.Method, cseq.Seq, d.RemoteSeq.Value),
		}
	}
	d.RemoteSeq = Seq{cseq.Seq, true}
	return nil
}

// Refreshes says whether a method is a target refresh request: INVITE (RFC 3261
// §12.2), UPDATE (RFC 3311), SUBSCRIBE and NOTIFY (RFC 6665), REFER (RFC 3515).
// ACK, PRACK, INFO, BYE and the rest leave the target alone.
func Refreshes(method sip.Method) bool {
	switch method {
	case sip.INVITE, sip.UPDATE, sip.SUBSCRIBE, sip.NOTIFY, sip.REFER:
		return true
	}
	return false
}

// Refresh takes the remote target from the Contact of a target refresh request
// that was accepted, or of the 2xx to one of ours (RFC 3261 §12.2.1.2,
// §12.2.2). Other messages, and those without a Contact, change nothing. The
// route set stays in any case. The error is a *sip.StatusError of 400 for a
// Contact that cannot be a target.
func (d *Dialog) Refresh(m *sip.Message) error {
	target, err := Target(m)
	if target != "" {
		d.Target = target
	}
	return err
}

// Target returns the remote target that a target refresh request, or the 2xx to
// one, names; empty when it names none. A request's becomes the dialog's once
// the request is accepted. The error is that of Refresh.
func Target(m *sip.Message) (string, error) {
	if !Refreshes(m.Method()) || !m.Has(sip.HdrContact) || !m.IsRequest() && m.StatusCode()/100 != 2 {
		return "", nil
	}
	target, err := contact(m)
	if err != nil {
		return "", refuse(err)
	}
	return target, nil
}

// Ends says whether a final response to a request of ours inside the dialog,
// 408 standing for none at all, means that the dialog is to be ended: "the UAC
// SHOULD terminate the dialog" (RFC 3261 §12.2.1.2).
func Ends(code int) bool { return code == 481 || code == 408 }

// caller returns the remote target of a dialog that a request makes: its Contact,
// or From for a client of RFC 2543 that sent none (RFC 2543 §6.13).
func caller(req *sip.Message, from sip.Address) (string, error) {
	if via, err := req.Via(); err == nil && sip.OldBranch(via.Branch()) && !req.Has(sip.HdrContact) {
		return usable("from", from)
	}
	return contact(req)
}

// contact returns the remote target that m names.
func contact(m *sip.Message) (string, error) {
	c, err := m.Contact()
	if err != nil {
		return "", err
	}
	return usable("contact", c)
}

// usable returns the URI of an address that requests can go to: "The URI
// provided in the Contact header field MUST be a SIP or SIPS URI."
func usable(header string, a sip.Address) (string, error) {
	u, err := a.URI()
	if err != nil {
		return "", fmt.Errorf("%s: %w", header, err)
	}
	if !u.SIP() {
		return "", fmt.Errorf("%s: the URI of a dialog is a SIP or SIPS URI", header)
	}
	return string(a.RawURI), nil
}

// recordRoutes returns the Record-Route values of m as Route values.
func recordRoutes(m *sip.Message) ([]string, error) {
	var routes []string
	for v := range m.Values(sip.HdrRecordRoute) {
		a, err := sip.ParseAddress(v)
		if err != nil {
			return nil, fmt.Errorf("record-route: %w", err)
		}
		if u, err := a.URI(); err != nil {
			return nil, fmt.Errorf("record-route: %w", err)
		} else if !u.SIP() {
			return nil, errors.New("record-route: the URI of a proxy is a SIP or SIPS URI")
		}
		routes = append(routes, bracketed(v))
	}
	return routes, nil
}

// bracketed returns a Record-Route value as Route is to have it. One without
// angle brackets breaks RFC 3261 §20.30; what looks like its header's
// parameters, lr above all, was meant for the URI.
func bracketed(v []byte) string {
	s := string(v)
	if strings.IndexByte(s, '<') < 0 {
		return "<" + s + ">"
	}
	return s
}

func party(a sip.Address) Party { return Party{Display: string(a.Display), URI: string(a.RawURI)} }

func sips(uri string) bool { return len(uri) > 5 && strings.EqualFold(uri[:5], "sips:") }

func refuse(err error) error { return &sip.StatusError{Code: 400, Err: fmt.Errorf("dialog: %w", err)} }
