//go:build interop

package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A baresip is a running one, with its own directory, certificate and account, that registers nowhere. It is told what to do
// over its control connection (module ctrl_tcp), which also says what happens to its calls.
type baresip struct {
	name    string
	number  string
	tlsPort string // where it takes calls
	log     *log
	control net.Conn
	replies chan baresipSays

	mu     sync.Mutex // guards events
	events []baresipSays
	seen   int // how many of the events the test has taken; the test's own
}

// baresipSays is an event, or the reply to a command.
type baresipSays struct {
	Event    bool   `json:"event"`
	Response bool   `json:"response"`
	OK       bool   `json:"ok"`
	Data     string `json:"data"`
	Type     string `json:"type"`
	Peer     string `json:"peeruri"`
	Param    string `json:"param"`
}

// newBaresip starts one that takes calls to this number, whose certificate is NAME.pem in the directory, beside that of the authority which it believes, and that
// speaks only this version of TLS.
func newBaresip(t *testing.T, certificates, authority, name, number, version string) *baresip {
	t.Helper()
	dir := t.TempDir()
	sipPort, tlsPort := twoPorts(t, "127.0.0.1")
	control := freePort(t, "127.0.0.1")
	values := map[string]string{
		"NAME": name, "NUMBER": number, "DIR": dir, "SIP_PORT": sipPort, "CONTROL_PORT": control, "TLS": "TLSv" + version,
	}
	for _, file := range []string{"config", "accounts", "openssl.cnf"} {
		template(t, filepath.Join("testdata", "baresip", file), filepath.Join(dir, file), values)
	}
	join(t, filepath.Join(dir, "own.pem"), filepath.Join(certificates, name+".pem"), filepath.Join(certificates, name+"-key.pem"))
	join(t, filepath.Join(dir, "ca.pem"), filepath.Join(certificates, authority))
	join(t, filepath.Join(dir, "contacts"))

	b := &baresip{name: name, number: number, tlsPort: tlsPort, log: &log{}, replies: make(chan baresipSays, 1)}
	cmd := exec.Command(need(t, "baresip", "baresip"), "-f", dir, "-v", "-s")
	cmd.Env = append(os.Environ(), "OPENSSL_CONF="+filepath.Join(dir, "openssl.cnf"))
	cmd.Stdout, cmd.Stderr = b.log, b.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // should the test itself die
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-ended
		if t.Failed() {
			t.Logf("baresip %s printed:\n%s", name, tail(b.log.String(), 150))
		}
	})
	soon(t, "baresip is ready", func() bool { return strings.Contains(b.log.String(), "baresip is ready") || len(ended) > 0 })
	if len(ended) > 0 {
		t.Fatalf("baresip ended at once:\n%s", b.log)
	}
	var err error
	if b.control, err = net.Dial("tcp", net.JoinHostPort("127.0.0.1", control)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.control.Close() })
	go b.read()
	return b
}

// read takes what comes on the control connection: netstrings of JSON.
func (b *baresip) read() {
	for r := bufio.NewReader(b.control); ; {
		length, err := r.ReadString(':')
		n, bad := strconv.Atoi(strings.TrimSuffix(length, ":"))
		if err != nil || bad != nil {
			return
		}
		text := make([]byte, n+1) // and the comma behind it
		if _, err := io.ReadFull(r, text); err != nil {
			return
		}
		var says baresipSays
		if json.Unmarshal(text[:n], &says) != nil {
			continue
		}
		if says.Response {
			b.replies <- says
			continue
		}
		b.mu.Lock()
		b.events = append(b.events, says)
		b.mu.Unlock()
	}
}

// do gives a command, as the menu of baresip has it, and waits until it is done.
func (b *baresip) do(t *testing.T, command, params string) {
	t.Helper()
	text := fmt.Sprintf(`{"command":%q,"params":%q,"token":"t"}`, command, params)
	if _, err := fmt.Fprintf(b.control, "%d:%s,", len(text), text); err != nil {
		t.Fatal(err)
	}
	select {
	case reply := <-b.replies:
		if !reply.OK {
			t.Fatalf("baresip %s: %s %s: %s", b.name, command, params, reply.Data)
		}
	case <-time.After(sitePatience):
		t.Fatalf("baresip %s does not reply to %s", b.name, command)
	}
}

// wants waits for the next event of this type and wants the text in it. Events before it are passed over.
func (b *baresip) wants(t *testing.T, kind, text string) {
	t.Helper()
	var found *baresipSays
	soon(t, b.name+" says "+kind, func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		for ; b.seen < len(b.events) && found == nil; b.seen++ {
			if b.events[b.seen].Type == kind {
				found = &b.events[b.seen]
			}
		}
		return found != nil
	})
	if !strings.Contains(found.Peer+" "+found.Param, text) {
		t.Errorf("baresip %s says %s of %q: %q, want %q in it", b.name, kind, found.Peer, found.Param, text)
	}
}

// twoPorts returns a free port and the one behind it, free too, which is where baresip listens for TLS.
func twoPorts(t *testing.T, host string) (first, second string) {
	t.Helper()
	number := func(port string) int {
		n, err := strconv.Atoi(port)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for first = freePort(t, host); ; first = second {
		if second = freePort(t, host); number(second) == number(first)+1 {
			return first, second
		}
	}
}

// template writes a file of ours with its variables filled in; one that has no value is a mistake.
func template(t *testing.T, from, to string, values map[string]string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	filled := os.Expand(string(text), func(name string) string {
		value, ok := values[name]
		if !ok {
			t.Fatalf("%s: $%s has no value", from, name)
		}
		return value
	})
	if err := os.WriteFile(to, []byte(filled), 0o600); err != nil {
		t.Fatal(err)
	}
}

// join writes the files one behind the other.
func join(t *testing.T, to string, files ...string) {
	t.Helper()
	var all []byte
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, text...)
	}
	if err := os.WriteFile(to, all, 0o600); err != nil {
		t.Fatal(err)
	}
}
