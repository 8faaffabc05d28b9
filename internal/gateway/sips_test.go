package gateway

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// TestRule4 is: sips: never leaves over a hop that is not TLS, and what a
// profile demands is never quietly given up. It goes through the caller's
// profile and URI, and the target's profile and transport. Routes that can
// never work are missing: check refuses them.
func TestRule4SIPSByProfileSchemeAndTransport(t *testing.T) {
	const (
		sipOut  = 0
		sipsOut = 1
	)
	for _, test := range []struct {
		caller, scheme string
		target         string
		over           transport.Transport
		want           int // sipOut, sipsOut, or the code of the Warning
	}{
		{"required", "sip", "required", transport.TLS, 381},
		{"required", "sip", "allowed", transport.TLS, 381},
		{"required", "sips", "required", transport.TLS, sipsOut},
		{"required", "sips", "allowed", transport.TLS, sipsOut},

		{"allowed", "sip", "required", transport.TLS, sipsOut},
		{"allowed", "sip", "allowed", transport.TLS, sipOut},
		{"allowed", "sip", "never", transport.TLS, sipOut},
		{"allowed", "sip", "allowed", transport.TCP, sipOut},
		{"allowed", "sip", "never", transport.UDP, sipOut},
		{"allowed", "sips", "required", transport.TLS, sipsOut},
		{"allowed", "sips", "allowed", transport.TLS, sipsOut},
		{"allowed", "sips", "never", transport.TLS, 380},
		{"allowed", "sips", "allowed", transport.TCP, 380},
		{"allowed", "sips", "never", transport.UDP, 380},

		{"never", "sip", "required", transport.TLS, sipsOut},
		{"never", "sip", "allowed", transport.TLS, sipOut},
		{"never", "sip", "never", transport.TLS, sipOut},
		{"never", "sip", "allowed", transport.UDP, sipOut},
		{"never", "sips", "required", transport.TLS, 380},
		{"never", "sips", "allowed", transport.TLS, 380},
		{"never", "sips", "never", transport.TLS, 380},
		{"never", "sips", "allowed", transport.UDP, 380},
	} {
		t.Run(fmt.Sprintf("%s calls %s to %s over %v", test.caller, test.scheme, test.target, test.over), func(t *testing.T) {
			set := setting{
				office: transport.TLS, targets: test.over,
				profiles: map[string]string{"office": test.caller, "acme": test.target, "backup": test.target},
				routes:   "{from: [office], number: \"+*\", to: [acme]}",
			}
			run(t, set, func(r *rig) {
				uri := test.scheme + ":+4930123@gw.example"
				contact := siptest.Set("Contact", fmt.Sprintf("<%s:office@%s>", test.scheme, officeAddr))
				r.office.Send(r.office.Request(sip.INVITE, uri, contact))
				r.office.Want(100)
				if test.want >= 300 {
					m := r.refused(480)
					text := map[int]string{380: "SIPS Not Allowed", 381: "SIPS Required"}[test.want]
					r.header(m, sip.HdrWarning, fmt.Sprintf("%d %v %q", test.want, r.listener(transport.TLS), text))
					r.acme.WantSilence(time.Second)
					return
				}
				scheme := [...]string{sipOut: "sip:", sipsOut: "sips:"}[test.want]
				invite := r.acme.WantRequest(sip.INVITE)
				r.schemes(invite, scheme)
				r.acme.Reply(invite, 200, siptest.Set("Contact", fmt.Sprintf("<%sacme@%s>", scheme, acmeAddr)))
				ok := r.office.Want(200)
				c, _ := ok.Contact()
				if !strings.HasPrefix(string(c.RawURI), test.scheme+":") {
					r.Errorf("the caller's dialog is %s:, our Contact %s", test.scheme, c.RawURI)
				}
				r.office.Send(r.office.Ack(ok))
				r.acme.WantRequest(sip.ACK)
				bye := r.hangUp(r.office, r.acme)
				if !strings.HasPrefix(string(bye.RequestURI()), scheme) {
					r.Errorf("the BYE is for %s", bye.RequestURI())
				}
			})
		})
	}
}

// schemes checks the URIs of an INVITE of ours.
func (r *rig) schemes(invite *siptest.Message, scheme string) {
	r.Helper()
	from, _ := invite.From()
	to, _ := invite.To()
	contact, _ := invite.Contact()
	for name, uri := range map[string][]byte{
		"Request-URI": invite.RequestURI(), "From": from.RawURI, "To": to.RawURI, "Contact": contact.RawURI,
	} {
		if !strings.HasPrefix(string(uri), scheme) {
			r.Errorf("the %s is %s, want %s", name, uri, scheme)
		}
	}
}

// Targets that cannot have a sips: call are passed over.
func TestSIPSCallsPassPlainTargetsOver(t *testing.T) {
	set := setting{office: transport.TLS, targets: transport.TLS, profiles: map[string]string{"acme": "never"}}
	run(t, set, func(r *rig) {
		r.office.Send(r.office.Request(sip.INVITE, "sips:+49@gw.example", siptest.Set("Contact", "<sips:office@192.0.2.10:5080>")))
		invite := r.backup.WantRequest(sip.INVITE)
		r.refuse(r.backup, invite, 486)
		r.office.Want(100)
		r.refused(486)
		r.acme.WantSilence(time.Second)
	})
}

// A sips: call over a plain hop would have to go on over it.
func TestSIPSOverAPlainHopIsRefused(t *testing.T) {
	for _, over := range []transport.Transport{transport.UDP, transport.TCP} {
		run(t, setting{office: over, targets: transport.TLS}, func(r *rig) {
			r.office.Send(r.office.Request(sip.INVITE, "sips:+49@gw.example"))
			r.office.Want(100)
			if w := string(r.refused(480).First(sip.HdrWarning)); !strings.HasPrefix(w, "380 ") {
				r.Errorf("the Warning is %q", w)
			}
			r.acme.WantSilence(time.Second)
		})
	}
}

// A sips: dialog whose connection has gone does not go on over the plain hop of
// the peer's uri: its BYE is lost, and the call is over.
func TestSIPSDialogsDoNotMoveToAPlainHop(t *testing.T) {
	set := setting{office: transport.TCP, targets: transport.TLS, extra: map[string]string{"office": "certificate_names: [office.example]"}}
	run(t, set, func(r *rig) {
		secure := r.peer("office", transport.TLS, "192.0.2.10:7000")
		secure.Dial(r.listener(transport.TLS))
		secure.Send(secure.Request(sip.INVITE, "sips:+49@gw.example", siptest.Set("Contact", "<sips:office@192.0.2.10:7000>")))
		r.acme.Reply(r.acme.WantRequest(sip.INVITE), 200, siptest.Set("Contact", "<sips:acme@"+acmeAddr+">"))
		secure.Send(secure.Ack(secure.Want(200)))
		r.acme.WantRequest(sip.ACK)
		secure.HangUp()
		synctest.Wait()
		r.acme.Send(r.acme.InDialog(sip.INFO))
		r.acme.Want(503)
		r.acme.Send(r.acme.InDialog(sip.BYE))
		r.acme.Want(200)
		r.office.WantSilence(time.Second)
		secure.WantSilence(time.Second)
	})
}

// The Via's transport is never compared with the connection's.
func TestViaTransportIsNotCompared(t *testing.T) {
	hops(t, func(r *rig) {
		for _, via := range []string{"UDP", "TCP", "TLS", "SCTP"} {
			r.invite(siptest.Set("Via", "SIP/2.0/"+via+" "+officeAddr+";rport;branch=z9hG4bKvia"+via))
			r.refuse(r.acme, r.acme.WantRequest(sip.INVITE), 486)
			r.refused(486)
		}
	})
}
