package peer

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-sip/sallyport/internal/config"
)

// Check says of random files what a look at every pair says.
func TestNeighboursMissNobody(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	found := 0
	for range 50 {
		var b strings.Builder
		b.WriteString("listeners: {u: {listen: \"udp:127.0.0.1:5060\"}, t: {listen: \"tls:127.0.0.1:5061\", client_certificates: optional}}\npolicies: {w: {wildcards: true}}\npeers:\n")
		for i := range 12 {
			switch r.IntN(4) {
			case 0:
				fmt.Fprintf(&b, "  p%d: {uri: \"sip:x.example;transport=tls\", certificate_names: [%s]%s%s}\n", i,
					[]string{"a.example", "A.Example.", "b.example", "192.0.2.1", "192.0.2.2", "a.b.example", "C.b.example.", "d.a.b.example"}[r.IntN(8)],
					[]string{"", ", policy: w"}[r.IntN(2)],
					[]string{"", ", pins: [" + strings.Repeat("ab", 32) + "]", ", pins: [" + strings.Repeat("cd", 32) + "]"}[r.IntN(3)])
			case 1:
				fmt.Fprintf(&b, "  p%d: {uri: \"sip:192.0.2.%d:506%d\"}\n", i, r.IntN(4), r.IntN(2))
			case 2:
				fmt.Fprintf(&b, "  p%d: {uri: \"sip:y.example\", accept_from: [\"%s\"]}\n", i,
					[]string{"192.0.2.0/24", "192.0.2.0/31", "10.0.0.0/8", "0.0.0.0/0", "2001:db8::/32"}[r.IntN(5)])
			default:
				fmt.Fprintf(&b, "  p%d: {uri: \"sip:[2001:db8::%d]\"}\n", i, r.IntN(4))
			}
		}
		cfg, _ := config.Parse("peers.yaml", []byte(b.String()))
		var want []config.Problem
		for i := range cfg.Peers {
			for j := range cfg.Peers[:i] {
				if p, ok := ambiguous(cfg, &cfg.Peers[j], &cfg.Peers[i]); ok {
					want = append(want, p)
				}
			}
		}
		config.SortProblems(want)
		found += len(want)
		if got := Check(cfg); !slices.Equal(got, want) {
			t.Fatalf("%s\ngot %v\nwant %v", b.String(), got, want)
		}
	}
	if found < 100 {
		t.Errorf("only %d problems: the files are too good", found)
	}
}
