package cli

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/callflow/export"
)

// drawHandshake shows one handshake whole: the sentence and the remedy first, then the evidence.
func drawHandshake(w io.Writer, s style, h *callflow.Handshake, now time.Time) error {
	var b strings.Builder
	mark, colour := s.mark(!h.Failed())
	if h.Outcome == callflow.OutcomeOpen {
		mark, colour = "?", yellow
	}
	sentence := h.Sentence + "."
	if strings.HasPrefix(sentence, "the ") || strings.HasPrefix(sentence, "no ") { // else it begins with a name
		sentence = strings.ToUpper(sentence[:1]) + sentence[1:]
	}
	for i, line := range wrapWords(s.plain(sentence), s.width-2) {
		fmt.Fprintf(&b, "%s %s\n", []string{s.paint(colour, mark), " "}[min(i, 1)], s.paint(bold, line))
	}
	if h.Remedy != "" {
		for _, line := range wrapWords(s.plain("fix: "+h.Remedy), s.width-2) {
			fmt.Fprintf(&b, "  %s\n", line)
		}
	}
	b.WriteByte('\n')
	p := handshakePage{style: s, Builder: &b, now: now}
	p.facts(h)
	b.WriteByte('\n')
	if len(h.Steps) > 0 {
		if err := export.Ladder(&b, h.Flow("gateway"), export.Options{ASCII: s.ascii, Colour: s.colour, Width: s.width, Bare: true}); err != nil {
			return err
		}
		b.WriteByte('\n')
	}
	p.parameters(h)
	p.chain("we showed", h.OurChain)
	p.chain("it showed", h.PeerChain)
	p.names(h)
	p.verdicts(h)
	_, err := io.WriteString(w, b.String())
	return err
}

// handshakePage draws the rows of one handshake.
type handshakePage struct {
	style
	*strings.Builder
	now time.Time
}

// put writes a row; an empty text is none.
func (p handshakePage) put(name, text, colour string) {
	for i, line := range wrapWords(p.plain(text), p.width-14) {
		if i > 0 {
			name = ""
		}
		fmt.Fprintf(p, "%-13s %s\n", name, p.paint(colour, line))
	}
}

func (p handshakePage) facts(h *callflow.Handshake) {
	p.put("handshake", h.ID+", connection "+fmt.Sprint(h.Connection)+", "+h.At.Local().Format("2006-01-02 15:04:05.000 MST")+", took "+callflow.Span(h.Took), "")
	way := fmt.Sprintf("%s called us at %s, listener %q", h.Who(), h.Local, h.Listener)
	if h.Role == callflow.RoleClient {
		way = fmt.Sprintf("we called %s at %s", h.Who(), h.Remote)
	}
	p.put("connection", way+", "+h.Transport, "")
	if h.Address != "" {
		p.put("", "it came from an address at which "+h.Address+" has proved who it is", "")
	}
	if h.Code != "" {
		p.put("reason", h.Code, red)
	}
	if h.Repeats > 0 {
		p.put("again", fmt.Sprintf("%d more like it until %s, of which nothing else was kept", h.Repeats, h.Until.Local().Format("15:04:05")), "")
	}
}

func (p handshakePage) parameters(h *callflow.Handshake) {
	o, c := &h.Offered, &h.Chosen
	if len(o.Versions) > 0 {
		p.put("offered", "TLS "+strings.Join(o.Versions, ", "), "")
		p.put("  suites", strings.Join(o.Suites, ", "), "")
		p.put("  groups", strings.Join(o.Groups, ", ")+sent(o.KeyShares), "")
		p.put("  signatures", strings.Join(o.Schemes, ", "), "")
		p.put("  name (SNI)", cmp.Or(o.ServerName, "none"), "")
		p.put("  ALPN", cmp.Or(strings.Join(o.ALPN, ", "), "none"), "")
		if o.Resumption {
			p.put("  session", "an earlier one was offered", "")
		}
	}
	if c.Version != "" {
		words := []string{"TLS " + c.Version, c.Suite}
		for _, w := range []string{c.Group, c.ALPN} {
			if w != "" {
				words = append(words, w)
			}
		}
		if c.HelloRetry {
			words = append(words, "after a HelloRetryRequest for another key share")
		}
		if c.Resumed {
			words = append(words, "an earlier session goes on, so no certificates are shown")
		}
		p.put("chosen", strings.Join(words, ", "), "")
	}
	if h.Asked {
		who := "any CA"
		if len(h.AskedCAs) > 0 {
			who = strings.Join(h.AskedCAs, "; ")
		}
		p.put("asked for", "a certificate of the client, signed by "+who, "")
	}
}

func sent(shares []string) string {
	if len(shares) == 0 {
		return ""
	}
	return "; with a key for " + strings.Join(shares, ", ")
}

func (p handshakePage) chain(title string, chain [][]byte) {
	for i, der := range chain {
		name := ""
		if i == 0 {
			name = title
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			p.put(name, fmt.Sprintf("%d. a certificate that cannot be read (%d bytes): %v", i+1, len(der), err), red)
			continue
		}
		p.put(name, fmt.Sprintf("%d. %s", i+1, subject(c)), "")
		issued := "issued by " + c.Issuer.String()
		if c.Issuer.String() == c.Subject.String() {
			issued = "self-signed"
		}
		dates, colour := fmt.Sprintf(", valid %s to %s", c.NotBefore.UTC().Format(time.DateOnly), c.NotAfter.UTC().Format(time.DateOnly)), ""
		switch {
		case p.now.After(c.NotAfter):
			dates, colour = dates+": expired", red
		case p.now.Before(c.NotBefore):
			dates, colour = dates+": not yet valid", red
		}
		p.put("", "   "+issued+dates, colour)
	}
}

// subject names a certificate by its subject and its alternative names.
func subject(c *x509.Certificate) string {
	words := []string{}
	if s := c.Subject.String(); s != "" {
		words = append(words, s)
	}
	for _, n := range c.DNSNames {
		words = append(words, "DNS:"+n)
	}
	for _, u := range c.URIs {
		words = append(words, "URI:"+u.String())
	}
	for _, a := range c.IPAddresses {
		words = append(words, "IP:"+a.String())
	}
	return cmp.Or(strings.Join(words, ", "), "without a name")
}

func (p handshakePage) names(h *callflow.Handshake) {
	if len(h.PeerChain) > 0 {
		p.put("its names", cmp.Or(strings.Join(h.NamesFound, ", "), "none that counts by RFC 5922"), "")
	}
	if len(h.NamesWanted) > 0 {
		p.put("wanted", strings.Join(h.NamesWanted, " or "), "")
	}
}

func (p handshakePage) verdicts(h *callflow.Handshake) {
	first := true
	for i := range h.Verdicts {
		v := &h.Verdicts[i]
		name := ""
		if first {
			name, first = "verdicts", false
		}
		who := "the peer"
		if v.ByGateway {
			who = "the gateway"
		}
		if cause := i > 0 && v.KnownBy == callflow.Inferred && !v.Accepted && !v.Undecided; cause {
			p.put("likely", v.Reason, yellow)
			p.put("", "fix: "+v.Remedy, dim)
			continue
		}
		word, colour := "refused", red
		switch {
		case v.Accepted:
			word, colour = "accepted", green
		case v.Undecided:
			word, colour = "did not come to a decision", dim
		case v.KnownBy == callflow.Unknown:
			word, colour = "gave no reason", red
		}
		p.put(name, fmt.Sprintf("%s %s (%s): %s", who, word, v.KnownBy, v.Reason), colour)
		if v.Remedy != "" {
			p.put("", "fix: "+v.Remedy, dim)
		}
	}
}
