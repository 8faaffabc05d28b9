package cross

import (
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"

	"github.com/sallyport-sip/sallyport/internal/memnet"
	"github.com/sallyport-sip/sallyport/internal/peer"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// unreachable are ways on which no connection ever comes up.
type unreachable struct{ Ways }

func (unreachable) Return(*ua.Shard, *peer.Peer, ua.Flow, peer.Connected) {}

func TestOnlySoMuchWaitsForAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := &ua.Server{Shards: 1, Network: memnet.New(memnet.Options{})}
		if err := srv.Start(); err != nil {
			t.Fatal(err)
		}
		defer srv.Close(t.Context())
		at := netip.MustParseAddrPort("192.0.2.1:5060")
		if _, err := srv.Listen(transport.ListenConfig{Name: "x", Transport: transport.TCP, Addr: at}); err != nil {
			t.Fatal(err)
		}
		conn, err := srv.Endpoint().Dial(t.Context(), transport.DialConfig{Key: transport.Key{Transport: transport.TCP, Remote: at}, Listener: "x"})
		if err != nil {
			t.Fatal(err)
		}
		conn.Close(errors.New("the test ends it"))
		synctest.Wait()
		srv.Do(0, func(s *ua.Shard) {
			h := &Hop{Peer: &peer.Peer{}, Flow: ua.Flow{Conn: conn}}
			refused := 0
			for range maxWaiting + 10 {
				h.Reach(s, unreachable{}, nil, func(_ *ua.Shard, _ ua.Flow, err error) {
					if errors.Is(err, errCrowded) {
						refused++
					}
				})
			}
			if refused != 10 || len(h.waiting) != maxWaiting {
				t.Errorf("%d were refused and %d wait, want 10 and %d", refused, len(h.waiting), maxWaiting)
			}
		})
	})
}
