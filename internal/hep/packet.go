// Package hep sends what the gateway sees to collectors such as Homer, as HEP version 3: each SIP message in clear, and what became of
// each handshake.
//
// Packet is one message with where it went; Append writes it in the chunks of HEP. Sender keeps up the way to one collector: Send puts
// a packet into a bounded queue and never waits, one goroutine writes, and connects again with growing pauses. What does not fit is
// dropped and counted. Reading starts at Sender.Send.
//
// The form is that of the HEP3 network protocol specification, revision 36 of sipcapture.org.
package hep

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// Kinds of payload: chunk 11.
const (
	SIP = 1
	Log = 100 // JSON
)

// Types of chunks, of the vendor 0.
const (
	chunkFamily      = 1
	chunkProtocol    = 2
	chunkSource4     = 3
	chunkTarget4     = 4
	chunkSource6     = 5
	chunkTarget6     = 6
	chunkSourcePort  = 7
	chunkTargetPort  = 8
	chunkSeconds     = 9
	chunkMicros      = 10
	chunkKind        = 11
	chunkCaptureID   = 12
	chunkPassword    = 14
	chunkPayload     = 15
	chunkCorrelation = 17
	chunkNode        = 19

	familyIPv4, familyIPv6   = 2, 10
	protocolTCP, protocolUDP = 6, 17

	head      = 6 // "HEP3" and the length
	chunkHead = 6
)

// most is how long a packet can be: its length has 16 bits.
const most = 1<<16 - 1

// A Packet is one message that crossed a connection, or one thing that is told of it.
type Packet struct {
	Kind        byte // SIP or Log
	At          time.Time
	UDP         bool
	From, To    netip.AddrPort // of one family, or not valid
	Correlation string         // what the messages of one call have in common
	Payload     []byte
}

// identity is who tells it: the same in all packets to a collector.
type identity struct {
	captureID uint32
	node      string
	password  string
}

// size is how many bytes appendTo appends.
func (p *Packet) size(id *identity) int {
	from, _ := p.ends()
	n := head + 11*chunkHead + len(p.Payload) + 1 + 1 + 2*from.Addr().BitLen()/8 + 2 + 2 + 4 + 4 + 1 + 4
	for _, s := range []string{id.password, p.Correlation, id.node} {
		if s != "" {
			n += chunkHead + len(s)
		}
	}
	return n
}

// ends are both addresses in one family: what is not known is 0.0.0.0 or ::.
func (p *Packet) ends() (from, to netip.AddrPort) {
	clean := func(a netip.AddrPort) netip.AddrPort {
		if !a.IsValid() {
			return netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
		}
		return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
	}
	from, to = clean(p.From), clean(p.To)
	if from.Addr().Is4() == to.Addr().Is4() {
		return from, to
	}
	// One of them is that of a socket on all addresses: the other one tells the family.
	if from.Addr().IsUnspecified() {
		return netip.AddrPortFrom(unspecified(to), from.Port()), to
	}
	return from, netip.AddrPortFrom(unspecified(from), to.Port())
}

func unspecified(like netip.AddrPort) netip.Addr {
	if like.Addr().Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// appendTo appends the packet, which must not be longer than most. The time keeps its microseconds: collectors order by them.
func (p *Packet) appendTo(b []byte, id *identity) []byte {
	start := len(b)
	b = append(b, "HEP3\x00\x00"...)
	from, to := p.ends()
	family, source, target := byte(familyIPv4), uint16(chunkSource4), uint16(chunkTarget4)
	if from.Addr().Is6() {
		family, source, target = familyIPv6, chunkSource6, chunkTarget6
	}
	protocol := byte(protocolTCP)
	if p.UDP {
		protocol = protocolUDP
	}
	micros := p.At.UnixMicro()
	b = append(chunk(b, chunkFamily, 1), family)
	b = append(chunk(b, chunkProtocol, 1), protocol)
	b = append(chunk(b, source, from.Addr().BitLen()/8), from.Addr().AsSlice()...)
	b = append(chunk(b, target, to.Addr().BitLen()/8), to.Addr().AsSlice()...)
	b = binary.BigEndian.AppendUint16(chunk(b, chunkSourcePort, 2), from.Port())
	b = binary.BigEndian.AppendUint16(chunk(b, chunkTargetPort, 2), to.Port())
	b = binary.BigEndian.AppendUint32(chunk(b, chunkSeconds, 4), uint32(micros/1e6))
	b = binary.BigEndian.AppendUint32(chunk(b, chunkMicros, 4), uint32(micros%1e6))
	b = append(chunk(b, chunkKind, 1), p.Kind)
	b = binary.BigEndian.AppendUint32(chunk(b, chunkCaptureID, 4), id.captureID)
	for _, c := range []struct {
		kind uint16
		text string
	}{{chunkPassword, id.password}, {chunkCorrelation, p.Correlation}, {chunkNode, id.node}} {
		if c.text != "" {
			b = append(chunk(b, c.kind, len(c.text)), c.text...)
		}
	}
	b = append(chunk(b, chunkPayload, len(p.Payload)), p.Payload...)
	binary.BigEndian.PutUint16(b[start+4:], uint16(len(b)-start))
	return b
}

// chunk appends the head of a chunk, whose length counts the head.
func chunk(b []byte, kind uint16, length int) []byte {
	b = binary.BigEndian.AppendUint16(b, 0)
	b = binary.BigEndian.AppendUint16(b, kind)
	return binary.BigEndian.AppendUint16(b, uint16(chunkHead+length))
}
