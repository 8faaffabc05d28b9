package trust_test

import (
	"crypto/x509"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-sip/sallyport/internal/testca"
)

// An identity in a role that its usage forbids is told of, whichever role it is, and nothing is refused for it: it is the
// other side that judges.
func TestUsageOfOurOwnIdentities(t *testing.T) {
	t.Parallel()
	const (
		asServer = `identity "gateway" is not for servers, and is shown by listener "outside"`
		asClient = `identity "gateway" is not for clients, and is what we show when we call "acme"`
	)
	for _, tt := range []struct {
		name  string
		usage testca.Option
		want  []string
	}{
		{"both", testca.Usages(x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth), nil},
		{"none", testca.Usages(), nil},
		{"any", testca.Usages(x509.ExtKeyUsageAny), nil},
		{"SIP domain", testca.UsageOID(testca.SIPDomain), nil},
		{"server", testca.Usages(x509.ExtKeyUsageServerAuth), []string{asClient}},
		{"client", testca.Usages(x509.ExtKeyUsageClientAuth), []string{asServer}},
		{"mail", testca.Usages(x509.ExtKeyUsageEmailProtection), []string{asServer, asClient}},
	} {
		w := newWorld(t)
		w.identity(w.root.Leaf("gw.example", tt.usage))
		if got := notesOf(w); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
	// A further identity of the listener is looked at too, and one for clients satisfies the peers.
	w := newWorld(t)
	w.identity(w.root.Leaf("gw.example", testca.Usages(x509.ExtKeyUsageServerAuth)))
	w.further("caller", w.root.Leaf("caller.example", testca.Usages(x509.ExtKeyUsageClientAuth)))
	w.cfg.Peers[0].Identity = "caller"
	if got := notesOf(w); len(got) != 1 || !strings.Contains(got[0], `"caller" is not for servers`) {
		t.Errorf("a further identity for clients: %q", got)
	}
	w.cfg.Listeners[0].Identities = nil
	if got := notesOf(w); len(got) != 0 {
		t.Errorf("each in its role: %q", got)
	}
}

func notesOf(w *world) (what []string) {
	w.t.Helper()
	for _, n := range w.load().Notes(w.cfg) {
		what = append(what, n.What)
	}
	return what
}
