package gateway

import (
	"crypto/tls"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/testca"
	"github.com/sallyport-sip/sallyport/internal/trust"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// tenPeers is a gateway with peers p0 to p9 under three CAs: p0 to p2 under a, p3
// to p5 under b, p6 to p9 under c. Even ones call us, odd ones are called. p4 and
// p5 have hung up, p8 was never there. p2 has a call with p1.
type tenPeers struct {
	*rig
	cas   map[string]*testca.CA
	peers []*siptest.Peer
}

func withTenPeers(t *testing.T, f func(r *tenPeers)) {
	run(t, setting{shards: 2, office: transport.TCP, targets: transport.TCP}, func(rig *rig) {
		r := &tenPeers{rig: rig, cas: map[string]*testca.CA{}}
		for _, name := range []string{"a", "b", "c"} {
			r.cas[name] = testca.New("CA " + name)
			r.write(r.dir, name+".pem", r.cas[name].PEM())
		}
		r.write(r.dir, "sallyport.yaml", []byte(r.file("a.pem", "")))
		r.takes()
		for i := range 10 {
			name := fmt.Sprintf("p%d", i)
			p := siptest.New(r.T, siptest.Config{Name: name, Transport: transport.TLS, Network: r.net, Addr: addrPort(fmt.Sprintf("203.0.113.%d:5061", i)), TLS: &tls.Config{
				Certificates: []tls.Certificate{r.cas[caOf(i)].Leaf(name + ".example").TLS()}, RootCAs: r.ca.Pool(), ClientCAs: r.ca.Pool(),
				ClientAuth: tls.RequireAndVerifyClientCert, ServerName: "gw.example", MaxVersion: []uint16{tls.VersionTLS13, tls.VersionTLS12}[i/9],
			}})
			r.peers = append(r.peers, p)
			switch {
			case i == 8:
			case i%2 == 0:
				p.Dial(r.listener(transport.TLS))
			default:
				if _, err := r.server.Endpoint().Dial(r.Context(), r.dialConfig(r.snapshot.Load().peers.Lookup(name), transport.TLS, p.Addr())); err != nil {
					r.Fatal(err)
				}
				p.Accepted()
			}
		}
		r.peers[4].HangUp()
		r.peers[5].HangUp()
		r.peers[2].Send(r.peers[2].Request(sip.INVITE, number, siptest.Body("application/sdp", offer)))
		r.peers[2].Want(100)
		r.peers[1].Reply(r.peers[1].WantRequest(sip.INVITE), 200, siptest.Body("application/sdp", answer))
		r.peers[2].Send(r.peers[2].Ack(r.peers[2].Want(200)))
		r.peers[1].WantRequest(sip.ACK)
		synctest.Wait()
		f(r)
		r.peers[2].Send(r.peers[2].InDialog(sip.BYE))
		r.peers[2].Want(200)
		r.peers[1].Reply(r.peers[1].WantRequest(sip.BYE), 200)
	})
}

func caOf(i int) string { return "aaabbbcccc"[i : i+1] }

// file is the configuration, with a file for the trust a, and more lines.
func (r *tenPeers) file(a, more string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `listeners: {tls: {listen: "tls:192.0.2.1:5061", client_certificates: required}, tcp: {listen: "tcp:192.0.2.1:5060"}}
identities: {gateway: {certificate: gw.pem, key: gw-key.pem}}
trust: {a: {files: [%s]}, b: {files: [b.pem]}, c: {files: [c.pem]}}
cdr: off
routes: [{from: [p2], to: [p1]}]
peers:
  office: {uri: "sip:%s;transport=tcp"}
`, a, officeAddr)
	for i := range 10 {
		fmt.Fprintf(&b, "  p%[1]d: {uri: \"sip:203.0.113.%[1]d:5061;transport=tls\", certificate_names: [p%[1]d.example], trust: [%[2]s]}\n", i, caOf(i))
	}
	if more == "" {
		more = "defaults: {identity: gateway, trust: [c]}\n"
	}
	return b.String() + more
}

// diff compares what runs with a file.
func (r *tenPeers) diff(text string) Diff {
	r.Helper()
	cfg, problems := config.Parse(filepath.Join(r.dir, "new.yaml"), []byte(text))
	if len(problems) > 0 {
		r.Fatal(problems)
	}
	before := r.snapshot.Load()
	d, problems := r.Diff(cfg)
	if len(problems) > 0 {
		r.Fatal(problems)
	}
	if r.snapshot.Load() != before || len(r.Failing()) > 0 {
		r.Error("asking has changed something")
	}
	return d
}

// names are the peers with a state.
func (d *Diff) names(state string) string {
	var names []string
	for _, p := range d.Peers {
		if p.State == state {
			names = append(names, p.Peer)
		}
	}
	return strings.Join(names, " ")
}

func (d *Diff) of(peer string) *PeerDiff {
	return &d.Peers[slices.IndexFunc(d.Peers, func(p PeerDiff) bool { return p.Peer == peer })]
}

// A staged wrong root names exactly the peers whom it would cut off, with the
// reason, the remedy, and the connections and calls that it would concern.
func TestDiffNamesTheRightPeers(t *testing.T) {
	withTenPeers(t, func(r *tenPeers) {
		if d := r.diff(r.file("a.pem", "")); d.Breaks() || d.names(DiffUnaffected) != "p0 p1 p2 p3 p4 p5 p6 p7 p9" || d.names(DiffUnknown) != "p8" || len(d.Changes) != 0 {
			r.Errorf("the same again: got %+v", d)
		}
		r.write(r.dir, "wrong.pem", testca.New("CA a").PEM())
		wrong := r.file("wrong.pem", "")
		d := r.diff(wrong)
		if !d.Breaks() || d.names(DiffStops) != "p0 p1 p2" || d.names(DiffUnknown) != "p8" || d.names(DiffUnaffected) != "p3 p4 p5 p6 p7 p9" {
			r.Fatalf("got %+v", d)
		}
		for i, role := range []trust.Role{trust.Client, trust.Server, trust.Client} {
			p := d.of(fmt.Sprintf("p%d", i))
			if len(p.Seen) != 1 || p.Seen[0].Role != role || !p.Seen[0].Live || len(p.Live) != 1 || p.Live[0].Code == "" || p.Live[0].Remedy == "" || len(p.Shown) != 0 {
				r.Fatalf("got %+v", p)
			}
			if calls := len(p.Live[0].Calls); calls != min(i, 1) {
				r.Errorf("%s: %d calls", p.Peer, calls)
			}
		}
		if len(d.Changes) != 1 || d.Changes[0].Of != `trust "a"` {
			r.Errorf("got changes %+v", d.Changes)
		}

		// The same by what is on the disk under the same names.
		r.write(r.dir, "b.pem", testca.New("CA b").PEM())
		if d := r.diff(r.file("a.pem", "")); d.names(DiffStops) != "p3 p4 p5" {
			r.Errorf("got %+v", d)
		} else if p := d.of("p4"); p.Seen[0].Live || p.Seen[0].Listener != "tls" || p.Seen[0].At.IsZero() || len(p.Live) != 0 {
			r.Errorf("one that has hung up: got %+v", p)
		}
		r.write(r.dir, "b.pem", r.cas["b"].PEM())

		// What is said comes true.
		r.write(r.dir, "sallyport.yaml", []byte(wrong))
		got := r.Reload()
		var peers []string
		for _, f := range got.Failing {
			peers = append(peers, f.Conn.Identity().Peer)
		}
		slices.Sort(peers)
		if want := []string{"p0", "p1", "p2"}; !slices.Equal(peers, want) {
			r.Errorf("after the reload %q fail, want %q", peers, want)
		}
		if d := r.diffOf("a.pem"); d.names(DiffStops) != "" || d.names(DiffMends) != "p0 p1 p2" {
			r.Errorf("back again: got %+v", d)
		}
		if d := r.diffOf("wrong.pem"); d.names(DiffStops) != "" || d.names(DiffFails) != "p0 p1 p2" {
			r.Errorf("what fails already: got %+v", d)
		}
		r.write(r.dir, "sallyport.yaml", []byte(r.file("a.pem", "")))
		r.takes()
	})
}

// diffOf is diff where connections may be retired.
func (r *tenPeers) diffOf(a string) Diff {
	cfg, _ := config.Parse(filepath.Join(r.dir, "new.yaml"), []byte(r.file(a, "")))
	d, problems := r.Diff(cfg)
	if len(problems) > 0 {
		r.Fatal(problems)
	}
	return d
}

// Another certificate of ours is told to each peer that would see it, in the role
// in which it would, with what it has to trust from then on.
func TestDiffShowsOurCertificate(t *testing.T) {
	withTenPeers(t, func(r *tenPeers) {
		for name, test := range map[string]struct {
			leaf *testca.Leaf
			must string
		}{
			"same CA":           {r.ca.Leaf("gw.example"), ""},
			"another CA":        {testca.New("new CA").Leaf("gw.example"), "CN=new CA"},
			"a CA of that name": {testca.New("test CA").Leaf("gw.example"), "CN=test CA, which has another key than before"},
			"self-signed":       {testca.SelfSigned("gw.example"), "this certificate itself, which is self-signed: CN=gw.example, fingerprint "},
		} {
			r.write(r.dir, "new.pem", append(test.leaf.PEM(), test.leaf.KeyPEM()...))
			d := r.diff(strings.Replace(r.file("a.pem", ""), "certificate: gw.pem, key: gw-key.pem", "certificate: new.pem, key: new.pem", 1))
			if d.Breaks() {
				r.Errorf("%s: got %+v", name, d)
			}
			for i, p := range d.Peers {
				var where []string
				for _, s := range p.Shown {
					where = append(where, s.Listener)
					if s.MustKnow != test.must && (test.must == "" || !strings.HasPrefix(s.MustKnow, test.must)) || !s.New[0].Equal(test.leaf.Cert()) || len(s.Old) != 1 {
						r.Errorf("%s: %s: got %+v", name, p.Peer, s)
					}
				}
				want := []string{""}
				if i%2 == 0 && i != 8 {
					want = []string{"", "tls"}
				}
				if !slices.Equal(where, want) {
					r.Errorf("%s: %s sees it at %q, want %q", name, p.Peer, where, want)
				}
			}
		}
	})
}

// A policy counts as trust does: also for who is not connected, as far as it is
// known what was spoken.
func TestDiffOfAPolicy(t *testing.T) {
	withTenPeers(t, func(r *tenPeers) {
		more := "policies: {new: {min_version: \"1.3\"}}\ndefaults: {identity: gateway, trust: [c], policy: new}\n"
		for _, connected := range []bool{true, false} {
			d := r.diff(r.file("a.pem", more))
			if d.names(DiffStops) != "p9" || d.names(DiffUnaffected) != "p0 p1 p2 p3 p4 p5 p6 p7" {
				r.Errorf("got %+v", d)
			}
			if p := d.of("p9"); p.Seen[0].Why == nil || !strings.Contains(p.Seen[0].Why.Error(), "1.2") {
				r.Errorf("got %+v", p)
			}
			if connected {
				r.peers[9].HangUp()
				synctest.Wait()
			}
		}
	})
}

func TestDiffOfABadFile(t *testing.T) {
	withTenPeers(t, func(r *tenPeers) {
		cfg, _ := config.Parse(filepath.Join(r.dir, "new.yaml"), []byte(r.file("nothing.pem", "")))
		if d, problems := r.Diff(cfg); len(problems) != 1 || !strings.Contains(problems[0].What, "nothing.pem") || len(d.Peers) != 0 {
			r.Errorf("got %+v, %v", d, problems)
		}
	})
}
