package transaction

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
)

// bench is a TU and a transport that write down what they are asked for, on a
// clock that stands still until wait.
type bench struct {
	t      *testing.T
	now    time.Time
	timers *Timers
	layer  *Layer
	log    []string // "1500ms client INVITE", "0ms done timeout" …
	sent   []string // whole messages
	fails  error    // what SendClient reports
	inDone func(c *Client)
}

func newBench(t *testing.T) *bench {
	b := &bench{t: t, now: epoch, timers: NewTimers(epoch)}
	b.layer = NewLayer(Config{}, b.timers, b)
	return b
}

func (b *bench) note(format string, args ...any) {
	b.log = append(b.log, fmt.Sprintf("%v ", b.now.Sub(epoch).Milliseconds())+fmt.Sprintf(format, args...))
}

// title is the method or the status code of an encoded message.
func title(m []byte) string {
	word, rest, _ := strings.Cut(string(m), " ")
	if word == "SIP/2.0" {
		word, _, _ = strings.Cut(rest, " ")
	}
	return word
}

func (b *bench) SendClient(c *Client, m []byte) {
	b.note("client sends %s", title(m))
	b.sent = append(b.sent, string(m))
	if b.fails != nil {
		b.layer.ClientFailed(c, b.fails)
	}
}

func (b *bench) SendServer(_ *Server, m []byte) {
	b.note("server sends %s", title(m))
	b.sent = append(b.sent, string(m))
}

func (b *bench) ClientResponse(_ *Client, m *sip.Message) { b.note("TU gets %d", m.StatusCode()) }

func (b *bench) ClientDone(c *Client, err error) {
	b.note("client done: %v", err)
	if b.inDone != nil {
		b.inDone(c)
	}
}

func (b *bench) ServerDone(_ *Server, err error) { b.note("server done: %v", err) }

// wait lets time pass, firing timers at their instants.
func (b *bench) wait(d time.Duration) {
	end := b.now.Add(d)
	for {
		next, ok := b.timers.Next()
		if !ok || next.After(end) {
			break
		}
		if next.After(b.now) {
			b.now = next
		}
		b.timers.Advance(b.now)
	}
	b.now = end
}

// want compares what happened since the last want.
func (b *bench) want(lines ...string) {
	b.t.Helper()
	if !slices.Equal(b.log, lines) {
		b.t.Fatalf("happened:\n  %s\nwant:\n  %s", strings.Join(b.log, "\n  "), strings.Join(lines, "\n  "))
	}
	b.log = nil
}

func (b *bench) parse(text string) *sip.Message {
	b.t.Helper()
	m, err := sip.Parse([]byte(text))
	if err != nil {
		b.t.Fatalf("parse %q: %v", text, err)
	}
	b.t.Cleanup(m.Release)
	return m
}

// ask is a request as bytes; edit replaces parts of it, old and new in turn.
func ask(method, branch string, edit ...string) string {
	text := method + " sip:bob@biloxi.example SIP/2.0\r\n" +
		"Via: SIP/2.0/UDP pc33.atlanta.example:5060;branch=" + branch + "\r\n" +
		"Max-Forwards: 70\r\n" +
		"To: Bob <sip:bob@biloxi.example>\r\n" +
		"From: Alice <sip:alice@atlanta.example>;tag=88sja8x\r\n" +
		"Call-ID: 987asjd97y7atg\r\n" +
		"CSeq: 986759 " + method + "\r\n" +
		"Content-Length: 0\r\n\r\n"
	return strings.NewReplacer(edit...).Replace(text)
}

// reply is the response of that code to such a request.
func reply(code int, method, branch string, edit ...string) string {
	text := fmt.Sprintf("SIP/2.0 %d %s\r\n", code, sip.StatusText(code)) +
		"Via: SIP/2.0/UDP pc33.atlanta.example:5060;branch=" + branch + "\r\n" +
		"To: Bob <sip:bob@biloxi.example>;tag=99sa0xk\r\n" +
		"From: Alice <sip:alice@atlanta.example>;tag=88sja8x\r\n" +
		"Call-ID: 987asjd97y7atg\r\n" +
		"CSeq: 986759 " + method + "\r\n" +
		"Content-Length: 0\r\n\r\n"
	return strings.NewReplacer(edit...).Replace(text)
}

const branch = "z9hG4bKkjshdyff"

func (b *bench) client(method sip.Method, reliable bool) *Client {
	return b.layer.NewClient(b.now, Outgoing{
		Bytes: []byte(ask(string(method), branch)), Method: method, Branch: []byte(branch), Reliable: reliable,
	})
}

func (b *bench) response(text string) bool {
	b.t.Helper()
	return b.layer.Response(b.now, b.parse(text))
}

func (b *bench) request(text string, reliable bool) Arrival {
	b.t.Helper()
	return b.layer.Request(b.now, b.parse(text), Origin{Reliable: reliable})
}

// empty asserts that nothing is left: no transaction, timer or table entry.
func (b *bench) empty() {
	b.t.Helper()
	l := b.layer
	if l.Len() != 0 || b.timers.Len() != 0 || len(l.clients)+len(l.servers)+len(l.merges) != 0 {
		b.t.Errorf("left over: %d transactions, %d timers, tables %d %d %d",
			l.Len(), b.timers.Len(), len(l.clients), len(l.servers), len(l.merges))
	}
}

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
