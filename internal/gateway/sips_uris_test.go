package gateway

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow/export"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

const (
	sipsNumber  = "sips:+4930123@gw.example"
	sipContact  = "<sip:office@" + officeAddr + ";transport=tls>"
	sipsContact = "<sips:office@" + officeAddr + ">"
	acmeSIPS    = "<sips:acme@" + acmeAddr + ">"
)

// The URIs of a request agree about sips:, or it is refused (RFC 5630 §5.1.1, §5.1.2).
func TestURIsOfARequestAgreeAboutSIPS(t *testing.T) {
	for _, test := range []struct {
		name    string
		office  transport.Transport
		profile string
		uri     string
		options []siptest.Option
		code    int    // 0: it goes on
		warning string // its code
		contact string // scheme of our Contact towards the caller, when it goes on
	}{
		{"sips with a sips Contact", transport.TLS, "", sipsNumber, nil, 0, "", "sips"},
		{"sips with transport=tcp, which is TLS over TCP", transport.TLS, "", sipsNumber + ";transport=tcp", nil, 0, "", "sips"},
		{"sips with the old transport=tls", transport.TLS, "", sipsNumber + ";transport=tls", nil, 0, "", "sips"},
		{"sips with transport=wss", transport.TLS, "", sipsNumber + ";transport=wss", nil, 0, "", "sips"},
		{"sips with transport=udp", transport.TLS, "", sipsNumber + ";transport=udp", nil, 400, "", ""},
		{"sips with a sip Contact", transport.TLS, "", sipsNumber, set1("Contact", sipContact), 400, "", ""},
		{"sips with a sip Contact behind a sips Record-Route", transport.TLS, "", sipsNumber,
			[]siptest.Option{siptest.Set("Contact", sipContact), siptest.Set("Record-Route", "<sips:p.example;lr>")}, 400, "", ""},
		{"sips with a Contact of sips;transport=udp", transport.TLS, "", sipsNumber, set1("Contact", "<sips:office@"+officeAddr+";transport=udp>"), 400, "", ""},
		{"sip with transport=tls is sip over TLS", transport.TLS, "", number + ";transport=tls", set1("Contact", sipContact), 0, "", "sip"},
		{"sip with a sips Contact", transport.TLS, "", number, nil, 0, "", "sips"},
		{"sip with a sips Record-Route", transport.TLS, "", number,
			[]siptest.Option{siptest.Set("Contact", sipContact), siptest.Set("Record-Route", "<sips:p.example;lr>")}, 0, "", "sips"},
		{"sip with a sips Contact behind a sip Record-Route", transport.TLS, "", number,
			[]siptest.Option{siptest.Set("Record-Route", "<sip:p.example;transport=tls;lr>")}, 0, "", "sip"},
		{"sip with a sips Contact, and the profile has sips: never", transport.TLS, "never", number, nil, 480, "380", ""},
		{"sip with a sips Contact over TCP", transport.TCP, "", number, nil, 400, "", ""},
		{"sip with a sips Contact over UDP", transport.UDP, "", number, nil, 400, "", ""},
		{"sip with a sips Record-Route over TCP", transport.TCP, "", number,
			[]siptest.Option{siptest.Set("Contact", "<sip:office@"+officeAddr+";transport=tcp>"), siptest.Set("Record-Route", "<sips:p.example;lr>")}, 400, "", ""},
		{"sip with a sips Route over TCP", transport.TCP, "", number,
			[]siptest.Option{siptest.Set("Contact", "<sip:office@"+officeAddr+";transport=tcp>"), siptest.Set("Route", "<sips:gw.example;lr>")}, 400, "", ""},
		{"sips over TCP", transport.TCP, "", sipsNumber, nil, 480, "380", ""},
		{"sips over UDP", transport.UDP, "", sipsNumber, nil, 480, "380", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			set := setting{shards: 1, office: test.office, targets: transport.TLS, profiles: map[string]string{"office": test.profile}}
			run(t, set, func(r *rig) {
				options := append([]siptest.Option{siptest.Set("Contact", sipsContact)}, test.options...)
				r.office.Send(r.office.Request(sip.INVITE, test.uri, options...))
				r.office.Want(100)
				if test.code > 0 {
					m := r.refused(test.code)
					if got, _, _ := strings.Cut(string(m.First(sip.HdrWarning)), " "); got != test.warning {
						r.Errorf("Warning %q, want %q", got, test.warning)
					}
					r.acme.WantSilence(time.Second)
					return
				}
				invite := r.acme.WantRequest(sip.INVITE)
				scheme := test.uri[:strings.Index(test.uri, ":")+1]
				r.schemes(invite, scheme) // whatever the caller's Contact: the call is what its Request-URI says
				r.acme.Reply(invite, 200, siptest.Set("Contact", "<"+scheme+"acme@"+acmeAddr+">"))
				ok := r.office.Want(200)
				r.header(ok, sip.HdrContact, map[string]string{
					"sips": "<sips:" + r.listener(transport.TLS).String() + ">",
					"sip":  "<sip:" + r.listener(transport.TLS).String() + ";transport=tls>",
				}[test.contact])
				r.office.Send(r.office.Ack(ok))
				r.acme.WantRequest(sip.ACK)
				bye := r.hangUp(r.acme, r.office)
				for _, v := range [][]byte{bye.RequestURI(), bye.First(sip.HdrRoute)} {
					if scheme == "sips:" && len(v) > 0 && !strings.Contains(string(v), "sips:") {
						r.Errorf("in the BYE of a sips: dialog there is %s", v)
					}
				}
			})
		})
	}
}

func set1(name, value string) []siptest.Option { return []siptest.Option{siptest.Set(name, value)} }

// A route set of sip: URIs becomes one of sips: URIs in a sips: dialog, on both sides
// (RFC 5630 §5.1.1).
func TestRoutesOfASIPSDialogAreRaised(t *testing.T) {
	run(t, setting{shards: 1, office: transport.TLS, targets: transport.TLS}, func(r *rig) {
		r.office.Send(r.office.Request(sip.INVITE, sipsNumber, siptest.Set("Contact", sipsContact),
			siptest.Set("Record-Route", "<sips:p1.example;lr>, <sip:p2.example;transport=tls;lr>")))
		r.office.Want(100)
		invite := r.acme.WantRequest(sip.INVITE)
		r.acme.Reply(invite, 200, siptest.Set("Contact", acmeSIPS), siptest.Set("Record-Route", `"Two" <SIP:p4.example;lr>, <sips:p3.example;lr>`))
		ok := r.office.Want(200)
		r.office.Send(r.office.Ack(ok))
		ack := r.acme.WantRequest(sip.ACK)
		r.routes(ack, "<sips:p3.example;lr>", `"Two" <sips:p4.example;lr>`)
		r.acme.Send(r.acme.InDialog(sip.INFO, siptest.Body("text/plain", "x")))
		info := r.office.WantRequest(sip.INFO)
		r.routes(info, "<sips:p1.example;lr>", "<sips:p2.example;transport=tls;lr>")
		r.office.Reply(info, 200)
		r.acme.Want(200)
		r.hangUp(r.acme, r.office)
	})
}

// So in a call that is not sips:, once the other side's Contact is.
func TestRoutesToASIPSTargetAreRaised(t *testing.T) {
	run(t, setting{shards: 1, office: transport.TLS, targets: transport.TLS}, func(r *rig) {
		r.invite()
		r.acme.Reply(r.acme.WantRequest(sip.INVITE), 200, siptest.Set("Contact", acmeSIPS), siptest.Set("Record-Route", "<sip:p.example;transport=tls;lr>"))
		r.office.Send(r.office.Ack(r.office.Want(200)))
		r.routes(r.acme.WantRequest(sip.ACK), "<sips:p.example;transport=tls;lr>")
		r.hangUp(r.office, r.acme)
	})
}

func (r *rig) routes(m *siptest.Message, want ...string) {
	r.Helper()
	var got []string
	for v := range m.Values(sip.HdrRoute) {
		got = append(got, string(v))
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		r.Errorf("%s has Route %q, want %q", m.Method(), got, want)
	}
}

// A target that answers a sips: call with a sip: Contact has not taken it: it gets ACK
// and BYE, and the caller 480 with Warning 380. So for sips: where there is no TLS.
func TestAnswersWithTheWrongSchemeMakeNoCall(t *testing.T) {
	for _, test := range []struct {
		name    string
		targets transport.Transport
		uri     string
		answer  []siptest.Option
		bye     string // scheme of the Request-URI of ACK and BYE
	}{
		{"sip Contact in a sips call", transport.TLS, sipsNumber, set1("Contact", "<sip:acme@"+acmeAddr+";transport=tls>"), "sips:"},
		{"sips Contact on TCP", transport.TCP, number, set1("Contact", acmeSIPS), "sip:"},
		{"sips Contact on UDP", transport.UDP, number, set1("Contact", acmeSIPS), "sip:"},
		{"sips Record-Route on TCP", transport.TCP, number, set1("Record-Route", "<sips:p.example;lr>"), "sip:"},
	} {
		t.Run(test.name, func(t *testing.T) {
			set := setting{shards: 1, office: transport.TLS, targets: test.targets, routes: "{from: [office], to: [acme]}"}
			run(t, set, func(r *rig) {
				contact := sipContact
				if test.uri == sipsNumber {
					contact = sipsContact
				}
				r.office.Send(r.office.Request(sip.INVITE, test.uri, siptest.Set("Contact", contact)))
				r.office.Want(100)
				invite := r.acme.WantRequest(sip.INVITE)
				r.acme.Reply(invite, 200, test.answer...)
				for _, method := range []sip.Method{sip.ACK, sip.BYE} {
					m := r.acme.WantRequest(method)
					if !strings.HasPrefix(string(m.RequestURI()), test.bye) || m.Has(sip.HdrRoute) {
						r.Errorf("%s %s, Route %s", method, m.RequestURI(), m.First(sip.HdrRoute))
					}
					if method == sip.BYE {
						r.acme.Reply(m, 200)
					}
				}
				m := r.refused(480)
				if got := string(m.First(sip.HdrWarning)); !strings.HasPrefix(got, "380 ") {
					r.Errorf("Warning %q", got)
				}
				if why := r.last().Out[0].Text; !strings.Contains(why, "answered 200, and its ") {
					r.Errorf("the record says %q", why)
				}
			})
		})
	}
}

// A provisional response with such a Contact rings all the same, without a dialog.
func TestRingingWithTheWrongSchemeMakesNoDialog(t *testing.T) {
	run(t, setting{shards: 1, office: transport.TLS, targets: transport.TLS}, func(r *rig) {
		r.office.Send(r.office.Request(sip.INVITE, sipsNumber, siptest.Set("Contact", sipsContact)))
		r.office.Want(100)
		invite := r.acme.WantRequest(sip.INVITE)
		r.acme.Reply(invite, 180, siptest.Set("Contact", "<sip:elsewhere@"+acmeAddr+">"))
		r.office.Want(180)
		r.acme.Reply(invite, 200, siptest.Set("Contact", acmeSIPS))
		r.office.Send(r.office.Ack(r.office.Want(200)))
		if ack := r.acme.WantRequest(sip.ACK); string(ack.RequestURI()) != "sips:acme@"+acmeAddr {
			r.Errorf("the ACK is for %s", ack.RequestURI())
		}
		r.hangUp(r.office, r.acme)
	})
}

// Inside a sips: dialog no target moves to sip: (RFC 5630 §5.1.1.2, §5.1.2): a request
// gets 400, and the Contact of a 2xx is passed over with a note. Ours are sips: then.
func TestTargetsOfASIPSDialogStaySIPS(t *testing.T) {
	run(t, setting{shards: 1, office: transport.TLS, targets: transport.TLS}, func(r *rig) {
		r.office.Send(r.office.Request(sip.INVITE, sipsNumber, siptest.Set("Contact", sipsContact)))
		r.office.Want(100)
		invite := r.acme.WantRequest(sip.INVITE)
		r.acme.Reply(invite, 200, siptest.Set("Contact", acmeSIPS))
		r.office.Send(r.office.Ack(r.office.Want(200)))
		r.acme.WantRequest(sip.ACK)
		for _, method := range []sip.Method{sip.INVITE, sip.UPDATE} {
			r.acme.Send(r.acme.InDialog(method, siptest.Set("Contact", "<sip:acme@"+acmeAddr+">")))
			if method == sip.INVITE {
				r.acme.Want(100)
			}
			m := r.acme.Want(400)
			if method == sip.INVITE {
				r.acme.Send(r.acme.Ack(m))
			}
		}
		r.office.WantSilence(time.Second)

		r.office.Send(r.office.InDialog(sip.UPDATE, siptest.Set("Contact", "<sips:moved@"+officeAddr+">")))
		update := r.acme.WantRequest(sip.UPDATE)
		r.header(update, sip.HdrContact, "<sips:"+r.listener(transport.TLS).String()+">")
		r.acme.Reply(update, 200, siptest.Set("Contact", "<sip:down@"+acmeAddr+">"))
		ok := r.office.Want(200)
		r.header(ok, sip.HdrContact, "<sips:"+r.listener(transport.TLS).String()+">")
		bye := r.hangUp(r.office, r.acme)
		if string(bye.RequestURI()) != "sips:acme@"+acmeAddr {
			r.Errorf("after the 2xx the BYE goes to %s", bye.RequestURI())
		}
		if !strings.Contains(r.ladder(), "its target stays where it was") {
			r.Errorf("no note in the flow:\n%s", r.ladder())
		}
	})
}

// In a sips: dialog nothing is taken that came over a plain hop, whoever it came from.
func TestSIPSDialogsTakeNothingFromAPlainHop(t *testing.T) {
	set := setting{shards: 1, office: transport.UDP, targets: transport.TLS, extra: map[string]string{"office": `accept_from: ["192.0.2.10"]`},
		keys: ""}
	set.file = strings.Replace(file(set), "client_certificates: required", "client_certificates: optional", 1)
	run(t, set, func(r *rig) {
		cfg := r.tls("office.example")
		cfg.Certificates = nil // known by its address
		secure := siptest.New(r.T, siptest.Config{Name: "officetls", Transport: transport.TLS, Network: r.net, Addr: addrPort("192.0.2.10:7000"), TLS: cfg})
		secure.Dial(r.listener(transport.TLS))
		secure.Send(secure.Request(sip.INVITE, sipsNumber, siptest.Set("Contact", "<sips:office@192.0.2.10:7000>")))
		secure.Want(100)
		invite := r.acme.WantRequest(sip.INVITE)
		r.acme.Reply(invite, 200, siptest.Set("Contact", acmeSIPS))
		secure.Send(secure.Ack(secure.Want(200)))
		r.acme.WantRequest(sip.ACK)
		bye := secure.InDialog(sip.BYE)
		r.office.Send(strings.Replace(bye, "SIP/2.0/TLS 192.0.2.10:7000", "SIP/2.0/UDP "+officeAddr, 1))
		m := r.office.Want(480)
		if got := string(m.First(sip.HdrWarning)); !strings.HasPrefix(got, "380 ") {
			r.Errorf("Warning %q", got)
		}
		r.acme.WantSilence(time.Second)
		r.hangUp(r.acme, secure)
	})
}

// A redirection is not followed. What leads to the other scheme only is told to the
// caller as what it is (RFC 5630 §5.3).
func TestRedirectionsToTheOtherSchemeAreTold(t *testing.T) {
	for _, test := range []struct{ uri, contact, warning string }{
		{sipsNumber, "<sip:else@else.example>", "380"},
		{sipsNumber, "<sip:else@else.example>, <sips:other@else.example>", ""},
		{sipsNumber, "<tel:+4930>", ""},
		{number, "<sips:else@else.example>", "381"},
		{number, "<sip:else@else.example>", ""},
	} {
		t.Run(test.uri+" to "+test.contact, func(t *testing.T) {
			run(t, setting{shards: 1, office: transport.TLS, targets: transport.TLS, routes: "{from: [office], to: [acme]}"}, func(r *rig) {
				contact := sipContact
				if test.uri == sipsNumber {
					contact = sipsContact
				}
				r.office.Send(r.office.Request(sip.INVITE, test.uri, siptest.Set("Contact", contact)))
				r.office.Want(100)
				r.refuse(r.acme, r.acme.WantRequest(sip.INVITE), 302, siptest.Set("Contact", test.contact))
				m := r.refused(480)
				if got, _, _ := strings.Cut(string(m.First(sip.HdrWarning)), " "); got != test.warning || m.Has(sip.HdrContact) {
					r.Errorf("Warning %q, Contact %q", got, m.First(sip.HdrContact))
				}
				r.office.Send(r.office.Request(sip.MESSAGE, test.uri, siptest.Drop("Contact"), siptest.Body("text/plain", "hello")))
				r.acme.Reply(r.acme.WantRequest(sip.MESSAGE), 302, siptest.Set("Contact", test.contact))
				m = r.office.Want(480)
				if got, _, _ := strings.Cut(string(m.First(sip.HdrWarning)), " "); got != test.warning {
					r.Errorf("to MESSAGE: Warning %q", got)
				}
				r.acme.WantSilence(time.Second)
			})
		})
	}
}

// What a target says against sips: crosses, and nothing is tried again as sip:
// (RFC 5630 §5.1.1, §5.3).
func TestRefusalsOfSIPSAreNotTriedAgain(t *testing.T) {
	for code, warning := range map[int]string{416: "", 480: `380 192.0.2.20 "SIPS Not Allowed"`} {
		run(t, setting{shards: 1, office: transport.TLS, targets: transport.TLS}, func(r *rig) {
			r.office.Send(r.office.Request(sip.INVITE, sipsNumber, siptest.Set("Contact", sipsContact)))
			r.office.Want(100)
			options := []siptest.Option{siptest.Drop("X-None")}
			if warning != "" {
				options = set1("Warning", warning)
			}
			r.refuse(r.acme, r.acme.WantRequest(sip.INVITE), code, options...)
			m := r.refused(code)
			if got := string(m.First(sip.HdrWarning)); warning != "" && got != `380 `+r.listener(transport.TLS).String()+` "SIPS Not Allowed"` {
				r.Errorf("Warning %q", got)
			}
			r.acme.WantSilence(time.Second)
			r.backup.WantSilence(time.Second)
		})
	}
}

// A REFER from sips: to sip: crosses as it is, with a note, where no side demands
// sips:; where one does it gets 480 with Warning 381 (RFC 5630 §5.1.1.3).
func TestReferDoesNotLeadFromSIPSToSIPUnseen(t *testing.T) {
	for _, test := range []struct {
		profile, to string
		refused     bool
	}{
		{"allowed", "<sip:third@third.example>", false},
		{"allowed", "<sips:third@third.example>", false},
		{"required", "<sip:third@third.example>", true},
		{"required", "<sips:third@third.example>", false},
		{"required", "<http://third.example/>", false},
	} {
		t.Run(test.profile+" to "+test.to, func(t *testing.T) {
			set := setting{shards: 1, office: transport.TLS, targets: transport.TLS, profiles: map[string]string{"acme": "sure", "office": "refers"},
				more: "  sure: {sips: " + test.profile + ", relay: [refer]}\n  refers: {relay: [refer]}\n"}
			run(t, set, func(r *rig) {
				r.office.Send(r.office.Request(sip.INVITE, sipsNumber, siptest.Set("Contact", sipsContact)))
				r.office.Want(100)
				r.acme.Reply(r.acme.WantRequest(sip.INVITE), 200, siptest.Set("Contact", acmeSIPS))
				r.office.Send(r.office.Ack(r.office.Want(200)))
				r.acme.WantRequest(sip.ACK)
				check := func(send string) {
					r.office.Send(send)
					if test.refused {
						m := r.office.Want(480)
						if got := string(m.First(sip.HdrWarning)); !strings.HasPrefix(got, "381 ") {
							r.Errorf("Warning %q", got)
						}
						return
					}
					refer := r.acme.WantRequest(sip.REFER)
					r.header(refer, sip.HdrReferTo, test.to)
					r.header(refer, sip.HdrReferredBy, "<sips:office@office.example>")
					r.acme.Reply(refer, 603, siptest.Set("Contact", acmeSIPS))
					r.office.Want(603)
				}
				refer := []siptest.Option{siptest.Set("Refer-To", test.to), siptest.Set("Contact", sipsContact), siptest.Set("Referred-By", "<sips:office@office.example>")}
				check(r.office.InDialog(sip.REFER, refer...))
				r.hangUp(r.acme, r.office)
				check(r.office.Request(sip.REFER, sipsNumber, refer...))
				if noted := strings.Contains(r.ladder(), "refers from a sips: call to a sip: URI"); noted != (test.profile == "allowed" && strings.HasPrefix(test.to, "<sip:")) {
					r.Errorf("noted: %v\n%s", noted, r.ladder())
				}
				if test.refused {
					r.acme.WantSilence(time.Second)
				}
			})
		})
	}
}

// In the dialogs of a subscription the same holds.
func TestSubscriptionsOfSIPSStaySIPS(t *testing.T) {
	run(t, setting{shards: 1, office: transport.TLS, targets: transport.TLS}, func(r *rig) {
		subscribe := about(siptest.Set("Contact", sipsContact))
		r.office.Send(r.office.Request(sip.SUBSCRIBE, sipsNumber, subscribe...))
		m := r.acme.WantRequest(sip.SUBSCRIBE)
		r.acme.Reply(m, 200, siptest.Set("Contact", "<sip:acme@"+acmeAddr+">"), expires("600"))
		refusal := r.office.Want(480)
		if got := string(refusal.First(sip.HdrWarning)); !strings.HasPrefix(got, "380 ") {
			r.Errorf("Warning %q", got)
		}

		r.office.Send(r.office.Request(sip.SUBSCRIBE, sipsNumber, subscribe...))
		m = r.acme.WantRequest(sip.SUBSCRIBE)
		r.acme.Reply(m, 200, siptest.Set("Contact", acmeSIPS), expires("600"))
		r.office.Want(200)
		notify := func(scheme, state string) string {
			return r.acme.InDialog(sip.NOTIFY, siptest.Set("Event", "presence"), siptest.Set("Contact", "<"+scheme+":acme@"+acmeAddr+">"), siptest.Set("Subscription-State", state))
		}
		r.acme.Send(notify("sip", "active;expires=600"))
		r.acme.Want(400)
		r.acme.Send(notify("sips", "terminated"))
		n := r.office.WantRequest(sip.NOTIFY)
		if !strings.HasPrefix(string(n.RequestURI()), "sips:") {
			r.Errorf("the NOTIFY is for %s", n.RequestURI())
		}
		r.office.Reply(n, 200)
		r.acme.Want(200)
	})
}

// ladder draws all flows.
func (r *rig) ladder() string {
	synctest.Wait()
	var b strings.Builder
	for _, f := range r.recorder.Flows() {
		if err := export.Ladder(&b, f, export.Options{}); err != nil {
			r.Error(err)
		}
	}
	return b.String()
}
