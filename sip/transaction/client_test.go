package transaction

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
)

func TestClientInviteAnswered(t *testing.T) {
	b := newBench(t)
	c := b.client(sip.INVITE, false)
	if string(c.Branch()) != branch || c.Request() == nil || c.State() != Calling {
		t.Errorf("branch %q, state %v", c.Branch(), c.State())
	}
	b.wait(700 * ms)
	b.response(reply(100, "INVITE", branch))
	b.wait(2000 * ms)
	b.response(reply(180, "INVITE", branch))
	b.response(reply(200, "INVITE", branch))
	if c.State() != Accepted || c.Request() != nil {
		t.Errorf("state %v, request kept: %v", c.State(), c.Request() != nil)
	}
	b.wait(1000 * ms)
	b.response(reply(200, "INVITE", branch, "tag=99sa0xk", "tag=fork"))
	b.response(reply(486, "INVITE", branch))
	b.wait(time.Minute)
	b.want(
		"0 client sends INVITE",
		"500 client sends INVITE",
		"700 TU gets 100",
		"2700 TU gets 180",
		"2700 TU gets 200",
		"3700 TU gets 200",
		"34700 client done: <nil>",
	)
	if b.response(reply(200, "INVITE", branch)) {
		t.Error("a stray response found a transaction")
	}
	b.want()
	b.empty()
}

func TestClientInviteRefusedGetsItsAck(t *testing.T) { // RFC 3261 §17.1.1.3
	for _, reliable := range []bool{false, true} {
		b := newBench(t)
		invite := ask("INVITE", branch,
			"Max-Forwards: 70\r\n", "Route: <sip:p1.example;lr>, <sip:p2.example;lr>\r\nMax-Forwards: 69\r\n"+
				"Subject: lunch\r\nRoute: <sip:p3.example;lr>\r\nProxy-Authorization: Digest username=\"a\"\r\n",
			"Content-Length: 0\r\n\r\n", "Via: SIP/2.0/UDP second.example;branch=z9hG4bKx\r\nContent-Length: 3\r\n\r\nabc")
		b.layer.NewClient(b.now, Outgoing{Bytes: []byte(invite), Method: sip.INVITE, Branch: []byte(branch), Reliable: reliable})
		b.wait(10 * ms)
		b.response(reply(486, "INVITE", branch))
		ack := "ACK sip:bob@biloxi.example SIP/2.0\r\n" +
			"Via: SIP/2.0/UDP pc33.atlanta.example:5060;branch=" + branch + "\r\n" +
			"Route: <sip:p1.example;lr>, <sip:p2.example;lr>\r\n" +
			"Max-Forwards: 69\r\n" +
			"Route: <sip:p3.example;lr>\r\n" +
			"Proxy-Authorization: Digest username=\"a\"\r\n" +
			"From: Alice <sip:alice@atlanta.example>;tag=88sja8x\r\n" +
			"Call-ID: 987asjd97y7atg\r\n" +
			"To: Bob <sip:bob@biloxi.example>;tag=99sa0xk\r\n" +
			"CSeq: 986759 ACK\r\n" +
			"Content-Length: 0\r\n\r\n"
		if b.sent[1] != ack {
			t.Fatalf("ACK is\n%s\nwant\n%s", b.sent[1], ack)
		}
		if reliable {
			b.want("0 client sends INVITE", "10 client sends ACK", "10 TU gets 486", "10 client done: <nil>")
			b.empty()
			continue
		}
		b.wait(500 * ms)
		b.response(reply(486, "INVITE", branch))
		if b.sent[2] != ack {
			t.Errorf("the second ACK differs:\n%s", b.sent[2])
		}
		b.wait(time.Minute)
		b.want(
			"0 client sends INVITE", "10 client sends ACK", "10 TU gets 486", "510 client sends ACK",
			"32010 client done: <nil>",
		)
		b.empty()
	}
}

// TestTransactionsAreUsedAgain: the second of two transactions knows nothing of
// the first, whose memory it has.
func TestTransactionsAreUsedAgain(t *testing.T) {
	b := newBench(t)
	first := b.client(sip.INVITE, true)
	b.response(reply(486, "INVITE", branch))
	second := b.layer.NewClient(b.now, Outgoing{
		Bytes: []byte(ask("INVITE", "z9hG4bKsecond")), Method: sip.INVITE, Branch: []byte("z9hG4bKsecond"), Reliable: true,
	})
	if second != first || second.Owner != nil {
		t.Error("the transaction was not taken from the free ones, or has an owner")
	}
	b.response(reply(486, "INVITE", "z9hG4bKsecond"))
	if !strings.Contains(b.sent[3], "branch=z9hG4bKsecond") {
		t.Errorf("the ACK is of the first transaction:\n%s", b.sent[3])
	}
	b.empty()
}

func TestClientTimesOut(t *testing.T) {
	b := newBench(t)
	b.client(sip.INVITE, true)
	b.client(sip.OPTIONS, true)
	b.wait(time.Minute)
	b.want(
		"0 client sends INVITE", "0 client sends OPTIONS",
		"32000 client done: transaction timed out", "32000 client done: transaction timed out",
	)
	b.empty()
}

func TestClientOther(t *testing.T) {
	b := newBench(t)
	b.client(sip.BYE, false)
	b.wait(600 * ms)
	b.response(reply(200, "BYE", branch))
	b.response(reply(200, "BYE", branch))
	b.wait(time.Minute)
	b.want("0 client sends BYE", "500 client sends BYE", "600 TU gets 200", "5600 client done: <nil>")
	b.empty()

	b = newBench(t)
	b.client(sip.BYE, true)
	b.wait(600 * ms)
	b.response(reply(481, "BYE", branch))
	b.want("0 client sends BYE", "600 TU gets 481", "600 client done: <nil>")
	b.empty()
}

// TestCancelSharesTheBranch has two client transactions with one branch, told
// apart by the CSeq method (RFC 3261 §17.1.3).
func TestCancelSharesTheBranch(t *testing.T) {
	b := newBench(t)
	invite := b.client(sip.INVITE, false)
	b.response(reply(180, "INVITE", branch))
	b.client(sip.CANCEL, false)
	b.layer.CancelSent(b.now, invite)
	b.response(reply(200, "CANCEL", branch))
	b.response(reply(487, "INVITE", branch))
	b.wait(time.Minute)
	b.want(
		"0 client sends INVITE", "0 TU gets 180", "0 client sends CANCEL", "0 TU gets 200",
		"0 client sends ACK", "0 TU gets 487",
		"5000 client done: <nil>", "32000 client done: <nil>",
	)
	b.empty()
}

func TestCancelledInviteWithoutAnswer(t *testing.T) { // RFC 3261 §9.1
	b := newBench(t)
	invite := b.client(sip.INVITE, false)
	b.response(reply(180, "INVITE", branch))
	b.wait(1000 * ms)
	b.layer.CancelSent(b.now, invite)
	b.wait(20_000 * ms)
	b.response(reply(180, "INVITE", branch))
	b.wait(time.Minute)
	b.want(
		"0 client sends INVITE", "0 TU gets 180", "21000 TU gets 180",
		"33000 client done: transaction timed out",
	)
	b.empty()
}

func TestClientTransportFailure(t *testing.T) {
	broken := errors.New("connection reset")
	t.Run("while sending", func(t *testing.T) {
		b := newBench(t)
		b.fails = broken
		c := b.client(sip.INVITE, true)
		b.want("0 client sends INVITE") // told later: NewClient has not returned when it fails
		if c.State() != Calling {
			t.Error("the transaction ended before NewClient returned")
		}
		b.wait(0)
		b.want("0 client done: transport failed: connection reset")
		b.empty()
	})
	t.Run("later", func(t *testing.T) {
		b := newBench(t)
		c := b.client(sip.OPTIONS, true)
		b.layer.ClientFailed(c, broken)
		b.want("0 client sends OPTIONS", "0 client done: transport failed: connection reset")
		b.empty()
	})
	t.Run("without a cause", func(t *testing.T) {
		b := newBench(t)
		b.layer.ClientFailed(b.client(sip.OPTIONS, true), nil)
		b.want("0 client sends OPTIONS", "0 client done: transport failed")
	})
	t.Run("at the ACK", func(t *testing.T) {
		b := newBench(t)
		b.client(sip.INVITE, false)
		b.fails = broken
		b.response(reply(404, "INVITE", branch))
		b.wait(0)
		b.want("0 client sends INVITE", "0 client sends ACK", "0 TU gets 404",
			"0 client done: transport failed: connection reset")
		b.empty()
	})
	t.Run("after the answer", func(t *testing.T) {
		b := newBench(t)
		c := b.client(sip.OPTIONS, false)
		b.response(reply(200, "OPTIONS", branch))
		b.layer.ClientFailed(c, broken)
		b.wait(time.Minute)
		b.want("0 client sends OPTIONS", "0 TU gets 200", "5000 client done: <nil>")
		b.empty()
	})
	if !errors.Is(failed(broken), ErrTransport) || !errors.Is(failed(broken), broken) {
		t.Error("the error does not hold both the kind and the cause")
	}
}

func TestNewTransactionFromClientDone(t *testing.T) {
	b := newBench(t)
	b.inDone = func(c *Client) {
		b.inDone = nil
		if next := b.client(sip.OPTIONS, true); next == c {
			t.Error("a transaction is used again while its end is being told")
		}
	}
	b.client(sip.INVITE, true)
	b.response(reply(500, "INVITE", branch))
	b.want("0 client sends INVITE", "0 client sends ACK", "0 TU gets 500", "0 client done: <nil>", "0 client sends OPTIONS")
	if b.layer.Len() != 1 {
		t.Errorf("%d transactions, want 1", b.layer.Len())
	}
}

func TestAckHasNoClientTransaction(t *testing.T) {
	b := newBench(t)
	defer func() {
		if recover() == nil {
			t.Error("NewClient took an ACK")
		}
	}()
	b.client(sip.ACK, false)
}

// A final response is the last that needs the request: what comes later is
// absorbed, or gets the ACK that was built.
func TestClientLetsGoOfItsRequest(t *testing.T) {
	for _, c := range []struct {
		method sip.Method
		code   int
	}{{sip.INVITE, 486}, {sip.INVITE, 200}, {sip.OPTIONS, 200}, {sip.OPTIONS, 486}} {
		b := newBench(t)
		tx := b.client(c.method, false)
		b.response(reply(100, string(c.method), branch))
		if tx.Request() == nil {
			t.Errorf("%s: no request after a 100", c.method)
		}
		b.response(reply(c.code, string(c.method), branch))
		if tx.State() == Terminated || tx.Request() != nil {
			t.Errorf("%s: %v after a %d, request kept: %v", c.method, tx.State(), c.code, tx.Request() != nil)
		}
		sent := len(b.sent)
		b.response(reply(c.code, string(c.method), branch))
		if acks := len(b.sent) - sent; (acks == 1) != (c.method == sip.INVITE && c.code == 486) {
			t.Errorf("%s: %d messages for a %d that came again", c.method, acks, c.code)
		}
		b.wait(time.Minute)
		b.empty()
	}
}
