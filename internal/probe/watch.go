package probe

import (
	"crypto/tls"
	"net"
	"sync"
	"time"

	"github.com/sallyport-sip/sallyport/internal/trust"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// watch is what the hooks of the endpoint tell of the hop under way. Channels are closed, or filled, by the connection's
// goroutines.
type watch struct {
	request   *request
	confirmed chan struct{} // the server is known to have accepted us
	over      chan struct{} // the last news of the connection
	answer    chan reply    // the final response

	mu          sync.Mutex // guards what follows
	id          uint64     // of the connection
	began       time.Time  // when connecting began
	connected   time.Duration
	state       *tls.ConnectionState // of the handshake, before it is judged
	verdicts    []trust.Verdict      // of a handshake that failed
	failed      error
	closed      *transport.CloseReason
	requests    int // that the server sent to us
	provisional int
	odd         string // what came that cannot be read as SIP
	confirmOnce sync.Once
	overOnce    sync.Once
}

// reply is a response, cloned, when it came, and why a gateway would drop it; nil: it would not.
type reply struct {
	msg *sip.Message
	at  time.Time
	bad error
}

func newWatch(q *request) *watch {
	return &watch{request: q, confirmed: make(chan struct{}), over: make(chan struct{}), answer: make(chan reply, 1)}
}

func (w *watch) sawState(st *tls.ConnectionState) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.state = st
}

// with runs f on the hop under way, with its lock held.
func (p *Probe) with(id uint64, f func(w *watch)) {
	w := p.now.Load()
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.id == 0 {
		w.id = id
	}
	if w.id == id {
		f(w)
	}
}

func (p *Probe) wrapConn(nc net.Conn, info transport.ConnInfo) net.Conn {
	p.with(info.ID, func(w *watch) { w.began, w.connected = info.Begun, time.Since(info.Begun) })
	return p.recorder.WrapConn(nc, info)
}

// identify says which names the certificate proved.
func (p *Probe) identify(info transport.ConnInfo, st *tls.ConnectionState) (transport.Identity, error) {
	if st == nil || info.Peer == "" {
		return transport.Identity{}, nil
	}
	v, err := p.reach.Trust().VerifyPeer(info.Peer, st.PeerCertificates, trust.Server)
	return transport.Identity{Peer: info.Peer, Names: v.NameStrings()}, err
}

func (p *Probe) confirmed(c *transport.Conn) {
	p.recorder.Confirmed(c)
	p.with(c.ID(), func(w *watch) { w.confirmOnce.Do(func() { close(w.confirmed) }) })
}

func (p *Probe) refusing(info transport.ConnInfo, err error) {
	verdicts := p.recorder.Explain(info, err)
	p.with(info.ID, func(w *watch) { w.verdicts, w.failed = verdicts, err })
}

func (p *Probe) refused(info transport.ConnInfo, err error) {
	p.recorder.Refused(info, err)
	p.with(info.ID, func(w *watch) { w.overOnce.Do(func() { close(w.over) }) })
}

func (p *Probe) closed(c *transport.Conn, why transport.CloseReason) {
	verdicts := p.recorder.ExplainClose(c, why)
	p.recorder.Closed(c, why)
	p.with(c.ID(), func(w *watch) {
		w.closed = &why
		if verdicts != nil {
			w.verdicts = verdicts
		}
		w.overOnce.Do(func() { close(w.over) })
	})
}

// deliver takes what the server sends: the answer to our request, and perhaps requests of its own, which are counted and
// get no answer.
func (p *Probe) deliver(batch []transport.Packet) {
	for _, packet := range batch {
		m := packet.Msg
		if w := p.now.Load(); w != nil {
			w.take(m, packet.At, packet.Err)
		}
		m.Release()
	}
}

func (w *watch) take(m *sip.Message, at time.Time, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case err != nil && string(m.CallID()) != w.request.callID:
		w.odd = err.Error()
	case m.IsRequest():
		w.requests++
	case string(m.CallID()) != w.request.callID || m.Method() != sip.OPTIONS:
	case m.StatusCode() < 200:
		w.provisional++
	default:
		select {
		case w.answer <- reply{m.Clone(), at, w.request.unusable(m, err)}:
		default: // a retransmission
		}
	}
}
