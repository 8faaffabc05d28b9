package export

import (
	"encoding/binary"
	"io"
	"net/netip"
	"time"
)

// Numbers of the pcapng format, draft-ietf-opsawg-pcapng.
const (
	blockSection   = 0x0A0D0D0A
	blockInterface = 1
	blockPacket    = 6 // enhanced packet block
	blockSecrets   = 0x0A

	byteOrder      = 0x1A2B3C4D // tells a reader how the numbers lie
	secretsTLS     = 0x544C534B // a TLS key log (RFC 9850)
	linkRaw        = 101        // a packet begins with its IP header
	optComment     = 1
	optApplication = 4 // of a section
	optName        = 2 // of an interface
	optDescription = 3 // of an interface
	optResolution  = 9 // of an interface
	optFlags       = 2 // of a packet
	nanoseconds    = 9 // as a resolution: 10 to the power of minus this

	flagInbound, flagOutbound = 1, 2
)

// A blockWriter writes a pcapng file, block by block. After an error it writes nothing more.
type blockWriter struct {
	w   io.Writer
	b   []byte // the block under construction
	err error
}

var little = binary.LittleEndian

// begin starts a block; its length comes with end.
func (w *blockWriter) begin(kind uint32) {
	w.b = little.AppendUint32(w.b[:0], kind)
	w.b = little.AppendUint32(w.b, 0)
}

func (w *blockWriter) u32(v ...uint32) {
	for _, n := range v {
		w.b = little.AppendUint32(w.b, n)
	}
}

// data appends bytes and fills up to four.
func (w *blockWriter) data(b []byte) {
	w.b = append(w.b, b...)
	for len(w.b)%4 != 0 {
		w.b = append(w.b, 0)
	}
}

// mostOption is how long an option's value may be: its length has 16 bits.
const mostOption = 1<<16 - 1

func (w *blockWriter) option(code int, value []byte) {
	if len(value) > mostOption {
		value = value[:mostOption]
	}
	w.b = little.AppendUint16(w.b, uint16(code))
	w.b = little.AppendUint16(w.b, uint16(len(value)))
	w.data(value)
}

// end closes the options and writes the block.
func (w *blockWriter) end() {
	w.u32(0) // opt_endofopt, also where there was none
	n := uint32(len(w.b) + 4)
	w.u32(n)
	little.PutUint32(w.b[4:], n)
	if w.err == nil {
		_, w.err = w.w.Write(w.b)
	}
}

func (w *blockWriter) section(application, comment string) {
	w.begin(blockSection)
	w.u32(byteOrder)
	w.b = little.AppendUint16(w.b, 1) // version 1.0
	w.b = little.AppendUint16(w.b, 0)
	w.u32(0xFFFFFFFF, 0xFFFFFFFF) // the section's length is not said
	w.option(optComment, []byte(comment))
	w.option(optApplication, []byte(application))
	w.end()
}

func (w *blockWriter) network(name, description string) {
	w.begin(blockInterface)
	w.u32(linkRaw, 0) // and no limit to a packet's length
	w.option(optName, []byte(name))
	w.option(optDescription, []byte(description))
	w.option(optResolution, []byte{nanoseconds})
	w.end()
}

// secrets writes lines of a TLS key log. The block has no options, and no end of them.
func (w *blockWriter) secrets(keyLog []byte) {
	w.begin(blockSecrets)
	w.u32(secretsTLS, uint32(len(keyLog)))
	w.data(keyLog)
	w.end()
}

func (w *blockWriter) packet(at time.Time, out bool, b []byte, comment string) {
	w.begin(blockPacket)
	ns := uint64(at.UnixNano())
	w.u32(0, uint32(ns>>32), uint32(ns), uint32(len(b)), uint32(len(b)))
	w.data(b)
	if comment != "" {
		w.option(optComment, []byte(comment))
	}
	way := uint32(flagInbound)
	if out {
		way = flagOutbound
	}
	w.option(optFlags, little.AppendUint32(nil, way))
	w.end()
}

// Numbers of IP, UDP and TCP (RFC 791, 8200, 768, 9293).
const (
	protoTCP, protoUDP = 6, 17
	hopLimit           = 64

	tcpFIN, tcpSYN, tcpPSH, tcpACK = 1, 2, 8, 16

	tcpHeader = 20
	udpHeader = 8
)

// mostPayload is what fits into one packet besides its headers, whether IPv4 or IPv6.
const mostPayload = 1<<16 - 1 - 20 - tcpHeader

var network = binary.BigEndian

// ip returns a packet with its IP header. The payload begins with the header of its protocol, whose checksum is at sum.
func ip(from, to netip.Addr, proto byte, payload []byte, sum int) []byte {
	var b []byte
	if from.Is4() {
		b = append(b, 0x45, 0)
		b = network.AppendUint16(b, uint16(20+len(payload)))
		b = append(b, 0, 0, 0x40, 0, hopLimit, proto, 0, 0) // not to be cut up
	} else {
		b = append(b, 0x60, 0, 0, 0)
		b = network.AppendUint16(b, uint16(len(payload)))
		b = append(b, proto, hopLimit)
	}
	b = append(append(b, from.AsSlice()...), to.AsSlice()...)
	if from.Is4() {
		network.PutUint16(b[10:], checksum(b))
	}
	pseudo := append(from.AsSlice(), to.AsSlice()...)
	pseudo = network.AppendUint32(pseudo, uint32(len(payload)))
	pseudo = append(pseudo, 0, 0, 0, proto)
	c := checksum(pseudo, payload)
	if proto == protoUDP && c == 0 {
		c = 0xFFFF // none would be 0 (RFC 768)
	}
	network.PutUint16(payload[sum:], c)
	return append(b, payload...)
}

// checksum is the sum of RFC 1071. All parts but the last are of even length.
func checksum(parts ...[]byte) uint16 {
	var sum uint64
	for _, b := range parts {
		for ; len(b) > 1; b = b[2:] {
			sum += uint64(network.Uint16(b))
		}
		if len(b) == 1 {
			sum += uint64(b[0]) << 8
		}
	}
	for sum > 0xFFFF {
		sum = sum>>16 + sum&0xFFFF
	}
	return ^uint16(sum)
}

// udp returns a datagram.
func udp(from, to netip.AddrPort, b []byte) []byte {
	p := network.AppendUint16(nil, from.Port())
	p = network.AppendUint16(p, to.Port())
	p = network.AppendUint16(p, uint16(udpHeader+len(b)))
	p = append(p, 0, 0)
	return ip(from.Addr(), to.Addr(), protoUDP, append(p, b...), 6)
}

// tcp returns a segment. A SYN says that the window is to be read times 2^14 (RFC 7323), so that what we never
// acknowledge by itself stays within it.
func tcp(from, to netip.AddrPort, seq, ack uint32, flags byte, b []byte) []byte {
	var options []byte
	if flags&tcpSYN != 0 {
		options = []byte{3, 3, 14, 1}
	}
	p := network.AppendUint16(nil, from.Port())
	p = network.AppendUint16(p, to.Port())
	p = network.AppendUint32(p, seq)
	p = network.AppendUint32(p, ack)
	p = append(p, byte(tcpHeader+len(options))<<2, flags, 0xFF, 0xFF, 0, 0, 0, 0)
	p = append(append(p, options...), b...)
	return ip(from.Addr(), to.Addr(), protoTCP, p, 16)
}
