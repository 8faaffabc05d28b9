package gateway

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/internal/store"
	"github.com/sallyport-sip/sallyport/internal/testca"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// told checks that the flow of the last call has some words.
func (r *rig) told(words ...string) {
	r.Helper()
	flows := r.recorder.Flows()
	if len(flows) == 0 {
		r.Fatal("no call was recorded")
	}
	last := flows[len(flows)-1]
	var lines []string
	for _, e := range last.Joins {
		lines = append(lines, e.String())
	}
	for _, row := range last.Rows {
		lines = append(lines, row.Label+" "+row.Note)
	}
	text := strings.Join(lines, "\n")
	for _, w := range words {
		if !strings.Contains(text, w) {
			r.Errorf("the flow does not say %q:\n%s", w, text)
		}
	}
}

// served makes a call that backup takes, while acme hears nothing of it.
func (r *rig) served(by *siptest.Peer) {
	r.Helper()
	r.invite()
	invite := by.WantRequest(sip.INVITE)
	by.Reply(invite, 200)
	r.office.Send(r.office.Ack(r.office.Want(200)))
	by.WantRequest(sip.ACK)
	r.hangUp(r.office, by)
}

// A target that could not be reached is not asked for down_for; then one call
// tries it again, and it is up when that one is answered.
func TestDownTargetIsPassedOver(t *testing.T) {
	streams(t, func(r *rig) {
		r.acme.Close()
		r.served(r.backup)
		r.down("acme", "refused")
		r.told("acme is down: peer acme: dial")
		if got := r.last(); len(got.Out) != 2 || got.Out[0].Peer != "acme" || got.Out[0].Code != 0 || !strings.Contains(got.Out[0].Text, "dial") || got.Out[0].New {
			r.Errorf("the record says %+v", got.Out)
		}

		time.Sleep(29 * time.Second)
		r.served(r.backup)
		r.told("acme is passed over: down for another", "target 1 of 2: backup")
		if got := r.last(); len(got.Out) != 1 || got.Out[0].Peer != "backup" {
			r.Errorf("the record says %+v", got.Out)
		}

		time.Sleep(2 * time.Second)
		r.acme = r.peer("acme", r.set.targets, acmeAddr)
		r.invite()
		first := r.acme.WantRequest(sip.INVITE)
		r.served(r.backup) // a second one does not wait for what becomes of the first
		r.told("acme is passed over: down for another")
		r.acme.Reply(first, 180)
		r.office.Want(180)
		r.up("acme")
		r.acme.Reply(first, 486)
		r.acme.WantRequest(sip.ACK)
		r.office.Want(486)
		r.served(r.acme)
		for _, news := range []string{`msg="peer is down" peer=acme`, `msg="peer is up again" peer=acme`} {
			if n := strings.Count(r.log.String(), news); n != 1 {
				r.Errorf("%d lines %s", n, news)
			}
		}
	})
}

// When it fails again, it is down for as long again.
func TestDownTargetThatFailsAgain(t *testing.T) {
	run(t, setting{targets: transport.TCP}, func(r *rig) {
		r.acme.Close()
		for _, asked := range []int{2, 1, 2, 1} { // every 16 s: each second call asks acme
			r.served(r.backup)
			if got := r.last(); len(got.Out) != asked {
				r.Errorf("asked %+v, want %d", got.Out, asked)
			}
			time.Sleep(16 * time.Second)
		}
	})
}

// Better to try than to refuse: when all are down, they are asked in order.
func TestWhenAllTargetsAreDownTheyAreAsked(t *testing.T) {
	hops(t, func(r *rig) {
		fail := func() {
			invite := r.acme.WantRequest(sip.INVITE)
			r.acme.Reply(invite, 100) // which says nothing yet
			r.refuse(r.acme, invite, 503)
			r.refuse(r.backup, r.backup.WantRequest(sip.INVITE), 503)
			r.refused(503)
		}
		r.invite()
		fail()
		r.down("acme", "answered 503")
		r.down("backup", "answered 503")
		r.invite()
		fail()
		r.told("acme is asked all the same", "backup is asked all the same")
		if strings.Contains(r.log.String(), "up again") {
			r.Error("one of them came up by saying that it is busy")
		}
		r.served(r.acme)
		r.up("acme")
		r.down("backup", "answered 503")
	})
}

// Among those, too, nobody waits for a silent one while there is another.
func TestSilenceWhenAllTargetsAreDown(t *testing.T) {
	run(t, plain, func(r *rig) {
		r.invite()
		r.refuse(r.acme, r.acme.WantRequest(sip.INVITE), 503)
		r.refuse(r.backup, r.backup.WantRequest(sip.INVITE), 503)
		r.refused(503)
		r.invite()
		invite := r.acme.WantRequest(sip.INVITE)
		for range 4 {
			r.acme.WantAgain(invite)
		}
		second := r.backup.WantRequest(sip.INVITE)
		if after := second.At.Sub(invite.At); after != 8*time.Second {
			r.Errorf("the second target was asked after %v, want 8s", after)
		}
		r.refuse(r.backup, second, 486)
		r.refused(486)
	})
}

// A target that is down is the last to be asked, not the first.
func TestDownTargetIsAskedLast(t *testing.T) {
	hops(t, func(r *rig) {
		r.invite()
		r.refuse(r.acme, r.acme.WantRequest(sip.INVITE), 503)
		r.refuse(r.backup, r.backup.WantRequest(sip.INVITE), 486)
		r.refused(486)
		r.invite()
		r.refuse(r.backup, r.backup.WantRequest(sip.INVITE), 503)
		invite := r.acme.WantRequest(sip.INVITE)
		r.acme.Reply(invite, 200)
		r.office.Send(r.office.Ack(r.office.Want(200)))
		r.acme.WantRequest(sip.ACK)
		r.hangUp(r.office, r.acme)
	})
}

// A 503 says itself for how long it is meant (RFC 3261 §20.33); nobody can have
// us wait for longer than ten minutes.
func TestRetryAfter(t *testing.T) {
	for _, c := range []struct {
		value string
		down  time.Duration
	}{
		{"120", 2 * time.Minute},
		{"90 (in a meeting);duration=3600", 90 * time.Second},
		{"5;x=y", 5 * time.Second},
		{"86400", 10 * time.Minute},
		{"0", 0},
		{"soon", 30 * time.Second}, // as if there were none
	} {
		run(t, plain, func(r *rig) {
			r.invite()
			r.refuse(r.acme, r.acme.WantRequest(sip.INVITE), 503, siptest.Set("Retry-After", c.value))
			r.refuse(r.backup, r.backup.WantRequest(sip.INVITE), 486)
			r.refused(486)
			if until := r.snapshot.Load().peers.Lookup("acme").State.DownUntil(); c.down == 0 && !until.IsZero() || c.down > 0 && !until.Equal(time.Now().Add(c.down)) {
				r.Errorf("%s: down until %v, which is %v from now, want %v", c.value, until, time.Until(until), c.down)
			}
			time.Sleep(c.down)
			r.served(r.acme)
		})
	}
}

// A Retry-After of a target is about the target: the caller, who would hold it
// against the gateway, does not see that of a 503.
func TestRetryAfterOfATargetDoesNotCross(t *testing.T) {
	run(t, setting{routes: "{from: [office], to: [acme]}"}, func(r *rig) {
		r.invite()
		r.refuse(r.acme, r.acme.WantRequest(sip.INVITE), 503, siptest.Set("Retry-After", "120"))
		if m := r.refused(503); m.First(sip.HdrRetryAfter) != nil {
			r.Errorf("it crossed:\n%s", m.Bytes())
		}
		r.invite()
		r.refuse(r.acme, r.acme.WantRequest(sip.INVITE), 486, siptest.Set("Retry-After", "120"))
		r.header(r.refused(486), sip.HdrRetryAfter, "120") // that is the callee's word
	})
}

// With down_for: 0 a target is asked by each call.
func TestDownForNoTime(t *testing.T) {
	run(t, setting{profiles: map[string]string{"acme": "tuned"}, tuned: "down_for: 0"}, func(r *rig) {
		for range 3 {
			r.invite()
			r.refuse(r.acme, r.acme.WantRequest(sip.INVITE), 503)
			r.refuse(r.backup, r.backup.WantRequest(sip.INVITE), 486)
			r.refused(486)
		}
		r.up("acme")
	})
}

// Which responses are worth another target, and which of them mean that the one
// that gave them is down.
func TestResponsesThatPassOn(t *testing.T) {
	for code, want := range map[int]struct{ next, down bool }{
		503: {true, true}, 408: {true, false}, 504: {true, false},
		400: {}, 404: {}, 480: {}, 486: {}, 487: {}, 488: {}, 500: {}, 501: {}, 502: {}, 600: {}, 603: {}, 604: {}, 606: {},
	} {
		run(t, plain, func(r *rig) {
			r.invite()
			r.refuse(r.acme, r.acme.WantRequest(sip.INVITE), code)
			if want.next {
				r.refuse(r.backup, r.backup.WantRequest(sip.INVITE), 486)
				r.refused(486)
			} else {
				r.refused(code)
				r.backup.WantSilence(time.Minute)
			}
			if got := !r.snapshot.Load().peers.Lookup("acme").State.Up(); got != want.down {
				r.Errorf("%d: down is %v", code, got)
			}
			if out := r.last().Out; out[0].Code != code || len(out) != map[bool]int{false: 1, true: 2}[want.next] {
				r.Errorf("%d: the record says %+v", code, out)
			}
		})
	}
}

// A target that rings for longer than answer_timeout is cancelled, with the
// reason, and the next one is tried; after the last one the caller gets 408.
func TestAnswerTimeout(t *testing.T) {
	set := setting{profiles: map[string]string{"acme": "tuned", "backup": "tuned"}, tuned: "answer_timeout: 40s"}
	run(t, set, func(r *rig) {
		r.invite()
		at := time.Now()
		for _, p := range []*siptest.Peer{r.acme, r.backup} {
			invite := p.WantRequest(sip.INVITE)
			p.Reply(invite, 180)
			r.office.Want(180)
			time.Sleep(30 * time.Second)
			p.Reply(invite, 180) // it has no more time for that
			r.office.Want(180)
			cancel := p.WantRequest(sip.CANCEL)
			r.header(cancel, sip.HdrReason, `SIP;cause=408;text="Request Timeout", Q.850;cause=102`)
			p.Reply(cancel, 200)
			r.refuse(p, invite, 487)
		}
		r.refused(408)
		if after := time.Since(at); after != 80*time.Second {
			r.Errorf("the caller got its 408 after %v, want 80s", after)
		}
		r.up("acme")
		r.up("backup")
		got := r.last()
		if got.State != store.Refused || got.Cause.SIP != 408 || got.EndedBy != "gateway" || !strings.Contains(got.Cause.Text, "not answered within 40s") {
			r.Errorf("the record says %+v", got)
		}
	})
}

// A 200 of a target that was given up gets its ACK and a BYE, and the caller
// hears nothing of it.
func TestLateAnswerOfATargetThatWasGivenUp(t *testing.T) {
	run(t, plain, func(r *rig) {
		r.invite()
		first := r.acme.WantRequest(sip.INVITE)
		for range 4 {
			r.acme.WantAgain(first)
		}
		second := r.backup.WantRequest(sip.INVITE)
		r.backup.Reply(second, 180)
		r.office.Want(180)
		r.acme.Reply(first, 200)
		r.acme.WantRequest(sip.ACK)
		r.acme.Reply(r.acme.WantRequest(sip.BYE), 200)
		r.office.WantSilence(100 * time.Millisecond)
		r.backup.Reply(second, 200)
		r.office.Send(r.office.Ack(r.office.Want(200)))
		r.backup.WantRequest(sip.ACK)
		r.acme.Reply(first, 200) // its ACK got lost
		r.acme.WantRequest(sip.ACK)
		r.acme.WantSilence(time.Second)
		r.hangUp(r.backup, r.office)
		if out := r.last().Out; len(out) != 2 || out[0].Code != 0 || out[1].Code != 200 {
			r.Errorf("the record says %+v", out)
		}
	})
}

// Nothing that names the first target's dialog, or the caller's, is in what the
// second one sees.
func TestTargetsShareNoIdentifier(t *testing.T) {
	hops(t, func(r *rig) {
		r.invite(siptest.Set("CSeq", "4711 INVITE"))
		first := r.acme.WantRequest(sip.INVITE)
		r.acme.Reply(first, 183)
		early := r.office.Want(183)
		r.refuse(r.acme, first, 503)
		second := r.backup.WantRequest(sip.INVITE)
		r.backup.Reply(second, 183)
		later := r.office.Want(183)
		from := func(m *siptest.Message) string { a, _ := m.From(); return string(a.Tag()) }
		to := func(m *siptest.Message) string { a, _ := m.To(); return string(a.Tag()) }
		branch := func(m *siptest.Message) string { v, _ := m.Via(); return string(v.Branch()) }
		seen := map[string]string{}
		for name, id := range map[string]string{
			"Call-ID of the caller": string(early.CallID()), "Call-ID at acme": string(first.CallID()), "Call-ID at backup": string(second.CallID()),
			"From tag of the caller": from(early), "From tag at acme": from(first), "From tag at backup": from(second),
			"To tag of the first early dialog": to(early), "To tag of the second": to(later),
			"branch of the caller": branch(early), "branch at acme": branch(first), "branch at backup": branch(second),
		} {
			if other, twice := seen[id]; twice || id == "" {
				r.Errorf("%s and %s are both %q", name, other, id)
			}
			seen[id] = name
		}
		for _, m := range []*siptest.Message{first, second} {
			r.header(m, sip.HdrCSeq, "1 INVITE")
			if to(m) != "" {
				r.Errorf("the INVITE has a To tag:\n%s", m.Bytes())
			}
		}
		for id, name := range seen {
			if strings.Contains(string(second.Bytes()), id) && !strings.Contains(name, "at backup") {
				r.Errorf("the second target sees the %s:\n%s", name, second.Bytes())
			}
		}
		r.cancel()
		r.backup.Reply(r.backup.WantRequest(sip.CANCEL), 200)
		r.refuse(r.backup, second, 487)
	})
}

// A TLS 1.3 server judges our certificate after our first message was written.
// When it refuses, the INVITE goes to the next target, and the first one counts
// as one that could not be reached.
func TestFailoverWhenTheCertificateIsRefused(t *testing.T) {
	for version, words := range map[uint16]string{tls.VersionTLS12: "handshake", tls.VersionTLS13: "refused our certificate"} {
		run(t, setting{targets: transport.TLS}, func(r *rig) {
			r.acme.Close()
			cfg := r.tls("acme.example")
			cfg.ClientCAs, cfg.MaxVersion = testca.New("another CA").Pool(), version
			server := siptest.New(r.T, siptest.Config{Name: "acme", Transport: transport.TLS, Network: r.net, Addr: addrPort(acmeAddr), TLS: cfg})
			at := time.Now()
			r.invite()
			r.taken(nil)
			if after := time.Since(at); after != 0 {
				r.Errorf("the second target had to wait %v", after)
			}
			server.WantSilence(time.Second)
			r.down("acme", words)
			out := r.last().Out
			if len(out) != 2 || out[0].Code != 0 || out[0].To100 != 0 || !strings.Contains(out[0].Text, words) {
				r.Errorf("the record says %+v", out)
			}
			if totals := r.snapshot.Load().peers.Lookup("acme").State.Out.Totals(); totals.Answered != 0 || totals.Failed != 1 {
				r.Errorf("counted as %+v", totals)
			}
		})
	}
}

// A connection that others have used may end just when the INVITE leaves, in
// the ordinary way. It says nothing about the target, which gets the same INVITE
// once more on a new connection, and not a third time.
func TestInviteOnAConnectionThatEnds(t *testing.T) {
	streams(t, func(r *rig) {
		r.served(r.acme)
		time.Sleep(time.Second)
		r.invite()
		invite := r.acme.WantRequest(sip.INVITE)
		r.acme.HangUp()
		r.acme.WantAgain(invite)
		r.up("acme")
		r.acme.Accepted() // the first
		r.acme.Accepted()
		r.acme.HangUp()
		r.taken(invite)
		r.down("acme", "")
	})
}

// A target that rings when its connection ends gets the same INVITE on another:
// the call goes on. A second time it is given up.
func TestRingingOutlivesItsConnection(t *testing.T) {
	streams(t, func(r *rig) {
		r.invite()
		invite := r.acme.WantRequest(sip.INVITE)
		r.acme.Reply(invite, 180)
		to := string(r.office.Want(180).First(sip.HdrTo))
		r.acme.Accepted()
		r.acme.HangUp()
		again := r.acme.WantAgain(invite)
		r.acme.Reply(again, 180)
		r.header(r.office.Want(180), sip.HdrTo, to)
		r.acme.Reply(again, 200, siptest.Body("application/sdp", answer))
		ok := r.office.Want(200)
		r.header(ok, sip.HdrTo, to)
		r.office.Send(r.office.Ack(ok))
		r.acme.WantRequest(sip.ACK)
		r.hangUp(r.office, r.acme)
		r.up("acme")

		r.invite()
		r.acme.Reply(r.acme.WantRequest(sip.INVITE), 180)
		r.office.Want(180)
		r.acme.Close()
		r.taken(nil)
		r.down("acme", "refused")
	})
}

// A caller that gives up while there is no connection to the target that rings:
// it is cancelled on the next one, so that it does not ring for ever.
func TestCancelWhileTheConnectionIsMadeAnew(t *testing.T) {
	for _, first := range []bool{true, false} {
		set := setting{targets: transport.TCP}
		set.options = func(o *Options) { o.Network = slow{o.Network} }
		run(t, set, func(r *rig) {
			r.invite()
			invite := r.acme.WantRequest(sip.INVITE)
			r.acme.Reply(invite, 180)
			r.office.Want(180)
			r.acme.Accepted()
			if first { // the connection goes, and then the caller
				r.acme.HangUp()
				synctest.Wait()
				r.cancel()
			} else { // the CANCEL gets lost with the connection
				r.cancel()
				r.acme.WantRequest(sip.CANCEL)
				r.acme.HangUp()
			}
			cancel := r.acme.WantRequest(sip.CANCEL)
			r.header(cancel, sip.HdrVia, string(invite.First(sip.HdrVia)))
			r.acme.Reply(cancel, 200)
			r.acme.WantSilence(time.Minute)
		})
	}
}

// One that was made for the call and ends without a word is not tried twice.
func TestInviteOnANewConnectionThatEnds(t *testing.T) {
	run(t, setting{targets: transport.TCP}, func(r *rig) {
		r.invite()
		invite := r.acme.WantRequest(sip.INVITE)
		r.acme.HangUp()
		r.taken(invite)
		r.acme.WantSilence(time.Second)
		r.down("acme", "")
	})
}

// deaf is a network on which nobody answers at one address.
type deaf struct {
	transport.Network
	at string
}

func (n deaf) Dial(ctx context.Context, local, remote netip.AddrPort) (net.Conn, error) {
	if remote.String() == n.at {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	return n.Network.Dial(ctx, local, remote)
}

// The time to connect is part of the silence; and a caller may give up while the
// next target is connected.
func TestFailoverWhileConnecting(t *testing.T) {
	set := setting{targets: transport.TCP, tuned: "response_timeout: 3s", profiles: map[string]string{"acme": "tuned"}}
	set.options = func(o *Options) { o.Network = deaf{o.Network, acmeAddr} }
	run(t, set, func(r *rig) {
		at := time.Now()
		r.invite()
		r.taken(nil)
		if after := time.Since(at); after != 3*time.Second {
			r.Errorf("the second target was asked after %v, want 3s", after)
		}
		r.down("acme", "no connection within 3s")
	})
	set.routes = "{from: [office], to: [backup, acme]}"
	run(t, set, func(r *rig) {
		r.invite()
		r.refuse(r.backup, r.backup.WantRequest(sip.INVITE), 503)
		synctest.Wait()
		r.cancel()
		r.none()
		if got := r.last(); got.State != store.Cancelled || got.EndedBy != "caller" || len(got.Out) != 1 {
			r.Errorf("the record says %+v", got)
		}
	})
}
