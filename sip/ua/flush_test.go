package ua

import (
	"context"
	"net/netip"
	"testing"
	"testing/synctest"

	"github.com/sallyport-sip/sallyport/internal/memnet"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// endless answers a request and then keeps its shard's mailbox from getting
// empty for a long time.
type endless struct {
	t    *testing.T
	done chan struct{}
}

func (e endless) Ack(*Shard, *transport.Packet) {}

func (e endless) Request(s *Shard, tx *ServerTx, _ *transport.Packet) {
	s.Reply(tx, &sip.StatusError{Code: 200})
	n := 0
	var more func(*Shard)
	more = func(s *Shard) {
		if n++; n == 2*batch {
			if len(s.touched) > 0 {
				e.t.Errorf("a response is not written after %d more mails", n)
			}
			close(e.done)
			return
		}
		s.box.post(more)
	}
	s.box.post(more)
}

func TestBusyShardWritesAfterEachBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memnet.New(memnet.Options{})
		e := endless{t, make(chan struct{})}
		srv := &Server{Network: network, Shards: 1, ShardHandler: e}
		if err := srv.Start(); err != nil {
			t.Fatal(err)
		}
		defer srv.Close(context.Background())
		l, err := srv.Listen(transport.ListenConfig{Transport: transport.UDP, Addr: netip.MustParseAddrPort("127.0.0.1:5060")})
		if err != nil {
			t.Fatal(err)
		}
		p := siptest.New(t, siptest.Config{Network: network})
		p.Dial(l.Addr())
		p.Send(p.Request(sip.OPTIONS, "sip:bob@127.0.0.1"))
		p.Want(200)
		<-e.done
	})
}
