package transport

import (
	"bytes"
	"testing"
	"time"
)

// FuzzUpgrade gives any bytes as the request for a WebSocket. Nothing may panic, and what is admitted has all that it needs.
func FuzzUpgrade(f *testing.F) {
	f.Add([]byte(handshakeText))
	f.Add([]byte("GET http://x/ HTTP/1.1\r\nHost: x\r\nUpgrade: a, WebSocket\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		u := &upgrade{}
		accept, err := u.admit(b, &phone)
		if err == nil && (len(accept) != 28 || u.note.Origin != "" && u.note.Origin != "https://phone.example" && !bytes.EqualFold([]byte(u.note.Origin), []byte("https://phone.example"))) {
			t.Errorf("admitted %+v with %q", u.note, accept)
		}
		if err != nil {
			if e, ok := err.(*UpgradeError); !ok || e.Status < 400 || e.Why == "" {
				t.Errorf("refused with %v", err)
			}
		}
	})
}

// FuzzFrames gives any bytes to the reader of a WebSocket, whole and byte by byte: both give the same messages and end
// the same way, and nothing is held beyond the limit of a message.
func FuzzFrames(f *testing.F) {
	text := message(1, "body")
	f.Add([]byte(masked(0x81, text)))
	f.Add([]byte(masked(0x01, text[:20]) + masked(0x89, "ping") + masked(0x80, text[20:])))
	f.Add([]byte(masked(0x88, "\x03\xe8bye")))
	f.Add([]byte("\x81\xff\x00\x00\x7f\xff\xff\xff\xff\xff\x00\x00\x00\x00"))
	f.Add([]byte(masked(0x82, "\r\n\r\n")))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<16 {
			return
		}
		all, end := framesOf(t, b, len(b))
		one, same := framesOf(t, b, 1)
		if len(all) != len(one) || end != same {
			t.Fatalf("%d messages and %q whole, %d and %q in bytes", len(all), end, len(one), same)
		}
		for i := range all {
			if all[i] != one[i] {
				t.Errorf("message %d differs: %q and %q", i, all[i], one[i])
			}
		}
	})
}

// framesOf feeds a reader pieces of a size and returns the messages and the end.
func framesOf(t *testing.T, b []byte, size int) (texts []string, end string) {
	e := New(Config{Hooks: Hooks{Deliver: func([]Packet) {}}})
	s := &stream{e: e, web: &webSocket{}, silent: make(chan struct{})}
	s.c = &Conn{link: s}
	s.c.standing.Store(&standing{})
	m := Manner{}
	s.manner.Store(&m)
	s.nc = deaf{}
	for len(b) > 0 && end == "" {
		n := copy(s.in.box.space(), b[:min(size, len(b))])
		s.in.box.add(n)
		b = b[n:]
		if err := s.frames(time.Now()); err != nil {
			end = err.Error()
		}
		if held := s.unfinished(); held > 2*s.messageLimit() {
			t.Fatalf("%d bytes are held", held)
		}
	}
	for _, p := range s.in.batch {
		texts = append(texts, string(p.Msg.Bytes()))
		p.Msg.Release()
	}
	if s.in.msg != nil {
		s.in.msg.Release()
	}
	s.in.box.clear()
	for s.pending != nil {
		s.shift().drop()
	}
	return texts, end
}

// deaf is a connection of which only the deadline is set.
type deaf struct{ plainConn }

func (deaf) SetReadDeadline(time.Time) error { return nil }
