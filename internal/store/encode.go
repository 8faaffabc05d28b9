package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// The journal's form of a record: its fields in the order of the types, strings and lists after their length, numbers
// as varints, times in nanoseconds since 1970 (0: none). A field that is added goes to the end of its type, under a new
// version of the form, so that the journal of an older program can still be read.
const formVersion = 4

// What programs knew before: no VerdictWhy, and no SIPS and KnownBy of legs; no Session; no Run, and no Reason of
// legs.
const (
	formWithoutWhy     = 1
	formWithoutSession = 2
	formWithoutRun     = 3
)

// What comes from the network is cut to these lengths, so that no record is larger than maxRecord.
const (
	maxText  = 2048 // bytes of a string
	maxNames = 32   // of a certificate
	maxLegs  = 32
)

type encoder []byte

func (b *encoder) text(s string) {
	if len(s) > maxText {
		s = s[:maxText]
	}
	*b = binary.AppendUvarint(*b, uint64(len(s)))
	*b = append(*b, s...)
}

func (b *encoder) number(n int64) { *b = binary.AppendVarint(*b, n) }

func (b *encoder) count(n uint64) { *b = binary.AppendUvarint(*b, n) }

func (b *encoder) time(t time.Time) {
	if t.IsZero() {
		b.number(0)
		return
	}
	b.number(t.UnixNano())
}

func (b *encoder) yes(v bool) {
	if v {
		*b = append(*b, 1)
		return
	}
	*b = append(*b, 0)
}

// record appends c without its ID.
func (b *encoder) record(c *CDR) {
	*b = append(*b, formVersion)
	b.count(c.Call)
	b.text(string(c.State))
	b.text(c.Caller)
	b.text(c.Called)
	b.text(c.Route)
	b.time(c.Began)
	b.time(c.Answered)
	b.time(c.Ended)
	b.text(c.EndedBy)
	b.number(int64(c.Cause.SIP))
	b.number(int64(c.Cause.Q850))
	b.text(c.Cause.Reason)
	b.text(c.Cause.Text)
	b.text(c.Verdict)
	b.leg(&c.In)
	out := c.Out
	if len(out) > maxLegs { // the last one is that which counted
		out = out[len(out)-maxLegs:]
	}
	b.count(uint64(len(out)))
	for i := range out {
		b.leg(&out[i])
	}
	b.text(c.VerdictWhy)
	b.text(c.Session)
	b.text(c.Run)
}

func (b *encoder) leg(l *Leg) {
	b.text(l.Peer)
	b.text(l.CallID)
	b.text(l.Transport)
	b.text(l.Remote)
	b.count(l.Connection)
	b.yes(l.New)
	b.yes(l.TLS != nil)
	if l.TLS != nil {
		b.tls(l.TLS)
	}
	b.number(int64(l.Code))
	b.text(l.Text)
	b.number(int64(l.To100))
	b.number(int64(l.To180))
	b.number(int64(l.To200))
	b.yes(l.SIPS)
	b.text(l.KnownBy)
	b.text(l.Reason)
}

func (b *encoder) tls(t *TLS) {
	b.text(t.Version)
	b.text(t.Suite)
	b.text(t.Group)
	b.yes(t.Resumed)
	b.yes(t.Mutual)
	names := t.Identity[:min(len(t.Identity), maxNames)]
	b.count(uint64(len(names)))
	for _, name := range names {
		b.text(name)
	}
	b.number(int64(t.Handshake))
}

// A decoder takes values off the front of a text. After the first value that is not there all are zero, and short is
// true.
type decoder struct {
	rest  string
	short bool
	form  byte // of the record
}

var errForm = errors.New("the record is not in a form that this program knows")

// decode is the reverse of encoder.record. The strings of the record share b's memory.
func decode(b string, id int64) (*CDR, error) {
	d := &decoder{rest: b}
	if d.form = d.byte(); d.form < formWithoutWhy || d.form > formVersion {
		return nil, fmt.Errorf("%w: form %d, known are those up to %d", errForm, d.form, formVersion)
	}
	c := &CDR{ID: FormatID(id)}
	c.Call = d.count()
	c.State = State(d.text())
	c.Caller = d.text()
	c.Called = d.text()
	c.Route = d.text()
	c.Began = d.time()
	c.Answered = d.time()
	c.Ended = d.time()
	c.EndedBy = d.text()
	c.Cause.SIP = int(d.number())
	c.Cause.Q850 = int(d.number())
	c.Cause.Reason = d.text()
	c.Cause.Text = d.text()
	c.Verdict = d.text()
	d.leg(&c.In)
	if n := d.list(maxLegs); n > 0 {
		c.Out = make([]Leg, n)
		for i := range c.Out {
			d.leg(&c.Out[i])
		}
	}
	if d.form > formWithoutWhy {
		c.VerdictWhy = d.text()
	}
	if d.form > formWithoutSession {
		c.Session = d.text()
	}
	if d.form > formWithoutRun {
		c.Run = d.text()
	}
	if d.short || d.rest != "" {
		return nil, errForm
	}
	return c, nil
}

func (d *decoder) leg(l *Leg) {
	l.Peer = d.text()
	l.CallID = d.text()
	l.Transport = d.text()
	l.Remote = d.text()
	l.Connection = d.count()
	l.New = d.yes()
	if d.yes() {
		l.TLS = d.tls()
	}
	l.Code = int(d.number())
	l.Text = d.text()
	l.To100 = time.Duration(d.number())
	l.To180 = time.Duration(d.number())
	l.To200 = time.Duration(d.number())
	if d.form > formWithoutWhy {
		l.SIPS, l.KnownBy = d.yes(), d.text()
	}
	if d.form > formWithoutRun {
		l.Reason = d.text()
	}
}

func (d *decoder) tls() *TLS {
	t := &TLS{Version: d.text(), Suite: d.text(), Group: d.text(), Resumed: d.yes(), Mutual: d.yes()}
	for range d.list(maxNames) {
		t.Identity = append(t.Identity, d.text())
	}
	t.Handshake = time.Duration(d.number())
	return t
}

func (d *decoder) fail() { d.rest, d.short = "", true }

func (d *decoder) byte() byte {
	if d.rest == "" {
		d.fail()
		return 0
	}
	b := d.rest[0]
	d.rest = d.rest[1:]
	return b
}

func (d *decoder) yes() bool { return d.byte() != 0 }

func (d *decoder) count() uint64 {
	var v uint64
	for shift := 0; shift < 64; shift += 7 {
		b := d.byte()
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return v
		}
	}
	d.fail()
	return 0
}

func (d *decoder) number() int64 {
	v := d.count()
	return int64(v>>1) ^ -int64(v&1)
}

// list is the length of a list.
func (d *decoder) list(most uint64) int {
	n := d.count()
	if n > most {
		d.fail()
		return 0
	}
	return int(n)
}

func (d *decoder) text() string {
	n := d.count()
	if n > uint64(len(d.rest)) {
		d.fail()
		return ""
	}
	s := d.rest[:n]
	d.rest = d.rest[n:]
	return s
}

func (d *decoder) time() time.Time {
	if n := d.number(); n != 0 {
		return time.Unix(0, n).UTC()
	}
	return time.Time{}
}
