package ua_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/internal/memnet"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// A response goes by the rules of RFC 3261 §18.2.1 and §18.2.2 and RFC 3581 §4: its Via
// has the source address, and the source port if the request asked for that; on UDP it
// goes to the source address, and there to the source port if that was asked for, else
// to the port of sent-by; on TCP to where the request came from.
func TestResponsesFollowTheVia(t *testing.T) {
	for _, from := range []struct{ addr, at string }{{"192.0.2.30", "127.0.0.1:5060"}, {"2001:db8::30", "[2001:db8::1]:5060"}} {
		for _, c := range []struct {
			over        transport.Transport
			sentBy      string // as the request has it
			params      string
			port        uint16 // where the response goes; 0: to the source port
			wantsParams string // before received
		}{
			{transport.UDP, "pc.example", ";rport", 0, ";rport=%d"},
			{transport.UDP, "10.9.9.9:7777", ";rport", 0, ";rport=%d"},
			{transport.UDP, "10.9.9.9:7777", ";rport=9;received=10.1.1.1", 0, ";rport=%d"},
			{transport.UDP, "[2001:db8::99]:7777", ";rport", 0, ";rport=%d"},
			{transport.UDP, "10.9.9.9:7777", "", 7777, ""},
			{transport.UDP, "[2001:db8::99]:7777", ";received=10.1.1.1", 7777, ""},
			{transport.UDP, "pc.example", "", 5060, ""},
			{transport.TCP, "10.9.9.9:7777", "", 0, ""},
			{transport.TCP, "pc.example", ";rport", 0, ";rport=%d"},
		} {
			bubble(t, func(t *testing.T, network *memnet.Network) {
				srv := start(t, network, &ua.Server{Handler: ua.HandlerFunc(func(r *ua.Request) { r.Reply(200) })})
				addr, to := netip.MustParseAddr(from.addr), netip.MustParseAddrPort(from.at)
				if to != at {
					if _, err := srv.Listen(transport.ListenConfig{Name: "six", Transport: c.over, Addr: to}); err != nil {
						t.Fatal(err)
					}
				}
				open := func(name string, port uint16) *siptest.Peer {
					return siptest.New(t, siptest.Config{Name: name, Transport: c.over, Network: network, Addr: netip.AddrPortFrom(addr, port)})
				}
				source := open("source", 6666)
				source.Dial(to)
				wants := source
				if c.port != 0 {
					wants = open("sentby", c.port)
				}
				const branch = ";branch=z9hG4bKv"
				via := "SIP/2.0/" + c.over.Via() + " " + c.sentBy
				source.Send(source.Request(sip.OPTIONS, bob, siptest.Set("Via", via+branch+c.params), siptest.Set("From", "<sip:a@a.example>;tag=1")))
				ok := wants.Want(200)
				port := uint16(6666)
				if c.over == transport.TCP {
					for conn := range srv.Endpoint().Conns() {
						port = conn.Info().Remote.Port()
					}
				}
				want := via + branch
				if c.wantsParams != "" {
					want += fmt.Sprintf(c.wantsParams, port)
				}
				want += ";received=" + from.addr
				if got := string(ok.First(sip.HdrVia)); got != want {
					t.Errorf("%v %s%s from %v: Via is\n%s, want\n%s", c.over, c.sentBy, c.params, addr, got, want)
				}
				if wants != source {
					source.WantSilence(time.Second)
				}
			})
		}
	}
}

// What we send asks for the source port, without a value (RFC 3581 §3), from the socket
// that we listen on, and names that.
func TestRequestsAskForTheSourcePort(t *testing.T) {
	each(t, func(t *testing.T, network *memnet.Network, tr transport.Transport) {
		srv := start(t, network, &ua.Server{})
		p := callee(t, network, tr)
		done := make(chan error, 1)
		go func() {
			_, err := srv.Send(t.Context(), target(p, tr), ua.Outgoing{Method: sip.OPTIONS, URI: bob})
			done <- err
		}()
		m := p.WantRequest(sip.OPTIONS)
		via, err := m.Via()
		value, asks := via.Params.Get("rport")
		if err != nil || !asks || value != nil || via.Port != at.Port() || string(via.Host) != at.Addr().String() {
			t.Errorf("Via is %s", m.First(sip.HdrVia))
		}
		p.Reply(m, 200)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
