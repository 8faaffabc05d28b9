package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/internal/testca"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// mutual is TLS on both sides.
var mutual = setting{shards: 3, office: transport.TLS, targets: transport.TLS}

// rewrite changes the file by replacing pieces of it: old, new, old, new.
func (r *rig) rewrite(pieces ...string) {
	r.Helper()
	text := file(r.set)
	for i := 0; i < len(pieces); i += 2 {
		if !strings.Contains(text, pieces[i]) {
			r.Fatalf("the file has no %q:\n%s", pieces[i], text)
		}
		text = strings.Replace(text, pieces[i], pieces[i+1], 1)
	}
	r.write(r.dir, "sallyport.yaml", []byte(text+"cdr: off\n"))
}

// takes reloads, and wants the new file to be taken.
func (r *rig) takes() {
	r.Helper()
	if got := r.Reload(); len(got.Problems) > 0 {
		r.Fatalf("the reload was refused: %v", got.Problems)
	}
}

// refuses reloads, and wants one problem at a place in the file.
func (r *rig) refuses(at, what string) {
	r.Helper()
	before := r.snapshot.Load()
	got := r.Reload()
	if len(got.Problems) != 1 || !strings.HasPrefix(got.Problems[0].String(), r.dir+"/sallyport.yaml:"+at+": ") ||
		!strings.Contains(got.Problems[0].String(), what) {
		r.Errorf("got %v, want %s: %s", got.Problems, at, what)
	}
	if r.snapshot.Load() != before {
		r.Error("the configuration has changed")
	}
	if !strings.Contains(r.log.String(), "sallyport.yaml:"+at+": ") {
		r.Error("the log does not say why")
	}
}

// open is how many streams there are.
func (r *rig) open() (n int) {
	synctest.Wait()
	for range r.Conns() {
		n++
	}
	return n
}

// New certificate files are read; who connects now sees the new certificate, and
// the connections that are there go on, also for new calls.
func TestReloadReadsNewCertificates(t *testing.T) {
	run(t, mutual, func(r *rig) {
		r.answered()
		conns := r.open()
		renewed := r.ca.Leaf("gw.example")
		r.write(r.dir, "gw.pem", renewed.PEM())
		r.write(r.dir, "gw-key.pem", renewed.KeyPEM())
		r.takes()
		r.hangUp(r.office, r.acme)
		r.answered()
		r.hangUp(r.acme, r.office)
		if n := r.open(); n != conns {
			r.Errorf("%d connections, before the reload %d", n, conns)
		}
		p := r.peer("office", transport.TLS, "192.0.2.11:5080")
		p.Dial(r.listener(transport.TLS))
		if got := p.TLS().PeerCertificates[0]; !got.Equal(renewed.Cert()) {
			r.Error("a new connection sees the old certificate")
		}
	})
}

// The calls of a peer that is gone end as they began; it makes and gets no new
// ones.
func TestReloadWithoutAPeer(t *testing.T) {
	hops(t, func(r *rig) {
		r.answered()
		lines := strings.SplitAfter(file(r.set), "\n")
		for _, line := range lines {
			if strings.HasPrefix(line, "  acme:") {
				r.rewrite(line, "", "[acme, backup]", "[backup]", "[acme, backup]", "[backup]")
			}
		}
		r.takes()
		r.office.Send(r.office.InDialog(sip.INFO, siptest.Body("text/plain", "x")))
		info := r.acme.WantRequest(sip.INFO)
		r.acme.Reply(info, 200)
		r.office.Want(200)
		r.hangUp(r.office, r.acme)
		r.acme.Send(r.acme.Request(sip.INVITE, number))
		m := r.acme.Want(403)
		r.acme.Send(r.acme.Ack(m))
	})
}

// The same, and the peer that is gone hangs up.
func TestReloadWithoutAPeerThatHangsUp(t *testing.T) {
	hops(t, func(r *rig) {
		r.answered()
		for line := range strings.Lines(file(r.set)) {
			if strings.HasPrefix(line, "  acme:") {
				r.rewrite(line, "", "[acme, backup]", "[backup]", "[acme, backup]", "[backup]")
			}
		}
		r.takes()
		r.hangUp(r.acme, r.office)
		r.none()
		if r.set.targets == transport.UDP { // now it is a stranger
			r.acme.Send(r.acme.Request(sip.OPTIONS, number))
			r.acme.Want(403)
		}
	})
}

// A peer's connection under a call dies after the peer is gone from the file: it
// is reached again, under the names and the trust that the call began with.
func TestReloadWithoutAPeerWhoseConnectionDies(t *testing.T) {
	run(t, mutual, func(r *rig) {
		r.answered()
		for line := range strings.Lines(file(r.set)) {
			if strings.HasPrefix(line, "  acme:") {
				r.rewrite(line, "", "[acme, backup]", "[backup]", "[acme, backup]", "[backup]")
			}
		}
		r.takes()
		r.acme.HangUp()
		synctest.Wait()
		r.hangUp(r.office, r.acme)
	})
}

// New listeners are open when the reload is over; one that is gone accepts
// nothing, and its connections and calls live on.
func TestReloadChangesListeners(t *testing.T) {
	for _, over := range []transport.Transport{transport.TCP, transport.TLS} {
		t.Run(over.String(), func(t *testing.T) {
			run(t, setting{shards: 3, office: over, targets: over}, func(r *rig) {
				r.answered()
				old := r.listener(over)
				r.rewrite(fmt.Sprintf("%v:%v", over, old), fmt.Sprintf("%v:192.0.2.1:6000", over))
				r.takes()
				r.hangUp(r.office, r.acme)
				invite, _ := r.answered() // over the connections that there are
				if !strings.Contains(string(invite.First(sip.HdrContact)), "192.0.2.1:6000") {
					r.Errorf("our Contact is still %s", invite.First(sip.HdrContact))
				}
				r.hangUp(r.acme, r.office)
				p := r.peer("office", over, "192.0.2.11:5080")
				if p.TryDial(old) == nil {
					r.Error("the old address still accepts")
				}
				p.Dial(netip.MustParseAddrPort("192.0.2.1:6000"))
			})
		})
	}
}

// The socket of a UDP listener stays for the calls on it, and then goes.
func TestReloadWithoutAUDPListener(t *testing.T) {
	run(t, plain, func(r *rig) {
		r.answered()
		r.rewrite(`  udp: {listen: "udp:192.0.2.1:5060"}`, `  other: {listen: "udp:192.0.2.1:6000"}`)
		r.takes()
		r.office.Send(r.office.Request(sip.INVITE, number))
		r.office.Want(100)
		m := r.office.Want(403)
		r.office.Send(r.office.Ack(m))
		time.Sleep(time.Minute)
		synctest.Wait()

		r.rewrite(`  udp: {listen: "udp:192.0.2.1:5060"}`, `  another: {listen: "udp:192.0.2.1:5060"}`)
		r.refuses("3:21", "until its last call is over")
		r.acme.Send(r.acme.InDialog(sip.BYE))
		r.acme.Want(200)
		r.office.Reply(r.office.WantRequest(sip.BYE), 200)
		r.none()
		time.Sleep(leaveAfter + 2*leaveEvery)
		synctest.Wait()
		r.takes()
	})
}

// A listener that cannot be opened refuses the reload: nothing is changed, and
// what had been closed for it is open again.
func TestReloadWithATakenAddress(t *testing.T) {
	run(t, mutual, func(r *rig) {
		r.answered()
		taken, err := r.net.Listen(r.Context(), addrPort("192.0.2.1:7000"))
		if err != nil {
			r.Fatal(err)
		}
		defer taken.Close()
		r.rewrite(`  tls: {listen: "tls:192.0.2.1:5061", client_certificates: required}`,
			`  tls: {listen: "tls:192.0.2.1:5060", client_certificates: required}`+"\n"+`  more: {listen: "tcp:192.0.2.1:7000"}`,
			`  tcp: {listen: "tcp:192.0.2.1:5060"}`, `  tcp: {listen: "tcp:192.0.2.1:5061"}`)
		r.refuses("6:18", `listener "more" cannot be opened`)
		for over, addr := range map[transport.Transport]string{transport.TCP: "192.0.2.11:5080", transport.TLS: "192.0.2.12:5080"} {
			p := r.peer("office", over, addr)
			p.Dial(r.listener(over))
		}
		r.hangUp(r.office, r.acme)
		taken.Close()
		r.takes() // the two have changed places
		p := r.peer("office", transport.TLS, "192.0.2.13:5080")
		p.Dial(netip.MustParseAddrPort("192.0.2.1:5060"))
	})
}

func TestReloadOfABadFile(t *testing.T) {
	run(t, mutual, func(r *rig) {
		r.answered()
		r.rewrite("sips: never", "sips: nevr")
		r.refuses("14:17", "nevr")
		r.write(r.dir, "gw-key.pem", r.ca.Leaf("gw.example").KeyPEM())
		r.rewrite()
		r.refuses("7:39", "does not belong to certificate")
		if l := r.Loaded(); l.Reloads != 0 || l.Refused == nil || len(l.Refused.Problems) != 1 || l.RefusedTotal != 2 {
			r.Errorf("got %+v", l)
		}
		r.hangUp(r.office, r.acme)
		r.answered()
		r.hangUp(r.acme, r.office)
	})
}

// When a peer's trust changes, its connections are judged again: one that fails
// serves the calls it has, and begins none in either direction. When it passes
// again it is as before.
func TestReloadRemovesTrust(t *testing.T) {
	run(t, mutual, func(r *rig) {
		r.write(r.dir, "other.pem", testca.New("another CA").PEM())
		r.answered()
		conns := r.open()
		r.rewrite("  partners: {files: [ca.pem]}\n", "  partners: {files: [ca.pem]}\n  others: {files: [other.pem]}\n",
			"certificate_names: [acme.example]", "certificate_names: [acme.example], trust: [others]",
			"certificate_names: [office.example]", "certificate_names: [office.example], trust: [others]")
		r.takes()
		r.office.Send(r.office.Request(sip.INVITE, number))
		r.office.Want(100)
		r.refused(403)
		r.office.Send(r.office.Request(sip.OPTIONS, number))
		r.office.Want(403)
		if n := r.open(); n != conns {
			r.Errorf("%d connections, before the reload %d", n, conns)
		}
		if c := r.server.Endpoint().PeerConn("acme"); c != nil {
			r.Error("the connection to acme would take a new call")
		}

		r.rewrite()
		r.takes()
		if c := r.server.Endpoint().PeerConn("acme"); c == nil {
			r.Error("the connection to acme is still retired")
		}
		r.hangUp(r.acme, r.office)
		r.answered()
		r.hangUp(r.office, r.acme)
		if n := r.open(); n != conns {
			r.Errorf("%d connections, before the reloads %d", n, conns)
		}
	})
}

// A peer that is known by its certificate from now on is not known any more on a
// connection that we made to it without TLS.
func TestReloadFromTCPToTLS(t *testing.T) {
	run(t, setting{shards: 3, office: transport.TCP, targets: transport.TCP}, func(r *rig) {
		r.answered()
		r.rewrite(acmeAddr+";transport=tcp", acmeAddr+";transport=tls", "transport=tls\"", "transport=tls\", certificate_names: [acme.example]")
		r.takes()
		r.acme.Send(r.acme.Request(sip.OPTIONS, "sip:192.0.2.1"))
		r.acme.Want(403)
		r.hangUp(r.office, r.acme)
	})
}

// The call that is up when the trust goes is hung up over the connections it has.
func TestReloadRemovesTrustUnderACall(t *testing.T) {
	run(t, mutual, func(r *rig) {
		r.write(r.dir, "ca.pem", testca.New("another CA").PEM())
		r.answered()
		conns := r.open()
		r.rewrite()
		r.takes()
		r.hangUp(r.office, r.acme)
		if n := r.open(); n != conns {
			r.Errorf("%d connections, before the reload %d", n, conns)
		}
	})
}

// A peer that was forgotten in the file, and is connected, is known once the
// file has it.
func TestReloadKnowsAStranger(t *testing.T) {
	for _, over := range []transport.Transport{transport.UDP, transport.TCP, transport.TLS} {
		t.Run(over.String(), func(t *testing.T) {
			run(t, setting{shards: 3}, func(r *rig) {
				p := r.peer("late", over, "203.0.113.66:5060")
				p.Dial(r.listener(over))
				p.Send(p.Request(sip.OPTIONS, "sip:192.0.2.1"))
				p.Want(403)
				names := ""
				if over == transport.TLS {
					names = ", certificate_names: [late.example]"
				}
				r.rewrite("peers:\n", fmt.Sprintf("peers:\n  late: {uri: \"sip:203.0.113.66:5060;transport=%v\"%s}\n", over, names))
				r.takes()
				p.Send(p.Request(sip.OPTIONS, "sip:192.0.2.1"))
				p.Want(200)
			})
		})
	}
}

// What a peer has been through stays with it.
func TestReloadKeepsThePeersState(t *testing.T) {
	run(t, plain, func(r *rig) {
		r.answered()
		before := r.snapshot.Load().peers.Lookup("acme").State
		r.rewrite("sips: never", "sips: allowed")
		r.takes()
		after := r.snapshot.Load().peers.Lookup("acme").State
		if after != before || after.Out.Calls() != 1 {
			r.Errorf("the state is another one, with %d calls", after.Out.Calls())
		}
		r.hangUp(r.office, r.acme)
	})
}

// Several reloads at once are made one after the other, and calls that begin
// meanwhile see one configuration or the other.
func TestReloadsAtOnce(t *testing.T) {
	run(t, mutual, func(r *rig) {
		r.answered()
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() { r.takes() })
		}
		all.Wait()
		if n := r.Loaded().Reloads; n != 8 {
			r.Errorf("%d reloads, want 8", n)
		}
		r.hangUp(r.office, r.acme)
	})
}

func TestReloadSaysWhatNeedsARestart(t *testing.T) {
	run(t, plain, func(r *rig) {
		r.rewrite("peers:\n", "data: elsewhere\npeers:\n")
		got := r.Reload()
		if len(got.Problems) > 0 || len(got.Notes) != 1 || !strings.HasPrefix(got.Notes[0], "data is still "+r.dir+"/data: ") {
			r.Errorf("got %+v", got)
		}
		if again := r.Reload(); !slices.Equal(again.Notes, got.Notes) {
			r.Errorf("the next reload says %q", again.Notes)
		}
		r.rewrite()
		if back := r.Reload(); len(back.Notes) != 0 {
			r.Errorf("as it was at the start, and yet %q", back.Notes)
		}
	})
}

func TestNoReloadWhileStopping(t *testing.T) {
	run(t, plain, func(r *rig) {
		r.shut()
		if got := r.Reload(); len(got.Problems) != 1 || !strings.Contains(got.Problems[0].What, "the gateway stops") {
			r.Errorf("got %+v", got)
		}
	})
}

// A connection that is identified while the reload is made is judged by what is
// in force afterwards.
func TestReloadDuringAHandshake(t *testing.T) {
	run(t, setting{shards: 1}, func(r *rig) {
		r.rewrite("peers:\n", "peers:\n  late: {uri: \"sip:203.0.113.66:5061;transport=tls\", certificate_names: [late.example]}\n")
		r.takes()
		p := r.peer("late", transport.TLS, "203.0.113.66:5061")
		dialled := make(chan struct{})
		go func() {
			defer close(dialled)
			p.Dial(r.listener(transport.TLS))
		}()
		r.rewrite()
		r.takes()
		<-dialled
		p.Send(p.Request(sip.OPTIONS, "sip:192.0.2.1"))
		p.Want(403)
	})
}

// stubborn is a network on which a stream address can be opened only so often.
type stubborn struct {
	transport.Network
	left map[netip.AddrPort]int
}

func (n stubborn) Listen(ctx context.Context, at netip.AddrPort) (net.Listener, error) {
	if n.left[at]--; n.left[at] < 0 {
		return nil, errors.New("no more")
	}
	return n.Network.Listen(ctx, at)
}

// When a listener that stood aside cannot be opened again, an alarm says so,
// until a reload opens it.
func TestAlarmWhenAListenerIsLost(t *testing.T) {
	left := map[netip.AddrPort]int{addrPort("192.0.2.1:5060"): 2, addrPort("192.0.2.1:5061"): 1}
	set := plain
	set.options = func(o *Options) { o.Network = stubborn{o.Network, left} }
	run(t, set, func(r *rig) {
		r.rewrite(`  tcp: {listen: "tcp:192.0.2.1:5060"}`, `  new: {listen: "tcp:192.0.2.1:5060"}`+"\n"+`  more: {listen: "tcp:192.0.2.1:7000"}`)
		r.refuses("5:18", `listener "more" cannot be opened`)
		if all := r.Alarms(); len(all) != 1 || all[0].Name != "listener tcp" || !strings.Contains(all[0].Text, "listener tcp is closed") {
			r.Errorf("got %+v", all)
		}
		left[addrPort("192.0.2.1:5060")] = 1
		r.rewrite()
		r.takes()
		if all := r.Alarms(); len(all) != 0 {
			r.Errorf("got %+v", all)
		}
		p := r.peer("office", transport.TCP, "192.0.2.11:5080")
		p.Dial(r.listener(transport.TCP))
	})
}
