package ua_test

import (
	"crypto/tls"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/internal/memnet"
	"github.com/sallyport-sip/sallyport/internal/testca"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
	"github.com/sallyport-sip/sallyport/sip/transaction"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// held answers a request when it is told to.
type held struct {
	got  chan struct{}
	give chan struct{}
}

func hold() held { return held{make(chan struct{}), make(chan struct{})} }

func (h held) ServeSIP(r *ua.Request) {
	close(h.got)
	<-h.give
	// Whether it gets there is what the test looks at.
	_ = r.Reply(200)
}

// everybody is an Identify hook that knows one peer.
func everybody(transport.ConnInfo, *tls.ConnectionState) (transport.Identity, error) {
	return transport.Identity{Peer: "alice"}, nil
}

func TestResponseTakesAnotherConnectionOfThePeer(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		h := hold()
		start(t, network, &ua.Server{Handler: h, Hooks: transport.Hooks{Identify: everybody}})
		elsewhere := named(t, network, transport.TCP, "via") // where the Via says
		p := peer(t, network, transport.TCP)
		q := named(t, network, transport.TCP, "second")
		p.Send(p.Request(sip.OPTIONS, bob, siptest.Set("Via", "SIP/2.0/TCP "+elsewhere.Addr().String()+";branch=z9hG4bK1")))
		<-h.got
		p.HangUp()
		q.WantSilence(time.Second)
		close(h.give)
		q.Want(200)
		elsewhere.WantSilence(time.Second)
	})
}

func TestResponseWithoutConnectionIsNeverSentToTheVia(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		h := hold()
		srv := start(t, network, &ua.Server{Handler: h})
		elsewhere := siptest.New(t, siptest.Config{Name: "via", Transport: transport.TCP, Network: network})
		p := peer(t, network, transport.TCP)
		p.Send(p.Request(sip.OPTIONS, bob, siptest.Set("Via", "SIP/2.0/TCP "+elsewhere.Addr().String()+";branch=z9hG4bK1")))
		<-h.got
		p.HangUp()
		p.WantSilence(time.Second)
		close(h.give)
		elsewhere.WantSilence(time.Minute)
		if got := srv.Stats(); got.LostResponses != 1 {
			t.Errorf("%+v", got)
		}
	})
}

func TestResponseReconnectsToThePeersOwnAddress(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		h := hold()
		home := siptest.New(t, siptest.Config{Name: "home", Transport: transport.TCP, Network: network})
		srv := &ua.Server{Handler: h, Hooks: transport.Hooks{Identify: everybody}}
		srv.Reconnect = func(s *ua.Shard, peer string, deliver func(*ua.Shard, *transport.Conn)) {
			s.Go(func() func(*ua.Shard) {
				c, err := srv.Connect(t.Context(), ua.Target{Transport: transport.TCP, Addr: home.Addr(), Peer: peer})
				if err != nil || peer != "alice" {
					t.Errorf("reconnect to %s: %v", peer, err)
				}
				return func(s *ua.Shard) { deliver(s, c) }
			})
		}
		start(t, network, srv)
		p := peer(t, network, transport.TCP)
		p.Send(p.Request(sip.OPTIONS, bob))
		<-h.got
		p.HangUp()
		p.WantSilence(time.Second)
		close(h.give)
		home.Want(200)
	})
}

// On UDP a response goes to the source address: to the source port with rport,
// else to the port of sent-by, and never where its host or maddr points.
func TestUDPResponseGoesToTheSource(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		start(t, network, &ua.Server{Handler: ua.HandlerFunc(func(r *ua.Request) { r.Reply(200) })})
		other := siptest.New(t, siptest.Config{Name: "other", Network: network, Addr: netip.MustParseAddrPort("10.0.0.9:5060")})
		near := siptest.New(t, siptest.Config{Name: "near", Network: network, Addr: netip.MustParseAddrPort("127.0.0.1:7777")})
		p := peer(t, network, transport.UDP)
		p.Send(p.Request(sip.OPTIONS, bob, siptest.Set("Via", "SIP/2.0/UDP 10.0.0.9;branch=z9hG4bK1;rport;maddr=10.0.0.9")))
		ok := p.Want(200)
		if via, _ := ok.Via(); string(via.Host) != "10.0.0.9" {
			t.Errorf("Via %s", ok.First(sip.HdrVia))
		}
		p.Send(p.Request(sip.OPTIONS, bob, siptest.Set("Via", "SIP/2.0/UDP 10.0.0.9:7777;branch=z9hG4bK2")))
		near.Want(200)
		p.WantSilence(time.Second)
		other.WantSilence(time.Second)
	})
}

func TestRequestFailsAtOnceWhenItsStreamCloses(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		srv := start(t, network, &ua.Server{})
		p := siptest.New(t, siptest.Config{Transport: transport.TCP, Network: network})
		begin := time.Now()
		failed := make(chan error, 2)
		go func() {
			_, err := srv.Send(t.Context(), target(p, transport.TCP), ua.Outgoing{Method: sip.OPTIONS, URI: bob})
			failed <- err
		}()
		p.WantRequest(sip.OPTIONS)
		go func() {
			_, err := srv.Invite(t.Context(), target(p, transport.TCP), ua.InviteOptions{URI: bob})
			failed <- err
		}()
		p.Reply(p.WantRequest(sip.INVITE), 180)
		p.HangUp()
		for range 2 {
			if err := soon(t, failed, "an error"); !errors.Is(err, transaction.ErrTransport) {
				t.Errorf("got %v, want ErrTransport", err)
			}
		}
		if time.Since(begin) > time.Second {
			t.Errorf("it took %v", time.Since(begin))
		}
		if _, err := srv.Send(t.Context(), ua.Target{Transport: transport.TCP, Addr: netip.MustParseAddrPort("127.0.0.1:9")},
			ua.Outgoing{Method: sip.OPTIONS, URI: bob}); err == nil {
			t.Error("nobody listens, and no error")
		}
	})
}

// CANCEL, ACK and BYE count only from the party that the dialog is with.
func TestDialogBelongsToItsPeer(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		ca := testca.New("ca")
		config := func(name string) *tls.Config {
			return &tls.Config{
				Certificates: []tls.Certificate{ca.Leaf(name).TLS()}, RootCAs: ca.Pool(), ClientCAs: ca.Pool(),
				ServerName: "gw", ClientAuth: tls.RequireAndVerifyClientCert,
			}
		}
		calls := make(chan *ua.Call, 1)
		srv := start(t, network, &ua.Server{Handler: ua.HandlerFunc(func(r *ua.Request) {
			if string(r.Msg.First(sip.HdrSubject)) == "ring" {
				<-r.Context().Done()
				return
			}
			if st := r.TLS(); st == nil || st.PeerCertificates[0].DNSNames[0] != "alice" {
				t.Errorf("TLS state %v", st)
			}
			accepting(t, calls).ServeSIP(r)
		})})
		secure, err := srv.Listen(transport.ListenConfig{Name: "tls", Transport: transport.TLS, Addr: netip.MustParseAddrPort("127.0.0.1:5061"), TLS: config("gw")})
		if err != nil {
			t.Fatal(err)
		}
		connect := func(name string) *siptest.Peer {
			p := siptest.New(t, siptest.Config{Name: name, Transport: transport.TLS, Network: network, TLS: config(name)})
			p.Dial(secure.Addr())
			return p
		}
		alice, mallory := connect("alice"), connect("mallory")
		alice.Send(alice.Request(sip.INVITE, "sips:bob@127.0.0.1", siptest.Set("Contact", "<sips:alice@127.0.0.1>")))
		ok := alice.Want(200)
		if contact, _ := ok.Contact(); string(contact.RawURI) != "sips:bob@127.0.0.1:5061" {
			t.Errorf("Contact %s", contact.RawURI)
		}
		call := <-calls
		mallory.Send(alice.Ack(ok))
		alice.WantAgain(ok) // that ACK did not count
		alice.Send(alice.Ack(ok))
		<-call.Confirmed()
		bye := alice.InDialog(sip.BYE)
		mallory.Send(bye)
		mallory.Want(481)
		if call.Context().Err() != nil {
			t.Fatal("somebody else ended the call")
		}

		alice.Send(alice.Request(sip.INVITE, bob, siptest.Set("Subject", "ring")))
		alice.Want(100)
		mallory.Send(alice.Cancel())
		mallory.Want(481)
		alice.WantSilence(time.Second)
		alice.Send(alice.Cancel())
		alice.Want(200)
		alice.Want(487)

		again := connect("alice") // the same certificate name, but another certificate
		again.Send(alice.InDialog(sip.BYE))
		again.Want(481)
		alice.Send(alice.InDialog(sip.BYE))
		alice.Want(200)
	})
}

// A connection that was verified for one name is not used for another.
func TestTargetsShareConnectionsOnlyWhenTheyAreEqual(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		ca := testca.New("ca")
		srv := start(t, network, &ua.Server{})
		p := siptest.New(t, siptest.Config{Transport: transport.TLS, Network: network, TLS: &tls.Config{
			Certificates: []tls.Certificate{ca.Leaf("both", testca.DNS("one.example", "two.example")).TLS()},
		}})
		connect := func(name string) ua.Target {
			return ua.Target{Transport: transport.TLS, Addr: p.Addr(), TLS: &tls.Config{RootCAs: ca.Pool(), ServerName: name}}
		}
		dial := func(to ua.Target) *transport.Conn {
			t.Helper()
			c, err := srv.Connect(t.Context(), to)
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		one, two := connect("one.example"), connect("two.example")
		first := dial(one)
		if dial(one) != first {
			t.Error("an equal target has another connection")
		}
		if c := dial(two); c == first || c.TLS().ServerName != "two.example" {
			t.Error("a connection verified for one.example is used for two.example")
		}
		if _, err := srv.Connect(t.Context(), connect("three.example")); err == nil {
			t.Error("the certificate is not for three.example, and no error")
		}
	})
}

// A response to what came over TLS does not go back in clear, though the peer
// has a plain connection too.
func TestResponseOfTLSTakesNoPlainConnection(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		ca := testca.New("ca")
		h := hold()
		srv := start(t, network, &ua.Server{Handler: h, Hooks: transport.Hooks{Identify: everybody}})
		secure := netip.MustParseAddrPort("127.0.0.1:5061")
		if _, err := srv.Listen(transport.ListenConfig{Name: "tls", Transport: transport.TLS, Addr: secure, TLS: &tls.Config{
			Certificates: []tls.Certificate{ca.Leaf("gw").TLS()},
		}}); err != nil {
			t.Fatal(err)
		}
		p := siptest.New(t, siptest.Config{Transport: transport.TLS, Network: network, TLS: &tls.Config{RootCAs: ca.Pool(), ServerName: "gw"}})
		p.Dial(secure)
		plain := peer(t, network, transport.TCP)
		p.Send(p.Request(sip.OPTIONS, bob))
		<-h.got
		p.HangUp()
		plain.WantSilence(time.Second)
		close(h.give)
		plain.WantSilence(time.Minute)
		if got := srv.Stats(); got.LostResponses != 1 {
			t.Errorf("%+v", got)
		}
	})
}
