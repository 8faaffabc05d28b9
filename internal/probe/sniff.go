package probe

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/sallyport-sip/sallyport/internal/trust"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// Bounds of looking at what a port speaks.
const (
	sniffWithin = 1500 * time.Millisecond
	sniffBytes  = 4 << 10
)

// sniff looks, on a connection of its own, whether a port that did not work speaks the other language: SIP in clear
// where TLS was spoken, TLS where SIP was, or TCP where UDP had no answer. What it finds becomes a note and the first
// remedy. In clear it says nothing about us.
func (p *Probe) sniff(ctx context.Context, h *Hop) {
	ctx, cancel := context.WithTimeout(ctx, sniffWithin)
	defer cancel()
	switch {
	case h.Transport == transport.TLS && h.Stage == StageHandshake && h.TLS.Chosen.Version == "" && h.Failed.KnownBy != trust.ByAlert:
		if line := p.clear(ctx, h.Addr); line != "" {
			h.Notes = append(h.Notes, fmt.Sprintf("%v answers SIP in clear: %q.", h.Addr, line))
			h.Failed.Code, h.Failed.Reason = trust.TLSOnPlain, "the port speaks SIP in clear, not TLS"
			h.Failed.Remedy = "use the server's TLS port, 5061 as a rule; or, if it has none and clear is meant, ;transport=tcp with sip:"
		}
	case h.Transport == transport.TCP && h.Stage == StageOptions:
		if p.secure(ctx, h.Addr) {
			h.Notes = append(h.Notes, fmt.Sprintf("%v speaks TLS.", h.Addr))
			h.Failed.Code, h.Failed.Reason = trust.PlainTextOnTLS, "the port speaks TLS, and SIP was sent in clear"
			h.Failed.Remedy = "ask with sips:, or with ;transport=tls"
		}
	case h.Transport == transport.UDP && h.Stage == StageOptions:
		if line := p.clear(ctx, h.Addr); line != "" {
			h.Notes = append(h.Notes, fmt.Sprintf("%v answers over TCP: %q.", h.Addr, line))
			h.Failed.Reason = "nobody answers OPTIONS over UDP, but over TCP somebody does"
			h.Failed.Remedy = "ask with ;transport=tcp"
		}
	}
}

func (p *Probe) dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	if p.Network != nil {
		return p.Network.Dial(ctx, netip.AddrPortFrom(p.Source, 0), to)
	}
	var d net.Dialer
	if p.Source.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(p.Source, 0))
	}
	return d.DialContext(ctx, "tcp", to.String())
}

// clear returns the first line of what the port answers to OPTIONS in clear over TCP, if that is SIP.
func (p *Probe) clear(ctx context.Context, to netip.AddrPort) string {
	c, err := p.dial(ctx, to)
	if err != nil {
		return ""
	}
	defer c.Close()
	end, _ := ctx.Deadline()
	_ = c.SetDeadline(end)
	const anonymous = "sip:anonymous@anonymous.invalid"
	ask := "OPTIONS sip:" + to.String() + ";transport=tcp SIP/2.0\r\nVia: SIP/2.0/TCP anonymous.invalid;branch=z9hG4bK" + rand.Text() +
		"\r\nMax-Forwards: 0\r\nFrom: <" + anonymous + ">;tag=" + rand.Text()[:8] + "\r\nTo: <sip:" + to.String() +
		">\r\nCall-ID: " + rand.Text() + "\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
	if _, err := io.WriteString(c, ask); err != nil {
		return ""
	}
	var got []byte
	buf := make([]byte, 512)
	for len(got) < sniffBytes && !bytes.Contains(got, []byte("\r\n")) {
		n, err := c.Read(buf)
		got = append(got, buf[:n]...)
		if err != nil {
			break
		}
	}
	line, _, _ := strings.Cut(string(got), "\r\n")
	if !strings.HasPrefix(line, "SIP/2.0 ") {
		return ""
	}
	return line
}

// errSniffed ends a handshake that was begun only to see whether there would be one.
var errSniffed = errors.New("it speaks TLS")

// secure says whether the port answers a ClientHello as TLS does. Nothing is believed and nothing sent.
func (p *Probe) secure(ctx context.Context, to netip.AddrPort) bool {
	c, err := p.dial(ctx, to)
	if err != nil {
		return false
	}
	defer c.Close()
	first := &firstByte{Conn: c}
	tc := tls.Client(first, &tls.Config{
		InsecureSkipVerify: true, // the certificate is refused in any case
		VerifyConnection:   func(tls.ConnectionState) error { return errSniffed },
	})
	_ = tc.HandshakeContext(ctx)
	return first.b == 22 || first.b == 21 // a record with a handshake message or an alert (RFC 8446 §5.1)
}

// firstByte remembers the first byte that was read.
type firstByte struct {
	net.Conn
	b    byte
	seen bool
}

func (f *firstByte) Read(b []byte) (int, error) {
	n, err := f.Conn.Read(b)
	if n > 0 && !f.seen {
		f.b, f.seen = b[0], true
	}
	return n, err
}
