package tlswire

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// records returns the transcript cut into whole records, each where its last
// byte is.
func (tr transcript) records() (out []chunk) {
	var rest [2][]byte
	for _, c := range tr.chunks {
		b := append(rest[c.from], c.data...)
		for len(b) >= headerLen && len(b) >= recordLen(b) {
			n := recordLen(b)
			out = append(out, chunk{c.from, b[:n:n]})
			b = b[n:]
		}
		rest[c.from] = b
	}
	return out
}

func sealedRecord(o *opener, typ byte, content []byte) []byte {
	inner := append(bytes.Clone(content), typ, 0, 0) // two bytes of padding
	header := []byte{recordData, 3, 3, 0, 0}
	binary.BigEndian.PutUint16(header[3:], uint16(len(inner)+o.aead.Overhead()))
	nonce := o.next()
	o.seq++
	return o.aead.Seal(header, nonce, inner, header)
}

// plainRecords puts content into records of at most size bytes.
func plainRecords(typ byte, content []byte, size int) (out []byte) {
	for len(content) > 0 {
		n := min(size, len(content))
		out = append(out, typ, 3, 3, byte(n>>8), byte(n))
		out = append(out, content[:n]...)
		content = content[n:]
	}
	return out
}

// reseal writes a 1.3 transcript anew: under another suite, with secrets of its
// own, and each side's encrypted handshake messages joined and cut into records
// of at most size bytes.
func reseal(t *testing.T, tr transcript, suite suite13, size int) transcript {
	t.Helper()
	var from uint16
	p := New(func(Step) {})
	for _, c := range tr.chunks {
		p.Feed(c.from, start, c.data)
	}
	from = p.suite
	out := transcript{secret: map[string][]byte{}}
	var opens, seals [2]*opener
	for side, label := range []string{LabelClientHandshake, LabelServerHandshake} {
		var ok bool
		if opens[side], ok = newOpener(from, tr.secret[label]); !ok {
			t.Fatal("no keys to open with")
		}
		secret := bytes.Repeat([]byte{byte(side + 1)}, suite.hash().Size())
		out.secret[label] = secret
		if seals[side], ok = newOpener(suite.id, secret); !ok {
			t.Fatal("no keys to seal with")
		}
	}
	var pending [2][]byte
	var finished [2]bool
	for _, c := range tr.records() {
		rec := bytes.Clone(c.data)
		var data []byte
		switch {
		case rec[0] == recordHandshake && rec[headerLen] == typeServerHello:
			at := headerLen + messageHeader + 2 + 32
			at += 1 + int(rec[at])
			binary.BigEndian.PutUint16(rec[at:], suite.id)
			data = plainRecords(recordHandshake, rec[headerLen:], size)
		case rec[0] == recordData && !finished[c.from]:
			inner, err := opens[c.from].open(nil, record{header: [headerLen]byte(rec), content: rec[headerLen:]})
			if err != nil {
				t.Fatal(err)
			}
			inner = inner[:len(inner)-1]
			pending[c.from] = append(pending[c.from], inner...)
			if inner[0] != typeFinished {
				continue
			}
			finished[c.from] = true
			for b := pending[c.from]; len(b) > 0; {
				n := min(size, len(b))
				data = append(data, sealedRecord(seals[c.from], recordHandshake, b[:n])...)
				b = b[n:]
			}
		case rec[0] == recordHandshake:
			data = plainRecords(recordHandshake, rec[headerLen:], size)
		default:
			data = rec
		}
		out.chunks = append(out.chunks, chunk{c.from, data})
	}
	return out
}

// refragment joins the clear handshake records that a side sends in a row and
// cuts them into records of at most size bytes.
func refragment(tr transcript, size int) transcript {
	var out transcript
	var ciphered [2]bool
	var clear []byte
	recs := tr.records()
	for i, c := range recs {
		if c.data[0] == recordHandshake && !ciphered[c.from] {
			clear = append(clear, c.data[headerLen:]...)
			if i+1 < len(recs) && recs[i+1].from == c.from && recs[i+1].data[0] == recordHandshake {
				continue
			}
			c.data = plainRecords(recordHandshake, clear, size)
			clear = nil
		}
		ciphered[c.from] = ciphered[c.from] || c.data[0] == recordChangeCipherSpec
		out.chunks = append(out.chunks, c)
	}
	return out
}
