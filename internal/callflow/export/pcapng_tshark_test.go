//go:build interop

package export

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/sip"
)

// TestPCAPNGInTshark lets tshark read the flows of every script. Its SIP rows must be those of the flows, one for one: what
// was asked or answered, Call-ID, CSeq, source, destination and the row's address in the comment. Nothing may be malformed,
// and no expert may see a warning, checksums included.
func TestPCAPNGInTshark(t *testing.T) {
	if _, err := exec.LookPath("tshark"); err != nil {
		t.Fatalf("tshark is needed: %v", err)
	}
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) < 10 {
		t.Fatalf("scripts: got %d files, %v", len(files), err)
	}
	rows := 0
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			flows := callflow.Builder{}.Build(parseScript(t, string(archive.Files[0].Data)))
			var want []string
			for _, f := range flows {
				for i := range f.Rows {
					if r := &f.Rows[i]; r.Kind == callflow.RowSIP {
						want = append(want, wantedRow(t, f, r))
					}
				}
			}
			rows += len(want)
			capture := filepath.Join(t.TempDir(), "flow.pcapng")
			if err := os.WriteFile(capture, writePCAPNG(t, flows, Options{}), 0o600); err != nil {
				t.Fatal(err)
			}
			compareLines(t, tsharkRows(t, capture), want)
		})
	}
	if rows < 60 {
		t.Errorf("only %d rows were compared", rows)
	}
	t.Run("a message in several segments", func(t *testing.T) {
		m := sipMessage([]string{"INVITE"}, map[string]string{"call": "long"})
		body := bytes.Repeat([]byte("v=0\r\n"), 20000)
		m = bytes.Replace(m, []byte("Content-Length: 0\r\n\r\n"), fmt.Appendf(nil, "Content-Type: application/x\r\nContent-Length: %d\r\n\r\n%s", len(body), body), 1)
		for _, at := range [][2]string{{"192.0.2.1:5061", "192.0.2.2:50800"}, {"[2001:db8::1]:5060", "[2001:db8::2]:50800"}} {
			flows := oneMessage("tls", at[0], at[1], 0)
			flows[0].Rows[0].Raw = m
			capture := filepath.Join(t.TempDir(), "flow.pcapng")
			if err := os.WriteFile(capture, writePCAPNG(t, flows, Options{}), 0o600); err != nil {
				t.Fatal(err)
			}
			if got := tsharkRows(t, capture); len(got) != 1 || !strings.HasPrefix(got[0], "INVITE  long 1 INVITE") {
				t.Errorf("%s: tshark saw %q", at[0], got)
			}
		}
	})
}

func compareLines(t *testing.T, got, want []string) {
	t.Helper()
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("tshark saw\n%s\nwant\n%s", g, w)
	}
}

// wantedRow is a row as tsharkRows writes it.
func wantedRow(t *testing.T, f *callflow.Flow, r *callflow.Row) string {
	t.Helper()
	m := sip.Acquire()
	defer m.Release()
	if err := m.Load(r.Raw); err != nil {
		t.Fatal(err)
	}
	method, code := "", ""
	if m.IsRequest() {
		method = string(m.Method())
	} else {
		code = fmt.Sprint(m.StatusCode())
	}
	link, far := place(f, r)
	from, to := far, link.Local
	if f.Lifelines[r.From].Gateway {
		from, to = to, from
	}
	return strings.Join([]string{method, code, string(m.CallID()), string(m.First(sip.HdrCSeq)), from.String(), to.String(),
		fmt.Sprintf("call/%s/row/%d", f.ID, r.Number)}, " ")
}

// tsharkRows returns the SIP messages that tshark sees, and fails for whatever its experts say.
func tsharkRows(t *testing.T, capture string) (rows []string) {
	t.Helper()
	fields := []string{"sip.Method", "sip.Status-Code", "sip.Call-ID", "sip.CSeq", "ip.src", "ipv6.src", "tcp.srcport", "udp.srcport",
		"ip.dst", "ipv6.dst", "tcp.dstport", "udp.dstport", "frame.comment"}
	for _, line := range tsharkFields(t, capture, "sip", fields...) {
		v := strings.Split(line, "\t")
		from, to := joinHost(v[4]+v[5], v[6]+v[7]), joinHost(v[8]+v[9], v[10]+v[11])
		row, _, _ := strings.Cut(v[12], " ")
		rows = append(rows, strings.Join([]string{v[0], v[1], v[2], v[3], from, to, row}, " "))
	}
	const checks = "_ws.malformed || _ws.expert.severity >= 0x600000"
	if bad := tsharkFields(t, capture, checks, "frame.number", "_ws.expert.message", "_ws.malformed"); len(bad) > 0 {
		t.Errorf("tshark's experts complain: %q", bad)
	}
	return rows
}

func joinHost(ip, port string) string {
	if strings.Contains(ip, ":") {
		ip = "[" + ip + "]"
	}
	return ip + ":" + port
}

func tsharkFields(t *testing.T, capture, filter string, fields ...string) []string {
	t.Helper()
	args := []string{"-r", capture, "-o", "tcp.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE",
		"-Y", filter, "-T", "fields"}
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "tshark", args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tshark %s: %v\n%s", filter, err, &stderr)
	}
	text := strings.TrimRight(string(out), "\n")
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}
