package transport

import (
	"crypto/tls"
	"net/netip"
	"testing"

	"github.com/sallyport-sip/sallyport/internal/memnet"
	"github.com/sallyport-sip/sallyport/internal/testca"
)

// A listener shows what it was given last; a connection that is there stays.
func TestListenerChangesItsTLS(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network, ca *testca.CA) {
		n := newNode(t, network, nil)
		config := func(name string) *tls.Config {
			return &tls.Config{Certificates: []tls.Certificate{ca.Leaf(name).TLS()}}
		}
		l, err := n.Listen(ListenConfig{Name: "l", Transport: TLS, Addr: netip.MustParseAddrPort("192.0.2.1:5061"), TLS: config("old.example")})
		if err != nil {
			t.Fatal(err)
		}
		connect := func(name string) *tls.Conn {
			tc := tls.Client(rawDial(t, network, l.Addr()), &tls.Config{RootCAs: ca.Pool(), ServerName: name})
			if err := tc.Handshake(); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			return tc
		}
		before := connect("old.example")
		l.SetTLS(config("new.example"))
		after := connect("new.example")
		write(t, before, message(1, ""))
		n.wantText(message(1, ""))
		after.Close()
		before.Close()
	})
}
