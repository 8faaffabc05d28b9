//go:build linux

package e2e

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const (
	hostileConns  = 1000 // bad connections at once
	floodConns    = 6    // of them that send without end, as the last kinds do: the rest would not get a turn here
	floodKinds    = 2
	hostileMemory = 120 << 20 // bytes that they and all else may take: the program itself, what it keeps of flows, events and history, and its database
)

// A hostility is one way to be a bad peer. do returns when it has done its worst; the connection is held on until the
// gateway ends it.
type hostility struct {
	name string
	port string // "tls" or "tcp"
	do   func(h *hostiles, c net.Conn)
	ends string // expression in the reason; empty when the gateway may put up with it until it is told to end
}

var hostilities = []hostility{
	{"silent TCP", "tcp", nothing, ""},
	{"silent TLS", "tls", nothing, "handshake did not go on in time"},
	{"half a ClientHello", "tls", halfHello, "handshake did not go on in time"},
	{"ClientHello to the TCP port", "tcp", wholeHello, "ClientHello on a port without TLS"},
	{"plain SIP to the TLS port", "tls", says(request("1", "TCP", "")), "where TLS is spoken.*as in SIP"},
	{"HTTP to the TCP port", "tcp", says("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP"},
	{"HTTP to the TLS port", "tls", says("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "where TLS is spoken.*as in HTTP"},
	{"random bytes to the TCP port", "tcp", random, ""},
	{"random bytes to the TLS port", "tls", random, ""},
	{"half a message", "tcp", says(request("1", "TCP", "body")[:200]), "message not complete"},
	{"a header without end, dripping", "tcp", drips, "message not complete"},
	{"two Content-Lengths", "tcp", says(request("1", "TCP", "Content-Length: 7\r\n")), "Content-Length"},
	{"a huge Content-Length", "tcp", says(strings.Replace(request("1", "TCP", ""), "Content-Length: 0", "Content-Length: 999999999", 1)), "longer than the limit"},
	{"closes in mid-message", "tcp", closes, "in the middle of a message"},
	{"resets in mid-message", "tcp", resets, "reset"},
	{"a handshake, then nothing", "tls", handshake, ""},
	{"a handshake, then half a message", "tls", halfMessage, "message not complete"},
	{"a certificate of an unknown CA", "tls", unknownCA, "signed by CN="},
	{"no certificate", "tls", noCertificate, "certificate"},
	{"a stranger that floods and never reads", "tcp", floods, ""},
	// TCP may stop in the midst of a record when it has no room for the answers, whose acknowledgements then get lost.
	{"a peer that floods and never reads", "tls", peerFloods, "too much waits to be sent|message not complete"},
}

// TestHostile holds a gateway under a thousand bad connections of all kinds at once, while two good peers ask on and get
// every answer.
func TestHostile(t *testing.T) {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil || files.Max < 3*hostileConns {
		t.Skipf("%d files may be open here, which is not enough (%v)", files.Max, err)
	}
	t.Parallel()
	h := newHostiles(t)
	// Five times as many at once: each bad message of the one address is to end by its own fault.
	gw := startServe(t, h.dir, regexp.MustCompile("(lan-tcp: .*)}").ReplaceAllString(h.config(), "$1, limits: {messages_per_source: 40}}"))

	var good sync.WaitGroup
	asking, stop := context.WithCancel(t.Context())
	var overTLS, overUDP atomic.Int64
	good.Go(func() { h.asksOverTLS(asking, &overTLS) })
	good.Go(func() { h.asksOverUDP(asking, &overUDP) })
	defer good.Wait()
	defer stop()
	soon(t, "the good peers have answers", func() bool { return overTLS.Load() > 0 && overUDP.Load() > 0 || t.Failed() })

	var bad sync.WaitGroup
	defer bad.Wait()
	defer h.end()
	h.attack(&bad, hostilities[:len(hostilities)-floodKinds], hostileConns-floodConns)
	h.wantRecorded(t)
	h.attack(&bad, hostilities[len(hostilities)-floodKinds:], floodConns)
	if t.Failed() {
		return
	}
	before := [2]int64{overTLS.Load(), overUDP.Load()}

	// Those that do not go by themselves are ended.
	var alive map[string]int
	defer func() {
		if t.Failed() {
			t.Logf("still there: %v", alive)
		}
	}()
	soon(t, "the bad connections have ended", func() bool {
		alive = h.alive(endings(gw))
		return len(alive) == 0 || t.Failed()
	})
	if t.Failed() {
		return
	}
	if got := overTLS.Load() - before[0]; got < 20 {
		t.Errorf("the good peer got %d answers over TLS meanwhile, want at least 20", got)
	}
	if got := overUDP.Load() - before[1]; got < 20 {
		t.Errorf("the good peer got %d answers over UDP meanwhile, want at least 20", got)
	}
	if got := peak(t, gw); got > hostileMemory {
		t.Errorf("the gateway took %d MiB, want at most %d", got>>20, hostileMemory>>20)
	} else {
		t.Logf("at most %d MiB; %d answers over TLS, %d over UDP", got>>20, overTLS.Load(), overUDP.Load())
	}
	stop()
	good.Wait()

	// The rest is there still, and goes with the gateway.
	gw.terminate(t)
	why := endings(gw)
	wrong := map[string]int{}
	for remote, kind := range h.kinds {
		if cause := why[remote]; cause == "" || !regexp.MustCompile(kind.ends).MatchString(cause) {
			wrong[fmt.Sprintf("%s: ended because %q, want %q", kind.name, cause, kind.ends)]++
		}
	}
	for text, n := range wrong {
		t.Errorf("%d times %s", n, text)
	}
	if n := len(gw.logged("stopped")); n != 1 {
		t.Errorf("%d lines \"stopped\", want one", n)
	}
}

// endings returns why connections have ended, by transport and the other side's address.
func endings(gw *process) map[string]string {
	why := map[string]string{}
	remotes := map[uint64]string{}
	for _, l := range slices.Concat(gw.logged("inbound connection refused"), gw.logged("inbound connection failed")) {
		why[l.Transport+" "+l.Remote] = l.Cause
	}
	for _, l := range gw.logged("connection opened") {
		remotes[l.Connection] = l.Transport + " " + l.Remote
	}
	for _, l := range gw.logged("connection closed") {
		why[remotes[l.Connection]] = l.Cause
	}
	return why
}

// peak is the most memory that a process has had.
func peak(t *testing.T, p *process) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	fields := strings.Fields(rest)
	n, err := strconv.Atoi(fields[0])
	if err != nil || fields[1] != "kB" {
		t.Fatalf("VmHWM is %q", fields[:2])
	}
	return n << 10
}

// hostiles are the peers of one gateway, good and bad.
type hostiles struct {
	t      *testing.T
	dir    string
	addr   map[string]string // "tls", "tcp" (UDP too), "acme", "office", "admin"
	acme   *tls.Config       // of the good peer
	flood  *tls.Config       // of one of ours that does not behave
	rogue  *tls.Config       // of a stranger who says he is acme
	closed context.Context   // its end lets the bad ones go
	end    context.CancelFunc

	mu    sync.Mutex            // guards kinds
	kinds map[string]*hostility // by transport and address
}

func newHostiles(t *testing.T) *hostiles {
	h := &hostiles{t: t, dir: t.TempDir(), kinds: map[string]*hostility{}, addr: map[string]string{}}
	h.closed, h.end = context.WithCancel(t.Context())
	for i, addr := range someAddresses(t, "127.0.0.1", 5) {
		h.addr[[]string{"tls", "tcp", "acme", "office", "admin"}[i]] = addr
	}
	sallyport(t, h.dir, "cert", "ca", "--name", "ca", "--out", "ca.pem")
	sallyport(t, h.dir, "cert", "ca", "--name", "rogues", "--out", "rogues.pem")
	sallyport(t, h.dir, "cert", "issue", "--ca", "ca.pem", "--sip", "gw.example", "--dns", "gw.example", "--out", "gw.pem")
	sallyport(t, h.dir, "cert", "issue", "--ca", "ca.pem", "--sip", "acme.example", "--out", "acme.pem")
	sallyport(t, h.dir, "cert", "issue", "--ca", "ca.pem", "--sip", "flood.example", "--out", "flood.pem")
	sallyport(t, h.dir, "cert", "issue", "--ca", "rogues.pem", "--sip", "acme.example", "--out", "rogue.pem")
	h.acme, h.flood, h.rogue = h.client("acme"), h.client("flood"), h.client("rogue")
	return h
}

func (h *hostiles) client(name string) *tls.Config {
	own, err := tls.LoadX509KeyPair(filepath.Join(h.dir, name+".pem"), filepath.Join(h.dir, name+"-key.pem"))
	if err != nil {
		h.t.Fatal(err)
	}
	ca, err := os.ReadFile(filepath.Join(h.dir, "ca.pem"))
	if err != nil {
		h.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	return &tls.Config{
		RootCAs: roots, ServerName: "gw.example",
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own, nil },
	}
}

func (h *hostiles) config() string {
	return fmt.Sprintf(`
listeners:
  outside: {listen: "tls:%s", client_certificates: required}
  lan-tcp: {listen: "tcp:%s"}
  lan-udp: {listen: "udp:%[2]s"}
identities: {gateway: {certificate: gw.pem, key: gw-key.pem}}
trust: {partners: {files: [ca.pem]}}
defaults: {identity: gateway, trust: [partners]}
peers:
  acme:   {uri: "sip:%s;transport=tls", certificate_names: [acme.example]}
  office: {uri: "sip:%s;transport=udp", accept_from: ["udp:%[4]s"]}
  flood:  {uri: "sip:%[3]s;transport=tls", certificate_names: [flood.example]}
routes: [{from: [office], to: [acme]}, {from: [acme], to: [office]}]
admin: {listen: "%[5]s"}
`, h.addr["tls"], h.addr["tcp"], h.addr["acme"], h.addr["office"], h.addr["admin"])
}

// attack makes bad connections, of each kind as many as of any other, and returns when all are made.
func (h *hostiles) attack(bad *sync.WaitGroup, kinds []hostility, conns int) {
	var begun sync.WaitGroup
	begun.Add(conns)
	for n := range conns {
		bad.Go(func() { h.one(&kinds[n%len(kinds)], &begun) })
	}
	begun.Wait()
}

func (h *hostiles) one(kind *hostility, begun *sync.WaitGroup) {
	var d net.Dialer
	c, err := d.DialContext(h.t.Context(), "tcp", h.addr[kind.port])
	if err != nil {
		h.t.Errorf("%s: %v", kind.name, err)
		begun.Done()
		return
	}
	h.mu.Lock()
	h.kinds[kind.port+" "+c.LocalAddr().String()] = kind
	h.mu.Unlock()
	begun.Done()
	let := context.AfterFunc(h.closed, func() { c.Close() })
	defer let()
	kind.do(h, c)
	<-h.closed.Done()
}

// alive counts the connections, by kind, that should have ended and have not.
func (h *hostiles) alive(why map[string]string) map[string]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := map[string]int{}
	for remote, kind := range h.kinds {
		if kind.ends != "" && why[remote] == "" {
			n[kind.name]++
		}
	}
	return n
}

// wantRecorded wants a refused handshake with its reason in the gateway's record.
func (h *hostiles) wantRecorded(t *testing.T) {
	t.Helper()
	soon(t, "a certificate of an unknown CA is recorded as refused", func() bool {
		var list struct {
			Flows []struct{ State, Sentence string }
		}
		if err := json.Unmarshal([]byte(apiText(t, h.addr["admin"], "/api/v1/flows?limit=0")), &list); err != nil {
			t.Fatal(err)
		}
		for _, f := range list.Flows {
			if f.State == "refused" && strings.Contains(f.Sentence, "CN=rogues") {
				return true
			}
		}
		return false
	})
}

// request is an OPTIONS to the gateway.
func request(id, transport, more string) string {
	return "OPTIONS sip:gw.example SIP/2.0\r\nVia: SIP/2.0/" + transport + " 127.0.0.1:5071;rport;branch=z9hG4bK" + id + "\r\n" +
		"From: <sip:a@acme.example>;tag=1\r\nTo: <sip:gw.example>\r\nCall-ID: " + id + "@acme.example\r\n" +
		"CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\n" + more + "Content-Length: 0\r\n\r\n"
}

// answered is a good peer's patience for one answer.
const answered = 20 * time.Second

func (h *hostiles) asksOverTLS(ctx context.Context, got *atomic.Int64) {
	c, err := tls.Dial("tcp", h.addr["tls"], h.acme)
	if err != nil {
		h.t.Errorf("the good peer: %v", err)
		return
	}
	defer c.Close()
	r := bufio.NewReader(c)
	for n := 0; ctx.Err() == nil; n++ {
		id := fmt.Sprintf("tls%d", n)
		c.SetDeadline(time.Now().Add(answered))
		io.WriteString(c, request(id, "TLS", ""))
		answer := ""
		for !strings.HasSuffix(answer, "\r\n\r\n") {
			line, err := r.ReadString('\n')
			if err != nil {
				h.t.Errorf("the good peer, after %d answers over TLS: %v", n, err)
				return
			}
			answer += line
		}
		if !strings.HasPrefix(answer, "SIP/2.0 200 ") || !strings.Contains(answer, "Call-ID: "+id+"@") {
			h.t.Errorf("the good peer got over TLS\n%s", answer)
			return
		}
		got.Add(1)
		time.Sleep(10 * time.Millisecond)
	}
}

// asksOverUDP sends again what may have been lost, as RFC 3261 §17.1.2 has it.
func (h *hostiles) asksOverUDP(ctx context.Context, got *atomic.Int64) {
	local, _ := net.ResolveUDPAddr("udp", h.addr["office"])
	remote, _ := net.ResolveUDPAddr("udp", h.addr["tcp"])
	c, err := net.DialUDP("udp", local, remote)
	if err != nil {
		h.t.Errorf("the good peer: %v", err)
		return
	}
	defer c.Close()
	b := make([]byte, 65536)
	for n := 0; ctx.Err() == nil; n++ {
		id := fmt.Sprintf("udp%d", n)
		end := time.Now().Add(answered)
		for answer := ""; !strings.Contains(answer, "Call-ID: "+id+"@"); {
			if time.Now().After(end) {
				h.t.Errorf("the good peer got no answer over UDP after %d answers", n)
				return
			}
			c.Write([]byte(request(id, "UDP", "")))
			c.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
			size, _ := c.Read(b)
			if answer = string(b[:size]); size > 0 && !strings.HasPrefix(answer, "SIP/2.0 200 ") {
				h.t.Errorf("the good peer got over UDP\n%s", answer)
				return
			}
		}
		got.Add(1)
		time.Sleep(10 * time.Millisecond)
	}
}

func nothing(*hostiles, net.Conn) {}

// says sends a text and reads what comes.
func says(text string) func(*hostiles, net.Conn) {
	return func(h *hostiles, c net.Conn) {
		io.WriteString(c, text)
		go io.Copy(io.Discard, c)
	}
}

// helloOf is a ClientHello.
func helloOf() []byte {
	ours, theirs := net.Pipe()
	defer ours.Close()
	go tls.Client(theirs, &tls.Config{ServerName: "gw.example"}).Handshake()
	header := make([]byte, 5)
	io.ReadFull(ours, header)
	body := make([]byte, int(header[3])<<8|int(header[4]))
	io.ReadFull(ours, body)
	return append(header, body...)
}

func halfHello(_ *hostiles, c net.Conn) {
	hello := helloOf()
	c.Write(hello[:len(hello)/2])
}

func wholeHello(_ *hostiles, c net.Conn) { c.Write(helloOf()) }

func random(_ *hostiles, c net.Conn) {
	b := make([]byte, 1000)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	c.Write(b)
}

// drips sends a byte of a header now and then until the gateway has enough.
func drips(h *hostiles, c net.Conn) {
	io.WriteString(c, "OPTIONS sip:gw.example SIP/2.0\r\nSubject: ")
	for h.closed.Err() == nil {
		if _, err := io.WriteString(c, "x"); err != nil {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func closes(_ *hostiles, c net.Conn) {
	io.WriteString(c, request("1", "TCP", "")[:150])
	c.Close()
}

func resets(_ *hostiles, c net.Conn) {
	io.WriteString(c, request("1", "TCP", "")[:150])
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
}

func handshake(h *hostiles, c net.Conn) { tls.Client(c, h.acme).Handshake() }

func halfMessage(h *hostiles, c net.Conn) {
	io.WriteString(tls.Client(c, h.acme), request("1", "TLS", "")[:150])
}

func unknownCA(h *hostiles, c net.Conn) { tls.Client(c, h.rogue).Handshake() }

func noCertificate(h *hostiles, c net.Conn) {
	tls.Client(c, &tls.Config{RootCAs: h.acme.RootCAs, ServerName: "gw.example"}).Handshake()
}

func floods(h *hostiles, c net.Conn) {
	flood(h, c, "TCP", time.Millisecond)
}

// peerFloods is one of our peers, so that it gets all of its answers, as long as there is room for them.
func peerFloods(h *hostiles, c net.Conn) {
	flood(h, tls.Client(c, h.flood), "TLS", 0)
}

// flood asks and asks.
func flood(h *hostiles, c net.Conn, transport string, pause time.Duration) {
	for n := 0; h.closed.Err() == nil; n++ {
		var text strings.Builder
		for i := range 8 {
			text.WriteString(request(fmt.Sprintf("flood%dx%dx%p", n, i, c), transport, ""))
		}
		if _, err := io.WriteString(c, text.String()); err != nil {
			return
		}
		time.Sleep(pause)
	}
}
