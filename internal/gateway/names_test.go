package gateway

import (
	"crypto/tls"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/internal/store"
	"github.com/sallyport-sip/sallyport/internal/testdns"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/resolve"
	"github.com/sallyport-sip/sallyport/sip/siptest"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

const nsAddr = "192.0.2.53:53"

// named is a rig in which acme's uri is a name with two servers, acme and acme2,
// and which has a name server.
type named struct {
	*rig
	ns    *testdns.Server
	acme2 *siptest.Peer
}

const acme2Addr = "192.0.2.21:5091"

// carrier are the records of acme's domain: for each transport acme first, then
// acme2.
func carrier() (records []string) {
	for _, service := range []string{"_sip._udp", "_sip._tcp", "_sips._tcp"} {
		records = append(records,
			service+".carrier.example. 600 IN SRV 1 0 5081 one.hosting.example.",
			service+".carrier.example. 600 IN SRV 2 0 5091 two.hosting.example.")
	}
	return append(records, "one.hosting.example. 600 IN A 192.0.2.20", "two.hosting.example. 600 IN A 192.0.2.21")
}

// names runs a test with acme reached by a URI; each name in it leads to the name
// server of the rig.
func names(t *testing.T, set setting, uri, extra string, f func(r *named)) {
	t.Helper()
	if set.office == 0 {
		set.office = transport.UDP
	}
	if set.file == "" {
		text := file(set)
		from := fmt.Sprintf("acme: {uri: \"sip:%s;transport=%v\"", acmeAddr, set.targets)
		text = strings.Replace(text, from, "acme: {uri: \""+uri+"\""+extra, 1)
		if strings.HasPrefix(uri, "sips:") || strings.Contains(extra, "certificate_names") { // instead of what the rig says
			text = strings.Replace(text, ", certificate_names: [acme.example]}", "}", 1)
		}
		set.file = text + "resolver: {servers: [\"" + nsAddr + "\"], timeout: 1s, attempts: 1}\n"
	}
	n := &named{}
	set.options = func(o *Options) {
		o.DialDNS = testdns.Dial(o.Network)
	}
	run(t, set, func(r *rig) {
		n.rig = r
		n.ns = testdns.Start(r.T, r.net, addrPort(nsAddr), carrier()...)
		n.acme2 = siptest.New(r.T, siptest.Config{
			Name: "acme2", Transport: set.targets, Network: r.net, Addr: addrPort(acme2Addr), TLS: r.tls("acme.example"),
		})
		if set.targets == transport.UDP {
			n.acme2.Dial(r.listener(set.targets))
		}
		f(n)
	})
}

// over runs a test over each transport to acme.
func overNames(t *testing.T, f func(r *named)) {
	for _, tr := range []transport.Transport{transport.UDP, transport.TCP, transport.TLS} {
		t.Run(tr.String(), func(t *testing.T) {
			uri, extra := "sip:carrier.example;transport="+tr.String(), ""
			if tr != transport.TLS {
				extra = ", accept_from: [192.0.2.20, 192.0.2.21]"
			}
			names(t, setting{shards: 1, targets: tr}, uri, extra, f)
		})
	}
}

// takes answers a call at a peer and hangs it up again.
func (r *named) takes(p *siptest.Peer) {
	r.Helper()
	invite := p.WantRequest(sip.INVITE)
	p.Reply(invite, 200, siptest.Body("application/sdp", answer))
	r.office.Send(r.office.Ack(r.office.Want(200)))
	p.WantRequest(sip.ACK)
	r.hangUp(r.office, p)
}

// remotes are the addresses in the last record.
func (r *named) remotes(want ...string) {
	r.Helper()
	var got []string
	for _, l := range r.last().Out {
		got = append(got, l.Peer+" "+l.Remote)
	}
	if strings.Join(got, ", ") != strings.Join(want, ", ") {
		r.Errorf("the record has %q, want %q", got, want)
	}
}

// A call whose address answers 503 goes to the next address of the same peer
// before it goes to the next target, as a leg of its own (RFC 3263 §4.3).
func TestNextAddressOn503(t *testing.T) {
	overNames(t, func(r *named) {
		r.invite()
		first := r.acme.WantRequest(sip.INVITE)
		r.refuse(r.acme, first, 503)
		second := r.acme2.WantRequest(sip.INVITE)
		a, _ := first.Via()
		b, _ := second.Via()
		if string(a.Branch()) == string(b.Branch()) || string(first.CallID()) == string(second.CallID()) {
			r.Errorf("the second address sees something of the first:\n%s\n%s", first.Bytes(), second.Bytes())
		}
		if string(first.RequestURI()) != string(second.RequestURI()) || !strings.Contains(string(first.RequestURI()), "@carrier.example") {
			r.Errorf("the Request-URIs are %s and %s", first.RequestURI(), second.RequestURI())
		}
		r.refuse(r.acme2, second, 486)
		r.refused(486)
		r.remotes("acme 192.0.2.20:5081", "acme 192.0.2.21:5091")
		r.told("target 1 of 2: acme at 192.0.2.20:5081", "acme is down at 192.0.2.20:5081", "the next address: acme at 192.0.2.21:5091")
		r.up("acme")

		// The next call does not wait for it again, and asks nobody.
		r.ns.Asked()
		r.invite()
		r.takes(r.acme2)
		r.remotes("acme 192.0.2.21:5091")
		if asked := r.ns.Asked(); len(asked) > 0 {
			r.Errorf("asked again: %q", asked)
		}
		// When its time is over one call tries it, and it is up again.
		time.Sleep(30 * time.Second)
		r.invite()
		r.takes(r.acme)
		r.told("acme is up again at 192.0.2.20:5081")
		r.invite()
		r.takes(r.acme)
		if n := r.snapshot.Load().peers.Lookup("acme").State.Out.Totals().Began; n != 4 {
			r.Errorf("%d calls are counted, want 4: a next address is no other call", n)
		}
	})
}

// When all addresses have failed, the next target is asked, and the peer is down.
func TestNextTargetAfterTheLastAddress(t *testing.T) {
	overNames(t, func(r *named) {
		for _, code := range []int{503, 408, 504} {
			r.invite()
			r.refuse(r.acme, r.acme.WantRequest(sip.INVITE), code)
			r.refuse(r.acme2, r.acme2.WantRequest(sip.INVITE), code)
			invite := r.backup.WantRequest(sip.INVITE)
			r.refuse(r.backup, invite, 486)
			r.refused(486)
			if code == 503 {
				r.down("acme", "answered 503")
				time.Sleep(30 * time.Second)
			}
		}
		// A word of whoever was called is for all addresses.
		r.invite()
		r.refuse(r.acme, r.acme.WantRequest(sip.INVITE), 603)
		r.refused(603)
		r.invite()
		r.refuse(r.acme, r.acme.WantRequest(sip.INVITE), 302)
		r.refuse(r.backup, r.backup.WantRequest(sip.INVITE), 486)
		r.refused(486)
		r.acme2.WantSilence(time.Second)
	})
}

// An address that refuses the connection costs no time; the record says which.
func TestNextAddressWhenTheConnectionIsRefused(t *testing.T) {
	for _, tr := range []transport.Transport{transport.TCP, transport.TLS} {
		extra := ""
		if tr == transport.TCP {
			extra = ", accept_from: []"
		}
		names(t, setting{targets: tr}, "sip:carrier.example;transport="+tr.String(), extra, func(r *named) {
			r.acme.Close()
			at := time.Now()
			r.invite()
			r.takes(r.acme2)
			if took := time.Since(at); took != 0 {
				r.Errorf("the second address was asked after %v", took)
			}
			r.remotes("acme 192.0.2.20:5081", "acme 192.0.2.21:5091")
			if out := r.last().Out; !strings.Contains(out[0].Text, "refused") || out[0].Code != 0 {
				r.Errorf("the record says %+v", out)
			}
			r.invite()
			r.takes(r.acme2)
			r.remotes("acme 192.0.2.21:5091")

			// With the last address gone the next target is asked.
			r.acme2.Close()
			r.invite()
			r.taken(nil)
			r.remotes("acme 192.0.2.21:5091", "acme 192.0.2.20:5081", "backup "+backupAddr)
			r.down("acme", "refused")
		})
	}
}

// An address that is silent gives way after response_timeout, though it is the
// only target; one that does not take connections after half of that.
func TestNextAddressOnSilence(t *testing.T) {
	only := setting{shards: 1, routes: "{from: [office], to: [acme]}"}
	only.targets = transport.UDP
	names(t, only, "sip:carrier.example", ", accept_from: [192.0.2.20, 192.0.2.21]", func(r *named) {
		r.invite()
		at := time.Now()
		invite := r.acme.WantRequest(sip.INVITE)
		for range 4 {
			r.acme.WantAgain(invite)
		}
		second := r.acme2.WantRequest(sip.INVITE)
		if took := second.At.Sub(at); took != 8*time.Second {
			r.Errorf("the second address was asked after %v, want 8s", took)
		}
		r.refuse(r.acme2, second, 486)
		r.refused(486)
		r.remotes("acme 192.0.2.20:5081", "acme 192.0.2.21:5091")
		at = time.Now()
		r.invite()
		r.takes(r.acme2)
		if took := time.Since(at); took != 0 {
			r.Errorf("the next call waited for %v", took)
		}
	})
}

// An address that takes no connections gives way after half of response_timeout,
// and the look-ups are counted.
func TestNextAddressWhenTheConnectionIsNotAccepted(t *testing.T) {
	for _, tr := range []transport.Transport{transport.TCP, transport.TLS} {
		set, extra := setting{shards: 1, routes: "{from: [office], to: [acme]}"}, ""
		if set.targets = tr; tr == transport.TCP {
			extra = ", accept_from: []"
		}
		names(t, set, "sip:carrier.example;transport="+tr.String(), extra, func(r *named) {
			r.net.Darken(addrPort(acmeAddr).Addr())
			at := time.Now()
			r.invite()
			invite := r.acme2.WantRequest(sip.INVITE)
			if took := invite.At.Sub(at); took != 4*time.Second {
				r.Errorf("the second address was asked after %v, want 4s", took)
			}
			r.acme2.Reply(invite, 200, siptest.Body("application/sdp", answer))
			r.office.Send(r.office.Ack(r.office.Want(200)))
			r.acme2.WantRequest(sip.ACK)
			r.hangUp(r.office, r.acme2)
			r.remotes("acme 192.0.2.20:5081", "acme 192.0.2.21:5091")
			if out := r.last().Out; !strings.Contains(out[0].Text, "no connection within 4s") {
				r.Errorf("the record says %+v", out)
			}
			if n := r.Lookups(); n[resolve.Answered] == 0 || n[resolve.Failed] != 0 {
				r.Errorf("look-ups: %v", n)
			}
			before := r.Lookups()
			r.invite()
			r.takes(r.acme2)
			if n := r.Lookups(); n[resolve.Cached] == before[resolve.Cached] || n[resolve.Answered] != before[resolve.Answered] {
				r.Errorf("look-ups: %v, before %v", n, before)
			}
		})
	}
}

// A peer whose name nobody knows, or whose name server does not answer, is one
// that cannot be reached.
func TestNamesThatLeadNowhere(t *testing.T) {
	names(t, setting{targets: transport.TCP}, "sip:nobody.example;transport=tcp", ", accept_from: []", func(r *named) {
		r.ns.Add("example. 600 IN SOA ns.example. hostmaster.example. 1 3600 600 86400 600")
		r.invite()
		r.taken(nil)
		r.down("acme", "resolve nobody.example: the name has no addresses")
		time.Sleep(30 * time.Second)
		r.ns.Silent()
		at := time.Now()
		r.invite()
		r.taken(nil)
		if took := time.Since(at); took != 0 {
			r.Errorf("what is known not to exist was asked for: %v", took)
		}
		r.remotes("acme ", "backup "+backupAddr)
	})
	names(t, setting{targets: transport.TCP}, "sip:carrier.example;transport=tcp", ", accept_from: []", func(r *named) {
		r.ns.Silent()
		at := time.Now()
		r.invite()
		r.taken(nil)
		if took := time.Since(at); took != time.Second {
			r.Errorf("the name server had %v, want its timeout of 1s", took)
		}
		r.down("acme", "name server "+nsAddr)
		if got := r.last(); got.Out[0].Code != 0 || got.State != store.Ended {
			r.Errorf("the record says %+v", got)
		}
	})
}

// The certificate must be for a name of the configuration: the DNS says where the
// peer is and not who it is (RFC 5922 §7.3). Here it leads to a host that proves to
// be what the SRV record calls it, and to nobody else.
func TestNameOfTheCertificateIsThatAskedFor(t *testing.T) {
	names(t, setting{targets: transport.TLS}, "sips:carrier.example", "", func(r *named) {
		cert := func(name string) *tls.Config { return r.tls(name) }
		r.acme.Close()
		r.acme2.Close()
		one := siptest.New(r.T, siptest.Config{Name: "one", Transport: transport.TLS, Network: r.net, Addr: addrPort(acmeAddr), TLS: cert("one.hosting.example")})
		two := siptest.New(r.T, siptest.Config{Name: "two", Transport: transport.TLS, Network: r.net, Addr: addrPort(acme2Addr), TLS: cert("carrier.example")})
		r.invite()
		invite := two.WantRequest(sip.INVITE)
		if uri := string(invite.RequestURI()); !strings.HasPrefix(uri, "sip") || !strings.Contains(uri, "@carrier.example") {
			r.Errorf("the Request-URI is %s", uri)
		}
		two.Reply(invite, 200, siptest.Body("application/sdp", answer))
		r.office.Send(r.office.Ack(r.office.Want(200)))
		two.WantRequest(sip.ACK)
		r.hangUp(r.office, two)
		one.WantSilence(time.Second)
		if out := r.last().Out; len(out) != 2 || !strings.Contains(out[0].Text, "carrier.example") {
			r.Errorf("the record says %+v", out)
		}
	})
}

// With neither port nor transport the peer's NAPTR records choose, between UDP
// and TCP; Via and Contact are those of a listener of that transport.
func TestPeerChoosesItsTransport(t *testing.T) {
	set := setting{shards: 1, targets: transport.TCP}
	names(t, set, "sip:carrier.example", ", accept_from: [192.0.2.20, 192.0.2.21]", func(r *named) {
		r.ns.Add(`carrier.example. 600 IN NAPTR 5 1 "s" "SIPS+D2T" "" _sips._tcp.carrier.example.`,
			`carrier.example. 600 IN NAPTR 10 1 "s" "SIP+D2T" "" _sip._tcp.carrier.example.`,
			`carrier.example. 600 IN NAPTR 20 1 "s" "SIP+D2U" "" _sip._udp.carrier.example.`)
		r.invite()
		invite := r.acme.WantRequest(sip.INVITE)
		if via := string(invite.First(sip.HdrVia)); !strings.HasPrefix(via, "SIP/2.0/TCP "+gatewayAddr+":5060;") {
			r.Errorf("Via: %s", via)
		}
		r.header(invite, sip.HdrContact, r.contact(transport.TCP))
		if uri := string(invite.RequestURI()); uri != "sip:+4930123@carrier.example" {
			r.Errorf("the Request-URI is %s", uri)
		}
		r.acme.Reply(invite, 200, siptest.Body("application/sdp", answer))
		r.office.Send(r.office.Ack(r.office.Want(200)))
		r.acme.WantRequest(sip.ACK)
		// The dialog goes on at the same server, on a new connection.
		r.acme.Accepted()
		r.acme.HangUp()
		time.Sleep(time.Second)
		bye := r.hangUp(r.office, r.acme)
		if via := string(bye.First(sip.HdrVia)); !strings.HasPrefix(via, "SIP/2.0/TCP "+gatewayAddr+":5060;") {
			r.Errorf("Via: %s", via)
		}
	})
	// With certificate names nothing but TLS will do, whatever the DNS offers.
	names(t, setting{targets: transport.TLS}, "sip:carrier.example", ", certificate_names: [acme.example]", func(r *named) {
		r.ns.Add(`carrier.example. 600 IN NAPTR 10 1 "s" "SIP+D2U" "" _sip._udp.carrier.example.`)
		r.invite()
		r.takes(r.acme)
		r.remotes("acme 192.0.2.20:5081")
	})
}

// A call that is up goes on at the server where it was, not at the one that is
// first in the DNS.
func TestDialogStaysAtItsServer(t *testing.T) {
	names(t, setting{targets: transport.TCP}, "sip:carrier.example;transport=tcp", ", accept_from: [192.0.2.20, 192.0.2.21]", func(r *named) {
		r.invite()
		r.refuse(r.acme, r.acme.WantRequest(sip.INVITE), 503)
		invite := r.acme2.WantRequest(sip.INVITE)
		r.acme2.Reply(invite, 200, siptest.Body("application/sdp", answer))
		r.office.Send(r.office.Ack(r.office.Want(200)))
		r.acme2.WantRequest(sip.ACK)
		time.Sleep(time.Minute) // the first one could be asked again
		r.acme2.Accepted()
		r.acme2.HangUp()
		time.Sleep(time.Second)
		r.hangUp(r.office, r.acme2)
		r.acme.WantSilence(time.Second)

		// When that has gone for good, another server of the peer may know the call.
		r.invite()
		invite = r.acme.WantRequest(sip.INVITE)
		r.acme.Reply(invite, 200, siptest.Body("application/sdp", answer))
		r.office.Send(r.office.Ack(r.office.Want(200)))
		r.acme.WantRequest(sip.ACK)
		r.acme.Close()
		r.office.Send(r.office.InDialog(sip.BYE))
		r.office.Want(200)
		bye := r.acme2.WantRequest(sip.BYE)
		r.acme2.Reply(bye, 481)
	})
}

// A reload takes other name servers, and keeps what is known while they stay.
func TestReloadOfTheResolver(t *testing.T) {
	names(t, setting{targets: transport.TCP}, "sip:carrier.example;transport=tcp", ", accept_from: []", func(r *named) {
		before := r.snapshot.Load().resolver
		r.write(r.dir, "sallyport.yaml", []byte(r.set.file+"drain: 7s\n"))
		if got := r.Reload(); len(got.Problems) > 0 {
			r.Fatal(got.Problems)
		}
		if r.snapshot.Load().resolver != before {
			r.Error("the cache went with a reload that has the same servers")
		}
		const other = "192.0.2.54:53"
		testdns.Start(r.T, r.net, addrPort(other), "_sip._tcp.carrier.example. 60 IN SRV 0 0 5091 a.example.", "a.example. 60 IN A 192.0.2.21")
		r.write(r.dir, "sallyport.yaml", []byte(strings.Replace(r.set.file, nsAddr, other, 1)))
		if got := r.Reload(); len(got.Problems) > 0 {
			r.Fatal(got.Problems)
		}
		r.invite()
		r.takes(r.acme2)
		if asked := r.ns.Asked(); len(asked) > 0 {
			r.Errorf("the first name server was asked %q", asked)
		}
	})
}

// Over UDP only addresses of the listener's family can be.
func TestFamilyOfTheListener(t *testing.T) {
	names(t, setting{targets: transport.UDP}, "sip:two.example;transport=udp", ", accept_from: [192.0.2.20]", func(r *named) {
		r.ns.Add("_sip._udp.two.example. 60 IN SRV 0 0 5081 both.example.", "both.example. 60 IN AAAA 2001:db8::20", "both.example. 60 IN A 192.0.2.20")
		r.invite()
		r.takes(r.acme)
		r.remotes("acme 192.0.2.20:5081")
		for _, asked := range r.ns.Asked() {
			if strings.HasPrefix(asked, "AAAA") {
				r.Errorf("asked %s", asked)
			}
		}
	})
}
