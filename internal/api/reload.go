package api

import (
	"crypto/x509"
	"net/http"
	"strings"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/gateway"
	"github.com/sallyport-sip/sallyport/internal/trust"
)

// reload is POST /api/v1/reload: 200 when the configuration was taken, 422 when
// it has problems. With evict=true it closes the connections that the
// configuration refuses.
func (s *Server) reload(w http.ResponseWriter, r *http.Request) {
	evict := r.FormValue("evict")
	if evict != "" && evict != "true" && evict != "false" {
		http.Error(w, "evict is true or false", http.StatusBadRequest)
		return
	}
	doc := reloaded(s.gateway.ReloadWith(gateway.ReloadOptions{Evict: evict == "true", By: asker(r)}))
	w.Header().Set("Content-Type", "application/json")
	if !doc.Taken {
		w.WriteHeader(http.StatusUnprocessableEntity)
	}
	writeJSON(w, doc)
}

func reloaded(r gateway.Reload) Reloaded {
	return Reloaded{Taken: len(r.Problems) == 0, Version: r.Version, Problems: append([]config.Problem{}, r.Problems...),
		NeedsRestart: append([]string{}, r.Notes...), InUse: append([]string{}, r.InUse...), Changes: changesOf(r.Changes), Failing: failingOf(r.Failing)}
}

func changesOf(changes []trust.Change) []Change {
	list := []Change{}
	for _, c := range changes {
		list = append(list, Change{strings.ReplaceAll(c.Of, `"`, ""), certificates(c.Removed), certificates(c.Added)})
	}
	return list
}

func failingOf(all []gateway.Failing) []Failing {
	list := []Failing{}
	for _, f := range all {
		info := f.Conn.Info()
		list = append(list, Failing{Connection: info.ID, Peer: f.Conn.Identity().Peer, Remote: info.Remote.String(), Inbound: info.Inbound,
			Code: string(f.Code), Why: f.Why, Remedy: f.Remedy, Calls: append([]uint64{}, f.Calls...), Evicted: f.Evicted})
	}
	return list
}

func certificates(all []*x509.Certificate) []Certificate {
	list := []Certificate{}
	for _, c := range all {
		list = append(list, certificate(c))
	}
	return list
}

func certificate(c *x509.Certificate) Certificate {
	return Certificate{Subject: trust.Subject(c), Issuer: trust.Issuer(c), Serial: trust.Serial(c), Fingerprint: trust.CertificateFingerprint(c), Until: c.NotAfter.UTC()}
}
