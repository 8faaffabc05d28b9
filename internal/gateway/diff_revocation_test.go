package gateway

import (
	"net/http"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// What only a responder or a stapled answer would say is held against nobody by a
// comparison: it asks nobody, and waits for nothing. What a CRL says is.
func TestDiffAsksNoResponder(t *testing.T) {
	run(t, revoking(`revocation: hard, ocsp: fetch, ocsp_responder: "http://`+responderAddr+`/"`), func(r *rig) {
		responder := r.respond()
		r.office = r.peer("office", transport.TLS, "192.0.2.10:5090") // the first one came when no responder was there
		r.office.Dial(r.listener(transport.TLS))
		r.answered()
		leaf := r.leafOf("acme")
		diff := func(text ...string) map[string]string {
			r.Helper()
			asked, began := responder.Asked(), time.Now()
			r.rewrite(text...)
			cfg, problems := config.Load(filepath.Join(r.dir, "sallyport.yaml"))
			if len(problems) > 0 {
				r.Fatal(problems)
			}
			d, problems := r.Diff(cfg)
			if len(problems) > 0 {
				r.Fatal(problems)
			}
			synctest.Wait()
			if n := responder.Asked() - asked; n != 0 || time.Since(began) != 0 {
				r.Errorf("the responder was asked %d times in %v", n, time.Since(began))
			}
			states := map[string]string{}
			for _, p := range d.Peers {
				states[p.Peer] = p.State
			}
			return states
		}
		elsewhere := []string{responderAddr, "192.0.2.54:80"}
		if got := diff(elsewhere...); got["acme"] != DiffUnaffected || got["office"] != DiffUnaffected {
			r.Errorf("connected: %v", got)
		}
		r.hangUp(r.office, r.acme)
		r.office.HangUp()
		r.acme.HangUp()
		responder.Serve(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
		time.Sleep(48 * time.Hour) // no answer counts any more
		if got := diff(elsewhere...); got["acme"] != DiffUnaffected || got["office"] != DiffUnaffected {
			r.Errorf("seen: %v", got)
		}
		r.write(r.dir, "ca.crl", r.ca.CRL(nil, leaf))
		if got := diff("{files: [ca.pem]}", "{files: [ca.pem], crls: [ca.crl]}"); got["acme"] != DiffStops || got["office"] != DiffUnaffected {
			r.Errorf("with a CRL: %v", got)
		}
		if got := diff(", ocsp: fetch, ocsp_responder: \"http://"+responderAddr+"/\"", ""); got["acme"] != DiffUnaffected || got["office"] != DiffStops {
			r.Errorf("nobody can say that the office was not revoked, and acme can staple: %v", got)
		}
	})
}
