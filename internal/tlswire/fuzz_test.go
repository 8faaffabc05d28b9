package tlswire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"reflect"
	"testing"
)

// pack writes a transcript as fuzz input: for each chunk a side, a 16-bit length
// and the bytes.
func (tr transcript) pack() (out []byte) {
	for _, c := range tr.chunks {
		for b := c.data; len(b) > 0; {
			n := min(len(b), 0xFFFF)
			out = append(out, byte(c.from))
			out = binary.BigEndian.AppendUint16(out, uint16(n))
			out = append(out, b[:n]...)
			b = b[n:]
		}
	}
	return out
}

func unpack(b []byte) (tr transcript) {
	for len(b) >= 3 {
		n := min(int(binary.BigEndian.Uint16(b[1:3])), len(b)-3)
		tr.chunks = append(tr.chunks, chunk{Side(b[0] & 1), b[3 : 3+n]})
		b = b[3+n:]
	}
	return tr
}

// FuzzParser feeds arbitrary bytes of both sides: the parser must not panic, keep
// no more than its bounds, and tell the same however the bytes are cut.
func FuzzParser(f *testing.F) {
	for _, name := range []string{"rfc8448_1rtt.txt", "rfc8448_0rtt.txt", "rfc8448_hrr.txt", "rfc8448_mutual.txt", "rfc8448_compat.txt"} {
		tr := loadTrace(f, name)
		f.Add(tr.pack(), tr.secret[LabelClientHandshake], tr.secret[LabelServerHandshake], byte(7))
		f.Add(tr.pack(), []byte(nil), []byte(nil), byte(1))
	}
	f.Add(loadTrace(f, "tls12_mutual.txt").pack(), []byte(nil), []byte(nil), byte(3))
	f.Add(transcript{chunks: []chunk{{Client, []byte("\r\nINVITE sip:bob@example.test SIP/2.0\r\n")}}}.pack(), []byte(nil), []byte(nil), byte(2))

	f.Fuzz(func(t *testing.T, packed, client, server []byte, size byte) {
		tr := unpack(packed)
		run := func(split func([]byte) [][]byte) ([]Step, State) {
			var steps []Step
			p := New(func(s Step) { steps = append(steps, s) })
			if len(client) > 0 {
				p.Secret(LabelClientHandshake, client)
			}
			if len(server) > 0 {
				p.Secret(LabelServerHandshake, server)
			}
			for _, c := range tr.chunks {
				for _, b := range split(c.data) {
					b = bytes.Clone(b)
					p.Feed(c.from, start, b)
					clear(b) // nothing of it may be kept
				}
				if held := p.held(); held > maxHeld {
					t.Fatalf("holds %d bytes, more than %d", held, maxHeld)
				}
			}
			p.Flush()
			if len(steps) > maxSteps {
				t.Fatalf("%d steps", len(steps))
			}
			return steps, p.State()
		}
		steps, state := run(whole)
		for name, split := range map[string]func([]byte) [][]byte{
			"bytewise": bytewise,
			fmt.Sprintf("by %d bytes", int(size)+1): func(b []byte) (out [][]byte) {
				for len(b) > 0 {
					n := min(len(b), int(size)+1)
					out = append(out, b[:n])
					b = b[n:]
				}
				return out
			},
		} {
			again, stateAgain := run(split)
			if !reflect.DeepEqual(steps, again) {
				t.Fatalf("%s:\n got  %q\n want %q", name, rows(again), rows(steps))
			}
			if !reflect.DeepEqual(state, stateAgain) {
				t.Fatalf("%s: state\n got  %+v\n want %+v", name, stateAgain, state)
			}
		}
	})
}
