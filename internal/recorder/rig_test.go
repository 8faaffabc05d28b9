package recorder

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/callflow/export"
	"github.com/sallyport-sip/sallyport/internal/memnet"
	"github.com/sallyport-sip/sallyport/internal/testca"
	"github.com/sallyport-sip/sallyport/internal/trust"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	gatewayAddr = netip.MustParseAddrPort("10.0.0.1:5061")
	plainAddr   = netip.MustParseAddrPort("10.0.0.1:5060")
	peerAddr    = netip.MustParseAddrPort("203.0.113.9:5061")
)

// A rig is a gateway's transport with a recorder, on a network in memory, and certificates.
type rig struct {
	t    *testing.T
	net  *memnet.Network
	rec  *Recorder
	e    *transport.Endpoint
	ca   *testca.CA
	gw   *testca.Leaf
	peer *testca.Leaf

	version uint16
	judge   func(tls.ConnectionState) error // the gateway's VerifyConnection
	ask     tls.ClientAuthType
	admit   error
}

func newRig(t *testing.T, version uint16) *rig {
	r := &rig{t: t, net: memnet.New(memnet.Options{}), rec: New(Config{}), version: version, ask: tls.RequireAnyClientCert}
	r.ca = testca.New("Lab Root")
	r.gw = r.ca.Leaf("gw.example")
	r.peer = r.ca.Leaf("peer.example")
	r.judge = func(tls.ConnectionState) error { return nil }
	r.e = transport.New(transport.Config{Network: r.net, Hooks: transport.Hooks{
		Deliver: func(batch []transport.Packet) {
			for _, p := range batch {
				p.Msg.Release()
			}
		},
		AdmitConn: func(transport.Transport, netip.AddrPort, netip.AddrPort) error { return r.admit },
		Identify: func(info transport.ConnInfo, st *tls.ConnectionState) (transport.Identity, error) {
			if info.Inbound {
				return transport.Identity{Peer: "phone", Names: []string{"peer.example"}}, nil
			}
			return transport.Identity{Names: []string{"peer.example"}}, nil
		},
		WrapConn: r.rec.WrapConn, Opened: r.rec.Opened, Confirmed: r.rec.Confirmed, Refused: r.rec.Refused,
		Closed: r.rec.Closed, Tap: r.rec.Message,
	}})
	return r
}

func (r *rig) config(who string, l *testca.Leaf) *tls.Config {
	c := &tls.Config{MinVersion: r.version, MaxVersion: r.version, Certificates: []tls.Certificate{l.TLS()},
		InsecureSkipVerify: true, ServerName: "gw.example"}
	if who != "" {
		c.KeyLogWriter = r.rec.KeyLog(who)
		c.VerifyConnection = func(st tls.ConnectionState) error { return r.judge(st) }
		c.ClientAuth = r.ask
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return new(l.TLS()), nil }
	}
	return c
}

func (r *rig) listen() {
	for _, l := range []transport.ListenConfig{
		{Name: "outside", Transport: transport.TLS, Addr: gatewayAddr, TLS: r.config(`listener "outside"`, r.gw)},
		{Name: "lan", Transport: transport.TCP, Addr: plainAddr},
		{Name: "lan-udp", Transport: transport.UDP, Addr: plainAddr},
	} {
		if _, err := r.e.Listen(l); err != nil {
			r.t.Fatal(err)
		}
	}
}

// callFrom connects as a peer from an address.
func (r *rig) callFrom(from string) net.Conn {
	nc, err := r.net.Dial(r.t.Context(), netip.MustParseAddrPort(from), gatewayAddr)
	if err != nil {
		r.t.Fatal(err)
	}
	return nc
}

// call connects as a peer.
func (r *rig) call(to netip.AddrPort) net.Conn {
	nc, err := r.net.Dial(r.t.Context(), netip.AddrPort{}, to)
	if err != nil {
		r.t.Fatal(err)
	}
	return nc
}

// serve is the peer that the gateway dials. It answers with busy once it was asked, and ends when the other side does.
func (r *rig) serve(cfg *tls.Config) (stop func()) {
	ln, err := r.net.Listen(r.t.Context(), peerAddr)
	if err != nil {
		r.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		nc, err := ln.Accept()
		if err != nil {
			return
		}
		c := tls.Server(nc, cfg)
		defer c.Close()
		b := make([]byte, 4096)
		if _, err := io.ReadAtLeast(c, b, 1); err != nil {
			time.Sleep(100 * time.Millisecond) // the alert is read before the socket breaks
			return
		}
		fmt.Fprint(c, answer("b1", 486))
		_, _ = io.Copy(io.Discard, c)
	}()
	return func() { ln.Close(); <-done }
}

func (r *rig) dial() (*transport.Conn, error) {
	return r.e.Dial(r.t.Context(), transport.DialConfig{
		Key: transport.Key{Transport: transport.TLS, Remote: peerAddr, Peer: "trunk"},
		TLS: r.config(`peer "trunk"`, r.gw),
	})
}

// close ends the gateway and waits for the last event.
func (r *rig) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := r.e.Close(ctx); err != nil {
		r.t.Error(err)
	}
	synctest.Wait()
}

// only is the one flow there is.
func (r *rig) only() *callflow.Flow {
	r.t.Helper()
	flows := r.rec.Flows()
	if len(flows) != 1 {
		r.t.Fatalf("got %d flows, want 1", len(flows))
	}
	return flows[0]
}

func invite(callID string) string {
	return "INVITE sip:bob@gw.example SIP/2.0\r\nVia: SIP/2.0/TLS h.example;branch=z9hG4bK" + callID + "\r\n" +
		"Max-Forwards: 70\r\nFrom: <sip:alice@peer.example>;tag=f\r\nTo: <sip:bob@gw.example>\r\nCall-ID: " + callID +
		"\r\nCSeq: 1 INVITE\r\nProxy-Authorization: Digest response=\"0123\"\r\nContent-Length: 0\r\n\r\n"
}

func answer(callID string, code int) string {
	return fmt.Sprintf("SIP/2.0 %d Busy Here\r\nVia: SIP/2.0/TLS h.example;branch=z9hG4bK%s\r\n"+
		"From: <sip:alice@peer.example>;tag=f\r\nTo: <sip:bob@gw.example>;tag=t\r\nCall-ID: %s\r\nCSeq: 1 INVITE\r\n"+
		"Content-Length: 0\r\n\r\n", code, callID, callID)
}

// story writes a handshake in one line: "p:ClientHello g:ServerHello …", p for the peer and g for the gateway.
func story(steps []callflow.HopStep) string {
	var words []string
	for _, s := range steps {
		word := "p:"
		if s.ByGateway {
			word = "g:"
		}
		if s.Number > 0 {
			word += fmt.Sprint(s.Number) + ":"
		}
		word += s.Name
		if s.Name == callflow.NameAlert {
			word += "=" + s.Alert.Name
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

// ladder is the flow as a person sees it, for failures.
func ladder(f *callflow.Flow) string {
	var b strings.Builder
	_ = export.Ladder(&b, f, export.Options{Width: 120})
	return b.String()
}

// verdicts writes them as "gateway+own decision peer-alert": plus for accepted, minus for refused, ? for undecided.
func verdicts(vs []callflow.Verdict) string {
	var words []string
	for _, v := range vs {
		word := "peer"
		if v.ByGateway {
			word = "gateway"
		}
		switch {
		case v.Accepted:
			word += "+"
		case v.Undecided:
			word += "?"
		default:
			word += "-"
		}
		words = append(words, word+v.KnownBy)
	}
	return strings.Join(words, ", ")
}

var errUnknownCA = trust.Refuse(trust.UnknownCA, "")

func refuse(tls.ConnectionState) error { return errUnknownCA }

// demand makes a peer that checks our certificate against another CA.
func demand(c *tls.Config) *tls.Config {
	c.ClientAuth = tls.RequireAndVerifyClientCert
	c.ClientCAs = x509.NewCertPool()
	c.ClientCAs.AddCert(testca.New("Other Root").Cert)
	return c
}

var errNotAdmitted = errors.New("address 192.0.2.1 is not in the allow list")
