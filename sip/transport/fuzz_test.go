package transport

import (
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/internal/memnet"
)

// arrive sends bytes through a connection in pieces of the given lengths, in
// turn, and returns the messages that came before the first with an error.
func arrive(t *testing.T, b []byte, pieces []byte) (good []string) {
	synctest.Test(t, func(t *testing.T) {
		network := memnet.New(memnet.Options{})
		server := newNode(t, network, nil)
		nc := rawDial(t, network, server.listen(TCP, nil))
		go io.Copy(io.Discard, nc)
		for i := 0; len(b) > 0; i++ {
			n := len(b)
			if len(pieces) > 0 {
				n = min(n, 1+int(pieces[i%len(pieces)]))
			}
			if _, err := nc.Write(b[:n]); err != nil {
				break
			}
			b = b[n:]
			synctest.Wait() // so that each piece is a read of its own
		}
		nc.(*memnet.Conn).CloseWrite()
		want(t, server.closed, "the end")
		nc.Close()
		for len(server.packets) > 0 {
			p := <-server.packets
			if p.err != nil {
				return
			}
			good = append(good, p.text)
		}
		time.Sleep(time.Second)
	})
	return good
}

// FuzzStream: however a stream is cut into reads, the same messages come out.
func FuzzStream(f *testing.F) {
	f.Add([]byte(message(1, "")+message(2, "body")+"\r\n\r\n"+message(3, "")), []byte{0})
	f.Add([]byte("\r\n\r\n"+message(1, "x")+"\r\n"+message(2, "")), []byte{3, 90})
	f.Add([]byte(message(1, "")+"nonsense \x00"), []byte{7})
	f.Add([]byte(message(1, "")+"OPTIONS sip:x SIP/2.0\r\n\r\n"), []byte{250, 1})
	f.Add([]byte(message(1, "")+message(2, "unfinished")[:100]), []byte{16})
	f.Fuzz(func(t *testing.T, b, pieces []byte) {
		if len(b) > 4096 {
			return
		}
		whole := arrive(t, b, nil)
		cut := arrive(t, b, pieces)
		if !slices.Equal(whole, cut) {
			t.Errorf("in one piece %q, in pieces %q", whole, cut)
		}
	})
}
