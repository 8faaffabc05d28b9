// Package revocation finds out whether a CA has taken back a certificate: from lists (CRL, RFC 5280 §5) that lie in
// files, and from answers of an OCSP responder (RFC 6960), which the peer has stapled to its handshake or which are
// asked for over HTTP.
//
// Its main types are Lists, an immutable set of CRLs, and Checker, which keeps the answers of responders, asks for
// those that are wanted and renews them before they end. Reading starts at Checker.Ask. What an unknown status means is
// not decided here but by the policy, in internal/trust.
//
// A Checker starts no goroutine of its own accord: Run works until its context ends and waits for all that it has
// started. Everything that a responder sends is bounded in size and time, and no answer counts whose signature, name
// and time were not verified (ocsp.go).
//
// Not supported: delta CRLs, indirect CRLs and CRLs for some reasons only, which are refused in so many words; fetching
// of CRLs; nonces (RFC 9654), since fresh answers are told by their times; the revocation of a responder's own
// certificate.
package revocation

import "time"

// Status is what is known of a certificate.
type Status uint8

// The zero value is Unknown. Of two answers the greater counts: a revocation before everything.
const (
	Unknown Status = iota // nobody has said anything that counts
	Good
	Revoked
)

// String returns the word.
func (s Status) String() string { return [...]string{"unknown", "good", "revoked"}[s] }

// Answer is what one source says of one certificate.
type Answer struct {
	Status Status
	Source string // who says so, for example `the CRL in "ca.crl"`; empty when nobody was there to ask
	Why    string // of Unknown: why nothing is known, in words
	// Pending says of Unknown that an answer is on its way.
	Pending bool

	RevokedAt time.Time // of Revoked
	Reason    string    // of Revoked, in the words of RFC 5280 §5.3.1; empty: unspecified

	ThisUpdate, NextUpdate time.Time // within which the answer counts; zero for Unknown
}

// skew is by how much the clock of a CA may be ahead of ours.
const skew = 5 * time.Minute

// reasons are the words for CRLReason (RFC 5280 §5.3.1).
var reasons = map[int]string{
	1: "key compromise", 2: "CA compromise", 3: "affiliation changed", 4: "superseded", 5: "cessation of operation",
	6: "certificate hold", 9: "privilege withdrawn", 10: "AA compromise",
}
