package siptest_test

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/sallyport-sip/sallyport/internal/memnet"
	"github.com/sallyport-sip/sallyport/internal/testca"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const bob = "sip:bob@example.com"

// each runs a test over every transport, on the loopback and in a bubble.
func each(t *testing.T, f func(t *testing.T, alice, bob *siptest.Peer)) {
	for _, tr := range []transport.Transport{transport.UDP, transport.TCP, transport.TLS} {
		run := func(t *testing.T, network transport.Network) {
			ca := testca.New("ca")
			open := func(name string) *siptest.Peer {
				return siptest.New(t, siptest.Config{Name: name, Transport: tr, Network: network, TLS: &tls.Config{
					Certificates: []tls.Certificate{ca.Leaf(name).TLS()}, RootCAs: ca.Pool(), ServerName: "bob",
				}})
			}
			alice, bob := open("alice"), open("bob")
			alice.Dial(bob.Addr())
			f(t, alice, bob)
		}
		t.Run(tr.String()+"/loopback", func(t *testing.T) { run(t, nil) })
		t.Run(tr.String()+"/memory", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { run(t, memnet.New(memnet.Options{})) })
		})
	}
}

func TestTwoPeersPlayACall(t *testing.T) {
	each(t, func(t *testing.T, alice, bobby *siptest.Peer) {
		alice.Send(alice.Request(sip.INVITE, bob, siptest.Body("application/sdp", "v=0\r\n")))
		invite := bobby.WantRequest(sip.INVITE)
		if err := invite.Check(); err != nil || string(invite.Body()) != "v=0\r\n" {
			t.Errorf("%v\n%s", err, invite.Bytes())
		}
		bobby.Reply(invite, 100) // which nobody asks for
		bobby.Reply(invite, 180)
		bobby.Reply(invite, 200, siptest.Add("Record-Route", "<sip:one;lr>"), siptest.Add("Record-Route", "<sip:two;lr>"))
		ringing := alice.Want(180)
		ok := alice.Want(200)
		for _, m := range []*siptest.Message{ringing, ok} {
			if to, _ := m.To(); string(to.Tag()) != "bobtag" || m.Check() != nil {
				t.Errorf("got\n%s", m.Bytes())
			}
		}
		alice.Send(alice.Ack(ok))
		ack := bobby.WantRequest(sip.ACK)
		one, _ := invite.Via()
		other, _ := ack.Via()
		var routes []string
		for r := range ack.Values(sip.HdrRoute) {
			routes = append(routes, string(r))
		}
		if string(one.Branch()) == string(other.Branch()) || strings.Join(routes, " ") != "<sip:two;lr> <sip:one;lr>" ||
			string(ack.RequestURI()) != bobby.URI("bob") {
			t.Errorf("ACK\n%s", ack.Bytes())
		}
		alice.Send(alice.InDialog(sip.INFO))
		bobby.Reply(bobby.WantRequest(sip.INFO), 200)
		alice.Want(200)
	})
}

func TestAckAndCancelRepeatTheInvite(t *testing.T) {
	each(t, func(t *testing.T, alice, bobby *siptest.Peer) {
		alice.Send(alice.Request(sip.INVITE, bob))
		invite := bobby.WantRequest(sip.INVITE)
		alice.Send(alice.Cancel())
		cancel := bobby.WantRequest(sip.CANCEL)
		bobby.Reply(cancel, 200)
		alice.Want(200)
		bobby.Reply(invite, 487)
		alice.Send(alice.Ack(alice.Want(487)))
		ack := bobby.WantRequest(sip.ACK)
		for _, m := range []*siptest.Message{cancel, ack} {
			one, _ := invite.CSeq()
			other, _ := m.CSeq()
			if string(m.First(sip.HdrVia)) != string(invite.First(sip.HdrVia)) || one.Seq != other.Seq || m.Check() != nil {
				t.Errorf("got\n%s", m.Bytes())
			}
		}
		if to, _ := ack.To(); string(to.Tag()) != "bobtag" {
			t.Errorf("ACK to %q", to.Tag())
		}
	})
}

func TestOptionsChangeAMessage(t *testing.T) {
	p := siptest.New(t, siptest.Config{})
	raw := p.Request(sip.OPTIONS, bob, siptest.URI("sip:x"), siptest.Set("max-forwards", "0"), siptest.Drop("Contact"),
		siptest.Add("Via", "SIP/2.0/UDP x"), siptest.Body("text/plain", "four"), siptest.Set("Content-Length", "99"))
	for _, want := range []string{"OPTIONS sip:x SIP/2.0\r\n", "\r\nMax-Forwards: 0\r\n", "\r\nVia: SIP/2.0/UDP x\r\n", "\r\nContent-Length: 99\r\n", "\r\n\r\nfour"} {
		if !strings.Contains(raw, want) {
			t.Errorf("no %q in\n%s", want, raw)
		}
	}
	if strings.Contains(raw, "Contact") {
		t.Errorf("Contact in\n%s", raw)
	}
}

func TestStreamIsCutIntoMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memnet.New(memnet.Options{})
		alice := siptest.New(t, siptest.Config{Transport: transport.TCP, Network: network})
		bobby := siptest.New(t, siptest.Config{Transport: transport.TCP, Network: network})
		alice.Dial(bobby.Addr())
		two := alice.Request(sip.INFO, bob) + "\r\n\r\n" + alice.Request(sip.OPTIONS, bob, siptest.Body("text/plain", "hello"))
		for len(two) > 0 {
			n := min(7, len(two))
			alice.Send(two[:n])
			two = two[n:]
		}
		bobby.WantRequest(sip.INFO)
		if m := bobby.WantRequest(sip.OPTIONS); string(m.Body()) != "hello" {
			t.Errorf("body %q", m.Body())
		}
		alice.HangUp()
		bobby.WantClosed()
	})
}

func TestNobodyAnswersADial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := siptest.New(t, siptest.Config{Transport: transport.TCP, Network: memnet.New(memnet.Options{})})
		if err := p.TryDial(netip.MustParseAddrPort("127.0.0.1:9")); err == nil {
			t.Error("no error")
		}
	})
}

// recorder is a testing.TB that keeps what a test would say as it fails.
type recorder struct {
	testing.TB
	mu   sync.Mutex
	said string
}

func (r *recorder) Helper() {}

func (r *recorder) Fatal(args ...any) {
	r.mu.Lock()
	r.said = fmt.Sprint(args...)
	r.mu.Unlock()
	runtime.Goexit()
}

func (r *recorder) Fatalf(format string, args ...any) { r.Fatal(fmt.Sprintf(format, args...)) }

func TestFailuresShowWhatCameInstead(t *testing.T) {
	for _, c := range []struct {
		name string
		send func(alice *siptest.Peer) []string
		want func(bobby *siptest.Peer)
		said []string
	}{
		{
			"another request", func(a *siptest.Peer) []string {
				return []string{a.Request(sip.INFO, bob), a.Request(sip.OPTIONS, bob)}
			},
			func(b *siptest.Peer) { b.WantRequest(sip.INVITE) },
			[]string{"bob: want a request INVITE, got INFO sip:bob@example.com SIP/2.0", "    Max-Forwards: 70", "behind it: OPTIONS"},
		},
		{
			"another code", func(*siptest.Peer) []string {
				return []string{"SIP/2.0 486 Busy Here\r\nVia: SIP/2.0/UDP x\r\nCSeq: 1 INVITE\r\n\r\n"}
			},
			func(b *siptest.Peer) { b.Want(200) },
			[]string{"want a 200, got SIP/2.0 486 Busy Here (CSeq 1 INVITE)"},
		},
		{
			"noise", func(a *siptest.Peer) []string { return []string{a.Request(sip.INFO, bob)} },
			func(b *siptest.Peer) { b.WantSilence(time.Second) },
			[]string{"want silence for 1s, got INFO"},
		},
		{
			"nothing", func(*siptest.Peer) []string { return nil },
			func(b *siptest.Peer) { b.Want(200) },
			[]string{"nothing came within 5m0s, want a 200", "last was: nothing"},
		},
		{
			"another message", func(a *siptest.Peer) []string {
				return []string{a.Request(sip.INFO, bob), a.Request(sip.INFO, bob)}
			},
			func(b *siptest.Peer) { b.WantAgain(b.Next()) },
			[]string{"want the same message once more: INFO sip:bob@example.com SIP/2.0, got INFO"},
		},
		{
			"no dialog", func(*siptest.Peer) []string { return nil },
			func(b *siptest.Peer) { b.InDialog(sip.BYE) },
			[]string{"there is no dialog for a BYE yet"},
		},
		{
			"no INVITE", func(*siptest.Peer) []string { return nil },
			func(b *siptest.Peer) { b.Cancel() },
			[]string{"no INVITE was sent yet"},
		},
		{
			"nowhere", func(*siptest.Peer) []string { return nil },
			func(b *siptest.Peer) { b.Send("x") },
			[]string{"call Dial first"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := memnet.New(memnet.Options{})
				r := &recorder{TB: t}
				alice := siptest.New(t, siptest.Config{Name: "alice", Network: network})
				bobby := siptest.New(r, siptest.Config{Name: "bob", Network: network})
				alice.Dial(bobby.Addr())
				for _, raw := range c.send(alice) {
					alice.Send(raw)
				}
				synctest.Wait()
				var done sync.WaitGroup
				done.Go(func() { c.want(bobby) })
				done.Wait()
				for _, part := range c.said {
					if !strings.Contains(r.said, part) {
						t.Errorf("no %q in\n%s", part, r.said)
					}
				}
			})
		})
	}
}

// A test that ends while messages still come leaves nothing behind.
func TestCloseWithUnreadMessages(t *testing.T) {
	alice := siptest.New(t, siptest.Config{Transport: transport.TCP})
	bobby := siptest.New(t, siptest.Config{Transport: transport.TCP})
	alice.Dial(bobby.Addr())
	for range 4200 { // more than the peer holds
		alice.Send(alice.Request(sip.INFO, bob))
	}
	bobby.Close()
	bobby.Close()
}

func ExampleNew() {
	// In a test t is its *testing.T.
	script := func(t *testing.T, server netip.AddrPort) {
		p := siptest.New(t, siptest.Config{Transport: transport.TCP})
		p.Dial(server)
		p.Send(p.Request(sip.OPTIONS, "sip:gateway.example"))
		p.Want(200)
		p.WantSilence(100 * time.Millisecond)
	}
	_ = script
}
