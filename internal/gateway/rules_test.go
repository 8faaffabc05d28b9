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

// The rules that are never broken, as docs/ARCHITECTURE.md counts them: 1, 5, 7
// and 10 are here; 2, 3 and 6 in flow_test.go, 4 in sips_test.go, 12 in
// identify_test.go and hiding_test.go.

// TestRule1 is: a connection verified for one name is never used for another
// name. Two peers have one address, and one certificate is shown there.
func TestRule1ConnectionsAreNotSharedByNames(t *testing.T) {
	set := setting{office: transport.UDP, targets: transport.TLS, file: strings.Replace(file(setting{
		office: transport.UDP, targets: transport.TLS,
		routes: `{from: [office], number: "+1*", to: [acme]}|{from: [office], number: "+2*", to: [backup]}`,
	}), backupAddr, acmeAddr, 1)}
	run(t, set, func(r *rig) {
		snap := r.snapshot.Load()
		acme, backup := snap.peers.Lookup("acme"), snap.peers.Lookup("backup")
		one, two := r.dialConfig(acme, acme.Transport, addrPort(acmeAddr)).Key, r.dialConfig(backup, backup.Transport, addrPort(acmeAddr)).Key
		if one.Policy == "" || one.Policy == two.Policy || one.Peer == two.Peer || one.Identity != "gateway" {
			r.Errorf("the keys of two policies are %+v and %+v", one, two)
		}
		call := func(uri string) {
			r.office.Send(r.office.Request(sip.INVITE, uri))
			r.office.Want(100)
		}
		call("sip:+1@gw.example")
		r.refuse(r.acme, r.acme.WantRequest(sip.INVITE), 486)
		r.refused(486)
		call("sip:+2@gw.example")
		r.refused(503)
		if !strings.Contains(r.log.String(), "backup.example") {
			r.Error("the log does not say which name was expected")
		}
		// The connection that was verified for acme is as good as before.
		call("sip:+1@gw.example")
		r.refuse(r.acme, r.acme.WantRequest(sip.INVITE), 486)
		r.refused(486)
		r.acme.WantSilence(time.Second)
	})
}

// Our addresses come from the listener, with what it advertises, and never
// from a connection.
func TestRule5AdvertisedAddresses(t *testing.T) {
	for _, over := range []transport.Transport{transport.UDP, transport.TCP} {
		set := setting{office: over, targets: over, file: `
listeners:
  udp: {listen: "udp:0.0.0.0:5060", advertise: "gw.example.com:15060"}
  tcp: {listen: "tcp:0.0.0.0:5060", advertise: "gw.example.com:15060"}
peers:
  office: {uri: "sip:192.0.2.10:5080;transport=` + over.String() + `"}
  acme: {uri: "sip:192.0.2.20:5081;transport=` + over.String() + `"}
routes:
  - {from: [office], to: [acme]}
`}
		run(t, set, func(r *rig) {
			r.invite()
			invite := r.acme.WantRequest(sip.INVITE)
			r.advertises(invite)
			r.acme.Reply(invite, 180)
			r.advertises(r.office.Want(180))
			r.acme.Reply(invite, 200)
			ok := r.office.Want(200)
			r.advertises(ok)
			r.office.Send(r.office.Ack(ok))
			r.acme.WantRequest(sip.ACK)
			r.acme.Send(r.acme.InDialog(sip.UPDATE))
			update := r.office.WantRequest(sip.UPDATE)
			r.advertises(update)
			r.office.Reply(update, 200)
			r.advertises(r.acme.Want(200))
			r.hangUp(r.office, r.acme)
		})
	}
}

func (r *rig) advertises(m *siptest.Message) {
	r.Helper()
	const want = "gw.example.com:15060"
	c, _ := m.Contact()
	if !strings.Contains(string(c.RawURI), want) {
		r.Errorf("the Contact is %s", c.RawURI)
	}
	if m.IsRequest() && !strings.Contains(string(m.First(sip.HdrVia)), " "+want+";") {
		r.Errorf("the Via is %s", m.First(sip.HdrVia))
	}
	if strings.Contains(string(m.Bytes()), "0.0.0.0") {
		r.Errorf("an unspecified address shows:\n%s", m.Bytes())
	}
}

// TestRule7 is: our certificate is shown whenever the peer asks, also when its
// list of CAs does not name ours.
func TestRule7OurCertificateIsAlwaysShown(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		run(t, setting{targets: transport.TLS}, func(r *rig) {
			r.acme.Close()
			cfg := r.tls("acme.example")
			cfg.MinVersion, cfg.MaxVersion = version, version
			cfg.ClientAuth, cfg.ClientCAs = tls.RequireAnyClientCert, testca.New("another CA").Pool()
			acme := siptest.New(r.T, siptest.Config{Name: "acme", Transport: transport.TLS, Network: r.net, Addr: addrPort(acmeAddr), TLS: cfg})
			r.invite()
			invite := acme.WantRequest(sip.INVITE)
			certs := acme.TLS().PeerCertificates
			if len(certs) == 0 || certs[0].Subject.CommonName != "gw.example" {
				r.Errorf("%s: it showed %d certificates", tls.VersionName(version), len(certs))
			}
			r.refuse(acme, invite, 486)
			r.refused(486)
		})
	}
}

// TestRule10 is: two different Content-Length values, or none on a stream, end
// the connection; they are never guessed.
func TestRule10LengthsAreNotGuessed(t *testing.T) {
	for name, option := range map[string]siptest.Option{
		"two": siptest.Add("Content-Length", "7"), "none": siptest.Drop("Content-Length"),
		"compact": siptest.Add("l", "7"), "negative": siptest.Set("Content-Length", "-1"),
	} {
		t.Run(name, func(t *testing.T) {
			streams(t, func(r *rig) {
				r.office.Send(r.office.Request(sip.INVITE, number, siptest.Body("application/sdp", offer), option) +
					r.office.Request(sip.OPTIONS, "sip:"+gatewayAddr))
				r.office.WantClosed()
				synctest.Wait()
				r.acme.WantSilence(time.Second)
				if !strings.Contains(r.log.String(), "Content-Length") {
					r.Error("the log does not say why the connection ended")
				}
			})
		})
	}
}
