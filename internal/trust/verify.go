package trust

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/revocation"
	"github.com/sallyport-sip/sallyport/sip/domaincert"
)

// Role is a side of a TLS connection.
type Role uint8

// The two sides: who dials is the client.
const (
	Client Role = iota + 1
	Server
)

// String returns "client" or "server".
func (r Role) String() string {
	if r == Client {
		return "client"
	}
	return "server"
}

// Policy says by what the certificate of one peer, or of whoever calls one listener, is judged. It is immutable.
type Policy struct {
	Who     string // for texts, for example `peer "acme"`
	Anchors *Anchors
	// Names are the SIP domains and addresses of which the certificate must be for one (RFC 5922 §7.3). Empty, it
	// refuses every certificate, unless AnyName says that names are judged later, as a listener's policy does.
	Names   []string
	AnyName bool
	Pins    []config.Pin  // of which the certificate must fit one; none: any will do
	Rules   config.Policy // of the configuration; complete

	checker *revocation.Checker // nil: OCSP answers are only taken from handshakes
	foresee bool                // see Set.Foreseeing

	known []*x509.Certificate // intermediates seen in our own files; never trusted, they only make reasons exact
}

// Verified is what is known of a peer whose certificate was accepted. crypto/tls keeps no chains for us, because we
// verify ourselves; they are kept here.
type Verified struct {
	Chain   []*x509.Certificate // leaf first, anchor last
	Names   []domaincert.Name   // the identities of the leaf by RFC 5922 §7.1
	Matched domaincert.Result   // zero when the policy judges no names
	Notes   []string            // what was accepted only because the policy allows it, in plain words
	// Unrevoked says for each certificate of the chain below the anchor, leaf first, what is known of its revocation;
	// nil when the policy does not look at it.
	Unrevoked []revocation.Answer
}

// NameStrings returns the identities as strings, for example "URI:sip:acme.example".
func (v Verified) NameStrings() []string {
	var s []string
	for _, n := range v.Names {
		s = append(s, n.String())
	}
	return s
}

// verification is one certificate on its way through the checks.
type verification struct {
	*Policy
	role   Role // of who shows the certificate
	now    time.Time
	certs  []*x509.Certificate  // as presented, leaf first
	state  *tls.ConnectionState // of the connection on which it was; nil for a chain from elsewhere
	chains [][]*x509.Certificate
	match  domaincert.Result

	review    bool                // of a live connection: nothing is waited for
	unrevoked []revocation.Answer // of the first chain
}

// checks are made in this order; the first that refuses is the reason.
var checks = []struct {
	name  string
	check func(*verification) *Refusal
}{
	{"settled", (*verification).settled},
	{"chain", (*verification).chain},
	{"usage", (*verification).usages},
	{"depth", (*verification).depth},
	{"name", (*verification).name},
	{"pin", (*verification).pin},
	{"revocation", (*verification).revocation},
}

// Verify judges a chain that a peer in the role as has presented, leaf first, by p at this moment. The error is a *Refusal.
func (p *Policy) Verify(certs []*x509.Certificate, as Role) (Verified, error) {
	return p.verify(&verification{role: as, certs: certs})
}

// VerifyConn judges a connection: what its handshake settled, and the chain. It is what VerifyConnection calls in both
// roles, also for resumed sessions.
func (p *Policy) VerifyConn(st tls.ConnectionState, as Role) (Verified, error) {
	return p.verify(&verification{role: as, certs: st.PeerCertificates, state: &st})
}

// ReviewConn is VerifyConn for a live connection: nothing is waited for, no answer that is on its way is held against
// the peer, and neither is what was stapled in its time.
func (p *Policy) ReviewConn(st tls.ConnectionState, as Role) (Verified, error) {
	return p.verify(&verification{role: as, certs: st.PeerCertificates, state: &st, review: true})
}

func (p *Policy) verify(v *verification) (Verified, error) {
	v.Policy, v.now, v.review = p, time.Now(), v.review || p.foresee
	certs := v.certs
	if len(certs) == 0 {
		return Verified{}, v.words(nil).refusal(NoClientCertificate, nil)
	}
	for _, c := range checks {
		if r := c.check(v); r != nil {
			return Verified{}, r
		}
	}
	return Verified{Chain: v.chains[0], Names: domaincert.Names(v.certs[0]), Matched: v.match, Notes: append(v.notes(), v.revocationNotes()...), Unrevoked: v.unrevoked}, nil
}

// Fingerprint is equal for policies that accept the same connections: same anchors, names and rules.
func (p *Policy) Fingerprint() string {
	return fingerprint(p.Anchors.sum, strconv.FormatBool(p.AnyName), strings.Join(p.Names, "\x00"), fmt.Sprint(p.Pins), rulesPrint(p.Rules))
}

// rulesPrint is equal for rules that say the same, whatever their name and place.
func rulesPrint(r config.Policy) string {
	r.Name, r.Place = "", config.Place{}
	return fmt.Sprintf("%+v", r)
}

func fingerprint(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil)[:12])
}

func (v *verification) words(c *x509.Certificate) words {
	w := words{cert: c, who: v.Who, trust: v.Anchors.name, anchors: v.Anchors.subjects(), role: v.role.String()}
	if v.AnyName { // a listener's, where who it is has yet to be found out
		w.who, w.listener = "", v.Who
	}
	return w
}
