package gateway

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// callerAddr is the peer that sends what is to be borne. It is at port 5060,
// where a Via without a port sends the response.
const callerAddr = "192.0.2.11:5060"

// farPorts are others of the caller's, which messages name in their Via.
var farPorts = []string{"192.0.2.11:5050", "192.0.2.11:6050", "192.0.2.11:19823", "192.0.2.11:5070"}

// nowhere are places that messages name and nothing may ever go to.
var nowhere = []string{"255.255.255.255:5060", "192.0.2.198:5060", "192.0.2.105:5060", "192.0.2.129:5060", "127.0.0.1:5080", "127.0.0.1:5070"}

// reaction is what the gateway makes of one message.
type reaction struct {
	finals  []*sip.Message // responses
	crossed *sip.Message   // the request that the callee got
	closed  bool           // the gateway ended the connection
}

// String is how the page shows it.
func (r reaction) String() string {
	var out []string
	if r.crossed != nil {
		out = append(out, "crosses")
	}
	for _, m := range r.finals {
		out = append(out, fmt.Sprint(m.StatusCode()))
	}
	if r.closed {
		out = append(out, "closed")
	}
	if len(out) == 0 {
		return "silence"
	}
	return strings.Join(out, ", ")
}

// heard is a message at one of the ends; none when the connection has ended.
type heard struct {
	at    string
	m     *sip.Message
	reply func([]byte)
}

// wire is a gateway with a caller and a callee on bare connections, which say
// nothing that the test does not.
type wire struct {
	*rig
	all    chan heard
	wg     sync.WaitGroup
	open   []io.Closer
	answer answerer     // what the callee says to a request
	raw    *sip.Message // what the caller sent, as far as it can be read
	up     bool         // the callee has answered a call
	seen   map[string]bool
	got    reaction
}

// answerer writes the responses to a request that crossed.
type answerer func(req *sip.Message) (responses [][]byte)

// replies answers with one code, and a 2xx to INVITE with a session description.
func replies(code int) answerer {
	return func(req *sip.Message) [][]byte {
		var b sip.Builder
		b.Response(req, code, "", []byte("callee"), sip.Source{})
		body := ""
		if req.Method() == sip.INVITE && code < 300 {
			b.Header("Contact", "<sip:callee@", acmeAddr, ";transport=tcp>")
			b.Header("Content-Type", "application/sdp")
			body = answer
		}
		return [][]byte{b.Finish([]byte(body))}
	}
}

// between runs one message through a gateway: a configured peer sends it over
// tr, and what crosses arrives at another peer, which answers.
func between(t *testing.T, tr transport.Transport, b []byte, answer answerer) (got reaction) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		set := setting{office: transport.UDP, targets: transport.TCP, routes: "{from: [caller], to: [acme]}"}
		caller := fmt.Sprintf("  caller: {uri: \"sip:%s;transport=%v\"", callerAddr, tr)
		if tr == transport.TLS {
			caller += ", certificate_names: [caller.example]"
		}
		set.file = strings.Replace(file(set), "routes:\n", caller+"}\nroutes:\n", 1)
		w := &wire{rig: start(t, set), all: make(chan heard, 256), answer: answer, seen: map[string]bool{}}
		w.raw, _ = sip.Parse(b) // whatever can be read of it
		w.acme.Close()          // the callee takes its place
		w.callee()
		for _, addr := range nowhere {
			w.packets("nowhere", addr)
		}
		w.caller(tr)(b)
		w.watch()
		w.shut()
		for _, c := range w.open {
			c.Close()
		}
		w.wg.Wait()
		got = w.got
	})
	return got
}

// packets opens a UDP socket and returns what sends from it.
func (w *wire) packets(at, addr string) func([]byte) {
	pc, err := w.net.ListenPacket(w.Context(), addrPort(addr))
	if err != nil {
		w.Fatal(err)
	}
	w.open = append(w.open, pc)
	w.wg.Go(func() {
		b := make([]byte, 64<<10)
		for {
			n, from, err := pc.ReadFrom(b)
			if err != nil {
				return
			}
			m, err := sip.Parse(b[:n])
			w.sound(m, err)
			w.all <- heard{at, m, func(b []byte) { w.sent(pc.WriteTo(b, from)) }}
		}
	})
	return func(b []byte) { w.sent(pc.WriteTo(b, net.UDPAddrFromAddrPort(w.listener(transport.UDP)))) }
}

// caller opens the caller's end and returns what sends from it.
func (w *wire) caller(tr transport.Transport) func([]byte) {
	if tr == transport.UDP {
		for _, addr := range farPorts {
			w.packets("caller", addr)
		}
		return w.packets("caller", callerAddr)
	}
	nc, err := w.net.Dial(w.Context(), addrPort("192.0.2.11:0"), w.listener(tr))
	if err != nil {
		w.Fatal(err)
	}
	if tr == transport.TLS {
		tc := tls.Client(nc, w.tls("caller.example"))
		if err := tc.HandshakeContext(w.Context()); err != nil {
			w.Fatal(err)
		}
		nc = tc
	}
	w.wg.Go(func() { w.stream("caller", nc) })
	return func(b []byte) { w.sent(nc.Write(b)) }
}

// callee accepts what the gateway opens.
func (w *wire) callee() {
	ln, err := w.net.Listen(w.Context(), addrPort(acmeAddr))
	if err != nil {
		w.Fatal(err)
	}
	w.open = append(w.open, ln)
	w.wg.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			w.wg.Go(func() { w.stream("callee", nc) })
		}
	})
}

// stream reads messages until the gateway ends the connection.
func (w *wire) stream(at string, nc net.Conn) {
	defer nc.Close()
	var f sip.Framer
	var b []byte
	piece := make([]byte, 64<<10)
	for {
		n, err := nc.Read(piece)
		if err != nil {
			w.all <- heard{at: at}
			return
		}
		b = append(b, piece[:n]...)
		for len(b) > 0 {
			m := sip.Acquire()
			n, kind, err := f.Next(b, m)
			w.sound(m, err)
			if n == 0 {
				break
			}
			if kind == sip.FrameMessage {
				w.all <- heard{at, m, func(b []byte) { w.sent(nc.Write(b)) }}
			}
			b = b[n:]
		}
	}
}

// sound checks what the gateway wrote: nothing malformed ever leaves it, but a
// response repeats what it got.
func (w *wire) sound(m *sip.Message, err error) {
	if err == nil && m.IsRequest() {
		err = m.Check()
	}
	if err != nil && len(m.Bytes()) > 0 {
		w.Errorf("the gateway sent %v\n%s", err, m.Bytes())
	}
}

func (w *wire) sent(_ int, err error) {
	if err != nil && !errors.Is(err, net.ErrClosed) {
		w.Errorf("send: %v", err)
	}
}

// watch lets both ends answer until nothing has come for a minute.
func (w *wire) watch() {
	for {
		select {
		case h := <-w.all:
			switch {
			case h.at == "nowhere":
				w.Errorf("a datagram to where nothing may go:\n%s", h.m.Bytes())
			case h.m == nil:
				w.got.closed = w.got.closed || h.at == "caller"
			case h.at == "caller":
				w.atCaller(h)
			default:
				w.atCallee(h)
			}
		case <-time.After(time.Minute):
			return
		}
	}
}

// atCaller acknowledges and answers as a telephone does.
func (w *wire) atCaller(h heard) {
	m := h.m
	if m.IsRequest() {
		h.reply(sip.AppendResponse(nil, m, 200, "", []byte("caller"), sip.Source{}))
		return
	}
	cseq, _ := m.CSeq()
	if key := fmt.Sprint(m.StatusCode(), cseq, string(m.CallID())); m.StatusCode() >= 200 && !w.seen[key] {
		w.seen[key] = true
		w.got.finals = append(w.got.finals, m)
	}
	if m.StatusCode() < 200 || cseq.Method != sip.INVITE || w.raw.Check() != nil {
		return
	}
	target, via := w.raw.RequestURI(), w.raw.First(sip.HdrVia)
	if m.StatusCode() < 300 {
		contact, _ := m.Contact()
		target, via = contact.RawURI, []byte("SIP/2.0/UDP 192.0.2.11;branch=z9hG4bKack")
	}
	var b sip.Builder
	b.Request(sip.ACK, target)
	b.HeaderBytes("Via", via)
	b.HeaderBytes("From", m.First(sip.HdrFrom))
	b.HeaderBytes("To", m.First(sip.HdrTo))
	b.HeaderBytes("Call-ID", m.CallID())
	b.CSeq(cseq.Seq, sip.ACK)
	h.reply(b.Finish(nil))
}

// atCallee answers, and ends a call once it is up.
func (w *wire) atCallee(h heard) {
	m := h.m
	switch {
	case !m.IsRequest():
	case m.Method() == sip.ACK:
		if w.up {
			h.reply(w.bye())
		}
	case m.Method() == sip.CANCEL || m.Method() == sip.BYE:
		h.reply(sip.AppendResponse(nil, m, 200, "", []byte("callee"), sip.Source{}))
	default:
		if w.got.crossed != nil && string(w.got.crossed.CallID()) != string(m.CallID()) {
			w.Errorf("a second request crossed:\n%s", m.Bytes())
		}
		w.got.crossed = m
		for _, b := range w.answer(m) {
			w.up = m.Method() == sip.INVITE && bytes.HasPrefix(b, []byte("SIP/2.0 2"))
			h.reply(b)
		}
	}
}

// bye is the callee's.
func (w *wire) bye() []byte {
	contact, _ := w.got.crossed.Contact()
	var b sip.Builder
	b.Request(sip.BYE, contact.RawURI)
	b.Header("Via", "SIP/2.0/TCP ", acmeAddr, ";branch=z9hG4bKbye")
	b.Header("Max-Forwards", "70")
	b.Header("From", string(w.got.crossed.First(sip.HdrTo)), ";tag=callee")
	b.HeaderBytes("To", w.got.crossed.First(sip.HdrFrom))
	b.HeaderBytes("Call-ID", w.got.crossed.CallID())
	b.CSeq(1, sip.BYE)
	return b.Finish(nil)
}
