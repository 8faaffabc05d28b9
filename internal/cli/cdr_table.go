package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/sallyport-sip/sallyport/internal/store"
)

// A cdrTable is the format table: a line for each day, and for each call one with when, how long, who called whom and
// how it ended, one with the hops, and where it failed the cause.
type cdrTable struct {
	w      io.Writer
	style  style
	now    func() time.Time
	follow bool

	day string // of the last line
	n   int
}

const (
	cdrIndent  = 18 // columns before the numbers
	cdrNumbers = 37 // columns of the numbers, with what separates them from the result
)

func (t *cdrTable) print(c *store.CDR) error {
	var b strings.Builder
	began := c.Began.Local()
	if day := began.Format("Monday, 2 January 2006, MST"); day != t.day {
		if t.day != "" {
			b.WriteByte('\n')
		}
		fmt.Fprintln(&b, t.style.paint(bold, day))
		t.day = day
	}
	t.n++
	arrow := t.arrow()
	numbers := t.short(c.Caller, 16) + arrow + t.short(c.Called, 16)
	result, colour := t.result(c)
	fmt.Fprintf(&b, "%s %8s %-*s%s\n", began.Format("15:04:05"), t.lasted(c), cdrNumbers, numbers, t.style.paint(colour, result))
	var hops strings.Builder
	hops.WriteString(t.hop(&c.In))
	for i := range c.Out {
		sign := arrow
		if i > 0 {
			sign = ", then"
			if i == len(c.Out)-1 {
				sign += arrow
			} else {
				sign += " "
			}
		}
		hops.WriteString(sign + t.hop(&c.Out[i]))
	}
	if c.Verdict != "" {
		hops.WriteString(", " + c.Verdict)
	}
	t.wrapped(&b, hops.String(), dim)
	if (c.State == store.Refused || c.State == store.Interrupted || c.EndedBy == "gateway") && c.Cause.Text != "" {
		t.wrapped(&b, c.Cause.Text, colour)
	}
	_, err := io.WriteString(t.w, b.String())
	return err
}

// wrapped writes a text under the numbers.
func (t *cdrTable) wrapped(b *strings.Builder, text, colour string) {
	for _, line := range wrapWords(t.style.plain(text), t.style.width-cdrIndent) {
		fmt.Fprintf(b, "%*s%s\n", cdrIndent, "", t.style.paint(colour, line))
	}
}

func (t *cdrTable) arrow() string {
	if t.style.ascii {
		return " > "
	}
	return " → "
}

// short cuts a text at its end.
func (t *cdrTable) short(text string, width int) string {
	text = t.style.plain(text)
	runes, mark := []rune(text), "…"
	if t.style.ascii {
		mark = "~"
	}
	if len(runes) <= width {
		return text
	}
	return string(runes[:width-1]) + mark
}

// lasted is how long the call lasted from its answer, by now when it goes on.
func (t *cdrTable) lasted(c *store.CDR) string {
	end := c.Ended
	switch {
	case c.Answered.IsZero(), c.State == store.Interrupted:
		return "-"
	case end.IsZero():
		end = t.now()
	}
	d := max(0, end.Sub(c.Answered)).Round(time.Second)
	h, m, s := int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60
	if h > 0 {
		return fmt.Sprintf("%d:%02d:%02d", h, m, s)
	}
	return fmt.Sprintf("%d:%02d", m, s)
}

// result is how the call ended, in words, and the colour of that.
func (t *cdrTable) result(c *store.CDR) (text, colour string) {
	switch c.State {
	case store.Opened:
		return "being set up", yellow
	case store.Answered:
		return "answered, goes on", green
	case store.Ended:
		if c.EndedBy == "gateway" {
			return "ended by the gateway", yellow
		}
		return "ended by the " + c.EndedBy, green
	case store.Refused:
		if c.Cause.SIP == 0 {
			return "refused", red
		}
		return fmt.Sprintf("refused with %d", c.Cause.SIP), red
	case store.Cancelled:
		return "cancelled", ""
	case store.Interrupted:
		return "interrupted", red
	}
	return t.style.plain(string(c.State)), ""
}

// hop is a leg with its security.
func (t *cdrTable) hop(l *store.Leg) string {
	name := l.Peer
	if name == "" {
		name = "unknown"
	}
	switch {
	case l.TLS != nil && l.TLS.Mutual:
		name += " (TLS " + l.TLS.Version + ", mutual)"
	case l.TLS != nil:
		name += " (TLS " + l.TLS.Version + ")"
	case l.Transport != "":
		name += " (" + l.Transport + ")"
	}
	return name
}

// end says when there was nothing.
func (t *cdrTable) end() error {
	if t.n > 0 || t.follow {
		return nil
	}
	_, err := fmt.Fprintln(t.w, "no calls")
	return err
}
