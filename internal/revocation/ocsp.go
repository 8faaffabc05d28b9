package revocation

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"golang.org/x/crypto/ocsp"
)

// lasting is for how long an answer counts that does not say when the next one is due: its responder always has newer
// ones (RFC 6960 §2.4).
const lasting = time.Hour

// ParseOCSP judges what a responder has said of cert, which issuer has signed (RFC 6960 §3.2). The error says why the
// answer does not count; an answer that says "unknown" does, and is Unknown.
func ParseOCSP(der []byte, cert, issuer *x509.Certificate, now time.Time) (Answer, error) {
	if len(der) > maxAnswer {
		return Answer{}, fmt.Errorf("it is larger than %d KiB", maxAnswer>>10)
	}
	r, err := ocsp.ParseResponseForCert(der, cert, nil)
	if said, ok := errors.AsType[ocsp.ResponseError](err); ok {
		return Answer{}, fmt.Errorf("the responder says: %v", said.Status)
	}
	if err != nil {
		return Answer{}, fmt.Errorf("it cannot be read: %w", err)
	}
	if err := mayAnswer(r, issuer, now); err != nil {
		return Answer{}, err
	}
	if !isFor(r, issuer) {
		return Answer{}, errors.New("it is about a certificate of another CA")
	}
	a := Answer{ThisUpdate: r.ThisUpdate, NextUpdate: r.NextUpdate}
	if a.NextUpdate.IsZero() {
		a.NextUpdate = a.ThisUpdate.Add(lasting)
	}
	switch {
	case now.Add(skew).Before(a.ThisUpdate):
		return Answer{}, fmt.Errorf("it is of %s, which is in the future: check the clocks", minute(a.ThisUpdate))
	case now.After(a.NextUpdate):
		return Answer{}, fmt.Errorf("it is stale: it counted until %s", minute(a.NextUpdate))
	}
	switch r.Status {
	case ocsp.Good:
		a.Status = Good
	case ocsp.Revoked:
		a.Status, a.RevokedAt, a.Reason = Revoked, r.RevokedAt, reasons[r.RevocationReason]
	default:
		a.Why = "the responder does not know the certificate"
	}
	return a, nil
}

// mayAnswer verifies that the answer is signed by the issuer, or by somebody to whom it has delegated that: "MUST be
// issued directly by the CA that is identified in the request", with id-kp-OCSPSigning (RFC 6960 §4.2.2.2).
func mayAnswer(r *ocsp.Response, issuer *x509.Certificate, now time.Time) error {
	by := r.Certificate // whose signature was verified already, when there is one
	switch {
	case by == nil:
		if r.CheckSignatureFrom(issuer) != nil {
			return errors.New("it is not signed by the CA of the certificate")
		}
		return nil
	case bytes.Equal(by.RawSubjectPublicKeyInfo, issuer.RawSubjectPublicKeyInfo):
		return nil
	case !bytes.Equal(by.RawIssuer, issuer.RawSubject) || issuer.CheckSignature(by.SignatureAlgorithm, by.RawTBSCertificate, by.Signature) != nil:
		return errors.New("it is signed by somebody whom the CA of the certificate did not allow to")
	case !slices.Contains(by.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning):
		return errors.New("it is signed with a certificate that is not for signing OCSP answers")
	case now.Before(by.NotBefore) || now.After(by.NotAfter):
		return fmt.Errorf("it is signed with a certificate that is out of its time (from %s until %s)", minute(by.NotBefore), minute(by.NotAfter))
	}
	return nil
}

// certID is RFC 6960 §4.1.1.
type certID struct {
	Hash      pkix.AlgorithmIdentifier
	Name, Key []byte // of the issuer
	Serial    *big.Int
}

// isFor says whether the answer names issuer: two CAs may have given away the same serial number. Of several answers
// the first with the number counts.
func isFor(r *ocsp.Response, issuer *x509.Certificate) bool {
	var data struct {
		Version   int `asn1:"optional,default:0,explicit,tag:0"`
		Responder asn1.RawValue
		Produced  time.Time `asn1:"generalized"`
		Answers   []struct{ ID certID }
	}
	if _, err := asn1.Unmarshal(r.TBSResponseData, &data); err != nil || !r.IssuerHash.Available() {
		return false
	}
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(issuer.RawSubjectPublicKeyInfo, &info); err != nil {
		return false
	}
	for _, a := range data.Answers {
		if a.ID.Serial.Cmp(r.SerialNumber) == 0 {
			return bytes.Equal(a.ID.Name, sum(r.IssuerHash, issuer.RawSubject)) && bytes.Equal(a.ID.Key, sum(r.IssuerHash, info.Key.RightAlign()))
		}
	}
	return false
}

func sum(h crypto.Hash, b []byte) []byte {
	d := h.New()
	d.Write(b)
	return d.Sum(nil)
}

// feature is the extension id-pe-tlsfeature (RFC 7633 §4); its value 5 is status_request.
var feature = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24}

// MustStaple says whether a certificate demands that whoever shows it as a server staples an OCSP answer to the
// handshake (RFC 7633 §4.2.3).
func MustStaple(c *x509.Certificate) bool {
	for _, e := range c.Extensions {
		if e.Id.Equal(feature) {
			var values []int
			_, err := asn1.Unmarshal(e.Value, &values)
			return err == nil && slices.Contains(values, 5)
		}
	}
	return false
}
