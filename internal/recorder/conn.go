package recorder

import (
	"crypto/tls"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/tlswire"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// conn is one connection as the recorder knows it.
//
// While its handshake is read, some steps cannot be named yet, because they are encrypted with keys that nobody here has.
// They are held until the verdict, which tells what they were:
//
//   - as TLS 1.3 server, our first record after the client's Finished is a session ticket when we accept and an alert
//     when we refuse;
//   - as TLS 1.3 server, the client's first record is SIP when we accept, to be shown as such, and when we refuse it is
//     data that nobody read;
//   - before TLS 1.3, an alert after ChangeCipherSpec.
type conn struct {
	r     *Recorder
	info  transport.ConnInfo
	link  atomic.Pointer[callflow.Link]
	live  *tlswire.Live // nil without TLS
	shake *shake        // nil where no TLS was to be; set before the connection is used
	calls int           // begun on it; guarded by Recorder.mu

	mu      sync.Mutex // guards what follows
	held    []tlswire.Step
	settled bool // both verdicts are known: what comes now is no part of the handshake
	ready   bool // our side has accepted
	data    bool // the number 14 of TLS 1.2 was shown
	opened  time.Time
}

func newConn(r *Recorder, info transport.ConnInfo) *conn {
	k := &conn{r: r, info: info}
	k.describe(nil)
	return k
}

// describe makes the link anew from what is known now.
func (k *conn) describe(more func(*callflow.Link)) {
	i := k.info
	l := &callflow.Link{
		ID: i.ID, Inbound: i.Inbound, Transport: i.Transport.String(), Local: i.Local, Remote: i.Remote,
		Listener: i.Listener, Peer: i.Peer, Opened: k.opened,
	}
	if more != nil {
		more(l)
	}
	k.link.Store(l)
}

// wrapped is the net.Conn below TLS. It shows what passes to live until the handshake has its verdicts, and then costs
// one atomic load for each call; where keys are retained it goes on showing what passes to retention.
type wrapped struct {
	net.Conn
	live atomic.Pointer[tlswire.Live]
	us   tlswire.Side

	kept      *keptConn // nil: nothing is retained; set before the connection is used
	retention *retention
}

// Read hands on what the inner Read returned.
func (w *wrapped) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if live := w.live.Load(); live != nil && n > 0 {
		w.feed(live, w.us.Other(), b[:n])
	}
	if w.kept != nil && n > 0 {
		w.retain(w.us.Other(), b[:n])
	}
	return n, err
}

// Write shows the bytes before they go, as Live wants it.
func (w *wrapped) Write(b []byte) (int, error) {
	if live := w.live.Load(); live != nil {
		w.feed(live, w.us, b)
	}
	if w.kept != nil {
		w.retain(w.us, b)
	}
	return w.Conn.Write(b)
}

func (w *wrapped) feed(live *tlswire.Live, from tlswire.Side, b []byte) {
	live.Feed(from, time.Now(), b)
	if w.kept != nil {
		if random, seen := live.ClientRandom(); seen {
			w.retention.hello(w.kept, random)
		}
	}
	if live.Over() {
		w.live.Store(nil)
	}
}

// WrapConn is the hook of the same name: it puts a reader of the handshake below TLS.
func (r *Recorder) WrapConn(nc net.Conn, info transport.ConnInfo) net.Conn {
	k := newConn(r, info)
	k.opened = time.Now()
	k.describe(nil)
	ring := r.keyRing(policy(info))
	k.live = tlswire.NewLive(ring, k.step)
	k.shake = newShake(k)
	w := &wrapped{Conn: nc, us: k.us()}
	w.live.Store(k.live)
	w.kept, w.retention = r.retention.begin(info, k.opened), &r.retention

	r.mu.Lock()
	r.conns[info.ID] = k
	r.ring.event(k, &callflow.Event{At: k.opened, Kind: callflow.Opened})
	r.mu.Unlock()
	r.tell()
	return w
}

// policy names the TLS policy of a connection as trust.Options.KeyLog does.
func policy(info transport.ConnInfo) string {
	if info.Inbound {
		return "listener " + quoted(info.Listener)
	}
	return "peer " + quoted(info.Peer)
}

func quoted(s string) string { return `"` + s + `"` }

func (k *conn) us() tlswire.Side {
	if k.info.Inbound {
		return tlswire.Server
	}
	return tlswire.Client
}

// step takes what live reads, one step at a time.
func (k *conn) step(s tlswire.Step) {
	k.mu.Lock()
	emit, over := k.take(s)
	k.mu.Unlock()
	for _, s := range emit {
		k.emit(s)
	}
	if over {
		k.live.Done()
	}
}

// take decides what becomes of a step. The caller holds mu.
func (k *conn) take(s tlswire.Step) (emit []tlswire.Step, over bool) {
	v13 := k.live.State().Version == "1.3"
	switch {
	case s.Name == tlswire.NameApplicationData && s.Number > 0:
		k.data = true
		return []tlswire.Step{s}, k.settled
	case s.Name == tlswire.NameApplicationData && !v13:
		return nil, false // the other side's first data: SIP, shown as such
	case k.settled:
		return nil, false
	case s.Name == tlswire.NameApplicationData && !k.info.Inbound && s.From == k.us():
		return nil, false // our SIP, as TLS 1.3 client
	case s.Name == tlswire.NameApplicationData && k.info.Inbound, s.Name == tlswire.NameAlert && s.Encrypted:
		k.held = append(k.held, s)
		return nil, false
	}
	return []tlswire.Step{s}, false
}

// settle ends the reading, except that TLS 1.2 waits for its number 14. It returns what was held.
func (k *conn) settle() []tlswire.Step {
	k.mu.Lock()
	held := k.held
	k.held, k.settled = nil, true
	wait := k.live != nil && !k.data && k.ready && k.live.State().Version != "1.3"
	k.mu.Unlock()
	if k.live != nil && !wait {
		k.live.Done()
	}
	return held
}

// emit keeps a step as an event.
func (k *conn) emit(s tlswire.Step) {
	k.tell(s.At, k.convert(s))
}

// tell keeps a step, in the ring and in the record of the handshake.
func (k *conn) tell(at time.Time, s *callflow.Step) {
	if k.shake != nil {
		k.shake.step(at, s)
	}
	k.r.add(k, &callflow.Event{At: at, Kind: callflow.HandshakeStep, Step: s})
}

func (k *conn) convert(s tlswire.Step) *callflow.Step {
	c := &callflow.Step{
		ByGateway: s.From == k.us(), Name: s.Name, Number: s.Number, Encrypted: s.Encrypted, Length: s.Length,
		Version: s.Version, Suite: s.Suite, Group: s.Group, ServerName: s.SNI,
		Alert: callflow.Alert{Fatal: s.AlertLevel == 2, Code: int(s.AlertCode), Name: s.AlertName},
	}
	if s.Offer != nil {
		for _, v := range s.Offer.Versions {
			c.Offered = append(c.Offered, v.String())
		}
	}
	if s.Resumed {
		c.Note = "resumes a session"
	}
	if s.Problem != nil {
		c.Note = s.Problem.Text
	}
	if s.Name == "Certificate" {
		c.Certificate = k.r.leaves.of(s.Certificates)
		if len(s.Certificates) == 0 && !s.Encrypted {
			c.Note = "empty: it has none to show"
		}
	}
	return c
}

// agreedSoFar is what a handshake that did not succeed had agreed; nil before anything was.
func agreedSoFar(s *tlswire.State) *callflow.TLS {
	return &callflow.TLS{Version: s.Version, Suite: s.Suite, Group: s.Group, Resumed: s.Resumed}
}

// agreed is what a good handshake agreed.
func (k *conn) agreed(st *tls.ConnectionState, names []string) *callflow.TLS {
	t := &callflow.TLS{
		Version: strings.TrimPrefix(tls.VersionName(st.Version), "TLS "), Suite: tls.CipherSuiteName(st.CipherSuite),
		PeerNames: slices.Clone(names), Resumed: st.DidResume,
	}
	if st.CurveID != 0 {
		t.Group = tlswire.GroupID(st.CurveID).String()
	}
	if k.info.Inbound {
		t.Mutual = len(st.PeerCertificates) > 0
	} else if k.live != nil {
		// A resumed session has the identities of the one it came from; what we showed then is in no record now.
		t.Mutual = k.live.State().ClientCertificateSent || st.DidResume
	}
	return t
}
