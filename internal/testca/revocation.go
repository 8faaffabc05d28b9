package testca

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"sync"
	"time"

	"golang.org/x/crypto/ocsp"
)

// Responders adds addresses of OCSP responders (authority information access, RFC 5280 §4.2.2.1).
func Responders(urls ...string) Option {
	return Template(func(c *x509.Certificate) { c.OCSPServer = append(c.OCSPServer, urls...) })
}

// MustStaple adds the TLS feature extension with status_request (RFC 7633).
func MustStaple() Option {
	return Template(func(c *x509.Certificate) {
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{
			Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24}, Value: must(asn1.Marshal([]int{5})),
		})
	})
}

// CRL signs a list of revoked certificates in DER form. It is good from an hour ago until in a day, and its number grows
// with the time; change may alter all that before it is signed.
func (c *CA) CRL(change func(*x509.RevocationList), revoked ...*x509.Certificate) []byte {
	now := time.Now()
	list := &x509.RevocationList{Number: big.NewInt(now.UnixNano()), ThisUpdate: now.Add(-time.Hour), NextUpdate: now.Add(24 * time.Hour)}
	for _, r := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: r.SerialNumber, RevocationTime: now.Add(-2 * time.Hour), ReasonCode: 1})
	}
	if change != nil {
		change(list)
	}
	return must(x509.CreateRevocationList(rand.Reader, list, c.Cert, c.Key))
}

// CRLPEM puts a list into PEM form.
func CRLPEM(der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}) }

// OCSP signs an answer about cert: good from a minute ago until in an hour; change may alter it before it is signed. by
// is who signs, c itself when it is nil.
func (c *CA) OCSP(cert *x509.Certificate, by *Leaf, change func(*ocsp.Response)) []byte {
	now := time.Now()
	r := ocsp.Response{Status: ocsp.Good, SerialNumber: cert.SerialNumber, ThisUpdate: now.Add(-time.Minute), NextUpdate: now.Add(time.Hour)}
	responder, key := c.Cert, c.Key
	if by != nil {
		r.Certificate, responder, key = by.Cert(), by.Cert(), by.Key
	}
	if change != nil {
		change(&r)
	}
	return must(ocsp.CreateResponse(c.Cert, responder, r, key))
}

// RevokedAnswer makes an answer say that the certificate was revoked an hour ago because its key was stolen.
func RevokedAnswer(r *ocsp.Response) {
	r.Status, r.RevokedAt, r.RevocationReason = ocsp.Revoked, time.Now().Add(-time.Hour), ocsp.KeyCompromise
}

// Responder is an OCSP responder for what one CA has signed. Its zero value, with a CA, says that all is good.
type Responder struct {
	CA *CA
	By *Leaf // who signs; nil: the CA

	mu      sync.Mutex
	revoked map[string]bool // guarded by mu, as what follows
	asked   int
	serve   http.HandlerFunc
	change  func(*ocsp.Response)
}

// Revoke has the responder say from now on that cert was revoked.
func (r *Responder) Revoke(cert *x509.Certificate) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.revoked == nil {
		r.revoked = make(map[string]bool)
	}
	r.revoked[string(cert.SerialNumber.Bytes())] = true
}

// Serve has another handler answer from now on, one that lies, is slow or talks for ever; nil: the responder itself.
func (r *Responder) Serve(h http.HandlerFunc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.serve = h
}

// Change alters the answers from now on before they are signed.
func (r *Responder) Change(change func(*ocsp.Response)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.change = change
}

// Asked returns how often the responder was asked.
func (r *Responder) Asked() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked
}

// ServeHTTP answers one request (RFC 6960 appendix A.1, with POST).
func (r *Responder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(req.Body, 64<<10))
	r.mu.Lock()
	r.asked++
	serve, change := r.serve, r.change
	q, err := ocsp.ParseRequest(body)
	revoked := err == nil && r.revoked[string(q.SerialNumber.Bytes())]
	r.mu.Unlock()
	switch {
	case serve != nil:
		serve(w, req)
		return
	case err != nil || req.Method != http.MethodPost:
		http.Error(w, "no OCSP request", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/ocsp-response")
	w.Write(r.CA.OCSP(&x509.Certificate{SerialNumber: q.SerialNumber}, r.By, func(a *ocsp.Response) {
		if revoked {
			RevokedAnswer(a)
		}
		if change != nil {
			change(a)
		}
	}))
}

// DeltaOf is the extension that makes a CRL a delta of the one with this number (RFC 5280 §5.2.4).
func DeltaOf(number int64) pkix.Extension {
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 27}, Critical: true, Value: must(asn1.Marshal(big.NewInt(number)))}
}

// IssuingPoint is the extension issuingDistributionPoint with these fields in DER (RFC 5280 §5.2.5).
func IssuingPoint(fields ...byte) pkix.Extension {
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: append([]byte{0x30, byte(len(fields))}, fields...)}
}
