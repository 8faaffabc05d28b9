package trust_test

import (
	"crypto/tls"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/memnet"
	"github.com/sallyport-sip/sallyport/internal/testca"
	"github.com/sallyport-sip/sallyport/internal/trust"
)

// policy gives the listener and the peer one policy.
func (w *world) policy(p config.Policy) *trust.Set {
	w.t.Helper()
	w.policies(p, p)
	return w.load()
}

func (w *world) policies(listener, peer config.Policy) {
	listener.Name, peer.Name = "theirs", "strict"
	w.cfg.Policies = []config.Policy{listener, peer}
	w.cfg.Listeners[0].Policy, w.cfg.Peers[0].Policy = "theirs", "strict"
	w.cfg.Complete()
}

// roles shakes hands under a policy of ours with a peer, first as server and then as client; f gets our end of it.
func roles(t *testing.T, set *trust.Set, far *tls.Config, f func(t *testing.T, we trust.Role, ours ended)) {
	t.Helper()
	t.Run("server", func(t *testing.T) {
		_, s := meet(t, far, set.ServerConfig("outside"))
		f(t, trust.Server, s)
	})
	t.Run("client", func(t *testing.T) {
		c, _ := meet(t, set.ClientConfig("acme"), far)
		f(t, trust.Client, c)
	})
}

// reason is the code by which a handshake ended, empty for one that did not fail.
func reason(e ended, we trust.Role) trust.Code {
	for _, v := range e.explain(we) {
		if !v.Accepted && v.Code != trust.NotJudged {
			return v.Code
		}
	}
	return ""
}

func TestVersionsOfAPolicy(t *testing.T) {
	t.Parallel()
	const v10, v11, v12, v13 = tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13
	for _, tt := range []struct {
		name        string
		policy      config.Policy
		least, most uint16 // of the peer
		want        uint16 // 0: none in common
	}{
		{"default", config.Policy{}, v10, v13, v13},
		{"default, old peer", config.Policy{}, v10, v12, v12},
		{"default, older peer", config.Policy{}, v10, v11, 0},
		{"floor", config.Policy{MinVersion: config.TLS13}, v10, v13, v13},
		{"below the floor", config.Policy{MinVersion: config.TLS13}, v10, v12, 0},
		{"ceiling", config.Policy{MaxVersion: config.TLS12}, v10, v13, v12},
		{"above the ceiling", config.Policy{MaxVersion: config.TLS12}, v13, v13, 0},
		{"legacy", config.Policy{Legacy: true}, v10, v10, v10},
		{"legacy with a floor", config.Policy{Legacy: true, MinVersion: config.TLS11}, v10, v11, v11},
		{"below the floor of legacy", config.Policy{Legacy: true, MinVersion: config.TLS11}, v10, v10, 0},
		{"legacy with a good peer", config.Policy{Legacy: true}, v10, v13, v13},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			far := foreign(w.root.Leaf("acme.example"), 0)
			far.MinVersion, far.MaxVersion = tt.least, tt.most
			roles(t, w.policy(tt.policy), far, func(t *testing.T, we trust.Role, ours ended) {
				if tt.want == 0 {
					if got := reason(ours, we); got != trust.NoCommonVersion {
						t.Errorf("got %q, %v", got, ours.err)
					}
				} else if ours.err != nil || ours.state.Version != tt.want {
					t.Errorf("got %v, %v", ours.state, ours.err)
				}
			})
		})
	}
}

const (
	gcm128  = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
	gcm256  = "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"
	cbc128  = "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"
	rsaGCM  = "TLS_RSA_WITH_AES_128_GCM_SHA256"
	rsaCBC  = "TLS_RSA_WITH_AES_128_CBC_SHA"
	rsa3DES = "TLS_RSA_WITH_3DES_EDE_CBC_SHA"
)

func suiteNumber(name string) uint16 {
	for _, s := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		if s.Name == name {
			return s.ID
		}
	}
	panic(name)
}

func TestSuitesOfAPolicy(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		policy config.Policy
		most   uint16
		theirs []string
		want   string // empty: none in common
	}{
		{"default", config.Policy{}, tls.VersionTLS12, []string{rsa3DES, rsaCBC, cbc128, gcm128}, gcm128},
		{"default has no CBC", config.Policy{}, tls.VersionTLS12, []string{cbc128}, ""},
		{"default has no RSA key exchange", config.Policy{}, tls.VersionTLS12, []string{rsaGCM, rsaCBC}, ""},
		{"named", config.Policy{Suites: []config.CipherSuite{gcm256}}, tls.VersionTLS12, []string{gcm128, gcm256}, gcm256},
		{"named, and the peer has another", config.Policy{Suites: []config.CipherSuite{gcm256}}, tls.VersionTLS12, []string{gcm128}, ""},
		{"legacy CBC", config.Policy{Legacy: true}, tls.VersionTLS12, []string{cbc128}, cbc128},
		{"legacy RSA key exchange", config.Policy{Legacy: true}, tls.VersionTLS12, []string{rsaGCM}, rsaGCM},
		{"legacy RSA key exchange in TLS 1.0", config.Policy{Legacy: true}, tls.VersionTLS10, []string{rsaCBC}, rsaCBC},
		{"legacy has no 3DES", config.Policy{Legacy: true}, tls.VersionTLS12, []string{rsa3DES}, ""},
		{"legacy with 3DES", config.Policy{Legacy: true, Suites: []config.CipherSuite{rsa3DES}}, tls.VersionTLS11, []string{rsa3DES, rsaCBC}, rsa3DES},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.identity(w.root.Leaf("gw.example", testca.RSA(2048)))
			far := foreign(w.root.Leaf("acme.example", testca.RSA(2048)), 0)
			far.MinVersion, far.MaxVersion, far.CipherSuites = tls.VersionTLS10, tt.most, nil
			for _, s := range tt.theirs {
				far.CipherSuites = append(far.CipherSuites, suiteNumber(s))
			}
			roles(t, w.policy(tt.policy), far, func(t *testing.T, we trust.Role, ours ended) {
				switch got := reason(ours, we); {
				case tt.want != "" && (ours.err != nil || ours.state.CipherSuite != suiteNumber(tt.want)):
					t.Errorf("got %+v, %v", ours.state, ours.err)
				case tt.want == "" && we == trust.Server && got != trust.NoCommonSuite:
					t.Errorf("got %q, %v", got, ours.err)
				case tt.want == "" && ours.err == nil:
					t.Errorf("%s", tls.CipherSuiteName(ours.state.CipherSuite))
				}
			})
		})
	}
}

func TestGroupsOfAPolicy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	far := foreign(w.root.Leaf("acme.example"), 0)
	var offered []tls.CurveID
	far.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) { offered = h.SupportedCurves; return nil, nil }
	set := w.policy(config.Policy{Groups: []config.Group{"P-384", "X25519"}})
	roles(t, set, far, func(t *testing.T, we trust.Role, ours ended) {
		if ours.err != nil || ours.state.CurveID != tls.X25519 {
			t.Errorf("group %v, %v", ours.state, ours.err)
		}
		if we == trust.Client && !slices.Equal(offered, []tls.CurveID{tls.X25519, tls.CurveP384}) {
			t.Errorf("we offered %v", offered)
		}
	})
	far.CurvePreferences = []tls.CurveID{tls.CurveP256}
	for _, v := range versions {
		far.MinVersion, far.MaxVersion = v, v
		_, s := meet(t, far, set.ServerConfig("outside"))
		want := trust.NoCommonGroup
		if v == tls.VersionTLS12 {
			want = trust.NoCommonSuite // crypto/tls says no more; with what the wire showed it is the group
		}
		if got := reason(s, trust.Server); got != want {
			t.Errorf("%s: got %q, %v", tls.VersionName(v), got, s.err)
		}
		if c, _ := meet(t, set.ClientConfig("acme"), far); c.err == nil {
			t.Errorf("%s: %v was taken", tls.VersionName(v), c.state.CurveID)
		}
	}
	far.CurvePreferences = []tls.CurveID{tls.X25519MLKEM768}
	far.MinVersion, far.MaxVersion = tls.VersionTLS13, 0
	roles(t, w.policy(config.Policy{}), far, func(t *testing.T, _ trust.Role, ours ended) {
		if ours.err != nil || ours.state.CurveID != tls.X25519MLKEM768 {
			t.Errorf("by default: %v, %v", ours.state, ours.err)
		}
	})
}

func TestALPNOfAPolicy(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name         string
		ours, theirs []string
		want         string
		code         trust.Code
	}{
		{"off", nil, []string{"sip"}, "", ""},
		{"agreed", []string{"sip", "x"}, []string{"x"}, "x", ""},
		{"the peer knows nothing of it", []string{"sip"}, nil, "", trust.ALPNMismatch},
		{"none in common", []string{"sip"}, []string{"x"}, "", trust.ALPNMismatch},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			set := w.policy(config.Policy{ALPN: tt.ours})
			for _, v := range versions {
				far := foreign(w.root.Leaf("acme.example"), v)
				far.NextProtos = tt.theirs
				roles(t, set, far, func(t *testing.T, we trust.Role, ours ended) {
					switch got := reason(ours, we); {
					case tt.code == "" && (ours.err != nil || ours.state.NegotiatedProtocol != tt.want):
						t.Errorf("got %v, %v", ours.state, ours.err)
					case we == trust.Client && tt.name == "none in common": // the peer refuses us, with alert 120
						if ours.err == nil || !strings.Contains(ours.err.Error(), "no application protocol") {
							t.Errorf("got %v", ours.err)
						}
					case got != tt.code:
						t.Errorf("got %q, %v", got, ours.err)
					}
				})
			}
		})
	}
}

// A client that offers no protocol is refused also where it need not show a certificate.
func TestALPNWithoutCertificate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.Listeners[0].ClientCertificates = config.CertificateNone
	_, s := meet(t, foreign(nil, 0), w.policy(config.Policy{ALPN: []string{"sip"}}).ServerConfig("outside"))
	if got := reason(s, trust.Server); got != trust.ALPNMismatch {
		t.Errorf("got %q, %v", got, s.err)
	}
}

// A listener may let more through than the policy of the peer that calls wants.
func TestPolicyOfThePeerJudgesItsCalls(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		peer   config.Policy
		lax    config.Policy // the listener's
		theirs func(*tls.Config)
		code   trust.Code // empty: it is the peer
		reason string
	}{
		{"floor", config.Policy{MinVersion: config.TLS13}, config.Policy{}, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 },
			trust.VersionRefused, `the connection speaks TLS 1.2, and policy "strict" of peer "acme" wants TLS 1.3 at least`},
		{"floor kept", config.Policy{MinVersion: config.TLS13}, config.Policy{}, func(*tls.Config) {}, "", ""},
		{"ceiling", config.Policy{MaxVersion: config.TLS12}, config.Policy{}, func(*tls.Config) {},
			trust.VersionRefused, `the connection speaks TLS 1.3, and policy "strict" of peer "acme" wants TLS 1.2 at most`},
		{"suite", config.Policy{Suites: []config.CipherSuite{"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"}}, config.Policy{},
			func(c *tls.Config) {
				c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
			},
			trust.SuiteRefused, `the connection has the cipher suite TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, and policy "strict" of peer "acme" does not`},
		{"suites are not of 1.3", config.Policy{Suites: []config.CipherSuite{"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"}}, config.Policy{}, func(*tls.Config) {}, "", ""},
		{"legacy is the listener's alone", config.Policy{}, config.Policy{Legacy: true},
			func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS10 },
			trust.VersionRefused, `the connection speaks TLS 1.0, and policy "strict" of peer "acme" wants TLS 1.2 at least`},
		{"group", config.Policy{Groups: []config.Group{"X25519MLKEM768"}, MinVersion: config.TLS13}, config.Policy{},
			func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.CurveP256} },
			trust.GroupRefused, `the keys of the connection were exchanged in the group P-256, and policy "strict" of peer "acme" does not have it`},
		{"ALPN", config.Policy{ALPN: []string{"sip"}}, config.Policy{}, func(c *tls.Config) { c.NextProtos = []string{"sip"} },
			trust.ALPNMismatch, `no application protocol (ALPN) in common: none was agreed on, and alpn of peer "acme" wants sip`},
		{"another ALPN", config.Policy{ALPN: []string{"sip"}}, config.Policy{ALPN: []string{"x"}}, func(c *tls.Config) { c.NextProtos = []string{"sip", "x"} },
			trust.ALPNMismatch, `no application protocol (ALPN) in common: "x" was agreed on, and alpn of peer "acme" wants sip`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.policies(tt.lax, tt.peer)
			set := w.load()
			far := foreign(w.root.Leaf("acme.example"), 0)
			tt.theirs(far)
			_, s := meet(t, far, set.ServerConfig("outside"))
			if s.err != nil {
				t.Fatal(s.err)
			}
			_, err := set.VerifyConn("acme", s.state, trust.Client)
			if tt.code == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			r, ok := errors.AsType[*trust.Refusal](err)
			if !ok || r.Code != tt.code || r.Reason != tt.reason || !strings.Contains(r.Remedy, "listener") || strings.Contains(r.Remedy, "{") {
				t.Errorf("got %+v (%v)", r, err)
			}
		})
	}
}

func TestWhatALiveConnectionIsJudgedBy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, s := meet(t, foreign(w.root.Leaf("acme.example"), tls.VersionTLS12), w.load().ServerConfig("outside"))
	if s.err != nil {
		t.Fatal(s.err)
	}
	if err := w.policy(config.Policy{}).Admits("outside", s.state); err != nil {
		t.Errorf("the same: %v", err)
	}
	err := w.policy(config.Policy{MinVersion: config.TLS13}).Admits("outside", s.state)
	if r, ok := errors.AsType[*trust.Refusal](err); !ok || r.Code != trust.VersionRefused {
		t.Errorf("with a floor: %v", err)
	}
	if w.load().Admits("nobody", s.state) == nil {
		t.Error("a listener that is none")
	}
}

func TestFingerprintCoversThePolicy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	before := w.policy(config.Policy{})
	for name, p := range map[string]config.Policy{
		"min_version": {MinVersion: config.TLS13},
		"max_version": {MaxVersion: config.TLS12},
		"suites":      {Suites: []config.CipherSuite{gcm128}},
		"groups":      {Groups: []config.Group{"X25519"}},
		"alpn":        {ALPN: []string{"sip"}},
		"resumption":  {Resumption: config.ResumptionOff},
		"chain_depth": {ChainDepth: 2},
		"legacy":      {Legacy: true, MinVersion: config.TLS12},
	} {
		now := w.policy(p)
		if before.Fingerprint("acme") == now.Fingerprint("acme") || before.ListenerFingerprint("outside") == now.ListenerFingerprint("outside") {
			t.Errorf("%s does not show in the fingerprint", name)
		}
	}
	again := w.policy(config.Policy{})
	if before.Fingerprint("acme") != again.Fingerprint("acme") || before.ListenerFingerprint("outside") != again.ListenerFingerprint("outside") {
		t.Error("the same policy has another fingerprint")
	}
}

// resumes says whether a second handshake in each role takes up the session of the first: under the set now when the
// first was under before.
func resumes(t *testing.T, w *world, version uint16, before, now *trust.Set, leaf *testca.Leaf) (server, client bool) {
	t.Helper()
	theirs := foreign(leaf, version)
	theirs.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	far := foreign(leaf, version)
	for i, set := range []*trust.Set{before, now} {
		c, s := meet(t, theirs, set.ServerConfig("outside"))
		if c.err != nil || s.err != nil {
			t.Fatal(c.err, s.err)
		}
		server = s.state.DidResume
		if c, s = meet(t, set.ClientConfig("acme"), far); c.err != nil || s.err != nil {
			t.Fatal(c.err, s.err)
		}
		client = c.state.DidResume
		if i == 0 && (server || client) {
			t.Fatal("the first handshake resumed something")
		}
	}
	return server, client
}

// A session lives for one generation of trust: it ends with any change of what a connection is judged by, and outlives
// a reload that changes nothing of it.
func TestSessionsLiveForAGenerationOfTrust(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name           string
		change         func(*world)
		server, client bool // whether they are taken up
	}{
		{"nothing", func(*world) {}, true, true},
		{"the name of a policy", func(w *world) { w.policies(config.Policy{}, config.Policy{}) }, true, true},
		{"the trust", func(w *world) { w.write("ca.pem", append(w.root.PEM(), testca.New("Second Root").PEM()...)) }, false, false},
		{"the names of the peer", func(w *world) {
			w.cfg.Peers[0].CertificateNames = []string{"acme.example", "more.example"}
		}, false, false},
		{"the policy of the peer", func(w *world) { w.policies(config.Policy{}, config.Policy{ChainDepth: 3}) }, false, false},
		{"the policy of the listener", func(w *world) { w.policies(config.Policy{ChainDepth: 3}, config.Policy{}) }, false, true},
		{"our certificate", func(w *world) { w.identity(w.root.Leaf("gw.example")) }, false, false},
		{"what the listener asks for", func(w *world) { w.cfg.Listeners[0].ClientCertificates = config.CertificateOptional }, false, true},
		{"the host of the peer", func(w *world) { w.cfg.Peers[0].URI.Host = "sip2.acme.example" }, true, false},
		{"another peer, whom a ticket would serve as well", func(w *world) {
			w.cfg.Peers = append(w.cfg.Peers, config.Peer{Name: "twin", CertificateNames: []string{"twin.example"}, URI: w.cfg.Peers[0].URI})
			w.cfg.Complete()
		}, false, true},
		{"resumption off", func(w *world) {
			off := config.Policy{Resumption: config.ResumptionOff}
			w.policies(off, off)
		}, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, v := range versions {
				w := newWorld(t)
				before := w.load()
				tt.change(w)
				now := w.loadWith(trust.Options{Before: before})
				if server, client := resumes(t, w, v, before, now, w.root.Leaf("acme.example")); server != tt.server || client != tt.client {
					t.Errorf("%s: as server %v, as client %v", tls.VersionName(v), server, client)
				}
			}
		})
	}
}

func TestResumptionIsAllowedOrOff(t *testing.T) {
	t.Parallel()
	for mode, want := range map[config.Resumption]bool{config.ResumptionAllowed: true, config.ResumptionOff: false} {
		for _, v := range versions {
			w := newWorld(t)
			set := w.policy(config.Policy{Resumption: mode})
			if server, client := resumes(t, w, v, set, set, w.root.Leaf("acme.example")); server != want || client != want {
				t.Errorf("%s, %s: as server %v, as client %v", mode, tls.VersionName(v), server, client)
			}
		}
	}
}

// Where a listener resumes and the policy of a peer does not want that, the peer is not recognised.
func TestPeerWithoutResumptionOnAListenerWithIt(t *testing.T) {
	t.Parallel()
	for _, v := range versions {
		w := newWorld(t)
		w.policies(config.Policy{}, config.Policy{Resumption: config.ResumptionOff})
		set := w.load()
		far := foreign(w.root.Leaf("acme.example"), v)
		far.ClientSessionCache = tls.NewLRUClientSessionCache(4)
		for i := range 2 {
			_, s := meet(t, far, set.ServerConfig("outside"))
			if s.err != nil {
				t.Fatal(s.err)
			}
			_, err := set.VerifyConn("acme", s.state, trust.Client)
			r, _ := errors.AsType[*trust.Refusal](err)
			if i == 0 && err != nil || i == 1 && (r == nil || r.Code != trust.ResumptionRefused) {
				t.Errorf("%s, connection %d: %v", tls.VersionName(v), i, err)
			}
		}
	}
}

// What a certificate is worth can change with no reload. crypto/tls sees to its own expiry; that of its CA, as any other
// reason, is seen by VerifyConnection, which refuses the session that it would have taken up.
func TestResumedSessionIsJudgedAnew(t *testing.T) {
	for _, v := range versions {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			brief := w.root.Intermediate("Brief Issuer", testca.Valid(-time.Hour, time.Hour))
			leaf := brief.Leaf("acme.example", testca.Valid(-time.Hour, 48*time.Hour))
			set := w.load()
			theirs := foreign(leaf, v)
			theirs.ClientSessionCache = tls.NewLRUClientSessionCache(4)
			far := foreign(leaf, v)
			both := func(ok bool) {
				t.Helper()
				_, s := meet(t, theirs, set.ServerConfig("outside"))
				c, _ := meet(t, set.ClientConfig("acme"), far)
				for role, e := range map[trust.Role]ended{trust.Server: s, trust.Client: c} {
					if ok && e.err != nil || !ok && reason(e, role) != trust.Expired {
						t.Errorf("%s, as %s: %v", tls.VersionName(v), role, e.err)
					}
				}
			}
			both(true)
			both(true)
			time.Sleep(2 * time.Hour)
			both(false)
		})
	}
}

// A ticket that one listener gave out is of no use on another, though both have the same policy and certificate.
func TestTicketsAreOfOneListener(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.Listeners = append(w.cfg.Listeners, config.Listener{Name: "inside", Listen: w.cfg.Listeners[0].Listen})
	w.cfg.Complete()
	set := w.load()
	for _, v := range versions {
		far := foreign(w.root.Leaf("acme.example"), v)
		far.ClientSessionCache = tls.NewLRUClientSessionCache(4)
		for i, on := range []string{"outside", "inside", "outside", "outside"} {
			// "outside" again begins anew: the ticket of "inside" has taken the place of its own.
			_, s := meet(t, far, set.ServerConfig(on))
			if s.err != nil || s.state.DidResume != (i == 3) {
				t.Errorf("%s, connection %d, on %s: %v", tls.VersionName(v), i, on, s.err)
			}
		}
	}
}

// Garbage for a ticket is no error: the handshake is a whole one.
func TestForeignTickets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	unwrap := w.load().ServerConfig("outside").UnwrapSession
	for _, ticket := range [][]byte{nil, {1}, make([]byte, 300)} {
		if s, err := unwrap(ticket, tls.ConnectionState{}); s != nil || err != nil {
			t.Errorf("%d bytes: %v, %v", len(ticket), s, err)
		}
	}
}

// Our first message fits one packet when the groups say so.
func TestShortClientHello(t *testing.T) {
	t.Parallel()
	length := func(groups ...config.Group) int {
		w := newWorld(t)
		near, far := memnet.Pipe(memnet.Options{})
		set := w.policy(config.Policy{Groups: groups})
		go func() {
			_ = tls.Client(near, set.ClientConfig("acme")).HandshakeContext(t.Context())
			near.Close()
		}()
		defer far.Close()
		head := make([]byte, 5)
		if _, err := far.Read(head); err != nil {
			t.Fatal(err)
		}
		return int(head[3])<<8 | int(head[4])
	}
	if n := length("X25519", "P-256", "P-384", "P-521"); n > 1200 {
		t.Errorf("%d bytes without MLKEM", n)
	}
	if n := length("X25519MLKEM768", "X25519"); n < 1400 {
		t.Errorf("%d bytes with MLKEM: the test shows nothing", n)
	}
}
