package b2bua

import (
	"errors"

	"github.com/sallyport-sip/sallyport/internal/cross"
	"github.com/sallyport-sip/sallyport/internal/peer"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/dialog"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// inviteCSeq is the CSeq number of the INVITE that opens a leg out.
const inviteCSeq = 1

// newBuilder returns a builder over a buffer of its own, the message's one
// allocation.
func newBuilder(size int) sip.Builder {
	var b sip.Builder
	b.Reset(make([]byte, 0, size))
	return b
}

// roomFor is how much the crossing headers and the body of a response take, our
// Contact and the Session-ID.
func roomFor(m *sip.Message) int { return len(m.Bytes()) + cross.SessionRoom }

// newCaller makes the leg of the peer that called, with its first dialog.
func newCaller(s *ua.Shard, c *Call, inv Invite) (*Leg, error) {
	p := inv.Packet
	if p.Msg.Has(sip.HdrReplaces) || p.Msg.Has(sip.HdrJoin) {
		// "If no match is found, the UAS rejects the INVITE with a 481" (RFC 3891 §3).
		// It names a dialog on the other side of the caller, of which nothing is known
		// here, and to call the target all the same would ring somebody who is busy.
		return nil, &sip.StatusError{Code: 481, Err: errors.New("it is to replace or join a dialog, and the gateway knows none that it may")}
	}
	l := &Leg{
		Hop: cross.Hop{
			Peer: inv.From, Secure: inv.SIPS,
			Place: c.engine.ways.Place(inv.From, p.Conn),
			Flow:  ua.Flow{Conn: p.Conn, Addr: p.Source},
		},
		call:     c,
		callID:   string(p.Msg.CallID()),
		localTag: string(s.NewTag()),
	}
	first, err := dialog.NewUAS(p.Msg, l.localTag, p.Conn.Transport().Secure())
	if err != nil {
		return nil, err
	}
	l.Watch, l.first = l, first
	l.remember(l.localTag)
	return l, nil
}

// newTarget makes a leg towards a peer. Its From keeps the caller's user and
// display name and has our host; nothing else of the caller's side shows.
func (c *Call) newTarget(s *ua.Shard, to *peer.Peer, flow ua.Flow, secure bool) *Leg {
	l := &Leg{
		Hop: cross.Hop{
			Peer: to, Secure: to.Scheme(secure) == "sips",
			Place: c.engine.ways.Place(to, flow.Conn), Flow: flow,
		},
		call: c, out: true,
		callID: string(s.NewCallID()), localTag: string(s.NewTag()),
	}
	ruri, _ := sip.ParseURI(c.setup.invite.RequestURI())
	l.uac = &dialog.UAC{
		CallID: l.callID, LocalTag: l.localTag, Seq: inviteCSeq,
		RequestURI: cross.Target(to, l.Secure, ruri.User),
		Local:      cross.From(c.setup.invite, l.Place, l.Secure),
		Remote:     dialog.Party{URI: cross.URI(l.Secure, ruri.User, cross.Host(to.URI.Host))},
		Secure:     l.Secure,
	}
	cseq, _ := c.setup.invite.CSeq()
	l.round = round{cseq.Seq, inviteCSeq}
	l.Watch = l
	l.hop = &hop{peer: to.Name, callID: l.callID, sent: s.Now(), sips: l.Secure}
	l.remember(l.localTag)
	c.out = l
	return l
}

// identify writes From, To, Call-ID and CSeq of the INVITE that opens a leg.
func (l *Leg) identify(b *sip.Builder) {
	u := l.uac
	name := ""
	if u.Local.Display != "" {
		name = u.Local.Display + " "
	}
	b.Header("From", name, "<", u.Local.URI, ">;tag=", u.LocalTag)
	b.Header("To", "<", u.Remote.URI, ">")
	b.Header("Call-ID", l.callID)
	b.CSeq(inviteCSeq, sip.INVITE)
}

// invite writes the INVITE to a target.
func (a *attempt) invite(m *sip.Message) []byte {
	l := a.leg
	b := newBuilder(len(m.Bytes()) + cross.SessionRoom + 512)
	b.Request(sip.INVITE, []byte(l.uac.RequestURI))
	l.Place.Via(&b, a.branch)
	b.HeaderInt("Max-Forwards", int64(a.setup.hops))
	l.identify(&b)
	l.Place.Contact(&b, l.Secure)
	cross.Headers(&b, m, l.across(l.call.in))
	if l.Peer.CallIDHeader != "" {
		b.Header(l.Peer.CallIDHeader, l.call.in.callID)
	}
	return b.Finish(m.Body())
}

// draft is what a request has besides what its dialog says.
type draft struct {
	method sip.Method
	seq    uint32       // CSeq number
	across *sip.Message // its headers and its body cross; nil for a request of our own
	fields []byte       // further header lines, with their line ends
	but    sip.HeaderID // one that does not cross because fields has it
}

// request writes a request in a dialog of the leg and returns it with its
// branch.
func (f *fork) request(s *ua.Shard, d draft) (b, branch []byte) {
	l := f.leg
	l.Settle(l.call.engine.ways)
	size := 768 + cross.SessionRoom + len(d.fields)
	if d.across != nil {
		size += len(d.across.Bytes())
	}
	w := newBuilder(size)
	f.dialog.Start(&w, d.method)
	branch = s.NewBranch()
	l.Place.Via(&w, branch)
	w.HeaderInt("Max-Forwards", int64(hopsOf(d.across)))
	f.dialog.Headers(&w, d.method, d.seq)
	if dialog.Refreshes(d.method) {
		l.Place.Contact(&w, l.Secure || f.dialog.SIPS())
	}
	w.Raw(d.fields)
	sides := l.across(l.other())
	if f.session.Known() {
		sides.Far = &f.session
	}
	if d.across == nil {
		sides.Own(&w)
		return w.Finish(nil), branch
	}
	cross.Headers(&w, d.across, sides, d.but)
	return w.Finish(d.across.Body()), branch
}

// across is for what crosses to the leg from another one.
func (l *Leg) across(from *Leg) cross.Sides {
	return cross.Sides{From: from.Peer, To: l.Peer, Place: l.Place, Near: &from.Session, Far: &l.Session}
}

// other is the leg that is joined with it.
func (l *Leg) other() *Leg {
	if l.out {
		return l.call.in
	}
	return l.call.out
}

// hopsOf is one less than what a request that crosses had left. A BYE has been
// answered on its own leg already, and must not get lost on the other.
func hopsOf(m *sip.Message) int {
	if m == nil || m.Method() == sip.BYE {
		return 70
	}
	if n, ok := m.MaxForwards(); ok {
		return max(n-1, 0)
	}
	return 69
}

// dialogHeaders writes what makes a dialog in a response to the leg's peer: the
// Record-Routes of its request, and our Contact (RFC 3261 §12.1.1).
func (l *Leg) dialogHeaders(b *sip.Builder, req *sip.Message) {
	for f := range req.Fields() {
		if f.ID == sip.HdrRecordRoute {
			b.HeaderBytes("Record-Route", f.Value)
		}
	}
	l.Place.Contact(b, l.Secure)
}

// counterpart returns the dialog on the caller's leg that a target's new dialog
// is joined with: the first one when nothing is joined with it yet, else one
// more, under a To tag of its own (RFC 3261 §12.1, forking).
func (l *Leg) counterpart(s *ua.Shard, far *fork) *fork {
	d := *l.first
	if len(l.forks) > 0 {
		d.ID.LocalTag = string(s.NewTag())
		l.remember(d.ID.LocalTag)
	}
	f := &fork{leg: l, dialog: &d, joined: far, offering: describes(l.call.setup.invite)}
	l.forks = append(l.forks, f)
	return f
}
