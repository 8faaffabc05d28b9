package trust

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-sip/sallyport/internal/revocation"
	"github.com/sallyport-sip/sallyport/sip/domaincert"
)

// peerRefusal quotes the peer's alert, and then says what on our side can be behind it. A cause is listed only with its
// evidence; when there is none, the verdict says so.
func peerRefusal(a alert, we Role, f Facts) []Verdict {
	found := causes(a, we, f)
	v := Verdict{By: byPeer, KnownBy: ByAlert, Code: a.code}
	v.Reason, v.Remedy = words{detail: fmt.Sprintf("%d %s", a.number, a.name)}.say(PeerAlert)
	if a.means != "" {
		v.Reason += ": " + a.means
	}
	if a.code != PeerAlert {
		w := words{ours: true}
		if len(f.Presented) > 0 {
			w.cert = f.Presented[0]
		}
		if _, remedy := w.say(a.code); remedy != "" {
			v.Remedy = remedy
		}
	}
	if a.often != "" {
		v.Reason += " (" + a.often + ")"
	}
	if len(found) == 0 && (a.code == PeerAlert || a.aboutCertificates()) && (a.causes == nil || len(a.causes) > 0) {
		v.Reason += "; none of our own checks explains it"
	}
	return append([]Verdict{v}, found...)
}

// search looks for causes on our side.
type search struct {
	alert alert
	we    Role
	Facts
	found []Verdict
}

// add enters a cause with its evidence, once, when it can be behind the alert.
func (s *search) add(code Code, w words) {
	if s.alert.causes != nil && !slices.Contains(s.alert.causes, code) ||
		slices.ContainsFunc(s.found, func(v Verdict) bool { return v.Code == code && w.cert == nil }) {
		return
	}
	w.ours, w.role = true, s.we.String()
	v := Verdict{By: byPeer, KnownBy: Inferred, Code: code}
	v.Reason, v.Remedy = w.say(code)
	s.found = append(s.found, v)
}

// causes runs our own certificate and our offer through our own checks, in the order of likelihood, and returns what applies. What
// comes before the server has chosen anything is about the offer, what comes later about certificates.
func causes(a alert, we Role, f Facts) []Verdict {
	s := &search{alert: a, we: we, Facts: f}
	if we == Client && f.Wire.beforeHello() {
		s.offer()
		return s.found
	}
	if len(f.Presented) == 0 {
		if we == Client && f.Asked {
			s.add(NoClientCertificate, words{})
		}
		return s.found
	}
	s.certificate()
	s.clock()
	return s.found
}

// certificate tries what we showed.
func (s *search) certificate() {
	leaf := s.Presented[0]
	for _, c := range s.Presented {
		if code := lifetime(c, time.Now()); code != "" {
			s.add(code, words{cert: c})
		}
	}
	if !allows(leaf, s.we) {
		s.add(WrongUsage, words{cert: leaf, detail: strings.Join(UsageNames(leaf), ", ")})
	}
	s.revoked()
	s.name()
	schemes := s.Wire.RequestedSchemes
	if s.we == Server && s.Wire.Offer != nil {
		schemes = s.Wire.Offer.Schemes
	}
	if !fits(s.Presented, schemes) {
		s.add(NoCommonSignature, words{detail: ": our key is " + keyKind(s.Presented) + ", and it takes " + some(schemes)})
	}
	s.chain()
	s.path()
}

// revoked tries the CRLs that we judge the peer by: a CA that both sides trust lists our certificates in the same one.
func (s *search) revoked() {
	a := s.Wire.Side.Anchors
	if a == nil {
		return
	}
	issuers := slices.Concat(s.Presented, s.Wire.Side.Known, a.certs)
	for _, c := range s.Presented {
		issuer := signerOf(c, issuers)
		if issuer == nil || selfSigned(c) {
			continue
		}
		if answer := a.crls.Ask(c, issuer, time.Now()); answer.Status == revocation.Revoked {
			s.add(Revoked, words{cert: c, detail: whenRevoked(answer)})
		}
	}
}

// path follows our chain as far as we showed it, with the constraints of its CAs (RFC 5280 §6.1): no peer can take what they forbid.
func (s *search) path() {
	last := len(s.Presented) - 1
	if last < 1 {
		return
	}
	opts := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: time.Now(),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	opts.Roots.AddCert(s.Presented[last])
	for _, c := range s.Presented[1:last] {
		opts.Intermediates.AddCert(c)
	}
	_, err := s.Presented[0].Verify(opts)
	if detail, broken := constraint(err); broken {
		s.add(NameConstraint, words{cert: s.Presented[0], detail: detail})
	}
}

// name tries the name that a client asked for.
func (s *search) name() {
	if s.we != Server || s.ServerName == "" {
		return
	}
	leaf := s.Presented[0]
	if _, err := domaincert.Match(leaf, []string{s.ServerName}, domaincert.Options{}); err != nil {
		s.add(nearly(NameMismatch, err), words{cert: leaf, detail: "the peer asked for " + printable(s.ServerName) + ": our " + err.Error()})
	}
}

// chain tries whether the peer could follow our chain to a CA that it has named.
func (s *search) chain() {
	last := s.Presented[len(s.Presented)-1]
	if selfSigned(s.Presented[0]) {
		s.add(SelfSignedCert, words{cert: s.Presented[0]})
		return
	}
	missing := signerOf(last, s.Wire.Side.Known)
	if missing != nil && selfSigned(missing) {
		missing = nil
	}
	if missing != nil {
		s.add(MissingIntermediate, words{cert: last})
	}
	if s.we == Client && len(s.AcceptableCAs) > 0 {
		if missing == nil && !acceptable(s.Facts) {
			s.add(UnknownCA, words{cert: s.Presented[0]})
		}
		return
	}
	if s.alert.code == UnknownCA && missing == nil {
		s.add(UnknownCA, words{cert: s.Presented[0], trusted: "of which the peer names none, so it may not have it"})
	}
}

// clock tries the peer's word that our certificate is out of its time, when by our clock it is not.
func (s *search) clock() {
	if s.alert.code != Expired || slices.ContainsFunc(s.found, func(v Verdict) bool { return v.Code == Expired || v.Code == NotYetValid }) {
		return
	}
	leaf := s.Presented[0]
	s.add(ClockWrong, words{detail: fmt.Sprintf("here it is %s, and our certificate %s is valid from %s until %s",
		minute(time.Now()), Subject(leaf), minute(leaf.NotBefore), minute(leaf.NotAfter))})
}

// offer tries what we offered: the peer ended the handshake before it had chosen anything.
func (s *search) offer() {
	o, c := s.Wire.Offer, s.Wire.Side.Config
	offered := func(what string) words { return words{detail: ": we offered " + what + ", and the peer chose nothing"} }
	versions := offered("TLS " + some(o.Versions))
	if s.alert.number == 0 { // not a word: who speaks TLS has alerts for all that follows
		s.add(TLSOnPlain, words{detail: ": our ClientHello was answered with nothing of TLS"})
	}
	if len(o.Versions) == 1 {
		s.add(NoCommonVersion, versions)
	}
	if c != nil && len(c.CurvePreferences) > 0 {
		s.add(NoCommonGroup, offered(some(o.Groups)))
	}
	if c != nil && len(c.CipherSuites) > 0 {
		s.add(NoCommonSuite, offered(some(o.Suites)))
	}
	if len(o.ALPN) > 0 {
		s.add(ALPNMismatch, offered(strings.Join(o.ALPN, ", ")))
	}
	s.add(NoCommonSuite, offered(some(o.Suites)))
	s.add(NoCommonGroup, offered(some(o.Groups)))
	s.add(NoCommonVersion, versions)
	if s.Wire.SNI != "" {
		s.add(UnrecognizedName, words{detail: ": we asked for " + printable(s.Wire.SNI)})
	}
}

// acceptable reports whether the peer named a CA that signed one of the certificates we showed.
func acceptable(f Facts) bool {
	for _, c := range f.Presented {
		for _, ca := range f.AcceptableCAs {
			if bytes.Equal(c.RawIssuer, ca) {
				return true
			}
		}
	}
	return false
}
