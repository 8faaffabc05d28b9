package interop

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/internal/config"
	product "github.com/sallyport-sip/sallyport/internal/gateway"
	"github.com/sallyport-sip/sallyport/internal/testca"
	"github.com/sallyport-sip/sallyport/internal/testdns"
)

// TestACME has the gateway get its certificate from Let's Encrypt's test CA, by each of the challenges: first while the CA
// is away, then when it comes; has it renewed under a connection that stays; and again after the CA was away. The CA's
// certificates last for 20 seconds, so all of it takes less than a minute.
func TestACME(t *testing.T) {
	build := exec.Command("go", "build", "-o", filepath.Join(t.TempDir(), "pebble"), "github.com/letsencrypt/pebble/v2/cmd/pebble")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("pebble: %v\n%s", err, out)
	}
	for _, challenge := range []string{"http-01", "tls-alpn-01"} {
		t.Run(challenge, func(t *testing.T) {
			t.Parallel()
			testACME(t, challenge, build.Args[3])
		})
	}
}

func testACME(t *testing.T, challenge, binary string) {
	p := newPebble(t, binary)
	g := p.gateway(challenge)
	alarm := func() string {
		for _, a := range g.Alarms() {
			if a.Name == "acme gateway" {
				return a.Text
			}
		}
		return ""
	}

	// Nobody is there yet: handshakes are refused, and everybody can see why.
	p.until("an alarm", func() bool { return strings.Contains(alarm(), "it was asked") })
	for _, want := range []string{`identity "gateway" gets no certificate of https://127.0.0.1:`, " since ", "connection refused", "is asked again at ", "it has none yet"} {
		if !strings.Contains(alarm(), want) {
			t.Errorf("the alarm lacks %q: %s", want, alarm())
		}
	}
	if c, err := p.dial(nil); err == nil {
		c.Close()
		t.Error("a handshake succeeded without a certificate")
	}
	p.until("a line of the log", func() bool { return strings.Contains(p.log.String(), "code=no_certificate_yet") })

	stop := p.start()
	p.until("the first certificate", func() bool { return alarm() == "" })
	roots := p.roots()
	first := p.connect(roots)
	serial := func(c *tls.Conn) string { return c.ConnectionState().PeerCertificates[0].SerialNumber.String() }
	if names := first.ConnectionState().PeerCertificates[0].DNSNames; len(names) != 2 || names[0] != "gw.example" || names[1] != "sip.gw.example" {
		t.Errorf("the certificate is for %v", names)
	}
	p.options(first)
	p.private(filepath.Join(p.dir, "data", "acme"))

	// Renewed: who connects now sees the new one, and who was there stays.
	renewed := func(than string) (c *tls.Conn) {
		p.until("a new certificate", func() bool {
			if c != nil {
				c.Close()
			}
			c = p.connect(roots)
			return serial(c) != than
		})
		return c
	}
	second := renewed(serial(first))
	p.options(first)
	p.options(second)

	// Away, and back with no memory of us.
	stop()
	p.until("an alarm about the renewal", func() bool { return strings.Contains(alarm(), "the one it has can be used until") })
	p.options(second)
	p.start()
	p.until("the end of the alarm", func() bool { return alarm() == "" })
	third, err := p.dial(nil) // the root is another one after the start
	if err != nil {
		t.Fatal(err)
	}
	if serial(third) == serial(second) {
		t.Error("the certificate is the same as before")
	}
	for _, c := range []*tls.Conn{first, second, third} {
		p.options(c)
	}
	if challenge == "tls-alpn-01" && !strings.Contains(p.log.String(), `msg="a CA was answered"`) {
		t.Error("the log does not say that a CA came")
	}
}

// pebble is the CA, and what it needs: its ports, a name server by which our domains lead here.
type pebble struct {
	*testing.T
	binary, dir              string
	listen, manage           string
	tlsPort, httpPort, names string
	ca                       *testca.CA // of the CA's own web server, and of our caller
	caller                   tls.Certificate
	log                      syncLog
}

func newPebble(t *testing.T, binary string) *pebble {
	p := &pebble{T: t, binary: binary, dir: t.TempDir(), listen: freePort(t), manage: freePort(t), ca: testca.New("Test Web CA")}
	_, p.tlsPort, _ = net.SplitHostPort(freePort(t))
	_, p.httpPort, _ = net.SplitHostPort(freePort(t))
	dns := testdns.Start(t, loopback{}, netip.MustParseAddrPort("127.0.0.1:0"), "gw.example. 60 IN A 127.0.0.1", "sip.gw.example. 60 IN A 127.0.0.1")
	p.names = dns.Addr().String()
	server := p.ca.Leaf("localhost", testca.IP("127.0.0.1"))
	p.write("web.pem", server.PEM())
	p.write("web-key.pem", server.KeyPEM())
	p.write("ca.pem", p.ca.PEM())
	p.caller = p.ca.Leaf("acme.example").TLS()
	type object = map[string]any
	port := func(s string) int { return int(netip.MustParseAddrPort("127.0.0.1:" + s).Port()) }
	settings, err := json.Marshal(object{"pebble": object{
		"listenAddress": p.listen, "managementListenAddress": p.manage, "certificate": "web.pem", "privateKey": "web-key.pem",
		"httpPort": port(p.httpPort), "tlsPort": port(p.tlsPort), "keyAlgorithm": "ecdsa", "retryAfter": object{"authz": 1, "order": 1},
		"profiles": object{"default": object{"description": "brief", "validityPeriod": 20}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	p.write("pebble.json", settings)
	return p
}

func (p *pebble) write(name string, data []byte) {
	p.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), data, 0o600); err != nil {
		p.Fatal(err)
	}
}

// start runs the CA until the returned function, or the end of the test.
func (p *pebble) start() (stop func()) {
	p.Helper()
	cmd := exec.Command(p.binary, "-config", "pebble.json", "-dnsserver", p.names)
	cmd.Dir, cmd.Env = p.dir, append(os.Environ(), "PEBBLE_VA_NOSLEEP=1")
	said := new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		p.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if p.Failed() {
			p.Logf("the CA said:\n%s", said)
		}
	})
	p.Cleanup(stop)
	return stop
}

// gateway serves with an identity that the CA is to certify.
func (p *pebble) gateway(challenge string) *product.Gateway {
	p.Helper()
	more := ""
	if challenge == "http-01" {
		more = ", http_listen: \"127.0.0.1:" + p.httpPort + "\""
	}
	text := fmt.Sprintf(`
listeners: {outside: {listen: "tls:127.0.0.1:%s"}}
identities: {gateway: {acme: {domains: [gw.example, sip.gw.example], ca: "https://%s/dir", ca_root: ca.pem, terms_agreed: true, challenge: %s%s}}}
trust: {partners: {files: [ca.pem]}}
defaults: {identity: gateway, trust: [partners]}
peers: {acme: {uri: "sip:127.0.0.1:1;transport=tls", certificate_names: [acme.example]}}
cdr: off
`, p.tlsPort, p.listen, challenge, more)
	cfg, problems := config.Parse(filepath.Join(p.dir, "sallyport.yaml"), []byte(text))
	if len(problems) == 0 {
		problems = product.Check(cfg)
	}
	for _, problem := range problems {
		p.Fatal(problem)
	}
	g, problems := product.New(cfg, product.Options{
		Log:       slog.New(slog.NewTextHandler(&p.log, nil)),
		ACMERetry: func(int) time.Duration { return 300 * time.Millisecond },
	})
	for _, problem := range problems {
		p.Fatal(problem)
	}
	if err := g.Start(); err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := g.Close(ctx); err != nil {
			p.Error(err)
		}
		if p.Failed() {
			p.Logf("the gateway said:\n%s", p.log.String())
		}
	})
	return g
}

// roots is the CA's root.
func (p *pebble) roots() *x509.CertPool {
	p.Helper()
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: p.ca.Pool()}, DisableKeepAlives: true}}
	answer, err := client.Get("https://" + p.manage + "/roots/0")
	if err != nil {
		p.Fatal(err)
	}
	defer answer.Body.Close()
	data, _ := io.ReadAll(answer.Body)
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(data) {
		p.Fatalf("no root: %s", data)
	}
	return roots
}

// dial connects to the gateway as peer acme. Without roots anybody may answer.
func (p *pebble) dial(roots *x509.CertPool) (*tls.Conn, error) {
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: 5 * time.Second}, Config: &tls.Config{
		Certificates: []tls.Certificate{p.caller}, ServerName: "gw.example", RootCAs: roots, InsecureSkipVerify: roots == nil}}
	c, err := d.DialContext(p.Context(), "tcp", "127.0.0.1:"+p.tlsPort)
	if err != nil {
		return nil, err
	}
	p.Cleanup(func() { c.Close() })
	return c.(*tls.Conn), nil
}

func (p *pebble) connect(roots *x509.CertPool) *tls.Conn {
	p.Helper()
	c, err := p.dial(roots)
	if err != nil {
		p.Fatal(err)
	}
	return c
}

// options asks on a connection, and wants 200.
func (p *pebble) options(c *tls.Conn) {
	p.Helper()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(c, "OPTIONS sip:gw.example SIP/2.0\r\nVia: SIP/2.0/TLS acme.example;branch=z9hG4bK%[1]d\r\nFrom: <sip:acme.example>;tag=1\r\n"+
		"To: <sip:gw.example>\r\nCall-ID: %[1]d@acme.example\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n", time.Now().UnixNano())
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "SIP/2.0 200") {
		p.Errorf("got %q, %v", line, err)
	}
}

// private wants that nobody but us can read what is in a directory.
func (p *pebble) private(dir string) {
	p.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			p.Errorf("%s: %v", path, info.Mode())
		}
		if !e.IsDir() {
			files++
		}
		return err
	})
	if err != nil || files < 2 {
		p.Errorf("%d files, %v", files, err)
	}
}

func (p *pebble) until(what string, f func() bool) {
	p.Helper()
	for end := time.Now().Add(time.Minute); !f(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			p.Fatalf("waited in vain for %s", what)
		}
	}
}

// syncLog is a log that several goroutines write.
type syncLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncLog) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *syncLog) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// loopback is the network of this machine, for the name server.
type loopback struct{ net.Dialer }

func (loopback) Listen(ctx context.Context, at netip.AddrPort) (net.Listener, error) {
	return new(net.ListenConfig).Listen(ctx, "tcp", at.String())
}

func (loopback) ListenPacket(ctx context.Context, at netip.AddrPort) (net.PacketConn, error) {
	return new(net.ListenConfig).ListenPacket(ctx, "udp", at.String())
}

func (l loopback) Dial(ctx context.Context, _, to netip.AddrPort) (net.Conn, error) {
	return l.DialContext(ctx, "tcp", to.String())
}
