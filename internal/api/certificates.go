package api

import (
	"math"
	"net/http"
	"time"

	"github.com/sallyport-sip/sallyport/internal/gateway"
)

// Endings is the document of GET /api/v1/certificates.
type Endings struct {
	Certificates []Ending `json:"certificates"` // what ends first at first
}

// Ending is a certificate, a CRL or an OCSP answer, and when it ends.
type Ending struct {
	Kind    string   `json:"kind"` // "own", "trust", "peer", "crl", "staple"
	Name    string   `json:"name"` // of the identity, trust or peer
	Subject string   `json:"subject"`
	Issuer  string   `json:"issuer"`
	From    Time     `json:"from"`
	Ends    Time     `json:"ends"`
	Days    int      `json:"days"`   // left, rounded down; negative when it has ended
	File    string   `json:"file"`   // empty: none of ours
	Used    []string `json:"used"`   // by whom: "listener NAME", "peer NAME", "admin"
	SHA256  string   `json:"sha256"` // of a certificate, hexadecimal; else empty
}

// listEndings is GET /api/v1/certificates.
func (s *Server) listEndings(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, EndingsOf(s.gateway.Endings(), time.Now()))
}

// EndingsOf makes the document of GET /api/v1/certificates.
func EndingsOf(all []gateway.Ending, now time.Time) Endings {
	doc := Endings{[]Ending{}}
	for _, e := range all {
		doc.Certificates = append(doc.Certificates, Ending{
			Kind: string(e.Kind), Name: e.Name, Subject: e.Subject, Issuer: e.Issuer, From: e.From.UTC(), Ends: e.Ends.UTC(),
			Days: int(math.Floor(e.Left(now).Hours() / 24)), File: e.File, Used: append([]string{}, e.Used...), SHA256: e.SHA256,
		})
	}
	return doc
}
