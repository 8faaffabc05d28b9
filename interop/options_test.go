package interop

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"strconv"
	"testing"

	"github.com/emiago/sipgo"
	theirs "github.com/emiago/sipgo/sip"

	ours "github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// BenchmarkOptionsOverTCP is a server transaction with its socket: an OPTIONS comes over a TCP connection that is there
// and is answered with 200. The same plain client asks both servers; what it costs is in both figures.
func BenchmarkOptionsOverTCP(b *testing.B) {
	mine, other := newAsker(b, serveOurs(b)), newAsker(b, serveTheirs(b))
	compare(b, mine.ask, other.ask)
}

// optionsHandler answers at the shard level.
type optionsHandler struct{}

func (optionsHandler) Request(s *ua.Shard, tx *ua.ServerTx, _ *transport.Packet) {
	s.Reply(tx, &ours.StatusError{Code: 200})
}

func (optionsHandler) Ack(*ua.Shard, *transport.Packet) {}

func serveOurs(b *testing.B) string {
	b.Helper()
	srv := &ua.Server{ShardHandler: optionsHandler{}}
	if err := srv.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { srv.Close(context.Background()) })
	l, err := srv.Listen(transport.ListenConfig{Transport: transport.TCP, Addr: netip.MustParseAddrPort("127.0.0.1:0")})
	if err != nil {
		b.Fatal(err)
	}
	return l.Addr().String()
}

func serveTheirs(b *testing.B) string {
	b.Helper()
	agent, err := sipgo.NewUA()
	if err != nil {
		b.Fatal(err)
	}
	srv, err := sipgo.NewServer(agent)
	if err != nil {
		b.Fatal(err)
	}
	srv.OnOptions(func(req *theirs.Request, tx theirs.ServerTransaction) {
		if err := tx.Respond(theirs.NewResponseFromRequest(req, 200, "OK", nil)); err != nil {
			b.Error(err)
		}
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go srv.ServeTCP(l)
	b.Cleanup(func() { l.Close(); agent.Close() })
	return l.Addr().String()
}

// asker is a plain client on one connection.
type asker struct {
	conn     net.Conn
	n        int64
	out, in  []byte
	id, tail []byte
}

func newAsker(b *testing.B, addr string) *asker {
	b.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	a := &asker{conn: c, in: make([]byte, 4096)}
	a.id = wire("OPTIONS sip:gw.example.com SIP/2.0\nVia: SIP/2.0/TCP " + c.LocalAddr().String() + ";branch=z9hG4bK")
	a.tail = wire("\nMax-Forwards: 70\nFrom: <sip:pbx@example.com>;tag=1\nTo: <sip:gw.example.com>\nCall-ID: options@example.com\nCSeq: 1 OPTIONS\nContent-Length: 0\n\n")
	return a
}

// ask sends an OPTIONS with a branch of its own and reads the whole answer.
func (a *asker) ask(b testing.TB) {
	a.n++
	a.out = append(strconv.AppendInt(append(a.out[:0], a.id...), a.n, 10), a.tail...)
	if _, err := a.conn.Write(a.out); err != nil {
		b.Fatal(err)
	}
	for n := 0; !bytes.HasSuffix(a.in[:n], []byte("\r\n\r\n")); {
		k, err := a.conn.Read(a.in[n:])
		if err != nil {
			b.Fatal(err)
		}
		n += k
	}
	if !bytes.HasPrefix(a.in, []byte("SIP/2.0 200")) {
		b.Fatalf("got %s", a.in)
	}
}
