//go:build interop

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestTshark captures the demo on the loopback interface, lets tshark decode the capture with the demo's key log, and
// compares what tshark saw with the demo's own document: for each connection the handshake messages of each side in
// order, and the SIP messages of each leg.
func TestTshark(t *testing.T) {
	need(t, "tcpdump", "tcpdump")
	need(t, "tshark", "tshark")
	for _, version := range []string{"1.3", "1.2"} {
		t.Run("TLS "+version, func(t *testing.T) { compareWithTshark(t, version) })
	}
}

func compareWithTshark(t *testing.T, version string) {
	dir := t.TempDir()
	capture, keys := filepath.Join(dir, "demo.pcap"), filepath.Join(dir, "demo.keylog")
	stop := startCapture(t, capture)
	var doc document
	runDemo(t, &doc, "--tls", version, "--keylog", keys)
	stop()

	streams := dissect(t, capture, keys)
	if len(streams) == 0 {
		t.Fatal("tshark found no TLS connection whose secrets are in the key log")
	}
	seen := map[string]bool{}
	refused := 0
	for _, call := range doc.Calls {
		if call.State == "refused" {
			refused++
		}
		for _, leg := range call.Legs {
			name := fmt.Sprintf("call %v (%s), leg %s %s", call.ID, call.State, leg.Direction, leg.Peer)
			if leg.Hop.TLS.Version != version {
				t.Errorf("%s: TLS %q, want %s", name, leg.Hop.TLS.Version, version)
			}
			s := streamOf(streams, leg, call.State)
			if s == nil {
				t.Errorf("%s: tshark saw no connection with Call-ID %q", name, leg.CallID)
				continue
			}
			if !seen[leg.Hop.Connection] { // a connection that several calls use has one handshake
				seen[leg.Hop.Connection] = true
				compareHandshake(t, name, version, leg, s)
			}
			if call.State != "refused" {
				compareSIP(t, name, call, leg, s)
			}
		}
	}
	if refused != 1 {
		t.Errorf("the document has %d refused calls, want 1", refused)
	}
	if len(seen) != len(streams) {
		t.Errorf("the document has %d connections, tshark saw %d", len(seen), len(streams))
	}
}

// document is what "demo --json" prints, as far as it is compared.
type document struct {
	Calls []call `json:"calls"`
}

type call struct {
	ID     any     `json:"id"`
	State  string  `json:"state"`
	Legs   []leg   `json:"legs"`
	Events []event `json:"events"`
}

type event struct {
	Kind, From, To, Label string
}

type leg struct {
	Direction string `json:"direction"`
	Peer      string `json:"peer"`
	CallID    string `json:"call_id"`
	Hop       struct {
		Connection string `json:"connection"`
		TLS        struct {
			Version string `json:"version"`
		} `json:"tls"`
		Handshake []struct {
			From string `json:"from"`
			Step string `json:"step"`
		} `json:"handshake"`
	} `json:"hop"`
}

// runDemo runs the demo to its end and decodes its document.
func runDemo(t *testing.T, doc any, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, append([]string{"demo", "--once", "--json"}, args...)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("demo --once: %v\n%s", err, stderr.String())
	}
	if err := json.Unmarshal(out, doc); err != nil {
		t.Fatalf("demo --json: %v\n%s", err, out)
	}
}

// startCapture captures TCP on the loopback interface into a file, until the returned function is called.
func startCapture(t *testing.T, file string) (stop func()) {
	t.Helper()
	out := &log{}
	cmd := exec.Command("tcpdump", "-i", "lo", "-U", "--immediate-mode", "-s", "0", "-B", "16384", "-Z", "root", "-w", file, "tcp")
	cmd.Stderr = out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { cmd.Process.Kill() })
	eventually(10*time.Second, func() bool { return len(ended) > 0 || strings.Contains(out.String(), "listening on lo") })
	if len(ended) > 0 {
		if os.Getenv("CI") == "" && strings.Contains(out.String(), "permission") {
			t.Skipf("tcpdump may not capture here: %s", out)
		}
		t.Fatalf("tcpdump: %s", out)
	}
	return func() {
		time.Sleep(300 * time.Millisecond) // what the kernel still holds
		cmd.Process.Signal(os.Interrupt)
		<-ended
		if !strings.Contains(out.String(), "0 packets dropped by kernel") {
			t.Fatalf("the capture is not whole: %s", out)
		}
	}
}

// A stream is a TCP connection as tshark saw it.
type stream struct {
	handshake map[string][]string       // "client" and "server": messages in order
	sip       map[string]map[string]int // Call-ID: "client INVITE", "server 200": how many
}

// handshakeName gives tshark's numbers the names of RFC 8446 §4 and RFC 5246 §7.4.
var handshakeName = map[string]string{
	"1": "ClientHello", "2": "ServerHello", "4": "NewSessionTicket", "8": "EncryptedExtensions", "11": "Certificate",
	"12": "ServerKeyExchange", "13": "CertificateRequest", "14": "ServerHelloDone", "15": "CertificateVerify",
	"16": "ClientKeyExchange", "20": "Finished", "22": "CertificateStatus",
}

// dissect returns the connections of the capture whose client random stands in the key log: others run on this machine
// at the same time.
func dissect(t *testing.T, capture, keys string) map[string]*stream {
	t.Helper()
	secrets, err := os.ReadFile(keys)
	if err != nil {
		t.Fatal(err)
	}
	ours, ports := map[string]bool{}, map[string]bool{} // streams and server ports
	for _, f := range tshark(t, capture, keys, nil, "tls.handshake.type == 1", "tcp.stream", "tcp.dstport", "tls.handshake.random") {
		random := strings.ReplaceAll(f[2], ":", "")
		if random != "" && strings.Contains(string(secrets), " "+random+" ") {
			ours[f[0]], ports[f[1]] = true, true
		}
	}
	streams := map[string]*stream{}
	for _, f := range tshark(t, capture, keys, ports, "tls", "tcp.stream", "tcp.srcport", "tls.handshake.type", "sip.Call-ID", "sip.Method", "sip.Status-Code") {
		if !ours[f[0]] {
			continue
		}
		s := streams[f[0]]
		if s == nil {
			s = &stream{handshake: map[string][]string{}, sip: map[string]map[string]int{}}
			streams[f[0]] = s
		}
		s.add(f[1:], ports)
	}
	return streams
}

// add takes one frame: source port, handshake types, Call-IDs, methods, status codes, each a list with commas.
func (s *stream) add(f []string, serverPorts map[string]bool) {
	side := "client"
	if serverPorts[f[0]] {
		side = "server"
	}
	for _, number := range list(f[1]) {
		name := handshakeName[number]
		if name == "" {
			name = "handshake type " + number
		}
		s.handshake[side] = append(s.handshake[side], name)
	}
	// A frame may carry several SIP messages, of several calls. Call-IDs come once a message and methods and codes in
	// order among their kind; frames that mix both kinds with different Call-IDs do not occur in the demo's calls.
	ids := list(f[2])
	labels := append(list(f[3]), list(f[4])...)
	for i, label := range labels {
		id := ids[min(i, len(ids)-1)]
		if s.sip[id] == nil {
			s.sip[id] = map[string]int{}
		}
		s.sip[id][side+" "+label]++
	}
}

func list(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

// tshark prints the fields of the frames that match the filter. Ports are taken for SIP over TLS.
func tshark(t *testing.T, capture, keys string, ports map[string]bool, filter string, fields ...string) [][]string {
	t.Helper()
	args := []string{"-n", "-r", capture, "-o", "tls.keylog_file:" + keys, "-Y", filter, "-T", "fields", "-E", "separator=/t", "-E", "occurrence=a"}
	for port := range ports {
		args = append(args, "-d", "tcp.port=="+port+",tls", "-d", "tls.port=="+port+",sip")
	}
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	cmd := exec.CommandContext(t.Context(), "tshark", args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tshark: %v\n%s", err, stderr.String())
	}
	var rows [][]string
	for line := range strings.Lines(string(out)) {
		if row := strings.Split(strings.TrimRight(line, "\n"), "\t"); len(row) == len(fields) {
			rows = append(rows, row)
		}
	}
	return rows
}

// streamOf finds the connection of a leg: by its Call-ID, or, for the refused peer, whose SIP the gateway never read,
// the one on which the server answered no SIP.
func streamOf(streams map[string]*stream, l leg, state string) *stream {
	for _, s := range streams {
		if state != "refused" && s.sip[l.CallID] != nil {
			return s
		}
		if state == "refused" && !s.answered() {
			return s
		}
	}
	return nil
}

func (s *stream) answered() bool {
	for _, counts := range s.sip {
		for what := range counts {
			if strings.HasPrefix(what, "server ") {
				return true
			}
		}
	}
	return false
}

// compareHandshake holds the steps of the document against tshark's, side by side. NewSessionTicket is left out in TLS
// 1.3: there it follows the handshake, under the application keys, which the gateway never keeps. Steps that are no
// handshake message (ChangeCipherSpec, alerts, application data) have no type for tshark to list and are left out too.
func compareHandshake(t *testing.T, name, version string, l leg, s *stream) {
	t.Helper()
	// In the document the sides are peer and gateway; the one who called is the client.
	sideOf := map[string]string{"peer": "client", "gateway": "server"}
	if l.Direction == "out" {
		sideOf = map[string]string{"peer": "server", "gateway": "client"}
	}
	known := slices.Collect(maps.Values(handshakeName))
	got := map[string][]string{}
	for _, step := range l.Hop.Handshake {
		side, word := sideOf[step.From], step.Step
		if side == "" {
			t.Errorf("%s: step %s from %q, want peer or gateway", name, step.Step, step.From)
		}
		if slices.Contains(known, word) && !(version == "1.3" && word == "NewSessionTicket") {
			got[side] = append(got[side], word)
		}
	}
	for _, side := range []string{"client", "server"} {
		want := slices.DeleteFunc(slices.Clone(s.handshake[side]), func(step string) bool {
			return version == "1.3" && step == "NewSessionTicket"
		})
		if len(want) == 0 || !slices.Equal(got[side], want) {
			t.Errorf("%s: handshake messages of the %s\n got  %s\n tshark %s", name, side, strings.Join(got[side], ", "), strings.Join(want, ", "))
		}
	}
}

// compareSIP counts the document's SIP messages between this leg's peer and the gateway, and tshark's with the leg's
// Call-ID.
func compareSIP(t *testing.T, name string, c call, l leg, s *stream) {
	t.Helper()
	got := map[string]int{}
	for _, e := range c.Events {
		word, _, _ := strings.Cut(e.Label, " ")
		if e.Kind != "message" || (e.From != l.Peer && e.To != l.Peer) || !isMessage(word) {
			continue
		}
		fromPeer := e.From == l.Peer
		if fromPeer == (l.Direction == "in") {
			got["client "+word]++
		} else {
			got["server "+word]++
		}
	}
	if want := s.sip[l.CallID]; !maps.Equal(got, want) {
		t.Errorf("%s: SIP messages\n got  %v\n tshark %v", name, got, want)
	}
}

// isMessage reports whether a label's first word is a status code or a method.
func isMessage(word string) bool {
	n, err := strconv.Atoi(word)
	return err == nil && n >= 100 && n < 700 || err != nil && word == strings.ToUpper(word) && word != ""
}
