package transport

import (
	"crypto/rand"
	"encoding/binary"
	"unicode/utf8"
)

// opcode is what a frame carries (RFC 6455 §5.2).
type opcode byte

const (
	opContinuation opcode = 0x0
	opText         opcode = 0x1
	opBinary       opcode = 0x2
	opClose        opcode = 0x8
	opPing         opcode = 0x9
	opPong         opcode = 0xA
)

// control says whether a frame may stand between the fragments of a message.
func (o opcode) control() bool { return o >= opClose }

// Status codes of a Close frame (RFC 6455 §7.4.1).
const (
	statusNormal      = 1000
	statusGoingAway   = 1001
	statusProtocol    = 1002 // against RFC 6455
	statusUnsupported = 1003 // something other than one SIP message
	statusNone        = 1005 // stands for a Close frame without a status, never sent
	statusNotUTF8     = 1007
	statusPolicy      = 1008 // a time or bound of ours
	statusTooBig      = 1009
)

// maxControl is the longest payload of a control frame (RFC 6455 §5.5).
const maxControl = 125

const (
	bitFin  = 0x80
	bitsRSV = 0x70
	bitMask = 0x80
)

// frameHeader is what stands before the payload of a frame.
type frameHeader struct {
	fin    bool
	op     opcode
	masked bool
	key    [4]byte
	length uint64 // of the payload
	size   int    // of the header itself; 0: it is not complete
}

// violation is what the other side did against RFC 6455 or RFC 7118: the status
// of the Close frame that it gets, and what we call it.
type violation struct {
	status uint16
	text   string
}

// parseHeader reads the header that b begins with. A header of which bytes are
// missing has size 0.
func parseHeader(b []byte) (h frameHeader, bad *violation) {
	if len(b) < 2 {
		return h, nil
	}
	h.fin, h.op, h.masked = b[0]&bitFin != 0, opcode(b[0]&0x0f), b[1]&bitMask != 0
	if bad = h.check(b[0], b[1]&^bitMask); bad != nil {
		return h, bad
	}
	size := 2
	switch n := b[1] &^ bitMask; n {
	default:
		h.length = uint64(n)
	case 126:
		if len(b) < 4 {
			return h, nil
		}
		h.length, size = uint64(binary.BigEndian.Uint16(b[2:])), 4
	case 127:
		if len(b) < 10 {
			return h, nil
		}
		h.length, size = binary.BigEndian.Uint64(b[2:]), 10
	}
	// "... the minimal number of bytes MUST be used to encode the length" and "the
	// most significant bit MUST be 0" (RFC 6455 §5.2).
	if size == 4 && h.length < 126 || size == 10 && (h.length <= 0xffff || h.length>>63 != 0) {
		return h, &violation{statusProtocol, "frame length not written as it must be (RFC 6455 §5.2)"}
	}
	if h.masked {
		if len(b) < size+4 {
			return h, nil
		}
		size += copy(h.key[:], b[size:size+4])
	}
	h.size = size
	return h, nil
}

// check judges the first two bytes.
func (h *frameHeader) check(first, length byte) *violation {
	switch {
	case first&bitsRSV != 0:
		return &violation{statusProtocol, "frame of an extension that was not agreed (RFC 6455 §5.2)"}
	case h.op > opBinary && h.op < opClose || h.op > opPong:
		return &violation{statusProtocol, "frame of an unknown kind (RFC 6455 §5.2)"}
	case h.op.control() && !h.fin:
		return &violation{statusProtocol, "control frame in fragments (RFC 6455 §5.5)"}
	case h.op.control() && length > maxControl:
		return &violation{statusProtocol, "control frame longer than 125 bytes (RFC 6455 §5.5)"}
	}
	return nil
}

// appendFrame appends an unfragmented frame. That of a client is masked: "A
// client MUST mask all frames that it sends to the server" with a key "derived
// from a strong source of entropy" (RFC 6455 §5.1, §5.3).
func appendFrame(dst []byte, op opcode, masked bool, payload []byte) []byte {
	mask := byte(0)
	if masked {
		mask = bitMask
	}
	dst = append(dst, bitFin|byte(op))
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, mask|byte(n))
	case n <= 0xffff:
		dst = binary.BigEndian.AppendUint16(append(dst, mask|126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, mask|127), uint64(n))
	}
	if !masked {
		return append(dst, payload...)
	}
	var key [4]byte
	rand.Read(key[:]) // never fails
	dst = append(dst, key[:]...)
	start := len(dst)
	dst = append(dst, payload...)
	mangle(dst[start:], key)
	return dst
}

// mangle masks or unmasks a payload (RFC 6455 §5.3).
func mangle(b []byte, key [4]byte) {
	word := uint64(binary.LittleEndian.Uint32(key[:]))
	word |= word << 32
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^word)
		b = b[8:]
	}
	for i := range b {
		b[i] ^= key[i&3]
	}
}

// appendClose appends a Close frame. Text is cut to what fits a control frame
// and is UTF-8 (RFC 6455 §5.5.1).
func appendClose(dst []byte, masked bool, status uint16, text string) []byte {
	if status == statusNone {
		return appendFrame(dst, opClose, masked, nil)
	}
	var payload [maxControl]byte
	binary.BigEndian.PutUint16(payload[:], status)
	for len(text) > maxControl-2 || !utf8.ValidString(text) {
		text = text[:min(len(text)-1, maxControl-2)]
	}
	n := 2 + copy(payload[2:], text)
	return appendFrame(dst, opClose, masked, payload[:n])
}
