package siptest

import (
	"fmt"
	"strings"

	"github.com/sallyport-sip/sallyport/sip"
)

// Option changes a message before it is written.
type Option func(*draft)

// draft is a message as text in pieces.
type draft struct {
	uri    string
	fields []field
	body   string
}

type field struct{ name, value string }

// Set gives a header field this value instead of what it had, or adds it.
func Set(name, value string) Option {
	return func(d *draft) {
		for i := range d.fields {
			if strings.EqualFold(d.fields[i].name, name) {
				d.fields[i].value = value
				return
			}
		}
		d.fields = append(d.fields, field{name, value})
	}
}

// Add adds a header field behind those that are there.
func Add(name, value string) Option {
	return func(d *draft) { d.fields = append(d.fields, field{name, value}) }
}

// Drop leaves out every header field of that name.
func Drop(name string) Option {
	return func(d *draft) {
		kept := d.fields[:0]
		for _, f := range d.fields {
			if !strings.EqualFold(f.name, name) {
				kept = append(kept, f)
			}
		}
		d.fields = kept
	}
}

// Body gives the message a body. Content-Length counts it unless Set says
// something else.
func Body(contentType, body string) Option {
	return func(d *draft) {
		Set("Content-Type", contentType)(d)
		d.body = body
	}
}

// URI replaces the Request-URI.
func URI(uri string) Option { return func(d *draft) { d.uri = uri } }

// text writes the message. tail is what stands behind the URI of a request
// line, or empty when start is the whole line.
func (d *draft) text(start, tail string) string {
	var b strings.Builder
	if tail != "" {
		b.WriteString(start + d.uri + tail)
	} else {
		b.WriteString(start)
	}
	b.WriteString("\r\n")
	for _, f := range d.fields {
		b.WriteString(f.name + ": " + f.value + "\r\n")
	}
	b.WriteString("\r\n" + d.body)
	return b.String()
}

// apply runs the options and fills in Content-Length, unless they set or drop
// it.
func (d *draft) apply(options []Option) {
	const here = "\x00"
	d.fields = append(d.fields, field{"Content-Length", here})
	for _, o := range options {
		o(d)
	}
	for i := range d.fields {
		if d.fields[i].value == here {
			d.fields[i].value = fmt.Sprint(len(d.body))
		}
	}
}

// script is what a peer remembers of its conversation. It belongs to the
// test's goroutine.
type script struct {
	p        *Peer
	branches int
	callIDs  int
	seq      uint32
	tag      string
	lastGot  *Message
	requests map[sip.Method]*sip.Message // the last one sent, by method
	dialog   dialog
}

// dialog is what requests inside the last dialog need.
type dialog struct {
	callID, local, remote string // local and remote as From and To write them
	target                string
	routes                []string
}

func (s *script) init(p *Peer) {
	s.p, s.tag = p, p.cfg.Name+"tag"
	s.requests = map[sip.Method]*sip.Message{}
}

func (s *script) last() string { return firstLine(s.lastGot) }

func (s *script) branch() string {
	s.branches++
	return fmt.Sprintf("z9hG4bK-%s-%d-%d", s.p.cfg.Name, s.p.addr.Port(), s.branches)
}

func (s *script) via() string {
	return fmt.Sprintf("SIP/2.0/%s %v;branch=%s;rport", s.p.cfg.Transport.Via(), s.p.addr, s.branch())
}

// sent takes note of a whole request.
func (s *script) sent(raw string) {
	m, err := sip.Parse([]byte(raw))
	if err != nil || !m.IsRequest() || m.Check() != nil {
		m.Release()
		return
	}
	s.requests[m.Method()] = m
}

// got takes note of what came, and of the dialog that it makes.
func (s *script) got(m *Message) {
	s.lastGot = m
	to, err := m.To()
	if err != nil {
		return
	}
	switch {
	case !makesDialog(m.Method()):
	case m.IsRequest() && to.Tag() == nil:
		s.learn(m, string(m.First(sip.HdrTo))+";tag="+s.tag, string(m.First(sip.HdrFrom)))
	case m.StatusCode() > 100 && m.StatusCode() < 300 && to.Tag() != nil:
		s.learn(m, string(m.First(sip.HdrFrom)), string(m.First(sip.HdrTo)))
	}
}

// makesDialog says whether requests of a method make a dialog.
func makesDialog(method sip.Method) bool {
	return method == sip.INVITE || method == sip.SUBSCRIBE || method == sip.REFER
}

func (s *script) learn(m *Message, local, remote string) {
	d := dialog{callID: string(m.CallID()), local: local, remote: remote}
	if contact, err := m.Contact(); err == nil {
		d.target = string(contact.RawURI)
	}
	for r := range m.Values(sip.HdrRecordRoute) {
		if m.IsRequest() {
			d.routes = append(d.routes, string(r))
		} else { // the UAC takes them in reverse order (RFC 3261 §12.1.2)
			d.routes = append([]string{string(r)}, d.routes...)
		}
	}
	s.dialog = d
}

// Request writes a request outside a dialog: with a new Via branch, Call-ID and
// CSeq, a From of the peer's, the URI as To, a Contact and Max-Forwards. The
// options may change all of it. Nothing is sent.
func (p *Peer) Request(method sip.Method, uri string, options ...Option) string {
	s := &p.script
	s.callIDs++
	s.seq++
	d := &draft{uri: uri, fields: []field{
		{"Via", s.via()},
		{"Max-Forwards", "70"},
		{"From", fmt.Sprintf("<sip:%s@%v>;tag=%s", p.cfg.Name, p.addr.Addr(), s.tag)},
		{"To", "<" + uri + ">"},
		{"Call-ID", fmt.Sprintf("%d-%d@%s", s.callIDs, p.addr.Port(), p.cfg.Name)},
		{"CSeq", fmt.Sprintf("%d %s", s.seq, method)},
		{"Contact", "<" + p.URI(p.cfg.Name) + ">"},
	}}
	d.apply(options)
	return d.text(string(method)+" ", " SIP/2.0")
}

// InDialog writes a request inside the last dialog: of the last INVITE that was
// received, or of the last response above 100 to one that was sent.
func (p *Peer) InDialog(method sip.Method, options ...Option) string {
	p.t.Helper()
	s := &p.script
	if s.dialog.callID == "" {
		p.t.Fatalf("%s: there is no dialog for a %s yet", p.cfg.Name, method)
	}
	s.seq++
	d := &draft{uri: s.dialog.target, fields: []field{
		{"Via", s.via()},
		{"Max-Forwards", "70"},
	}}
	for _, r := range s.dialog.routes {
		d.fields = append(d.fields, field{"Route", r})
	}
	d.fields = append(d.fields,
		field{"From", s.dialog.local},
		field{"To", s.dialog.remote},
		field{"Call-ID", s.dialog.callID},
		field{"CSeq", fmt.Sprintf("%d %s", s.seq, method)},
		field{"Contact", "<" + p.URI(p.cfg.Name) + ">"},
	)
	d.apply(options)
	return d.text(string(method)+" ", " SIP/2.0")
}

// Ack writes the ACK to a final response: for a 2xx a request of its own inside
// the dialog (RFC 3261 §13.2.2.4), else one with the branch of the INVITE
// (RFC 3261 §17.1.1.3).
func (p *Peer) Ack(response *Message, options ...Option) string {
	p.t.Helper()
	invite := p.script.lastSent(sip.INVITE)
	cseq, _ := response.CSeq()
	d := p.follow(invite)
	d.fields = append(d.fields,
		field{"To", string(response.First(sip.HdrTo))},
		field{"CSeq", fmt.Sprintf("%d ACK", cseq.Seq)})
	if response.StatusCode() < 300 {
		if contact, err := response.Contact(); err == nil {
			d.uri = string(contact.RawURI)
		}
		Set("Via", p.script.via())(d)
		for _, r := range p.script.dialog.routes {
			d.fields = append(d.fields, field{"Route", r})
		}
	}
	d.apply(options)
	return d.text("ACK ", " SIP/2.0")
}

// Cancel writes the CANCEL of the last INVITE that was sent (RFC 3261 §9.1).
func (p *Peer) Cancel(options ...Option) string {
	p.t.Helper()
	invite := p.script.lastSent(sip.INVITE)
	cseq, _ := invite.CSeq()
	d := p.follow(invite)
	d.fields = append(d.fields,
		field{"To", string(invite.First(sip.HdrTo))},
		field{"CSeq", fmt.Sprintf("%d CANCEL", cseq.Seq)})
	d.apply(options)
	return d.text("CANCEL ", " SIP/2.0")
}

// follow begins an ACK or CANCEL with what it repeats of the INVITE.
func (p *Peer) follow(invite *sip.Message) *draft {
	return &draft{uri: string(invite.RequestURI()), fields: []field{
		{"Via", string(invite.First(sip.HdrVia))},
		{"Max-Forwards", "70"},
		{"From", string(invite.First(sip.HdrFrom))},
		{"Call-ID", string(invite.CallID())},
	}}
}

func (s *script) lastSent(method sip.Method) *sip.Message {
	s.p.t.Helper()
	m := s.requests[method]
	if m == nil {
		s.p.t.Fatalf("%s: no %s was sent yet", s.p.cfg.Name, method)
	}
	return m
}

// Response writes the response to a request: with its Via, From, Call-ID, CSeq
// and Record-Route, its To with the peer's tag, and for INVITE a Contact. The
// options may change all of it. Nothing is sent.
func (p *Peer) Response(req *Message, code int, options ...Option) string {
	d := &draft{}
	for f := range req.Fields() {
		switch f.ID {
		case sip.HdrVia, sip.HdrFrom, sip.HdrCallID, sip.HdrCSeq:
			d.fields = append(d.fields, field{f.ID.String(), string(f.Value)})
		case sip.HdrRecordRoute:
			if code > 100 && code < 300 {
				d.fields = append(d.fields, field{"Record-Route", string(f.Value)})
			}
		case sip.HdrTo:
			to := string(f.Value)
			if a, err := req.To(); code > 100 && err == nil && a.Tag() == nil {
				to += ";tag=" + p.script.tag
			}
			d.fields = append(d.fields, field{"To", to})
		}
	}
	if makesDialog(req.Method()) && code > 100 && code < 300 {
		d.fields = append(d.fields, field{"Contact", "<" + p.URI(p.cfg.Name) + ">"})
	}
	d.apply(options)
	return d.text(fmt.Sprintf("SIP/2.0 %d %s", code, sip.StatusText(code)), "")
}

// Reply sends the response to a request, on the connection that it came on, on
// UDP to where it came from.
func (p *Peer) Reply(req *Message, code int, options ...Option) {
	p.t.Helper()
	if err := req.link.write([]byte(p.Response(req, code, options...)), req.Source); err != nil {
		p.t.Fatalf("%s: reply %d: %v", p.cfg.Name, code, err)
	}
}
