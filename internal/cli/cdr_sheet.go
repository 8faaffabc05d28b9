package cli

import (
	"encoding/csv"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-sip/sallyport/internal/store"
)

// cdrColumns are the columns of the format csv. Programs read them by their names: new ones go to the end, and none is
// renamed. docs/operate/cdr.md says what each holds.
var cdrColumns = []struct {
	name  string
	value func(*store.CDR) string
}{
	{"id", func(c *store.CDR) string { return c.ID }},
	{"call", func(c *store.CDR) string { return orNone(c.Call) }},
	{"state", func(c *store.CDR) string { return string(c.State) }},
	{"began", func(c *store.CDR) string { return sheetTime(c.Began) }},
	{"answered", func(c *store.CDR) string { return sheetTime(c.Answered) }},
	{"ended", func(c *store.CDR) string { return sheetTime(c.Ended) }},
	{"seconds", func(c *store.CDR) string { return talked(c) }},
	{"caller", func(c *store.CDR) string { return c.Caller }},
	{"called", func(c *store.CDR) string { return c.Called }},
	{"route", func(c *store.CDR) string { return c.Route }},
	{"ended_by", func(c *store.CDR) string { return c.EndedBy }},
	{"sip", func(c *store.CDR) string { return orNone(uint64(c.Cause.SIP)) }},
	{"q850", func(c *store.CDR) string { return orNone(uint64(c.Cause.Q850)) }},
	{"reason", func(c *store.CDR) string { return c.Cause.Reason }},
	{"cause", func(c *store.CDR) string { return c.Cause.Text }},
	{"verdict", func(c *store.CDR) string { return c.Verdict }},
	{"targets", func(c *store.CDR) string { return strconv.Itoa(len(c.Out)) }},
}

// cdrLastColumns are those that came later: they stand behind the columns of the legs, where no program counts on
// others.
var cdrLastColumns = []struct {
	name  string
	value func(*store.CDR) string
}{
	{"verdict_why", func(c *store.CDR) string { return c.VerdictWhy }},
	{"in_sips", func(c *store.CDR) string { return strconv.FormatBool(c.In.SIPS) }},
	{"in_known_by", func(c *store.CDR) string { return c.In.KnownBy }},
	{"out_sips", func(c *store.CDR) string {
		return ofLast(c, func(l *store.Leg) string { return strconv.FormatBool(l.SIPS) })
	}},
	{"out_known_by", func(c *store.CDR) string { return ofLast(c, func(l *store.Leg) string { return l.KnownBy }) }},
	{"session", func(c *store.CDR) string { return c.Session }},
	{"run", func(c *store.CDR) string { return c.Run }},
}

// ofLast is of the last target's leg, empty when there is none.
func ofLast(c *store.CDR, f func(*store.Leg) string) string {
	if len(c.Out) == 0 {
		return ""
	}
	return f(&c.Out[len(c.Out)-1])
}

// cdrLegColumns are the columns that both legs have, after "in_" and "out_". The outgoing one is the last target's.
var cdrLegColumns = []struct {
	name  string
	value func(*store.Leg) string
}{
	{"peer", func(l *store.Leg) string { return l.Peer }},
	{"call_id", func(l *store.Leg) string { return l.CallID }},
	{"transport", func(l *store.Leg) string { return l.Transport }},
	{"remote", func(l *store.Leg) string { return l.Remote }},
	{"connection", func(l *store.Leg) string { return orNone(l.Connection) }},
	{"new", func(l *store.Leg) string { return strconv.FormatBool(l.New) }},
	{"tls_version", func(l *store.Leg) string { return ofTLS(l, func(t *store.TLS) string { return t.Version }) }},
	{"tls_suite", func(l *store.Leg) string { return ofTLS(l, func(t *store.TLS) string { return t.Suite }) }},
	{"tls_group", func(l *store.Leg) string { return ofTLS(l, func(t *store.TLS) string { return t.Group }) }},
	{"tls_mutual", func(l *store.Leg) string {
		return ofTLS(l, func(t *store.TLS) string { return strconv.FormatBool(t.Mutual) })
	}},
	{"tls_resumed", func(l *store.Leg) string {
		return ofTLS(l, func(t *store.TLS) string { return strconv.FormatBool(t.Resumed) })
	}},
	{"tls_identity", func(l *store.Leg) string {
		return ofTLS(l, func(t *store.TLS) string { return strings.Join(t.Identity, " ") })
	}},
	{"tls_handshake_ms", func(l *store.Leg) string { return ofTLS(l, func(t *store.TLS) string { return ms(t.Handshake) }) }},
	{"code", func(l *store.Leg) string { return orNone(uint64(l.Code)) }},
	{"text", func(l *store.Leg) string { return l.Text }},
	{"to_100_ms", func(l *store.Leg) string { return ms(l.To100) }},
	{"to_180_ms", func(l *store.Leg) string { return ms(l.To180) }},
	{"to_200_ms", func(l *store.Leg) string { return ms(l.To200) }},
}

func ofTLS(l *store.Leg, f func(*store.TLS) string) string {
	if l.TLS == nil {
		return ""
	}
	return f(l.TLS)
}

// orNone is empty for 0, which stands for "none".
func orNone(n uint64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatUint(n, 10)
}

func ms(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return strconv.FormatFloat(float64(d.Microseconds())/1000, 'f', -1, 64)
}

func sheetTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

// talked is the time from answer to end, in seconds.
func talked(c *store.CDR) string {
	if c.Answered.IsZero() || c.Ended.IsZero() {
		return ""
	}
	return strconv.FormatFloat(c.Ended.Sub(c.Answered).Round(time.Millisecond).Seconds(), 'f', 3, 64)
}

// harmless makes a text from the network one that a spreadsheet shows and does not compute: what such a program would
// take as a formula gets an apostrophe before it, as is the custom there. A telephone number, +49 and digits only, stays.
func harmless(text string) string {
	if text == "" || !strings.ContainsRune("=+-@\t\r\n", rune(text[0])) {
		return text
	}
	if text[0] == '+' && len(text) > 1 && strings.Trim(text[1:], "0123456789") == "" {
		return text
	}
	return "'" + text
}

// A cdrSheet is the format csv, as RFC 4180 has it: a row of names, and lines that end in CR LF.
type cdrSheet struct {
	w    *csv.Writer
	each bool // write every row at once
	row  []string
}

func newCDRSheet(w io.Writer, each bool) *cdrSheet {
	s := &cdrSheet{w: csv.NewWriter(w), each: each}
	s.w.UseCRLF = true
	for _, c := range cdrColumns {
		s.row = append(s.row, c.name)
	}
	for _, side := range []string{"in_", "out_"} {
		for _, c := range cdrLegColumns {
			s.row = append(s.row, side+c.name)
		}
	}
	for _, c := range cdrLastColumns {
		s.row = append(s.row, c.name)
	}
	s.w.Write(s.row) // an error is there at the next Write, too
	return s
}

func (s *cdrSheet) print(c *store.CDR) error {
	s.row = s.row[:0]
	for _, col := range cdrColumns {
		s.row = append(s.row, harmless(col.value(c)))
	}
	legs := []*store.Leg{&c.In, nil}
	if len(c.Out) > 0 {
		legs[1] = &c.Out[len(c.Out)-1]
	}
	for _, l := range legs {
		for _, col := range cdrLegColumns {
			if l == nil {
				s.row = append(s.row, "")
				continue
			}
			s.row = append(s.row, harmless(col.value(l)))
		}
	}
	for _, col := range cdrLastColumns {
		s.row = append(s.row, harmless(col.value(c)))
	}
	if err := s.w.Write(s.row); err != nil {
		return err
	}
	if s.each {
		return s.end()
	}
	return nil
}

func (s *cdrSheet) end() error {
	s.w.Flush()
	return s.w.Error()
}
