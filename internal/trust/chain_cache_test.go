package trust

import (
	"crypto/x509"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/testca"
)

func policyOf(t testing.TB, anchors ...*x509.Certificate) *Policy {
	t.Helper()
	a, err := NewAnchors(`"lab"`, anchors, false)
	if err != nil {
		t.Fatal(err)
	}
	return &Policy{Who: `peer "acme"`, Anchors: a, Names: []string{"acme.example"}, Rules: new(config.Config).PolicyOf("")}
}

// A chain that was believed once is judged by the clock each time, whichever of its certificates ends.
func TestChainThatIsRememberedStillExpires(t *testing.T) {
	short := testca.Valid(-time.Hour, time.Hour)
	for name, mint := range map[string]func() (*testca.CA, *testca.Leaf){
		"leaf": func() (*testca.CA, *testca.Leaf) {
			root := testca.New("Lab Root")
			return root, root.Leaf("acme.example", testca.DNS("acme.example"), short)
		},
		"intermediate": func() (*testca.CA, *testca.Leaf) {
			root := testca.New("Lab Root")
			return root, root.Intermediate("Lab Issuer", short).Leaf("acme.example", testca.DNS("acme.example"))
		},
		"anchor": func() (*testca.CA, *testca.Leaf) {
			root := testca.New("Lab Root", short)
			return root, root.Leaf("acme.example", testca.DNS("acme.example"))
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			root, leaf := mint()
			p := policyOf(t, root.Cert)
			for range 2 {
				if _, err := p.Verify(leaf.Chain, Server); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
			}
			time.Sleep(2 * time.Hour)
			_, err := p.Verify(leaf.Chain, Server)
			if r, ok := errors.AsType[*Refusal](err); !ok || r.Code != Expired {
				t.Errorf("%s: got %v two hours later, want it refused as expired", name, err)
			}
		})
	}
}

// What is remembered belongs to what was presented and to the anchors it led to.
func TestRememberedChainBelongsToWhatWasShown(t *testing.T) {
	root, other := testca.New("Lab Root"), testca.New("Lab Root")
	leaf := root.Intermediate("Lab Issuer").Leaf("acme.example", testca.DNS("acme.example"))
	p := policyOf(t, root.Cert)
	if _, err := p.Verify(leaf.Chain, Server); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Verify(leaf.Alone().Chain, Server); err == nil {
		t.Error("a chain without its intermediate was accepted after the whole one")
	}
	if _, err := policyOf(t, other.Cert).Verify(leaf.Chain, Server); err == nil {
		t.Error("another CA of the same name accepted the chain")
	}
	if v, err := p.Verify(leaf.Chain, Server); err != nil || len(v.Chain) != 3 {
		t.Errorf("the whole chain: %v, %d certificates", err, len(v.Chain))
	}
}

func TestChainsRememberedAreBounded(t *testing.T) {
	var c chainCache
	for i := range 2 * mostChains {
		c.put([32]byte{byte(i), byte(i >> 8)}, [][]*x509.Certificate{{}})
	}
	if n := len(c.chains); n != mostChains {
		t.Errorf("%d chains are remembered, want %d", n, mostChains)
	}
}

// A failure is not remembered: whoever is refused does not fill the memory.
func TestRefusedChainsAreNotRemembered(t *testing.T) {
	p := policyOf(t, testca.New("Lab Root").Cert)
	for i := range 10 {
		if _, err := p.Verify(testca.New("Rogue").Leaf(fmt.Sprint("x", i), testca.DNS("acme.example")).Chain, Server); err == nil {
			t.Fatal("accepted")
		}
	}
	if n := len(p.Anchors.built.chains); n != 0 {
		t.Errorf("%d chains are remembered", n)
	}
}

// BenchmarkVerify is what a connection of a known peer costs the listener and the peer's policy together.
func BenchmarkVerify(b *testing.B) {
	root := testca.New("Lab Root")
	leaf := root.Leaf("acme.example", testca.DNS("acme.example"))
	p := policyOf(b, root.Cert)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Verify(leaf.Chain, Client); err != nil {
			b.Fatal(err)
		}
	}
}
