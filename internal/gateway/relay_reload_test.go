package gateway

import (
	"strings"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// line is that of a peer in the file.
func (r *rig) line(peer string) string {
	r.Helper()
	for line := range strings.Lines(file(r.set)) {
		if strings.HasPrefix(line, "  "+peer+":") {
			return line
		}
	}
	r.Fatalf("no peer %s", peer)
	return ""
}

// refreshes renews a subscription, and notifies once.
func (r *rig) refreshes() {
	r.Helper()
	r.office.Send(r.office.InDialog(sip.SUBSCRIBE, about(expires("600"))...))
	r.acme.Reply(r.acme.WantRequest(sip.SUBSCRIBE), 200, expires("600"))
	r.office.Want(200)
	r.notifies("active;expires=600")
}

// The subscriptions of a notifier that is gone from the file go on and end as they
// began; new ones do not get there.
func TestReloadWithoutANotifier(t *testing.T) {
	hops(t, func(r *rig) {
		r.subscribes("600")
		r.notifies("active;expires=600")
		r.rewrite(r.line("acme"), "", "[acme, backup]", "[backup]", "[acme, backup]", "[backup]")
		r.takes()
		r.refreshes()
		r.unsubscribes()
		r.acme.Send(r.acme.Request(sip.MESSAGE, number, siptest.Set("Call-ID", "new")))
		r.acme.Want(403)
		r.office.Send(r.office.Request(sip.MESSAGE, number, siptest.Set("Call-ID", "new")))
		r.backup.Reply(r.backup.WantRequest(sip.MESSAGE), 200)
		r.office.Want(200)
	})
}

// The same with a subscriber.
func TestReloadWithoutASubscriber(t *testing.T) {
	hops(t, func(r *rig) {
		r.subscribes("600")
		r.notifies("active;expires=600")
		r.rewrite(r.line("office"), "", "  - {from: [office], to: [acme, backup]}\n", "", "to: [office]", "to: [backup]")
		r.takes()
		r.refreshes()
		r.unsubscribes()
		r.office.Send(r.office.Request(sip.SUBSCRIBE, number, about(siptest.Set("Call-ID", "new"))...))
		r.office.Want(403)
	})
}

// A peer by another name is another peer, and the subscription goes on with the one
// that it began with.
func TestReloadRenamesANotifier(t *testing.T) {
	hops(t, func(r *rig) {
		r.subscribes("600")
		r.notifies("active;expires=600")
		line := r.line("acme")
		r.rewrite(line, strings.Replace(line, "acme:", "carrier:", 1), "[acme, backup]", "[carrier, backup]", "[acme, backup]", "[carrier, backup]")
		r.takes()
		r.refreshes()
		r.unsubscribes()
	})
}

// Other names for a peer's certificate: the subscription's connection was proved
// under the old ones, and a new connection has to prove the new ones.
func TestReloadRenamesTheCertificateOfANotifier(t *testing.T) {
	run(t, setting{shards: 1, office: transport.TLS, targets: transport.TLS}, func(r *rig) {
		r.subscribes("60")
		r.notifies("active;expires=60")
		r.rewrite("[acme.example]", "[other.example]")
		r.takes()
		r.acme.HangUp()
		time.Sleep(time.Second)
		r.office.Send(r.office.InDialog(sip.SUBSCRIBE, about(expires("60"))...))
		r.office.Want(503)
		time.Sleep(2 * time.Minute)
		r.office.Reply(r.office.WantRequest(sip.NOTIFY), 200)
		r.subscriptions(0)
	})
}

// An INFO of a package crosses in a call with what names it (RFC 6086 §4).
func TestInfoPackageCrosses(t *testing.T) {
	hops(t, func(r *rig) {
		r.answered()
		for _, from := range []*siptest.Peer{r.office, r.acme} {
			to := r.acme
			if from == r.acme {
				to = r.office
			}
			from.Send(from.InDialog(sip.INFO, siptest.Set("Info-Package", "x-foo;y=1"), siptest.Set("Content-Disposition", "Info-Package"),
				siptest.Body("application/x-foo", "\x00a\r\n\r\nb")))
			m := to.WantRequest(sip.INFO)
			for _, line := range []string{"Info-Package: x-foo;y=1\r\n", "Content-Disposition: Info-Package\r\n", "Content-Type: application/x-foo\r\n"} {
				if !strings.Contains(string(m.Bytes()), line) {
					r.Errorf("no %q in\n%s", line, m.Bytes())
				}
			}
			if string(m.Body()) != "\x00a\r\n\r\nb" {
				r.Errorf("the body is %q", m.Body())
			}
			to.Reply(m, 469, siptest.Set("Recv-Info", "x-bar"))
			if got := from.Want(469); !strings.Contains(string(got.Bytes()), "Recv-Info: x-bar\r\n") {
				r.Errorf("no Recv-Info in\n%s", got.Bytes())
			}
		}
		r.hangUp(r.office, r.acme)
	})
}
