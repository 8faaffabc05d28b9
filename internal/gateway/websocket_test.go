package gateway

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/sallyport-sip/sallyport/internal/callflow/export"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// web is a gateway with a browser at a secure WebSocket, and acme over UDP.
var web = setting{shards: 1, file: `
listeners:
  udp: {listen: "udp:192.0.2.1:5060"}
  wss: {listen: "wss:192.0.2.1:443", client_certificates: none, origins: ["https://phone.example"]}
  ws: {listen: "ws:192.0.2.1:80", origins: ["https://phone.example"]}
identities:
  gateway: {certificate: gw.pem, key: gw-key.pem}
defaults: {identity: gateway}
peers:
  office: {uri: "sip:192.0.2.10:5080", listener: udp}
  browser: {uri: "sip:browser.invalid;transport=wss", accept_from: ["tcp:192.0.2.50"], listener: wss}
  acme: {uri: "sip:192.0.2.20:5081", listener: udp}
  backup: {uri: "sip:192.0.2.30:5082", listener: udp}
routes:
  - {from: [browser], to: [acme]}
  - {from: [acme], to: [browser]}
`}

// browser opens a WebSocket as a page of an origin does.
func (r *rig) browser(origin string) (*websocket.Conn, error) {
	way := &http.Transport{TLSClientConfig: r.tls("page.example"), DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return r.net.Dial(ctx, netip.MustParseAddrPort("192.0.2.50:0"), r.listener(transport.WSS))
	}}
	r.Cleanup(way.CloseIdleConnections)
	c, _, err := websocket.Dial(r.Context(), "wss://gw.example/", &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: way}, Subprotocols: []string{"sip"}, HTTPHeader: http.Header{"Origin": {origin}},
	})
	return c, err
}

// reads returns the next message of a browser.
func (r *rig) reads(c *websocket.Conn) *sip.Message {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), time.Minute)
	defer cancel()
	_, b, err := c.Read(ctx)
	if err != nil {
		r.Fatal(err)
	}
	m, err := sip.Parse(b)
	if err != nil {
		r.Fatalf("%v in\n%s", err, b)
	}
	return m
}

func (r *rig) says(c *websocket.Conn, text string) {
	r.Helper()
	if err := c.Write(r.Context(), websocket.MessageText, []byte(text)); err != nil {
		r.Fatal(err)
	}
}

// A call from a browser and one to it, as in RFC 7118 §8.2: without Content-Length, with hosts under .invalid.
func TestBrowserCallsAndIsCalled(t *testing.T) {
	run(t, web, func(r *rig) {
		c, err := r.browser("https://phone.example")
		if err != nil {
			r.Fatal(err)
		}
		defer c.CloseNow()
		const offer = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"
		head := func(method, cseq, to string) string {
			return method + " sip:bob@gw.example;transport=ws SIP/2.0\r\nVia: SIP/2.0/WSS df7jal23ls0d.invalid;branch=z9hG4bK" + cseq + "\r\n" +
				"Max-Forwards: 70\r\nTo: " + to + "\r\nFrom: <sip:alice@gw.example>;tag=asdyka899\r\nCall-ID: asidkj3ss\r\nCSeq: " + cseq + " " + method + "\r\n"
		}
		contact := "Contact: <sip:alice@df7jal23ls0d.invalid;transport=ws>\r\n"
		r.says(c, head("INVITE", "1", "<sip:bob@gw.example>")+contact+"Content-Type: application/sdp\r\n\r\n"+offer)
		invite := r.acme.WantRequest(sip.INVITE)
		if string(invite.Body()) != offer || strings.Contains(string(invite.Bytes()), "invalid") {
			r.Errorf("acme got\n%s", invite.Bytes())
		}
		r.acme.Reply(invite, 200, siptest.Body("application/sdp", offer+"a=x\r\n"))
		if m := r.reads(c); m.StatusCode() != 100 || strings.Contains(string(m.Bytes()), "received") {
			r.Errorf("got\n%s", m.Bytes())
		}
		ok := r.reads(c)
		if ok.StatusCode() != 200 || string(ok.Body()) != offer+"a=x\r\n" ||
			string(ok.First(sip.HdrVia)) != "SIP/2.0/WSS df7jal23ls0d.invalid;branch=z9hG4bK1" ||
			!strings.Contains(string(ok.First(sip.HdrContact)), "192.0.2.1:443;transport=ws>") {
			r.Errorf("got\n%s", ok.Bytes())
		}
		to := string(ok.First(sip.HdrTo))
		r.says(c, head("ACK", "1", to)+"\r\n")
		r.acme.WantRequest(sip.ACK)
		r.acme.Send(r.acme.InDialog(sip.BYE))
		bye := r.reads(c)
		if bye.Method() != sip.BYE || string(bye.RequestURI()) != "sip:alice@df7jal23ls0d.invalid;transport=ws" ||
			!strings.HasPrefix(string(bye.First(sip.HdrVia)), "SIP/2.0/WSS 192.0.2.1:443;") {
			r.Errorf("got\n%s", bye.Bytes())
		}
		r.says(c, string(sip.AppendResponse(nil, bye, 200, "OK", nil, sip.Source{})))
		r.acme.Want(200)

		r.acme.Send(r.acme.Request(sip.INVITE, number))
		called := r.reads(c)
		if called.Method() != sip.INVITE {
			r.Fatalf("got\n%s", called.Bytes())
		}
		r.says(c, string(sip.AppendResponse(nil, called, 486, "Busy Here", []byte("x"), sip.Source{})))
		r.acme.Want(100)
		busy := r.acme.Want(486)
		r.acme.Send(r.acme.Ack(busy))
		if ack := r.reads(c); ack.Method() != sip.ACK {
			r.Errorf("got\n%s", ack.Bytes())
		}
		c.Close(websocket.StatusNormalClosure, "")
		synctest.Wait()
		r.acme.Send(r.acme.Request(sip.INVITE, number))
		r.acme.Want(100)
		gone := r.acme.Next() // nobody can be reached any more
		if gone.StatusCode() < 400 {
			r.Errorf("got\n%s", gone.Bytes())
		}
		r.acme.Send(r.acme.Ack(gone))
		time.Sleep(lifetime)

		var b strings.Builder
		for _, f := range r.recorder.Flows() {
			if err := export.Ladder(&b, f, export.Options{Width: 160}); err != nil {
				r.Error(err)
			}
		}
		for _, want := range []string{`HTTP GET, WebSocket`, `subprotocol "sip", origin "https://phone.example"`, "HTTP 101 WebSocket"} {
			if !strings.Contains(b.String(), want) {
				r.Errorf("no %q in\n%s", want, b.String())
			}
		}
	})
}

func TestPageThatIsNotListed(t *testing.T) {
	run(t, web, func(r *rig) {
		if _, err := r.browser("https://evil.example"); err == nil || !strings.Contains(err.Error(), "403") {
			r.Errorf("dial: %v, want 403", err)
		}
		time.Sleep(time.Minute)
		if !strings.Contains(r.log.String(), `inbound connection refused`) || !strings.Contains(r.log.String(), "evil.example") {
			r.Error("the log does not say why")
		}
	})
}

func TestWebSocketWithoutTLSRaisesAnAlarm(t *testing.T) {
	run(t, web, func(r *rig) {
		list := r.alarms.all()
		if len(list) != 1 || list[0].Name != "websocket ws" || !strings.Contains(list[0].Remedy, "behind_proxy: true") {
			r.Errorf("alarms %+v", list)
		}
	})
}
