package b2bua

import (
	"errors"
	"fmt"

	"github.com/sallyport-sip/sallyport/internal/cross"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/dialog"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// Leg is one INVITE usage with a peer, and its dialogs. Owned by the shard.
type Leg struct {
	cross.Hop
	call *Call
	out  bool // we called the peer

	callID   string
	localTag string // of the first dialog; a leg out has no other
	forks    []*fork
	winner   *fork // the dialog that was answered
	round    round // the last INVITE that crossed to the leg

	first *dialog.Dialog // of a caller: what each of its dialogs begins as a copy of
	uac   *dialog.UAC    // of a target: its INVITE, and the dialogs that it made

	hop *hop // for the call's record, until the call is shed
}

// fork is one dialog of a leg: a peer that forks makes several, and the caller
// sees each under a To tag of its own.
type fork struct {
	leg    *Leg
	dialog *dialog.Dialog
	joined *fork // the dialog on the other leg that it is joined with; nil when there is none any more
	left   bool  // a BYE was sent or received

	session cross.UUID // of who answers in this dialog, where a leg has several; null: as the leg has it

	offering  bool // its peer's offer crossed and has no answer yet; see glare.go
	described bool // a response to its INVITE has had a description
}

// partner is the dialog on the other leg that a request goes to; nil when
// either of the two is over.
func (f *fork) partner() *fork {
	if f.joined == nil || f.joined.joined != f {
		return nil
	}
	return f.joined
}

// maxForks is how many early dialogs a target's INVITE may make: who forks to more
// is no proxy. As many again may be answered that were not heard of before.
const maxForks = 64

// response gives a response to the INVITE of a target to its dialogs: it returns
// the one that it makes or belongs to, nil when there is none or when there are
// too many.
func (l *Leg) response(m *sip.Message) (d *dialog.Dialog, created bool) {
	most := maxForks
	if m.StatusCode() >= 200 {
		most *= 2
	}
	if to, err := m.To(); err != nil || len(l.forks) >= most && l.uac.Find(string(to.Tag())) == nil {
		return nil, false
	}
	if l.fault(m) != nil {
		return nil, false
	}
	d, created, err := l.uac.Response(m)
	if err != nil {
		return nil, false
	}
	return d, created
}

// fault says why a response to the INVITE of a target makes no dialog: for the
// schemes of its URIs. Of a 1xx that is passed over; a 2xx is a call that can only be
// ended.
func (l *Leg) fault(m *sip.Message) error { return cross.Moves(m, l.Secure, l.Flow.Conn.Transport()) }

// unwanted returns the dialog of a 2xx that has to be ended. One whose Contact or
// Record-Route cannot be used is ended where the INVITE went. nil is for one too
// many.
func (l *Leg) unwanted(m *sip.Message) *fork {
	to, _ := m.To()
	d, _ := l.response(m)
	if d == nil {
		d = l.uac.Find(string(to.Tag()))
	}
	if d == nil {
		if len(l.forks) >= 2*maxForks {
			return nil
		}
		d = l.uac.Unusable(string(to.Tag()))
	}
	f := l.fork([]byte(d.ID.LocalTag), []byte(d.ID.RemoteTag))
	if f == nil {
		f = &fork{leg: l, dialog: d}
		l.forks = append(l.forks, f)
	}
	return f
}

// fork returns the dialog with these tags, nil when there is none.
func (l *Leg) fork(local, remote []byte) *fork {
	for _, f := range l.forks {
		if f.dialog.ID.LocalTag == string(local) && f.dialog.ID.RemoteTag == string(remote) {
			return f
		}
	}
	return nil
}

// remember lets in-dialog requests with one of our tags find the leg.
func (l *Leg) remember(tag string) { l.call.calls.tags[tag] = l }

// forget ends that: from now on they get 481.
func (l *Leg) forget() {
	delete(l.call.calls.tags, l.localTag)
	for _, f := range l.forks {
		delete(l.call.calls.tags, f.dialog.ID.LocalTag)
	}
}

// round is an INVITE that crossed: its CSeq numbers on the leg that it came from
// and on the one that it went to. A PRACK names it by the first (RFC 3262 §7.2).
type round struct{ nearSeq, farSeq uint32 }

// received takes note of a request in the dialog: its CSeq must be higher than
// the last one's (RFC 3261 §12.2.2), and its Contact such that it can become the
// remote target. In a sips: dialog nothing is taken that came over a plain hop.
func (f *fork) received(p *transport.Packet) *sip.StatusError {
	l, m, over := f.leg, p.Msg, p.Conn.Transport()
	if l.Secure && !over.Secure() {
		return cross.NotAllowed(l.Place, fmt.Errorf("%s is in a sips: dialog and came over %v", m.Method(), over))
	}
	err := f.dialog.Receive(m)
	if err == nil {
		_, err = dialog.Target(m)
	}
	if err == nil {
		if err := cross.Moves(m, l.Secure, over); err != nil {
			return &sip.StatusError{Code: 400, Err: err}
		}
	}
	if status, ok := errors.AsType[*sip.StatusError](err); ok {
		return status
	}
	return nil
}

// reach gives the flow for the next request in a dialog of the leg; f is nil for what
// belongs to no dialog yet.
func (l *Leg) reach(s *ua.Shard, f *fork, done func(*ua.Shard, ua.Flow, error)) {
	var d *dialog.Dialog
	if f != nil {
		d = f.dialog
	}
	l.Reach(s, l.call.engine.ways, d, done)
}

// spoke notes who has just answered in the dialog. f may be nil.
func (f *fork) spoke() {
	if f != nil {
		f.session = f.leg.Session
	}
}

// answering is for an answer of the gateway's own to the caller: who is behind the last target is said, as far as it is
// known.
func (l *Leg) answering() *cross.Sides {
	sides := cross.Sides{From: l.Peer, To: l.Peer, Place: l.Place, Far: &l.Session}
	if far := l.other(); far != nil {
		sides.Near = &far.Session
	}
	return &sides
}
