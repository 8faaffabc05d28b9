package recorder

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/memnet"
	"github.com/sallyport-sip/sallyport/internal/testca"
	"github.com/sallyport-sip/sallyport/internal/trust"
)

var update = flag.Bool("update", false, "write docs/reference/faults.md anew")

const faultsPage = "../../docs/reference/faults.md"

// A fault is one thing that can be wrong, as who refuses sees it.
type fault struct {
	name string
	want trust.Code
	// theirs makes it wrong on the peer's side, so that we refuse; ours on our side, so that the peer does. Where that cannot be, no is why,
	// by role ("client", "server", ours) or version.
	theirs, ours     func(*stage)
	noTheirs, noOurs func(server bool, version uint16) string
}

func never(why string) func(bool, uint16) string { return func(bool, uint16) string { return why } }

func asServer(why string) func(bool, uint16) string {
	return func(server bool, _ uint16) string {
		if server {
			return why
		}
		return ""
	}
}

func asClient(why string) func(bool, uint16) string {
	return func(server bool, _ uint16) string {
		if !server {
			return why
		}
		return ""
	}
}

const (
	listenerJudgesLater = "a listener ends no handshake for it: who fits no peer by names and pins stays a stranger, which our verdict notes, and gets 403"
	loadRefuses         = "such a configuration is refused when it is read"
	serversHaveOne      = "a TLS server of ours without a certificate is refused when the configuration is read"
	serversAlwaysShow   = "a TLS server always shows a certificate"
	serverNames         = "a TLS server does not judge the names of clients by itself; the SIP of the peer may"
	fixed13             = "the suites of TLS 1.3 are not for anybody to choose here"
)

func only13(server bool, v uint16) string {
	if v == tls.VersionTLS13 {
		return fixed13
	}
	return ""
}

// faults are those of the page, in its order.
var faults = []fault{
	{name: "certificate expired", want: trust.Expired,
		theirs: func(s *stage) { s.theirs = s.root.Leaf("acme.example", testca.Expired()) },
		ours: func(s *stage) {
			s.ours = s.root.Leaf("gw.example", testca.Valid(-time.Hour, time.Hour))
			s.later = 2 * time.Hour
		}},
	{name: "certificate not yet valid", want: trust.NotYetValid,
		theirs: func(s *stage) { s.theirs = s.root.Leaf("acme.example", testca.NotYetValid()) },
		noOurs: never(loadRefuses + ", which says so and names the clock; a peer with a slow clock is the row below")},
	{name: "the peer's clock is wrong", want: trust.ClockWrong, noTheirs: never("then the peer refuses, if it does not show a certificate of the future"),
		ours: func(s *stage) { s.farTime = func() time.Time { return time.Now().AddDate(50, 0, 0) } }},
	{name: "our clock is wrong", want: trust.ClockWrong, noOurs: never("then we refuse, or do not start"),
		theirs: func(s *stage) {
			s.theirs = s.root.Leaf("acme.example", testca.NotYetValid())
			s.built = time.Now().AddDate(1, 0, 0)
		}},
	{name: "unknown CA", want: trust.UnknownCA,
		theirs: func(s *stage) { s.theirs = s.other.Leaf("acme.example") },
		ours:   func(s *stage) { s.farTrust = s.other.Pool() }},
	{name: "self-signed, not trusted", want: trust.SelfSignedCert,
		theirs: func(s *stage) { s.theirs = testca.SelfSigned("acme.example") },
		ours:   func(s *stage) { s.ours = testca.SelfSigned("gw.example") }},
	{name: "missing intermediate", want: trust.MissingIntermediate,
		theirs: func(s *stage) { s.theirs = s.middle.Leaf("acme.example").Alone() },
		ours:   func(s *stage) { s.ours = s.middle.Leaf("gw.example").Alone() }},
	{name: "name mismatch", want: trust.NameMismatch, noTheirs: asServer(listenerJudgesLater), noOurs: asClient(serverNames),
		theirs: func(s *stage) { s.theirs = s.root.Leaf("elsewhere.example") },
		ours:   func(s *stage) { s.ours = s.root.Leaf("elsewhere.example") }},
	{name: "name only as common name", want: trust.NameInCommonName, noTheirs: asServer(listenerJudgesLater), noOurs: asClient(serverNames),
		theirs: func(s *stage) { s.theirs = s.root.Leaf("acme.example", testca.CommonNameOnly()) },
		ours:   func(s *stage) { s.ours = s.root.Leaf("gw.example", testca.CommonNameOnly()) }},
	{name: "wildcard", want: trust.WildcardName, noTheirs: asServer(listenerJudgesLater), noOurs: asClient(serverNames),
		theirs: func(s *stage) {
			s.theirs = s.root.Leaf("x", testca.DNS("*.example.net"))
			s.wanted = "acme.example.net"
		},
		ours: func(s *stage) {
			s.ours = s.root.Leaf("x", testca.DNS("*.example.net"))
			s.change = func(c *tls.Config) {
				c.ServerName = "gw.example.net"
				c.InsecureSkipVerify = true // Go would take it: this peer goes by RFC 5922
				c.VerifyConnection = func(tls.ConnectionState) error { return fmt.Errorf("a wildcard") }
			}
		}},
	{name: "wrong extended key usage", want: trust.WrongUsage,
		theirs: func(s *stage) { s.theirs = s.root.Leaf("acme.example", testca.Usages(x509.ExtKeyUsageCodeSigning)) },
		ours:   func(s *stage) { s.ours = s.root.Leaf("gw.example", testca.Usages(s.wrongUsage())) }},
	{name: "not for SIP (require_sip_domain)", want: trust.NotForSIP,
		theirs: func(s *stage) { s.policy.RequireSIPDomain = true },
		ours:   func(s *stage) { s.judges = notForSIP }},
	{name: "another key than the pinned one", want: trust.PinMismatch, noTheirs: asServer(listenerJudgesLater),
		theirs: func(s *stage) { s.pins = []config.Pin{config.KeyPin(s.root.Leaf("acme.example").Cert())} },
		ours: func(s *stage) {
			s.judges = func([]*x509.Certificate) error { return fmt.Errorf("another key than the pinned one") }
		}},
	{name: "chain too deep", want: trust.ChainTooDeep,
		theirs: func(s *stage) {
			s.policy.ChainDepth = 1
			s.theirs = s.middle.Intermediate("Lab Department").Leaf("acme.example")
		},
		ours: func(s *stage) {
			s.ours = s.middle.Intermediate("Lab Department").Leaf("gw.example")
			s.judges = func(chain []*x509.Certificate) error { return fmt.Errorf("%d certificates in a chain", len(chain)) }
		}},
	{name: "name constraint of the CA", want: trust.NameConstraint,
		theirs: func(s *stage) { s.theirs = s.narrow().Leaf("acme.example") },
		ours:   func(s *stage) { s.ours = s.narrow().Leaf("gw.example") }},
	{name: "revoked", want: trust.Revoked,
		theirs: func(s *stage) { s.crl = s.root.CRL(nil, s.theirs.Cert()) },
		ours: func(s *stage) {
			s.crl = s.root.CRL(nil, s.ours.Cert())
			s.judges = func([]*x509.Certificate) error { return fmt.Errorf("it is in the CRL") }
		}},
	{name: "whether it is revoked is not known", want: trust.RevocationUnknown,
		theirs: func(s *stage) { s.policy.Revocation = config.RevocationHard },
		ours:   func(s *stage) { s.judges = func([]*x509.Certificate) error { return fmt.Errorf("nobody answers") } }},
	{name: "no client certificate", want: trust.NoClientCertificate, noTheirs: asClient(serversAlwaysShow), noOurs: asServer(serversHaveOne),
		theirs: func(s *stage) { s.theirs = nil },
		ours:   func(s *stage) { s.alone = true }},
	{name: "key does not match", want: trust.KeyMismatch, noOurs: never(loadRefuses),
		theirs: func(s *stage) {
			wrong := s.root.Leaf("acme.example").TLS()
			s.change = func(c *tls.Config) {
				c.Certificates[0].PrivateKey, c.Certificates[0].Leaf = wrong.PrivateKey, nil
			}
		}},
	{name: "no common version", want: trust.NoCommonVersion,
		theirs:   func(s *stage) { s.policy.MinVersion, s.policy.MaxVersion = s.otherVersion(), s.otherVersion() },
		ours:     func(s *stage) { s.policy.MinVersion, s.policy.MaxVersion = s.otherVersion(), s.otherVersion() },
		noTheirs: asClient("a server of one version does not answer with another: it refuses"),
		noOurs:   asServer("a server chooses: we refuse")},
	{name: "no common suite", want: trust.NoCommonSuite, noTheirs: func(server bool, v uint16) string {
		if !server {
			return "a server does not choose what was not offered: it refuses"
		}
		return only13(server, v)
	}, noOurs: func(server bool, v uint16) string {
		if server {
			return "a server chooses: we refuse"
		}
		return only13(server, v)
	},
		theirs: func(s *stage) {
			s.policy.Suites = []config.CipherSuite{"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"}
			s.change = farSuites
		},
		ours: func(s *stage) {
			s.policy.Suites = []config.CipherSuite{"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"}
			s.change = farSuites
		}},
	{name: "no common group", want: trust.NoCommonGroup, noTheirs: asClient("a server does not choose what was not offered: it refuses"),
		noOurs: asServer("a server chooses: we refuse"),
		theirs: func(s *stage) { s.policy.Groups = []config.Group{"P-521"}; s.change = farGroups },
		ours:   func(s *stage) { s.policy.Groups = []config.Group{"P-521"}; s.change = farGroups }},
	{name: "ALPN mismatch", want: trust.ALPNMismatch, noTheirs: asClient("a server does not choose what was not offered: it refuses"),
		noOurs: asServer("a server chooses: we refuse"),
		theirs: func(s *stage) { s.policy.ALPN = []string{"sip"}; s.change = farALPN },
		ours:   func(s *stage) { s.policy.ALPN = []string{"sip"}; s.change = farALPN }},
	{name: "clear SIP on a TLS port", want: trust.PlainTextOnTLS, noOurs: asServer("who is called speaks second: a TLS client of the peer at our plain port is the row below"),
		noTheirs: asClient("who calls speaks first: a plain server at the port that we call with TLS is the row below"),
		theirs: func(s *stage) {
			s.speak = func(nc net.Conn) { fmt.Fprint(nc, invite("x")); time.Sleep(time.Minute); nc.Close() }
		},
		ours: func(s *stage) {
			s.plain = true
			s.speak = func(nc net.Conn) {
				_, _ = nc.Read(make([]byte, 4096))
				fmt.Fprint(nc, "\x15\x03\x01\x00\x02\x02\x46") // protocol_version, as OpenSSL answers
				nc.Close()
			}
		}},
	{name: "TLS on a plain port", want: trust.TLSOnPlain, noOurs: asServer("we end it first, as soon as we have read the beginning of its ClientHello"),
		theirs: func(s *stage) {
			if s.plain = s.server; s.plain {
				return // a TLS client calls our tcp: listener
			}
			s.speak = func(nc net.Conn) {
				fmt.Fprint(nc, "SIP/2.0 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
				time.Sleep(time.Minute)
				nc.Close()
			}
		},
		ours: func(s *stage) {
			s.speak = func(nc net.Conn) { _, _ = nc.Read(make([]byte, 4096)); nc.Close() }
		}},
}

func farSuites(c *tls.Config) {
	c.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
}

func farGroups(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.X25519} }

func farALPN(c *tls.Config) { c.NextProtos = []string{"h2"} }

// endings are the ways in which a peer ends a handshake, or does not go on, without a word; each is staged after every number of records.
var endings = []struct {
	name string
	want trust.Code
	end  func(*memnet.Conn)
}{
	{"stalled", trust.Stalled, nil},
	{"closed without alert", trust.ClosedWithoutAlert, func(c *memnet.Conn) { c.Close() }},
	{"reset", trust.Reset, func(c *memnet.Conn) { c.Reset() }},
}

func (s *stage) wrongUsage() x509.ExtKeyUsage {
	if s.server {
		return x509.ExtKeyUsageClientAuth
	}
	return x509.ExtKeyUsageServerAuth
}

func (s *stage) otherVersion() config.TLSVersion {
	if s.version == tls.VersionTLS13 {
		return "1.2"
	}
	return "1.3"
}

// A cell is one of the page.
type cell struct {
	role, by, version string
	no                string // why it cannot be
	h                 *callflow.Handshake
	named             bool
}

// names reports whether the record names the fault: as its reason, or among what is likely.
func names(h *callflow.Handshake, want trust.Code) bool {
	return h.Code == string(want) || slices.ContainsFunc(h.Verdicts, func(v callflow.Verdict) bool { return v.Code == string(want) })
}

// TestFaults stages every fault, in both roles, refused by us and by the peer, under both versions, and writes the page of them. Each
// must come out as a failure with a code, a sentence and a remedy; how many are named rightly is counted on the page.
func TestFaults(t *testing.T) {
	rows := make([][]*cell, len(faults))
	t.Run("staged", func(t *testing.T) {
		for i, f := range faults {
			for _, server := range []bool{false, true} {
				for _, by := range []string{"gateway", "peer"} {
					for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
						c := &cell{role: callflow.RoleClient, by: by, version: strings.TrimPrefix(tls.VersionName(version), "TLS ")}
						if server {
							c.role = callflow.RoleServer
						}
						rows[i] = append(rows[i], c)
						do, no := f.theirs, f.noTheirs
						if by == "peer" {
							do, no = f.ours, f.noOurs
						}
						if no != nil {
							c.no = no(server, version)
						}
						if c.no != "" {
							continue
						}
						t.Run(fmt.Sprintf("%s, %s, refused by %s, %s", f.name, c.role, by, c.version), func(t *testing.T) {
							t.Parallel()
							synctest.Test(t, func(t *testing.T) {
								s := newStage(t, server, version)
								do(s)
								c.h = s.run()
							})
							c.check(t, f.want)
						})
					}
				}
			}
		}
	})
	steps := endedAtEachStep(t)
	if t.Failed() {
		return
	}
	page := drawFaults(rows, steps)
	if *update {
		if err := os.WriteFile(faultsPage, page, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	old, err := os.ReadFile(faultsPage)
	if err != nil || !bytes.Equal(old, page) {
		t.Errorf("docs/reference/faults.md is not what the tests show: write it with -update (%v)", err)
	}
}

// check holds a record against what every failure must have.
func (c *cell) check(t *testing.T, want trust.Code) {
	h := c.h
	if h == nil {
		t.Fatal("there is no record")
	}
	if !h.Failed() || h.Code == "" || h.Remedy == "" || h.Role != c.role {
		t.Fatalf("outcome %s as %s, code %q, remedy %q: %s", h.Outcome, h.Role, h.Code, h.Remedy, h.Sentence)
	}
	wordless := c.by == "peer" && h.By == "" && h.Code == string(trust.ClosedWithoutAlert) // a close says nothing for certain
	if c.by != "" && h.By != c.by && !wordless {
		t.Errorf("refused by %q, want %q: %s", h.By, c.by, h.Sentence)
	}
	if c.named = names(h, want); !c.named && (c.by == "gateway" || h.Code == "") {
		t.Errorf("named %s, want %s: %s", h.Code, want, h.Sentence)
	}
	for _, v := range h.Verdicts {
		if !v.Accepted && !v.Undecided && (v.Reason == "" || v.Remedy == "" || vague(v.Reason)) {
			t.Errorf("a verdict without reason or remedy: %+v", v)
		}
		if v.KnownBy == callflow.Inferred && !v.Accepted && v.Code == "" {
			t.Errorf("a cause without a code: %+v", v)
		}
	}
}

// vague reports a sentence that says nothing.
func vague(s string) bool {
	s = strings.Trim(strings.ToLower(s), " .!")
	return s == "handshake error" || s == "handshake failed" || s == "handshake failure" || s == "tls error" || strings.HasSuffix(s, ": handshake error")
}

// endedAtEachStep lets the peer fall silent, close or reset after each number of its records.
func endedAtEachStep(t *testing.T) map[string][]string {
	const most = 12
	type place struct {
		i, server, version, records int
	}
	var order []place
	for i := range endings {
		for server := range 2 {
			for v := range 2 {
				for n := range most {
					order = append(order, place{i, server, v, n})
				}
			}
		}
	}
	results := make([]*callflow.Handshake, len(order))
	t.Run("ended", func(t *testing.T) {
		for k, p := range order {
			t.Run(fmt.Sprintf("%s after %d records, %d, %d", endings[p.i].name, p.records, p.server, p.version), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					s := newStage(t, p.server == 1, []uint16{tls.VersionTLS12, tls.VersionTLS13}[p.version])
					s.cut = func(nc *memnet.Conn) net.Conn {
						c := &cutConn{Conn: nc, records: p.records, end: endings[p.i].end}
						return c
					}
					results[k] = s.run()
				})
				if h := results[k]; h.Failed() {
					if h.Remedy == "" || vague(h.Sentence) || !names(h, endings[p.i].want) && !names(h, trust.ClosedWithoutAlert) && !names(h, trust.Reset) {
						t.Errorf("%s: %s", h.Code, h.Sentence)
					}
				}
			})
		}
	})
	lines := map[string][]string{}
	for k, p := range order {
		h := results[k]
		if h == nil || !h.Failed() || len(h.Verdicts) == 0 {
			continue
		}
		role := []string{"client", "server"}[p.server]
		for _, v := range h.Verdicts {
			if !v.Accepted && !v.Undecided && v.KnownBy != callflow.Inferred {
				line := fmt.Sprintf("| %s | %s | `%s` | %s |", role, []string{"1.2", "1.3"}[p.version], v.Code, v.Reason)
				if name := endings[p.i].name; !slices.Contains(lines[name], line) {
					lines[name] = append(lines[name], line)
				}
				break
			}
		}
	}
	for _, e := range endings {
		if len(lines[e.name]) < 8 {
			t.Errorf("%s: only %d different places", e.name, len(lines[e.name]))
		}
	}
	return lines
}

// drawFaults writes the page.
func drawFaults(rows [][]*cell, steps map[string][]string) []byte {
	var b strings.Builder
	staged, right, cannot := 0, 0, 0
	for _, row := range rows {
		for _, c := range row {
			switch {
			case c.no != "":
				cannot++
			case c.named:
				right++
				fallthrough
			default:
				staged++
			}
		}
	}
	fmt.Fprintf(&b, `# Faults of TLS handshakes

<!-- Made by TestFaults in internal/recorder. -->

What the gateway says of each fault, as the tests stage it, with the other side in Go: as client, when it calls, and as server, when it is called; when
it refuses the other side, and when the other side refuses it; under TLS 1.2 and 1.3. Of %d cells %d are staged, and in %d of them the fault is named,
as the reason or among the likely causes; %d cannot be, and say why. When the gateway refuses, the reason is exact. When the peer does, the reason
quotes what it sent, and causes are inferred from our own certificate and offer: never as certain, and only with their evidence.
What stands behind an alert that names nothing, and that nothing on our side explains, only the peer's log can tell.

[handshakes.md](../operate/handshakes.md) says how to find the record of a handshake.

`, staged+cannot, staged, right, cannot)
	for i, f := range faults {
		fmt.Fprintf(&b, "## %s\n\n", strings.ToUpper(f.name[:1])+f.name[1:])
		fmt.Fprintf(&b, "Code `%s`.\n\n| we are | TLS | refuses | known by | verdict | remedy |\n|---|---|---|---|---|---|\n", f.want)
		said := map[string]bool{}
		for _, c := range rows[i] {
			if c.no != "" {
				if line := fmt.Sprintf("| %s | | %s | | cannot be: %s | |\n", c.role, c.by, c.no); !said[line] {
					b.WriteString(line)
					said[line] = true
				}
				continue
			}
			for _, v := range c.h.Verdicts {
				if v.Accepted || v.Undecided {
					continue
				}
				fmt.Fprintf(&b, "| %s | %s | %s | %s | `%s`: %s | %s |\n", c.role, c.version, c.by, v.KnownBy, v.Code, v.Reason, v.Remedy)
			}
		}
		b.WriteByte('\n')
	}
	for _, e := range endings {
		fmt.Fprintf(&b, "## %s at each step\n\nCode `%s`.\n\n| we are | TLS | code | verdict |\n|---|---|---|---|\n%s\n\n", strings.ToUpper(e.name[:1])+e.name[1:], e.want,
			strings.Join(steps[e.name], "\n"))
	}
	b.WriteString("## All codes\n\nThe same words stand in the log, in the metric `sallyport_connections_refused_total`, in the API and in the ladder. The last column is what\na caller may hear of it when its call fails for it, in the Warning of the 503.\n\n| code | to a caller: the next hop cannot be used, … |\n|---|---|\n")
	for _, code := range trust.Codes() {
		if code != trust.NotJudged {
			fmt.Fprintf(&b, "| `%s` | %s |\n", code, trust.Public(code))
		}
	}
	return changing.ReplaceAllFunc([]byte(b.String()), func(found []byte) []byte {
		if bytes.HasPrefix(found, []byte(`"`)) {
			return []byte(`"root.crl"`)
		}
		return []byte("…")
	})
}

// changing is what is another each time the page is made: the place of a file, the sum of a key, and a fingerprint.
var changing = regexp.MustCompile(`"[^"|]*root\.crl"|sha256/[A-Za-z0-9+/]{43}=|([0-9A-F]{2}:){31}[0-9A-F]{2}`)
