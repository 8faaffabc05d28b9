package interop

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// gateway is the built binary, serving in a directory with certificates for itself, sipgo and ours.
type gateway struct {
	t      *testing.T
	dir    string
	binary string
	addr   string // for TLS
	log    string // file
}

// newGateway has an authority sign for three domains, and serves between two peers at their addresses.
func newGateway(t *testing.T, sipgo, ours string) *gateway {
	t.Helper()
	g := &gateway{t: t, dir: t.TempDir(), addr: freePort(t)}
	g.binary = filepath.Join(g.dir, "sallyport")
	if out, err := exec.Command("go", "-C", "..", "build", "-o", g.binary, "./cmd/sallyport").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	g.run("cert", "ca", "--name", "Test CA", "--out", "ca.pem")
	for _, name := range []string{"gateway", "sipgo", "ours"} {
		g.run("cert", "issue", "--ca", "ca.pem", "--dns", name+".example", "--out", name+".pem")
	}
	g.serve(fmt.Sprintf(`
listeners: {outside: {listen: "tls:%s", client_certificates: required}}
identities: {gateway: {certificate: gateway.pem, key: gateway-key.pem}}
trust: {partners: {files: [ca.pem]}}
defaults: {identity: gateway, trust: [partners]}
peers:
  sipgo: {uri: "sip:%s;transport=tls", certificate_names: [sipgo.example]}
  ours:  {uri: "sip:%s;transport=tls", certificate_names: [ours.example]}
routes:
  - {from: [sipgo], to: [ours]}
  - {from: [ours], to: [sipgo]}
`, g.addr, sipgo, ours))
	return g
}

// run runs a command of the binary and returns what it prints.
func (g *gateway) run(args ...string) string {
	g.t.Helper()
	cmd := exec.Command(g.binary, args...)
	cmd.Dir = g.dir
	out, err := cmd.Output()
	if err != nil {
		g.t.Fatalf("sallyport %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// file is the path of a file in the gateway's directory.
func (g *gateway) file(name string) string { return filepath.Join(g.dir, name) }

// serve starts the gateway; the end of the test ends it.
func (g *gateway) serve(config string) {
	g.t.Helper()
	if err := os.WriteFile(g.file("sallyport.yaml"), []byte(config), 0o600); err != nil {
		g.t.Fatal(err)
	}
	log, err := os.Create(g.file("log"))
	if err != nil {
		g.t.Fatal(err)
	}
	cmd := exec.Command(g.binary, "serve", "--log-format", "json")
	cmd.Dir, cmd.Stderr = g.dir, log
	if err := cmd.Start(); err != nil {
		g.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // it is killed below
	}()
	g.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		log.Close()
		if g.t.Failed() {
			b, _ := os.ReadFile(g.file("log"))
			g.t.Logf("the gateway's log, its end:\n%s", b[max(0, len(b)-4000):])
		}
	})
	g.soon("the gateway serves", func() bool {
		c, err := net.Dial("tcp", g.addr)
		if err != nil {
			return false
		}
		c.Close()
		return true
	})
}

// soon waits for what comes by itself.
func (g *gateway) soon(what string, done func() bool) {
	g.t.Helper()
	for limit := time.Now().Add(time.Minute); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(limit) {
			g.t.Fatalf("waited in vain: %s", what)
		}
	}
}

// record is what the gateway keeps of a call, as far as it is compared.
type record struct {
	State   string    `json:"state"`
	EndedBy string    `json:"ended_by"`
	In      recordLeg `json:"in"`
	Out     []recordLeg
}

type recordLeg struct {
	Peer   string `json:"peer"`
	CallID string `json:"call_id"`
	TLS    *struct {
		Mutual   bool     `json:"mutual"`
		Identity []string `json:"identity"`
	} `json:"tls"`
}

// records are those of all calls so far.
func (g *gateway) records() (all []record) {
	g.t.Helper()
	s := bufio.NewScanner(strings.NewReader(g.run("cdr", "--config", "sallyport.yaml", "--format", "json", "--limit", "0")))
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		var r record
		if err := json.Unmarshal(s.Bytes(), &r); err != nil {
			g.t.Fatalf("%v: %s", err, s.Text())
		}
		all = append(all, r)
	}
	return all
}

// freePort is an address of the loopback interface that nobody listens at.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
