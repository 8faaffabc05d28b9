package tlswire

import (
	"encoding/binary"
	"fmt"
	"time"
)

// Bounds of what one Parser keeps, whatever it is fed.
const (
	maxRecord   = 16384 + 2048 // bytes of a record's content, RFC 5246 §6.2.3
	maxMessage  = 64 << 10     // bytes of a handshake message; longer ones are named and skipped
	maxQueue    = 128 << 10    // bytes of records that wait for a secret
	maxSteps    = 128          // steps before the parser stops; a mutual handshake has 15
	maxUnread   = 8            // EncryptedHandshake steps of one side
	queuedExtra = 64           // what a waiting record costs beside its bytes
)

// Record types, RFC 8446 §5.1 and RFC 6520 §3.
const (
	recordChangeCipherSpec = 20
	recordAlert            = 21
	recordHandshake        = 22
	recordData             = 23
	recordHeartbeat        = 24

	headerLen = 5
)

// Parser reads one connection. It is fed by its owner and calls emit, given to
// New, from within Feed, Secret and Flush. It has no lock: see Live.
//
// A record that was encrypted under a handshake secret waits until Secret brings
// that secret, and so does, to keep the order, all that is fed after it. Flush
// ends the waiting.
type Parser struct {
	emit  func(Step)
	state State
	side  [2]direction

	random    [32]byte
	hasRandom bool
	session   []byte // session id that the client offered

	queue  []record // wait for a secret, in the order of their arrival
	queued int      // bytes in queue
	secret [2][]byte
	blind  bool   // Flush was called: nothing waits any more
	plain  []byte // buffer for opened records

	answered  bool // ServerHello was seen
	helloDone bool // ServerHelloDone was seen
	tls13     bool // chosen by ServerHello or HelloRetryRequest
	suite     uint16
	dataShown bool // the step with number 14 is out
	closed    bool // the step with number 15 is out
	steps     int
}

// direction is what is known of the bytes that one side sends.
type direction struct {
	raw       []byte    // a record, or the beginning of other bytes, not yet whole
	foreignAt time.Time // when the last of first bytes that are not TLS came
	started   bool      // a record header was accepted: this is TLS
	stopped   bool      // nothing more is read
	protected bool      // records are encrypted from here
	opaque    bool      // and cannot be opened
	keys      *opener   // opens handshake records of 1.3
	messages  messages  // handshake messages not yet whole
	unread    int       // EncryptedHandshake steps so far
	followed  bool      // the other side sent something encrypted after them
}

// record is one record; its content is owned by whoever fed it until it is queued.
type record struct {
	at      time.Time
	from    Side
	header  [headerLen]byte
	content []byte
}

// New returns a Parser that reports each step to emit, which must not call the
// parser.
func New(emit func(Step)) *Parser {
	return &Parser{emit: emit}
}

// State returns what is known so far.
func (p *Parser) State() State { return p.state }

// ClientRandom returns the random value of the first ClientHello, which key logs
// name connections by, and whether one was seen.
func (p *Parser) ClientRandom() ([32]byte, bool) { return p.random, p.hasRandom }

// Feed takes the next bytes that from has sent; b may be cut anywhere and is not
// kept. Bytes of both sides should come in the order in which they were sent: feed
// what is written before it is written, and what is read after it was read.
func (p *Parser) Feed(from Side, at time.Time, b []byte) {
	d := &p.side[from]
	for len(b) > 0 && !d.stopped {
		if !d.started && foreign(d.raw, b[0]) {
			p.feedForeign(from, at, b)
			return
		}
		if len(d.raw) == 0 && len(b) >= headerLen { // whole records are read where they lie
			if !p.header(from, at, b) {
				return
			}
			if n := recordLen(b); len(b) >= n {
				p.record(from, at, b[:n])
				b = b[n:]
				continue
			}
		}
		b = p.collect(from, at, b)
	}
}

// collect adds to the record that is not yet whole, reads it when it is, and
// returns the bytes that it did not take.
func (p *Parser) collect(from Side, at time.Time, b []byte) []byte {
	d := &p.side[from]
	want := headerLen
	if len(d.raw) >= headerLen {
		want = recordLen(d.raw)
	}
	n := min(want-len(d.raw), len(b))
	d.raw = append(d.raw, b[:n]...)
	if len(d.raw) == headerLen && !p.header(from, at, d.raw) {
		return nil
	}
	if len(d.raw) >= headerLen && len(d.raw) == recordLen(d.raw) {
		whole := d.raw
		d.raw = d.raw[:0]
		p.record(from, at, whole)
	}
	return b[n:]
}

// header reports whether b begins with a possible record header. If not, this
// side is not read any more.
func (p *Parser) header(from Side, at time.Time, b []byte) bool {
	d := &p.side[from]
	typ, n := b[0], recordLen(b)-headerLen
	if typ >= recordChangeCipherSpec && typ <= recordHeartbeat && b[1] == 3 && n <= maxRecord {
		d.started = true
		return true
	}
	r := record{at: at, from: from}
	if d.started {
		p.problem(r, BadRecord, "a record header that cannot be one: % x", b[:headerLen])
	} else {
		p.problem(r, NotTLS, "bytes that do not begin a TLS connection: % x", b[:headerLen])
	}
	d.stop()
	return false
}

func recordLen(b []byte) int { return headerLen + int(binary.BigEndian.Uint16(b[3:5])) }

// record takes one whole record.
func (p *Parser) record(from Side, at time.Time, b []byte) {
	r := record{at: at, from: from, header: [headerLen]byte(b), content: b[headerLen:]}
	if len(p.queue) == 0 && p.read(r) {
		return
	}
	p.queued += len(r.content) + queuedExtra
	if p.queued > maxQueue {
		p.problem(r, NoSecret, "more than %d KiB wait for the handshake secrets", maxQueue>>10)
		p.stopWaiting()
		p.read(r)
		return
	}
	r.content = append([]byte(nil), r.content...)
	p.queue = append(p.queue, r)
}

// drain reads what waited, as far as the secrets at hand allow.
func (p *Parser) drain() {
	for len(p.queue) > 0 && p.read(p.queue[0]) {
		p.queued -= len(p.queue[0].content) + queuedExtra
		p.queue[0].content = nil
		p.queue = p.queue[1:]
	}
	if len(p.queue) == 0 {
		p.queue = nil
		p.queued = 0
	}
}

// Flush ends all waiting: records without a secret become EncryptedHandshake
// steps, now and from here on, and first bytes that are not TLS are named by as
// many as there are. Call it at the end of the input, or at the beginning when
// no secrets will come.
func (p *Parser) Flush() {
	p.stopWaiting()
	p.flushForeign()
}

func (p *Parser) stopWaiting() {
	p.blind = true
	p.drain()
}

// wipe forgets secrets, keys and buffers; the state remains.
func (p *Parser) wipe() {
	for i := range p.side {
		clear(p.secret[i])
		p.secret[i] = nil
		p.side[i].keys.wipe()
		p.side[i].keys = nil
		p.side[i].stop()
	}
	p.queue, p.queued = nil, 0
	p.plain = nil
}

// stop ends the reading of one direction and drops its buffers.
func (d *direction) stop() {
	d.stopped = true
	d.raw = nil
	d.messages = messages{}
}

// read reads one record and reports false if it must wait for a secret.
func (p *Parser) read(r record) bool {
	d := &p.side[r.from]
	if d.stopped {
		return true
	}
	switch r.header[0] {
	case recordChangeCipherSpec:
		p.changeCipherSpec(r)
	case recordAlert:
		if d.protected && !p.tls13 {
			p.step(Step{At: r.at, From: r.from, Name: NameAlert, Encrypted: true, Length: len(r.content)})
		} else {
			p.alert(r)
		}
	case recordHandshake:
		switch {
		case d.protected && p.tls13:
			p.problem(r, Unexpected, "a handshake message in clear after ServerHello")
			d.stop()
		case d.protected:
			p.encrypted12(r)
		default:
			p.handshake(r)
		}
	case recordData:
		return p.data(r)
	}
	return true
}

// changeCipherSpec begins encryption before 1.3. In 1.3 it means nothing and is
// no step (RFC 8446 §5, appendix D.4).
func (p *Parser) changeCipherSpec(r record) {
	d := &p.side[r.from]
	if d.protected || p.tls13 || !p.answered {
		return // dummies of 1.3, or part of a renegotiation
	}
	if len(r.content) != 1 || r.content[0] != 1 {
		p.problem(r, Malformed, "a ChangeCipherSpec that is not the one byte 1")
		d.stop()
		return
	}
	if d.messages.pending() {
		p.problem(r, Unexpected, "ChangeCipherSpec within a handshake message")
	}
	d.messages = messages{}
	d.protected = true
	if r.from == Server {
		// RFC 5246 §7.3: in an abbreviated handshake nothing but tickets stands
		// between ServerHello and this.
		p.state.Resumed = !p.helloDone
	}
	p.step(Step{At: r.at, From: r.from, Name: NameChangeCipherSpec, Number: number(NameChangeCipherSpec, r.from), Length: 1})
}

// encrypted12 names an encrypted handshake record before 1.3 by its place: the
// first one is Finished, others belong to a renegotiation.
func (p *Parser) encrypted12(r record) {
	if p.state.Finished[r.from] {
		p.unread(r)
		return
	}
	p.state.Finished[r.from] = true
	p.step(Step{At: r.at, From: r.from, Name: "Finished", Number: number("Finished", r.from), Encrypted: true, Length: len(r.content)})
}

// data reads a record of the type application data, which in 1.3 is also the
// dress of everything encrypted.
func (p *Parser) data(r record) bool {
	d := &p.side[r.from]
	switch {
	case p.tls13 && d.protected && !p.state.Finished[r.from]:
		return p.sealed(r)
	case d.protected:
		p.applicationData(r)
	case r.from == Client && p.state.Offer != nil && p.state.Offer.EarlyData:
		p.applicationData(r) // 0-RTT, RFC 8446 §2.3
	case p.state.Offer == nil:
		p.problem(r, MidSession, "application data before any ClientHello: the handshake was not seen")
		d.stop()
	default:
		p.problem(r, Unexpected, "application data in clear")
		d.stop()
	}
	return true
}

// applicationData shows the first application data of each side.
func (p *Parser) applicationData(r record) {
	if p.state.Data[r.from] {
		return
	}
	p.state.Data[r.from] = true
	s := Step{At: r.at, From: r.from, Name: NameApplicationData, Encrypted: true, Length: len(r.content)}
	if !p.tls13 && p.answered && !p.dataShown {
		p.dataShown = true
		s.Number = 14
	}
	p.step(s)
}

// unread shows a record that belongs to the handshake but could not be opened.
func (p *Parser) unread(r record) {
	d := &p.side[r.from]
	if d.unread >= maxUnread {
		return
	}
	d.unread++
	p.step(Step{At: r.at, From: r.from, Name: NameEncryptedHandshake, Encrypted: true, Length: len(r.content)})
}

// step hands out one step, or stops the parser when there are too many.
func (p *Parser) step(s Step) {
	p.steps++
	if p.steps == maxSteps {
		s = Step{At: s.At, From: s.From, Name: NameProblem, Problem: &Problem{
			Kind: TooManySteps, From: s.From, Text: fmt.Sprintf("more than %d handshake messages and alerts; no more are read", maxSteps-1),
		}}
		p.side[Client].stop()
		p.side[Server].stop()
	}
	if p.steps > maxSteps {
		return
	}
	if s.Problem != nil && p.state.Problem == nil {
		p.state.Problem = s.Problem
	}
	p.emit(s)
}

// problem shows, at the place of r, what could not be read.
func (p *Parser) problem(r record, kind ProblemKind, format string, args ...any) {
	p.step(Step{At: r.at, From: r.from, Name: NameProblem, Length: len(r.content),
		Problem: &Problem{Kind: kind, From: r.from, Text: fmt.Sprintf(format, args...)}})
}
