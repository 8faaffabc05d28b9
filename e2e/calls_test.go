package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// TestCalls places calls through the built gateway between two peers of the library's: over IPv4 and IPv6, over UDP and
// both versions of TLS on either side, with certificates of an authority and with self-signed RSA ones.
func TestCalls(t *testing.T) {
	for _, c := range []struct{ name, host, from, to, signed string }{
		{"office to carrier", "127.0.0.1", "udp", "1.3", "ca"},
		{"carrier to office", "127.0.0.1", "1.2", "udp", "ca"},
		{"IPv6, UDP", "::1", "udp", "udp", "ca"},
		{"IPv6, TLS 1.2, self-signed", "::1", "1.2", "1.2", "self"},
		{"IPv6, TLS 1.3, self-signed", "::1", "1.3", "1.3", "self"},
		{"IPv6, TLS 1.2 to 1.3", "::1", "1.2", "1.3", "ca"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if l, err := net.Listen("tcp", net.JoinHostPort(c.host, "0")); err != nil {
				t.Skipf("no %s here: %v", c.host, err)
			} else {
				l.Close()
			}
			s := newSite(t, c.host, c.from, c.to, c.signed)
			s.answered(t)
			s.hungUpByCallee(t)
			s.busy(t)
			s.cancelled(t)
			s.checkRecord(t, "ended", "ended", "busy", "cancelled")
			s.gateway.terminate(t)
		})
	}
}

// TestStopEndsCalls tells the gateway to end while calls are up and one rings: all of them are ended at both sides.
func TestStopEndsCalls(t *testing.T) {
	t.Parallel()
	s := newSite(t, "127.0.0.1", "1.3", "udp", "ca")
	ctx, cancel := context.WithTimeout(t.Context(), sitePatience)
	defer cancel()
	var up []*ua.Call
	for range 3 {
		ours, theirs := s.talk(ctx, t)
		up = append(up, ours, theirs)
	}
	rings, ended := make(chan struct{}, 1), make(chan error, 1)
	go func() {
		_, err := s.call(ctx, t, "+492", ua.InviteOptions{OnProgress: func(*sip.Message) { rings <- struct{}{} }})
		ended <- err
	}()
	<-rings
	s.gateway.terminate(t)
	for _, call := range up {
		wantOver(ctx, t, call)
	}
	if no, ok := errors.AsType[*ua.ResponseError](<-ended); !ok || no.Code < 480 {
		t.Errorf("the call that rings ended with %v, want a response that says so", no)
	}
}

// A site is a gateway between a caller and an answerer.
type site struct {
	dir      string
	version  map[string]string // of "caller" and "answerer": "udp", "1.2", "1.3"
	gateway  *process
	entry    map[string]netip.AddrPort // the gateway's listeners: "udp", "tls"
	admin    string
	config   string // the gateway's file
	caller   *ua.Server
	answerer *ua.Server
	accepted chan *ua.Call
}

const sitePatience = 30 * time.Second

func newSite(t *testing.T, host, from, to, signed string) *site {
	s := &site{
		dir: t.TempDir(), version: map[string]string{"caller": from, "answerer": to},
		entry: map[string]netip.AddrPort{}, accepted: make(chan *ua.Call, 10),
	}
	s.certificates(t, signed)
	addr := someAddresses(t, host, 4)
	s.entry["tls"], s.entry["udp"], s.admin = netip.MustParseAddrPort(addr[0]), netip.MustParseAddrPort(addr[1]), addr[2]
	s.caller = s.peer(t, "caller", host, nil)
	s.answerer = s.peer(t, "answerer", host, ua.HandlerFunc(s.serve))
	s.config = fmt.Sprintf(`
listeners:
  outside: {listen: "tls:%s", client_certificates: required}
  lan: {listen: "udp:%s"}
identities: {gateway: {certificate: gateway.pem, key: gateway-key.pem}}
trust: {partners: {files: [%s]}}
defaults: {identity: gateway, trust: [partners]}
peers:
  caller:   %s
  answerer: %s
routes:
  - {from: [caller], number: "+49*", to: [answerer]}
admin: {listen: "%s"}
drain: 0
`, addr[0], addr[1], map[string]string{"ca": "ca.pem", "self": "caller.pem, answerer.pem"}[signed],
		s.settings("caller", s.caller), s.settings("answerer", s.answerer), s.admin)
	s.gateway = startServe(t, s.dir, s.config)
	return s
}

// certificates makes one for each of the three.
func (s *site) certificates(t *testing.T, signed string) {
	if signed == "ca" {
		sallyport(t, s.dir, "cert", "ca", "--name", "ca", "--out", "ca.pem")
	}
	for _, name := range []string{"gateway", "caller", "answerer"} {
		args := []string{"--sip", name + ".example", "--dns", name + ".example", "--out", name + ".pem"}
		if signed == "ca" {
			sallyport(t, s.dir, append([]string{"cert", "issue", "--ca", "ca.pem"}, args...)...)
		} else {
			sallyport(t, s.dir, append([]string{"cert", "self-signed", "--key", "rsa2048"}, args...)...)
		}
	}
}

// tls is a peer's side of mutual TLS.
func (s *site) tls(t *testing.T, name string) *tls.Config {
	t.Helper()
	version, ok := map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}[s.version[name]]
	if !ok {
		return nil
	}
	own, err := tls.LoadX509KeyPair(filepath.Join(s.dir, name+".pem"), filepath.Join(s.dir, name+"-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	believed := x509.NewCertPool()
	for _, file := range []string{"ca.pem", "gateway.pem"} {
		if text, err := os.ReadFile(filepath.Join(s.dir, file)); err == nil {
			believed.AppendCertsFromPEM(text)
		}
	}
	return &tls.Config{
		Certificates: []tls.Certificate{own}, RootCAs: believed, ClientCAs: believed,
		ClientAuth: tls.RequireAndVerifyClientCert, ServerName: "gateway.example",
		MinVersion: version, MaxVersion: version,
	}
}

// peer starts one of the two.
func (s *site) peer(t *testing.T, name, host string, h ua.Handler) *ua.Server {
	t.Helper()
	srv := &ua.Server{Handler: h, Shards: 1}
	if err := srv.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), sitePatience)
		defer cancel()
		if err := srv.Close(ctx); err != nil {
			t.Errorf("close the %s: %v", name, err)
		}
	})
	cfg := transport.ListenConfig{Name: name, Transport: transport.UDP, Addr: netip.AddrPortFrom(netip.MustParseAddr(host), 0)}
	if cfg.TLS = s.tls(t, name); cfg.TLS != nil {
		cfg.Transport = transport.TLS
	}
	if _, err := srv.Listen(cfg); err != nil {
		t.Fatal(err)
	}
	return srv
}

// settings is the peer in the gateway's configuration.
func (s *site) settings(name string, srv *ua.Server) string {
	at := srv.Endpoint().Listeners()[0].Addr()
	if s.version[name] == "udp" {
		return fmt.Sprintf(`{uri: "sip:%s;transport=udp", accept_from: ["%[1]s"]}`, at)
	}
	return fmt.Sprintf(`{uri: "sip:%s;transport=tls", certificate_names: [%s.example]}`, at, name)
}

const siteSDP = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 8\r\n"

// serve is what the answerer does, by the number.
func (s *site) serve(r *ua.Request) {
	uri := string(r.Msg.RequestURI())
	switch {
	case r.Msg.Method() != sip.INVITE:
		r.Reply(405)
	case strings.Contains(uri, "+491"):
		r.Reply(486)
	case strings.Contains(uri, "+492"):
		r.Reply(180)
		<-r.Context().Done()
	case r.Call() != nil: // a re-INVITE
		r.Accept(ua.Body("application/sdp", []byte(siteSDP)))
	default:
		r.Reply(180)
		if call, err := r.Accept(ua.Body("application/sdp", []byte(siteSDP))); err == nil {
			s.accepted <- call
		}
	}
}

// call calls a number through the gateway.
func (s *site) call(ctx context.Context, t *testing.T, number string, o ua.InviteOptions) (*ua.Call, error) {
	t.Helper()
	to := ua.Target{Transport: transport.UDP, Addr: s.entry["udp"], Peer: "gateway", TLS: s.tls(t, "caller")}
	scheme := ";transport=udp"
	if to.TLS != nil {
		to.Transport, to.Addr, scheme = transport.TLS, s.entry["tls"], ";transport=tls"
	}
	o.URI = fmt.Sprintf("sip:%s@%s%s", number, to.Addr, scheme)
	o.From = "<sip:alice@caller.example>"
	return s.caller.Invite(ctx, to, o, ua.Body("application/sdp", []byte(siteSDP)))
}

// talk makes a call that is answered, and returns both ends of it.
func (s *site) talk(ctx context.Context, t *testing.T) (ours, theirs *ua.Call) {
	t.Helper()
	ours, err := s.call(ctx, t, "+490", ua.InviteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case theirs = <-s.accepted:
	case <-ctx.Done():
		t.Fatal("the answerer has no call")
	}
	if _, body := ours.Answer(); string(body) != siteSDP {
		t.Errorf("the answer arrived as\n%s", body)
	}
	if ours.CallID() == theirs.CallID() || ours.LocalTag() == theirs.RemoteTag() {
		t.Error("both legs have the same Call-ID or tag")
	}
	return ours, theirs
}

func (s *site) answered(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), sitePatience)
	defer cancel()
	ours, theirs := s.talk(ctx, t)
	again, err := ours.Do(ctx, sip.INVITE, ua.Body("application/sdp", []byte(siteSDP)))
	if err != nil || again.StatusCode() != 200 {
		t.Errorf("re-INVITE: %v, %v, want 200", again, err)
	}
	again.Release()
	if err := ours.Bye(ctx); err != nil {
		t.Errorf("BYE: %v", err)
	}
	wantOver(ctx, t, theirs)
}

func (s *site) hungUpByCallee(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), sitePatience)
	defer cancel()
	ours, theirs := s.talk(ctx, t)
	if err := theirs.Bye(ctx); err != nil {
		t.Errorf("BYE: %v", err)
	}
	wantOver(ctx, t, ours)
}

// wantOver wants a call to end by the other side's BYE.
func wantOver(ctx context.Context, t *testing.T, call *ua.Call) {
	t.Helper()
	select {
	case <-call.Done():
		if call.Err() != nil {
			t.Errorf("the call ended with %v, want a BYE", call.Err())
		}
	case <-ctx.Done():
		t.Error("the call has no end")
	}
}

func (s *site) busy(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), sitePatience)
	defer cancel()
	_, err := s.call(ctx, t, "+491", ua.InviteOptions{})
	if no, ok := errors.AsType[*ua.ResponseError](err); !ok || no.Code != 486 {
		t.Errorf("got %v, want 486", err)
	}
}

func (s *site) cancelled(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), sitePatience)
	defer cancel()
	ringing := ua.InviteOptions{OnProgress: func(*sip.Message) { cancel() }}
	if _, err := s.call(ctx, t, "+492", ringing); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the call to be given up", err)
	}
}

// recorded asks a gateway's API for all that is recorded, the newest first.
func recorded(t *testing.T, admin string) (calls []demoCall) {
	t.Helper()
	var list struct {
		Flows []struct {
			ID string `json:"id"`
		} `json:"flows"`
	}
	if err := json.Unmarshal([]byte(apiText(t, admin, "/api/v1/flows?limit=0")), &list); err != nil {
		t.Fatal(err)
	}
	for _, f := range list.Flows {
		calls = append(calls, readDemo(t, apiText(t, admin, "/api/v1/flows/"+f.ID)).Calls...)
	}
	return calls
}

// apiText is what a gateway's API has at a path.
func apiText(t *testing.T, admin, path string) string {
	t.Helper()
	answer, err := http.Get("http://" + admin + path)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v: %s", path, answer.Status, err, text)
	}
	return string(text)
}

// checkRecord wants the calls in these states, with what each hop was.
func (s *site) checkRecord(t *testing.T, states ...string) {
	t.Helper()
	var calls []demoCall
	soon(t, "every call is recorded", func() bool {
		calls = recorded(t, s.admin)
		slices.Reverse(calls) // the newest is the first
		var got []string
		for _, c := range calls {
			got = append(got, c.State)
		}
		return slices.Equal(got, states)
	})
	for _, c := range calls {
		if len(c.Legs) != 2 {
			t.Fatalf("call %s has %d legs, want 2", c.ID, len(c.Legs))
		}
		for i, name := range []string{"caller", "answerer"} {
			hop := c.Legs[i].Hop
			switch want := s.version[name]; {
			case c.Legs[i].Peer != name:
				t.Errorf("leg %d is with %q, want %s", i, c.Legs[i].Peer, name)
			case want == "udp":
				if hop.Transport != "udp" || hop.TLS != nil {
					t.Errorf("the hop of the %s is %+v, want UDP", name, hop)
				}
			case hop.TLS == nil || hop.TLS.Version != want || !hop.TLS.Mutual || !slices.Contains(hop.TLS.PeerNames, name+".example"):
				t.Errorf("TLS with the %s is %+v, want mutual %s", name, hop.TLS, want)
			}
		}
	}
}
