package gateway

import (
	"strings"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// The word for a call, by its hops and by what its INVITE claims. It is the same in
// the record, the flow, the list of calls and the count.
func TestVerdictOfACall(t *testing.T) {
	const tcp, udp, tls = transport.TCP, transport.UDP, transport.TLS
	to := func(uri string) siptest.Option { return siptest.Set("To", "<"+uri+">") }
	via := func(protocol string) siptest.Option {
		return siptest.Add("Via", "SIP/2.0/"+protocol+" 203.0.113.1;branch=z9hG4bKbeyond")
	}
	for _, test := range []struct {
		name            string
		office, targets transport.Transport
		profile         string // of acme
		uri             string
		options         []siptest.Option
		word, why       string
		claim           string // one of them
	}{
		{"sips and mutual TLS", tls, tls, "", sipsNumber, nil, callflow.Secured, "both sides", "sips: in the Request-URI"},
		{"sips, and TLS before us", tls, tls, "", sipsNumber, []siptest.Option{via("TLS"), via("WSS"), via("TLS-SCTP")}, callflow.Secured, "", "Via: the hops before ours were over TLS"},
		{"sip over TLS", tls, tls, "", number, nil, callflow.HopByHop, "not sips:", ""},
		{"sip over TLS, and TLS before us", tls, tls, "", number, []siptest.Option{via("TLS")}, callflow.HopByHop, "", "Via: the hops before ours were over TLS"},
		{"sip over TLS, and UDP before us", tls, tls, "", number, []siptest.Option{via("UDP")}, callflow.HopByHop, "", "Via: a hop before ours was not over TLS"},
		{"sip made sips by the target's profile", tls, tls, "required", number, nil, callflow.HopByHop, "not sips: throughout", ""},
		{"sips by a Record-Route of sip", tls, tls, "", sipsNumber, set1("Record-Route", "<sip:p.example;transport=tls;lr>"), callflow.HopByHop, "Record-Route", "Record-Route"},
		{"sips only on its way here", tls, tls, "", sipsNumber, []siptest.Option{to(number)}, callflow.HopByHop, "on its way", "sip: in To"},
		{"sips only on its way here, by History-Info", tls, tls, "", sipsNumber, set1("History-Info", "<sip:a@b.example>;index=1, <sips:a@b.example>;index=1.1"), callflow.HopByHop, "on its way", "it was sip: once"},
		{"a tel: in To says nothing", tls, tls, "", sipsNumber, []siptest.Option{to("tel:+4930123")}, callflow.Secured, "", ""},
		{"a plain caller", tcp, tls, "", number, nil, callflow.Partly, "", ""},
		{"a plain caller, made sips", udp, tls, "required", number, nil, callflow.Partly, "", ""},
		{"a plain target", tls, udp, "", number, nil, callflow.Partly, "", ""},
		{"plain", udp, tcp, "", number, nil, callflow.Plain, "", ""},
		{"UDP before us in a sips call", tls, tls, "", sipsNumber, []siptest.Option{via("TLS"), via("UDP")}, callflow.Downgraded, "Via", "Via: a hop before ours was not over TLS"},
		{"addressed to sips", tls, tls, "", number, []siptest.Option{to(sipsNumber)}, callflow.Downgraded, "addressed to sips:", "sips: in To"},
		{"addressed to sips, and all is plain", udp, udp, "", number, []siptest.Option{to(sipsNumber)}, callflow.Downgraded, "", "sips: in To"},
		{"sips once", tls, tls, "", number, set1("History-Info", "<sips:a@b.example>;index=1"), callflow.Downgraded, "History-Info", "it was sips: once"},
	} {
		t.Run(test.name, func(t *testing.T) {
			set := setting{shards: 1, office: test.office, targets: test.targets, profiles: map[string]string{"acme": test.profile}, routes: "{from: [office], to: [acme]}"}
			run(t, set, func(r *rig) {
				contact := "<sip:office@" + officeAddr + ";transport=" + test.office.String() + ">"
				if test.uri == sipsNumber {
					contact = sipsContact
				}
				r.office.Send(r.office.Request(sip.INVITE, test.uri, append([]siptest.Option{siptest.Set("Contact", contact)}, test.options...)...))
				r.office.Want(100)
				invite := r.acme.WantRequest(sip.INVITE)
				scheme, _, _ := strings.Cut(string(invite.RequestURI()), ":")
				r.acme.Reply(invite, 200, siptest.Set("Contact", "<"+scheme+":acme@"+acmeAddr+">"))
				r.office.Send(r.office.Ack(r.office.Want(200)))
				r.acme.WantRequest(sip.ACK)
				live := r.CallInfo()[0].Security
				r.hangUp(r.acme, r.office)
				got := r.last()
				if got.Verdict != test.word || !strings.Contains(got.VerdictWhy, test.why) || live.Word != test.word || live.Why != got.VerdictWhy {
					r.Errorf("the record has %q, %q; the call %q", got.Verdict, got.VerdictWhy, live.Word)
				}
				if got.In.SIPS != (test.uri == sipsNumber) || got.Out[0].SIPS != (scheme == "sips") {
					r.Errorf("sips: in %v, out %v", got.In.SIPS, got.Out[0].SIPS)
				}
				if claims := strings.Join(live.Claims, "; "); !strings.Contains(claims, test.claim) {
					r.Errorf("claims: %s", claims)
				}
				ladder := strings.Join(strings.Fields(r.ladder()), " ")
				if !strings.Contains(ladder, "signalling "+test.word+": "+live.Why[:20]) || test.claim != "" && !strings.Contains(ladder, "claimed, not seen: ") {
					r.Errorf("the ladder is\n%s", r.ladder())
				}
				for word, n := range r.Verdicts() {
					if want := uint64(0); word == test.word && n != 1 || word != test.word && n != want {
						r.Errorf("%d calls are counted as %s", n, word)
					}
				}
			})
		})
	}
}

// The worst counts: a target that took the INVITE in clear and gave way to one over TLS.
func TestVerdictCountsTargetsThatWereGivenUp(t *testing.T) {
	set := setting{shards: 1, office: transport.TLS, targets: transport.TLS}
	set.file = strings.Replace(file(set), `acme: {uri: "sip:`+acmeAddr+`;transport=tls", certificate_names: [acme.example]}`,
		`acme: {uri: "sip:`+acmeAddr+`;transport=tcp"}`, 1)
	run(t, set, func(r *rig) {
		r.acme.Close()
		plain := r.peer("acme", transport.TCP, acmeAddr)
		r.invite()
		r.refuse(plain, plain.WantRequest(sip.INVITE), 503)
		invite := r.backup.WantRequest(sip.INVITE)
		r.backup.Reply(invite, 200)
		r.office.Send(r.office.Ack(r.office.Want(200)))
		r.backup.WantRequest(sip.ACK)
		r.hangUp(r.backup, r.office)
		if got := r.last(); got.Verdict != callflow.Partly || got.Out[0].KnownBy != "address" || got.Out[1].KnownBy != "certificate" {
			r.Errorf("%s: %+v", got.Verdict, got)
		}
	})
}

// The worst counts: a call that goes on over another connection, without TLS; and a
// peer without a certificate is known by its address alone.
func TestVerdictFollowsTheConnections(t *testing.T) {
	set := setting{shards: 1, office: transport.UDP, targets: transport.TLS, extra: map[string]string{"office": `accept_from: ["192.0.2.10"]`}}
	set.file = strings.Replace(file(set), "client_certificates: required", "client_certificates: optional", 1)
	for _, moves := range []bool{false, true} {
		run(t, set, func(r *rig) {
			cfg := r.tls("office.example")
			cfg.Certificates = nil
			over := siptest.New(r.T, siptest.Config{Name: "officetls", Transport: transport.TLS, Network: r.net, Addr: addrPort("192.0.2.10:7000"), TLS: cfg})
			over.Dial(r.listener(transport.TLS))
			over.Send(over.Request(sip.INVITE, number))
			over.Want(100)
			invite := r.acme.WantRequest(sip.INVITE)
			r.acme.Reply(invite, 200)
			over.Send(over.Ack(over.Want(200)))
			r.acme.WantRequest(sip.ACK)
			if got := r.last(); got.Verdict != callflow.Unproven || got.In.KnownBy != "address" || got.In.TLS == nil {
				r.Errorf("%s: %+v", got.Verdict, got.In)
			}
			want := callflow.Unproven
			if moves {
				want = callflow.Partly
				info := over.InDialog(sip.INFO)
				r.office.Send(strings.Replace(info, "SIP/2.0/TLS 192.0.2.10:7000", "SIP/2.0/UDP "+officeAddr, 1))
				r.acme.Reply(r.acme.WantRequest(sip.INFO), 200)
				r.office.Want(200)
				time.Sleep(time.Second)
			}
			r.hangUp(r.acme, over)
			if got := r.last(); got.Verdict != want {
				r.Errorf("%s, want %s", got.Verdict, want)
			}
			ladder := r.ladder()
			if !strings.Contains(ladder, "signalling "+want) || strings.Contains(ladder, "at times without TLS") != moves {
				r.Errorf("the ladder is\n%s", ladder)
			}
		})
	}
}
