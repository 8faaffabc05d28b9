package e2e

import (
	"fmt"
	"net"
	"strings"
	"time"
)

// A speaker is a peer on UDP that says what its script says.
type speaker struct {
	conn   net.PacketConn
	says   func(s *speaker, text string) // to a request
	back   net.Addr                      // who sent the last one
	finals chan string                   // final responses to its own INVITEs
}

// speaker starts one; says is nil for who only calls.
func (s *failing) speaker(says func(*speaker, string)) *speaker {
	s.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		s.Fatal(err)
	}
	who := &speaker{conn: conn, says: says, finals: make(chan string, 10)}
	over := make(chan struct{})
	go func() {
		defer close(over)
		who.listen()
	}()
	s.Cleanup(func() {
		conn.Close()
		<-over
	})
	return who
}

func (s *speaker) addr() string { return s.conn.LocalAddr().String() }

func (s *speaker) send(text, to string) {
	if at, err := net.ResolveUDPAddr("udp", to); err == nil {
		s.conn.WriteTo([]byte(text), at)
	}
}

func (s *speaker) listen() {
	buf := make([]byte, 64<<10)
	answered := map[string]bool{} // Call-ID and CSeq
	for {
		n, from, err := s.conn.ReadFrom(buf)
		if err != nil {
			return
		}
		text := string(buf[:n])
		status, response := strings.CutPrefix(text, "SIP/2.0 ")
		key := field(text, "Call-ID") + field(text, "CSeq")
		switch {
		case response && status[0] > '1' && strings.HasSuffix(field(text, "CSeq"), "INVITE") && !answered[key]:
			answered[key] = true
			s.finals <- text
		case response:
		case s.says != nil:
			s.back = from
			s.says(s, text)
		case strings.HasPrefix(text, "BYE"):
			s.back = from
			s.reply(text, "200 OK", "", nil)
		}
	}
}

// reply answers a request, with an SDP or without; change makes of the text what arrives.
func (s *speaker) reply(request, status, contact string, change func(string) string, headers ...string) {
	var b strings.Builder
	fmt.Fprintf(&b, "SIP/2.0 %s\r\n", status)
	for line := range strings.SplitSeq(request, "\r\n") {
		name, value, _ := strings.Cut(line, ": ")
		switch name {
		case "Via", "From", "Call-ID", "CSeq":
			fmt.Fprintf(&b, "%s: %s\r\n", name, value)
		case "To":
			if !strings.Contains(value, ";tag=") {
				value += ";tag=callee"
			}
			fmt.Fprintf(&b, "To: %s\r\n", value)
		}
	}
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	body := ""
	if contact != "" {
		body = siteSDP
		fmt.Fprintf(&b, "Contact: <sip:%s>\r\nContent-Type: application/sdp\r\n", contact)
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	text := b.String()
	if change != nil {
		text = change(text)
	}
	s.conn.WriteTo([]byte(text), s.back)
}

// refuses is a script that has one answer to every call.
func refuses(status string, headers ...string) func(*speaker, string) {
	return func(s *speaker, text string) {
		if strings.HasPrefix(text, "INVITE") {
			s.reply(text, status, "", nil, headers...)
		}
	}
}

// answers is a script that takes every call; change is what becomes of its words on their way.
func answers(change func(string) string) func(*speaker, string) {
	return func(s *speaker, text string) {
		switch {
		case strings.HasPrefix(text, "INVITE"):
			s.reply(text, "200 OK", s.addr(), change)
		case strings.HasPrefix(text, "BYE"):
			s.reply(text, "200 OK", "", change)
		}
	}
}

// rewritten is what a router with a SIP ALG makes of an answer: it takes the addresses in it for its own.
func rewritten(text string) string {
	before, rest, _ := strings.Cut(text, "Via: SIP/2.0/UDP ")
	_, after, _ := strings.Cut(rest, ";")
	return before + "Via: SIP/2.0/UDP 203.0.113.7:6060;" + after
}

// answersFromBehindNAT gives a Contact that does not lead to it, so that no ACK arrives, and says its 200 again and again.
func answersFromBehindNAT(s *speaker, text string) {
	switch {
	case strings.HasPrefix(text, "INVITE"):
		for range 7 {
			s.reply(text, "200 OK", "hidden@127.0.9.9:5060", nil)
			time.Sleep(100 * time.Millisecond)
		}
	case strings.HasPrefix(text, "BYE"):
		s.reply(text, "200 OK", "", nil)
	}
}

// targetOf is where the ACK of an answer goes: to the Contact of a 2xx, else to where the INVITE went.
func targetOf(answer, uri string) string {
	if strings.HasPrefix(answer, "SIP/2.0 2") {
		_, after, _ := strings.Cut(field(answer, "Contact"), "<")
		uri, _, _ = strings.Cut(after, ">")
	}
	if _, host, ok := strings.Cut(uri, "@"); ok {
		return host
	}
	return strings.TrimPrefix(uri, "sip:")
}

// within is an ACK or BYE for an INVITE and its answer.
func within(method, invite, answer, uri string) string {
	via := field(invite, "Via")
	if strings.HasPrefix(answer, "SIP/2.0 2") || method == "BYE" {
		via = strings.Replace(via, "z9hG4bK", "z9hG4bK"+method, 1)
		_, after, _ := strings.Cut(field(answer, "Contact"), "<")
		uri, _, _ = strings.Cut(after, ">")
	}
	number, _, _ := strings.Cut(field(invite, "CSeq"), " ")
	return fmt.Sprintf("%s %s SIP/2.0\r\nVia: %s\r\nMax-Forwards: 70\r\nFrom: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %s %s\r\nContent-Length: 0\r\n\r\n",
		method, uri, via, field(invite, "From"), field(answer, "To"), field(invite, "Call-ID"), number, method)
}
