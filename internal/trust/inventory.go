package trust

import (
	"crypto/x509"
	"slices"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/revocation"
)

// Listed is a certificate, or a CRL, in one of the files that a configuration names.
type Listed struct {
	Identity string // whose chain it is in; empty: it is in a trust
	Trust    string
	File     string
	Cert     *x509.Certificate // nil for a CRL
	CRL      *revocation.CRL
}

// Inventory returns what is in the files of the identities and trusts that cfg names, also what is out of its time, and
// the problems that Load has with them. What cannot be read is only among the problems.
func (o Options) Inventory(cfg *config.Config) ([]Listed, []config.Problem) {
	l := &loader{Options: o, cfg: cfg, anchors: map[string]*Anchors{}, pending: map[string][]string{}, set: &Set{identities: map[string]*Identity{}}}
	l.loadFiles()
	config.SortProblems(l.problems)
	return l.set.listed, l.problems
}

// Listed returns what is in the files that the set was loaded from. It must not be changed.
func (s *Set) Listed() []Listed { return s.listed }

// loadFiles reads the files of all identities and trusts.
func (l *loader) loadFiles() {
	for i := range l.cfg.Identities {
		in := &l.cfg.Identities[i]
		id, problems := l.loadIdentity(l.cfg, in)
		if in.Automatic() && (id == nil || len(problems) > 0) {
			l.pending[in.Name] = in.ACME.Domains // a new one is on its way, whatever is wrong with what is there
			continue
		}
		l.set.identities[in.Name] = id
		l.problems = append(l.problems, problems...)
		if id != nil {
			for _, c := range id.Chain {
				l.set.listed = append(l.set.listed, Listed{Identity: in.Name, File: in.Certificate, Cert: c})
			}
		}
	}
	for i := range l.cfg.Trust {
		l.loadTrust(&l.cfg.Trust[i])
	}
}

// listTrust notes what a file of a trust holds, each certificate once.
func (l *loader) listTrust(name, file string, certs []*x509.Certificate) {
	for _, c := range certs {
		if !slices.ContainsFunc(l.set.listed, func(x Listed) bool { return x.Trust == name && x.Cert != nil && x.Cert.Equal(c) }) {
			l.set.listed = append(l.set.listed, Listed{Trust: name, File: file, Cert: c})
		}
	}
}

// Printable makes a name that came from the network or a file fit for a terminal and a log.
func Printable(s string) string { return printable(s) }
