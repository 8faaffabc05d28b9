package cli

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// demoPeers are a PBX that calls and a carrier that answers: two SIP servers of
// the library's, each with a certificate of its own.
type demoPeers struct {
	site    *demoSite
	version uint16
	pbx     *ua.Server
	carrier *ua.Server
	rogue   *ua.Server // the PBX's twin with a certificate that nobody knows

	mu     sync.Mutex
	called []netip.AddrPort // where each call came from, in order; guarded by mu
}

// The numbers that the carrier has.
const (
	numberAnswers = "+4930123456"
	numberBusy    = "+4930170017"
	numberRings   = "+4930999999"
)

const demoSDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 8 0\r\n"

// startDemoPeers starts both, listening. With an error it returns those that it
// has started.
func startDemoPeers(site *demoSite, version uint16) (*demoPeers, error) {
	p := &demoPeers{site: site, version: version}
	var err error
	if p.carrier, err = p.start("carrier", site.carrier, ua.HandlerFunc(p.answer)); err != nil {
		return p, err
	}
	if p.pbx, err = p.start("pbx", site.pbx, ua.HandlerFunc(p.answer)); err != nil {
		return p, err
	}
	p.rogue, err = p.start("rogue", netip.AddrPort{}, ua.HandlerFunc(p.answer))
	return p, err
}

// start makes one SIP server, with a listener when addr is valid.
func (p *demoPeers) start(name string, addr netip.AddrPort, h ua.Handler) (*ua.Server, error) {
	srv := &ua.Server{Handler: h, Shards: 1}
	srv.Opened = func(c *transport.Conn) { p.note(c.Info()) }
	srv.Refused = func(info transport.ConnInfo, _ error) { p.note(info) }
	if err := srv.Start(); err != nil || !addr.IsValid() {
		return srv, err
	}
	_, err := srv.Listen(transport.ListenConfig{Name: name, Transport: transport.TLS, Addr: addr, TLS: p.tls(name)})
	if err != nil {
		return srv, fmt.Errorf("demo peer %s: %w", name, err)
	}
	return srv, nil
}

// note keeps where a call comes from: each has a connection of its own.
func (p *demoPeers) note(info transport.ConnInfo) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !info.Inbound && !slices.Contains(p.called, info.Local) {
		p.called = append(p.called, info.Local)
	}
}

// flows returns the flow of each call that was placed, nil where there is none.
// Others may be on the gateway meanwhile.
func (p *demoPeers) flows(all []*callflow.Flow) []*callflow.Flow {
	p.mu.Lock()
	defer p.mu.Unlock()
	own := make([]*callflow.Flow, len(p.called))
	for _, f := range all {
		if len(f.Legs) == 0 || f.Legs[0].Hop.Link == nil {
			continue
		}
		if i := slices.Index(p.called, f.Legs[0].Hop.Link.Remote); i >= 0 {
			own[i] = f
		}
	}
	return own
}

// tls is a peer's side of mutual TLS: it believes the demo's CA alone.
func (p *demoPeers) tls(name string) *tls.Config {
	own := p.site.cert[name]
	return &tls.Config{
		Certificates: []tls.Certificate{own},
		// Shown whoever the gateway says it believes, or the rogue would show nothing.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own, nil },

		RootCAs:    p.site.ca,
		ClientCAs:  p.site.ca,
		ClientAuth: tls.RequireAndVerifyClientCert,
		ServerName: demoGateway,
		MinVersion: max(p.version, tls.VersionTLS12),
		MaxVersion: p.version,
	}
}

// answer is what a peer does with a call, by the number that was dialled.
func (p *demoPeers) answer(r *ua.Request) {
	if r.Msg.Method() != sip.INVITE {
		r.Reply(200)
		return
	}
	uri := r.Msg.RequestURI()
	switch {
	case bytes.Contains(uri, []byte(numberBusy)):
		r.Reply(486)
	case bytes.Contains(uri, []byte(numberRings)):
		r.Reply(180)
		<-r.Context().Done() // the caller gives up
	default:
		r.Reply(180)
		time.Sleep(200 * time.Millisecond)
		r.Accept(ua.Body("application/sdp", []byte(demoSDP)))
	}
}

// call places a call from one of the servers over a connection of its own,
// which is closed once during has returned and its last message is answered.
func (p *demoPeers) call(ctx context.Context, from *ua.Server, name, number string, o ua.InviteOptions, during func(*ua.Call, error) error) error {
	to := p.target(name)
	conn, err := from.Connect(ctx, to)
	if err != nil {
		return during(nil, err)
	}
	defer conn.Close(errors.New("the call is over"))
	return during(from.Invite(ctx, to, p.invitation(number, o), demoOffer))
}

// demoOffer is the session that every call offers.
var demoOffer = ua.Body("application/sdp", []byte(demoSDP))

// target is the gateway, for the peer with this certificate.
func (p *demoPeers) target(name string) ua.Target {
	return ua.Target{Transport: transport.TLS, Addr: p.site.gateway, TLS: p.tls(name), Peer: "gateway"}
}

// invitation completes o with who calls whom.
func (p *demoPeers) invitation(number string, o ua.InviteOptions) ua.InviteOptions {
	o.URI = fmt.Sprintf("sip:%s@%s;transport=tls", number, p.site.gateway)
	o.From = fmt.Sprintf("\"Alice\" <sip:+4940111222@%s>", demoPBX)
	return o
}

// moment is how long people of the demo talk, or listen to it ring.
const moment = 300 * time.Millisecond

// answeredCall is answered; the caller talks for a moment and hangs up.
func (p *demoPeers) answeredCall(ctx context.Context) error {
	return p.call(ctx, p.pbx, "pbx", numberAnswers, ua.InviteOptions{}, func(call *ua.Call, err error) error {
		if err != nil {
			return err
		}
		time.Sleep(moment)
		return call.Bye(ctx)
	})
}

// busyCall gets 486.
func (p *demoPeers) busyCall(ctx context.Context) error {
	return p.call(ctx, p.pbx, "pbx", numberBusy, ua.InviteOptions{}, func(_ *ua.Call, err error) error {
		if refused, ok := errors.AsType[*ua.ResponseError](err); ok && refused.Code == 486 {
			return nil
		}
		return fmt.Errorf("want 486 Busy Here, got %v", err)
	})
}

// cancelledCall rings for a moment, then the caller gives up.
func (p *demoPeers) cancelledCall(ctx context.Context) error {
	patient, giveUp := context.WithCancel(ctx)
	defer giveUp()
	ringing := ua.InviteOptions{OnProgress: func(*sip.Message) { time.AfterFunc(moment, giveUp) }}
	return p.call(patient, p.pbx, "pbx", numberRings, ringing, func(_ *ua.Call, err error) error {
		if ctx.Err() != nil || !errors.Is(err, context.Canceled) {
			return fmt.Errorf("want to give up while it rings, got %v", err)
		}
		time.Sleep(moment) // for the 200 to the CANCEL, and 487 and its ACK
		return nil
	})
}

// refusedCall is not let in: the handshake fails or, under TLS 1.3, the
// connection ends before anything is answered.
func (p *demoPeers) refusedCall(ctx context.Context) error {
	// Not over a connection that was made before: under TLS 1.3 it may have ended
	// by then, and the call would make another.
	_, err := p.rogue.Invite(ctx, p.target("rogue"), p.invitation(numberAnswers, ua.InviteOptions{}), demoOffer)
	if _, answered := errors.AsType[*ua.ResponseError](err); err == nil || answered {
		return fmt.Errorf("want no connection, got %v", err)
	}
	return nil
}

// hangUp closes the connections that the carrier still has.
func (p *demoPeers) hangUp() {
	for c := range p.carrier.Endpoint().Conns() {
		c.Close(errors.New("the demo is over"))
	}
}

// close ends the servers.
func (p *demoPeers) close() {
	ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	for _, srv := range []*ua.Server{p.pbx, p.rogue, p.carrier} {
		if srv != nil {
			srv.Close(ctx)
		}
	}
}
