package resolve

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

// Bounds of an exchange with one server.
const (
	udpSize   = 1232 // what EDNS says that we take (RFC 6891 §6.2.5): it fits any path
	maxStrays = 16   // datagrams that are no answer to our question
)

var (
	errTruncated = errors.New("the answer is truncated")
	errCase      = errors.New("the answer does not keep the letters' case")
	errStrays    = errors.New("nothing but answers to other questions comes")
	errFormat    = errors.New("the server does not know EDNS")
)

// askServers asks one server after the other, and all again, until one answers.
func (r *Resolver) askServers(ctx context.Context, q question) (answer, error) {
	servers, timeout, attempts := r.Servers, r.Timeout, r.Attempts
	if servers == nil {
		s := r.system.settings()
		if len(s.servers) == 0 {
			return goResolver(ctx, q)
		}
		servers, timeout, attempts = s.servers, cmp.Or(timeout, s.timeout), cmp.Or(attempts, s.attempts)
	}
	timeout, attempts = cmp.Or(timeout, 2*time.Second), cmp.Or(attempts, 2)
	var failed error
	for range attempts {
		for i, server := range r.health.order(servers) {
			had := share(ctx, timeout, len(servers)-i)
			began := time.Now()
			a, err := r.askServer(ctx, server, q, had)
			if err == nil {
				r.health.note(server, false)
				return a, nil
			}
			if ctx.Err() != nil {
				return answer{}, cmp.Or(context.Cause(ctx), failed)
			}
			if had == timeout || time.Since(began) < had { // else it may have been the haste
				r.health.note(server, true)
			}
			failed = fmt.Errorf("name server %s: %w", server, err)
		}
	}
	return answer{}, cmp.Or(failed, errors.New("there is no name server"))
}

// share is how long one server may take, of n that are to have their turn before
// ctx ends: one that is dead must not take the time of those that are not.
func share(ctx context.Context, timeout time.Duration, n int) time.Duration {
	if end, ok := ctx.Deadline(); ok {
		return min(timeout, time.Until(end)/time.Duration(n))
	}
	return timeout
}

// askServer asks one server: over UDP, and over TCP when the answer is too long
// (RFC 7766 §5) or may be forged. One that does not know EDNS is asked without.
func (r *Resolver) askServer(ctx context.Context, server netip.AddrPort, q question, timeout time.Duration) (answer, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("no answer within %v", timeout))
	defer cancel()
	network, edns := "udp", true
	for range 4 { // each of the two may change once
		m, err := r.exchange(ctx, network, server, q, edns)
		switch {
		case err == nil:
			return read(m, q)
		case network == "udp" && (errors.Is(err, errTruncated) || errors.Is(err, errCase) || errors.Is(err, errStrays)):
			network = "tcp"
		case edns && errors.Is(err, errFormat):
			edns = false
		case ctx.Err() != nil:
			return answer{}, context.Cause(ctx)
		default:
			return answer{}, err
		}
	}
	return answer{}, errFormat
}

// exchange sends the question on a connection of its own, so that its port is
// drawn anew, and waits for the answer.
func (r *Resolver) exchange(ctx context.Context, network string, server netip.AddrPort, q question, edns bool) (*dns.Msg, error) {
	dial := r.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	conn, err := dial(ctx, network, server.String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	ask := newQuestion(q, edns)
	b, err := ask.Pack()
	if err != nil {
		return nil, err
	}
	if network == "tcp" {
		return overTCP(conn, ask, b)
	}
	if _, err := conn.Write(b); err != nil {
		return nil, err
	}
	buf := make([]byte, 4096)
	for range maxStrays {
		n, err := conn.Read(buf)
		if err != nil {
			return nil, err
		}
		m, err := parse(buf[:n], ask, true)
		if !errors.Is(err, errOther) {
			return m, err
		}
	}
	return nil, errStrays
}

// overTCP puts the length before each message (RFC 1035 §4.2.2).
func overTCP(conn net.Conn, ask *dns.Msg, b []byte) (*dns.Msg, error) {
	if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)); err != nil {
		return nil, err
	}
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return nil, err
	}
	b = make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(conn, b); err != nil {
		return nil, err
	}
	return parse(b, ask, false)
}

// newQuestion makes the message. What is drawn in it, the identifier and the
// case of each letter, is what a forged answer would have to guess.
func newQuestion(q question, edns bool) *dns.Msg {
	name := []byte(dns.Fqdn(q.name))
	for i, c := range name {
		if c >= 'a' && c <= 'z' && rand.IntN(2) == 0 {
			name[i] = c - 'a' + 'A'
		}
	}
	m := &dns.Msg{
		MsgHdr:   dns.MsgHdr{Id: uint16(rand.Uint32()), RecursionDesired: true},
		Question: []dns.Question{{Name: string(name), Qtype: q.kind, Qclass: dns.ClassINET}},
	}
	if edns {
		m.SetEdns0(udpSize, false)
	}
	return m
}
