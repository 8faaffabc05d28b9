package interop

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emiago/sipgo"
	theirs "github.com/emiago/sipgo/sip"

	ours "github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

const (
	liveCalls = 1000
	atOnce    = 20
	offer     = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n"
)

// meeting is where the two ends of a call tell each other how far it is: sipgo handles each message in a goroutine of
// its own, so that a 200 overtakes its 180 and a BYE its ACK, unless whoever sends the second knows that the first was read.
type meeting struct{ ringing, up chan struct{} }

// meetings are those of one direction, by the number that is called.
type meetings []meeting

func newMeetings() meetings {
	m := make(meetings, liveCalls)
	for i := range m {
		m[i] = meeting{make(chan struct{}), make(chan struct{})}
	}
	return m
}

// of finds the meeting of the number in a Request-URI: sip:+49<n>@…
func (m meetings) of(uri string) (meeting, error) {
	digits, _, _ := strings.Cut(strings.TrimPrefix(uri, "sip:+49"), "@")
	n, err := strconv.Atoi(digits)
	if err != nil || n < 0 || n >= len(m) {
		return meeting{}, fmt.Errorf("a call to %s", uri)
	}
	return m[n], nil
}

// wait waits for the other end.
func wait(ctx context.Context, there <-chan struct{}, what string) error {
	select {
	case <-there:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waited in vain: %s", what)
	}
}

// TestLiveCalls has sipgo and our library call each other through the gateway over mutual TLS: every call rings, is
// answered, acknowledged and hung up, and has its record.
func TestLiveCalls(t *testing.T) {
	their, our := freePort(t), freePort(t)
	g := newGateway(t, their, our)
	toOurs, toSipgo := newMeetings(), newMeetings()
	s := newSipgo(t, g, their, toOurs, toSipgo)
	o := newOurs(t, g, our, toSipgo, toOurs)

	for _, direction := range []struct {
		from, to string
		call     func(ctx context.Context, n int) error
		answered *atomic.Int64
		over     *atomic.Int64 // at the side that answers
	}{
		{"sipgo", "ours", s.call, &o.answered, &o.over},
		{"ours", "sipgo", o.call, &s.answered, &s.over},
	} {
		t.Run(direction.from+" calls "+direction.to, func(t *testing.T) {
			before := len(g.records())
			many(t, direction.call)
			g.soon("every callee has seen the end", func() bool { return direction.over.Load() == liveCalls })
			if n := direction.answered.Load(); n != liveCalls {
				t.Errorf("%d calls were answered and acknowledged, want %d", n, liveCalls)
			}
			var all []record
			g.soon("every record is closed", func() bool {
				all = g.records()[before:]
				n := 0
				for _, r := range all {
					if r.State != "open" && r.State != "answered" {
						n++
					}
				}
				return n >= liveCalls
			})
			if len(all) != liveCalls {
				t.Errorf("%d records, want %d", len(all), liveCalls)
			}
			ids := map[string]bool{}
			for _, r := range all {
				checkRecord(t, r, direction.from, direction.to)
				ids[r.In.CallID] = true
			}
			if len(ids) != liveCalls {
				t.Errorf("%d different Call-IDs, want %d", len(ids), liveCalls)
			}
		})
	}
}

// many places all calls, some at once, and reports each failure.
func many(t *testing.T, call func(context.Context, int) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	next := make(chan int)
	for range atOnce {
		wg.Go(func() {
			for n := range next {
				if err := call(ctx, n); err != nil {
					t.Errorf("call %d: %v", n, err)
				}
			}
		})
	}
	for n := range liveCalls {
		next <- n
	}
	close(next)
	wg.Wait()
}

func checkRecord(t *testing.T, r record, from, to string) {
	t.Helper()
	if r.State != "ended" || r.EndedBy != "caller" || r.In.Peer != from || len(r.Out) != 1 || r.Out[0].Peer != to {
		t.Errorf("record %+v: want a call from %s to %s that its caller ended", r, from, to)
		return
	}
	for _, leg := range []recordLeg{r.In, r.Out[0]} {
		want := leg.Peer + ".example"
		if leg.TLS == nil || !leg.TLS.Mutual || len(leg.TLS.Identity) != 1 || leg.TLS.Identity[0] != want {
			t.Errorf("leg with %s: %+v, want mutual TLS with %s", leg.Peer, leg.TLS, want)
		}
	}
}

// sipgoPeer calls and answers with sipgo.
type sipgoPeer struct {
	gateway        string
	clients        *sipgo.DialogClientCache
	out, in        meetings
	answered, over atomic.Int64
}

func newSipgo(t *testing.T, g *gateway, addr string, out, in meetings) *sipgoPeer {
	t.Helper()
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	theirs.SetDefaultLogger(quiet)
	own, err := tls.LoadX509KeyPair(g.file("sipgo.pem"), g.file("sipgo-key.pem"))
	must(t, err)
	pem, err := os.ReadFile(g.file("ca.pem"))
	must(t, err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	agent, err := sipgo.NewUA(sipgo.WithUserAgenTLSConfig(&tls.Config{
		Certificates: []tls.Certificate{own}, RootCAs: roots, ServerName: "gateway.example",
	}))
	must(t, err)
	host, port, err := net.SplitHostPort(addr)
	must(t, err)
	number, err := strconv.Atoi(port)
	must(t, err)
	client, err := sipgo.NewClient(agent, sipgo.WithClientHostname(host), sipgo.WithClientPort(number))
	must(t, err)
	server, err := sipgo.NewServer(agent)
	must(t, err)
	contact := theirs.ContactHeader{Address: theirs.Uri{
		Scheme: "sip", User: "sipgo", Host: host, Port: number, UriParams: theirs.HeaderParams{{K: "transport", V: "tls"}},
	}}
	p := &sipgoPeer{gateway: g.addr, clients: sipgo.NewDialogClientCache(client, contact), out: out, in: in}
	p.serve(t, server, sipgo.NewDialogServerCache(client, contact))
	listener, err := tls.Listen("tcp", addr, &tls.Config{
		Certificates: []tls.Certificate{own}, ClientCAs: roots, ClientAuth: tls.RequireAndVerifyClientCert,
	})
	must(t, err)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.ServeTLS(listener) // it ends with the listener
	}()
	t.Cleanup(func() {
		listener.Close()
		agent.Close()
		<-ended
	})
	return p
}

// serve answers calls, and the requests in them.
func (p *sipgoPeer) serve(t *testing.T, server *sipgo.Server, dialogs *sipgo.DialogServerCache) {
	server.OnInvite(func(req *theirs.Request, tx theirs.ServerTransaction) {
		d, err := dialogs.ReadInvite(req, tx)
		if err != nil {
			t.Errorf("sipgo reads the INVITE: %v", err)
			return
		}
		if err := d.Respond(180, "Ringing", nil); err != nil {
			t.Errorf("sipgo rings: %v", err)
		}
		m, err := p.in.of(req.Recipient.String())
		if err == nil {
			err = wait(t.Context(), m.ringing, "the caller hears the ringing")
		}
		if err != nil {
			t.Error(err)
			return
		}
		if err := d.RespondSDP([]byte(offer)); err != nil { // waits for the ACK
			t.Errorf("sipgo answers: %v", err)
			return
		}
		p.answered.Add(1)
		close(m.up)
	})
	server.OnAck(func(req *theirs.Request, tx theirs.ServerTransaction) {
		if err := dialogs.ReadAck(req, tx); err != nil {
			t.Errorf("sipgo reads the ACK: %v", err)
		}
	})
	server.OnBye(func(req *theirs.Request, tx theirs.ServerTransaction) {
		if err := dialogs.ReadBye(req, tx); err != nil {
			t.Errorf("sipgo reads the BYE: %v", err)
		}
		p.over.Add(1)
	})
}

// call places a call with sipgo and hangs up.
func (p *sipgoPeer) call(ctx context.Context, n int) error {
	var to theirs.Uri
	if err := theirs.ParseUri(fmt.Sprintf("sip:+49%d@%s;transport=tls", n, p.gateway), &to); err != nil {
		return err
	}
	d, err := p.clients.Invite(ctx, to, []byte(offer), theirs.NewHeader("Content-Type", "application/sdp"))
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.WaitAnswer(ctx, sipgo.AnswerOptions{OnResponse: func(r *theirs.Response) error {
		if r.StatusCode == 180 {
			close(p.out[n].ringing)
		}
		return nil
	}}); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	if err := d.Ack(ctx); err != nil {
		return fmt.Errorf("ACK: %w", err)
	}
	if err := wait(ctx, p.out[n].up, "the callee has the ACK"); err != nil {
		return err
	}
	if err := d.Bye(ctx); err != nil {
		return fmt.Errorf("BYE: %w", err)
	}
	return nil
}

// oursPeer calls and answers with our library.
type oursPeer struct {
	srv            ua.Server
	gateway        ua.Target
	out, in        meetings
	answered, over atomic.Int64
}

func newOurs(t *testing.T, g *gateway, addr string, out, in meetings) *oursPeer {
	t.Helper()
	cert, key, ca := g.file("ours.pem"), g.file("ours-key.pem"), g.file("ca.pem")
	client, err := ua.ClientTLS(cert, key, ca, "gateway.example")
	must(t, err)
	server, err := ua.ServerTLS(cert, key, ca)
	must(t, err)
	p := &oursPeer{gateway: ua.Target{Transport: transport.TLS, Addr: netip.MustParseAddrPort(g.addr), TLS: client}, out: out, in: in}
	p.srv.Handler = ua.Methods{ours.INVITE: func(r *ua.Request) {
		if !r.Proves("gateway.example") {
			t.Errorf("a call from %v", r.Identity().Names)
		}
		if err := r.Reply(180); err != nil {
			t.Errorf("we ring: %v", err)
		}
		m, err := p.in.of(string(r.Msg.RequestURI()))
		if err == nil {
			err = wait(r.Context(), m.ringing, "the caller hears the ringing")
		}
		if err != nil {
			t.Error(err)
			return
		}
		call, err := r.Accept(ua.Body("application/sdp", []byte(offer)))
		if err != nil {
			t.Errorf("we answer: %v", err)
			return
		}
		<-call.Confirmed()
		p.answered.Add(1)
		close(m.up)
		<-call.Done()
		if call.Err() != nil {
			t.Errorf("our call ended with %v", call.Err())
		}
		p.over.Add(1)
	}}
	must(t, p.srv.Start())
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := p.srv.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	_, err = p.srv.Listen(transport.ListenConfig{Transport: transport.TLS, Addr: netip.MustParseAddrPort(addr), TLS: server})
	must(t, err)
	return p
}

// call places a call with our library and hangs up.
func (p *oursPeer) call(ctx context.Context, n int) error {
	call, err := p.srv.Invite(ctx, p.gateway, ua.InviteOptions{
		To: fmt.Sprintf("sip:+49%d@gateway.example", n),
		OnProgress: func(m *ours.Message) {
			if m.StatusCode() == 180 {
				close(p.out[n].ringing)
			}
		},
	}, ua.Body("application/sdp", []byte(offer)))
	if err != nil {
		return err
	}
	if err := wait(ctx, p.out[n].up, "the callee has the ACK"); err != nil {
		return err
	}
	return call.Bye(ctx)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
