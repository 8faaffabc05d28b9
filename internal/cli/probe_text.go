package cli

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/callflow/export"
	"github.com/sallyport-sip/sallyport/internal/probe"
	"github.com/sallyport-sip/sallyport/internal/revocation"
	"github.com/sallyport-sip/sallyport/internal/trust"
	"github.com/sallyport-sip/sallyport/sip/resolve"
)

// probePage draws a report: the answer, what to do, then the evidence.
type probePage struct {
	style
	strings.Builder
}

func (p *probing) draw(r *probe.Report) {
	page := &probePage{style: p.style(p.stdout)}
	page.answer(r)
	page.resolution(r)
	for i, h := range r.Hops {
		page.hop(h, i+1, len(r.Hops))
	}
	if r.More {
		page.text(2, yellow, "There are more addresses; no more were tried.")
	}
	page.demands(r.Demands)
	_, _ = p.stdout.Write([]byte(page.String()))
}

// line draws a report in one line, for many peers.
func (p *probing) line(r *probe.Report) {
	s := p.style(p.stdout)
	mark, colour := s.mark(r.Well)
	if r.Code == probe.Unfulfilled {
		mark, colour = "!", yellow
	}
	verdict := strings.TrimPrefix(r.Verdict, r.Target+" ")
	fmt.Fprintf(p.stdout, "%s %s  %s\n", s.paint(colour, mark), s.paint(bold, fmt.Sprintf("%-16s", s.plain(r.Peer))), s.plain(verdict))
	if len(r.Remedies) > 0 {
		fmt.Fprintf(p.stdout, "  %-16s  fix: %s\n", "", s.plain(r.Remedies[0]))
	}
}

// mark is a tick or a cross.
func (s style) mark(good bool) (mark, colour string) {
	switch {
	case good && s.ascii:
		return "+", green
	case good:
		return "✓", green
	case s.ascii:
		return "X", red
	}
	return "✗", red
}

// text prints wrapped lines, indented.
func (p *probePage) text(indent int, colour, text string) { p.hanging(indent, indent, colour, text) }

// hanging prints wrapped lines of which those after the first are indented further.
func (p *probePage) hanging(first, rest int, colour, text string) {
	for i, line := range wrapWords(p.plain(text), p.width-max(first, rest)-1) {
		indent := first
		if i > 0 {
			indent = rest
		}
		fmt.Fprintf(p, "%s%s\n", strings.Repeat(" ", indent), p.paint(colour, line))
	}
}

// labelled prints wrapped lines behind a label of up to four characters.
func (p *probePage) labelled(label, colour, text string) {
	for i, line := range wrapWords(p.plain(text), p.width-8) {
		if i > 0 {
			label = ""
		}
		fmt.Fprintf(p, "  %-4s %s\n", label, p.paint(colour, line))
	}
}

// head begins a section.
func (p *probePage) head(title string) {
	fmt.Fprintf(p, "\n%s\n", p.paint(bold, p.plain(title)))
}

// row prints a name and its value.
func (p *probePage) row(name, value, colour string) {
	const column = 12
	for i, line := range wrapWords(p.plain(value), p.width-column-3) {
		if i > 0 {
			name = ""
		}
		fmt.Fprintf(p, "  %s %s\n", p.paint(dim, fmt.Sprintf("%-*s", column-1, name)), p.paint(colour, line))
	}
}

// checked prints a finding with its mark.
func (p *probePage) checked(good bool, name, text string) {
	mark, colour := p.mark(good)
	if good {
		p.marked(mark, colour, name, "", text)
		return
	}
	p.marked(mark, colour, name, red, text)
}

func (p *probePage) marked(mark, markColour, name, colour, text string) {
	const column = 17
	for i, line := range wrapWords(p.plain(text), p.width-column-4) {
		if i > 0 {
			mark, name = " ", ""
		}
		fmt.Fprintf(p, "  %s %s %s\n", p.paint(markColour, mark), p.paint(dim, fmt.Sprintf("%-*s", column-1, p.plain(name))), p.paint(colour, line))
	}
}

func (p *probePage) answer(r *probe.Report) {
	mark, colour := p.mark(r.Well)
	if r.Code == probe.Unfulfilled {
		mark, colour = "!", yellow
	}
	p.hanging(0, 2, colour, mark+" "+r.Verdict)
	for i, remedy := range r.Remedies {
		switch {
		case i == 0:
			p.labelled("fix:", bold, remedy)
		default:
			p.labelled("or:", "", remedy)
		}
	}
	if c := topmost(r); c != nil && (r.Code == trust.SelfSignedCert || r.Code == trust.UnknownCA) && r.Peer == "" {
		p.labelled("or:", "", fmt.Sprintf("when the server's operator confirms the fingerprint of %s, keep it: sallyport probe %s --save-trust FILE", trust.Subject(c), quoted(r.Target)))
	}
}

func (p *probePage) resolution(r *probe.Report) {
	p.head("Resolution")
	for _, e := range r.Resolution {
		p.look(e)
	}
	if r.ResolveErr != nil {
		p.checked(false, "", r.ResolveErr.Error())
	}
}

func (p *probePage) look(e resolve.Event) {
	if e.Question == "" {
		arrow := "→ "
		if p.ascii {
			arrow = "> "
		}
		p.hanging(4, 6, "", arrow+e.Choice)
		return
	}
	took := ", " + callflow.Span(e.Took)
	switch {
	case e.Err != nil:
		p.hanging(2, 6, red, e.Question+": no answer: "+e.Err.Error()+took)
	case len(e.Records) == 0:
		p.hanging(2, 6, dim, e.Question+": no such record"+took)
	default:
		p.hanging(2, 6, "", e.Question+took)
		for _, record := range e.Records {
			p.hanging(6, 8, "", record)
		}
	}
}

func (p *probePage) hop(h *probe.Hop, n, all int) {
	title := fmt.Sprintf("%v over %v", h.Addr, strings.ToUpper(h.Transport.String()))
	if h.Host != "" && h.Host != h.Addr.Addr().String() {
		title = h.Host + ", " + title
	}
	if all > 1 {
		title += fmt.Sprintf(" (address %d of %d)", n, all)
	}
	p.head(title)
	switch {
	case h.Connected > 0 && h.Transport.Reliable():
		p.row("connected", callflow.Span(h.Connected)+" from "+h.Local.String(), "")
	case h.Failed != nil && h.Stage == probe.StageConnect:
		p.checked(false, "connect", h.Failed.Reason)
	}
	if h.Stage != probe.StageConnect && h.Flow != nil {
		p.WriteByte('\n')
		_ = export.Ladder(p, h.Flow, export.Options{ASCII: p.ascii, Colour: p.colour, Width: p.width, Bare: true})
	}
	for _, note := range h.Notes {
		p.text(2, yellow, note)
	}
	if h.TLS != nil && h.Stage != probe.StageConnect {
		p.handshake(h.TLS, h.Failed != nil && string(h.Failed.Code) != h.TLS.Code)
	}
	if h.Answer != nil {
		p.options(h)
	}
}

// handshake draws what both sides said; found says that the true cause was found out beside it, so that guesses are needless.
func (p *probePage) handshake(d *probe.Handshake, found bool) {
	p.head("Handshake")
	if c := d.Chosen; c.Version != "" {
		p.row("agreed", strings.Join(strings.Fields("TLS "+c.Version+" "+c.Suite+" "+c.Group), " "), "")
		p.row("ALPN", cmp.Or(c.ALPN, "none"), "")
	}
	p.row("asked for", cmp.Or(d.Offered.ServerName, "no name: an address is none (RFC 6066 §3)"), "")
	p.ours(d)
	for i, v := range d.Verdicts {
		who := map[bool]string{true: "we decided", false: "it decided"}[v.ByGateway]
		if i > 1 {
			if who = "a likely cause"; found {
				break
			}
		}
		known := ""
		if v.KnownBy != callflow.OwnDecision {
			known = " (known by: " + v.KnownBy + ")"
		}
		switch {
		case v.Undecided:
			p.marked("-", dim, who, dim, v.Reason)
		default:
			p.checked(v.Accepted, who, v.Reason+known)
		}
	}
	for _, note := range d.Review.Verified.Notes {
		p.marked("!", yellow, "by our policy", yellow, note)
	}
	p.chain(d)
}

// ours says what of us the server asked for.
func (p *probePage) ours(d *probe.Handshake) {
	text := "not asked for"
	switch {
	case d.Asked && len(d.OurChain) > 0:
		text = "asked for, and shown: " + trust.Subject(d.Shown[0])
	case d.Asked && len(d.Shown) == 0:
		text = "asked for, and there is none to show"
	case d.Asked:
		text = "asked for; the handshake ended before it was shown"
	case len(d.Shown) > 0:
		text = "not asked for: " + trust.Subject(d.Shown[0]) + " stayed here"
	}
	p.row("our own", text, "")
	if d.Asked && len(d.AskedCAs) > 0 {
		p.row("", "of one of these CAs: "+some(d.AskedCAs, 5), "")
	}
}

// some lists the first of many.
func some(names []string, most int) string {
	if len(names) > most {
		return strings.Join(names[:most], "; ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, "; ")
}

func (p *probePage) chain(d *probe.Handshake) {
	for i, c := range d.Chain {
		if i == len(d.Review.Findings) {
			p.text(2, yellow, fmt.Sprintf("%d more certificates were sent; they were not looked at", len(d.Chain)-i))
			break
		}
		p.head(fmt.Sprintf("Certificate %d of %d", i+1, len(d.Chain)))
		shown := showCert(c)
		p.row("subject", shown.Subject, "")
		if shown.Issuer != shown.Subject {
			p.row("signed by", shown.Issuer, "")
		}
		p.row("key", shown.Key, "")
		p.row("SHA-256", shown.SHA256, "")
		for _, f := range d.Review.Findings[i] {
			p.checked(f.Good, f.What, f.Text)
		}
		if answers := d.Review.Verified.Unrevoked; i < len(answers) {
			p.revocation(answers[i])
		}
		if i == 0 {
			p.names(d, shown)
		}
	}
	if s := stapleOf(d); s != nil {
		p.head("OCSP, stapled")
		p.checked(s.Good, "the CA's word", s.Text)
	} else if len(d.Chain) > 0 {
		p.head("OCSP, stapled")
		p.text(2, dim, "none: the server shows no proof that its certificate is not revoked")
	}
}

// revocation says what is known of it; that nothing is, is no fault unless the policy is a hard one.
func (p *probePage) revocation(a revocation.Answer) {
	good, text := revocationText(a)
	if a.Status == revocation.Unknown {
		p.marked("-", dim, "revocation", "", text)
		return
	}
	p.checked(good, "revocation", text)
}

// names compares what is in the leaf with what is wanted (RFC 5922 §7).
func (p *probePage) names(d *probe.Handshake, leaf shownCert) {
	found := strings.Join(leaf.Names, ", ")
	if found == "" {
		found = "no SIP domain at all"
	}
	matched := d.Review.Verified.Matched
	good := matched.Want != ""
	if !good {
		good = true
		for _, r := range d.Review.Refusals {
			good = good && r.Code != trust.NameMismatch
		}
	}
	p.checked(good, "names", found+"; wanted: "+strings.Join(d.NamesWanted, " or "))
	for _, n := range leaf.NotCounted {
		p.marked("-", yellow, "not counted", yellow, n)
	}
}

func (p *probePage) options(h *probe.Hop) {
	a := h.Answer
	p.head("OPTIONS")
	p.checked(h.Works(), fmt.Sprint(a.Code), fmt.Sprintf("%s after %s", a.Reason, callflow.Span(a.Took)))
	list := func(name string, values []string) {
		switch {
		case values == nil:
			p.row(name, "not said", dim)
		case len(values) == 0:
			p.row(name, "empty", dim)
		default:
			p.row(name, strings.Join(values, ", "), "")
		}
	}
	list("Allow", a.Allow)
	list("Supported", a.Supported)
	for _, row := range []struct{ name, value string }{
		{"Accept", strings.Join(a.Accept, ", ")}, {"Server", a.Server}, {"Warning", strings.Join(a.Warnings, "; ")}, {"Retry-After", a.RetryAfter},
		{"challenge", strings.Join(a.Challenges, "; ")}, {"sees us as", a.Via},
	} {
		if row.value != "" {
			p.row(row.name, row.value, "")
		}
	}
	if a.Malformed != "" {
		p.row("malformed", a.Malformed, yellow)
	}
}

func (p *probePage) demands(rows []probe.Demand) {
	if len(rows) == 0 {
		return
	}
	p.head("What the configuration asks for")
	for _, d := range rows {
		switch d.State {
		case probe.Open:
			p.marked("-", dim, d.Name, "", fmt.Sprintf("%s: %s", d.Wants, d.Found))
		default:
			p.checked(d.State == probe.Met, d.Name, fmt.Sprintf("%s: %s", d.Wants, d.Found))
		}
		if d.State == probe.Missed && d.Remedy != "" {
			p.marked(" ", "", "", bold, "fix: "+d.Remedy)
		}
	}
}
