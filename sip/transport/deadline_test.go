package transport

import (
	"net/netip"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/internal/memnet"
	"github.com/sallyport-sip/sallyport/internal/testca"
)

// A read deadline that was set for a first message, or for the rest of one, passes in vain when that came in time: the
// stream lives on.
func TestDeadlineInVainLeavesTheStream(t *testing.T) {
	for _, s := range byteStreams {
		t.Run(s.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, network *memnet.Network, ca *testca.CA) {
				cred := credentialsOf(ca, s.version)
				server, client := newNode(t, network, nil), newNode(t, network, nil)
				c := client.dial(s.tr, server.listen(s.tr, cred.server), cred.client)
				limits := DefaultLimits()

				time.Sleep(time.Second)
				first, whole := message(1, ""), message(2, "half of it")
				send(t, c, first)
				server.wantText(first)
				time.Sleep(limits.FirstMessage)
				send(t, c, first)
				server.wantText(first)

				send(t, c, whole[:len(whole)/2])
				time.Sleep(limits.WholeMessage / 2)
				send(t, c, whole[len(whole)/2:])
				at := server.wantText(whole).conn
				time.Sleep(limits.WholeMessage)
				send(t, c, first)
				server.wantText(first)

				if _, err := at.Send([]byte("SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"), netip.AddrPort{}); err != nil {
					t.Fatal(err)
				}
				at.Flush()
				want(t, client.packets, "the answer")
				if n := len(server.closed) + len(client.closed); n > 0 {
					t.Errorf("%d ends of a connection, want none", n)
				}
			})
		})
	}
}
