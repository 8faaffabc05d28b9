package gateway

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// TestRule6 is: in-dialog requests first try the connection on which the dialog
// lives, whatever port Record-Route names.
func TestRule6InDialogRequestsStayOnTheConnection(t *testing.T) {
	streams(t, func(r *rig) {
		routed := siptest.Set("Record-Route", "<sip:192.0.2.77:9999;transport=tcp;lr>")
		r.invite(routed, siptest.Set("Contact", "<sip:office@192.0.2.78:9998>"))
		invite := r.acme.WantRequest(sip.INVITE)
		r.acme.Reply(invite, 200, siptest.Set("Record-Route", "<sip:192.0.2.79:9997;lr>"), siptest.Set("Contact", "<sip:x@192.0.2.80:9996>"))
		ok := r.office.Want(200)
		r.header(ok, sip.HdrRecordRoute, "<sip:192.0.2.77:9999;transport=tcp;lr>")
		r.office.Send(r.office.Ack(ok))
		ack := r.acme.WantRequest(sip.ACK)
		r.header(ack, sip.HdrRoute, "<sip:192.0.2.79:9997;lr>")
		for _, p := range [][2]*siptest.Peer{{r.office, r.acme}, {r.acme, r.office}} {
			p[0].Send(p[0].InDialog(sip.INFO))
			info := p[1].WantRequest(sip.INFO)
			p[1].Reply(info, 200)
			p[0].Want(200)
		}
		bye := r.hangUp(r.acme, r.office)
		r.header(bye, sip.HdrRoute, "<sip:192.0.2.77:9999;transport=tcp;lr>")
		if got := string(bye.RequestURI()); got != "sip:office@192.0.2.78:9998" {
			r.Errorf("the BYE is for %s", got)
		}
	})
}

// A connection at rest stays: a call is ended on it after an hour, and the next
// one begins.
func TestConnectionsOutliveLongCalls(t *testing.T) {
	streamsWith(t, unasked, func(r *rig) {
		r.answered()
		time.Sleep(time.Hour)
		r.hangUp(r.office, r.acme)
		time.Sleep(time.Hour)
		r.answered()
		r.hangUp(r.acme, r.office)
		if n := strings.Count(r.log.String(), "connection opened"); n != 2 {
			r.Errorf("%d connections were opened, want 2", n)
		}
	})
}

// On UDP a request follows its route to an address of the peer's only.
func TestInDialogRequestsOnUDPGoToThePeerAlone(t *testing.T) {
	run(t, plain, func(r *rig) {
		other := siptest.New(r.T, siptest.Config{Name: "other", Network: r.net, Addr: addrPort("192.0.2.77:9999")})
		r.invite(siptest.Set("Contact", "<sip:office@192.0.2.77:9999>"))
		r.acme.Reply(r.acme.WantRequest(sip.INVITE), 200, siptest.Set("Contact", "<sip:acme@192.0.2.77:9999>"))
		r.office.Send(r.office.Ack(r.office.Want(200)))
		r.acme.WantRequest(sip.ACK)
		r.hangUp(r.acme, r.office)
		other.WantSilence(time.Second)
	})
}

// One that the peer may send from is followed: the PBX of the example answers on
// another port than its users call from.
func TestInDialogRequestsOnUDPFollowThePeersContact(t *testing.T) {
	set := setting{extra: map[string]string{"office": `accept_from: ["192.0.2.10:5080", "192.0.2.10:5090"]`}}
	run(t, set, func(r *rig) {
		phone := siptest.New(r.T, siptest.Config{Name: "phone", Network: r.net, Addr: addrPort("192.0.2.10:5090")})
		r.invite(siptest.Set("Contact", "<sip:office@192.0.2.10:5090>"))
		r.acme.Reply(r.acme.WantRequest(sip.INVITE), 200)
		r.office.Send(r.office.Ack(r.office.Want(200)))
		r.acme.WantRequest(sip.ACK)
		r.acme.Send(r.acme.InDialog(sip.BYE))
		r.acme.Want(200)
		phone.Reply(phone.WantRequest(sip.BYE), 200)
		r.office.WantSilence(time.Second)
	})
}

// When the dialog's connection has gone, a request takes a new one to the
// peer's configured address, which is not where Contact points.
func TestInDialogRequestOnANewConnection(t *testing.T) {
	streams(t, func(r *rig) {
		r.invite(siptest.Set("Contact", "<sip:office@192.0.2.77:9999>"))
		r.acme.Reply(r.acme.WantRequest(sip.INVITE), 200, siptest.Set("Contact", "<sip:acme@192.0.2.77:9999>"))
		r.office.Send(r.office.Ack(r.office.Want(200)))
		r.acme.WantRequest(sip.ACK)

		r.office.HangUp()
		synctest.Wait()
		r.acme.Send(r.acme.InDialog(sip.INFO))
		info := r.office.WantRequest(sip.INFO)
		if via, _ := info.Via(); via.Port != r.listener(r.set.office).Port() {
			r.Errorf("the Via is %s", info.First(sip.HdrVia))
		}
		r.office.Reply(info, 200)
		r.acme.Want(200)

		r.acme.HangUp()
		synctest.Wait()
		r.office.Send(r.office.InDialog(sip.BYE))
		r.office.Want(200)
		r.acme.Reply(r.acme.WantRequest(sip.BYE), 200)
	})
}

// A peer that called over TCP and is reached over UDP: when its connection has
// gone, Via and Contact say UDP, too.
func TestInDialogRequestOnAnotherTransport(t *testing.T) {
	run(t, plain, func(r *rig) {
		over := siptest.New(r.T, siptest.Config{Name: "office", Transport: transport.TCP, Network: r.net, Addr: addrPort("192.0.2.10:7000")})
		over.Dial(r.listener(transport.TCP))
		over.Send(over.Request(sip.INVITE, number))
		r.acme.Reply(r.acme.WantRequest(sip.INVITE), 200)
		ok := over.Want(200)
		r.header(ok, sip.HdrContact, r.contact(transport.TCP))
		over.Send(over.Ack(ok))
		r.acme.WantRequest(sip.ACK)
		over.HangUp()
		synctest.Wait()
		r.acme.Send(r.acme.InDialog(sip.UPDATE))
		update := r.office.WantRequest(sip.UPDATE)
		r.header(update, sip.HdrContact, r.contact(transport.UDP))
		if via, _ := update.Via(); string(via.Transport) != "UDP" || !via.RPort() {
			r.Errorf("the Via is %s", update.First(sip.HdrVia))
		}
		r.office.Reply(update, 200)
		r.acme.Want(200)
		r.acme.Send(r.acme.InDialog(sip.BYE))
		r.acme.Want(200)
		r.office.Reply(r.office.WantRequest(sip.BYE), 200)
	})
}

// What waits for one new connection leaves in the order in which it came.
func TestRequestsWaitForANewConnectionInOrder(t *testing.T) {
	streams(t, func(r *rig) {
		r.invite()
		r.acme.Reply(r.acme.WantRequest(sip.INVITE), 200)
		ok := r.office.Want(200)
		r.acme.HangUp()
		synctest.Wait()
		infos := r.office.InDialog(sip.INFO) + r.office.InDialog(sip.INFO)
		r.office.Send(r.office.Ack(ok) + infos)
		r.acme.WantRequest(sip.ACK)
		for want := range uint32(2) {
			info := r.acme.WantRequest(sip.INFO)
			if cseq, _ := info.CSeq(); cseq.Seq != want+2 {
				r.Errorf("got CSeq %d, want %d", cseq.Seq, want+2)
			}
			r.acme.Reply(info, 200)
			r.office.Want(200)
		}
		r.hangUp(r.office, r.acme)
	})
}

// A request that was written to a connection which was just ending goes out
// again on the new one, as a retransmission: the same branch.
func TestRequestsSurviveTheEndOfTheirConnection(t *testing.T) {
	for _, method := range []sip.Method{sip.INFO, sip.INVITE, sip.BYE} {
		streams(t, func(r *rig) {
			r.answered()
			r.office.Send(r.office.InDialog(method))
			lost := r.acme.WantRequest(method)
			r.acme.HangUp()
			m := r.acme.WantAgain(lost)
			if method == sip.INVITE {
				r.refuse(r.acme, m, 488)
				r.refused(488)
			} else {
				r.acme.Reply(m, 200)
				r.office.Want(200)
			}
			if method != sip.BYE {
				r.hangUp(r.acme, r.office)
			}
		})
	}
}

// It goes out again three times: a peer that ends every connection is gone.
func TestRequestsAreNotRepeatedForEver(t *testing.T) {
	streams(t, func(r *rig) {
		r.answered()
		r.office.Send(r.office.InDialog(sip.INFO))
		lost := r.acme.WantRequest(sip.INFO)
		for range 3 {
			r.acme.HangUp()
			r.acme.WantAgain(lost)
		}
		r.acme.HangUp()
		r.office.Want(503)
		r.office.Send(r.office.InDialog(sip.BYE))
		r.office.Want(200)
		r.acme.Reply(r.acme.WantRequest(sip.BYE), 200)
	})
}

// A response whose connection has gone goes to another connection of the same
// peer.
func TestResponseTakesAnotherConnectionOfThePeer(t *testing.T) {
	streams(t, func(r *rig) {
		r.invite()
		invite := r.acme.WantRequest(sip.INVITE)
		r.office.HangUp()
		synctest.Wait()
		r.office.Dial(r.listener(r.set.office))
		r.acme.Reply(invite, 180)
		r.office.Want(180)
		r.acme.Reply(invite, 486)
		r.acme.WantRequest(sip.ACK)
		r.refused(486)
	})
}

// TestRule2 is: a response never causes a dial to an address that the sender
// chose. It goes to the peer's configured address.
func TestRule2ResponsesNeverGoWhereAViaPoints(t *testing.T) {
	streams(t, func(r *rig) {
		elsewhere := r.peer("elsewhere", r.set.office, "192.0.2.77:9999")
		via := "SIP/2.0/" + r.set.office.Via() + " 192.0.2.77:9999;maddr=192.0.2.77;branch=z9hG4bKx;rport"
		r.office.Send(r.office.Request(sip.INVITE, number, siptest.Set("Via", via)))
		r.office.Want(100)
		invite := r.acme.WantRequest(sip.INVITE)
		r.office.HangUp()
		synctest.Wait()
		r.acme.Reply(invite, 486)
		r.acme.WantRequest(sip.ACK)
		r.refused(486)
		elsewhere.WantSilence(time.Second)
	})
}

func TestRule2OnUDPResponsesGoToTheSource(t *testing.T) {
	run(t, plain, func(r *rig) {
		elsewhere := r.peer("elsewhere", transport.UDP, "192.0.2.77:9999")
		r.office.Send(r.office.Request(sip.OPTIONS, "sip:"+gatewayAddr,
			siptest.Set("Via", "SIP/2.0/UDP 192.0.2.77:9999;maddr=192.0.2.77;branch=z9hG4bKx;rport")))
		m := r.office.Want(200)
		r.header(m, sip.HdrVia, "SIP/2.0/UDP 192.0.2.77:9999;maddr=192.0.2.77;branch=z9hG4bKx;rport=5080;received=192.0.2.10")
		elsewhere.WantSilence(time.Second)
	})
}

// The same tags and Call-ID from somebody else's connection are no dialog.
func TestInDialogRequestOfAnotherPeerGets481(t *testing.T) {
	hops(t, func(r *rig) {
		r.answered()
		r.backup.Dial(r.listener(r.set.targets))
		for _, method := range []sip.Method{sip.INFO, sip.INVITE, sip.BYE} {
			forged := r.office.InDialog(method)
			r.backup.Send(forged)
			r.backup.Want(481)
		}
		r.acme.WantSilence(time.Second)
		r.hangUp(r.office, r.acme)
	})
}

func TestAckOfAnotherPeerIsIgnored(t *testing.T) {
	hops(t, func(r *rig) {
		r.invite()
		r.acme.Reply(r.acme.WantRequest(sip.INVITE), 200)
		ok := r.office.Want(200)
		r.backup.Dial(r.listener(r.set.targets))
		r.backup.Send(r.office.Ack(ok))
		r.acme.WantSilence(100 * time.Millisecond)
		r.office.Send(r.office.Ack(ok))
		r.acme.WantRequest(sip.ACK)
		r.hangUp(r.office, r.acme)
	})
}

// TestRule3 is: messages of one Call-ID on one connection are handled in the
// order in which they arrived.
func TestRule3OneCallIDKeepsItsOrder(t *testing.T) {
	streams(t, func(r *rig) {
		r.answered()
		var all strings.Builder
		for range 20 {
			all.WriteString(r.office.InDialog(sip.INFO))
		}
		r.office.Send(all.String())
		last := uint32(1)
		for range 20 {
			cseq, _ := r.acme.WantRequest(sip.INFO).CSeq()
			if cseq.Seq != last+1 {
				r.Fatalf("CSeq %d came after %d", cseq.Seq, last)
			}
			last = cseq.Seq
		}
		r.office.Send(r.office.InDialog(sip.BYE))
		for range 21 { // a 481 for each INFO, and the 200
			r.office.Next()
		}
		r.acme.Reply(r.acme.WantRequest(sip.BYE), 200)
	})
}
