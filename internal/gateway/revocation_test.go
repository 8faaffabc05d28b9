package gateway

import (
	"context"
	"crypto/x509"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/sallyport-sip/sallyport/internal/memnet"
	"github.com/sallyport-sip/sallyport/internal/testca"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

const responderAddr = "192.0.2.53:80"

// revoking is a setting in which responders are reached over the network in memory.
func revoking(policy string) setting {
	set := mutual
	set.profiles, set.tuned = unasked.profiles, unasked.tuned
	set.keys = "policies:\n  strict: {" + policy + "}\n"
	set.extra = map[string]string{"acme": "policy: strict", "office": "policy: strict"}
	set.options = func(o *Options) {
		o.Revocation.Dial = func(ctx context.Context, _, address string) (net.Conn, error) {
			to, err := netip.ParseAddrPort(address)
			if err != nil {
				return nil, err
			}
			return o.Network.(*memnet.Network).Dial(ctx, netip.AddrPort{}, to)
		}
	}
	return set
}

// respond opens an OCSP responder of the CA.
func (r *rig) respond() *testca.Responder {
	r.Helper()
	responder := &testca.Responder{CA: r.ca}
	l, err := r.net.Listen(r.Context(), addrPort(responderAddr))
	if err != nil {
		r.Fatal(err)
	}
	server, done := &http.Server{Handler: responder}, make(chan struct{})
	go func() {
		server.Serve(l)
		close(done)
	}()
	r.Cleanup(func() {
		server.Close()
		<-done
	})
	return responder
}

// leafOf is the certificate that a peer shows on its live connection.
func (r *rig) leafOf(peer string) *x509.Certificate {
	r.Helper()
	for c := range r.Conns() {
		if c.Identity().Peer == peer {
			return c.TLS().PeerCertificates[0]
		}
	}
	r.Fatalf("%s is not connected", peer)
	return nil
}

// retired says which peers have a connection that only serves the calls it has.
func (r *rig) retired() string {
	synctest.Wait()
	var names []string
	for c := range r.Conns() {
		if c.Retired() {
			names = append(names, c.Identity().Peer)
		}
	}
	return strings.Join(names, " ")
}

// A reload with a CRL lets the connections of those whom it lists serve the calls
// they have, and no more: neither they nor we begin anything new, on that
// connection or another.
func TestReloadWithACRL(t *testing.T) {
	run(t, mutual, func(r *rig) {
		r.answered()
		r.write(r.dir, "ca.crl", r.ca.CRL(nil, r.leafOf("acme"), r.leafOf("office")))
		r.rewrite("{files: [ca.pem]}", "{files: [ca.pem], crls: [ca.crl]}")
		r.takes()
		if got := r.retired(); len(strings.Fields(got)) != 2 || !strings.Contains(got, "acme") || !strings.Contains(got, "office") {
			t.Errorf("retired: %q", got)
		}
		if !strings.Contains(r.log.String(), "was revoked by CN=test CA on 1999-12-31 (key compromise), says the CRL in") {
			t.Error("the log does not say why")
		}
		r.hangUp(r.office, r.acme) // the call goes on and ends as usual
		r.office.Send(r.office.Request(sip.INVITE, number, siptest.Body("application/sdp", offer)))
		r.office.Want(100)
		r.refused(403)
		time.Sleep(leaveAfter + 2*leaveEvery) // the connection has gone
		synctest.Wait()
		again := r.peer("office", transport.TLS, "192.0.2.10:5090") // with a new certificate, which nobody has revoked
		again.Dial(r.listener(transport.TLS))
		again.Send(again.Request(sip.INVITE, number, siptest.Body("application/sdp", offer)))
		again.Want(100)
		invite := r.backup.WantRequest(sip.INVITE) // acme's certificate is still the revoked one
		r.refuse(r.backup, invite, 486)
		m := again.Want(486)
		again.Send(again.Ack(m))
	})
}

// When a responder says that a certificate was revoked, the connections that came
// up before are retired within an hour, and the peer does not come back.
func TestRevokedByAResponder(t *testing.T) {
	run(t, revoking(`revocation: soft, ocsp: fetch, ocsp_responder: "http://`+responderAddr+`/"`), func(r *rig) {
		responder := r.respond()
		r.answered()
		synctest.Wait()
		responder.Revoke(r.leafOf("acme"))
		time.Sleep(askAgainEvery + time.Minute)
		if got := r.retired(); got != "acme" {
			t.Errorf("retired: %q", got)
		}
		if !strings.Contains(r.log.String(), "says the OCSP responder http://192.0.2.53:80/") {
			t.Error("the log does not say why")
		}
		r.hangUp(r.office, r.acme)
		r.invite()
		invite := r.backup.WantRequest(sip.INVITE)
		r.refuse(r.backup, invite, 486)
		r.refused(486)
		kinds := r.recorder.Refusals()
		found := false
		for k := range kinds {
			found = found || k.Peer == "acme" && k.Code == "revoked"
		}
		if !found {
			t.Errorf("refusals: %v", kinds)
		}
	})
}

// Under a hard policy a peer of which nothing fresh is known gets no call; a
// live connection is left alone when the answers end.
func TestHardRevocation(t *testing.T) {
	run(t, revoking(`revocation: hard, ocsp: fetch, ocsp_responder: "http://`+responderAddr+`/"`), func(r *rig) {
		responder := r.respond()
		office := r.peer("office", transport.TLS, "192.0.2.10:5090") // the first one came when no responder was there
		office.Dial(r.listener(transport.TLS))
		r.office = office
		r.answered()
		responder.Serve(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
		time.Sleep(3 * time.Hour)
		if got := r.retired(); got != "" {
			t.Errorf("retired: %q", got)
		}
		r.hangUp(r.office, r.acme)
		r.acme.HangUp()
		synctest.Wait()
		r.invite()
		invite := r.backup.WantRequest(sip.INVITE)
		r.refuse(r.backup, invite, 486)
		r.refused(486)
		if !strings.Contains(r.log.String(), "code=revocation_unknown") || !strings.Contains(r.log.String(), "asked in vain: it answers with status 500") {
			t.Error("the log does not say why")
		}
	})
}

// alarm returns the text of an alarm, empty when there is none of that name.
func (r *rig) alarm(name string) string {
	synctest.Wait()
	for _, a := range r.Alarms() {
		if a.Name == name {
			return a.Text
		}
	}
	return ""
}

// stapled is what a new connection to us brings along.
func (r *rig) stapled() []byte {
	r.Helper()
	p := r.peer("office", transport.TLS, "192.0.2.11:0")
	p.Dial(r.listener(transport.TLS))
	defer p.HangUp()
	return p.TLS().OCSPResponse
}

// An OCSP answer about our certificate comes with every handshake, is renewed
// before it ends, outlives reloads and failures of the responder, and goes when it
// ends: an alarm says so beforehand.
func TestStapling(t *testing.T) {
	run(t, revoking(""), func(r *rig) {
		responder := r.respond()
		if got := r.stapled(); got != nil {
			t.Error("an answer is stapled to a certificate that names no responder")
		}
		leaf := r.ca.Leaf("gw.example", testca.Responders("http://"+responderAddr+"/"), testca.Valid(-time.Hour, 1000*time.Hour))
		r.write(r.dir, "gw.pem", leaf.PEM())
		r.write(r.dir, "gw-key.pem", leaf.KeyPEM())
		r.takes()
		synctest.Wait()
		first := r.stapled()
		answer, err := ocsp.ParseResponseForCert(first, leaf.Cert(), r.ca.Cert)
		if err != nil || answer.Status != ocsp.Good {
			t.Fatalf("stapled: %v, %v", answer, err)
		}
		time.Sleep(31 * time.Minute) // of an hour
		second := r.stapled()
		if renewed, err := ocsp.ParseResponseForCert(second, leaf.Cert(), r.ca.Cert); err != nil || !renewed.ThisUpdate.After(answer.ThisUpdate) {
			t.Errorf("the answer was not renewed: %v", err)
		}
		responder.Serve(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) })
		time.Sleep(32 * time.Minute) // 27 are left
		r.takes()
		if got := r.stapled(); string(got) != string(second) || r.alarm("staple gateway") != "" {
			t.Error("the answer was not kept, or there is an alarm already: " + r.alarm("staple gateway"))
		}
		time.Sleep(20 * time.Minute)
		if text := r.alarm("staple gateway"); !strings.Contains(text, "counts only until") || !strings.Contains(text, "status 503") {
			t.Errorf("7 minutes before it ends: alarm %q", text)
		}
		time.Sleep(10 * time.Minute)
		if text := r.alarm("staple gateway"); r.stapled() != nil || !strings.Contains(text, "identity gateway has no OCSP answer to staple") {
			t.Errorf("an answer is stapled that has ended; alarm %q", text)
		}
		responder.Serve(nil)
		time.Sleep(time.Hour)
		if r.stapled() == nil || r.alarm("staple gateway") != "" {
			t.Error("nothing is stapled, or the alarm lasts: " + r.alarm("staple gateway"))
		}
		responder.Revoke(leaf.Cert())
		time.Sleep(time.Hour)
		if text := r.alarm("staple gateway"); r.stapled() != nil || !strings.Contains(text, "was revoked by its CA") {
			t.Errorf("our certificate was revoked: alarm %q", text)
		}
		r.rewrite("key: gw-key.pem}", `key: gw-key.pem, stapling: "off"}`)
		asked := responder.Asked()
		r.takes()
		time.Sleep(2 * time.Hour)
		if text := r.alarm("staple gateway"); text != "" || r.stapled() != nil || responder.Asked() != asked {
			t.Errorf("stapling is off: alarm %q, asked %d times", text, responder.Asked()-asked)
		}
	})
}
