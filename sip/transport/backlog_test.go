package transport

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/sallyport-sip/sallyport/internal/memnet"
	"github.com/sallyport-sip/sallyport/internal/testca"
)

// All streams together hold no more than the backlog for those that do not read: the one that passes it ends, the others
// get everything, and what was held for it is free again.
func TestBacklogIsShared(t *testing.T) {
	for _, s := range byteStreams {
		t.Run(s.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, network *memnet.Network, ca *testca.CA) {
				cred := credentialsOf(ca, s.version)
				server := newNode(t, network, func(cfg *Config) {
					cfg.Limits = Limits{Pending: 100_000, Backlog: 1_000_000}
					cfg.Hooks.Identify = func(ConnInfo, *tls.ConnectionState) (Identity, error) { return Identity{Peer: "acme"}, nil }
				})
				to := server.listen(s.tr, cred.server)
				join := func(n int) (*Conn, net.Conn) {
					nc := rawDial(t, network, to)
					if s.tr == TLS {
						nc = tls.Client(nc, cred.client)
					}
					write(t, nc, message(n, ""))
					return server.wantText(message(n, "")).conn, nc
				}
				text := message(9, strings.Repeat("x", 10_000))
				fill := func(c *Conn, messages int) (err error) {
					for range messages {
						if _, err = c.Send([]byte(text), netip.AddrPort{}); err != nil {
							break
						}
						c.Flush()
						synctest.Wait()
					}
					return err
				}
				slow, reads := join(1)
				if err := fill(slow, 60); err != nil {
					t.Fatal(err)
				}
				for n := range 2 { // twice, because the first gives back what it held
					hog, _ := join(2 + n)
					if err := fill(hog, 100); !errors.Is(err, ErrQueueFull) {
						t.Fatalf("1.6 MB for two that do not read: %v, want ErrQueueFull", err)
					}
					server.wantClosed("reads too slowly")
				}
				readExactly(t, reads, strings.Repeat(text, 60))
				synctest.Wait()
				if got := server.backlog.used.Load(); got != 0 {
					t.Errorf("%d bytes are held, want none", got)
				}
				slow.Close(errors.New("enough"))
				io.Copy(io.Discard, reads)
			})
		})
	}
}
