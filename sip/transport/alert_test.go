package transport

import (
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/sallyport-sip/sallyport/internal/memnet"
	"github.com/sallyport-sip/sallyport/internal/testca"
)

// A client of TLS 1.3 that does not accept our certificate says so without encryption, in whatever pieces: the refusal is its
// alert, and not that we could not decrypt it.
func TestAlertWithoutEncryption(t *testing.T) {
	for _, pieces := range []int{1, 3, 100} {
		bubble(t, func(t *testing.T, network *memnet.Network, ca *testca.CA) {
			n := newNode(t, network, nil)
			l, err := n.Listen(ListenConfig{
				Name: "l", Transport: TLS, Addr: netip.MustParseAddrPort("192.0.2.1:5061"),
				TLS: &tls.Config{Certificates: []tls.Certificate{ca.Leaf("gateway.example").TLS()}},
			})
			if err != nil {
				t.Fatal(err)
			}
			k := &clearAlert{Conn: rawDial(t, network, l.Addr()), pieces: pieces}
			tc := tls.Client(k, &tls.Config{InsecureSkipVerify: true, VerifyConnection: func(tls.ConnectionState) error {
				k.refuses = true
				return errors.New("no")
			}})
			if err := tc.Handshake(); err == nil {
				t.Fatal("the client accepts the certificate")
			}
			err = (<-n.refused).err
			if alert, ok := AlertOf(err); !ok || alert != 48 || !strings.Contains(err.Error(), "alert 48, unknown certificate authority") {
				t.Errorf("refused with %v, want the alert 48", err)
			}
			k.Close()
		})
	}
}

// clearAlert writes, in place of the next record once it refuses, an alert without encryption.
type clearAlert struct {
	net.Conn
	pieces  int
	refuses bool
}

func (k *clearAlert) Write(b []byte) (int, error) {
	if !k.refuses {
		return k.Conn.Write(b)
	}
	for alert := []byte{21, 3, 3, 0, 2, 2, 48}; len(alert) > 0; {
		n := min(k.pieces, len(alert))
		if _, err := k.Conn.Write(alert[:n]); err != nil {
			return 0, err
		}
		alert = alert[n:]
	}
	return len(b), nil
}

// What is no alert in the clear leaves the error as it is.
func TestErrorsThatNoAlertExplains(t *testing.T) {
	mac := &net.OpError{Op: "local error", Err: tls.AlertError(20)}
	other := &net.OpError{Op: "local error", Err: tls.AlertError(42)}
	for _, row := range []struct {
		record []byte
		err    error
		same   bool
	}{
		{[]byte{21, 3, 3, 0, 2, 2, 48}, mac, false},
		{[]byte{21, 3, 3, 0, 2, 2, 48}, other, true},
		{[]byte{21, 3, 3, 0, 2, 1, 0}, mac, true},
		{[]byte{23, 3, 3, 0, 2, 2, 48}, mac, true},
		{append([]byte{21, 3, 3, 0, 19, 2, 48}, make([]byte, 17)...), mac, true},
		{[]byte{21, 3, 3, 0, 2, 2}, mac, true},
		{[]byte{21, 3, 3, 0, 2, 2, 48}, errors.New("end"), true},
	} {
		var w wire
		for b := row.record; len(b) > 0; {
			b = b[w.cut(b):]
		}
		if got := w.alert.meaning(row.err); (got == row.err) != row.same {
			t.Errorf("% x and %v: %v", row.record, row.err, got)
		}
	}
}
