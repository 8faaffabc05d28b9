package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/sallyport-sip/sallyport/internal/testdns"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// TestCallByName calls a carrier by its name through the built gateway, which asks a name server of its configuration. Of
// the two servers in the SRV records the first takes no connections, so the call goes to the second. A certificate and the
// system's name servers have no part in it.
func TestCallByName(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	addr := someAddresses(t, "127.0.0.1", 3) // the listener, the API, and a port at which nobody listens
	office := siptest.New(t, siptest.Config{Name: "office", Transport: transport.UDP})
	carrier := siptest.New(t, siptest.Config{Name: "carrier", Transport: transport.TCP})
	dead := netip.MustParseAddrPort(addr[2])
	ns := testdns.Start(t, loopback{}, netip.MustParseAddrPort("127.0.0.1:0"),
		fmt.Sprintf("_sip._tcp.carrier.example. 60 IN SRV 1 0 %d one.hosting.example.", dead.Port()),
		fmt.Sprintf("_sip._tcp.carrier.example. 60 IN SRV 2 0 %d two.hosting.example.", carrier.Addr().Port()),
		"one.hosting.example. 60 IN A 127.0.0.1", "two.hosting.example. 60 IN A 127.0.0.1")
	gateway := startServe(t, dir, fmt.Sprintf(`
listeners: {lan: {listen: "udp:%s"}, trunk: {listen: "tcp:%[1]s"}}
resolver: {servers: ["%s"], family: ipv4}
peers:
  office: {uri: "sip:%s;transport=udp"}
  carrier: {uri: "sip:carrier.example;transport=tcp", accept_from: []}
routes:
  - {from: [office], to: [carrier]}
admin: {listen: "%s"}
drain: 0
`, addr[0], ns.Addr(), office.Addr(), addr[1]))
	const body = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 8\r\n"

	office.Dial(netip.MustParseAddrPort(addr[0]))
	for call := range 2 {
		office.Send(office.Request(sip.INVITE, "sip:+4930123@"+addr[0], siptest.Body("application/sdp", body)))
		invite := carrier.WantRequest(sip.INVITE)
		if uri := string(invite.RequestURI()); !strings.HasPrefix(uri, "sip:+4930123@carrier.example") {
			t.Errorf("the Request-URI is %s", uri)
		}
		carrier.Reply(invite, 200, siptest.Body("application/sdp", body))
		office.Send(office.Ack(office.Want(200)))
		carrier.WantRequest(sip.ACK)
		office.Send(office.InDialog(sip.BYE))
		carrier.Reply(carrier.WantRequest(sip.BYE), 200)
		office.Want(200)
		if asked := strings.Join(ns.Asked(), ", "); call == 0 && !strings.HasPrefix(asked, "SRV _sip._tcp.carrier.example, A one.hosting.example") || call > 0 && asked != "" {
			t.Errorf("call %d: the name server was asked %s", call, asked)
		}
	}

	res, err := http.Get("http://" + addr[1] + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	page, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`sallyport_dns_lookups_total{outcome="answered"} 3`, `sallyport_dns_lookups_total{outcome="failed"} 0`} {
		if !strings.Contains(string(page), want+"\n") {
			t.Errorf("the metrics do not have %s", want)
		}
	}
	gateway.terminate(t)
}

// loopback is the system's network.
type loopback struct{}

func (loopback) Listen(_ context.Context, addr netip.AddrPort) (net.Listener, error) {
	return net.Listen("tcp", addr.String())
}

func (loopback) ListenPacket(_ context.Context, addr netip.AddrPort) (net.PacketConn, error) {
	return net.ListenPacket("udp", addr.String())
}

func (loopback) Dial(ctx context.Context, _, remote netip.AddrPort) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "tcp", remote.String())
}
