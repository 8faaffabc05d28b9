package ua_test

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/internal/memnet"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// shardFunc is a ShardHandler for requests only.
type shardFunc func(s *ua.Shard, tx *ua.ServerTx, p *transport.Packet)

func (f shardFunc) Request(s *ua.Shard, tx *ua.ServerTx, p *transport.Packet) { f(s, tx, p) }
func (shardFunc) Ack(*ua.Shard, *transport.Packet)                            {}

// fine answers 200.
func fine(s *ua.Shard, tx *ua.ServerTx, _ *transport.Packet) {
	s.Reply(tx, &sip.StatusError{Code: 200})
}

func TestShardsKeepTheOrderOfEachCallID(t *testing.T) {
	const calls, requests = 100, 20
	bubble(t, func(t *testing.T, network *memnet.Network) {
		var mu sync.Mutex
		got, shards := map[string][]uint32{}, map[int]bool{}
		owner := map[string]int{}
		srv := start(t, network, &ua.Server{Shards: 8, Hooks: transport.Hooks{Identify: everybody}, ShardHandler: shardFunc(func(s *ua.Shard, tx *ua.ServerTx, p *transport.Packet) {
			cseq, _ := p.Msg.CSeq()
			id := string(p.Msg.CallID())
			mu.Lock()
			if before, ok := owner[id]; ok && before != s.Index() {
				t.Errorf("%s in shards %d and %d", id, before, s.Index())
			}
			owner[id], shards[s.Index()] = s.Index(), true
			got[id] = append(got[id], cseq.Seq)
			mu.Unlock()
			fine(s, tx, p)
		})})
		if srv.NumShards() != 8 {
			t.Errorf("%d shards", srv.NumShards())
		}
		p := peer(t, network, transport.TCP)
		var batch strings.Builder // several messages in one write
		for n := range requests {
			for c := range calls {
				batch.WriteString(p.Request(sip.MESSAGE, bob,
					siptest.Set("Call-ID", "call-"+strconv.Itoa(c)), siptest.Set("CSeq", strconv.Itoa(n+1)+" MESSAGE")))
			}
		}
		go p.Send(batch.String())
		for range calls * requests {
			p.Want(200)
		}
		for id, seqs := range got {
			if len(seqs) != requests || !slices.IsSorted(seqs) {
				t.Errorf("%s: order %v", id, seqs)
			}
		}
		if len(shards) != 8 || len(got) != calls {
			t.Errorf("%d shards worked on %d calls", len(shards), len(got))
		}
	})
}

func TestFullMailboxRefusesNewRequests(t *testing.T) {
	each(t, func(t *testing.T, network *memnet.Network, tr transport.Transport) {
		release := make(chan struct{})
		srv := start(t, network, &ua.Server{
			Shards: 1, Queues: ua.Queues{Mailbox: 4, Wait: 3 * time.Second},
			ShardHandler: shardFunc(func(s *ua.Shard, tx *ua.ServerTx, p *transport.Packet) {
				<-release // a handler must not do this; here it fills the mailbox
				fine(s, tx, p)
			}),
		})
		p := peer(t, network, tr)
		inside := siptest.Set("To", "<"+bob+">;tag=1")
		p.Send(p.Request(sip.OPTIONS, bob))
		p.WantSilence(time.Millisecond) // the shard is busy
		for range 4 {
			p.Send(p.Request(sip.OPTIONS, bob))
		}
		p.Send(p.Request(sip.OPTIONS, bob))
		if no := p.Want(503); string(no.First(sip.HdrRetryAfter)) != "5" {
			t.Errorf("got\n%s", no.Bytes())
		}
		begin := time.Now()
		p.Send(p.Request(sip.INFO, bob, inside)) // a stream's reader waits 3 s, UDP drops it
		p.Send(p.Request(sip.OPTIONS, bob))
		p.Want(503)
		waited := 3 * time.Second
		if tr == transport.UDP {
			waited = 0
		}
		if time.Since(begin) != waited {
			t.Errorf("the reader waited %v, want %v", time.Since(begin), waited)
		}
		if got := srv.Stats(); got.Overload != 2 || got.Dropped != 1 {
			t.Errorf("%+v", got)
		}
		close(release)
		for range 5 {
			p.Want(200)
		}
		p.Send(p.Request(sip.INFO, bob, inside))
		p.Want(200)
	})
}

func TestFloodLeavesRoomForOthers(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		release := make(chan struct{})
		srv := start(t, network, &ua.Server{
			Shards: 1, Queues: ua.Queues{Mailbox: 400},
			ShardHandler: shardFunc(func(s *ua.Shard, tx *ua.ServerTx, p *transport.Packet) {
				<-release // a handler must not do this; here it fills the mailbox
				fine(s, tx, p)
			}),
		})
		const asked = 500
		var floods []*siptest.Peer
		for range 2 {
			p := named(t, network, transport.TCP, "flood")
			var text strings.Builder
			for range asked {
				text.WriteString(p.Request(sip.OPTIONS, bob))
			}
			go p.Send(text.String())
			floods = append(floods, p)
		}
		time.Sleep(time.Millisecond) // the shard is busy, and their readers wait
		for _, tr := range []transport.Transport{transport.TCP, transport.UDP} {
			p := named(t, network, tr, "alice")
			p.Send(p.Request(sip.OPTIONS, bob))
			p.WantSilence(time.Millisecond)
			defer p.Want(200)
		}
		close(release)
		for _, p := range floods {
			for range asked {
				p.Want(200)
			}
		}
		if got := srv.Stats(); got.Overload != 0 || got.Dropped != 0 {
			t.Errorf("%+v", got)
		}
	})
}

func TestAdmitMessageRefusesWithoutState(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		verdict := error(&sip.StatusError{Code: 403})
		srv := start(t, network, &ua.Server{
			AdmitMessage: func(p *transport.Packet) error {
				if strings.HasPrefix(string(p.Msg.CallID()), "drop") {
					return errors.New("nobody we know")
				}
				return verdict
			},
			ShardHandler: shardFunc(func(_ *ua.Shard, _ *ua.ServerTx, p *transport.Packet) {
				t.Errorf("the handler got\n%s", p.Msg.Bytes())
			}),
		})
		p := peer(t, network, transport.UDP)
		invite := p.Request(sip.INVITE, bob)
		p.Send(invite)
		no := p.Want(403)
		if to, _ := no.To(); to.Tag() == nil {
			t.Error("no To tag")
		}
		p.WantSilence(time.Second)
		p.Send(invite)
		p.WantAgain(no) // with the same To tag (RFC 3261 §8.2.7)
		p.Send(p.Ack(no))
		p.Send(p.Request(sip.OPTIONS, bob, siptest.Set("Call-ID", "drop")))
		p.WantSilence(time.Minute) // no retransmission: there is no transaction
		if got := srv.Stats(); got.Dropped != 2 {
			t.Errorf("%+v", got)
		}
	})
}

func TestMergedRequestGets482(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		start(t, network, &ua.Server{ShardHandler: shardFunc(fine)})
		p := peer(t, network, transport.UDP)
		same := []siptest.Option{siptest.Set("Call-ID", "one"), siptest.Set("CSeq", "1 OPTIONS")}
		p.Send(p.Request(sip.OPTIONS, bob, same...))
		p.Want(200)
		p.Send(p.Request(sip.OPTIONS, bob, same...)) // another branch
		p.Want(482)
	})
}

func TestMalformedRequestsAreAnswered(t *testing.T) {
	each(t, func(t *testing.T, network *memnet.Network, tr transport.Transport) {
		srv := start(t, network, &ua.Server{ShardHandler: shardFunc(fine)})
		p := peer(t, network, tr)
		good := p.Request(sip.OPTIONS, bob)
		for _, c := range []struct {
			name, message string
			code          int
			reason        string
		}{
			{"version", strings.Replace(good, " SIP/2.0\r\n", " SIP/3.0\r\n", 1), 505, ""},
			{"CSeq", strings.Replace(good, "OPTIONS\r\nContact", "INFO\r\nContact", 1), 400, "CSeq"},
			{"From", strings.Replace(good, "From: ", "From: <", 1), 400, "From"},
			{"no Call-ID", p.Request(sip.OPTIONS, bob, siptest.Drop("Call-ID")), 400, "Call-ID"},
			{"two To", p.Request(sip.OPTIONS, bob, siptest.Add("To", "<sip:x@y>")), 400, "To"},
		} {
			p.Send(c.message)
			no := p.Want(c.code)
			if !strings.Contains(string(no.Reason()), c.reason) {
				t.Errorf("%s: reason %q", c.name, no.Reason())
			}
		}
		p.Send(p.Request(sip.ACK, bob, siptest.Drop("From")))                           // never answered
		p.Send("SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP x\r\nContent-Length: 0\r\n\r\n")     // nor this
		p.Send(p.Request(sip.OPTIONS, bob, siptest.Drop("Via"), siptest.Add("A", "b"))) // nor what has no way back
		p.WantSilence(time.Minute)
		if got := srv.Stats(); got.Malformed != 8 || got.Dropped != 3 {
			t.Errorf("%+v", got)
		}
		p.Send(p.Request(sip.OPTIONS, bob))
		p.Want(200)
	})
}

// A request that a stream cannot be cut behind still gets its 400.
func TestRequestWithoutLengthEndsItsStream(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		start(t, network, &ua.Server{ShardHandler: shardFunc(fine)})
		p := peer(t, network, transport.TCP)
		p.Send(p.Request(sip.OPTIONS, bob, siptest.Drop("Content-Length")))
		p.Want(400)
		p.WantClosed()
	})
}

func TestStrayResponsesAreCounted(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		srv := start(t, network, &ua.Server{ShardHandler: shardFunc(fine)})
		p := peer(t, network, transport.UDP)
		for _, branch := range []string{"z9hG4bKsp000123456789abcdef", "z9hG4bKspff0123456789abcdef", "z9hG4bKspxx", "z9hG4bK1"} {
			p.Send("SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=" + branch + "\r\nFrom: <sip:a@b>;tag=1\r\n" +
				"To: <sip:b@c>;tag=2\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n")
		}
		p.WantSilence(time.Second)
		if got := srv.Stats(); got.StrayResponses != 4 {
			t.Errorf("%+v", got)
		}
	})
}

// A connection whose other end does not read ends; others are served meanwhile.
func TestPeerThatDoesNotReadHoldsUpNobody(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		closed := make(chan transport.CloseReason, 8)
		start(t, network, &ua.Server{
			Shards: 2, ShardHandler: shardFunc(fine),
			Hooks: transport.Hooks{Closed: func(_ *transport.Conn, why transport.CloseReason) { closed <- why }},
		})
		p := peer(t, network, transport.TCP)
		deaf, err := network.Dial(t.Context(), at, at)
		if err != nil {
			t.Fatal(err)
		}
		defer deaf.Close()
		written := make(chan error, 1)
		go func() {
			for {
				if _, err := deaf.Write([]byte(p.Request(sip.OPTIONS, bob))); err != nil {
					written <- err
					return
				}
			}
		}()
		if err := soon(t, written, "an error of the peer that does not read"); err == nil {
			t.Error("no error")
		}
		why := soon(t, closed, "the end of the connection")
		if !why.Local || why.Err == nil {
			t.Errorf("ended by %+v", why)
		}
		p.Send(p.Request(sip.OPTIONS, bob))
		p.Want(200)
	})
}

func TestNumberOfShardsIsChecked(t *testing.T) {
	for _, n := range []int{-1, 257} {
		if err := (&ua.Server{Shards: n}).Start(); err == nil {
			t.Errorf("%d shards: no error", n)
		}
	}
}
