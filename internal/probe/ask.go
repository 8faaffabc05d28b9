package probe

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/peer"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// Answer is the final response to OPTIONS. Its texts are as the server wrote them.
type Answer struct {
	Code       int
	Reason     string
	Took       time.Duration
	Allow      []string // nil: the header is not there
	Supported  []string
	Accept     []string
	Server     string   // Server, or User-Agent where that is written instead
	Warnings   []string //
	RetryAfter string
	Challenges []string // "Digest realm=…" of a 401 or 407, without what a password could be guessed by
	Malformed  string   // which rule the response breaks, for which a gateway drops it; empty: none
	Via        string   // under which address the server saw us: received and rport, empty when it does not say
}

// request is the OPTIONS of one hop.
type request struct {
	uri    string
	callID string
	branch string
	tag    string
	secure bool
}

func newRequest(to *peer.Peer, t transport.Transport) *request {
	q := &request{callID: "probe-" + rand.Text(), branch: "z9hG4bK" + rand.Text(), tag: rand.Text()[:12]}
	q.secure = to.URI.Scheme == "sips" || to.Scheme(false) == "sips"
	q.uri = "sip:"
	if q.secure {
		q.uri = "sips:"
	}
	if to.URI.User != "" {
		q.uri += to.URI.User + "@"
	}
	q.uri += hostPort(to.URI.Host, to.URI.Port)
	if !q.secure && t != transport.UDP {
		q.uri += ";transport=" + t.URIParam()
	}
	return q
}

// hostPort writes a host, with brackets where it needs some, and a port that is not 0.
func hostPort(host string, port uint16) string {
	if a, err := netip.ParseAddr(host); err == nil && a.Is6() {
		host = "[" + host + "]"
	}
	if port == 0 {
		return host
	}
	return host + ":" + strconv.Itoa(int(port))
}

// bytes writes the request (RFC 3261 §11.1).
func (q *request) bytes(at peer.Place, agent string) []byte {
	var b sip.Builder
	b.Reset(make([]byte, 0, 1024))
	b.Request(sip.OPTIONS, []byte(q.uri))
	at.Via(&b, []byte(q.branch))
	b.Header("Max-Forwards", "70")
	scheme := "sip:"
	if q.secure {
		scheme = "sips:"
	}
	b.Header("From", "<", scheme, "probe@", at.Host, ">;tag=", q.tag)
	b.Header("To", "<", strings.SplitN(q.uri, ";", 2)[0], ">")
	b.Header("Call-ID", q.callID)
	b.CSeq(1, sip.OPTIONS)
	at.Contact(&b, q.secure)
	b.Header("Accept", "application/sdp")
	if agent != "" {
		b.Header("User-Agent", agent)
	}
	return b.Finish(nil)
}

// unusable returns why the gateway would drop m, a response with our Call-ID: it is broken, or matches no request
// (RFC 3261 §17.1.3). The error err is that of reading it.
func (q *request) unusable(m *sip.Message, err error) error {
	if err == nil {
		err = m.Check()
	}
	if err != nil {
		return err
	}
	via, err := m.Via()
	if err != nil {
		return err
	}
	if string(via.Branch()) != q.branch {
		return errOtherBranch
	}
	return nil
}

var errOtherBranch = errors.New("the branch in its Via is not that of the request (RFC 3261 §17.1.3)")

// ask waits until the server has accepted us, as far as it says so, sends OPTIONS and takes the answer.
func (p *Probe) ask(ctx context.Context, h *Hop, w *watch, c *transport.Conn, to *peer.Peer, q *request) {
	wait(ctx, w.confirmed, firstRecord)
	if h.Transport == transport.UDP {
		h.Local = source(h.Local, h.Addr)
	} else if !c.Alive() {
		return
	}
	at := p.reach.Place(to, h.Transport)
	if at.HostPort == "" {
		at.HostPort, at.Host = h.Local.String(), hostPort(h.Local.Addr().String(), 0)
	}
	at.Keep = h.Transport.Reliable() && !h.Transport.WebSocket()
	p.recorder.Record(callflow.LegCreated, callflow.Call{Number: uint64(c.ID()), Direction: callflow.Out, CallID: q.callID, Peer: to.Name, Connection: c.ID()}, "")
	sent := time.Now()
	raw := q.bytes(at, p.Agent)
	r, ok := p.exchange(ctx, w, c, h.Addr, raw)
	if !ok && !c.Alive() {
		return
	}
	if !ok {
		p.recorder.Record(callflow.TimedOut, callflow.Call{Number: uint64(c.ID()), Direction: callflow.Out, CallID: q.callID, Peer: to.Name, Connection: c.ID()}, "no answer")
		return
	}
	h.Answer = answerOf(r.msg, r.at.Sub(sent))
	if r.bad != nil {
		h.Answer.Malformed = r.bad.Error()
	}
	h.Promised = promised(r.msg)
	if profile, ok := p.profiles(to.Name); ok && !p.Target && profile.Connection.Ping != config.PingOff && at.Keep {
		h.Pong = p.ping(ctx, w, c)
	}
}

// exchange sends the request, over UDP again and again as Timer E says (RFC 3261 §17.1.2.2), until an answer comes, the
// connection ends or the time is over.
func (p *Probe) exchange(ctx context.Context, w *watch, c *transport.Conn, to netip.AddrPort, raw []byte) (reply, bool) {
	ctx, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	const t1, t2 = 500 * time.Millisecond, 4 * time.Second
	again := time.NewTimer(t1)
	defer again.Stop()
	if c.Transport().Reliable() {
		again.Stop()
	}
	for next := t1; ; {
		if _, err := c.Send(raw, to); err != nil {
			return reply{}, false
		}
		c.Flush()
		select {
		case r := <-w.answer:
			return r, true
		case <-again.C:
			next = min(2*next, t2)
			again.Reset(next)
		case <-w.over:
			select {
			case r := <-w.answer: // it was the last that came
				return r, true
			default:
				return reply{}, false
			}
		case <-ctx.Done():
			return reply{}, false
		}
	}
}

// ping asks with a double CRLF whether the server is there, and waits for its pong.
func (p *Probe) ping(ctx context.Context, w *watch, c *transport.Conn) *Pong {
	stats := p.endpoint.Stats()
	before, began := stats.KeepAlives.Load(), time.Now()
	c.Keep(transport.Manner{Ping: time.Millisecond, Pong: transport.PongLearned})
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for time.Since(began) < pongWithin {
		if stats.KeepAlives.Load() > before {
			return &Pong{true, time.Since(began)}
		}
		select {
		case <-tick.C:
		case <-w.over:
			return &Pong{}
		case <-ctx.Done():
			return &Pong{}
		}
	}
	return &Pong{}
}

// source is our address as the other side sees it, as far as this machine knows: that of the socket, or the one by
// which the routes lead there.
func source(local, remote netip.AddrPort) netip.AddrPort {
	if !local.Addr().IsUnspecified() {
		return local
	}
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(remote)) // sends nothing
	if err != nil {
		return netip.AddrPortFrom(netip.IPv4Unspecified(), local.Port())
	}
	defer c.Close()
	return netip.AddrPortFrom(c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap(), local.Port())
}

func answerOf(m *sip.Message, took time.Duration) *Answer {
	a := &Answer{
		Code: m.StatusCode(), Reason: string(m.Reason()), Took: took,
		Allow: values(m, sip.HdrAllow), Supported: values(m, sip.HdrSupported), Accept: values(m, sip.HdrAccept),
		Server: string(m.First(sip.HdrServer)), Warnings: values(m, sip.HdrWarning), RetryAfter: string(m.First(sip.HdrRetryAfter)),
	}
	if a.Server == "" {
		a.Server = string(m.First(sip.HdrUserAgent))
	}
	for _, challenges := range []func(func(sip.Auth, error) bool){m.Challenges(), m.ProxyChallenges()} {
		for c, err := range challenges {
			if err != nil || len(a.Challenges) == maxValues {
				break
			}
			a.Challenges = append(a.Challenges, challenge(c))
		}
	}
	if via, err := m.Via(); err == nil {
		a.Via = seenAs(via)
	}
	return a
}

// maxValues bounds the values that are kept of one header.
const maxValues = 64

func values(m *sip.Message, id sip.HeaderID) []string {
	if !m.Has(id) {
		return nil
	}
	out := []string{}
	for v := range m.Values(id) {
		if v = bytes.TrimSpace(v); len(v) > 0 && len(out) < maxValues {
			out = append(out, string(v))
		}
	}
	return out
}

// challenge names scheme, realm and algorithm; nonces say nothing to a person.
func challenge(c sip.Auth) string {
	var s strings.Builder
	s.WriteString(string(c.Scheme))
	for _, name := range []string{"realm", "algorithm", "qop"} {
		if v, ok := c.Params.Get(name); ok {
			s.WriteString(" " + name + "=" + strings.Trim(string(v), `"`))
		}
	}
	return s.String()
}

// promised says whether the server answers keep-alives, which it tells by a value behind the keep of our Via (RFC 6223
// §4.3).
func promised(m *sip.Message) bool {
	via, err := m.Via()
	if err != nil {
		return false
	}
	value, ok := via.Params.Get("keep")
	return ok && len(value) > 0
}

// seenAs is our address as the server saw it (RFC 3261 §18.2.1, RFC 3581 §4).
func seenAs(v sip.Via) string {
	received := string(v.Received())
	if port, ok := v.Params.Get("rport"); ok && len(port) > 0 && received != "" {
		return received + ":" + string(port)
	}
	return received
}
