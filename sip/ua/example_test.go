package ua_test

import (
	"context"
	"fmt"
	"log"
	"net/netip"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// serve starts a server on a free UDP port of the loopback interface.
func serve(h ua.Handler) (*ua.Server, netip.AddrPort) {
	srv := &ua.Server{Handler: h}
	if err := srv.Start(); err != nil {
		log.Fatal(err)
	}
	l, err := srv.Listen(transport.ListenConfig{Transport: transport.UDP, Addr: netip.MustParseAddrPort("127.0.0.1:0")})
	if err != nil {
		log.Fatal(err)
	}
	return srv, l.Addr()
}

// A server that answers OPTIONS, and a client that asks it.
func Example() {
	server := &ua.Server{Handler: ua.HandlerFunc(func(r *ua.Request) {
		if r.Msg.Method() != sip.OPTIONS {
			r.Reply(405, ua.Header("Allow", "OPTIONS"))
			return
		}
		r.Reply(200, ua.Header("Allow", "OPTIONS"))
	})}
	if err := server.Start(); err != nil {
		log.Fatal(err)
	}
	defer server.Close(context.Background())
	l, err := server.Listen(transport.ListenConfig{Transport: transport.UDP, Addr: netip.MustParseAddrPort("127.0.0.1:0")})
	if err != nil {
		log.Fatal(err)
	}

	client, _ := serve(nil)
	defer client.Close(context.Background())
	to := ua.Target{Transport: transport.UDP, Addr: l.Addr()}
	m, err := client.Send(context.Background(), to, ua.Outgoing{Method: sip.OPTIONS, URI: "sip:" + l.Addr().String()})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d %s, Allow: %s\n", m.StatusCode(), m.Reason(), m.First(sip.HdrAllow))
	// Output: 200 OK, Allow: OPTIONS
}

// A caller that waits for an answer, talks and hangs up.
func ExampleServer_Invite() {
	callee, addr := serve(ua.HandlerFunc(func(r *ua.Request) {
		if r.Msg.Method() != sip.INVITE {
			r.Reply(501)
			return
		}
		r.Reply(180)
		call, err := r.Accept(ua.Body("application/sdp", []byte("v=0\r\n")))
		if err != nil {
			return // the caller has given up
		}
		<-call.Done() // the library answers the BYE
	}))
	defer callee.Close(context.Background())

	caller, _ := serve(nil)
	defer caller.Close(context.Background())
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel() // a call that is not answered in time is cancelled
	call, err := caller.Invite(ctx, ua.Target{Transport: transport.UDP, Addr: addr}, ua.InviteOptions{
		From:       `"Alice" <sip:alice@example.com>`,
		To:         "sip:bob@example.com",
		OnProgress: func(m *sip.Message) { fmt.Printf("%d %s\n", m.StatusCode(), m.Reason()) },
	}, ua.Body("application/sdp", []byte("v=0\r\n")))
	if err != nil {
		log.Fatal(err)
	}
	_, answer := call.Answer()
	fmt.Printf("answered with %d bytes\n", len(answer))
	if err := call.Bye(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println("call over:", call.Err())
	// Output:
	// 180 Ringing
	// answered with 5 bytes
	// call over: <nil>
}

// A refusal is an error with the response in it.
func ExampleResponseError() {
	callee, addr := serve(ua.HandlerFunc(func(r *ua.Request) {
		r.Reply(486, ua.Header("Retry-After", "60"))
	}))
	defer callee.Close(context.Background())
	caller, _ := serve(nil)
	defer caller.Close(context.Background())

	_, err := caller.Invite(context.Background(), ua.Target{Transport: transport.UDP, Addr: addr},
		ua.InviteOptions{URI: "sip:bob@example.com"})
	fmt.Println(err)
	// Output: refused with 486 Busy Here
}
