//go:build interop

package gateway

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

// TestSecretsInTshark lets tshark read a call of a peer with keep_keys, exported with secrets: it has to see the messages of the
// handshake, those of TLS 1.3 that are encrypted too, and every SIP message of that hop, decrypted by what is in the file alone.
func TestSecretsInTshark(t *testing.T) {
	for version, handshake := range map[string][]string{
		"1.3": {"1", "2", "8", "13", "11", "15", "20", "11", "15", "20"},
		"1.2": {"1", "2", "11", "12", "13", "14", "11", "16", "15", "20", "20"},
	} {
		var written []byte
		var want []string
		set := keepingFor("1h", ", policy: one")
		set.keys = "policies: {one: {min_version: \"" + version + "\", max_version: \"" + version + "\", resumption: off}}\n"
		set.file = strings.Replace(file(set), "client_certificates: required}", "client_certificates: required, policy: one}", 1)
		run(t, set, func(r *rig) {
			r.answered()
			r.hangUp(r.office, r.acme)
			synctest.Wait()
			f := r.recorder.Flows()[0]
			for _, row := range f.Rows {
				if len(row.Raw) > 0 && f.Legs[row.Leg].Name == "A" {
					line, _, _ := strings.Cut(string(row.Raw), "\r\n")
					want = append(want, line)
				}
			}
			written = r.exportWith(f)
		})
		capture := filepath.Join(t.TempDir(), "call.pcapng")
		if err := os.WriteFile(capture, written, 0o600); err != nil {
			t.Fatal(err)
		}
		got := tshark(t, capture, "tls && sip", "sip.Request-Line", "sip.Status-Line")
		if !slices.Equal(got, want) || len(want) < 7 {
			t.Errorf("TLS %s: tshark sees the messages\n%s\nwant\n%s", version, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		steps := tshark(t, capture, "tls.handshake.type && tls.handshake.type != 4", "tls.handshake.type")
		if !slices.Equal(steps, handshake) {
			t.Errorf("TLS %s: tshark sees the handshake messages %q, want %q", version, steps, handshake)
		}
		if bad := tshark(t, capture, "_ws.malformed || _ws.expert.severity >= 0x600000", "frame.number", "_ws.expert.message"); len(bad) > 0 {
			t.Errorf("TLS %s: tshark's experts say %q", version, bad)
		}
	}
}

// tshark returns the values of fields, one a line and an item.
func tshark(t *testing.T, capture, filter string, fields ...string) (values []string) {
	t.Helper()
	args := []string{"-r", capture, "-Y", filter, "-T", "fields", "-E", "separator=,"}
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	out, err := exec.CommandContext(t.Context(), "tshark", args...).Output()
	if err != nil {
		t.Fatalf("tshark: %v", err)
	}
	for _, v := range strings.FieldsFunc(string(out), func(r rune) bool { return r == '\n' || r == ',' }) {
		if v = strings.TrimSpace(v); v != "" {
			values = append(values, v)
		}
	}
	return values
}
