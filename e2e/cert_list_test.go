//go:build unix

package e2e

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// peersCertificates is what "cert list" says of peers: name and fingerprint, by name.
func (s *site) peersCertificates(t *testing.T) (all []string) {
	t.Helper()
	var doc struct {
		Certificates []struct{ Kind, Name, SHA256 string }
	}
	if err := json.Unmarshal([]byte(sallyport(t, s.dir, "cert", "list", "--json")), &doc); err != nil {
		t.Fatal(err)
	}
	for _, c := range doc.Certificates {
		if c.Kind == "peer" {
			all = append(all, c.Name+" "+c.SHA256)
		}
	}
	slices.Sort(all)
	return all
}

// What peers have shown is listed by the gateway that is started after it, before any of them comes again, for as long
// as they are its peers and use TLS.
func TestPeersCertificatesAreRemembered(t *testing.T) {
	t.Parallel()
	s := newSite(t, "127.0.0.1", "1.3", "1.2", "ca")
	if got := s.peersCertificates(t); got != nil {
		t.Errorf("at first: %q", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), sitePatience)
	defer cancel()
	ours, theirs := s.talk(ctx, t)
	if err := ours.Bye(ctx); err != nil {
		t.Error(err)
	}
	wantOver(ctx, t, theirs)
	shown := s.peersCertificates(t)
	if len(shown) != 2 || !strings.HasPrefix(shown[0], "answerer ") || !strings.HasPrefix(shown[1], "caller ") {
		t.Fatalf("after a call: %q", shown)
	}
	s.gateway.terminate(t)
	s.gateway = startServe(t, s.dir, s.config)
	if got := s.peersCertificates(t); !slices.Equal(got, shown) {
		t.Errorf("after a restart: %q, want %q", got, shown)
	}
	s.gateway.terminate(t)
	s.gateway = startServe(t, s.dir, strings.NewReplacer("answerer:", "other:", "[answerer]", "[other]", "transport=tls\", certificate_names: [caller.example]", "transport=udp\"").Replace(s.config))
	if got := s.peersCertificates(t); got != nil {
		t.Errorf("with other peers: %q", got)
	}
	s.gateway.terminate(t)
}
