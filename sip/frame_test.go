package sip

import (
	"bytes"
	"errors"
	"testing"
)

// frames feeds b to a Framer in pieces of the given size and returns what came
// out, joined, and how it ended.
func frames(b []byte, size int) (out [][]byte, keepAlives int, err error) {
	var f Framer
	m := Acquire()
	defer m.Release()
	var buf []byte
	for len(b) > 0 || len(buf) > 0 {
		n, kind, e := f.Next(buf, m)
		if _, ok := errors.AsType[*FrameError](e); ok {
			return out, keepAlives, e
		}
		switch kind {
		case FrameMessage:
			out = append(out, bytes.Clone(m.Bytes()))
		case FrameKeepAlive:
			keepAlives++
		case FrameMore:
			if len(b) == 0 {
				return out, keepAlives, nil
			}
			k := min(size, len(b))
			buf, b = append(buf, b[:k]...), b[k:]
		}
		buf = buf[n:]
	}
	return out, keepAlives, nil
}

func TestFramesInAnyPieces(t *testing.T) {
	second := append(bytes.Clone(request("Content-Length: 3")), "abc"...)
	stream := append(bytes.Clone(invite), second...)
	stream = append(stream, "\r\n\r\n"...)
	stream = append(stream, invite...)
	for size := 1; size < len(stream); size = size*3/2 + 1 {
		out, keepAlives, err := frames(stream, size)
		if err != nil || len(out) != 3 || keepAlives == 0 {
			t.Fatalf("pieces of %d: %d messages, %d keep-alives, %v", size, len(out), keepAlives, err)
		}
		if !bytes.Equal(out[0], invite) || !bytes.Equal(out[1], second) || !bytes.Equal(out[2], invite) {
			t.Fatalf("pieces of %d: the messages changed", size)
		}
	}
}

func TestFramerEndsBrokenStreams(t *testing.T) {
	for _, c := range []struct{ name, in string }{
		{"no Content-Length", string(request())},
		{"two Content-Lengths", string(request("Content-Length: 0", "+Content-Length: 5"))},
		{"negative Content-Length", string(request("Content-Length: -1"))},
		{"ClientHello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"},
		{"HTTP", "GET / HTTP/1.1\r\n"},
		{"binary", "\x00\x01\x02\x03"},
		{"one endless word", string(bytes.Repeat([]byte("A"), 100))},
		{"too long", "INVITE sip:a@b SIP/2.0\r\nSubject: " + string(bytes.Repeat([]byte("x"), 70<<10))},
		{"too long a body", string(request("Content-Length: 99999999"))},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, size := range []int{1, 7, len(c.in)} {
				if _, _, err := frames([]byte(c.in), size); err == nil {
					t.Errorf("pieces of %d: no error", size)
				}
			}
		})
	}
}

func TestMalformedMessageKeepsTheStreamInStep(t *testing.T) {
	bad := request("CSeq: x INVITE", "+Subject: a\rb", "Content-Length: 2")
	stream := append(append(bytes.Clone(bad), "ab"...), invite...)
	out, _, err := frames(stream, len(stream))
	if err != nil || len(out) != 2 || !bytes.Equal(out[1], invite) {
		t.Errorf("got %d messages, %v", len(out), err)
	}
}

func FuzzFramer(f *testing.F) {
	f.Add(invite, 10)
	f.Add(append(bytes.Clone(invite), invite...), 100)
	f.Add([]byte("\r\n\r\nOPTIONS sip:a SIP/2.0\r\nl: 0\r\n\r\n"), 3)
	f.Fuzz(func(t *testing.T, b []byte, size int) {
		if size <= 0 || len(b) > 4096 {
			return
		}
		whole, _, err := frames(b, max(1, len(b)))
		pieces, _, err2 := frames(b, size)
		if err == nil && err2 == nil && len(whole) != len(pieces) {
			t.Fatalf("whole gives %d messages, pieces of %d give %d", len(whole), size, len(pieces))
		}
		for i := range min(len(whole), len(pieces)) {
			if !bytes.Equal(whole[i], pieces[i]) {
				t.Fatalf("message %d differs", i)
			}
		}
	})
}

func FuzzMessage(f *testing.F) {
	f.Add(invite)
	f.Add(request("Via: SIP/2.0/UDP\r\n a ;branch=z9hG4bK1;rport"))
	f.Add([]byte("SIP/2.0 200 OK\r\nv: SIP/2.0/UDP a\r\nf: <sip:a@b>;tag=1\r\nt: <sip:b@b>\r\ni: 1\r\nCSeq: 7 INVITE\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Parse(b)
		defer m.Release()
		if err != nil || m.Check() != nil {
			return
		}
		again := mustParse(t, m.Bytes())
		defer again.Release()
		if !bytes.Equal(again.Bytes(), m.Bytes()) {
			t.Fatal("parse, encode, parse differs")
		}
		if m.IsRequest() {
			mustParse(t, AppendResponse(nil, m, 200, "", []byte("x"), Source{"192.0.2.1", 5060})).Release()
		}
	})
}

func FuzzURI(f *testing.F) {
	for _, s := range []string{"sip:a:b@[::1]:5060;transport=tls;lr?x=y", "sips:example.com", "tel:+49-30;phone-context=x", "urn:a"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		u, err := ParseURI(b)
		if err != nil {
			return
		}
		if u.SIP() && len(u.HostName()) == 0 {
			t.Fatalf("%q has no host", b)
		}
		u.Params.Get("transport")
	})
}
