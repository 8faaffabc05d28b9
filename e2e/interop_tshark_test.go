//go:build interop

package e2e

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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
	seen := map[*stream]bool{}
	refused := 0
	for _, call := range doc.Calls {
		if call.State == "refused" {
			refused++
		}
		for _, leg := range call.Legs {
			name := fmt.Sprintf("call %s (%s), leg %s to %q", call.ID, call.State, leg.Name, leg.Peer)
			if leg.Hop.TLS.Version != version {
				t.Errorf("%s: TLS %q, want %s", name, leg.Hop.TLS.Version, version)
			}
			s := streams[leg.ports(t)]
			if s == nil {
				t.Errorf("%s: tshark saw no TLS connection between %s and %s", name, leg.Hop.Local, leg.Hop.Remote)
				continue
			}
			if !seen[s] { // a connection that several calls use has one handshake, in the call that opened it
				compareHandshake(t, name, version, call, leg, s)
			}
			seen[s] = true
			compareSIP(t, name, call, leg, s)
		}
	}
	if refused != 1 {
		t.Errorf("the document has %d refused calls, want 1", refused)
	}
	if len(seen) != len(streams) {
		t.Errorf("the document has %d connections, tshark saw %d", len(seen), len(streams))
	}
}

// ports names a connection by the TCP ports of its client and its server.
type ports struct{ client, server string }

// ports returns those of the leg's hop: the one who called is the client.
func (l leg) ports(t *testing.T) ports {
	t.Helper()
	_, local, err := net.SplitHostPort(l.Hop.Local)
	if err != nil {
		t.Errorf("leg %s: local address: %v", l.Name, err)
	}
	_, remote, err := net.SplitHostPort(l.Hop.Remote)
	if err != nil {
		t.Errorf("leg %s: remote address: %v", l.Name, err)
	}
	if l.Direction == "out" {
		return ports{local, remote}
	}
	return ports{remote, local}
}

// runDemo runs the demo to its end and decodes its document.
func runDemo(t *testing.T, doc any, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, append([]string{"demo", "--once", "--json"}, args...)...)
	cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir()) // where it leaves its files
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
	alerts    map[string][]string       // "client" and "server": alerts in order, by name
	sip       map[string]map[string]int // Call-ID: "client INVITE", "server 200": how many
	opened    bool                      // its secrets are in the key log
}

// handshakeName gives tshark's numbers the names of RFC 8446 §4 and RFC 5246 §7.4.
var handshakeName = map[string]string{
	"1": "ClientHello", "2": "ServerHello", "4": "NewSessionTicket", "8": "EncryptedExtensions", "11": "Certificate",
	"12": "ServerKeyExchange", "13": "CertificateRequest", "14": "ServerHelloDone", "15": "CertificateVerify",
	"16": "ClientKeyExchange", "20": "Finished", "22": "CertificateStatus",
}

// alertName gives the alerts that the demo may show the names of RFC 8446 §6.
var alertName = map[string]string{
	"0": "close_notify", "40": "handshake_failure", "42": "bad_certificate", "48": "unknown_ca", "116": "certificate_required",
}

// dissect returns the demo's connections: those whose client random stands in the key log, and those to the same server
// ports. A TLS 1.2 handshake that was refused before there were keys left no secret; all that matters of it is in clear.
// Other connections run on this machine at the same time.
func dissect(t *testing.T, capture, keys string) map[ports]*stream {
	t.Helper()
	secrets, err := os.ReadFile(keys)
	if err != nil {
		t.Fatal(err)
	}
	hellos := tshark(t, capture, keys, nil, "tls.handshake.type == 1", "tcp.stream", "tcp.srcport", "tcp.dstport", "tls.handshake.random")
	opened := func(hello []string) bool {
		random := strings.ReplaceAll(hello[3], ":", "")
		return random != "" && strings.Contains(string(secrets), " "+random+" ")
	}
	servers := map[string]bool{}
	for _, f := range hellos {
		if opened(f) {
			servers[f[2]] = true
		}
	}
	keysOf, streams := map[string]ports{}, map[ports]*stream{} // by tshark's number of the stream, and by ports
	for _, f := range hellos {
		if servers[f[2]] {
			key := ports{f[1], f[2]}
			keysOf[f[0]] = key
			streams[key] = &stream{map[string][]string{}, map[string][]string{}, map[string]map[string]int{}, opened(f)}
		}
	}
	for _, f := range tshark(t, capture, keys, servers, "tls", "tcp.stream", "tcp.srcport", "tls.handshake.type",
		"tls.alert_message.desc", "sip.Call-ID", "sip.Method", "sip.Status-Code") {
		key, ok := keysOf[f[0]]
		if !ok {
			continue
		}
		side := "client"
		if f[1] == key.server {
			side = "server"
		}
		streams[key].add(side, f[2:])
	}
	return streams
}

// add takes one frame: handshake types, alerts, Call-IDs, methods and status codes, each a list with commas.
func (s *stream) add(side string, f []string) {
	for _, number := range list(f[0]) {
		s.handshake[side] = append(s.handshake[side], cmp.Or(handshakeName[number], "handshake type "+number))
	}
	for _, number := range list(f[1]) {
		s.alerts[side] = append(s.alerts[side], cmp.Or(alertName[number], "alert "+number))
	}
	// A frame may carry several SIP messages, of several calls: one Call-ID for each, methods and codes in order among
	// their kind. Frames that mix both kinds with different Call-IDs do not occur in the demo's calls.
	ids := list(f[2])
	for i, label := range append(list(f[3]), list(f[4])...) {
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

// tshark prints the fields of the frames that match the filter. What goes to the ports servers is SIP over TLS.
func tshark(t *testing.T, capture, keys string, servers map[string]bool, filter string, fields ...string) [][]string {
	t.Helper()
	// By content first: the system may have chosen a port that tshark takes for another protocol's.
	args := []string{"-n", "-r", capture, "-o", "tcp.try_heuristic_first:TRUE", "-o", "tls.keylog_file:" + keys, "-Y", filter, "-T", "fields", "-E", "separator=/t", "-E", "occurrence=a"}
	for port := range servers {
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

// compareHandshake holds the steps of the document against tshark's, side by side. NewSessionTicket is left out in TLS
// 1.3: there it follows the handshake, under the application keys, which the gateway never keeps. Steps that are no
// handshake message (ChangeCipherSpec, application data) have no type for tshark to list and are left out too. Alerts are
// compared but for close_notify, which may cross the end of the demo.
func compareHandshake(t *testing.T, name, version string, c call, l leg, s *stream) {
	t.Helper()
	// In the document the sides are peer and gateway; the one who called is the client.
	if !s.opened && (version != "1.2" || c.State != "refused") {
		t.Errorf("%s: its secrets are not in the key log", name)
	}
	sideOf := map[string]string{"peer": "client", "gateway": "server"}
	if l.Direction == "out" {
		sideOf = map[string]string{"peer": "server", "gateway": "client"}
	}
	known := slices.Collect(maps.Values(handshakeName))
	got, alerts := map[string][]string{}, map[string][]string{}
	for _, step := range l.Hop.Handshake {
		side, word := sideOf[step.From], step.Step
		if side == "" {
			t.Errorf("%s: step %s from %q, want peer or gateway", name, step.Step, step.From)
		}
		if step.Encrypted && !s.opened {
			continue // tshark cannot read it either
		}
		if slices.Contains(known, word) && !(version == "1.3" && word == "NewSessionTicket") {
			got[side] = append(got[side], word)
		}
		if word == "Alert" && step.Alert != "close_notify" {
			alerts[side] = append(alerts[side], step.Alert)
		}
	}
	for _, side := range []string{"client", "server"} {
		want := slices.DeleteFunc(slices.Clone(s.handshake[side]), func(step string) bool {
			return version == "1.3" && step == "NewSessionTicket"
		})
		if len(want) == 0 || !slices.Equal(got[side], want) {
			t.Errorf("%s: handshake messages of the %s\n got  %s\n tshark %s", name, side, strings.Join(got[side], ", "), strings.Join(want, ", "))
		}
		wantAlerts := slices.DeleteFunc(slices.Clone(s.alerts[side]), func(alert string) bool { return alert == "close_notify" })
		if !slices.Equal(alerts[side], wantAlerts) {
			t.Errorf("%s: alerts of the %s: got %q, tshark %q", name, side, alerts[side], wantAlerts)
		}
	}
}

// compareSIP counts the document's SIP messages of this leg, and tshark's with the leg's Call-ID. What a refused peer
// sent was never read: the document has no SIP there, and the gateway must not have answered it.
func compareSIP(t *testing.T, name string, c call, l leg, s *stream) {
	t.Helper()
	got := map[string]int{}
	for _, e := range c.Events {
		if e.Kind != "sip" || e.Leg != l.Name {
			continue
		}
		word, _, _ := strings.Cut(e.Label, " ")
		if (e.From == "gateway") == (l.Direction == "out") {
			got["client "+word]++
		} else {
			got["server "+word]++
		}
	}
	if c.State == "refused" {
		for id, counts := range s.sip {
			for what := range counts {
				if strings.HasPrefix(what, "server ") {
					t.Errorf("%s: tshark saw %s on it, with Call-ID %s", name, what, id)
				}
			}
		}
		if len(got) > 0 {
			t.Errorf("%s: the document has SIP of a refused peer: %v", name, got)
		}
		return
	}
	if want := s.sip[l.CallID]; len(want) == 0 || !maps.Equal(got, want) {
		t.Errorf("%s: SIP messages\n got  %v\n tshark %v", name, got, want)
	}
}
