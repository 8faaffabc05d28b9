package trust_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/memnet"
	"github.com/sallyport-sip/sallyport/internal/testca"
	"github.com/sallyport-sip/sallyport/internal/trust"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares got with a file under testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := "testdata/" + name
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	gotLines, wantLines := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range max(len(gotLines), len(wantLines)) {
		var g, w string
		if i < len(gotLines) {
			g = gotLines[i]
		}
		if i < len(wantLines) {
			w = wantLines[i]
		}
		if g != w {
			t.Fatalf("%s:%d:\ngot  %s\nwant %s\n(-update rewrites it)", path, i+1, g, w)
		}
	}
}

// story writes the verdicts of one handshake as the golden has them.
type story struct{ strings.Builder }

func (s *story) add(title string, verdicts []trust.Verdict) {
	fmt.Fprintf(s, "== %s ==\n", title)
	for _, v := range verdicts {
		word := "refused"
		if v.Accepted {
			word = "accepted"
		} else if v.Code == trust.NotJudged {
			word = "did not judge"
		}
		fmt.Fprintf(s, "%s %s (%s) %s: %s\n", v.By, word, v.KnownBy, v.Code, v.Reason)
		if v.Remedy != "" {
			fmt.Fprintf(s, "    remedy: %s\n", v.Remedy)
		}
	}
	s.WriteByte('\n')
}

// Every refusal of ours, over real handshakes in both roles and versions. The clock is that of a bubble, so dates in the
// golden are fixed.
func TestRefusalsByTheGateway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		issuer := w.root.Intermediate("Lab Issuer")
		old := w.root.Intermediate("Old Issuer", testca.Expired())
		deep := w.root
		for i := range 6 {
			deep = deep.Intermediate(fmt.Sprintf("Level %d", i+1))
		}
		leaf := w.root.Leaf("leaf.example")
		w.identity(issuer.Leaf("gw.example"))
		set := w.load()
		var s story
		for _, tt := range []struct {
			name string
			leaf *testca.Leaf
		}{
			{"unknown CA", testca.New("Rogue Root").Leaf("acme.example")},
			{"self-signed", testca.SelfSigned("acme.example")},
			{"expired", w.root.Leaf("acme.example", testca.Expired())},
			{"not yet valid", w.root.Leaf("acme.example", testca.NotYetValid())},
			{"expired intermediate", old.Leaf("acme.example")},
			{"missing intermediate", issuer.Leaf("acme.example").Alone()},
			{"unknown intermediate not sent", w.root.Intermediate("Hidden Issuer").Leaf("acme.example").Alone()},
			{"root of the same name", testca.New("Lab Root").Leaf("acme.example")},
			{"sent chain ends nowhere", testca.New("Rogue Root").Intermediate("Rogue Issuer").Leaf("acme.example")},
			{"sent chain ends in a root", withIssuer(testca.New("Rogue Root"), "acme.example")},
			{"signed by a leaf", withIssuer(&testca.CA{Cert: leaf.Cert(), Key: leaf.Key}, "acme.example")},
			{"no name at all", w.root.Leaf("\x1b[31mred\nline", testca.CommonNameOnly())},
			{"other name", w.root.Leaf("other.example", testca.URI("sip:other.example"))},
			{"common name only", w.root.Leaf("acme.example", testca.CommonNameOnly())},
			{"wrong usage", w.root.Leaf("acme.example", testca.Usages(x509.ExtKeyUsageCodeSigning))},
			{"too deep", deep.Leaf("acme.example")},
		} {
			for _, v := range versions {
				title := fmt.Sprintf("%s, %s", tt.name, tls.VersionName(v))
				c, _ := meet(t, set.ClientConfig("acme"), foreign(tt.leaf, v))
				s.add("we call: "+title, c.explain(trust.Client))
				_, e := meet(t, foreign(tt.leaf, v), set.ServerConfig("outside"))
				if e.err == nil { // a listener asks for no name: the peer's own policy does
					_, e.err = set.VerifyPeer("acme", e.state.PeerCertificates, trust.Client)
				}
				s.add("we are called: "+title, e.explain(trust.Server))
				if c.err == nil || e.err == nil {
					t.Errorf("%s: accepted (%v, %v)", title, c.err, e.err)
				}
			}
		}
		for _, v := range versions {
			_, e := meet(t, foreign(nil, v), set.ServerConfig("outside"))
			s.add("we are called: no certificate, "+tls.VersionName(v), e.explain(trust.Server))
		}
		golden(t, "refused_by_gateway.txt", s.String())
	})
}

// withIssuer mints a leaf that carries its issuer's certificate, whatever that is.
func withIssuer(ca *testca.CA, name string) *testca.Leaf {
	l := ca.Leaf(name)
	l.Chain = append(l.Chain, ca.Cert)
	return l
}

// Every refusal by the peer that we can find a cause for, and some that we cannot.
func TestRefusalsByThePeer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		peer := w.root.Leaf("acme", testca.URI("sip:acme.example"))
		var s story
		for _, tt := range []struct {
			name     string
			identity *testca.Leaf
			pool     *testca.CA // whom the peer trusts
		}{
			{"peer does not know our CA", w.root.Leaf("gw.example"), testca.New("Peer's Root")},
			{"self-signed", testca.SelfSigned("gw.example"), testca.New("Peer's Root")},
			{"wrong usage", w.root.Leaf("gw.example", testca.Usages(x509.ExtKeyUsageCodeSigning)), w.root},
			{"expires on the way", w.root.Leaf("gw.example", testca.Valid(-time.Hour, 7*time.Hour)), w.root},
		} {
			w.identity(tt.identity)
			set := w.load()
			time.Sleep(2 * time.Hour)
			for _, v := range versions {
				server := foreign(peer, v)
				server.ClientAuth, server.ClientCAs = tls.RequireAndVerifyClientCert, tt.pool.Pool()
				c, _ := meet(t, set.ClientConfig("acme"), server)
				s.add(fmt.Sprintf("we call: %s, %s", tt.name, tls.VersionName(v)), c.explain(trust.Client))

				client := foreign(peer, v)
				client.InsecureSkipVerify, client.RootCAs = false, tt.pool.Pool()
				_, e := meet(t, client, set.ServerConfig("outside"))
				s.add(fmt.Sprintf("we are called: %s, %s", tt.name, tls.VersionName(v)), e.explain(trust.Server))
			}
		}
		w.identity(w.root.Leaf("gw.example"))
		for _, v := range versions {
			client := foreign(peer, v)
			client.InsecureSkipVerify, client.RootCAs, client.ServerName = false, w.root.Pool(), "elsewhere.example"
			_, e := meet(t, client, w.load().ServerConfig("outside"))
			s.add("we are called: by another name, "+tls.VersionName(v), e.explain(trust.Server))

			server := foreign(peer, v)
			server.ClientAuth = tls.RequireAnyClientCert
			server.VerifyConnection = func(tls.ConnectionState) error { return errors.New("no") }
			c, _ := meet(t, w.load().ClientConfig("acme"), server)
			s.add("we call: no reason, "+tls.VersionName(v), c.explain(trust.Client))
		}
		w.cfg.Peers[0].Identity, w.cfg.Listeners[0].Identity = "nothing", "nothing"
		set := w.load()
		for _, v := range versions {
			server := foreign(peer, v)
			server.ClientAuth = tls.RequireAnyClientCert
			c, _ := meet(t, set.ClientConfig("acme"), server)
			s.add("we call: nothing to show, "+tls.VersionName(v), c.explain(trust.Client))
		}
		golden(t, "refused_by_peer.txt", s.String())
	})
}

// Versions, suites, plain text, silence and closed connections.
func TestHandshakesThatNeverCameToCertificates(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		set := w.load()
		var s story
		old := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
		_, e := meet(t, old, set.ServerConfig("outside"))
		s.add("we are called: TLS 1.1", e.explain(trust.Server))
		old = &tls.Config{Certificates: []tls.Certificate{w.root.Leaf("acme.example").TLS()}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
		c, _ := meet(t, set.ClientConfig("acme"), old)
		s.add("we call: TLS 1.1", c.explain(trust.Client))
		suites := foreign(nil, tls.VersionTLS12)
		suites.CipherSuites = []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA, tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA}
		_, e = meet(t, suites, set.ServerConfig("outside"))
		s.add("we are called: old suites", e.explain(trust.Server))
		wrongKey := w.root.Leaf("acme.example").TLS()
		wrongKey.PrivateKey = testca.SelfSigned("x.example").Key
		c, _ = meet(t, set.ClientConfig("acme"), &tls.Config{Certificates: []tls.Certificate{wrongKey}})
		s.add("we call: wrong key", c.explain(trust.Client))

		for _, tt := range []struct {
			name string
			say  string
			then func(*memnet.Conn)
		}{
			{"plain SIP", "OPTIONS sip:gw.example SIP/2.0\r\n", (*memnet.Conn).Reset},
			{"plain answer", "SIP/2.0 400 Bad Request\r\n", (*memnet.Conn).Reset},
			{"keep-alive", "\r\n\r\n\r\n\r\n", (*memnet.Conn).Reset},
			{"noise", "\x00\x01\x02\x03\x04\x05\x06\x07", (*memnet.Conn).Reset},
			{"closed", "", func(c *memnet.Conn) { c.Close() }},
			{"closed in the middle", "\x16\x03\x01", func(c *memnet.Conn) { c.CloseWrite() }},
			{"reset", "", (*memnet.Conn).Reset},
			{"silence", "", func(*memnet.Conn) {}},
			{"unknown alert", "\x15\x03\x03\x00\x02\x02\xc8", (*memnet.Conn).Reset},
		} {
			for _, we := range []trust.Role{trust.Client, trust.Server} {
				near, far := memnet.Pipe(memnet.Options{})
				near.SetDeadline(time.Now().Add(10 * time.Second))
				go func() {
					io.WriteString(far, tt.say)
					time.Sleep(time.Second)
					tt.then(far)
				}()
				conn, title := tls.Client(near, set.ClientConfig("acme")), "we call: "
				if we == trust.Server {
					conn, title = tls.Server(near, set.ServerConfig("outside")), "we are called: "
				}
				e := talk(t.Context(), near, conn)
				s.add(title+tt.name, e.explain(we))
				far.Close()
				time.Sleep(time.Second)
			}
		}
		golden(t, "no_handshake.txt", s.String())
	})
}

func TestExplainWhatIsNotTLS(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	_, refused := net.Dial("tcp", l.Addr().String())
	for _, tt := range []struct {
		err  error
		code trust.Code
		by   string
	}{
		{refused, trust.ConnectionRefused, "peer"},
		{errors.New("no route to host"), trust.Unexplained, "peer"},
		{fmt.Errorf("listener x: %w", trust.Refuse(trust.TLSOnPlain, "")), trust.TLSOnPlain, "gateway"},
	} {
		verdicts := trust.Explain(tt.err, trust.Client, trust.Facts{})
		found := false
		for _, v := range verdicts {
			found = found || v.By == tt.by && v.Code == tt.code && !v.Accepted
		}
		if !found || len(verdicts) != 2 {
			t.Errorf("%v: %+v", tt.err, verdicts)
		}
	}
}

// A connection that did not come up has no handshake to speak of.
func TestExplainDial(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err   error
		code  trust.Code
		words string
	}{
		{os.NewSyscallError("connect", syscall.ECONNREFUSED), trust.ConnectionRefused, "nothing listens there"},
		{os.NewSyscallError("connect", syscall.EHOSTUNREACH), trust.Unreachable, "no way leads there: connect: "},
		{fmt.Errorf("from 192.0.2.1: %w", syscall.EADDRNOTAVAIL), trust.Unreachable, "from 192.0.2.1"},
		{os.ErrDeadlineExceeded, trust.NoAnswer, "nobody answers there"},
		{errors.New("something else"), trust.Unexplained, "something else"},
	} {
		v := trust.ExplainDial(tt.err)
		if v.Code != tt.code || !strings.Contains(v.Reason, tt.words) || v.Remedy == "" || v.By != "peer" || v.Accepted {
			t.Errorf("%v: %+v, want %s with %q", tt.err, v, tt.code, tt.words)
		}
	}
}

// What is written in the record of a call about a next hop says no more than the error does.
func TestCodeOfHop(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		code trust.Code
	}{
		{nil, ""},
		{fmt.Errorf("dial tcp 192.0.2.1:5060: %w", os.NewSyscallError("connect", syscall.ECONNREFUSED)), trust.ConnectionRefused},
		{os.NewSyscallError("connect", syscall.ETIMEDOUT), trust.NoAnswer},
		{os.NewSyscallError("connect", syscall.ENETUNREACH), trust.Unreachable},
		{trust.Refuse(trust.Expired, ""), trust.Expired},
		{context.DeadlineExceeded, ""},
		{syscall.ECONNRESET, ""},
		{errors.New("no such host"), ""},
	} {
		if code := trust.CodeOfHop(tt.err); code != tt.code {
			t.Errorf("%v: %q, want %q", tt.err, code, tt.code)
		}
	}
}

// As a TLS 1.3 client we cannot know that we are accepted until the server says something.
func TestClientOf13WaitsForItsVerdict(t *testing.T) {
	t.Parallel()
	st := &tls.ConnectionState{Version: tls.VersionTLS13}
	for _, tt := range []struct {
		we    trust.Role
		facts trust.Facts
		known trust.KnownBy
	}{
		{trust.Client, trust.Facts{State: st}, trust.Unknown},
		{trust.Client, trust.Facts{State: st, PeerSpoke: true}, trust.Inferred},
		{trust.Client, trust.Facts{State: &tls.ConnectionState{Version: tls.VersionTLS12}}, trust.Inferred},
		{trust.Server, trust.Facts{State: st}, trust.Inferred},
	} {
		v := trust.Explain(nil, tt.we, tt.facts)
		if len(v) != 2 || !v[0].Accepted || v[1].KnownBy != tt.known || v[1].Accepted != (tt.known == trust.Inferred) {
			t.Errorf("%v %+v: %+v", tt.we, tt.facts, v)
		}
	}
}

func TestUsages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	set := w.load()
	for _, tt := range []struct {
		name           string
		opt            testca.Option
		client, server bool
	}{
		{"both", testca.Usages(x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth), true, true},
		{"no extension", testca.Usages(), true, true},
		{"any", testca.Usages(x509.ExtKeyUsageAny), true, true},
		{"sipDomain", testca.UsageOID(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 20}), true, true},
		{"other", testca.UsageOID(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 21}), false, false},
		{"client", testca.Usages(x509.ExtKeyUsageClientAuth), true, false},
		{"server", testca.Usages(x509.ExtKeyUsageServerAuth), false, true},
	} {
		chain := w.root.Leaf("acme.example", tt.opt).Chain
		for role, want := range map[trust.Role]bool{trust.Client: tt.client, trust.Server: tt.server} {
			_, err := set.VerifyPeer("acme", chain, role)
			if r, ok := errors.AsType[*trust.Refusal](err); (err == nil) != want || err != nil && (!ok || r.Code != trust.WrongUsage) {
				t.Errorf("%s as a %v: %v", tt.name, role, err)
			}
		}
	}
	if _, err := set.VerifyPeer("nobody", nil, trust.Client); err == nil {
		t.Error("nobody was verified")
	}
}

// A policy without names refuses: a check cannot be left out by leaving a field empty.
func TestPolicyWithoutNamesRefuses(t *testing.T) {
	t.Parallel()
	root := testca.New("Lab Root")
	anchors, err := trust.NewAnchors(`"lab"`, []*x509.Certificate{root.Cert}, false)
	if err != nil {
		t.Fatal(err)
	}
	p := trust.Policy{Who: `peer "acme"`, Anchors: anchors, Rules: new(config.Config).PolicyOf("")}
	chain := root.Leaf("acme.example").Chain
	if _, err := p.Verify(chain, trust.Client); err == nil {
		t.Error("accepted without a name to compare")
	}
	p.AnyName = true
	if _, err := p.Verify(chain, trust.Client); err != nil {
		t.Error(err)
	}
}

// crypto/tls does not export the type of a received alert. This pins what we rely on: a *net.OpError of "remote error",
// with the text of the tls.AlertError of the same number.
func TestAlertsAreToldByTheirText(t *testing.T) {
	t.Parallel()
	texts := map[string]bool{}
	for n := 1; n < 256; n++ {
		text := tls.AlertError(n).Error()
		if texts[text] {
			t.Errorf("two alerts have the text %q", text)
		}
		texts[text] = true
	}
	set := newWorld(t).load()
	for n, name := range map[byte]string{
		40: "handshake_failure", 42: "bad_certificate", 43: "unsupported_certificate", 44: "certificate_revoked",
		45: "certificate_expired", 46: "certificate_unknown", 48: "unknown_ca", 49: "access_denied", 51: "decrypt_error",
		70: "protocol_version", 71: "insufficient_security", 80: "internal_error", 112: "unrecognized_name",
		116: "certificate_required", 120: "no_application_protocol",
	} {
		near, far := memnet.Pipe(memnet.Options{})
		if _, err := far.Write([]byte{21, 3, 3, 0, 2, 2, n}); err != nil {
			t.Fatal(err)
		}
		e := talk(t.Context(), near, tls.Client(near, set.ClientConfig("acme")))
		op, ok := errors.AsType[*net.OpError](e.err)
		if !ok || op.Op != "remote error" || op.Err.Error() != tls.AlertError(n).Error() {
			t.Errorf("alert %d arrives as %v", n, e.err)
		}
		v := e.explain(trust.Client)
		if want := fmt.Sprintf("alert %d %s", n, name); v[1].KnownBy != trust.ByAlert || !strings.Contains(v[1].Reason, want) {
			t.Errorf("alert %d: %+v, want %q", n, v[1], want)
		}
	}
}
