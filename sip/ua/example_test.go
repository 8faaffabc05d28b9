package ua_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/internal/testca"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// A server that answers OPTIONS, and a client that asks it.
func Example() {
	server := &ua.Server{Handler: ua.HandlerFunc(func(r *ua.Request) {
		if r.Msg.Method() != sip.OPTIONS {
			r.Reply(405, ua.Header("Allow", "OPTIONS"))
			return
		}
		r.Reply(200, ua.Header("Allow", "OPTIONS"))
	})}
	to := listen(server)
	defer server.Close(context.Background())

	client, _ := serve(nil)
	defer client.Close(context.Background())
	m, err := client.Send(context.Background(), to, ua.Outgoing{Method: sip.OPTIONS, URI: "sip:bob@example.com"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d %s, Allow: %s\n", m.StatusCode(), m.Reason(), m.First(sip.HdrAllow))
	// Output: 200 OK, Allow: OPTIONS
}

// listen starts a server on a free UDP port and returns how to reach it.
func listen(srv *ua.Server) ua.Target {
	if err := srv.Start(); err != nil {
		log.Fatal(err)
	}
	l, err := srv.Listen(transport.ListenConfig{Transport: transport.UDP, Addr: netip.MustParseAddrPort("127.0.0.1:0")})
	if err != nil {
		log.Fatal(err)
	}
	return ua.Target{Transport: transport.UDP, Addr: l.Addr()}
}

// A function for each method. OPTIONS and the refusal of all others come by
// themselves.
func ExampleMethods() {
	server, addr := serve(ua.Methods{
		sip.INVITE:  func(r *ua.Request) { r.Reply(486) },
		sip.MESSAGE: func(r *ua.Request) { fmt.Printf("%s\n", r.Msg.Body()); r.Reply(200) },
	})
	defer server.Close(context.Background())

	client, _ := serve(nil)
	defer client.Close(context.Background())
	for _, method := range []sip.Method{sip.MESSAGE, sip.PUBLISH} {
		m, err := client.Send(context.Background(), ua.Target{Transport: transport.UDP, Addr: addr},
			ua.Outgoing{Method: method, URI: "sip:bob@example.com"}, ua.Body("text/plain", []byte("good morning")))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s: %d, Allow: %q\n", method, m.StatusCode(), m.First(sip.HdrAllow))
	}
	// Output:
	// good morning
	// MESSAGE: 200, Allow: ""
	// PUBLISH: 405, Allow: "ACK, BYE, CANCEL, INVITE, MESSAGE, OPTIONS"
}

// A server that lives as long as a context: until Ctrl-C in a program.
func ExampleServer_ListenAndServe() {
	ctx, stop := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer stop()
	srv := &ua.Server{Handler: ua.Methods{sip.OPTIONS: func(r *ua.Request) { r.Reply(200) }}}
	fmt.Println("ended:", srv.ListenAndServe(ctx, "udp", "127.0.0.1:0"))
	// Output: ended: <nil>
}

// Mutual TLS: both sides prove a SIP domain, and the handler asks which one the
// caller has proved. The From header proves nothing.
func ExampleRequest_Proves() {
	cfg, err := ua.ServerTLS(files("b.example"))
	if err != nil {
		log.Fatal(err)
	}
	server := &ua.Server{Handler: ua.Methods{sip.MESSAGE: func(r *ua.Request) {
		fmt.Println("from", r.Identity().Names, "over TLS", tls.VersionName(r.TLS().Version))
		if !r.Proves("a.example") {
			r.Reply(403)
			return
		}
		r.Reply(200)
	}}}
	to := ua.Target{Transport: transport.TLS, Addr: listenTLS(server, cfg)}
	defer server.Close(context.Background())

	for _, domain := range []string{"a.example", "x.example"} {
		client, _ := serve(nil)
		defer client.Close(context.Background())
		cert, key, ca := files(domain)
		if to.TLS, err = ua.ClientTLS(cert, key, ca, "b.example"); err != nil {
			log.Fatal(err)
		}
		m, err := client.Send(context.Background(), to, ua.Outgoing{Method: sip.MESSAGE, URI: "sips:bob@b.example", From: "sip:alice@a.example"})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(m.StatusCode())
	}
	// Output:
	// from [a.example] over TLS TLS 1.3
	// 200
	// from [x.example] over TLS TLS 1.3
	// 403
}

// counting is a handler of the shard level: one number for each shard, no lock.
type counting struct{ seen []int }

func (c *counting) Request(s *ua.Shard, tx *ua.ServerTx, p *transport.Packet) {
	c.seen[s.Index()]++
	s.Reply(tx, &sip.StatusError{Code: 480})
}

func (c *counting) Ack(*ua.Shard, *transport.Packet) {} // there are no calls

// The level below Handler runs in the shard's own goroutine and must not block.
func ExampleShardHandler() {
	counter := &counting{seen: make([]int, 2)}
	server := &ua.Server{Shards: 2, ShardHandler: counter}
	to := listen(server)
	defer server.Close(context.Background())

	client, _ := serve(nil)
	defer client.Close(context.Background())
	for range 5 {
		m, err := client.Send(context.Background(), to, ua.Outgoing{Method: sip.OPTIONS, URI: "sip:bob@example.com"})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Print(m.StatusCode(), " ")
	}
	sum := 0
	for i := range server.NumShards() {
		server.Do(i, func(s *ua.Shard) { sum += counter.seen[s.Index()] })
	}
	fmt.Println("requests:", sum)
	// Output: 480 480 480 480 480 requests: 5
}

// A caller that waits for an answer, talks and hangs up.
func ExampleServer_Invite() {
	callee, addr := serve(ua.Methods{sip.INVITE: pickUp})
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

// A callee that rings and answers.
func ExampleRequest_Accept() {
	over := make(chan error)
	callee, addr := serve(ua.Methods{sip.INVITE: func(r *ua.Request) {
		r.Reply(180)
		call, err := r.Accept(ua.Body("application/sdp", []byte("v=0\r\n")))
		if err != nil || r.Call() != nil {
			return // the caller has given up, or it was a re-INVITE
		}
		go func() { // the handler returns, so that re-INVITEs are served
			<-call.Done() // the library answers the BYE
			over <- context.Cause(call.Context())
		}()
	}})
	defer callee.Shutdown(context.Background())

	caller, _ := serve(nil)
	defer caller.Close(context.Background())
	call, err := caller.Invite(context.Background(), ua.Target{Transport: transport.UDP, Addr: addr}, ua.InviteOptions{To: "sip:bob@example.com"})
	if err != nil {
		log.Fatal(err)
	}
	call.Bye(context.Background())
	fmt.Println("hung up:", <-over)
	// Output: hung up: the other side hung up
}

// pickUp rings and answers.
func pickUp(r *ua.Request) {
	r.Reply(180)
	r.Accept(ua.Body("application/sdp", []byte("v=0\r\n")))
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

// serve starts a server with a handler.
func serve(h ua.Handler) (*ua.Server, netip.AddrPort) {
	srv := &ua.Server{Handler: h}
	return srv, listen(srv).Addr
}

// listenTLS starts a server on a free port for TLS.
func listenTLS(srv *ua.Server, cfg *tls.Config) netip.AddrPort {
	listen(srv)
	l, err := srv.Listen(transport.ListenConfig{Transport: transport.TLS, Addr: netip.MustParseAddrPort("127.0.0.1:0"), TLS: cfg})
	if err != nil {
		log.Fatal(err)
	}
	return l.Addr()
}

// authority signs the certificates of the examples.
var authority = sync.OnceValue(func() *testca.CA { return testca.New("the examples' authority") })

// exampleDir holds their files; TestMain makes and removes it.
var exampleDir string

// files writes a certificate for a domain, its key and the authority as PEM.
func files(domain string) (cert, key, ca string) {
	leaf := authority().Leaf(domain)
	cert, key, ca = filepath.Join(exampleDir, domain+".pem"), filepath.Join(exampleDir, domain+".key"), filepath.Join(exampleDir, "ca.pem")
	for name, b := range map[string][]byte{cert: leaf.PEM(), key: leaf.KeyPEM(), ca: authority().PEM()} {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			log.Fatal(err)
		}
	}
	return cert, key, ca
}

// The examples are as short as the package promises.
func TestExamplesAreShort(t *testing.T) {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, "example_test.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	most := map[string]int{"Example": 20, "ExampleServer_Invite": 30}
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || most[fn.Name.Name] == 0 {
			continue
		}
		if lines := fset.Position(fn.End()).Line - fset.Position(fn.Pos()).Line + 1; lines > most[fn.Name.Name] {
			t.Errorf("%s has %d lines, want at most %d", fn.Name.Name, lines, most[fn.Name.Name])
		}
		delete(most, fn.Name.Name)
	}
	if len(most) > 0 {
		t.Errorf("there is no example any more: %v", most)
	}
}
