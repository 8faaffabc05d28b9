package siptest_test

import (
	"context"
	"fmt"
	"log"
	"net/netip"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// A peer calls a server that answers, sees the 200 again because it sends no ACK,
// and hangs up. In a test t is its *testing.T; an Example has none.
func Example() {
	server, addr := answering()
	defer server.Close(context.Background())
	t := &exampleT{}
	defer t.end()

	p := siptest.New(t, siptest.Config{Name: "alice", Transport: transport.UDP})
	p.Dial(addr)
	p.Send(p.Request(sip.INVITE, "sip:bob@example.com", siptest.Add("Subject", "lunch"), siptest.Drop("Max-Forwards")))
	p.Want(180)
	ok := p.Want(200)
	p.WantAgain(ok)
	fmt.Printf("%d for %s\n", ok.StatusCode(), ok.Method())
	p.Send(p.Ack(ok))
	p.Send(p.InDialog(sip.BYE))
	p.Want(200)
	p.WantSilence(20 * time.Millisecond)
	fmt.Println("failed:", t.failed)
	// Output:
	// 200 for INVITE
	// failed: false
}

// A peer can be who is called, and answer by hand.
func ExamplePeer_Reply() {
	t := &exampleT{}
	defer t.end()
	p := siptest.New(t, siptest.Config{Transport: transport.TCP})

	var client ua.Server
	if err := client.Start(); err != nil {
		log.Fatal(err)
	}
	defer client.Close(context.Background())
	answer := make(chan string)
	go func() {
		m, err := client.Send(context.Background(), ua.Target{Transport: transport.TCP, Addr: p.Addr()},
			ua.Outgoing{Method: sip.OPTIONS, URI: p.URI("bob")})
		if err != nil {
			log.Fatal(err)
		}
		answer <- fmt.Sprintf("%d, Accept: %s", m.StatusCode(), m.First(sip.HdrAccept))
	}()

	asked := p.WantRequest(sip.OPTIONS)
	p.Reply(asked, 200, siptest.Set("Accept", "application/sdp"))
	fmt.Println(<-answer)
	// Output: 200, Accept: application/sdp
}

// answering starts a server that rings and answers.
func answering() (*ua.Server, netip.AddrPort) {
	srv := &ua.Server{Handler: ua.Methods{sip.INVITE: func(r *ua.Request) {
		if r.Reply(180) == nil {
			// The only error is that the caller has given up.
			_, _ = r.Accept()
		}
	}}}
	if err := srv.Start(); err != nil {
		log.Fatal(err)
	}
	l, err := srv.Listen(transport.ListenConfig{Transport: transport.UDP, Addr: netip.MustParseAddrPort("127.0.0.1:0")})
	if err != nil {
		log.Fatal(err)
	}
	return srv, l.Addr()
}

// exampleT stands for a test's *testing.T.
type exampleT struct {
	testing.TB
	failed  bool
	cleanup []func()
}

func (t *exampleT) Helper()                   {}
func (t *exampleT) Cleanup(f func())          { t.cleanup = append(t.cleanup, f) }
func (t *exampleT) Fatalf(f string, a ...any) { t.failed = true; log.Panicf(f, a...) }
func (t *exampleT) Errorf(f string, a ...any) { t.failed = true; log.Printf(f, a...) }

func (t *exampleT) end() {
	for _, f := range t.cleanup {
		f()
	}
}
