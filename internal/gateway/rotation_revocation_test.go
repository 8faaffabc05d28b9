package gateway

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/internal/testca"
	"github.com/sallyport-sip/sallyport/sip"
)

// watchedRevoking is revoking with a watch on the files, see watched.
func watchedRevoking(policy string) (set setting, ring func()) {
	set, ring = watched()
	other := revoking(policy)
	set.profiles, set.tuned, set.keys, set.extra = other.profiles, other.tuned, other.keys, other.extra
	with := set.options
	set.options = func(o *Options) {
		with(o)
		other.options(o)
	}
	return set, ring
}

// Files that change beside an identity leave the answer that is stapled to it, and
// a new certificate gets one of its own at once.
func TestStaplesOutliveTheWatch(t *testing.T) {
	set, ring := watchedRevoking("")
	run(t, set, func(r *rig) {
		responder := r.respond()
		show := func() *testca.Leaf {
			leaf := r.ca.Leaf("gw.example", testca.Responders("http://"+responderAddr+"/"), testca.Valid(-time.Hour, 1000*time.Hour))
			r.write(r.dir, "gw.pem", leaf.PEM())
			r.write(r.dir, "gw-key.pem", leaf.KeyPEM())
			ring()
			return leaf
		}
		show()
		first := r.stapled()
		if first == nil {
			t.Error("nothing is stapled to a certificate that the watch has taken")
		}
		asked := responder.Asked()
		r.write(r.dir, "ca.pem", append(r.ca.PEM(), testca.New("another CA").PEM()...))
		ring()
		if got := r.stapled(); string(got) != string(first) || responder.Asked() != asked {
			t.Errorf("another file has changed: the answer is another one, or none, and the responder was asked %d times", responder.Asked()-asked)
		}
		show()
		if got := r.stapled(); got == nil || string(got) == string(first) {
			t.Error("the next certificate has no answer of its own")
		}
	})
}

// An answer that comes while a configuration comes into force is not lost: what
// that took along was older.
func TestAnswerAtTheMomentOfAReload(t *testing.T) {
	run(t, revoking(""), func(r *rig) {
		r.respond()
		leaf := r.ca.Leaf("gw.example", testca.Responders("http://"+responderAddr+"/"), testca.Valid(-time.Hour, 1000*time.Hour))
		r.write(r.dir, "gw.pem", leaf.PEM())
		r.write(r.dir, "gw-key.pem", leaf.KeyPEM())
		r.takes()
		synctest.Wait() // the answer is fetched beside
		want := r.stapled()
		r.snapshot.Load().trust.Identity("gateway").Staple([]byte("older")) // as if it had been taken along before the answer came
		r.staples.nudge()
		synctest.Wait()
		if got := r.stapled(); want == nil || string(got) != string(want) {
			t.Errorf("stapled is %q", got)
		}
	})
}

// The calendar is looked at when the watch has taken a file, not an hour later.
func TestCalendarSeesWhatTheWatchTook(t *testing.T) {
	set, ring := watched()
	run(t, set, func(r *rig) {
		put := func(left time.Duration) {
			leaf := r.ca.Leaf("gw.example", testca.Valid(left-1000*time.Hour, left))
			r.write(r.dir, "gw.pem", leaf.PEM())
			r.write(r.dir, "gw-key.pem", leaf.KeyPEM())
			ring()
		}
		put(20*time.Hour + 30*time.Minute)
		if text := r.alarm("certificate own gateway"); !strings.Contains(text, "expires in 20 hours") {
			t.Errorf("alarm %q", text)
		}
		put(900 * time.Hour)
		if text := r.alarm("certificate own gateway"); text != "" {
			t.Errorf("the certificate was renewed, and there is an alarm: %q", text)
		}
	})
}

// A CRL comes every day. It is taken although another file of its trust holds only
// what has expired meanwhile: else it would become stale, and hard policies refuse
// everybody.
func TestCRLBesideAnExpiredCA(t *testing.T) {
	set, ring := watched()
	run(t, set, func(r *rig) {
		r.write(r.dir, "brief.pem", testca.New("brief CA", testca.Valid(-time.Hour, time.Hour)).PEM())
		r.write(r.dir, "ca.crl", r.ca.CRL(nil))
		r.rewrite("{files: [ca.pem]}", "{files: [ca.pem, brief.pem], crls: [ca.crl]}")
		r.takes()
		time.Sleep(2 * time.Hour)
		r.answered()
		r.write(r.dir, "ca.crl", r.ca.CRL(nil, r.leafOf("acme")))
		ring()
		time.Sleep(unsettled + time.Second)
		if got := r.retired(); got != "acme" || r.Loaded().Renewals != 1 {
			t.Errorf("retired: %q; %+v", got, r.Alarms())
		}
		r.hangUp(r.office, r.acme)
	})
}

// A CRL that changes under calls, by the watch: who is listed serves its calls and
// is told with the reason; a broken list keeps the old one and says so; when the
// CA takes the revocation back, all is as before.
func TestCRLSwappedUnderACall(t *testing.T) {
	set, ring := watched()
	run(t, set, func(r *rig) {
		r.write(r.dir, "ca.crl", r.ca.CRL(nil))
		r.rewrite("{files: [ca.pem]}", "{files: [ca.pem], crls: [ca.crl]}")
		r.takes()
		r.answered()
		list := r.ca.CRL(nil, r.leafOf("acme"))
		r.write(r.dir, "ca.crl", list)
		ring()
		failing := r.Failing()
		if len(failing) != 1 || failing[0].Conn.Identity().Peer != "acme" || failing[0].Code != "revoked" || len(failing[0].Calls) != 1 || failing[0].Remedy == "" {
			t.Fatalf("got %+v", failing)
		}
		r.write(r.dir, "ca.crl", list[:len(list)-7])
		ring()
		time.Sleep(unsettled + time.Second)
		if text := r.alarm("trust partners"); !strings.Contains(text, "CRL") || len(r.Failing()) != 1 || r.Calls() != 1 {
			t.Errorf("alarm %q, %+v, %d calls", text, r.Failing(), r.Calls())
		}
		r.write(r.dir, "ca.crl", r.ca.CRL(nil))
		ring()
		if text := r.alarm("trust partners"); text != "" || r.retired() != "" || len(r.Failing()) != 0 {
			t.Errorf("alarm %q, retired %q, %+v", text, r.retired(), r.Failing())
		}
		r.hangUp(r.office, r.acme)
	})
}

// Who was revoked while the gateway runs is listed with the others that the
// configuration refuses, and evicted with them.
func TestRevokedIsListedAndEvicted(t *testing.T) {
	run(t, revoking(`revocation: soft, ocsp: fetch, ocsp_responder: "http://`+responderAddr+`/"`), func(r *rig) {
		responder := r.respond()
		r.answered()
		synctest.Wait()
		responder.Revoke(r.leafOf("acme"))
		time.Sleep(askAgainEvery + time.Minute)
		failing := r.Failing()
		if len(failing) != 1 || failing[0].Code != "revoked" || failing[0].Remedy == "" || len(failing[0].Calls) != 1 || !strings.Contains(failing[0].Why, "OCSP responder") {
			t.Fatalf("got %+v", failing)
		}
		got := r.ReloadWith(ReloadOptions{Evict: true})
		if len(got.Failing) != 1 || !got.Failing[0].Evicted {
			t.Errorf("got %+v", got)
		}
		r.acme.Reply(r.acme.WantRequest(sip.BYE), 200)
		r.office.Reply(r.office.WantRequest(sip.BYE), 200)
		time.Sleep(farewell)
		synctest.Wait()
	})
}
