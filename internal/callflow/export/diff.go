package export

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/sip"
)

// A Diff is how two SIP messages of a flow differ: mostly one message on two hops, and so what the gateway changed.
//
// Headers are compared value by value. The order of different headers means nothing, that of the values of one header does
// (RFC 3261 §7.3.1), unless they are a set, as in Allow and Supported; nor does the order of a value's parameters. Names in
// their compact form are the same names. A body is compared line by line.
type Diff struct {
	Flow    string       `json:"flow"`
	A       DiffSide     `json:"a"`
	B       DiffSide     `json:"b"`
	Changes []DiffChange `json:"changes"`
	Same    []string     `json:"same"` // headers that are equal in both, and "body"
}

// A DiffSide is one of the two messages.
type DiffSide struct {
	Row     int    `json:"row"`
	Address string `json:"address"`
	Hop     string `json:"hop"` // A, B; empty when the message is of no leg
	From    string `json:"from"`
	To      string `json:"to"`
	Label   string `json:"label"`
}

// A DiffChange is one difference.
type DiffChange struct {
	Part string `json:"part"` // PartStart, PartHeader, PartSDP or PartBody
	Name string `json:"name"` // of the header, in full; of a line of SDP its letter; else empty
	Op   string `json:"op"`   // OpChanged, OpAdded or OpRemoved
	A    string `json:"a"`    // empty when added
	B    string `json:"b"`    // empty when removed
}

// The parts of a message and what may have become of them from A to B.
const (
	PartStart  = "start line"
	PartHeader = "header"
	PartSDP    = "SDP"
	PartBody   = "body"
	OpChanged  = "changed"
	OpAdded    = "added"
	OpRemoved  = "removed"
)

// DiffRows compares the messages of two rows, by their numbers.
func DiffRows(f *callflow.Flow, a, b int) (*Diff, error) {
	d := &Diff{Flow: f.ID, Changes: []DiffChange{}, Same: []string{}}
	first, err := d.A.of(f, a)
	if err != nil {
		return nil, err
	}
	second, err := d.B.of(f, b)
	if err != nil {
		return nil, err
	}
	d.compare(readMessage(first), readMessage(second))
	return d, nil
}

// of fills a side and returns its message.
func (s *DiffSide) of(f *callflow.Flow, row int) ([]byte, error) {
	for i := range f.Rows {
		r := &f.Rows[i]
		switch {
		case r.Number != row:
			continue
		case r.Kind != callflow.RowSIP || len(r.Raw) == 0:
			return nil, fmt.Errorf("row %d of call %s, %q, is no SIP message; name two rows that are", row, f.ID, r.Label)
		}
		*s = DiffSide{Row: row, Address: Address(f, row), From: f.Lifelines[r.From].Name, To: f.Lifelines[r.To].Name, Label: r.Label}
		if r.Leg >= 0 {
			s.Hop = f.Legs[r.Leg].Name
		}
		return r.Raw, nil
	}
	return nil, fmt.Errorf("call %s has no row %d; its rows are 1 to %d", f.ID, row, len(f.Rows))
}

// A diffMessage is a message in the parts that are compared.
type diffMessage struct {
	start   string
	names   []string // of headers, each once, in the order of their first field
	headers map[string][]string
	ids     map[string]sip.HeaderID
	body    string
	sdp     bool
}

// readMessage takes a message as far as it can be read.
func readMessage(raw []byte) *diffMessage {
	p := sip.Acquire()
	defer p.Release()
	_ = p.Load(raw) // what could be indexed is compared
	m := &diffMessage{headers: map[string][]string{}, ids: map[string]sip.HeaderID{}}
	line, _, _ := bytes.Cut(raw, []byte("\r\n"))
	m.start = string(line)
	for f := range p.Fields() {
		name := f.ID.String()
		if name == "" {
			name = string(f.Name)
			for _, known := range m.names {
				if strings.EqualFold(known, name) {
					name = known
				}
			}
		}
		if !slices.Contains(m.names, name) {
			m.names, m.ids[name] = append(m.names, name), f.ID
		}
		if f.ID == sip.HdrOther {
			m.headers[name] = append(m.headers[name], fold(string(f.Value)))
		}
	}
	for name, id := range m.ids {
		if id != sip.HdrOther {
			for v := range p.Values(id) {
				m.headers[name] = append(m.headers[name], fold(string(v)))
			}
		}
	}
	m.body = string(p.Body())
	kind := p.First(sip.HdrContentType)
	m.sdp = bytes.Contains(bytes.ToLower(kind), []byte("application/sdp"))
	return m
}

// fold makes any blanks, those of a header over several lines included, one (RFC 3261 §7.3.1).
func fold(s string) string { return strings.Join(strings.Fields(s), " ") }

func (d *Diff) compare(a, b *diffMessage) {
	if a.start != b.start {
		d.Changes = append(d.Changes, DiffChange{Part: PartStart, Op: OpChanged, A: a.start, B: b.start})
	}
	names := a.names
	for _, name := range b.names {
		if !slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) }) {
			names = append(names, name)
		}
	}
	for _, name := range names {
		d.header(name, a.values(name), b.values(name), max(a.ids[name], b.ids[name]))
	}
	switch {
	case a.body == b.body:
		if a.body != "" {
			d.Same = append(d.Same, "body")
		}
		return
	case a.sdp || b.sdp:
		d.lines(PartSDP, a.body, b.body)
	default:
		d.lines(PartBody, a.body, b.body)
	}
}

// values are those of a header, whose name may be written otherwise when we do not know it.
func (m *diffMessage) values(name string) []string {
	for n, v := range m.headers {
		if strings.EqualFold(n, name) {
			return v
		}
	}
	return nil
}

// sets are headers whose values have no order.
var sets = []sip.HeaderID{sip.HdrAllow, sip.HdrSupported, sip.HdrRequire, sip.HdrProxyRequire, sip.HdrUnsupported, sip.HdrAllowEvents}

// freeTexts are headers in which a semicolon begins no parameter.
var freeTexts = []sip.HeaderID{sip.HdrOther, sip.HdrSubject, sip.HdrServer, sip.HdrUserAgent, sip.HdrOrganization, sip.HdrCallID, sip.HdrDate}

func (d *Diff) header(name string, a, b []string, id sip.HeaderID) {
	keys := func(values []string) (keys []string) {
		for _, v := range values {
			switch {
			case slices.Contains(sets, id) && id != sip.HdrAllow: // methods are case-sensitive
				keys = append(keys, strings.ToLower(v))
			case slices.Contains(freeTexts, id):
				keys = append(keys, v)
			default:
				keys = append(keys, parameters(v))
			}
		}
		return keys
	}
	before := len(d.Changes)
	if slices.Contains(sets, id) {
		d.set(name, a, b, keys(a), keys(b))
	} else {
		d.sequence(PartHeader, name, a, b, keys(a), keys(b))
	}
	if len(d.Changes) == before {
		d.Same = append(d.Same, name)
	}
}

// parameters is a value with its parameters in the order of their names, which are written small.
func parameters(v string) string {
	var parts []string
	quoted, angle, from := false, false, 0
	for i := 0; i < len(v); i++ {
		switch c := v[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '<':
			angle = true
		case c == '>':
			angle = false
		case c == ';' && !angle:
			parts = append(parts, v[from:i])
			from = i + 1
		}
	}
	parts = append(parts, v[from:])
	for i, p := range parts[1:] {
		name, value, has := strings.Cut(p, "=")
		p = strings.ToLower(strings.TrimSpace(name))
		if has {
			p += "=" + strings.TrimSpace(value)
		}
		parts[1+i] = p
	}
	parts[0] = strings.TrimSpace(parts[0])
	slices.Sort(parts[1:])
	return strings.Join(parts, ";")
}

// set compares values without order.
func (d *Diff) set(name string, a, b, keysA, keysB []string) {
	only := func(values, keys, others []string) (only []string) {
		for i, k := range keys {
			if !slices.Contains(others, k) {
				only = append(only, values[i])
			}
		}
		return only
	}
	gone, come := strings.Join(only(a, keysA, keysB), ", "), strings.Join(only(b, keysB, keysA), ", ")
	if gone != "" {
		d.Changes = append(d.Changes, DiffChange{Part: PartHeader, Name: name, Op: OpRemoved, A: gone})
	}
	if come != "" {
		d.Changes = append(d.Changes, DiffChange{Part: PartHeader, Name: name, Op: OpAdded, B: come})
	}
}

func (d *Diff) lines(part, a, b string) {
	split := func(s string) []string {
		if s == "" {
			return nil
		}
		return strings.Split(strings.TrimSuffix(strings.ReplaceAll(s, "\r\n", "\n"), "\n"), "\n")
	}
	as, bs := split(a), split(b)
	d.sequence(part, "", as, bs, as, bs)
}

// mostCompared bounds the work for two sequences. What is beyond it counts as changed throughout.
const mostCompared = 1 << 20

// sequence compares values in their order by their longest common subsequence. What went and what came in the same place
// is a change.
func (d *Diff) sequence(part, name string, a, b, keysA, keysB []string) {
	var gone, come []string
	flush := func() {
		for i := range max(len(gone), len(come)) {
			c := DiffChange{Part: part, Name: name, Op: OpChanged}
			switch {
			case i >= len(gone):
				c.Op, c.B = OpAdded, come[i]
			case i >= len(come):
				c.Op, c.A = OpRemoved, gone[i]
			default:
				c.A, c.B = gone[i], come[i]
			}
			if letter, _, ok := strings.Cut(c.A+c.B, "="); part == PartSDP && ok {
				c.Name = letter
			}
			d.Changes = append(d.Changes, c)
		}
		gone, come = nil, nil
	}
	common := commonest(keysA, keysB)
	i, j := 0, 0
	for _, pair := range append(common, [2]int{len(a), len(b)}) {
		for ; i < pair[0]; i++ {
			gone = append(gone, a[i])
		}
		for ; j < pair[1]; j++ {
			come = append(come, b[j])
		}
		flush()
		i, j = pair[0]+1, pair[1]+1
	}
}

// commonest are the places of a longest common subsequence.
func commonest(a, b []string) (pairs [][2]int) {
	start := 0
	for start < len(a) && start < len(b) && a[start] == b[start] {
		pairs = append(pairs, [2]int{start, start})
		start++
	}
	n, m := len(a)-start, len(b)-start
	if n*m > mostCompared {
		return pairs
	}
	length := make([][]int32, n+1)
	for i := range length {
		length[i] = make([]int32, m+1)
	}
	for i := n - 1; i >= 0; i-- {
		for j := m - 1; j >= 0; j-- {
			if a[start+i] == b[start+j] {
				length[i][j] = length[i+1][j+1] + 1
			} else {
				length[i][j] = max(length[i+1][j], length[i][j+1])
			}
		}
	}
	for i, j := 0, 0; i < n && j < m; {
		switch {
		case a[start+i] == b[start+j]:
			pairs = append(pairs, [2]int{start + i, start + j})
			i, j = i+1, j+1
		case length[i+1][j] >= length[i][j+1]:
			i++
		default:
			j++
		}
	}
	return pairs
}
