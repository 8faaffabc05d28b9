package recorder

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"strings"
	"syscall"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/tlswire"
	"github.com/sallyport-sip/sallyport/internal/trust"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// Opened is the hook of the same name: the handshake was good for our side, and it is known who is there.
func (r *Recorder) Opened(c *transport.Conn) {
	info := c.Info()
	k := r.conn(info)
	id := c.Identity()
	r.retention.identified(info.ID, id.Peer)
	k.mu.Lock()
	k.ready = true
	k.mu.Unlock()
	if k.live == nil {
		k.opened = c.Opened()
		k.describe(func(l *callflow.Link) { l.Peer = cmp.Or(id.Peer, l.Peer) })
		r.add(k, &callflow.Event{At: k.opened, Kind: callflow.Opened})
		r.add(k, &callflow.Event{At: k.opened, Kind: callflow.Ready})
		return
	}
	st := c.TLS()
	facts := trust.Facts{State: st, Notes: id.Notes} // what else there is matters to refusals
	k.describe(func(l *callflow.Link) {
		l.Peer, l.TLS = cmp.Or(id.Peer, l.Peer), k.agreed(st, id.Names)
	})
	if k.confirmedNow(c) {
		k.accepted()
	}
	for _, v := range trust.Explain(nil, k.role(), facts) {
		if v.Accepted {
			k.judged(v)
		}
	}
	k.keep(c.Opened())
	r.add(k, &callflow.Event{At: c.Opened(), Kind: callflow.Ready})
}

// TLS describes what the handshake of an open connection agreed, nil without TLS. It must not be changed.
func (r *Recorder) TLS(c *transport.Conn) *callflow.TLS {
	if c.TLS() == nil {
		return nil
	}
	return r.conn(c.Info()).link.Load().TLS
}

// confirmedNow reports whether the peer's verdict is known together with ours: always, but for a TLS 1.3 client.
func (k *conn) confirmedNow(c *transport.Conn) bool {
	return k.info.Inbound || c.TLS().Version < tls.VersionTLS13
}

// accepted names what was held, now that both sides have accepted.
func (k *conn) accepted() {
	for _, s := range k.withoutHTTP(k.settle()) {
		if k.info.Inbound && s.From == k.us() && s.Name == tlswire.NameApplicationData {
			s.Name = "NewSessionTicket" // crypto/tls sends nothing else here, RFC 8446 §4.6.1
			k.emit(s)
		}
	}
}

// Confirmed is the hook of the same name: a TLS 1.3 server has accepted our certificate, which its first record tells.
func (r *Recorder) Confirmed(c *transport.Conn) {
	k := r.conn(c.Info())
	if k.live == nil || k.info.Inbound || k.confirmedNow(c) {
		return
	}
	k.settle()
	facts := trust.Facts{State: c.TLS(), PeerSpoke: true}
	for _, v := range trust.Explain(nil, k.role(), facts) {
		if v.By == "peer" {
			k.judged(v)
		}
	}
	if k.shake != nil {
		k.shake.confirmed(time.Now())
		r.write(k.shake)
	}
}

// Refused is the hook of the same name: a connection that did not come up.
func (r *Recorder) Refused(info transport.ConnInfo, err error) {
	k := r.conn(info)
	k.refused(err)
	r.forget(info.ID)
}

// Explain returns the verdicts on a connection that does not come up. It is for the Refusing hook: after Refused nothing is known
// of the connection.
func (r *Recorder) Explain(info transport.ConnInfo, err error) []trust.Verdict {
	return r.conn(info).explain(err)
}

// ExplainClose does the same for a connection that is closed, before Closed; nil means that it was no refusal.
func (r *Recorder) ExplainClose(c *transport.Conn, why transport.CloseReason) []trust.Verdict {
	k := r.conn(c.Info())
	switch head := onPlain(why); {
	case head != nil:
		return trust.ExplainPlain(head, k.role())
	case k.refusal(why):
		return k.explain(endOf(why))
	}
	return nil
}

// refusal reports whether a close is one: see Closed.
func (k *conn) refusal(why transport.CloseReason) bool {
	return k.live != nil && why.BeforeData && !why.Local
}

// Closed is the hook of the same name. A TLS 1.3 server that refuses our certificate does so after the handshake is good
// for us: when it ends the connection before its first record, that is a refusal and no close.
func (r *Recorder) Closed(c *transport.Conn, why transport.CloseReason) {
	info := c.Info()
	k := r.conn(info)
	defer r.forget(info.ID)
	if head := onPlain(why); head != nil {
		k.tlsOnPlain(head)
	}
	if k.refusal(why) {
		k.refused(endOf(why))
		return
	}
	k.settle()
	if k.live != nil {
		k.live.Done()
		if k.shake.open() {
			r.write(k.shake) // as it is: the peer has never said what it decided
		}
	}
	r.add(k, &callflow.Event{At: time.Now(), Kind: callflow.Closed, Reason: why.Text, Notify: callflow.Notify{
		Known: k.live != nil, Sent: why.NotifySent, Received: why.NotifyReceived, ByGateway: why.Local,
	}})
}

// endOf is the error that a close without our doing stands for.
func endOf(why transport.CloseReason) error {
	switch {
	case why.Err != nil:
		return why.Err
	case why.Reset:
		return syscall.ECONNRESET
	}
	return io.EOF
}

// refused tells why, names what was held, and ends the reading.
func (k *conn) refused(err error) {
	var state tlswire.State
	if k.shake == nil && !k.info.Inbound && k.info.Transport.Secure() {
		k.shake = newShake(k) // it never came so far that there was something to read
	}
	verdicts := k.explain(err)
	k.count(verdicts)
	if k.live != nil {
		held := k.withoutHTTP(k.settle())
		state = k.live.State()
		k.heldAtRefusal(held, err)
	}
	k.describe(func(l *callflow.Link) {
		if k.live == nil {
			return
		}
		if old := k.link.Load(); old.TLS != nil { // our side had accepted
			l.TLS, l.Peer = old.TLS, old.Peer
		} else {
			l.TLS = agreedSoFar(&state)
		}
	})
	reason := err.Error()
	k.mu.Lock()
	ready := k.ready
	k.mu.Unlock()
	for _, v := range verdicts {
		if !ready || v.By != "gateway" { // else ours has been told
			k.judged(v)
		}
		if !v.Accepted && v.Code != trust.NotJudged {
			reason = v.Reason
		}
	}
	now := time.Now()
	if ready {
		k.overturned(now)
	} else {
		k.keep(now)
	}
	k.r.add(k, &callflow.Event{At: now, Kind: callflow.Refused, Reason: reason})
}

// overturned corrects the record of a handshake that was good for us, and that the peer has refused after all.
func (k *conn) overturned(now time.Time) {
	if k.shake != nil {
		k.shake.learn(k, now)
		k.r.shakes.moved(k.shake)
		k.r.write(k.shake)
	}
}

// sealedAlert is how long an alert is under the keys of TLS 1.3 at most: two bytes, the type and the tag (RFC 8446 §5.2).
// crypto/tls adds no padding.
const sealedAlert = 2 + 1 + 16

// heldAtRefusal draws what was held before a refusal: alerts by the name that is known from our error, and the data that
// a TLS 1.3 client had sent before it could know.
func (k *conn) heldAtRefusal(held []tlswire.Step, err error) {
	us := k.us()
	theirs, theyTold := transport.AlertOf(err)
	alert := theyTold && k.live.State().Alert != nil // it was read on the wire
	for _, s := range held {
		switch {
		case s.From != us && theyTold && !alert:
			s, alert = named(s, theirs), true
		case s.From != us && s.Name == tlswire.NameAlert:
			s.AlertLevel = 2
		case s.From == us && (s.Name == tlswire.NameAlert || s.Length <= sealedAlert):
			code, ok := ourAlert(err, k.live.State().Version)
			if !ok {
				s.Name, s.AlertLevel = tlswire.NameAlert, 2
				break
			}
			s = named(s, code)
		case s.From == us:
			s.Name = "NewSessionTicket"
		}
		k.emit(s)
	}
	if theyTold && !alert {
		k.emit(named(tlswire.Step{At: time.Now(), From: us.Other(), Encrypted: true}, theirs))
	}
}

func named(s tlswire.Step, code uint8) tlswire.Step {
	s.Name, s.AlertLevel, s.AlertCode, s.AlertName = tlswire.NameAlert, 2, code, tlswire.AlertName(code)
	return s
}

// ourAlert is the alert with which crypto/tls tells the peer of an error of ours.
func ourAlert(err error, version string) (code uint8, ok bool) {
	if _, ok := errors.AsType[*trust.Refusal](err); ok {
		return 42, true // bad_certificate, for whatever VerifyConnection says
	}
	text := err.Error()
	switch {
	case strings.Contains(text, "didn't provide a certificate") && version == "1.3":
		return 116, true // certificate_required, RFC 8446 §6.2
	case strings.Contains(text, "didn't provide a certificate"), strings.Contains(text, "parse certificate"),
		strings.Contains(text, "parse client certificate"):
		return 42, true
	case strings.Contains(text, "invalid signature by the"):
		return 51, true // decrypt_error
	}
	return 0, false
}

// explain asks trust for the verdicts. What is neither TLS nor the network is a decision of ours: an address that is not
// admitted, a certificate of nobody we know, too many connections.
func (k *conn) explain(err error) []trust.Verdict {
	switch {
	case k.live != nil:
	case k.info.Inbound:
		return []trust.Verdict{ours(err)}
	case !k.info.Local.IsValid() || k.info.Local.Port() == 0:
		return []trust.Verdict{trust.ExplainDial(err)}
	}
	if r, ok := errors.AsType[*trust.Refusal](err); ok {
		k.r.shakes.misdated(r.Code, cmp.Or(k.info.Peer, k.info.Remote.Addr().String()), time.Now())
	}
	verdicts := trust.Explain(err, k.role(), k.facts())
	for _, v := range verdicts {
		if v.Code == trust.Unexplained && (k.info.Inbound || k.live != nil && k.live.State().Finished[k.us()]) {
			return []trust.Verdict{ours(err)}
		}
	}
	if k.live != nil {
		return verdicts
	}
	kept := verdicts[:0]
	for _, v := range verdicts { // without TLS there is nothing that a side could have accepted
		if v.Code != trust.NotJudged && !v.Accepted {
			kept = append(kept, v)
		}
	}
	return kept
}

func ours(err error) trust.Verdict {
	v := trust.Refuse(trust.Unexplained, err.Error())
	return trust.Verdict{By: "gateway", KnownBy: trust.OwnDecision, Code: v.Code, Reason: err.Error(), Remedy: v.Remedy}
}

func (k *conn) judged(v trust.Verdict) {
	w := &callflow.Verdict{
		ByGateway: v.By == "gateway", Accepted: v.Accepted, Undecided: v.Code == trust.NotJudged,
		KnownBy: string(v.KnownBy), Code: string(v.Code), Reason: v.Reason, Remedy: v.Remedy,
	}
	if k.shake != nil {
		k.shake.judged(w)
	}
	k.r.add(k, &callflow.Event{At: time.Now(), Kind: callflow.Judged, Verdict: w})
}

func (k *conn) role() trust.Role {
	if k.info.Inbound {
		return trust.Server
	}
	return trust.Client
}

// facts are what the wire tells of our side of the handshake.
func (k *conn) facts() trust.Facts {
	if k.live == nil {
		return trust.Facts{}
	}
	s := k.live.State()
	f := trust.Facts{
		Asked: s.ClientCertificateRequested, AcceptableCAs: s.AcceptableCAs, ServerName: s.SNI,
		Wire: trust.Wire{State: s, Read: true, Clock: k.r.clockDoubt(time.Now())},
	}
	f.Wire.Last, f.Wire.Ours = k.shake.lastMessage()
	if k.r.side != nil {
		f.Wire.Side = k.r.side(k.info.Listener, k.info.Peer)
	}
	shown := s.ClientCertificates
	if k.info.Inbound {
		shown = s.ServerCertificates
	}
	for _, der := range shown {
		if c, err := x509.ParseCertificate(der); err == nil {
			f.Presented = append(f.Presented, c)
		}
	}
	return f
}

// conn finds a connection, or makes the record of one that WrapConn never saw.
func (r *Recorder) conn(info transport.ConnInfo) *conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.conns[info.ID]
	if k == nil {
		k = newConn(r, info)
		r.conns[info.ID] = k
	}
	return k
}

// forget lets go of a connection; its events hold what they need.
func (r *Recorder) forget(id uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.conns, id)
	r.retention.ended(id)
}
