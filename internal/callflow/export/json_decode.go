package export

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
)

// The bounds of what Decode takes. A gateway draws nothing near them; a file that is beyond them was not written by one.
const (
	mostDocument  = 256 << 20 // bytes
	mostLifelines = 512       // of one call
)

// Decode reads what JSON wrote, for whoever draws it elsewhere: a page, a terminal, a file. What it returns draws the same.
// An error says in which call and event the document is wrong, why, and what to do.
func Decode(r io.Reader) ([]*callflow.Flow, error) {
	b, err := io.ReadAll(io.LimitReader(r, mostDocument+1))
	if err != nil {
		return nil, fmt.Errorf("flow document: %w", err)
	}
	if len(b) > mostDocument {
		return nil, fmt.Errorf("flow document: it has more than %d MB; export fewer calls at once", mostDocument>>20)
	}
	var d Document
	if err := checkVersion(b); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, &d); err != nil {
		return nil, fmt.Errorf("flow document: %w", placed(b, err))
	}
	return d.Flows()
}

// Flows makes the flows that a document holds.
func (d *Document) Flows() ([]*callflow.Flow, error) {
	flows := make([]*callflow.Flow, 0, len(d.Calls))
	for i := range d.Calls {
		f, err := d.Calls[i].Flow()
		if err != nil {
			return nil, fmt.Errorf("flow document: call %d of %d, id %q: %w; export it again from the gateway", i+1, len(d.Calls), d.Calls[i].ID, err)
		}
		flows = append(flows, f)
	}
	return flows, nil
}

// checkVersion looks at the version before anything else, because what a newer one has may not fit our fields.
func checkVersion(b []byte) error {
	var d struct {
		Version *int `json:"version"`
	}
	if err := json.Unmarshal(b, &d); err != nil {
		return fmt.Errorf("flow document: %w", placed(b, err))
	}
	switch {
	case d.Version == nil:
		return fmt.Errorf(`flow document: there is no "version", so it is no flow document, or one of a Sallyport older than version %d of them; export the flow again as JSON`, Version)
	case *d.Version > Version:
		return fmt.Errorf("flow document: its version is %d, and this program reads versions up to %d; read it with a newer sallyport", *d.Version, Version)
	case *d.Version < 1:
		return fmt.Errorf("flow document: its version is %d, which never was; export the flow again as JSON", *d.Version)
	}
	return nil
}

// placed adds line and column to an error of the JSON decoder.
func placed(b []byte, err error) error {
	offset := int64(-1)
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		offset = e.Offset
	}
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		offset = e.Offset
		err = fmt.Errorf("%s is a %s, which does not fit", e.Field, e.Value)
	}
	if offset < 0 || offset > int64(len(b)) {
		return err
	}
	before := b[:offset]
	line := 1 + bytes.Count(before, []byte("\n"))
	column := len(before) - (bytes.LastIndexByte(before, '\n') + 1)
	return fmt.Errorf("line %d, column %d: %w; the file is damaged or is no flow document", line, max(column, 1), err)
}

// Flow makes the flow that a call of a document describes.
func (c *DocumentCall) Flow() (*callflow.Flow, error) {
	f := &callflow.Flow{
		ID: c.ID, State: c.State, Sentence: c.Sentence, Done: c.Done, From: c.From, To: c.To, Start: c.Start,
		Duration: time.Duration(c.Duration), Setup: time.Duration(c.Setup), Joins: c.Joins, Session: c.Session, Findings: c.Findings, Related: c.Related,
	}
	if len(c.Lifelines) == 0 || len(c.Lifelines) > mostLifelines {
		return nil, fmt.Errorf("it has %d lifelines, and a ladder has 1 to %d", len(c.Lifelines), mostLifelines)
	}
	for _, l := range c.Lifelines {
		f.Lifelines = append(f.Lifelines, callflow.Lifeline(l))
	}
	var err error
	if f.Security, err = c.Security.security(); err != nil {
		return nil, err
	}
	legs := map[string]int{}
	for i := range c.Legs {
		l, err := c.Legs[i].leg(c.Start, len(f.Lifelines))
		if err != nil {
			return nil, fmt.Errorf("leg %q: %w", c.Legs[i].Name, err)
		}
		if _, again := legs[l.Name]; again {
			return nil, fmt.Errorf("two legs are called %q", l.Name)
		}
		legs[l.Name] = i
		f.Legs = append(f.Legs, l)
	}
	for i := range c.Events {
		e := &c.Events[i]
		r, err := e.row(f, legs)
		if err == nil && (r.Number < 1 || i > 0 && r.Number <= f.Rows[i-1].Number) {
			err = errors.New("the numbers of rows begin at 1 and grow")
		}
		if err != nil {
			return nil, fmt.Errorf("event %d, row %d: %w", i+1, e.Row, err)
		}
		f.Rows = append(f.Rows, r)
	}
	return f, c.refers(f)
}

// refers checks that findings and relations name rows that exist.
func (c *DocumentCall) refers(f *callflow.Flow) error {
	rows := make(map[int]bool, len(f.Rows))
	for i := range f.Rows {
		rows[f.Rows[i].Number] = true
	}
	for _, finding := range f.Findings {
		for _, n := range finding.Rows {
			if !rows[n] {
				return fmt.Errorf("finding %q names row %d, which is not there", finding.Code, n)
			}
		}
	}
	return nil
}

func (e *DocumentEvent) row(f *callflow.Flow, legs map[string]int) (callflow.Row, error) {
	r := callflow.Row{
		Number: e.Row, Seq: e.Seq, At: e.At, Since: sinceStart(f.Start, e.At, e.AtMicros), Kind: e.Kind, From: e.FromLine, To: e.ToLine,
		Leg: -1, Label: e.Label, Note: e.Note, Bad: e.Bad, Open: e.Open, Took: time.Duration(e.Took), Repeat: e.Repeat,
	}
	for _, line := range []int{e.FromLine, e.ToLine} {
		if line < 0 || line >= len(f.Lifelines) {
			return r, fmt.Errorf("it stands at lifeline %d, and there are %d, counted from 0", line, len(f.Lifelines))
		}
	}
	var handshake []callflow.HopStep
	if e.Leg != "" {
		i, ok := legs[e.Leg]
		if !ok {
			return r, fmt.Errorf("its leg %q is not there", e.Leg)
		}
		r.Leg, handshake = i, f.Legs[i].Hop.Handshake
	}
	switch {
	case e.Step == nil:
	case e.Step.Step != nil:
		r.Step = e.Step.Step.step()
	case e.Step.Index < 0 || e.Step.Index >= len(handshake):
		return r, fmt.Errorf("it draws step %d of a handshake with %d, counted from 0", e.Step.Index, len(handshake))
	default:
		r.Step = handshake[e.Step.Index].Step
	}
	switch {
	case e.Raw != "":
		r.Raw = []byte(e.Raw)
	case len(e.RawBase64) > 0:
		r.Raw = e.RawBase64
	}
	return r, nil
}

// sinceStart takes the time to the nanosecond where it agrees with the microseconds. It does not when the clock was set
// while the call was up: then the microseconds are right.
func sinceStart(start, at time.Time, us int64) time.Duration {
	if d := at.Sub(start); d.Microseconds() == us {
		return d
	}
	return time.Duration(us) * time.Microsecond
}

func (l *DocumentLeg) leg(start time.Time, lifelines int) (*callflow.Leg, error) {
	direction, err := directionOf(l.Direction)
	if err != nil {
		return nil, err
	}
	if l.Lifeline < 0 || l.Lifeline >= lifelines {
		return nil, fmt.Errorf("it stands at lifeline %d, and there are %d, counted from 0", l.Lifeline, lifelines)
	}
	hop, err := l.Hop.hop(start)
	return &callflow.Leg{Name: l.Name, Direction: direction, Peer: l.Peer, CallID: l.CallID, Lifeline: l.Lifeline, Hop: hop}, err
}

func directionOf(word string) (callflow.Direction, error) {
	switch word {
	case callflow.In.String():
		return callflow.In, nil
	case callflow.Out.String():
		return callflow.Out, nil
	}
	return 0, fmt.Errorf(`its direction is %q, not "in" or "out"`, word)
}

func (d *DocumentHop) hop(start time.Time) (h callflow.Hop, err error) {
	h.Refused = d.Refused
	if d.Connection != 0 || d.Transport != "" {
		l := &callflow.Link{ID: d.Connection, Inbound: d.Inbound, Transport: d.Transport, Listener: d.Listener, Peer: d.Peer,
			Opened: d.Opened, TLS: d.TLS.tls()}
		if l.Local, err = addressOf("local", d.Local); err != nil {
			return h, err
		}
		if l.Remote, err = addressOf("remote", d.Remote); err != nil {
			return h, err
		}
		h.Link = l
	}
	if d.Reused != nil {
		h.Reused = &callflow.Reuse{Age: time.Duration(d.Reused.AgeMicros) * time.Microsecond, Nth: d.Reused.Call}
	}
	for i := range d.Handshake {
		s := &d.Handshake[i]
		h.Handshake = append(h.Handshake, callflow.HopStep{Step: s.step(), Since: sinceStart(start, s.At, s.AtMicros)})
	}
	for _, v := range d.Verdicts {
		h.Verdicts = append(h.Verdicts, callflow.Verdict{ByGateway: v.By == side(true), Accepted: v.Accepted, Undecided: v.Undecided,
			KnownBy: v.KnownBy, Code: v.Code, Reason: v.Reason, Remedy: v.Remedy})
	}
	return h, nil
}

func addressOf(which, text string) (netip.AddrPort, error) {
	if text == "" {
		return netip.AddrPort{}, nil
	}
	a, err := netip.ParseAddrPort(text)
	if err != nil {
		return a, fmt.Errorf("its %s address %q is none: %w", which, text, err)
	}
	return a, nil
}

func (d *DocumentStep) step() *callflow.Step {
	s := &callflow.Step{
		ByGateway: d.From == side(true), Name: d.Step, Number: d.Number, Encrypted: d.Encrypted, Version: d.Version,
		Offered: d.Offered, Suite: d.Suite, Group: d.Group, ServerName: d.ServerName,
		Alert: callflow.Alert{Fatal: d.AlertFatal, Code: d.AlertCode, Name: d.Alert}, Length: d.Length, Note: d.Note,
	}
	if c := d.Certificate; c != nil {
		s.Certificate = &callflow.Certificate{Subject: c.Subject, Issuer: c.Issuer, Names: c.Names, NotBefore: c.NotBefore,
			NotAfter: c.NotAfter, SelfSigned: c.SelfSigned, Chain: c.Chain}
	}
	return s
}

func (d *DocumentTLS) tls() *callflow.TLS {
	if d == nil {
		return nil
	}
	return &callflow.TLS{Version: d.Version, Suite: d.Suite, Group: d.Group, Mutual: d.Mutual, PeerNames: d.PeerNames, Resumed: d.Resumed}
}

func (d *DocumentSecure) security() (*callflow.Security, error) {
	if d == nil {
		return nil, nil
	}
	v := &callflow.Security{Word: d.Word, Why: d.Why, Claims: d.Claims}
	for i := range d.Hops {
		h := &d.Hops[i]
		direction, err := directionOf(h.Direction)
		if err != nil {
			return nil, fmt.Errorf("security, hop %d: %w", i+1, err)
		}
		s := callflow.HopSecurity{Direction: direction, Peer: h.Peer, SIPS: h.SIPS, Transport: h.Transport, TLS: h.TLS.tls()}
		for _, word := range h.Seen {
			for _, p := range protections {
				if p.word == word {
					s.Seen |= p.bit
				}
			}
		}
		v.Hops = append(v.Hops, s)
	}
	return v, nil
}
