//go:build interop

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// TestKamailio has calls cross a proxy that verifies the gateway's certificate, shows its own and stays in the path with Record-Route:
// as the proxy of the answering side, and as that of the calling side. Requests inside the call go both ways, along the route set.
func TestKamailio(t *testing.T) {
	need(t, "kamailio", "kamailio kamailio-tls-modules")
	for _, version := range []string{"1.2", "1.3"} {
		t.Run("TLS "+version, func(t *testing.T) {
			b := newBehindProxy(t, version, "proxy")
			for _, row := range []struct {
				name  string
				legs  [2]string
				state string
				by    string
				call  func(t *testing.T, ctx context.Context)
			}{
				{"to the proxy, caller hangs up", toProxy, "ended", "caller", b.callAndEnd(b.toProxy, 0)},
				{"to the proxy, answerer hangs up", toProxy, "ended", "callee", b.callAndEnd(b.toProxy, 1)},
				{"to the proxy, busy", toProxy, "busy", "callee", b.refused(b.toProxy)},
				{"to the proxy, given up", toProxy, "cancelled", "caller", b.givenUp(b.toProxy)},
				{"from the proxy, caller hangs up", fromProxy, "ended", "caller", b.callAndEnd(b.fromProxy, 0)},
				{"from the proxy, answerer hangs up", fromProxy, "ended", "callee", b.callAndEnd(b.fromProxy, 1)},
				{"from the proxy, busy", fromProxy, "busy", "callee", b.refused(b.fromProxy)},
				{"from the proxy, given up", fromProxy, "cancelled", "caller", b.givenUp(b.fromProxy)},
			} {
				t.Run(row.name, func(t *testing.T) {
					ctx, cancel := context.WithTimeout(t.Context(), sitePatience)
					defer cancel()
					flow := newFlow(t, b.admin, row.state, func() { row.call(t, ctx) })
					b.checkHops(t, flow, version, row.legs)
					recordOf(t, b.dir, flow).check(t, row.state, row.by, "hop-by-hop", row.legs)
				})
			}
			// Two connections bring the gateway and the proxy together, one dialled by each, whatever crossed them.
			if opened := b.connectionsOf("proxy"); opened != 2 {
				t.Errorf("%d connections with the proxy were opened, want 2", opened)
			}
			wantNoCalls(t, b.admin)
			b.gateway.terminate(t)
		})
	}
}

var toProxy, fromProxy = [2]string{"caller", "proxy"}, [2]string{"proxy", "caller"}

// behindProxy is a gateway with a caller of its own over TLS, and Kamailio over TLS, behind which stands the answerer on UDP.
// Either of the two calls the other.
type behindProxy struct {
	*site
	proxy     *kamailio
	proxyUDP  ua.Target // Kamailio, as the answerer finds it
	reoffered chan string
	taken     chan *ua.Call // calls that the caller has accepted
}

// newBehindProxy starts them all. Calls to the answerer have these targets.
func newBehindProxy(t *testing.T, version, targets string) *behindProxy {
	t.Helper()
	b := &behindProxy{
		site: &site{
			dir: t.TempDir(), version: map[string]string{"caller": version, "answerer": "udp"},
			entry: map[string]netip.AddrPort{}, accepted: make(chan *ua.Call, 100),
		},
		reoffered: make(chan string, 1), taken: make(chan *ua.Call, 100),
	}
	sallyport(t, b.dir, "cert", "ca", "--name", "Test CA", "--out", "ca.pem")
	for _, name := range []string{"gateway", "caller", "proxy"} {
		sallyport(t, b.dir, "cert", "issue", "--ca", "ca.pem", "--sip", name+".example", "--dns", name+".example", "--out", name+".pem")
	}
	b.caller = b.peer(t, "caller", "127.0.0.1", ua.HandlerFunc(func(r *ua.Request) { b.serve(r, b.taken) }))
	b.answerer = b.peer(t, "answerer", "127.0.0.1", ua.HandlerFunc(func(r *ua.Request) { b.serve(r, b.accepted) }))
	addr := freeAddresses(t, 3)
	b.entry["tls"], b.admin = netip.MustParseAddrPort(addr[0]), addr[2]
	b.proxy = newKamailio(t, b.dir, b.answerer.Endpoint().Listeners()[0].Addr().String(), addr[0],
		map[string]string{"1.2": "TLSv1.2", "1.3": "TLSv1.2+"}[version])
	b.proxyUDP = ua.Target{Transport: transport.UDP, Addr: netip.MustParseAddrPort(b.proxy.udp)}
	b.proxy.start(t)
	b.gateway = startServe(t, b.dir, fmt.Sprintf(`
listeners:
  outside: {listen: "tls:%s", client_certificates: required}
  lan: {listen: "udp:%s"}
identities: {gateway: {certificate: gateway.pem, key: gateway-key.pem}}
trust: {partners: {files: [ca.pem]}}
defaults: {identity: gateway, trust: [partners]}
peers:
  caller: %s
  proxy:  {uri: "sip:%s;transport=tls", certificate_names: [proxy.example]}
  backup: {uri: "sip:%s;transport=udp"}
routes:
  - {from: [caller], to: [%s]}
  - {from: [proxy], to: [caller]}
admin: {listen: "%s"}
`, addr[0], addr[1], b.settings("caller", b.caller), b.proxy.tls, b.answerer.Endpoint().Listeners()[0].Addr(), targets, b.admin))
	return b
}

// serve is what both ends do, by the number. The calls that they accept go into accepted.
func (b *behindProxy) serve(r *ua.Request, accepted chan<- *ua.Call) {
	uri := string(r.Msg.RequestURI())
	switch {
	case r.Msg.Method() != sip.INVITE:
		r.Reply(405)
	case strings.Contains(uri, "+491"):
		r.Reply(486)
	case strings.Contains(uri, "+492"):
		r.Reply(180)
		<-r.Context().Done()
	case r.Call() != nil:
		b.reoffered <- direction(string(r.Msg.Body()))
		r.Accept(ua.Body("application/sdp", sdpWith("recvonly")))
	default:
		r.Reply(180)
		if call, err := r.Accept(ua.Body("application/sdp", []byte(siteSDP))); err == nil {
			accepted <- call
		}
	}
}

// A placer calls a number over the proxy, one way or the other.
type placer func(ctx context.Context, t *testing.T, number string, o ua.InviteOptions) (*ua.Call, error)

// toProxy has the caller call the answerer.
func (b *behindProxy) toProxy(ctx context.Context, t *testing.T, number string, o ua.InviteOptions) (*ua.Call, error) {
	t.Helper()
	return b.call(ctx, t, number, o)
}

// fromProxy has the answerer call the caller.
func (b *behindProxy) fromProxy(ctx context.Context, t *testing.T, number string, o ua.InviteOptions) (*ua.Call, error) {
	t.Helper()
	o.URI, o.From = fmt.Sprintf("sip:%s@%s", number, b.proxy.udp), "<sip:bob@answerer.example>"
	return b.answerer.Invite(ctx, b.proxyUDP, o, ua.Body("application/sdp", []byte(siteSDP)))
}

// pair makes a call that is answered, and returns both ends of it, the calling one first.
func (b *behindProxy) pair(t *testing.T, ctx context.Context, place placer) [2]*ua.Call {
	t.Helper()
	ours, err := place(ctx, t, "+490", ua.InviteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var theirs *ua.Call
	select {
	case theirs = <-b.accepted:
	case theirs = <-b.taken:
	case <-ctx.Done():
		t.Fatal("nobody has the call")
	}
	select {
	case <-theirs.Confirmed(): // the ACK has crossed too
	case <-ctx.Done():
		t.Fatal("no ACK came")
	}
	return [2]*ua.Call{ours, theirs}
}

// callAndEnd has a call in which each side sends a re-INVITE, and which this end hangs up.
func (b *behindProxy) callAndEnd(place placer, end int) func(*testing.T, context.Context) {
	return func(t *testing.T, ctx context.Context) {
		ends := b.pair(t, ctx, place)
		for _, call := range ends {
			b.reoffer(t, ctx, call)
		}
		if err := ends[end].Bye(ctx); err != nil {
			t.Errorf("BYE: %v", err)
		}
		wantOver(ctx, t, ends[1-end])
	}
}

// reoffer sends a re-INVITE, and wants its offer at the other end and the answer here. While the ACK of the one before is on
// its way there can be no other, so it is sent again (RFC 3261 §14.1).
func (b *behindProxy) reoffer(t *testing.T, ctx context.Context, call *ua.Call) {
	t.Helper()
	answered := false
	soon(t, "a re-INVITE is answered", func() bool {
		answer, err := call.Do(ctx, sip.INVITE, ua.Body("application/sdp", sdpWith("sendonly")))
		if errors.Is(err, ua.ErrInviting) {
			return false
		} else if err != nil {
			t.Fatalf("re-INVITE: %v", err)
		}
		defer answer.Release()
		if got := direction(string(answer.Body())); answer.StatusCode() == 200 && got != "recvonly" {
			t.Errorf("the answer to a re-INVITE arrived as %s, want recvonly", got)
		}
		answered = answer.StatusCode() == 200
		return answer.StatusCode() != 491
	})
	if !answered {
		t.Fatal("a re-INVITE was refused")
	}
	if got := <-b.reoffered; got != "sendonly" {
		t.Errorf("the offer of a re-INVITE arrived as %s, want sendonly", got)
	}
}

func (b *behindProxy) refused(place placer) func(*testing.T, context.Context) {
	return func(t *testing.T, ctx context.Context) {
		_, err := place(ctx, t, "+491", ua.InviteOptions{})
		if no, ok := errors.AsType[*ua.ResponseError](err); !ok || no.Code != 486 {
			t.Errorf("got %v, want 486", err)
		}
	}
}

func (b *behindProxy) givenUp(place placer) func(*testing.T, context.Context) {
	return func(t *testing.T, ctx context.Context) {
		ctx, cancel := context.WithCancel(ctx)
		ringing := ua.InviteOptions{OnProgress: func(*sip.Message) { cancel() }}
		if _, err := place(ctx, t, "+492", ringing); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want the call to be given up", err)
		}
	}
}

// connectionsOf counts the connections with a peer that were opened so far.
func (b *behindProxy) connectionsOf(peer string) (n int) {
	for _, line := range b.gateway.logged("connection opened") {
		if line.Peer == peer {
			n++
		}
	}
	return n
}

// checkHops wants both hops of a flow to be with these peers over mutual TLS, with the certificate of the right name verified.
func (b *behindProxy) checkHops(t *testing.T, c call, version string, peers [2]string) {
	t.Helper()
	if len(c.Legs) != 2 {
		t.Fatalf("the flow has %d legs, want 2", len(c.Legs))
	}
	for i, want := range peers {
		l := c.Legs[i]
		if l.Peer != want {
			t.Errorf("leg %s is with %q, want %s", l.Name, l.Peer, want)
		}
		if tls := l.Hop.TLS; tls.Version != version || !tls.Mutual || !slices.Contains(tls.PeerNames, want+".example") {
			t.Errorf("TLS with %s is %+v, want mutual %s with %s.example", want, tls, version, want)
		}
	}
}
