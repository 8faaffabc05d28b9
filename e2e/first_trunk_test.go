package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// TestFirstTrunk does what docs/howto/first-trunk.md says: its commands, in its order, with a PBX and a carrier on
// loopback that know nothing but the letters of init. Then it does what goes wrong, and wants the words of the page.
func TestFirstTrunk(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("the page is for a POSIX shell")
	}
	f := newFirstTrunk(t)
	f.carrierPrepares(t)
	f.do(t, "1. Begin the gateway")
	f.do(t, "2. A certificate for the PBX")
	f.peersPrepare(t) // section 3, in prose
	f.do(t, "4. Check and run it")
	f.signOfLife(t)
	f.call(t)
	f.do(t, "5. The first call")
	f.do(t, "6. From here")
	f.call(t)
	f.goWrong(t)
	f.renew(t)
	f.gateway.terminate(t)
}

// A firstTrunk is the page being done.
type firstTrunk struct {
	dir       string // of whoever reads the page
	elsewhere string // the carrier's own
	sections  map[string][]block
	troubles  string // the page's last section
	local     *strings.Replacer
	at        map[string]string // addresses on loopback: "gateway", "pbx", "carrier"
	gateway   *process
	pbx       *ua.Server
	carrier   *ua.Server
	accepted  chan *ua.Call
}

// A block is a fenced part of the page.
type block struct{ kind, text string }

func newFirstTrunk(t *testing.T) *firstTrunk {
	page, err := os.ReadFile("../docs/howto/first-trunk.md")
	if err != nil {
		t.Fatal(err)
	}
	f := &firstTrunk{dir: t.TempDir(), elsewhere: t.TempDir(), sections: map[string][]block{}, at: map[string]string{}, accepted: make(chan *ua.Call, 1)}
	heading := ""
	for _, m := range regexp.MustCompile("(?ms)^## ([^\n]+)$|^```(\\w+)\n(.*?)^```$").FindAllStringSubmatch(string(page), -1) {
		if m[1] != "" {
			heading = m[1]
		} else {
			f.sections[heading] = append(f.sections[heading], block{m[2], strings.ReplaceAll(m[3], "\\\n", "")})
		}
	}
	_, f.troubles, _ = strings.Cut(string(page), "## When it does not work")
	for i, at := range someAddresses(t, "127.0.0.1", 3) {
		f.at[[]string{"gateway", "pbx", "carrier"}[i]] = at
	}
	// What is not as on the page: the addresses, because all are on this machine.
	changes := []string{
		"init gw ", "init gw --listen " + f.at["gateway"] + " ",
		"192.168.10.20:5061", f.at["pbx"],
		"192.168.10.20", "127.0.0.1",
		"sip.acme.example:5061", strings.Replace(f.at["carrier"], "127.0.0.1", "localhost", 1),
	}
	t.Logf("not as on the page: %q", changes)
	f.local = strings.NewReplacer(changes...)
	return f
}

// do runs the commands of a section in order, and compares what they print with what the page shows behind them.
func (f *firstTrunk) do(t *testing.T, section string) {
	t.Helper()
	if len(f.sections[section]) == 0 {
		t.Fatalf("the page has no section %q with something to do", section)
	}
	var printed string
	for _, b := range f.sections[section] {
		text := strings.TrimSpace(f.local.Replace(b.text))
		switch {
		case b.kind == "sh" && strings.HasPrefix(text, "sallyport serve "):
			f.gateway = start(t, f.dir, strings.Fields(text)[1:]...)
			soon(t, "the gateway serves", func() bool { return strings.Contains(f.log(), "msg=serving") || f.gateway.over() })
			if f.gateway.over() {
				t.Fatalf("%s: ended at once:\n%s", text, f.gateway.stderr)
			}
		case b.kind == "sh":
			printed = f.shell(t, text)
		case b.kind == "text":
			for line := range strings.Lines(text) {
				if line = strings.TrimSpace(line); !strings.Contains(printed+f.log(), line) {
					t.Errorf("%s: the page shows %q, and nothing printed that:\n%s%s", section, line, printed, f.log())
				}
			}
		}
	}
}

func (f *firstTrunk) log() string {
	if f.gateway == nil {
		return ""
	}
	return f.gateway.stderr.String()
}

// shell runs a command of the page as its reader does.
func (f *firstTrunk) shell(t *testing.T, text string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-e", "-c", text)
	cmd.Dir = f.dir
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(binary)+string(filepath.ListSeparator)+os.Getenv("PATH"))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", text, err, &stderr)
	}
	return string(out)
}

// carrierPrepares makes the carrier's certificate, and sends its CA.
func (f *firstTrunk) carrierPrepares(t *testing.T) {
	sallyport(t, f.elsewhere, "cert", "ca", "--name", "Acme CA", "--out", "ca.pem")
	sallyport(t, f.elsewhere, "cert", "issue", "--ca", "ca.pem", "--sip", "localhost", "--out", "acme.pem")
	data, err := os.ReadFile(filepath.Join(f.elsewhere, "ca.pem"))
	if err != nil || os.WriteFile(filepath.Join(f.dir, "acme-ca.pem"), data, 0o600) != nil {
		t.Fatal(err)
	}
}

// peersPrepare sets both up by what their letters say.
func (f *firstTrunk) peersPrepare(t *testing.T) {
	t.Helper()
	f.pbx = f.peer(t, "pbx", f.letter(t, "pbx"), filepath.Join(f.dir, "gw", "pbx"))
	f.carrier = f.peer(t, "carrier", f.letter(t, "acme"), filepath.Join(f.elsewhere, "acme"))
}

// letter reads what init has written to one of them.
func (f *firstTrunk) letter(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(f.dir, "gw", "send-to-"+name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// row returns a value of a letter.
func row(t *testing.T, letter, name string) string {
	t.Helper()
	found := regexp.MustCompile(`(?m)^  ` + regexp.QuoteMeta(name) + ` +(\S.*)$`).FindStringSubmatch(letter)
	if found == nil {
		t.Fatalf("no %s in the letter:\n%s", name, letter)
	}
	return found[1]
}

// tlsFor is the TLS of somebody who has read a letter: who believes the authority in it, wants the name in it, and the
// very certificate whose fingerprint stands there.
func tlsFor(t *testing.T, letter string) *tls.Config {
	t.Helper()
	believed := x509.NewCertPool()
	if block, _ := pem.Decode([]byte(letter)); block == nil || !believed.AppendCertsFromPEM(pem.EncodeToMemory(block)) {
		t.Fatalf("no certificate in the letter:\n%s", letter)
	}
	want := row(t, letter, "SHA-256")
	return &tls.Config{
		RootCAs: believed, ClientCAs: believed, ClientAuth: tls.RequireAndVerifyClientCert,
		ServerName: row(t, letter, "Host"), MinVersion: tls.VersionTLS12,
		VerifyConnection: func(st tls.ConnectionState) error {
			if sum := sha256.Sum256(st.PeerCertificates[0].Raw); hex.EncodeToString(sum[:]) != want {
				return fmt.Errorf("fingerprint %x, the letter says %s", sum, want)
			}
			return nil
		},
	}
}

func (f *firstTrunk) peer(t *testing.T, name, letter, cert string) *ua.Server {
	t.Helper()
	srv := &ua.Server{Shards: 1, Handler: ua.HandlerFunc(func(r *ua.Request) {
		if r.Msg.Method() != sip.INVITE {
			r.Reply(405)
			return
		}
		r.Reply(180)
		if call, err := r.Accept(ua.Body("application/sdp", []byte(siteSDP))); err == nil {
			f.accepted <- call
		}
	})}
	if err := srv.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), sitePatience)
		defer cancel()
		if err := srv.Close(ctx); err != nil {
			t.Errorf("close the %s: %v", name, err)
		}
	})
	_, err := srv.Listen(transport.ListenConfig{Name: name, Transport: transport.TLS, Addr: netip.MustParseAddrPort(f.at[name]), TLS: showing(t, tlsFor(t, letter), cert)})
	if err != nil {
		t.Fatal(err)
	}
	return srv
}

// place calls as the letter says, from the PBX or the carrier.
func (f *firstTrunk) place(ctx context.Context, t *testing.T, from string) (*ua.Call, error) {
	t.Helper()
	srv, to, uri := f.caller(t, from)
	return srv.Invite(ctx, to, ua.InviteOptions{URI: uri, From: "<sip:+4940111222@" + from + ".example>"}, ua.Body("application/sdp", []byte(siteSDP)))
}

// caller is one of the two, with what its letter says about calls to the gateway.
func (f *firstTrunk) caller(t *testing.T, name string) (srv *ua.Server, to ua.Target, uri string) {
	t.Helper()
	srv, letter, cert := f.pbx, f.letter(t, "pbx"), filepath.Join(f.dir, "gw", "pbx")
	if name == "carrier" {
		srv, letter, cert = f.carrier, f.letter(t, "acme"), filepath.Join(f.elsewhere, "acme")
	}
	to = ua.Target{Transport: transport.TLS, Addr: netip.MustParseAddrPort(f.at["gateway"]), TLS: showing(t, tlsFor(t, letter), cert), Peer: "gateway"}
	return srv, to, strings.Replace(row(t, letter, "Call us at"), "NUMBER", "+4930123456", 1)
}

// signOfLife asks with OPTIONS, as the letter promises.
func (f *firstTrunk) signOfLife(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), sitePatience)
	defer cancel()
	srv, to, _ := f.caller(t, "carrier")
	answer, err := srv.Send(ctx, to, ua.Outgoing{Method: sip.OPTIONS, URI: row(t, f.letter(t, "acme"), "As a URI")})
	if err != nil || answer.StatusCode() != 200 {
		t.Fatalf("OPTIONS: %v, %v, want 200", answer, err)
	}
	answer.Release()
}

// showing adds a certificate to show, whatever CAs the other side names.
func showing(t *testing.T, cfg *tls.Config, cert string) *tls.Config {
	t.Helper()
	own, err := tls.LoadX509KeyPair(cert+".pem", cert+"-key.pem")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Certificates = []tls.Certificate{own}
	cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own, nil }
	return cfg
}

// call places one call each way, over mutual TLS on both hops. The PBX hangs up both.
func (f *firstTrunk) call(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), sitePatience)
	defer cancel()
	for _, from := range []string{"pbx", "carrier"} {
		ours, err := f.place(ctx, t, from)
		if err != nil {
			t.Fatalf("the %s calls: %v", from, err)
		}
		var theirs *ua.Call
		select {
		case theirs = <-f.accepted:
		case <-ctx.Done():
			t.Fatalf("the %s calls, and nobody got it", from)
		}
		if from == "carrier" {
			ours, theirs = theirs, ours
		}
		if err := ours.Bye(ctx); err != nil {
			t.Errorf("BYE: %v", err)
		}
		wantOver(ctx, t, theirs)
	}
}

// renew makes our next certificate with the command that stands in the configuration.
func (f *firstTrunk) renew(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(f.dir, "gw", "sallyport.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	command := regexp.MustCompile(`(?m)^# +(sallyport cert issue .*)$`).FindSubmatch(text)
	if command == nil {
		t.Fatalf("no command in\n%s", text)
	}
	f.shell(t, "cd gw && "+string(command[1])+" && sallyport reload --config sallyport.yaml")
	c, err := tls.Dial("tcp", f.at["gateway"], &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	sum := sha256.Sum256(c.ConnectionState().PeerCertificates[0].Raw)
	if hex.EncodeToString(sum[:]) == row(t, f.letter(t, "acme"), "SHA-256") {
		t.Error("the gateway still shows its first certificate")
	}
}

// goWrong connects in ways of the page's last section. The page quotes what the gateway says then.
func (f *firstTrunk) goWrong(t *testing.T) {
	t.Helper()
	in := func(name string) string { return filepath.Join(f.elsewhere, name) }
	sallyport(t, f.elsewhere, "cert", "ca", "--name", "Foreign CA", "--out", "foreign-ca.pem")
	sallyport(t, f.elsewhere, "cert", "issue", "--ca", "foreign-ca.pem", "--sip", "localhost", "--out", "foreign.pem")
	sallyport(t, f.elsewhere, "cert", "issue", "--ca", "ca.pem", "--sip", "other.example", "--out", "other.pem")
	sallyport(t, f.elsewhere, "cert", "issue", "--ca", "ca.pem", "--sip", "localhost", "--for", "server", "--out", "server.pem")
	sallyport(t, f.elsewhere, "cert", "self-signed", "--sip", "localhost", "--out", "own.pem")
	for _, wrong := range []struct{ words, cert string }{
		{"no client certificate was shown", ""},
		{"which is not trusted here", "foreign"},
		{"is self-signed and is not in the trust", "own"},
		{"no peer has a name of its certificate in certificate_names", "other"},
		{"may not be used as a TLS client", "server"},
	} {
		cfg := tlsFor(t, f.letter(t, "acme"))
		if wrong.cert != "" {
			showing(t, cfg, in(wrong.cert))
		}
		f.wantWords(t, wrong.words, func(c net.Conn) { tls.Client(c, cfg).HandshakeContext(t.Context()) }) // under TLS 1.3 the refusal comes later
	}
	f.wantWords(t, "plain text came where TLS is spoken", func(c net.Conn) { fmt.Fprint(c, "OPTIONS sip:sbc.example.com SIP/2.0\r\n\r\n") })
	f.carrierFails(t)
}

// wantWords wants words in the log of the gateway after what is done on a connection, and on the page.
func (f *firstTrunk) wantWords(t *testing.T, words string, do func(net.Conn)) {
	t.Helper()
	c, err := net.Dial("tcp", f.at["gateway"])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	do(c)
	f.says(t, words)
}

// says waits for words in the log of the gateway, which the page quotes.
func (f *firstTrunk) says(t *testing.T, words string) {
	t.Helper()
	if !strings.Contains(f.troubles, "`"+words+"`") {
		t.Errorf("the page does not have %q", words)
	}
	soon(t, fmt.Sprintf("the log says %q", words), func() bool { return strings.Contains(f.log(), words) })
}

// carrierFails calls a carrier that is not there, and one that does not believe us.
func (f *firstTrunk) carrierFails(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), sitePatience)
	defer cancel()
	if err := f.carrier.Close(ctx); err != nil {
		t.Fatal(err)
	}
	f.refused(ctx, t, "nothing listens there")

	theirs := showing(t, &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: x509.NewCertPool()}, filepath.Join(f.elsewhere, "acme"))
	l, err := tls.Listen("tcp", f.at["carrier"], theirs)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.(*tls.Conn).HandshakeContext(ctx)
			c.Close()
		}
	}()
	f.refused(ctx, t, "the peer ended the handshake with alert")
}

// refused places a call that no target takes.
func (f *firstTrunk) refused(ctx context.Context, t *testing.T, words string) {
	t.Helper()
	_, err := f.place(ctx, t, "pbx")
	if no, ok := errors.AsType[*ua.ResponseError](err); !ok || no.Code != 503 {
		t.Errorf("got %v, want 503", err)
	}
	f.says(t, words)
}

// TestREADMEBegins does what the README says about a gateway of one's own, without opening its ports.
func TestREADMEBegins(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	done := 0
	for _, m := range regexp.MustCompile(`(?m)^\./sallyport ([^#\n]*)`).FindAllStringSubmatch(string(text), -1) {
		words := strings.Fields(m[1])
		if words[0] == "serve" {
			words = append([]string{"check"}, words[2:]...)
		}
		sallyport(t, dir, words...)
		done++
	}
	if done < 3 {
		t.Errorf("%d commands in the README, want more", done)
	}
}
