package recorder

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/testca"
	"github.com/sallyport-sip/sallyport/internal/tlswire"
)

// TestHandshakeRecord reads the record of a handshake in each role, good, refused by us and refused by the peer.
func TestHandshakeRecord(t *testing.T) {
	tests := []struct {
		name    string
		inbound bool
		refuse  string // who
		want    string // outcome, who, code, sentence
	}{
		{"in, good", true, "", `good   | phone called on listener "outside", and both sides accepted`},
		{"in, refused by us", true, "gateway", `refused gateway unknown_ca | the gateway refused 192.0.2.7:40000 on listener "outside": certificate  is signed by its issuer, which is not trusted here`},
		{"out, good", false, "", `good   | the gateway called trunk at 203.0.113.9:5061, and both sides accepted`},
		{"out, refused by us", false, "gateway", `refused gateway unknown_ca | the gateway refused trunk at 203.0.113.9:5061: certificate  is signed by its issuer, which is not trusted here`},
		{"out, refused by the peer", false, "peer", `refused peer unknown_ca | trunk refused the gateway at 203.0.113.9:5061: the peer ended the handshake with alert 48 unknown_ca: it does not know the CA of our certificate`},
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, tt := range tests {
			t.Run(tls.VersionName(version)+" "+tt.name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t, version)
					r.rec.names = func(peer string) []string { return []string{"wanted-of-" + peer} }
					if tt.refuse == "gateway" {
						r.judge = refuse
					}
					if tt.inbound {
						r.listen()
						c := tls.Client(r.callFrom("192.0.2.7:40000"), r.config("", r.peer))
						if c.Handshake() == nil {
							_, _ = io.WriteString(c, invite("a1"))
						}
						time.Sleep(time.Second)
						c.Close()
					} else {
						cfg := r.config("", r.peer)
						cfg.ClientAuth = tls.RequireAnyClientCert
						if tt.refuse == "peer" {
							cfg = demand(cfg)
						}
						stop := r.serve(cfg)
						if c, err := r.dial(); err == nil {
							_, _ = c.Send([]byte(invite("b1")), netip.AddrPort{})
							c.Flush()
						}
						time.Sleep(time.Second)
						defer stop()
					}
					synctest.Wait()
					found := r.rec.Handshakes(callflow.HandshakeFilter{})
					r.close()
					if len(found) != 1 {
						t.Fatalf("got %d records, want 1", len(found))
					}
					h := found[0]
					if got := fmt.Sprintf("%s %s %s | %s", h.Outcome, h.By, h.Code, h.Sentence); !strings.HasPrefix(got, tt.want) {
						t.Errorf("got  %s\nwant %s", got, tt.want)
					}
					if h.Failed() == (h.Remedy == "") {
						t.Errorf("outcome %s, remedy %q", h.Outcome, h.Remedy)
					}
					if h.Chosen.Version != tlswire.VersionID(version).String() || h.Chosen.Suite == "" || len(h.Offered.Suites) == 0 || len(h.Steps) < 6 ||
						h.Offered.ServerName == "" && tt.inbound || len(h.Offered.Schemes) == 0 {
						t.Errorf("offered %+v, chosen %+v, %d steps", h.Offered, h.Chosen, len(h.Steps))
					}
					if !slices.EqualFunc(h.PeerChain, r.peer.TLS().Certificate, func(a, b []byte) bool { return string(a) == string(b) }) {
						t.Errorf("the peer's chain: got %d certificates", len(h.PeerChain))
					}
					if len(h.OurChain) == 0 && tt.refuse == "" {
						t.Error("our chain is missing")
					}
					if !slices.Contains(h.NamesFound, "DNS:peer.example") {
						t.Errorf("names found: %q", h.NamesFound)
					}
					if h.Peer != "" && !slices.Equal(h.NamesWanted, []string{"wanted-of-" + h.Peer}) {
						t.Errorf("names wanted: %q", h.NamesWanted)
					}
					seen := r.rec.LastChains()
					if (len(seen) == 1) != (h.Peer != "") {
						t.Fatalf("last chains: %d, peer %q", len(seen), h.Peer)
					}
					if len(seen) == 1 && (seen[0].Peer != h.Peer || seen[0].Accepted != (tt.refuse != "gateway") || (seen[0].Role == callflow.RoleClient) != tt.inbound) {
						t.Errorf("last chain: %+v", seen[0])
					}
				})
			})
		}
	}
}

// TestFloodOfStrangers lets strangers come by the thousand, each with a certificate of its own: what peers did stays, and the memory
// keeps its bound.
func TestFloodOfStrangers(t *testing.T) {
	r := New(Config{HandshakeBytes: 256 << 10})
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	failed := func(peer, source, code string, chain string) *shake {
		s := &shake{link: &callflow.Link{Inbound: peer == "", Peer: peer, Listener: "outside"}, began: now, ended: now,
			theirs: [][]byte{[]byte(chain)}, verdicts: []callflow.Verdict{{ByGateway: true, KnownBy: callflow.OwnDecision, Code: code, Reason: "no"}}}
		if source != "" {
			s.source = netip.MustParseAddr(source)
		}
		return s
	}
	good := failed("acme", "", "", "the chain of acme")
	good.verdicts = []callflow.Verdict{{ByGateway: true, Accepted: true}, {Accepted: true}}
	r.shakes.add(good, now)
	r.shakes.add(failed("trunk", "", "expired", "the chain of trunk"), now)
	r.shakes.proved(netip.MustParseAddr("192.0.2.50"), "office")
	r.shakes.add(failed("", "192.0.2.50", "unknown_ca", "the new chain of office"), now)
	for i := range 20000 {
		now = now.Add(time.Millisecond)
		r.shakes.add(failed("", fmt.Sprintf("198.51.%d.%d", 100+i%50, i/50%250), "unknown_ca", strings.Repeat(fmt.Sprint(i), 500)), now)
	}
	n := r.HandshakeStats()
	if n.Bytes > n.Bound || n.Bound > 256<<10 || n.Dropped == 0 {
		t.Errorf("%d bytes of %d, %d dropped", n.Bytes, n.Bound, n.Dropped)
	}
	if len(r.shakes.alike) > mostSource {
		t.Errorf("%d sources are watched", len(r.shakes.alike))
	}
	for peer, want := range map[string]string{"acme": callflow.OutcomeGood, "trunk": callflow.OutcomeRefused, "office": callflow.OutcomeRefused} {
		found := r.Handshakes(callflow.HandshakeFilter{Peer: peer})
		if len(found) != 1 || found[0].Outcome != want {
			t.Errorf("%s: got %d records", peer, len(found))
		}
	}
	if one := r.Handshakes(callflow.HandshakeFilter{Failed: true, Limit: 1}); len(one) != 1 || string(one[0].PeerChain[0][:5]) != "19999" {
		t.Errorf("the newest is not there")
	}
}

// TestOneSourceIsCounted lets one source fail by the hundred: a few of its records are kept, and the last of them says how many more
// there were. Other strangers stay.
func TestOneSourceIsCounted(t *testing.T) {
	r := New(Config{HandshakeBytes: 128 << 10})
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	fail := func(source, code string) *shake {
		return r.shakes.add(&shake{source: netip.MustParseAddr(source), link: &callflow.Link{Inbound: true}, began: now, ended: now,
			verdicts: []callflow.Verdict{{ByGateway: true, KnownBy: callflow.OwnDecision, Code: code, Reason: "no"}}}, now)
	}
	fail("203.0.113.1", "expired")
	written := 0
	for i := range 500 { // all addresses of one network of IPv6
		now = now.Add(time.Millisecond)
		if fail(fmt.Sprintf("2001:db8::%x", i+1), "unknown_ca") != nil {
			written++
		}
	}
	fail("2001:db8::1", "expired") // for another reason
	all := r.Handshakes(callflow.HandshakeFilter{})
	if len(all) != 1+mostAlike+1 || written != mostAlike+9 { // 1, 2, 4 … 256
		t.Errorf("got %d records, written %d times", len(all), written)
	}
	if h := all[1]; h.Repeats != 500-mostAlike || !h.Until.Equal(now) {
		t.Errorf("repeats %d until %v", h.Repeats, h.Until)
	}
	now = now.Add(window)
	if fail("2001:db8::1", "unknown_ca"); len(r.Handshakes(callflow.HandshakeFilter{})) != len(all)+1 {
		t.Error("a minute later none is kept")
	}
}

// TestSharedChains holds what a ring counts against what it has, when shakes with the same chains come and go.
func TestSharedChains(t *testing.T) {
	ring := shakeRing{most: 64 << 10, blobs: map[[32]byte]*blobs{}}
	for i := range 5000 {
		chain := [][]byte{[]byte(strings.Repeat("x", 1000)), {byte(i % 7)}}
		s := &shake{link: &callflow.Link{}, ours: chain, theirs: [][]byte{fmt.Append(nil, "peer", i%11)}}
		ring.push(s)
		if i%3 == 0 {
			ring.remove(s)
		}
	}
	if len(ring.blobs) != 18 || ring.bytes > ring.most {
		t.Errorf("%d chains, %d bytes of %d", len(ring.blobs), ring.bytes, ring.most)
	}
	for ring.count > 0 {
		ring.drop()
	}
	if len(ring.blobs) != 0 || ring.bytes != 0 {
		t.Errorf("empty, and %d chains, %d bytes", len(ring.blobs), ring.bytes)
	}
}

// TestLeavesAreReadOnce remembers certificates, and not more than it should.
func TestLeavesAreReadOnce(t *testing.T) {
	var l leaves
	ca := testca.New("Lab Root")
	chain := ca.Leaf("gw.example").TLS().Certificate
	if a, b := l.of(chain), l.of(chain); a != b || a.Issuer != "CN=Lab Root" || a.Chain != len(chain) {
		t.Errorf("got %+v and %+v", a, b)
	}
	for i := range 3 * mostLeaves {
		l.of([][]byte{fmt.Append(nil, i)})
	}
	if len(l.known) > mostLeaves {
		t.Errorf("%d certificates are remembered", len(l.known))
	}
}
