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
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// TestBaresip has two telephones, each with its own certificate and no registration, call and be called over mutual TLS: each other, and
// two peers of the library's, one of them over UDP. Calls are ended from both sides, refused, given up, held and resumed.
//
// baresip 1.0.0 checks no certificate by itself. Its library of TLS is made to verify the chain and to require a certificate of who
// connects (testdata/baresip/openssl.cnf); nothing makes it compare names, so the gateway's certificate has only its SIP domain.
func TestBaresip(t *testing.T) {
	need(t, "baresip", "baresip")
	for _, version := range []string{"1.2", "1.3"} {
		t.Run("TLS "+version, func(t *testing.T) {
			p := newTelephones(t, version)
			for _, row := range []struct {
				name  string
				legs  [2]string // the peers of both hops
				state string    // of the flow when all is over
				by    string    // who ended the call, in the record
				call  func(t *testing.T, ctx context.Context)
			}{
				{"calls, hangs up", [2]string{"alice", "answerer"}, "ended", "caller", p.callsAndHangsUp},
				{"calls, callee hangs up", [2]string{"alice", "answerer"}, "ended", "callee", p.callsAndIsHungUp},
				{"is called, caller hangs up", [2]string{"caller", "alice"}, "ended", "caller", p.isCalledAndHungUp},
				{"is called, hangs up", [2]string{"caller", "alice"}, "ended", "callee", p.isCalledAndHangsUp},
				{"one calls the other, caller hangs up", [2]string{"alice", "bob"}, "ended", "caller", p.callEachOther(p.alice, p.bob, p.alice)},
				{"one calls the other, callee hangs up", [2]string{"bob", "alice"}, "ended", "callee", p.callEachOther(p.bob, p.alice, p.alice)},
				{"calls one that is busy", [2]string{"alice", "answerer"}, "busy", "callee", p.callsBusy},
				{"rejects a call", [2]string{"caller", "alice"}, "busy", "callee", p.rejects},
				{"gives up", [2]string{"alice", "answerer"}, "cancelled", "caller", p.givesUp},
				{"is given up", [2]string{"caller", "alice"}, "cancelled", "caller", p.isGivenUp},
				{"holds and resumes", [2]string{"alice", "answerer"}, "ended", "caller", p.holds},
				{"is held and resumed", [2]string{"caller", "alice"}, "ended", "caller", p.isHeld},
				{"one holds the other", [2]string{"bob", "alice"}, "ended", "caller", p.holdEachOther},
			} {
				t.Run(row.name, func(t *testing.T) {
					ctx, cancel := context.WithTimeout(t.Context(), sitePatience)
					defer cancel()
					flow := newFlow(t, p.admin, row.state, func() { row.call(t, ctx) })
					p.checkHops(t, flow, version, row.legs)
					verdict := "hop-by-hop"
					if slices.Contains(row.legs[:], "answerer") {
						verdict = "partly"
					}
					recordOf(t, p.dir, flow).check(t, row.state, row.by, verdict, row.legs)
				})
			}
			wantNoCalls(t, p.admin)
			p.gateway.terminate(t)
		})
	}
}

// TestBaresipRefusesTheGateway has a telephone that does not believe the gateway's certificate, both ways: its alert ends the
// handshake, and the flow says so.
func TestBaresipRefusesTheGateway(t *testing.T) {
	need(t, "baresip", "baresip")
	for _, version := range []string{"1.2", "1.3"} {
		t.Run("TLS "+version, func(t *testing.T) {
			p := newTelephonesThatBelieve(t, version, "other-ca.pem")
			ctx, cancel := context.WithTimeout(t.Context(), sitePatience)
			defer cancel()
			flow := newFlow(t, p.admin, "refused", func() {
				p.alice.do(t, "dial", p.uri("+4930"))
				p.alice.wants(t, "CALL_CLOSED", "")
			})
			p.wantAlert(t, flow.ID, 0, "unknown_ca")
			flow = newFlow(t, p.admin, "failed", func() {
				_, err := p.call(ctx, t, "+4910", ua.InviteOptions{})
				if no, ok := errors.AsType[*ua.ResponseError](err); !ok || no.Code != 503 {
					t.Errorf("got %v, want 503", err)
				}
			})
			p.wantAlert(t, flow.ID, 1, "unknown_ca")
		})
	}
}

// wantAlert wants a handshake on this leg of a flow that the peer ended, and a verdict of the peer's that quotes its alert. The verdict of
// a connection that we dialled comes once we have said goodbye, which may be after the call has failed.
func (p *telephones) wantAlert(t *testing.T, id string, leg int, alert string) {
	t.Helper()
	var last call
	found := eventually(sitePatience, func() bool {
		all := flows(t, p.admin)
		if i := slices.IndexFunc(all, func(c call) bool { return c.ID == id }); i >= 0 && leg < len(all[i].Legs) {
			last = all[i]
			hop := last.Legs[leg].Hop
			return slices.ContainsFunc(hop.Handshake, func(s step) bool { return s.From == "peer" && s.Alert == alert }) &&
				slices.ContainsFunc(hop.Verdicts, func(v verdict) bool {
					return v.By == "peer" && !v.Accepted && strings.Contains(v.Reason, alert) && v.Remedy != ""
				})
		}
		return false
	})
	if !found {
		t.Errorf("recorded %+v, want on leg %d the peer's alert %s, and a refusal of the peer's with it and a remedy", last, leg, alert)
	}
}

// telephones is a gateway between two telephones and two peers of the library's.
type telephones struct {
	*site
	alice, bob *baresip
	reoffers   chan string // the direction in each offer of a re-INVITE that the answerer got
}

// newTelephones starts them all; everybody but the answerer, which is on UDP, speaks this version of TLS.
func newTelephones(t *testing.T, version string) *telephones {
	t.Helper()
	return newTelephonesThatBelieve(t, version, "ca.pem")
}

// newTelephonesThatBelieve has telephones that believe this authority.
func newTelephonesThatBelieve(t *testing.T, version, authority string) *telephones {
	t.Helper()
	p := &telephones{
		site: &site{
			dir: t.TempDir(), version: map[string]string{"caller": version, "answerer": "udp"},
			entry: map[string]netip.AddrPort{}, accepted: make(chan *ua.Call, 1),
		},
		reoffers: make(chan string, 1),
	}
	sallyport(t, p.dir, "cert", "ca", "--name", "Test CA", "--out", "ca.pem")
	sallyport(t, p.dir, "cert", "ca", "--name", "Other CA", "--out", "other-ca.pem")
	for _, name := range []string{"gateway", "caller", "alice", "bob"} {
		sallyport(t, p.dir, "cert", "issue", "--ca", "ca.pem", "--sip", name+".example", "--dns", name+".example", "--out", name+".pem")
	}
	p.alice = newBaresip(t, p.dir, authority, "alice", "+4910", version)
	p.bob = newBaresip(t, p.dir, authority, "bob", "+4920", version)
	p.caller = p.peer(t, "caller", "127.0.0.1", nil)
	p.answerer = p.peer(t, "answerer", "127.0.0.1", ua.HandlerFunc(p.serve))
	addr := freeAddresses(t, 3)
	p.entry["tls"], p.admin = netip.MustParseAddrPort(addr[0]), addr[2]
	p.gateway = startServe(t, p.dir, fmt.Sprintf(`
listeners:
  outside: {listen: "tls:%s", client_certificates: required}
  lan: {listen: "udp:%s"}
identities: {gateway: {certificate: gateway.pem, key: gateway-key.pem}}
trust: {partners: {files: [ca.pem]}}
defaults: {identity: gateway, trust: [partners]}
peers:
  caller:   %s
  answerer: %s
  alice: {uri: "sip:127.0.0.1:%s;transport=tls", certificate_names: [alice.example]}
  bob:   {uri: "sip:127.0.0.1:%s;transport=tls", certificate_names: [bob.example]}
routes:
  - {number: "+491*", to: [alice]}
  - {number: "+492*", to: [bob]}
  - {number: "+493*", to: [answerer]}
admin: {listen: "%s"}
`, addr[0], addr[1], p.settings("caller", p.caller), p.settings("answerer", p.answerer), p.alice.tlsPort, p.bob.tlsPort, p.admin))
	return p
}

// uri is what a telephone dials.
func (p *telephones) uri(number string) string {
	return fmt.Sprintf("sip:%s@%s", number, p.entry["tls"])
}

// serve is what the answerer does, by the last digit.
func (p *telephones) serve(r *ua.Request) {
	uri := string(r.Msg.RequestURI())
	switch {
	case r.Msg.Method() != sip.INVITE:
		r.Reply(405)
	case strings.Contains(uri, "+4936"):
		r.Reply(486)
	case strings.Contains(uri, "+4932"):
		r.Reply(180)
		<-r.Context().Done()
	case r.Call() != nil:
		offered := direction(string(r.Msg.Body()))
		p.reoffers <- offered
		r.Accept(ua.Body("application/sdp", sdpWith(map[string]string{"sendonly": "recvonly"}[offered])))
	default:
		r.Reply(180)
		if call, err := r.Accept(ua.Body("application/sdp", []byte(siteSDP))); err == nil {
			p.accepted <- call
		}
	}
}

// direction is what a session description says about its one stream (RFC 3264 §5.1).
func direction(description string) string {
	for _, known := range []string{"sendonly", "recvonly", "inactive"} {
		if strings.Contains(description, "\r\na="+known+"\r\n") {
			return known
		}
	}
	return "sendrecv"
}

// sdpWith is the library's peers' description in this direction; empty means the usual one.
func sdpWith(direction string) []byte {
	if direction == "" {
		direction = "sendrecv"
	}
	return []byte(siteSDP + "a=" + direction + "\r\n")
}

// answererHas returns the call that the answerer has accepted.
func (p *telephones) answererHas(t *testing.T, ctx context.Context) *ua.Call {
	t.Helper()
	select {
	case call := <-p.accepted:
		return call
	case <-ctx.Done():
		t.Fatal("the answerer has no call")
		return nil
	}
}

// aliceCalls has alice in a call with the answerer.
func (p *telephones) aliceCalls(t *testing.T, ctx context.Context) *ua.Call {
	t.Helper()
	p.alice.do(t, "dial", p.uri("+4930"))
	p.alice.wants(t, "CALL_ESTABLISHED", "+4930")
	return p.answererHas(t, ctx)
}

// callerCalls has the caller in a call with alice.
func (p *telephones) callerCalls(t *testing.T, ctx context.Context) *ua.Call {
	t.Helper()
	type outcome struct {
		call *ua.Call
		err  error
	}
	made := make(chan outcome, 1)
	go func() {
		call, err := p.call(ctx, t, "+4910", ua.InviteOptions{})
		made <- outcome{call, err}
	}()
	p.alice.wants(t, "CALL_INCOMING", "alice@")
	p.alice.do(t, "accept", "")
	p.alice.wants(t, "CALL_ESTABLISHED", "")
	o := <-made
	if o.err != nil {
		t.Fatal(o.err)
	}
	return o.call
}

func (p *telephones) callsAndHangsUp(t *testing.T, ctx context.Context) {
	call := p.aliceCalls(t, ctx)
	p.alice.do(t, "hangup", "")
	p.alice.wants(t, "CALL_CLOSED", "")
	wantOver(ctx, t, call)
}

func (p *telephones) callsAndIsHungUp(t *testing.T, ctx context.Context) {
	call := p.aliceCalls(t, ctx)
	if err := call.Bye(ctx); err != nil {
		t.Errorf("BYE: %v", err)
	}
	p.alice.wants(t, "CALL_CLOSED", "Connection reset by peer") // its words for a BYE
}

func (p *telephones) isCalledAndHungUp(t *testing.T, ctx context.Context) {
	call := p.callerCalls(t, ctx)
	if err := call.Bye(ctx); err != nil {
		t.Errorf("BYE: %v", err)
	}
	p.alice.wants(t, "CALL_CLOSED", "Connection reset by peer")
}

func (p *telephones) isCalledAndHangsUp(t *testing.T, ctx context.Context) {
	call := p.callerCalls(t, ctx)
	p.alice.do(t, "hangup", "")
	p.alice.wants(t, "CALL_CLOSED", "")
	wantOver(ctx, t, call)
}

// connect has one telephone in a call with the other.
func (p *telephones) connect(t *testing.T, from, to *baresip) {
	t.Helper()
	from.do(t, "dial", p.uri(to.number))
	to.wants(t, "CALL_INCOMING", from.number+"@")
	from.wants(t, "CALL_RINGING", "")
	to.do(t, "accept", "")
	to.wants(t, "CALL_ESTABLISHED", "")
	from.wants(t, "CALL_ESTABLISHED", "")
}

// hangUp has one of them end the call of both.
func hangUp(t *testing.T, first, second *baresip) {
	t.Helper()
	first.do(t, "hangup", "")
	first.wants(t, "CALL_CLOSED", "")
	second.wants(t, "CALL_CLOSED", "Connection reset by peer")
}

func (p *telephones) callEachOther(from, to, hangsUp *baresip) func(*testing.T, context.Context) {
	return func(t *testing.T, ctx context.Context) {
		p.connect(t, from, to)
		if hangsUp == from {
			hangUp(t, from, to)
		} else {
			hangUp(t, to, from)
		}
	}
}

func (p *telephones) callsBusy(t *testing.T, ctx context.Context) {
	p.alice.do(t, "dial", p.uri("+4936"))
	p.alice.wants(t, "CALL_CLOSED", "486 Busy Here")
}

func (p *telephones) rejects(t *testing.T, ctx context.Context) {
	refused := make(chan error, 1)
	go func() {
		_, err := p.call(ctx, t, "+4910", ua.InviteOptions{})
		refused <- err
	}()
	p.alice.wants(t, "CALL_INCOMING", "")
	p.alice.do(t, "hangup", "")
	p.alice.wants(t, "CALL_CLOSED", "")
	err := <-refused
	if no, ok := errors.AsType[*ua.ResponseError](err); !ok || no.Code != 486 {
		t.Errorf("got %v, want 486", err)
	}
}

func (p *telephones) givesUp(t *testing.T, ctx context.Context) {
	p.alice.do(t, "dial", p.uri("+4932"))
	p.alice.wants(t, "CALL_RINGING", "")
	p.alice.do(t, "hangup", "")
	p.alice.wants(t, "CALL_CLOSED", "")
}

func (p *telephones) isGivenUp(t *testing.T, ctx context.Context) {
	ctx, giveUp := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		_, err := p.call(ctx, t, "+4910", ua.InviteOptions{})
		ended <- err
	}()
	p.alice.wants(t, "CALL_INCOMING", "")
	giveUp()
	p.alice.wants(t, "CALL_CLOSED", "")
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the call to be given up", err)
	}
}

// holds has alice hold and resume: each is a re-INVITE with its offer, which crosses with its answer (RFC 3264 §8.4).
func (p *telephones) holds(t *testing.T, ctx context.Context) {
	call := p.aliceCalls(t, ctx)
	for _, step := range [][2]string{{"hold", "sendonly"}, {"resume", "sendrecv"}} {
		p.alice.do(t, step[0], "")
		select {
		case got := <-p.reoffers:
			if got != step[1] {
				t.Errorf("%s arrived as %s, want %s", step[0], got, step[1])
			}
		case <-ctx.Done():
			t.Fatalf("no re-INVITE came of %s", step[0])
		}
		p.alice.wants(t, "CALL_REMOTE_SDP", "answer")
	}
	p.alice.do(t, "hangup", "")
	p.alice.wants(t, "CALL_CLOSED", "")
	wantOver(ctx, t, call)
}

func (p *telephones) isHeld(t *testing.T, ctx context.Context) {
	call := p.callerCalls(t, ctx)
	for _, step := range [][2]string{{"sendonly", "recvonly"}, {"sendrecv", "sendrecv"}} {
		answer, err := call.Do(ctx, sip.INVITE, ua.Body("application/sdp", sdpWith(step[0])))
		if err != nil {
			t.Fatalf("re-INVITE %s: %v", step[0], err)
		}
		if got := direction(string(answer.Body())); answer.StatusCode() != 200 || got != step[1] {
			t.Errorf("re-INVITE %s: %d with %s, want 200 with %s", step[0], answer.StatusCode(), got, step[1])
		}
		answer.Release()
		p.alice.wants(t, "CALL_REMOTE_SDP", "offer")
	}
	if err := call.Bye(ctx); err != nil {
		t.Errorf("BYE: %v", err)
	}
	p.alice.wants(t, "CALL_CLOSED", "")
}

func (p *telephones) holdEachOther(t *testing.T, ctx context.Context) {
	p.connect(t, p.bob, p.alice)
	for _, holder := range []*baresip{p.alice, p.bob} {
		held := map[*baresip]*baresip{p.alice: p.bob, p.bob: p.alice}[holder]
		for _, command := range []string{"hold", "resume"} {
			holder.do(t, command, "")
			held.wants(t, "CALL_REMOTE_SDP", "offer")
			holder.wants(t, "CALL_REMOTE_SDP", "answer")
		}
	}
	hangUp(t, p.bob, p.alice)
}

// checkHops wants both hops of a flow to be with these peers: the answerer's over UDP, all others over mutual TLS with the
// certificate of the right name verified.
func (p *telephones) checkHops(t *testing.T, c call, version string, peers [2]string) {
	t.Helper()
	if len(c.Legs) != 2 {
		t.Fatalf("the flow has %d legs, want 2", len(c.Legs))
	}
	for i, want := range peers {
		l := c.Legs[i]
		names := l.Hop.TLS.PeerNames
		switch {
		case l.Peer != want:
			t.Errorf("leg %s is with %q, want %s", l.Name, l.Peer, want)
		case want == "answerer":
			if l.Hop.TLS.Version != "" {
				t.Errorf("the hop of the answerer has TLS %s, want none", l.Hop.TLS.Version)
			}
		case l.Hop.TLS.Version != version || !l.Hop.TLS.Mutual || !slices.Contains(names, want+".example"):
			t.Errorf("TLS with %s is %+v, want mutual %s with %s.example", want, l.Hop.TLS, version, want)
		}
	}
}
