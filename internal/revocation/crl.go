package revocation

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"sync"
	"time"
)

// CRL is one list of revoked certificates. It is immutable but for what it remembers of who has signed it.
type CRL struct {
	File       string // that it came from, as texts name it
	Issuer     pkix.Name
	Number     *big.Int // nil: it has none
	ThisUpdate time.Time
	NextUpdate time.Time
	Entries    int // how many certificates it lists

	list    *x509.RevocationList // without its entries
	revoked map[string]revoked   // by the bytes of the serial number
	scope   scope

	mu     sync.Mutex
	signed map[[sha256.Size]byte]bool // guarded by mu: by certificate of an issuer, whether it signed the list
}

type revoked struct {
	at     time.Time
	reason int
}

// scope is of which certificates of its issuer a list speaks (RFC 5280 §5.2.5).
type scope struct {
	users, authorities bool     // of one kind only
	points             [][]byte // distribution points, GeneralName in DER; none: all
}

var (
	oidIssuingPoint  = asn1.ObjectIdentifier{2, 5, 29, 28}
	oidDelta         = asn1.ObjectIdentifier{2, 5, 29, 27}
	oidReasonCode    = asn1.ObjectIdentifier{2, 5, 29, 21}
	oidPoints        = asn1.ObjectIdentifier{2, 5, 29, 31}
	oidAuthorityKey  = asn1.ObjectIdentifier{2, 5, 29, 35}
	oidNumber        = asn1.ObjectIdentifier{2, 5, 29, 20}
	errSomeReasons   = errors.New("it is a CRL for some reasons only, which is not supported: name the complete CRL")
	errIndirect      = errors.New("it is an indirect CRL, which is not supported: name the CRL that the CA itself has signed")
	errDelta         = errors.New("it is a delta CRL, which is not supported: name the complete CRL")
	errAttributes    = errors.New("it is a CRL of attribute certificates: name the CRL of the CA's certificates")
	errNoNextUpdate  = errors.New("it does not say when the next one is due (nextUpdate), as RFC 5280 demands: have the CA issue it again")
	errRelativePoint = errors.New("its distribution point is relative to its issuer, which is not supported: name the complete CRL")
)

// ParseCRLs reads all CRLs of a file, in PEM or DER form, of which there is at least one. It says what is wrong in
// words for a person; that a list is stale is no error.
func ParseCRLs(file string, data []byte) ([]*CRL, error) {
	var all []*CRL
	add := func(der []byte) error {
		c, err := parseCRL(der)
		if err != nil {
			return err
		}
		c.File = file
		all = append(all, c)
		return nil
	}
	if !bytes.Contains(data, []byte("-----BEGIN ")) {
		if err := add(data); err != nil {
			return nil, err
		}
		return all, nil
	}
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "X509 CRL" {
			continue
		}
		if err := add(block.Bytes); err != nil {
			return nil, err
		}
	}
	if len(all) == 0 {
		return nil, errors.New("it holds no CRL: name a file with a block X509 CRL, or a CRL in DER form")
	}
	return all, nil
}

func parseCRL(der []byte) (*CRL, error) {
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		return nil, fmt.Errorf("it is no CRL: %w", err)
	}
	c := &CRL{Issuer: list.Issuer, Number: list.Number, ThisUpdate: list.ThisUpdate, NextUpdate: list.NextUpdate, Entries: len(list.RevokedCertificateEntries),
		list: list, revoked: make(map[string]revoked, len(list.RevokedCertificateEntries)), signed: make(map[[sha256.Size]byte]bool)}
	if c.NextUpdate.IsZero() {
		return nil, errNoNextUpdate
	}
	for _, e := range list.Extensions {
		switch {
		case e.Id.Equal(oidDelta):
			return nil, errDelta
		case e.Id.Equal(oidIssuingPoint):
			if c.scope, err = parseScope(e.Value); err != nil {
				return nil, err
			}
		case e.Id.Equal(oidAuthorityKey), e.Id.Equal(oidNumber):
		case e.Critical: // "If a CRL contains a critical extension that the application cannot process, then the application MUST NOT use that CRL" RFC 5280 §5.2
			return nil, fmt.Errorf("it has a critical extension that is not understood here (%v)", e.Id)
		}
	}
	for _, e := range list.RevokedCertificateEntries {
		for _, x := range e.Extensions {
			if x.Critical && !x.Id.Equal(oidReasonCode) { // such as certificateIssuer of an indirect CRL
				return nil, fmt.Errorf("an entry of it has a critical extension that is not understood here (%v)", x.Id)
			}
		}
		c.revoked[string(e.SerialNumber.Bytes())] = revoked{e.RevocationTime, e.ReasonCode}
	}
	list.RevokedCertificateEntries = nil
	return c, nil
}

// issuingPoint is IssuingDistributionPoint, RFC 5280 §5.2.5.
type issuingPoint struct {
	Point       asn1.RawValue  `asn1:"optional,tag:0"`
	Users       bool           `asn1:"optional,tag:1"`
	Authorities bool           `asn1:"optional,tag:2"`
	Reasons     asn1.BitString `asn1:"optional,tag:3"`
	Indirect    bool           `asn1:"optional,tag:4"`
	Attributes  bool           `asn1:"optional,tag:5"`
}

func parseScope(der []byte) (scope, error) {
	var p issuingPoint
	if rest, err := asn1.Unmarshal(der, &p); err != nil || len(rest) > 0 {
		return scope{}, errors.New("its extension issuingDistributionPoint is malformed")
	}
	switch {
	case p.Indirect:
		return scope{}, errIndirect
	case p.Attributes:
		return scope{}, errAttributes
	case p.Reasons.BitLength > 0:
		return scope{}, errSomeReasons
	}
	s := scope{users: p.Users, authorities: p.Authorities}
	if len(p.Point.Bytes) == 0 {
		return s, nil
	}
	var err error
	if s.points, err = pointNames(p.Point.Bytes); err == nil && len(s.points) == 0 {
		err = errRelativePoint
	}
	return s, err
}

// pointNames returns the names of a DistributionPointName as they are in DER; none when it is relative to its issuer.
func pointNames(der []byte) ([][]byte, error) {
	var full asn1.RawValue
	if rest, err := asn1.Unmarshal(der, &full); err != nil || len(rest) > 0 {
		return nil, errors.New("its distribution point is malformed")
	}
	if full.Tag != 0 {
		return nil, nil
	}
	var names [][]byte
	for rest := full.Bytes; len(rest) > 0; {
		var name asn1.RawValue
		var err error
		if rest, err = asn1.Unmarshal(rest, &name); err != nil {
			return nil, errors.New("its distribution point is malformed")
		}
		names = append(names, name.FullBytes)
	}
	return names, nil
}

// covers says whether the list speaks of a certificate: it is of the same issuer, and in scope.
func (c *CRL) covers(cert *x509.Certificate) bool {
	switch {
	case !bytes.Equal(c.list.RawIssuer, cert.RawIssuer),
		c.scope.users && cert.IsCA, c.scope.authorities && !cert.IsCA:
		return false
	case len(c.scope.points) == 0:
		return true
	}
	for _, name := range pointsOf(cert) {
		if slices.ContainsFunc(c.scope.points, func(p []byte) bool { return bytes.Equal(p, name) }) {
			return true
		}
	}
	return false
}

// pointsOf returns the names of all distribution points of a certificate (RFC 5280 §4.2.1.13), as they are in DER.
func pointsOf(cert *x509.Certificate) (all [][]byte) {
	var points []struct {
		Point   asn1.RawValue  `asn1:"optional,tag:0"`
		Reasons asn1.BitString `asn1:"optional,tag:1"`
		Issuer  asn1.RawValue  `asn1:"optional,tag:2"`
	}
	for _, e := range cert.Extensions {
		if e.Id.Equal(oidPoints) {
			asn1.Unmarshal(e.Value, &points) // what is malformed names no point
		}
	}
	for _, p := range points {
		names, _ := pointNames(p.Point.Bytes)
		all = append(all, names...)
	}
	return all
}

// signers bounds for how many certificates of an issuer a list remembers whether they signed it.
const signers = 16

// signedBy says whether issuer's key has signed the list and may sign lists.
func (c *CRL) signedBy(issuer *x509.Certificate) bool {
	sum := sha256.Sum256(issuer.Raw)
	c.mu.Lock()
	defer c.mu.Unlock()
	ok, known := c.signed[sum]
	if !known {
		ok = c.list.CheckSignatureFrom(issuer) == nil
		if len(c.signed) < signers {
			c.signed[sum] = ok
		}
	}
	return ok
}

// Foreign returns one of authorities whose name the list has although none of them has signed it; nil when one has, or
// none has the name.
func (c *CRL) Foreign(authorities []*x509.Certificate) (named *x509.Certificate) {
	for _, a := range authorities {
		if !bytes.Equal(a.RawSubject, c.list.RawIssuer) {
			continue
		}
		if named = a; c.signedBy(a) {
			return nil
		}
	}
	return named
}

// Lists is an immutable set of CRLs.
type Lists struct {
	all      []*CRL
	byIssuer map[string][]*CRL
}

// NewLists makes a set.
func NewLists(all []*CRL) *Lists {
	l := &Lists{all: all, byIssuer: make(map[string][]*CRL)}
	for _, c := range all {
		key := string(c.list.RawIssuer)
		l.byIssuer[key] = append(l.byIssuer[key], c)
	}
	return l
}

// All returns the CRLs. The slice must not be changed.
func (l *Lists) All() []*CRL {
	if l == nil {
		return nil
	}
	return l.all
}

// Sum is equal for sets of the same lists in the same order.
func (l *Lists) Sum() []byte {
	h := sha256.New()
	for _, c := range l.All() {
		h.Write(c.list.Raw)
	}
	return h.Sum(nil)
}

// Ask says what the lists know of a certificate, which issuer has signed. The newest list that speaks of it decides. A
// stale list proves nothing but that what it names was revoked.
func (l *Lists) Ask(cert, issuer *x509.Certificate, now time.Time) Answer {
	if l == nil || len(l.all) == 0 {
		return Answer{}
	}
	var newest, foreign *CRL
	for _, c := range l.byIssuer[string(cert.RawIssuer)] {
		switch {
		case !c.covers(cert):
		case !c.signedBy(issuer):
			foreign = c
		case newest == nil || c.ThisUpdate.After(newest.ThisUpdate):
			newest = c
		}
	}
	switch {
	case newest != nil:
	case foreign != nil:
		return Answer{Why: fmt.Sprintf("the CRL in %q has the name of %s but is not signed by it", foreign.File, cert.Issuer)}
	default:
		return Answer{Why: fmt.Sprintf("there is no CRL of %s that speaks of it", cert.Issuer)}
	}
	a := Answer{Source: fmt.Sprintf("the CRL in %q", newest.File), ThisUpdate: newest.ThisUpdate, NextUpdate: newest.NextUpdate}
	r, listed := newest.revoked[string(cert.SerialNumber.Bytes())]
	switch {
	case now.Add(skew).Before(newest.ThisUpdate):
		a.Why = fmt.Sprintf("the CRL in %q is of %s, which is in the future: check the clocks", newest.File, minute(newest.ThisUpdate))
	case listed:
		a.Status, a.RevokedAt, a.Reason = Revoked, r.at, reasons[r.reason]
	case newest.Stale(now):
		a.Why = fmt.Sprintf("the CRL in %q is stale: the next one was due on %s", newest.File, minute(newest.NextUpdate))
	default:
		a.Status = Good
	}
	return a
}

// Stale says whether a newer list should have come.
func (c *CRL) Stale(now time.Time) bool { return now.After(c.NextUpdate) }

func minute(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
