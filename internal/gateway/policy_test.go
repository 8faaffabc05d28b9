package gateway

import (
	"crypto/tls"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/internal/testca"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// speaking is a peer that connects with TLS as change has it.
func (r *rig) speaking(name, addr string, change func(*tls.Config)) *siptest.Peer {
	r.Helper()
	cfg := r.tls(name + ".example")
	change(cfg)
	p := siptest.New(r.T, siptest.Config{Name: name, Transport: transport.TLS, Network: r.net, Addr: addrPort(addr), TLS: cfg})
	p.Dial(r.listener(transport.TLS))
	return p
}

// A listener lets more through than the policy of a peer wants: the peer is not
// recognised then, and the log says why and what to do.
func TestPolicyOfThePeerOnAnotherListener(t *testing.T) {
	set := mutual
	set.keys = "policies:\n  strict: {min_version: 1.3}\n"
	set.extra = map[string]string{"office": "policy: strict"}
	run(t, set, func(r *rig) {
		old := r.speaking("office", "192.0.2.11:5080", func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 })
		old.Send(old.Request(sip.OPTIONS, "sip:192.0.2.1"))
		old.Want(403)
		for _, want := range []string{`policy \"strict\" of peer \"office\" wants TLS 1.3 at least`, `give the listener a policy with the same versions`, "version_refused"} {
			if !strings.Contains(r.log.String(), want) {
				r.Errorf("the log does not say %s:\n%s", want, r.log.String())
			}
		}
		good := r.speaking("office", "192.0.2.12:5080", func(*tls.Config) {})
		good.Send(good.Request(sip.OPTIONS, "sip:192.0.2.1"))
		good.Want(200)
	})
}

// A floor that is raised takes new calls off the connections below it, and leaves
// the calls that they have: in both roles.
func TestReloadRaisesTheFloor(t *testing.T) {
	for _, where := range []string{"defaults", "peers", "listener"} {
		t.Run(where, func(t *testing.T) {
			set := mutual
			set.keys = "policies:\n  old: {max_version: 1.2}\n  strict: {min_version: 1.3}\n"
			set.file = strings.Replace(file(set), "trust: [partners]}", "trust: [partners], policy: old}", 1)
			run(t, set, func(r *rig) {
				r.answered()
				conns := r.open()
				for c := range r.Conns() {
					if c.TLS().Version != tls.VersionTLS12 {
						r.Fatalf("%v", tls.VersionName(c.TLS().Version))
					}
				}
				switch where {
				case "defaults":
					r.rewrite("trust: [partners]}", "trust: [partners], policy: strict}")
				case "peers":
					r.rewrite("trust: [partners]}", "trust: [partners], policy: old}",
						"certificate_names: [office.example]", "certificate_names: [office.example], policy: strict",
						"certificate_names: [acme.example]", "certificate_names: [acme.example], policy: strict")
				case "listener":
					r.rewrite("trust: [partners]}", "trust: [partners], policy: old}", "client_certificates: required", "policy: strict")
				}
				r.takes()
				r.office.Send(r.office.Request(sip.OPTIONS, "sip:192.0.2.1"))
				r.office.Want(403)
				if c := r.server.Endpoint().PeerConn("acme"); (c != nil) != (where == "listener") {
					r.Errorf("connection to acme: %v", c)
				}
				if n := r.open(); n != conns {
					r.Errorf("%d connections, before the reload %d", n, conns)
				}
				r.hangUp(r.acme, r.office)
			})
		})
	}
}

// The alarm about weak TLS lasts as long as the policy is somebody's, and says
// what came of it.
func TestAlarmOfALegacyPolicy(t *testing.T) {
	set := mutual
	set.keys = "policies:\n  museum: {legacy: true}\n  relic: {legacy: true, max_version: 1.2}\n"
	set.extra = map[string]string{"office": "policy: relic"}
	run(t, set, func(r *rig) {
		alarms := func(want ...string) {
			r.Helper()
			synctest.Wait()
			var got []string
			for _, a := range r.Alarms() {
				if strings.HasPrefix(a.Name, "legacy TLS ") {
					got = append(got, a.Text+" | "+a.Remedy)
				}
			}
			if strings.Join(got, "\n") != strings.Join(want, "\n") {
				r.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
		const unneeded = " | if nobody needs it any more, name a policy without legacy"
		const needed = " | have whoever is at the other side renewed, so that it speaks TLS 1.2 or 1.3, and name a policy without legacy then"
		const office = `peer "office" has the legacy policy "relic": TLS from 1.0 on, old cipher suites; `
		const listener = `listener "tls" has the legacy policy "museum": TLS from 1.0 on, old cipher suites; `
		alarms(office + "nothing was negotiated since" + unneeded)

		time.Sleep(time.Second)
		r.rewrite("client_certificates: required", "policy: museum")
		r.takes()
		alarms(office+"nothing was negotiated since"+unneeded, listener+"nothing was negotiated since"+unneeded)

		p := r.speaking("office", "192.0.2.11:5080", func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 })
		good := "negotiated since: TLS 1.2 with TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 (1)"
		alarms(office+good+unneeded, listener+good+unneeded)
		p.Send(p.Request(sip.OPTIONS, "sip:192.0.2.1"))
		p.Want(200)

		for i := range 2 {
			addr := []string{"192.0.2.12:5080", "192.0.2.13:5080"}[i]
			p = r.speaking("office", addr, func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS10 })
			p.Send(p.Request(sip.OPTIONS, "sip:192.0.2.1"))
			p.Want(200)
		}
		both := "negotiated since: TLS 1.0 with TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA (2), TLS 1.2 with TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 (1)"
		alarms(office+both+needed, listener+both+needed)
		if n := strings.Count(r.log.String(), "weak TLS was negotiated"); n != 2 { // once for each of the two
			r.Errorf("the log says it %d times", n)
		}

		r.takes() // the same file again
		alarms(office+both+needed, listener+both+needed)

		r.rewrite("policy: relic", "policy: museum")
		r.takes()
		p.Send(p.Request(sip.OPTIONS, "sip:192.0.2.1"))
		p.Want(403) // the listener's policy would not let it in any more
		alarms(`peer "office" has the legacy policy "museum": TLS from 1.0 on, old cipher suites; nothing was negotiated since` + unneeded)

		r.rewrite(", policy: relic", "")
		r.takes()
		alarms()
	})
}

// Whoever is not trusted any more, or has another scope, takes up no session: a
// reload makes new keys, and the whole handshake has its reason.
func TestNoResumptionAfterAReloadThatRemovesAPeersTrust(t *testing.T) {
	for _, v := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, change := range []string{"nothing", "scope", "revoked"} {
			t.Run(tls.VersionName(v)+", "+change, func(t *testing.T) {
				run(t, mutual, func(r *rig) {
					cache := tls.NewLRUClientSessionCache(4)
					resumed := func(cfg *tls.Config) { cfg.MaxVersion, cfg.MinVersion, cfg.ClientSessionCache = v, v, cache }
					first := r.speaking("office", "192.0.2.11:5080", resumed)
					first.Send(first.Request(sip.OPTIONS, "sip:192.0.2.1"))
					first.Want(200) // the ticket has come
					again := r.speaking("office", "192.0.2.12:5080", resumed)
					again.Send(again.Request(sip.OPTIONS, "sip:192.0.2.1"))
					again.Want(200)
					if !again.TLS().DidResume {
						r.Fatal("no session was taken up, so the test shows nothing")
					}
					want, resumes := 200, true
					switch change {
					case "nothing":
						r.rewrite()
					case "scope":
						r.rewrite("certificate_names: [office.example]", "certificate_names: [head-office.example]")
						want, resumes = 403, false
					case "revoked":
						r.write(r.dir, "other.pem", testca.New("another CA").PEM())
						r.rewrite("  partners: {files: [ca.pem]}\n", "  partners: {files: [ca.pem]}\n  others: {files: [other.pem]}\n",
							"certificate_names: [office.example]", "certificate_names: [office.example], trust: [others]")
						want, resumes = 403, false
					}
					r.takes()
					late := r.speaking("office", "192.0.2.13:5080", resumed)
					late.Send(late.Request(sip.OPTIONS, "sip:192.0.2.1"))
					late.Want(want)
					if got := late.TLS().DidResume; got != resumes {
						r.Errorf("resumed: %v", got)
					}
				})
			})
		}
	}
}
