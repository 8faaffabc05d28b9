package gateway

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// routed stands before the gateway in its shard: it has it find the way of each
// INVITE, notes how many objects have been allocated since the message was
// written, and answers 480.
type routed struct {
	*Gateway
	before, after runtime.MemStats
	err           error
}

func (r *routed) Request(s *ua.Shard, tx *ua.ServerTx, p *transport.Packet) {
	_, r.err = r.Gateway.way(p, r.peerOf(p), sip.INVITE, r.engine.Looped(s, p.Msg))
	runtime.ReadMemStats(&r.after)
	s.Reply(tx, &sip.StatusError{Code: 480})
}

// An INVITE of fourteen headers on a connection that is there costs at most two
// allocations from the socket to the decision where it goes: all that is needed
// besides is taken again from what earlier ones have given back.
func TestTwoAllocationsFromSocketToRouted(t *testing.T) {
	if leftOut > 1 {
		t.Skip("the race detector allocates for itself")
	}
	dir := t.TempDir()
	text := "listeners:\n  lan: {listen: \"tcp:127.0.0.1:0\"}\n" +
		"peers:\n  office: {uri: \"sip:127.0.0.1:5070;transport=tcp\"}\n  acme: {uri: \"sip:127.0.0.9:5080;transport=tcp\"}\n" +
		"routes:\n  - {from: [office], number: \"+49*\", to: [acme]}\ncdr: off\n"
	if err := os.WriteFile(filepath.Join(dir, "sallyport.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, problems := config.Load(filepath.Join(dir, "sallyport.yaml"))
	for _, p := range problems {
		t.Fatal(p)
	}
	g, problems := New(cfg, Options{Shards: 1, Log: slog.New(slog.DiscardHandler)})
	for _, p := range problems {
		t.Fatal(p)
	}
	probe := &routed{Gateway: g}
	g.server.ShardHandler = probe
	if err := g.Start(); err != nil {
		t.Fatal(err)
	}
	defer g.Close(context.Background())
	conn, err := net.Dial("tcp", g.sockets[0].Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()

	const body = "v=0\r\no=- 1 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
	numbered := func(n int) string { return fmt.Sprintf("%06d", n) }
	head := "Via: SIP/2.0/TCP 127.0.0.1:5070;branch=z9hG4bK%[1]s\r\nMax-Forwards: 70\r\nFrom: \"Alice\" <sip:alice@office.example>;tag=a%[1]s\r\n" +
		"To: <sip:+4930123456@gw.example>%[2]s\r\nCall-ID: %[1]s@office\r\nCSeq: 1 %[3]s\r\n"
	var took []uint64
	reading := make([]byte, 4096)
	for i := range 300 {
		invite := fmt.Appendf(nil, "INVITE sip:+4930123456@gw.example SIP/2.0\r\n"+head+
			"Contact: <sip:alice@127.0.0.1:5070;transport=tcp>\r\nAllow: INVITE, ACK, CANCEL, BYE\r\nSupported: timer\r\nUser-Agent: phone\r\n"+
			"Session-Expires: 1800\r\nP-Asserted-Identity: <sip:alice@office.example>\r\nContent-Type: application/sdp\r\nContent-Length: %[4]d\r\n\r\n%[5]s",
			numbered(i), "", "INVITE", len(body), body)
		runtime.ReadMemStats(&probe.before)
		write(t, conn, invite)
		answer := reading[:0]
		for !bytes.Contains(answer, []byte("SIP/2.0 480")) || !bytes.HasSuffix(answer, []byte("\r\n\r\n")) {
			n, err := conn.Read(reading[len(answer):])
			if err != nil {
				t.Fatal(err)
			}
			answer = reading[:len(answer)+n]
		}
		if probe.err != nil {
			t.Fatal(probe.err)
		}
		if i >= 100 {
			took = append(took, probe.after.Mallocs-probe.before.Mallocs)
		}
		_, tag, _ := bytes.Cut(answer, []byte("To: <sip:+4930123456@gw.example>"))
		tag, _, _ = bytes.Cut(tag, []byte("\r\n"))
		write(t, conn, fmt.Appendf(nil, "ACK sip:+4930123456@gw.example SIP/2.0\r\n"+head+"Content-Length: 0\r\n\r\n", numbered(i), tag, "ACK"))
		for g.server.Endpoint().Stats().MessagesIn.Load() < uint64(2*i+2) {
			runtime.Gosched()
		}
		g.server.Do(0, func(*ua.Shard) {}) // and so the ACK has been handled
	}
	slices.Sort(took)
	if median := took[len(took)/2]; median > 2 {
		t.Errorf("%d allocations from socket to routed, want 2 at most (from %d to %d)", median, took[0], took[len(took)-1])
	}
	t.Logf("%d allocations in the middle of %d INVITEs, from %d to %d", took[len(took)/2], len(took), took[0], took[len(took)-1])
}

func write(t *testing.T, conn net.Conn, b []byte) {
	t.Helper()
	if _, err := conn.Write(b); err != nil {
		t.Fatal(err)
	}
}
