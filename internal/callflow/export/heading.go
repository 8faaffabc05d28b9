package export

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sallyport-sip/sallyport/internal/callflow"
)

// A HeadLine is one line of what stands above a ladder. The sentence is the first.
type HeadLine struct {
	Kind  HeadKind
	Text  string
	Style Style
}

// HeadKind says what a HeadLine is.
type HeadKind string

// The kinds of HeadLine, in their order.
const (
	HeadSentence HeadKind = "sentence" // outcome, who ended it, on which hop, why
	HeadWho      HeadKind = "who"      // when, who called whom, and how the legs are known to be one call
	HeadSecurity HeadKind = "security" // the word and why
	HeadHop      HeadKind = "hop"      // of the security
	HeadClaims   HeadKind = "claims"   // what others say
	HeadFinding  HeadKind = "finding"
	HeadRemedy   HeadKind = "remedy" // of the finding above
	HeadRelated  HeadKind = "related"
	HeadNote     HeadKind = "note" // what the view leaves out, and clocks
)

// Heading is what stands above the ladder.
func (v *View) Heading() []HeadLine {
	lines := []HeadLine{
		{HeadSentence, fmt.Sprintf("call %s: %s.", v.ID, v.Sentence), stateStyle(v.State)},
		{HeadWho, v.who(), StyleFaint},
	}
	add := func(kind HeadKind, s Style, text string) { lines = append(lines, HeadLine{kind, text, s}) }
	if s := v.Security; s != nil {
		add(HeadSecurity, securityStyle(s.Word), "signalling "+s.Word+": "+s.Why)
		for i := range s.Hops {
			add(HeadHop, StyleFaint, s.Hops[i].Words())
		}
		if len(s.Claims) > 0 {
			add(HeadClaims, StyleFaint, "claimed, not seen: "+strings.Join(s.Claims, "; "))
		}
	}
	for i := range v.Findings {
		f := &v.Findings[i]
		add(HeadFinding, severityStyle(f.Severity), findingWords(f))
		if f.Remedy != "" {
			add(HeadRemedy, StyleBold, "fix: "+f.Remedy)
		}
	}
	for _, r := range v.Related {
		text := r.Kind + " call " + r.Flow
		if r.Row > 0 {
			text += ", row " + strconv.Itoa(r.Row)
		}
		add(HeadRelated, StyleFaint, text)
	}
	if text := v.setBack(); text != "" {
		add(HeadNote, StyleBold, text)
	}
	for _, text := range v.leftOut() {
		add(HeadNote, StyleFaint, text)
	}
	return lines
}

// who is when it began, who called whom, and how the legs are known to be one call.
func (v *View) who() string {
	parts := []string{v.Start.UTC().Format("2006-01-02 15:04:05.000Z")}
	if v.From != "" || v.To != "" {
		parts = append(parts, v.From+" > "+v.To)
	}
	switch n := len(v.Legs); {
	case n > 1 && len(v.Joins) > 0:
		parts = append(parts, fmt.Sprintf("%d legs joined by %s", n, v.Joins[0]))
	case n > 1:
		parts = append(parts, fmt.Sprintf("%d legs", n))
	}
	return strings.Join(parts, ", ")
}

// findingWords is the severity, the sentence, and where to look.
func findingWords(f *callflow.Finding) string {
	s := string(f.Severity) + ": " + strings.TrimSuffix(f.Sentence, ".")
	var rows []string
	for _, n := range f.Rows {
		rows = append(rows, strconv.Itoa(n))
	}
	var where []string
	switch len(rows) {
	case 0:
	case 1:
		where = append(where, "row "+rows[0])
	default:
		where = append(where, "rows "+strings.Join(rows, ", "))
	}
	if f.Reference != "" {
		where = append(where, f.Reference)
	}
	if len(where) > 0 {
		s += " (" + strings.Join(where, "; ") + ")"
	}
	return s
}

func stateStyle(s callflow.State) Style {
	switch s {
	case callflow.StateRefused, callflow.StateFailed:
		return StyleBad
	case callflow.StateRinging, callflow.StateBusy, callflow.StateCancelled, callflow.StateUnanswered:
		return StyleBold
	}
	return StyleGood
}

func securityStyle(word string) Style {
	switch word {
	case callflow.Secured, callflow.HopByHop:
		return StyleGood
	case callflow.Downgraded:
		return StyleBad
	}
	return StyleBold
}

func severityStyle(s callflow.Severity) Style {
	switch s {
	case callflow.Problem:
		return StyleBad
	case callflow.Warning:
		return StyleBold
	}
	return StylePlain
}

// verdicts are what each side of a leg's handshake decided, the gateway first, and how that is known. open says that the
// other side has yet to tell.
func (v *View) verdicts(leg int, open bool) []string {
	if leg < 0 {
		return nil
	}
	l := v.Legs[leg]
	var lines []string
	for _, byGateway := range []bool{true, false} {
		for i := range l.Hop.Verdicts {
			if d := &l.Hop.Verdicts[i]; d.ByGateway == byGateway {
				who := v.Lifelines[l.Lifeline].Name
				if byGateway {
					who = "the " + v.Lifelines[v.gatewayLine()].Name
				}
				lines = append(lines, "by "+who+": "+VerdictWords(d))
				break // further ones are causes, which have rows of their own
			}
		}
	}
	if open && len(lines) == 1 {
		lines = append(lines, "by "+v.Lifelines[l.Lifeline].Name+": not known yet, it has sent nothing since")
	}
	return lines
}

// VerdictWords is what one side decided, how that is known, and why it accepted. Why it refused is the hop's row.
func VerdictWords(d *callflow.Verdict) string {
	word := "refused"
	switch {
	case d.Accepted:
		word = "accepted"
	case d.Undecided:
		word = "undecided"
	case d.KnownBy == callflow.Unknown:
		word = "not known"
	}
	if d.KnownBy != "" && word != "not known" {
		word += ", " + d.KnownBy
	}
	if d.Reason != "" && (d.Accepted || d.Undecided) {
		word += ": " + d.Reason
	}
	return word
}
