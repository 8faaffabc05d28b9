package gateway

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/internal/testca"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// Which connection of acme's carries the office's call to acme. acme is its
// address, over TLS, and calls the gateway first.

const acmeVia = "SIP/2.0/TLS 192.0.2.20:5081;branch=z9hG4bKopt"

var aliased = setting{office: transport.TLS, targets: transport.TLS}

// greet has acme connect and send an OPTIONS with that Via.
func (r *rig) greet(via string) {
	r.Helper()
	r.acme.Dial(r.listener(transport.TLS))
	r.greetAgain(via)
}

func (r *rig) greetAgain(via string) {
	r.Helper()
	r.acme.Send(r.acme.Request(sip.OPTIONS, "sip:"+gatewayAddr, siptest.Set("Via", via)))
	r.acme.Next()
}

// reuses makes a call to acme and checks whether a connection was dialled for it.
func (r *rig) reuses(want bool) {
	r.Helper()
	before := r.dialled("acme")
	r.invite()
	invite := r.acme.WantRequest(sip.INVITE)
	if got := r.dialled("acme") == before; got != want {
		r.Errorf("acme's own connection carried the call: %v, want %v", got, want)
	}
	via, err := invite.Via()
	if err != nil || string(via.Host) != gatewayAddr || via.Port != 5061 {
		r.Errorf("Via: %s", invite.First(sip.HdrVia))
	}
	r.refuse(r.acme, invite, 486)
	r.refused(486)
	synctest.Wait()
}

// dialled is how many live connections to a peer we have made.
func (r *rig) dialled(peer string) (n int) {
	for c := range r.Conns() {
		if !c.Info().Inbound && c.Identity().Peer == peer {
			n++
		}
	}
	return n
}

func TestConnectionOfThePeerIsReusedWithAliasAndProof(t *testing.T) {
	run(t, aliased, func(r *rig) {
		r.greet(acmeVia + ";alias")
		r.reuses(true)
		r.reuses(true)
		r.acme.HangUp()
		synctest.Wait()
		r.reuses(false) // and a new one is dialled
	})
}

func TestConnectionOfThePeerIsNotReused(t *testing.T) {
	for name, c := range map[string]struct {
		via, profile string
	}{
		"without alias":               {via: acmeVia},
		"with another port":           {via: "SIP/2.0/TLS 192.0.2.20:5090;alias;branch=z9hG4bKopt"},
		"with the default port":       {via: "SIP/2.0/TLS 192.0.2.20;alias;branch=z9hG4bKopt"},
		"when the profile forbids":    {via: acmeVia + ";alias", profile: "connection: {alias: offer}"},
		"when the profile knows none": {via: acmeVia + ";alias", profile: "connection: {alias: off}"},
	} {
		t.Run(name, func(t *testing.T) {
			set := aliased
			if c.profile != "" {
				set.profiles, set.tuned = map[string]string{"acme": "tuned"}, c.profile
			}
			run(t, set, func(r *rig) {
				r.greet(c.via)
				r.reuses(false)
			})
		})
	}
}

// Another peer's connection, from acme's address and with acme's port, is not
// acme's.
func TestConnectionOfAnotherNameIsNotReused(t *testing.T) {
	run(t, aliased, func(r *rig) {
		other := siptest.New(r.T, siptest.Config{Name: "backup", Transport: transport.TLS, Network: r.net,
			Addr: addrPort("192.0.2.20:5099"), TLS: r.tls("backup.example")})
		other.Dial(r.listener(transport.TLS))
		other.Send(other.Request(sip.OPTIONS, "sip:"+gatewayAddr, siptest.Set("Via", acmeVia+";alias")))
		other.Next()
		r.reuses(false)
	})
}

// Who shows no certificate proves nothing, whatever address it has.
func TestConnectionWithoutCertificateIsNotReused(t *testing.T) {
	text := file(aliased)
	set := aliased
	set.file = strings.Replace(text, "client_certificates: required", "client_certificates: optional", 1)
	run(t, set, func(r *rig) {
		conf := r.tls("acme.example")
		conf.Certificates = nil
		bare := siptest.New(r.T, siptest.Config{Name: "bare", Transport: transport.TLS, Network: r.net,
			Addr: addrPort("192.0.2.20:5099"), TLS: conf})
		bare.Dial(r.listener(transport.TLS))
		bare.Send(bare.Request(sip.OPTIONS, "sip:"+gatewayAddr, siptest.Set("Via", acmeVia+";alias")))
		bare.Want(403)
		r.reuses(false)
	})
}

// On TCP nothing is proved.
func TestTCPConnectionIsNotReused(t *testing.T) {
	run(t, setting{office: transport.TCP, targets: transport.TCP}, func(r *rig) {
		r.acme.Dial(r.listener(transport.TCP))
		r.greetAgain("SIP/2.0/TCP 192.0.2.20:5081;alias;branch=z9hG4bKopt")
		before := r.dialled("acme")
		r.invite()
		r.refuse(r.acme, r.acme.WantRequest(sip.INVITE), 486)
		r.refused(486)
		if r.dialled("acme") != before+1 {
			t.Error("a TCP connection was reused")
		}
	})
}

func TestReloadRevokesAnAlias(t *testing.T) {
	for name, change := range map[string][]string{
		"trust":   {"certificate_names: [acme.example]", "certificate_names: [acme.example], trust: [others]"},
		"names":   {"certificate_names: [acme.example]", "certificate_names: [acme.example.net]"},
		"profile": {"tuned: {}", "tuned: {connection: {alias: off}}"},
	} {
		t.Run(name, func(t *testing.T) {
			set := aliased
			set.profiles = map[string]string{"acme": "tuned"}
			run(t, set, func(r *rig) {
				r.write(r.dir, "other.pem", testca.New("another CA").PEM())
				r.greet(acmeVia + ";alias")
				r.reuses(true)
				r.rewrite(append([]string{"  partners: {files: [ca.pem]}\n", "  partners: {files: [ca.pem]}\n  others: {files: [other.pem]}\n"}, change...)...)
				r.takes()
				if name == "profile" {
					r.reuses(false)
				} else {
					r.invite() // nobody has the certificate that would do
					r.office.Next()
					time.Sleep(time.Minute)
					r.acme.WantSilence(time.Second)
				}
				r.rewrite()
				r.takes()
			})
		})
	}
}

// A reload that changes nothing for the peer leaves the alias.
func TestReloadKeepsAnAlias(t *testing.T) {
	run(t, aliased, func(r *rig) {
		r.greet(acmeVia + ";alias")
		r.reuses(true)
		r.rewrite("  tuned: {}", "  tuned: {keep_alive: 1h}")
		r.takes()
		r.reuses(true)
	})
}
