package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// phones are a caller and an answerer on UDP who note when they saw what: what the records are compared with. They speak
// just enough SIP for that, and repeat nothing.
type phones struct {
	caller, answerer net.PacketConn
	gateway          net.Addr
	run              string // makes the Call-IDs of one run differ from those of others
	reading          sync.WaitGroup

	mu    sync.Mutex // guards the following
	calls map[string]*phoned
}

// A phoned is a call as the caller saw it. Times that did not come are zero.
type phoned struct {
	placed, answered, ended time.Time
	status                  int           // final response
	hold                    time.Duration // from the answer to the BYE; 0: there is none
}

// newPhones opens both phones, at addresses that the configuration has.
func newPhones(t *testing.T, caller, answerer, gateway, run string) *phones {
	t.Helper()
	p := &phones{run: run, calls: map[string]*phoned{}}
	var err error
	if p.gateway, err = net.ResolveUDPAddr("udp", gateway); err != nil {
		t.Fatal(err)
	}
	if p.caller, err = net.ListenPacket("udp", caller); err != nil {
		t.Fatal(err)
	}
	if p.answerer, err = net.ListenPacket("udp", answerer); err != nil {
		t.Fatal(err)
	}
	p.reading.Go(func() { p.listen(p.caller, p.atCaller) })
	p.reading.Go(func() { p.listen(p.answerer, p.atAnswerer) })
	return p
}

func (p *phones) close() {
	p.caller.Close()
	p.answerer.Close()
	p.reading.Wait()
}

func (p *phones) listen(c net.PacketConn, handle func(text string)) {
	buf := make([]byte, 64<<10)
	for {
		n, _, err := c.ReadFrom(buf)
		if err != nil {
			return
		}
		handle(string(buf[:n]))
	}
}

// field is the value of a message's first header of that name.
func field(text, name string) string {
	_, after, ok := strings.Cut(text, "\r\n"+name+": ")
	if !ok {
		return ""
	}
	value, _, _ := strings.Cut(after, "\r\n")
	return value
}

// place begins the n-th call. It stays up for hold, or when that is 0 until somebody else ends it.
func (p *phones) place(n int, hold time.Duration) {
	id := fmt.Sprintf("%s-%d@phones", p.run, n)
	p.mu.Lock()
	p.calls[id] = &phoned{placed: time.Now(), hold: hold}
	p.mu.Unlock()
	uri := fmt.Sprintf("sip:+4989%07d@%s", n, p.gateway)
	p.send("INVITE", uri, id, "<"+uri+">", siteSDP)
}

// send sends a request of the caller's.
func (p *phones) send(method, uri, id, to, body string) {
	cseq, kind := 1, ""
	if method == "BYE" {
		cseq = 2
	}
	if body != "" {
		kind = "Content-Type: application/sdp\r\n"
	}
	at := p.caller.LocalAddr()
	text := fmt.Sprintf("%s %s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK%s-%s\r\nMax-Forwards: 70\r\nFrom: <sip:+4930123@%s>;tag=c%s\r\n"+
		"To: %s\r\nCall-ID: %s\r\nCSeq: %d %s\r\nContact: <sip:+4930123@%s>\r\n%sContent-Length: %d\r\n\r\n%s",
		method, uri, at, strings.TrimSuffix(id, "@phones"), method, at, strings.TrimSuffix(id, "@phones"), to, id, cseq, method, at, kind, len(body), body)
	p.caller.WriteTo([]byte(text), p.gateway)
}

func (p *phones) atCaller(text string) {
	status, ok := strings.CutPrefix(text, "SIP/2.0 ")
	if !ok || len(status) < 3 {
		return // a BYE of the gateway's, when it ends
	}
	code, _ := strconv.Atoi(status[:3])
	if code < 200 {
		return
	}
	id, method := field(text, "Call-ID"), field(text, "CSeq")
	_, contact, _ := strings.Cut(field(text, "Contact"), "<")
	contact, _, _ = strings.Cut(contact, ">")
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.calls[id]
	switch {
	case c == nil:
	case strings.HasSuffix(method, "BYE"):
		c.ended = time.Now()
	case code >= 300:
		c.status = code
		p.send("ACK", "sip:"+p.gateway.String(), id, field(text, "To"), "")
	case c.status == 0:
		c.status, c.answered = code, time.Now()
		to := field(text, "To")
		p.send("ACK", contact, id, to, "")
		if c.hold > 0 {
			time.AfterFunc(c.hold, func() { p.send("BYE", contact, id, to, "") })
		}
	}
}

func (p *phones) atAnswerer(text string) {
	method, _, _ := strings.Cut(text, " ")
	if method != "INVITE" && method != "BYE" {
		return
	}
	var b strings.Builder
	b.WriteString("SIP/2.0 200 OK\r\n")
	for line := range strings.SplitSeq(text, "\r\n") {
		name, value, _ := strings.Cut(line, ": ")
		switch name {
		case "Via", "From", "Call-ID", "CSeq":
			fmt.Fprintf(&b, "%s: %s\r\n", name, value)
		case "To":
			if !strings.Contains(value, ";tag=") {
				value += ";tag=a"
			}
			fmt.Fprintf(&b, "To: %s\r\n", value)
		case "":
		}
	}
	body := ""
	if method == "INVITE" {
		body = siteSDP
		fmt.Fprintf(&b, "Contact: <sip:%s>\r\nContent-Type: application/sdp\r\n", p.answerer.LocalAddr())
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	p.answerer.WriteTo([]byte(b.String()), p.gateway)
}

// seen returns the calls as they are at this moment.
func (p *phones) seen() map[string]phoned {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := map[string]phoned{}
	for id, c := range p.calls {
		all[id] = *c
	}
	return all
}

// phonesConfig is a gateway between the phones.
func phonesConfig(addr []string, more string) string {
	return fmt.Sprintf(`
listeners: {lan: {listen: "udp:%s"}}
peers:
  office: {uri: "sip:%s;transport=udp", accept_from: ["%[2]s"]}
  acme:   {uri: "sip:%s;transport=udp", accept_from: ["%[3]s"]}
routes: [{from: [office], to: [acme]}]
admin: {listen: "%s"}
%s
`, addr[0], addr[1], addr[2], addr[3], more)
}

// A cdrLine is a record as "sallyport cdr --format json" prints it.
type cdrLine struct {
	ID     string
	State  string
	Called string
	In     struct {
		CallID string `json:"call_id"`
	}
	Cause struct{ Text string }
}

// cdrs are the records of a data directory by the caller's Call-ID. None may be there twice.
func cdrs(t *testing.T, dir string, args ...string) map[string]cdrLine {
	t.Helper()
	byCall, ids := map[string]cdrLine{}, map[string]bool{}
	for text := range strings.Lines(sallyport(t, dir, append([]string{"cdr", "--format", "json"}, args...)...)) {
		var c cdrLine
		if err := json.Unmarshal([]byte(text), &c); err != nil {
			t.Fatal(err)
		}
		if _, twice := byCall[c.In.CallID]; twice || ids[c.ID] {
			t.Errorf("call %s is there twice, as %s too", c.In.CallID, c.ID)
		}
		byCall[c.In.CallID], ids[c.ID] = c, true
	}
	return byCall
}
