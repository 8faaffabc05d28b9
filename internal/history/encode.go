package history

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
)

// The form of an event: its fields in the order below, texts and lists after their length, numbers as varints, times in nanoseconds since
// 1970. A connection stands in a block once, where it is first named, and by its number in the block after that. One function for each type
// writes and reads it, so the two cannot differ. A change of the form is a new formVersion.

// A coder writes values to the end of b, or takes them off its front. After a value that is not there, all are zero and short is true.
type coder struct {
	b       []byte
	reading bool
	short   bool

	links []*callflow.Link          // of the block
	known map[*callflow.Link]uint64 // likewise, by their place, when writing
	seq   uint64                    // of the last event
	at    int64
}

var errForm = errors.New("a block is not in the form that this program knows")

// most bounds lists and texts that are read.
const (
	mostItems = 1 << 12
	mostText  = 1 << 24
)

func (c *coder) fail() { c.b, c.short = nil, true }

func (c *coder) count(n *uint64) {
	if !c.reading {
		c.b = binary.AppendUvarint(c.b, *n)
		return
	}
	v, size := binary.Uvarint(c.b)
	if size <= 0 {
		c.fail()
		v, size = 0, 0
	}
	*n, c.b = v, c.b[size:]
}

func (c *coder) signed(n *int64) {
	if !c.reading {
		c.b = binary.AppendVarint(c.b, *n)
		return
	}
	v, size := binary.Varint(c.b)
	if size <= 0 {
		c.fail()
		v, size = 0, 0
	}
	*n, c.b = v, c.b[size:]
}

// whole is for all kinds of whole numbers.
func whole[T ~int | ~uint8 | ~uint32 | ~int64](c *coder, n *T) {
	v := int64(*n)
	if c.signed(&v); c.reading { // what is written belongs to others as well
		*n = T(v)
	}
}

func (c *coder) yes(v *bool) {
	n := uint64(0)
	if *v {
		n = 1
	}
	if c.count(&n); c.reading {
		*v = n != 0
	}
}

// span is as many bytes as follow their length; when reading they are part of b.
func (c *coder) span(s *[]byte) {
	n := uint64(len(*s))
	c.count(&n)
	if !c.reading {
		c.b = append(c.b, *s...)
		return
	}
	if n > mostText || n > uint64(len(c.b)) {
		c.fail()
		n = 0
	}
	*s, c.b = c.b[:n:n], c.b[n:]
}

func text[T ~string](c *coder, s *T) {
	if !c.reading {
		c.b = binary.AppendUvarint(c.b, uint64(len(*s)))
		c.b = append(c.b, *s...)
		return
	}
	var b []byte
	c.span(&b)
	*s = T(b)
}

// items is the length of a list; when reading it makes the list.
func items[T any](c *coder, list *[]T) {
	n := uint64(len(*list))
	c.count(&n)
	if !c.reading {
		return
	}
	if n > mostItems || n > uint64(len(c.b)) {
		c.fail()
		n = 0
	}
	if *list = nil; n > 0 {
		*list = make([]T, n)
	}
}

func (c *coder) texts(list *[]string) {
	items(c, list)
	for i := range *list {
		text(c, &(*list)[i])
	}
}

func (c *coder) time(t *time.Time) {
	n := int64(0)
	if !t.IsZero() {
		n = t.UnixNano()
	}
	c.signed(&n)
	if c.reading {
		if *t = (time.Time{}); n != 0 {
			*t = time.Unix(0, n)
		}
	}
}

func (c *coder) address(a *netip.AddrPort) {
	var b []byte
	if !c.reading && a.IsValid() {
		var room [32]byte
		b, _ = a.AppendBinary(room[:0])
	}
	c.span(&b)
	if c.reading {
		if *a = (netip.AddrPort{}); len(b) > 0 && a.UnmarshalBinary(b) != nil {
			c.fail()
		}
	}
}

// optional says whether something is there; when reading it makes it.
func optional[T any](c *coder, p **T) bool {
	there := *p != nil
	c.yes(&there)
	if c.reading {
		if *p = nil; there {
			*p = new(T)
		}
	}
	return there
}

// What an event has besides its kind, time and place.
const (
	hasLink = 1 << iota
	hasRemote
	hasReason
	isOut
	isFirst // as a callflow.Filer says
)

// event is one event, and whether it is a first use.
func (c *coder) event(e *callflow.Event, first *bool) {
	whole(c, &e.Kind)
	flags := uint64(0)
	if e.Link != nil {
		flags |= hasLink
	}
	if e.Remote.IsValid() {
		flags |= hasRemote
	}
	if e.Reason != "" {
		flags |= hasReason
	}
	if e.Out {
		flags |= isOut
	}
	if *first {
		flags |= isFirst
	}
	c.count(&flags)
	*first = flags&isFirst != 0
	e.Out = flags&isOut != 0
	seq := e.Seq - c.seq
	c.count(&seq)
	at := int64(0)
	if !c.reading {
		at = e.At.UnixNano() - c.at
	}
	c.signed(&at)
	c.seq, c.at = c.seq+seq, c.at+at
	e.Seq, e.At = c.seq, time.Unix(0, c.at)
	if flags&hasLink != 0 {
		c.link(&e.Link)
	}
	if flags&hasRemote != 0 {
		c.address(&e.Remote)
	}
	if flags&hasReason != 0 {
		text(c, &e.Reason)
	}
	switch e.Kind {
	case callflow.Message:
		c.span(&e.Raw)
	case callflow.HandshakeStep:
		if optional(c, &e.Step) {
			c.step(e.Step)
		}
	case callflow.Judged:
		if optional(c, &e.Verdict) {
			c.verdict(e.Verdict)
		}
	case callflow.Closed:
		c.yes(&e.Notify.Known)
		c.yes(&e.Notify.Sent)
		c.yes(&e.Notify.Received)
		c.yes(&e.Notify.ByGateway)
	case callflow.Opened, callflow.Ready, callflow.Refused:
	default:
		if optional(c, &e.Call) {
			c.call(e.Call)
		}
	}
}

// link is one of the block's.
func (c *coder) link(l **callflow.Link) {
	var n uint64
	if !c.reading {
		at, ok := c.known[*l]
		if !ok {
			at = uint64(len(c.known))
			c.known[*l] = at
		}
		n = at
		c.count(&n)
		if !ok {
			c.newLink(*l)
		}
		return
	}
	c.count(&n)
	switch {
	case n < uint64(len(c.links)):
	case n == uint64(len(c.links)) && n < mostItems:
		fresh := &callflow.Link{}
		c.newLink(fresh)
		c.links = append(c.links, fresh)
	default:
		c.fail()
		return
	}
	*l = c.links[n]
}

func (c *coder) newLink(l *callflow.Link) {
	c.count(&l.ID)
	c.yes(&l.Inbound)
	text(c, &l.Transport)
	c.address(&l.Local)
	c.address(&l.Remote)
	text(c, &l.Listener)
	text(c, &l.Peer)
	c.time(&l.Opened)
	if optional(c, &l.TLS) {
		c.tls(l.TLS)
	}
}

func (c *coder) tls(t *callflow.TLS) {
	text(c, &t.Version)
	text(c, &t.Suite)
	text(c, &t.Group)
	c.yes(&t.Mutual)
	c.texts(&t.PeerNames)
	c.yes(&t.Resumed)
}

func (c *coder) step(s *callflow.Step) {
	c.yes(&s.ByGateway)
	text(c, &s.Name)
	whole(c, &s.Number)
	c.yes(&s.Encrypted)
	text(c, &s.Version)
	c.texts(&s.Offered)
	text(c, &s.Suite)
	text(c, &s.Group)
	text(c, &s.ServerName)
	if optional(c, &s.Certificate) {
		x := s.Certificate
		text(c, &x.Subject)
		text(c, &x.Issuer)
		c.texts(&x.Names)
		c.time(&x.NotBefore)
		c.time(&x.NotAfter)
		c.yes(&x.SelfSigned)
		whole(c, &x.Chain)
	}
	c.yes(&s.Alert.Fatal)
	whole(c, &s.Alert.Code)
	text(c, &s.Alert.Name)
	whole(c, &s.Length)
	text(c, &s.Note)
}

func (c *coder) verdict(v *callflow.Verdict) {
	c.yes(&v.ByGateway)
	c.yes(&v.Accepted)
	c.yes(&v.Undecided)
	text(c, &v.KnownBy)
	text(c, &v.Code)
	text(c, &v.Reason)
	text(c, &v.Remedy)
}

func (c *coder) call(k *callflow.Call) {
	c.yes(&k.Request)
	c.count(&k.Number)
	whole(c, &k.Direction)
	text(c, &k.CallID)
	text(c, &k.Peer)
	c.count(&k.Connection)
	whole(c, &k.Nth)
	whole(c, &k.Code)
	if !optional(c, &k.Security) {
		return
	}
	s := k.Security
	text(c, &s.Word)
	text(c, &s.Why)
	items(c, &s.Hops)
	for i := range s.Hops {
		h := &s.Hops[i]
		whole(c, &h.Direction)
		text(c, &h.Peer)
		c.yes(&h.SIPS)
		text(c, &h.Transport)
		if optional(c, &h.TLS) {
			c.tls(h.TLS)
		}
		whole(c, &h.Seen)
	}
	c.texts(&s.Claims)
}
