package cli

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/memnet"
	"github.com/sallyport-sip/sallyport/internal/probe"
	"github.com/sallyport-sip/sallyport/internal/testca"
	"github.com/sallyport-sip/sallyport/internal/testdns"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

var (
	pbxAt  = netip.MustParseAddrPort("192.0.2.1:5061")
	deadAt = netip.MustParseAddrPort("192.0.2.9:5061")
	dnsAt  = netip.MustParseAddrPort("192.0.2.53:53")
	ourAt  = netip.MustParseAddr("192.0.2.200")
)

// lab is a network with an authority, a server and the files of a probe.
type lab struct {
	*testing.T
	net    *memnet.Network
	ca     *testca.CA
	target probe.Target
	zone   []string
	config string // a file of a configuration; then peer is probed
	peer   string
	width  int
}

const (
	oursURI = "sip:gw.example"
	pbxURI  = "sip:pbx.example"
)

func newLab(t *testing.T) *lab {
	l := &lab{T: t, net: memnet.New(memnet.Options{Delay: time.Millisecond}), ca: testca.New("lab-ca"), width: 80}
	l.file("ca.pem", l.ca.PEM())
	ours := l.ca.Leaf("gw", testca.URI(oursURI))
	l.file("gw.pem", ours.PEM())
	l.file("gw-key.pem", ours.KeyPEM())
	l.target = probe.Target{Trust: []string{"ca.pem"}, Names: []string{"pbx.example"}, Cert: "gw.pem", Key: "gw-key.pem"}
	l.uri("sip:192.0.2.1:5061;transport=tls")
	return l
}

func (l *lab) uri(text string) {
	uri, err := config.ParseURI(text)
	if err != nil {
		l.Fatal(err)
	}
	l.target.URI = uri
}

func (l *lab) file(name string, data []byte) {
	if err := os.WriteFile(name, data, 0o600); err != nil {
		l.Fatal(err)
	}
}

// leaf is the server's good certificate, with what makes it another one.
func (l *lab) leaf(o ...testca.Option) *testca.Leaf {
	return l.ca.Leaf("pbx", append([]testca.Option{testca.URI(pbxURI)}, o...)...)
}

// mutual is how the server speaks TLS when it wants a certificate of ours.
func (l *lab) mutual(leaf *testca.Leaf) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{leaf.TLS()}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: l.ca.Pool(), DynamicRecordSizingDisabled: true}
}

// serve runs a server that answers OPTIONS.
func (l *lab) serve(t transport.Transport, at netip.AddrPort, cfg *tls.Config, answer func(*ua.Request)) {
	if answer == nil {
		answer = func(r *ua.Request) {
			_ = r.Reply(200, ua.Header("Allow", "INVITE, ACK, BYE, CANCEL, OPTIONS"), ua.Header("Supported", "timer, 100rel"), ua.Header("Server", "Lab PBX 1.0"))
		}
	}
	srv := &ua.Server{Handler: ua.Methods{sip.OPTIONS: answer}, Network: l.net, Shards: 1}
	if err := srv.Start(); err != nil {
		l.Fatal(err)
	}
	if _, err := srv.Listen(transport.ListenConfig{Transport: t, Addr: at, TLS: cfg}); err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = srv.Close(ctx)
	})
}

// raw runs a server that does with each connection what f does.
func (l *lab) raw(f func(net.Conn)) {
	ln, err := l.net.Listen(l.Context(), pbxAt)
	if err != nil {
		l.Fatal(err)
	}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				f(c)
			}()
		}
	}()
	l.Cleanup(func() {
		ln.Close()
		time.Sleep(time.Second) // until the ends of connections have arrived
	})
}

// run probes.
func (l *lab) run() *probe.Report {
	l.Helper()
	o := probe.Options{Network: l.net, Timeout: 2 * time.Second, Agent: "probe", Source: ourAt, Target: l.config == "", Open: l.target.URI.Open && len(l.target.Trust) == 0}
	cfg, name := l.target.Config(), l.target.URI.Host
	if l.config != "" {
		var problems []config.Problem
		if cfg, problems = config.Parse("sallyport.yaml", []byte(l.config)); len(problems) > 0 {
			l.Fatal(problems)
		}
		name = l.peer
	}
	if l.zone != nil {
		testdns.Start(l, l.net, dnsAt, l.zone...)
		cfg.Resolver.Servers = []config.NameServer{{AddrPort: dnsAt}}
		o.DialDNS = testdns.Dial(l.net)
	}
	p, problems := probe.New(cfg, o)
	if len(problems) > 0 {
		l.Fatal(problems)
	}
	defer p.Close()
	r, err := p.Run(l.Context(), name)
	if err != nil {
		l.Fatal(err)
	}
	return r
}

// drawn is the page of a report.
func (l *lab) drawn(r *probe.Report) string {
	var out bytes.Buffer
	a := &app{stdout: &out, stderr: &out, colour: "never", getenv: func(k string) string {
		return map[string]string{"COLUMNS": fmt.Sprint(l.width)}[k]
	}}
	(&probing{app: a}).draw(r)
	return sums.ReplaceAllString(out.String(), "(fingerprint)")
}

// sums are what keys make different each time.
var sums = regexp.MustCompile(`\b[0-9a-f]{64}\b`)

const peersFile = `
identities: {gateway: {certificate: gw.pem, key: gw-key.pem}}
trust: {lab: {files: [ca.pem]}}
defaults: {identity: gateway, trust: [lab]}
listeners: {outside: {listen: "tls:192.0.2.200:5061", advertise: "gw.example:5061"}}
profiles: {strict: {sips: required, connection: {ping: required}}}
peers:
  pbx: {uri: "sips:192.0.2.1:5061", certificate_names: [pbx.example], profile: strict}
  office: {uri: "sips:192.0.2.8:5061", certificate_names: [office.example]}
routes: [{from: [office], to: [pbx]}]
`

// staged are the servers, each with the golden of its name.
var staged = []struct {
	name  string
	code  string // of the report; empty: all is well
	stage func(l *lab)
}{
	{"good-tls13", "", func(l *lab) { l.serve(transport.TLS, pbxAt, l.mutual(l.leaf()), nil) }},
	{"good-tls12-wide", "", func(l *lab) {
		l.target.Version, l.width = config.TLS12, 140
		l.serve(transport.TLS, pbxAt, l.mutual(l.leaf()), nil)
	}},
	{"expired", "expired", func(l *lab) { l.serve(transport.TLS, pbxAt, l.mutual(l.leaf(testca.Expired())), nil) }},
	{"wrong-name", "name_mismatch", func(l *lab) {
		l.serve(transport.TLS, pbxAt, l.mutual(l.ca.Leaf("other", testca.URI("sip:other.example", "sips:pbx.example"), testca.DNS("pbx.example"))), nil)
	}},
	{"unknown-ca-and-wrong-name", "unknown_ca", func(l *lab) {
		other := testca.New("other-ca")
		l.serve(transport.TLS, pbxAt, l.mutual(other.Intermediate("other-sub").Leaf("pbx", testca.URI("sip:other.example"))), nil)
	}},
	{"self-signed", "self_signed", func(l *lab) {
		l.serve(transport.TLS, pbxAt, l.mutual(testca.SelfSigned("pbx", testca.URI(pbxURI))), nil)
	}},
	{"chain-without-intermediate", "unknown_ca", func(l *lab) {
		l.serve(transport.TLS, pbxAt, l.mutual(l.ca.Intermediate("sub").Leaf("pbx", testca.URI(pbxURI)).Alone()), nil)
	}},
	{"our-certificate-missing-tls13", "no_client_certificate", func(l *lab) {
		l.target.Cert, l.target.Key = "", ""
		l.serve(transport.TLS, pbxAt, l.mutual(l.leaf()), nil)
	}},
	{"our-certificate-missing-tls12", "alert", func(l *lab) {
		l.target.Cert, l.target.Key, l.target.Version = "", "", config.TLS12
		l.serve(transport.TLS, pbxAt, l.mutual(l.leaf()), nil)
	}},
	{"our-certificate-not-asked-for", "", func(l *lab) {
		l.serve(transport.TLS, pbxAt, &tls.Config{Certificates: []tls.Certificate{l.leaf().TLS()}}, nil)
	}},
	{"plain-sip-on-tls-port", "tls_on_plain", func(l *lab) { l.serve(transport.TCP, pbxAt, nil, nil) }},
	{"tls-on-plain-port", "plain_text_on_tls", func(l *lab) {
		l.uri("sip:192.0.2.1:5061;transport=tcp")
		l.serve(transport.TLS, pbxAt, l.mutual(l.leaf()), nil)
	}},
	{"silent", "stalled", func(l *lab) {
		l.raw(func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	}},
	{"nothing-listens", "connection_refused", func(*lab) {}},
	{"dead-first-address", "", func(l *lab) {
		l.uri("sips:pbx.example")
		l.net.Darken(deadAt.Addr())
		l.zone = []string{
			"_sips._tcp.pbx.example. 60 IN SRV 10 0 5061 a.pbx.example.", "_sips._tcp.pbx.example. 60 IN SRV 20 0 5061 b.pbx.example.",
			"a.pbx.example. 60 IN A 192.0.2.9", "b.pbx.example. 60 IN A 192.0.2.1",
		}
		l.serve(transport.TLS, pbxAt, l.mutual(l.leaf()), nil)
	}},
	{"naptr-chooses", "", func(l *lab) {
		l.target = probe.Target{}
		l.uri("sip:pbx.example")
		l.zone = []string{
			`pbx.example. 60 IN NAPTR 10 10 "s" "SIP+D2T" "" _sip._tcp.pbx.example.`, `pbx.example. 60 IN NAPTR 20 10 "s" "SIP+D2U" "" _sip._udp.pbx.example.`,
			"_sip._tcp.pbx.example. 60 IN SRV 10 0 5061 a.pbx.example.", "a.pbx.example. 60 IN A 192.0.2.1",
		}
		l.serve(transport.TCP, pbxAt, nil, nil)
	}},
	{"no-such-name", "unresolved", func(l *lab) {
		l.uri("sips:nobody.example")
		l.zone = []string{"pbx.example. 60 IN A 192.0.2.1"}
	}},
	{"udp", "", func(l *lab) {
		l.target = probe.Target{}
		l.uri("sip:192.0.2.1:5061")
		l.serve(transport.UDP, pbxAt, nil, nil)
	}},
	{"udp-silent-tcp-answers", "no_response", func(l *lab) {
		l.target = probe.Target{}
		l.uri("sip:192.0.2.1:5061")
		l.serve(transport.TCP, pbxAt, nil, nil)
	}},
	{"challenge", "", func(l *lab) {
		l.serve(transport.TLS, pbxAt, l.mutual(l.leaf()), func(r *ua.Request) {
			_ = r.Reply(401, ua.Header("WWW-Authenticate", `Digest realm="pbx.example", nonce="abc", algorithm=SHA-256, qop="auth"`))
		})
	}},
	{"out-of-service", "out_of_order", func(l *lab) {
		l.serve(transport.TLS, pbxAt, l.mutual(l.leaf()), func(r *ua.Request) { _ = r.Reply(503, ua.Header("Retry-After", "120")) })
	}},
	{"hostile-text", "bad_answer", func(l *lab) {
		l.target = probe.Target{}
		l.uri("sip:192.0.2.1:5061;transport=tcp")
		l.raw(func(c net.Conn) {
			buf := make([]byte, 4096)
			n, _ := c.Read(buf)
			var via, from, to, id, seq string
			for line := range strings.Lines(string(buf[:n])) {
				for name, into := range map[string]*string{"Via": &via, "From": &from, "To": &to, "Call-ID": &id, "CSeq": &seq} {
					if strings.HasPrefix(line, name+":") {
						*into = line
					}
				}
			}
			_, _ = io.WriteString(c, "SIP/2.0 200 \x1b[31mOK\r\n"+via+from+to+id+seq+"Server: \x1b]0;owned\x07 PBX\x9b\u009b31m\r\nAllow: "+
				strings.Repeat("X-\x1b[2J,", 100)+"INVITE\r\nContent-Length: 0\r\n\r\n")
			_, _ = io.Copy(io.Discard, c)
		})
	}},
	{"no-sip", "not_sip", func(l *lab) {
		l.target = probe.Target{}
		l.uri("sip:192.0.2.1:5061;transport=tcp")
		l.raw(func(c net.Conn) {
			_, _ = io.WriteString(c, "220 mail.example ESMTP \x1b[31m\r\n\r\n500 what\r\n\r\n")
			_, _ = io.Copy(io.Discard, c)
		})
	}},
	{"answer-to-another-request", "bad_answer", func(l *lab) {
		l.uri("sip:192.0.2.1:5061;transport=tcp")
		l.raw(func(c net.Conn) {
			optionsAnswered(c, func(answer string) string { return strings.Replace(answer, "branch=z9hG4bK", "branch=z9hG4bKother", 1) })
		})
	}},
	{"answer-without-end", "bad_answer", func(l *lab) {
		l.uri("sip:192.0.2.1:5061;transport=tcp")
		l.raw(func(c net.Conn) {
			optionsAnswered(c, func(answer string) string {
				return strings.Replace(answer, "\r\n\r\n", "\r\n"+strings.Repeat("X-Long: "+strings.Repeat("x", 1000)+"\r\n", 200), 1)
			})
		})
	}},
	{"peer-meets-all", "", func(l *lab) {
		l.config, l.peer = peersFile, "pbx"
		l.serve(transport.TLS, pbxAt, l.mutual(l.leaf()), nil)
	}},
	{"peer-misses-some", "unfulfilled", func(l *lab) {
		l.config, l.peer = peersFile, "pbx"
		cfg := &tls.Config{Certificates: []tls.Certificate{l.leaf().TLS()}}
		l.raw(func(c net.Conn) { optionsOnly(tls.Server(c, cfg)) })
	}},
}

// optionsOnly answers OPTIONS, and nothing to a keep-alive.
func optionsOnly(c net.Conn) { optionsAnswered(c, func(answer string) string { return answer }) }

// optionsAnswered answers OPTIONS with what change makes of the right answer.
func optionsAnswered(c net.Conn, change func(string) string) {
	var got []byte
	buf := make([]byte, 4096)
	for !bytes.Contains(got, []byte("\r\n\r\n")) {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		got = append(got, buf[:n]...)
	}
	m, err := sip.Parse(got)
	if err != nil {
		return
	}
	answer := sip.AppendResponse(nil, m, 200, "OK", []byte("x"), sip.Source{})
	answer = bytes.Replace(answer, []byte("Content-Length"), []byte("Allow: INVITE, ACK\r\nContent-Length"), 1)
	_, _ = io.WriteString(c, change(string(answer)))
	_, _ = io.Copy(io.Discard, c)
}

// TestProbePages: what is printed of each staged server, whole. The pages are read by people; a change of them is
// reviewed as one.
func TestProbePages(t *testing.T) {
	golden, err := filepath.Abs("testdata/probe")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range staged {
		t.Run(tt.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t)
				tt.stage(l)
				r := l.run()
				if string(r.Code) != tt.code || r.Well != (tt.code == "") {
					t.Errorf("well %v with code %q, want %q: %s", r.Well, r.Code, tt.code, r.Verdict)
				}
				page := l.drawn(r)
				compare(t, filepath.Join(golden, tt.name+".txt"), page)
				checkPage(t, page, l.width)
				checkDocument(t, r)
			})
		})
	}
}

func compare(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; got:\n%s", filepath.Base(path), got)
	}
}

// checkDocument: the document can be read back, says what the page says, and moves no terminal either.
func checkDocument(t *testing.T, r *probe.Report) {
	t.Helper()
	var out bytes.Buffer
	a := &app{stdout: &out}
	if err := a.writeJSON(documentOf(r)); err != nil {
		t.Fatal(err)
	}
	if i := strings.IndexFunc(out.String(), func(r rune) bool { return r < ' ' && r != '\n' || r >= 0x7f && r < 0xa0 }); i >= 0 {
		t.Errorf("a control character: %q", out.String()[i:min(i+20, out.Len())])
	}
	var doc struct {
		Well    bool
		Verdict string
		Hops    []struct{ Works bool }
	}
	if err := json.Unmarshal(out.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Well != r.Well || !strings.HasPrefix(doc.Verdict, r.Target+" ") || len(doc.Hops) != len(r.Hops) {
		t.Errorf("the document says well %v, %d hops: %q", doc.Well, len(doc.Hops), doc.Verdict)
	}
}

// checkPage holds every page to the same promises: its first line is the answer, it fits its columns, and nothing in it
// moves a terminal.
func checkPage(t *testing.T, page string, width int) {
	t.Helper()
	if first, _, _ := strings.Cut(page, "\n"); !strings.Contains(first, " works") && !strings.Contains(first, " does not work") && !strings.Contains(first, " does\n") && len([]rune(first)) < 60 {
		t.Errorf("the first line is no answer: %q", first)
	}
	for line := range strings.Lines(page) {
		line = strings.TrimSuffix(line, "\n")
		if n := len([]rune(line)); n > width {
			t.Errorf("%d columns: %q", n, line)
		}
		if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }) {
			t.Errorf("a control character: %q", line)
		}
	}
}
