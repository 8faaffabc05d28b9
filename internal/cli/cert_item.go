package cli

import (
	"cmp"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"strings"
	"time"
	"unicode"

	"github.com/sallyport-sip/sallyport/internal/certfile"
	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/trust"
	"github.com/sallyport-sip/sallyport/sip/domaincert"
)

// shownCert is one certificate.
type shownCert struct {
	Kind       string    `json:"kind"` // "authority", "self-signed", or "issued"
	Subject    string    `json:"subject"`
	Issuer     string    `json:"issuer"`
	Names      []string  `json:"names"`       // the identities by RFC 5922
	NotCounted []string  `json:"not_counted"` // names that do not count, and why
	Usage      []string  `json:"usage"`       // extended key usages; empty: any
	NotBefore  time.Time `json:"not_before"`
	NotAfter   time.Time `json:"not_after"`
	DaysLeft   int       `json:"days_left"` // rounded; negative: days since it expired
	Key        string    `json:"key"`
	SHA256     string    `json:"sha256"` // of the certificate; peers.NAME.pins takes it
	Pin        string    `json:"pin"`    // of its key; peers.NAME.pins takes it
	Serial     string    `json:"serial"`
	PathLength *int      `json:"path_length,omitempty"` // of an authority: how many may follow each other below it; none: any number
	Weak       []string  `json:"weak,omitempty"`        // what peers refuse about its key or signature
	Doubt      string    `json:"doubt,omitempty"`       // why it may not be a trust anchor, by notes in the file
}

// shownKey is one private or public key.
type shownKey struct {
	Kind      string   `json:"kind,omitempty"` // "ECDSA P-256"; empty when it could not be read without its password
	Public    bool     `json:"public,omitempty"`
	Form      string   `json:"form,omitempty"`      // "PKCS #8"
	Encrypted string   `json:"encrypted,omitempty"` // how; empty: it is not
	Locked    bool     `json:"locked,omitempty"`    // it needs a password
	Pin       string   `json:"pin,omitempty"`
	BelongsTo []string `json:"belongs_to,omitempty"` // certificates and requests among all that was shown
	Stranger  bool     `json:"stranger,omitempty"`   // there are such, and it belongs to none of them

	key crypto.PublicKey
}

// shownRequest is a request for a certificate.
type shownRequest struct {
	Subject    string   `json:"subject"`
	Names      []string `json:"names"`
	NotCounted []string `json:"not_counted"`
	Key        string   `json:"key"`
	Weak       []string `json:"weak,omitempty"`
	Proven     bool     `json:"proven"` // it is signed by its own key

	key crypto.PublicKey
}

// shownCRL is a revocation list.
type shownCRL struct {
	Issuer  string    `json:"issuer"`
	Made    time.Time `json:"made"`
	Next    time.Time `json:"next"` // when the next one is due
	Number  string    `json:"number,omitempty"`
	Revoked int       `json:"revoked"` // how many certificates
}

func showCert(c *x509.Certificate) shownCert {
	sum := sha256.Sum256(c.Raw)
	out := shownCert{
		Kind:       "issued",
		Subject:    trust.Subject(c),
		Issuer:     c.Issuer.String(),
		Names:      certNames(c),
		NotCounted: []string{},
		Usage:      append([]string{}, trust.UsageNames(c)...),
		NotBefore:  c.NotBefore.UTC(),
		NotAfter:   c.NotAfter.UTC(),
		DaysLeft:   int(math.Round(time.Until(c.NotAfter).Hours() / 24)),
		Key:        keyName(c.PublicKey),
		SHA256:     hex.EncodeToString(sum[:]),
		Pin:        pin(c.RawSubjectPublicKeyInfo),
		Serial:     fmt.Sprintf("%x", c.SerialNumber),
	}
	switch {
	case c.IsCA:
		out.Kind = "authority"
	case trust.IsSelfSigned(c):
		out.Kind = "self-signed"
	}
	if c.IsCA && (c.MaxPathLen > 0 || c.MaxPathLenZero) {
		out.PathLength = &c.MaxPathLen
	}
	for _, i := range domaincert.NotCounted(c) {
		out.NotCounted = append(out.NotCounted, i.Value+" "+i.Why)
	}
	out.Weak = weak(c)
	return out
}

// weak says what peers refuse about a certificate's key and signature. Nobody looks at the signature of a root.
func weak(c *x509.Certificate) []string {
	var all []string
	if why := trust.WeakKey(c.PublicKey); why != "" {
		all = append(all, why)
	}
	switch c.SignatureAlgorithm {
	case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1:
		if string(c.RawSubject) != string(c.RawIssuer) {
			all = append(all, "it is signed with "+c.SignatureAlgorithm.String()+", which nobody believes any more")
		}
	}
	return all
}

// pin writes the SHA-256 sum of a public key (SubjectPublicKeyInfo) as peers.NAME.pins takes it.
func pin(public []byte) string {
	return config.Pin{Sum: sha256.Sum256(public)}.String()
}

func showKey(i certfile.Item) shownKey {
	out := shownKey{Form: i.Form, Encrypted: i.Cipher, Locked: i.Locked, key: i.Public, Public: i.Public != nil}
	if i.Key != nil {
		out.key = i.Key.Public()
	}
	if out.key != nil {
		out.Kind = keyName(out.key)
		if der, err := x509.MarshalPKIXPublicKey(out.key); err == nil {
			out.Pin = pin(der)
		}
	}
	return out
}

func showRequest(r *x509.CertificateRequest) shownRequest {
	as := &x509.Certificate{Subject: r.Subject, URIs: r.URIs, DNSNames: r.DNSNames, IPAddresses: r.IPAddresses, Extensions: r.Extensions}
	out := shownRequest{Subject: r.Subject.String(), Names: certNames(as), NotCounted: []string{}, Key: keyName(r.PublicKey), Proven: r.CheckSignature() == nil, key: r.PublicKey}
	for _, i := range domaincert.NotCounted(as) {
		out.NotCounted = append(out.NotCounted, i.Value+" "+i.Why)
	}
	if why := trust.WeakKey(r.PublicKey); why != "" {
		out.Weak = []string{why}
	}
	return out
}

func showCRL(l *x509.RevocationList) shownCRL {
	out := shownCRL{Issuer: l.Issuer.String(), Made: l.ThisUpdate.UTC(), Next: l.NextUpdate.UTC(), Revoked: len(l.RevokedCertificateEntries)}
	if l.Number != nil {
		out.Number = fmt.Sprintf("%x", l.Number)
	}
	return out
}

// row draws one line of two columns, more when the value is long.
func (s style) row(w io.Writer, name, value, colour string) {
	for i, line := range wrapWords(s.plain(value), s.width-15) {
		if i > 0 {
			name = ""
		}
		fmt.Fprintf(w, "  %s %s\n", s.paint(dim, fmt.Sprintf("%-11s", name)), s.paint(colour, line))
	}
}

// rows draws one certificate, two columns wide.
func (c shownCert) rows(s style) string {
	var b strings.Builder
	row := func(name, value, colour string) { s.row(&b, name, value, colour) }
	row("certificate", c.what(), "")
	row("subject", c.Subject, "")
	if c.Kind != "self-signed" && c.Issuer != c.Subject {
		row("signed by", c.Issuer, "")
	}
	if c.Kind != "authority" {
		for i, n := range c.Names {
			row([]string{"for", ""}[min(i, 1)], n, green)
		}
		if len(c.Names) == 0 {
			row("for", "no SIP domain: no peer can be known by it", red)
		}
		for _, n := range c.NotCounted {
			row("but", n, yellow)
		}
		row("usage", cmp.Or(strings.Join(c.Usage, ", "), "any")+roles(c.Usage), "")
	} else if c.PathLength != nil {
		row("may sign", map[bool]string{true: "certificates of clients and servers, and no authorities",
			false: fmt.Sprintf("certificates, and authorities %d deep", *c.PathLength)}[*c.PathLength == 0], "")
	}
	valid, colour := c.validity(time.Now())
	row("valid", valid, colour)
	row("key", c.Key, "")
	for _, why := range c.Weak {
		row("weak", why, red)
	}
	if c.Doubt != "" {
		row("no trust", c.Doubt, red)
	}
	row("sha256", c.SHA256, "")
	row("pin", c.Pin, "")
	return b.String()
}

// roles says in which roles of TLS the usages let a certificate be shown.
func roles(usage []string) string {
	var client, server bool
	for _, u := range usage {
		client = client || u == "clientAuth" || u == "sipDomain" || u == "anyExtendedKeyUsage"
		server = server || u == "serverAuth" || u == "sipDomain" || u == "anyExtendedKeyUsage"
	}
	switch {
	case len(usage) == 0 || client && server:
		return " (in both roles)"
	case client:
		return " (as client only, so not on a listener)"
	case server:
		return " (as server only, so not on connections that we open)"
	}
	return " (neither as client nor as server: no peer accepts it)"
}

func (k shownKey) draw(w io.Writer, s style) {
	switch {
	case k.Locked:
		s.row(w, "private key", "encrypted: its password was not named (--password-file, --password-env)", yellow)
	case k.Public:
		s.row(w, "public key", k.Kind, "")
	default:
		s.row(w, "private key", strings.TrimPrefix(k.Kind+", "+k.Form, ", "), "")
	}
	if k.Encrypted != "" {
		s.row(w, "encrypted", k.Encrypted, "")
	}
	for i, c := range k.BelongsTo {
		s.row(w, []string{"belongs to", ""}[min(i, 1)], c, green)
	}
	if k.Stranger {
		s.row(w, "belongs to", "none of the certificates and requests shown", red)
	}
	if k.Pin != "" {
		s.row(w, "pin", k.Pin, "")
	}
}

func (r shownRequest) draw(w io.Writer, s style) {
	s.row(w, "request", "for a certificate; an authority makes one of it", "")
	s.row(w, "subject", cmp.Or(r.Subject, "none"), "")
	for i, n := range r.Names {
		s.row(w, []string{"for", ""}[min(i, 1)], n, green)
	}
	if len(r.Names) == 0 {
		s.row(w, "for", "no SIP domain: no peer could be known by it", red)
	}
	for _, n := range r.NotCounted {
		s.row(w, "but", n, yellow)
	}
	s.row(w, "key", r.Key, "")
	for _, why := range r.Weak {
		s.row(w, "weak", why, red)
	}
	if r.Proven {
		s.row(w, "proof", "it is signed by its own key", green)
	} else {
		s.row(w, "proof", "its signature is not by its own key: no authority takes it", red)
	}
}

func (l shownCRL) draw(w io.Writer, s style, now time.Time) {
	s.row(w, "list", fmt.Sprintf("of revoked certificates: %d", l.Revoked), "")
	s.row(w, "signed by", l.Issuer, "")
	const form = "2006-01-02 15:04"
	switch {
	case l.Next.IsZero():
		s.row(w, "valid", "from "+l.Made.Format(form)+" UTC", "")
	case now.After(l.Next):
		s.row(w, "valid", l.Made.Format(form)+" to "+l.Next.Format(form)+" UTC, the next one is overdue", red)
	default:
		s.row(w, "valid", l.Made.Format(form)+" to "+l.Next.Format(form)+" UTC", green)
	}
}

func (c shownCert) what() string {
	switch c.Kind {
	case "authority":
		if c.Issuer == c.Subject {
			return "of an authority, self-signed"
		}
		return "of an authority, signed by another"
	case "self-signed":
		return "self-signed: peers need this very certificate in their trust"
	}
	return "signed by an authority"
}

// validity says until when c is valid, and in which colour.
func (c shownCert) validity(now time.Time) (string, string) {
	const form = "2006-01-02 15:04"
	span := c.NotBefore.Format(form) + " to " + c.NotAfter.Format(form) + " UTC, "
	switch {
	case now.Before(c.NotBefore):
		return span + "not yet valid", red
	case now.After(c.NotAfter):
		return span + fmt.Sprintf("expired %s ago", dayCount(-c.DaysLeft)), red
	case c.DaysLeft < 30:
		return span + dayCount(c.DaysLeft) + " left", yellow
	}
	return span + dayCount(c.DaysLeft) + " left", green
}

func dayCount(n int) string {
	switch n {
	case 0:
		return "less than a day"
	case 1:
		return "1 day"
	}
	return fmt.Sprintf("%d days", n)
}

// plain replaces what cannot be printed, and what is not ASCII when only that may be drawn.
func (s style) plain(text string) string {
	if s.ascii {
		text = strings.NewReplacer("§", "section ", "…", "...").Replace(text)
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || s.ascii && r > unicode.MaxASCII {
			return '?'
		}
		return r
	}, text)
}

// wrapWords breaks text at spaces into lines of at most width characters; a longer word is cut.
func wrapWords(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len([]rune(line))+1+len([]rune(word)) <= width {
			line += " " + word
			continue
		}
		if line != "" {
			lines = append(lines, line)
		}
		runes := []rune(word)
		for ; len(runes) > width; runes = runes[width:] {
			lines = append(lines, string(runes[:width]))
		}
		line = string(runes)
	}
	return append(lines, line)
}
