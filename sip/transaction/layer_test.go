package transaction

import (
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
