package callflow

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Span writes a duration for a person, with two or three digits that matter: 0.4ms, 31ms, 2.4s, 1m12s, 3h05m.
func Span(d time.Duration) string {
	switch {
	case d < 0:
		return "-" + Span(-d)
	case d < 9950*time.Microsecond:
		return fmt.Sprintf("%.1fms", float64(d)/float64(time.Millisecond))
	case d < 999500*time.Microsecond:
		return fmt.Sprintf("%.0fms", float64(d)/float64(time.Millisecond))
	case d < 59950*time.Millisecond:
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	d = d.Round(time.Second)
	if d < time.Hour {
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
}

// ShortSuite is a cipher suite without what every reader knows: AES-256-GCM for TLS_AES_256_GCM_SHA384, and
// ECDHE-RSA AES-128-GCM for TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256.
func ShortSuite(suite string) string {
	s, ok := strings.CutPrefix(suite, "TLS_")
	if !ok {
		return suite
	}
	exchange, cipher, classic := strings.Cut(s, "_WITH_")
	if !classic {
		exchange, cipher = "", s
	}
	if i := strings.LastIndex(cipher, "_SHA"); i > 0 {
		cipher = cipher[:i]
	}
	s = strings.ReplaceAll(cipher, "_", "-")
	if exchange != "" {
		s = strings.ReplaceAll(exchange, "_", "-") + " " + s
	}
	return s
}

// tlsWords sums up a hop's security: "1.3 AES-256-GCM X25519 mutual peer=alice".
func tlsWords(l *Link) string {
	t := l.TLS
	if t == nil {
		return "no TLS"
	}
	words := []string{t.Version, ShortSuite(t.Suite), t.Group}
	if t.Mutual {
		words = append(words, "mutual")
	}
	if t.Resumed {
		words = append(words, "resumed")
	}
	switch {
	case l.Peer != "":
		words = append(words, "peer="+l.Peer)
	case len(t.PeerNames) > 0:
		words = append(words, "peer="+t.PeerNames[0])
	}
	return strings.Join(strings.Fields(strings.Join(words, " ")), " ")
}

// label is the text inside a handshake step's arrow.
func (s *Step) label() string {
	text := s.Name
	switch {
	case s.Name == NameAlert && s.Alert.Name != "":
		text = "Alert " + strconv.Itoa(s.Alert.Code) + " " + s.Alert.Name
	case s.Name == NameAlert:
		text = "Alert, encrypted"
	case s.Name == NameProblem && s.Note != "":
		text = s.Note
	case s.Name == "ServerHello" && s.Version != "":
		text += " " + s.Version
	case s.Name == NameApplicationData:
		text = "application data"
	case s.Name == "Finished" && s.Encrypted:
		text += ", encrypted"
	}
	if s.Number > 0 {
		text = strconv.Itoa(s.Number) + " " + text
	}
	return text
}

// note is the text for the right margin of a handshake step.
func (s *Step) note(sender string) string {
	var words []string
	if len(s.Offered) > 0 {
		words = append(words, "offers "+strings.Join(s.Offered, ", "))
	}
	if s.ServerName != "" {
		words = append(words, "SNI "+s.ServerName)
	}
	if s.Suite != "" {
		words = append(words, ShortSuite(s.Suite))
	}
	if s.Group != "" {
		words = append(words, s.Group)
	}
	if s.Certificate != nil {
		words = append(words, s.Certificate.words())
	}
	if s.Name == NameAlert && s.Alert.Fatal {
		words = append(words, "sent by "+sender)
	}
	if s.Note != "" && s.Name != NameProblem {
		words = append(words, s.Note)
	}
	return strings.Join(words, "  ")
}

// name is its subject, or its first name when the subject is empty, as modern certificates have it.
func (c *Certificate) name() string {
	switch {
	case c.Subject != "":
		return c.Subject
	case len(c.Names) > 0:
		return c.Names[0]
	}
	return "no subject"
}

// words names a certificate and who issued it.
func (c *Certificate) words() string {
	s := c.name()
	if c.SelfSigned {
		return s + ", self-signed"
	}
	if c.Issuer != "" {
		s += ", issued by " + c.Issuer
	}
	return s
}
