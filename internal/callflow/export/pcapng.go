package export

import (
	"cmp"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
)

// A flow as packets, which Wireshark, tshark and sngrep open. No packet was captured: each is made of what was recorded,
// with the real addresses, ports and times, and with invented IP, UDP and TCP headers.
//
// SIP stands in clear, one message to a packet, also where it crossed the network in TLS: it was tapped above. Such
// packets keep the true ports, and a comment says that they are a view of what was encrypted. Wireshark reads SIP on any
// port by how it looks, so its list, its filters and its VoIP calls work as on any capture; upper PDUs (link type 252)
// would do the same, but would keep libpcap, and with it sngrep and tcpdump, from reading the file.

// Kept is what was really on the wire of a connection whose peer has key retention on.
type Kept struct {
	KeyLog  []byte   // lines of RFC 9850, the secrets of application data among them
	Records []Record // in order
	Missing int      // bytes at the end that were not kept because there were too many
}

// A Record is a piece of one direction of a connection's stream, as it was read or written.
type Record struct {
	At   time.Time
	Out  bool // the gateway sent it
	Data []byte
}

// PCAPNG writes flows as packets for Wireshark. With Options.Kept, the connections that it knows are written as they were
// on the wire, TLS and all, and their secrets before the first packet.
func PCAPNG(w io.Writer, flows []*callflow.Flow, o Options) error {
	c := capture{wires: map[wireKey]*wire{}, kept: o.Kept}
	flows = slices.SortedStableFunc(slices.Values(flows), func(a, b *callflow.Flow) int { return a.Start.Compare(b.Start) })
	for _, f := range flows {
		c.flow(f)
	}
	out := &blockWriter{w: w}
	out.section("Sallyport", c.comment(flows))
	out.network("sallyport", "made of recorded messages; IP, UDP and TCP headers are invented")
	if len(c.secrets) > 0 {
		out.secrets(c.secrets)
	}
	slices.SortStableFunc(c.doings, func(a, b doing) int { return a.at.Compare(b.at) })
	for i := range c.doings {
		d := &c.doings[i]
		if err := d.wire.do(out, d); err != nil {
			return err
		}
	}
	return out.err
}

// capture gathers what is to become packets.
type capture struct {
	kept    func(*callflow.Link) *Kept
	wires   map[wireKey]*wire
	doings  []doing
	secrets []byte
	missing int
	gaps    int // connections of which not all is there
}

// wireKey tells connections apart: numbers begin anew with each run of the gateway.
type wireKey struct {
	id            uint64
	local, remote netip.AddrPort
	opened        int64
}

// A doing is one thing that becomes packets.
type doing struct {
	wire    *wire
	at      time.Time
	kind    doingKind
	out     bool
	remote  netip.AddrPort // of a datagram
	data    []byte
	comment string
}

type doingKind uint8

const (
	opens doingKind = iota // SYN, SYN and ACK, ACK
	tries                  // SYN alone: nobody answered
	sends
	ends // FIN
)

func (c *capture) comment(flows []*callflow.Flow) string {
	var s strings.Builder
	switch {
	case len(c.secrets) > 0:
		s.WriteString("With secrets: whoever has this file reads the TLS connections in it. ")
	default:
		s.WriteString("Without secrets; passwords and keys are masked. What crossed in TLS is shown in clear. ")
	}
	s.WriteString("Made of what the gateway recorded: addresses, ports, times and contents are true, headers below SIP and TLS are invented.")
	if c.gaps > 0 {
		fmt.Fprintf(&s, " Of %d connections the last %d bytes are missing: they did not fit in the memory for retention.", c.gaps, c.missing)
	}
	for _, f := range flows {
		fmt.Fprintf(&s, "\ncall/%s: %s", f.ID, f.Sentence)
	}
	return s.String()
}

// flow adds what one flow shows.
func (c *capture) flow(f *callflow.Flow) {
	for i := range f.Rows {
		r := &f.Rows[i]
		if r.Leg < 0 {
			continue
		}
		link, remote := place(f, r)
		w := c.wire(link, remote)
		if w.kept {
			continue // the wire itself shows it
		}
		d := doing{wire: w, at: r.At, out: f.Lifelines[r.From].Gateway, remote: remote, comment: rowWords(f, r)}
		switch {
		case r.Kind == callflow.RowSIP:
			w.begin(c, d.at, f, r)
			d.kind, d.data = sends, r.Raw
			d.comment += view(link)
		case w.udp:
			continue
		case r.Kind == callflow.RowTCP && r.IsArrow() && r.Bad:
			d.kind = tries
		case r.Kind == callflow.RowTCP && r.IsArrow():
			d.kind = opens
			d.comment += handshake(f, r)
			w.open = true
		case r.Kind == callflow.RowSummary && r.Bad && w.open && !w.over:
			d.kind, d.out, w.over = ends, true, true
			d.comment += evidence(f, r)
		case r.Step != nil && r.Step.Alert.Name == "close_notify" && w.open && !w.over:
			d.kind, d.out, w.over = ends, r.Step.ByGateway, true
		default:
			continue
		}
		c.doings = append(c.doings, d)
	}
}

// place is where a row happened: by the row, or as the leg and its lifeline have it.
func place(f *callflow.Flow, r *callflow.Row) (*callflow.Link, netip.AddrPort) {
	l := f.Legs[r.Leg]
	link, remote := r.Link, r.Remote
	if link == nil {
		link = l.Hop.Link
	}
	if link == nil {
		link = &callflow.Link{Transport: "udp"}
	}
	if !remote.IsValid() {
		remote = link.Remote
	}
	if !remote.IsValid() {
		remote, _ = netip.ParseAddrPort(f.Lifelines[l.Lifeline].Address)
	}
	return link, remote
}

// rowWords is a row's address with its words.
func rowWords(f *callflow.Flow, r *callflow.Row) string {
	s := fmt.Sprintf("call/%s/row/%d %s, hop %s", f.ID, r.Number, r.Label, f.Legs[r.Leg].Name)
	if r.Note != "" {
		s += ": " + r.Note
	}
	return s
}

// view says of a message that it was not in clear on the network.
func view(l *callflow.Link) string {
	var s string
	switch l.Transport {
	case "tls", "wss":
		s = "\nView of what crossed in TLS"
		if l.TLS != nil && l.TLS.Version != "" {
			s += " " + l.TLS.Version + ", " + l.TLS.Suite
		}
		s += fmt.Sprintf(", on connection #%d", l.ID)
	}
	if l.Transport == "ws" || l.Transport == "wss" {
		s += "\nThe WebSocket frame around it is left out"
	}
	return s
}

// handshake says how the handshake went that a view in clear does not show.
func handshake(f *callflow.Flow, opened *callflow.Row) string {
	for i := range f.Rows {
		if r := &f.Rows[i]; r.Kind == callflow.RowSummary && r.Leg == opened.Leg {
			return fmt.Sprintf("\ncall/%s/row/%d %s (its TLS handshake has rows in the ladder, and no packets here)", f.ID, r.Number, r.Label)
		}
	}
	return ""
}

// evidence are the rows below a refusal.
func evidence(f *callflow.Flow, refused *callflow.Row) string {
	var s strings.Builder
	for i := refused.Number; i < len(f.Rows); i++ {
		r := &f.Rows[i]
		if r.Kind != callflow.RowCause && r.Kind != callflow.RowRemedy {
			break
		}
		s.WriteString("\n" + r.Label)
	}
	return s.String()
}

func (c *capture) wire(l *callflow.Link, remote netip.AddrPort) *wire {
	key := wireKey{id: l.ID, local: l.Local, remote: l.Remote, opened: l.Opened.UnixNano()}
	if w := c.wires[key]; w != nil {
		return w
	}
	w := &wire{udp: l.Transport == "udp", inbound: l.Inbound, id: l.ID, opened: l.Opened}
	w.local, w.remote = sameFamily(l.Local, remote)
	c.wires[key] = w
	if c.kept != nil && !w.udp {
		if k := c.kept(l); k != nil {
			c.records(w, k)
		}
	}
	return w
}

// records adds what was on the wire of a connection.
func (c *capture) records(w *wire, k *Kept) {
	w.kept = true
	c.secrets = append(c.secrets, k.KeyLog...)
	if k.Missing > 0 {
		c.missing += k.Missing
		c.gaps++
	}
	for i, r := range k.Records {
		if i == 0 {
			c.doings = append(c.doings, doing{wire: w, at: r.At, kind: opens,
				comment: fmt.Sprintf("connection #%d, as it was on the wire", w.id)})
		}
		c.doings = append(c.doings, doing{wire: w, at: r.At, kind: sends, out: r.Out, data: r.Data})
	}
}

// sameFamily gives both addresses one family, and each that is not known one of it: a socket on all addresses does not
// tell on which one it was asked.
func sameFamily(local, remote netip.AddrPort) (l, r netip.AddrPort) {
	clean := func(a netip.AddrPort) netip.AddrPort {
		if !a.IsValid() {
			return a
		}
		return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
	}
	l, r = clean(local), clean(remote)
	four := l.Addr().Is4() || !l.IsValid() && !r.Addr().Is6()
	if r.IsValid() {
		four = r.Addr().Is4()
	}
	unknown := netip.IPv6Unspecified()
	if four {
		unknown = netip.IPv4Unspecified()
	}
	fit := func(a netip.AddrPort) netip.AddrPort {
		if !a.IsValid() || a.Addr().Is4() != four {
			return netip.AddrPortFrom(unknown, a.Port())
		}
		return a
	}
	return fit(l), fit(r)
}

// A wire is one connection of the capture, or a UDP socket.
type wire struct {
	id            uint64
	udp, inbound  bool
	local, remote netip.AddrPort
	opened        time.Time
	kept          bool // drawn by its records, not by rows
	open, over    bool // what the flows have shown of it so far

	sent [2]uint32 // the next sequence number of the peer and of the gateway
}

// begin opens a connection that no row has opened: an earlier call did, or its beginning is not recorded any more.
func (w *wire) begin(c *capture, at time.Time, f *callflow.Flow, r *callflow.Row) {
	if w.udp || w.open {
		return
	}
	w.open = true
	words := fmt.Sprintf("call/%s/row/%d travels on connection #%d, which was there before; when it was opened is invented here", f.ID, r.Number, w.id)
	if !w.opened.IsZero() {
		words += ", it was " + w.opened.UTC().Format("2006-01-02 15:04:05.000Z")
	}
	c.doings = append(c.doings, doing{wire: w, at: at, kind: opens, comment: words})
}

// first is the sequence number of both SYNs.
const first = 1

func sideOf(out bool) int {
	if out {
		return 1
	}
	return 0
}

// do writes the packets of one doing.
func (w *wire) do(b *blockWriter, d *doing) error {
	if w.udp {
		return w.datagram(b, d)
	}
	switch client := !w.inbound; d.kind {
	case opens, tries:
		w.sent = [2]uint32{first, first}
		w.segment(b, d, client, tcpSYN, nil, d.comment)
		if d.kind == opens {
			w.segment(b, d, !client, tcpSYN|tcpACK, nil, "")
			w.segment(b, d, client, tcpACK, nil, "")
		}
	case ends:
		w.segment(b, d, d.out, tcpFIN|tcpACK, nil, d.comment)
	case sends:
		comment := d.comment
		for part := range slices.Chunk(d.data, mostPayload) {
			w.segment(b, d, d.out, tcpPSH|tcpACK, part, comment)
			comment = ""
		}
	}
	return nil
}

// segment writes one TCP segment and counts what it takes of the sequence.
func (w *wire) segment(b *blockWriter, d *doing, out bool, flags byte, data []byte, comment string) {
	from, to := w.remote, w.local
	if out {
		from, to = to, from
	}
	me, other := sideOf(out), sideOf(!out)
	ack := w.sent[other]
	if flags&tcpACK == 0 {
		ack = 0
	}
	b.packet(d.at, out, tcp(from, to, w.sent[me], ack, flags, data), comment)
	w.sent[me] += uint32(len(data))
	if flags&(tcpSYN|tcpFIN) != 0 {
		w.sent[me]++
	}
}

func (w *wire) datagram(b *blockWriter, d *doing) error {
	local, remote := sameFamily(w.local, cmp.Or(d.remote, w.remote))
	if len(d.data) > mostPayload+tcpHeader-udpHeader {
		return fmt.Errorf("pcapng: %s: %d bytes do not fit into a datagram; write the flow as json", d.comment, len(d.data))
	}
	from, to := remote, local
	if d.out {
		from, to = to, from
	}
	b.packet(d.at, d.out, udp(from, to, d.data), d.comment)
	return nil
}
