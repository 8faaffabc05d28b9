package ua_test

import (
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/internal/memnet"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// A flood of distinct calls fills the table of transactions and no more; what was
// there is still known, and there is room again when its time is over.
func TestTransactionsAreSmall(t *testing.T) {
	const most, flood, bytesOfEach = 4000, 5000, 4 << 10
	bubble(t, func(t *testing.T, network *memnet.Network) {
		var passed atomic.Int64
		srv := &ua.Server{
			Shards: 1, Queues: ua.Queues{Transactions: most},
			Hooks: transport.Hooks{Excess: func(x transport.Excess) {
				if x.Limit == ua.LimitTransactions {
					passed.Add(1)
				}
			}},
			ShardHandler: shardFunc(func(s *ua.Shard, tx *ua.ServerTx, _ *transport.Packet) {
				s.Reply(tx, &sip.StatusError{Code: 200})
			}),
		}
		start(t, network, srv)
		pc, err := network.ListenPacket(t.Context(), netip.MustParseAddrPort("192.0.2.7:5060"))
		if err != nil {
			t.Fatal(err)
		}
		defer pc.Close()
		b := make([]byte, 2000)
		ask := func(n int) string {
			text := fmt.Sprintf("OPTIONS sip:gw.example SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK%d;rport\r\n"+
				"From: <sip:a@peer.example>;tag=1\r\nTo: <sip:gw.example>\r\nCall-ID: %d-0123456789abcdef@peer.example\r\nCSeq: 1 OPTIONS\r\n"+
				"Max-Forwards: 70\r\nContact: <sip:a@192.0.2.7:5060>\r\nUser-Agent: flood/1.0\r\nContent-Length: 0\r\n\r\n", n, n)
			if _, err := pc.WriteTo([]byte(text), net.UDPAddrFromAddrPort(at)); err != nil {
				t.Fatal(err)
			}
			size, _, err := pc.ReadFrom(b)
			if err != nil {
				t.Fatal(err)
			}
			return strings.TrimPrefix(string(b[:size]), "SIP/2.0 ")[:3]
		}
		heap := func() int {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return int(m.HeapInuse)
		}
		before := heap()
		codes := map[string]int{}
		for n := range flood {
			codes[ask(n)]++
		}
		if codes["200"] != most || codes["503"] != flood-most || passed.Load() != flood-most {
			t.Errorf("answers %v, %d counted; want %d times 200 and else 503", codes, passed.Load(), most)
		}
		each := (heap() - before) / most
		t.Logf("%d bytes for a transaction", each)
		if each > bytesOfEach {
			t.Errorf("a transaction takes %d bytes, want at most %d", each, bytesOfEach)
		}
		if code := ask(0); code != "200" {
			t.Errorf("what was answered already got %s when it came again", code)
		}
		time.Sleep(33 * time.Second)
		if code := ask(flood); code != "200" {
			t.Errorf("later: %s", code)
		}
	})
}
