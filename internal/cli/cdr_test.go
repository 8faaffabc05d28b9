package cli

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/internal/store"
)

// records fills a data directory: a call over TLS that was answered, one that was refused after two targets, one that
// goes on, and one with texts that a stranger chose.
func records(t *testing.T) (dir string, all []*store.CDR) {
	t.Helper()
	dir = t.TempDir()
	s, err := store.Open(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	secure := &store.TLS{Version: "1.3", Suite: "TLS_AES_128_GCM_SHA256", Group: "X25519", Mutual: true, Identity: []string{"acme.example", "sip.acme.example"}, Handshake: 9 * time.Millisecond}
	office := store.Leg{Peer: "office", CallID: "a1@192.0.2.7", Transport: "udp", Remote: "192.0.2.7:5060"}
	all = []*store.CDR{
		{
			State: store.Ended, Caller: "+4930111111", Called: "+4989222222", Route: "to acme",
			Began: at, Answered: at.Add(2500 * time.Millisecond), Ended: at.Add(3723 * time.Second), EndedBy: "caller",
			Cause: store.Cause{SIP: 200, Q850: 16, Reason: `Q.850;cause=16;text="Normal, clearing"`, Text: "the caller hung up"}, Verdict: "partly",
			In: office, Out: []store.Leg{{Peer: "acme", CallID: "b1", Transport: "tls", Remote: "198.51.100.3:5061", Connection: 8, New: true, TLS: secure, Code: 200, To100: 1500 * time.Microsecond, To180: 40 * time.Millisecond, To200: 2500 * time.Millisecond}},
		},
		{
			State: store.Refused, Caller: "alice.with.a.very.long.name@somewhere", Called: "+4989222223", Began: at.Add(25 * time.Hour), Ended: at.Add(25*time.Hour + time.Second),
			Cause: store.Cause{SIP: 503, Text: "no target took the call: acme's certificate expired on 28 February 2026, and backup did not answer within 4 s"}, EndedBy: "gateway",
			In: office, Out: []store.Leg{{Peer: "acme", CallID: "b2"}, {Peer: "backup", CallID: "c2", Transport: "tcp"}},
		},
		{State: store.Answered, Caller: "+4930111111", Called: "+1202555", Began: at.Add(26 * time.Hour), Answered: at.Add(26*time.Hour + time.Second), In: office, Out: []store.Leg{{Peer: "acme", CallID: "b3", Transport: "tls", TLS: secure}}},
		{State: store.Cancelled, Caller: "=1+1|calc\x1b[31m", Called: "-5", Began: at.Add(27 * time.Hour), In: store.Leg{Peer: "office", CallID: "@x", Transport: "udp"}},
	}
	for _, c := range all {
		c.ID = s.NewID()
		s.Put(c)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, all
}

func TestCDRTable(t *testing.T) {
	dir, _ := records(t)
	defer func(l *time.Location) { time.Local = l }(time.Local)
	time.Local = time.UTC
	got := run(t, "cdr", "--data", dir, "--state", "ended")
	const want = `Sunday, 1 March 2026, UTC
08:00:00  1:02:01 +4930111111 → +4989222222            ended by the caller
                  office (udp) → acme (TLS 1.3, mutual), partly
`
	if got.status != exitGood || got.stdout != want {
		t.Errorf("status %d, got\n%s\nwant\n%s%s", got.status, got.stdout, want, got.stderr)
	}
	if got := run(t, "cdr", "--data", dir, "--verdict", "partly"); got.stdout != want {
		t.Errorf("by verdict: got\n%s%s", got.stdout, got.stderr)
	}
	if got := run(t, "cdr", "--data", dir, "--verdict", "secured"); got.stdout != "no calls\n" {
		t.Errorf("by a verdict that none has: got\n%s%s", got.stdout, got.stderr)
	}
	if got := run(t, "cdr", "--data", dir, "--verdict", "secure"); got.status == exitGood || !strings.Contains(got.stderr, "did you mean secured?") {
		t.Errorf("a verdict that there is not: status %d, %s", got.status, got.stderr)
	}
	got = run(t, "cdr", "--data", dir, "--ascii", "--failed")
	const refused = `Monday, 2 March 2026, UTC
09:00:00        - alice.with.a.ve~ > +4989222223       refused with 503
                  office (udp) > acme, then > backup (tcp)
                  no target took the call: acme's certificate expired on 28
                  February 2026, and backup did not answer within 4 s
`
	if got.stdout != refused {
		t.Errorf("got\n%s\nwant\n%s", got.stdout, refused)
	}
	got = run(t, "cdr", "--data", dir)
	for line := range strings.Lines(got.stdout) {
		if len([]rune(line)) > 81 || strings.Contains(line, "\x1b") {
			t.Errorf("line %q", line)
		}
	}
	if n := strings.Count(got.stdout, "office"); n != 4 {
		t.Errorf("%d calls, want 4:\n%s", n, got.stdout)
	}
	if got = run(t, "cdr", "--data", dir, "--peer", "nobody"); got.stdout != "no calls\n" {
		t.Errorf("got %q", got.stdout)
	}
}

func TestCDRFilters(t *testing.T) {
	dir, all := records(t)
	for _, tt := range []struct {
		flags string
		want  string // the calls, by their place
	}{
		{"", "0123"},
		{"--limit 2", "23"},
		{"--limit 0", "0123"},
		{"--number +4930111111", "02"},
		{"--number +1202*", "2"},
		{"--peer backup", "1"},
		{"--call-id b2", "1"},
		{"--state answered", "2"},
		{"--failed", "1"},
		{"--since 2026-03-02T09:30:00Z", "23"},
		{"--since 2026-03-02T09:00:00Z --until 2026-03-02T11:00:00Z", "12"},
		{"--since 1h", ""},
	} {
		got := run(t, append([]string{"cdr", "--data", dir, "--format", "json"}, strings.Fields(tt.flags)...)...)
		var found strings.Builder
		for line := range strings.Lines(got.stdout) {
			var c store.CDR
			if err := json.Unmarshal([]byte(line), &c); err != nil {
				t.Fatal(err)
			}
			for i, one := range all {
				if one.ID == c.ID {
					found.WriteString(string(rune('0' + i)))
				}
			}
		}
		if got.status != exitGood || found.String() != tt.want {
			t.Errorf("%s: status %d, found %q, want %q %s", tt.flags, got.status, found.String(), tt.want, got.stderr)
		}
	}
}

func TestCDRFormats(t *testing.T) {
	dir, all := records(t)
	got := run(t, "cdr", "--data", dir, "--format", "json", "--limit", "3")
	var c store.CDR
	if err := json.NewDecoder(strings.NewReader(got.stdout)).Decode(&c); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(&c, all[1]) {
		t.Errorf("got  %+v\nwant %+v", &c, all[1])
	}

	got = run(t, "cdr", "--data", dir, "--format", "csv")
	if !strings.Contains(got.stdout, "\r\n") || strings.Count(got.stdout, "\n") != strings.Count(got.stdout, "\r\n") {
		t.Error("lines do not end in CR LF")
	}
	rows, err := csv.NewReader(strings.NewReader(got.stdout)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 5 {
		t.Fatalf("%d rows, want 5", len(rows))
	}
	cell := func(row int, name string) string {
		for i, column := range rows[0] {
			if column == name {
				return rows[row][i]
			}
		}
		t.Fatalf("no column %s", name)
		return ""
	}
	for _, tt := range []struct {
		row        int
		name, want string
	}{
		{1, "began", "2026-03-01T08:00:00.000Z"}, {1, "seconds", "3720.500"}, {1, "caller", "+4930111111"}, {1, "reason", all[0].Cause.Reason},
		{1, "in_transport", "udp"}, {1, "in_tls_version", ""}, {1, "out_tls_version", "1.3"}, {1, "out_tls_identity", "acme.example sip.acme.example"},
		{1, "out_tls_handshake_ms", "9"}, {1, "out_to_100_ms", "1.5"}, {1, "out_new", "true"}, {1, "targets", "1"},
		{2, "out_peer", "backup"}, {2, "targets", "2"}, {2, "seconds", ""}, {3, "ended", ""},
		{4, "caller", "'=1+1|calc\x1b[31m"}, {4, "called", "'-5"}, {4, "in_call_id", "'@x"}, {4, "out_peer", ""},
	} {
		if got := cell(tt.row, tt.name); got != tt.want {
			t.Errorf("row %d, %s: %q, want %q", tt.row, tt.name, got, tt.want)
		}
	}
	// The page names every column.
	page, err := os.ReadFile("../../docs/operate/cdr.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, column := range rows[0] {
		name, leg := strings.CutPrefix(column, "in_")
		if other, ok := strings.CutPrefix(column, "out_"); ok {
			name, leg = other, true
		}
		if leg {
			name = "in_" + name
		}
		if !bytes.Contains(page, []byte("`"+name+"`")) {
			t.Errorf("docs/operate/cdr.md does not explain the column %s", name)
		}
	}
}

func TestHarmless(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "alice": "alice", "+4930": "+4930", "+": "'+", "+49 30": "'+49 30", "+1+1": "'+1+1", "=1": "'=1", "-1": "'-1",
		"@x": "'@x", "\t=1": "'\t=1", "\r": "'\r", "\n=1": "'\n=1", "a=1": "a=1",
	} {
		if got := harmless(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestParseWhen(t *testing.T) {
	now := time.Date(2026, 3, 8, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]string{
		"90m": "2026-03-08T10:30:00Z", "7d": "2026-03-01T12:00:00Z", "0s": "2026-03-08T12:00:00Z", "11:15": "2026-03-08T11:15:00Z",
		"2026-03-01": "2026-03-01T00:00:00Z", "2026-03-01 08:30": "2026-03-01T08:30:00Z", "2026-03-01T08:30:05+01:00": "2026-03-01T07:30:05Z",
		"-1h": "", "yesterday": "", "d": "", "1.5d": "",
	} {
		got, err := parseWhen("--since", text, now)
		if (err != nil) != (want == "") || err == nil && got.UTC().Format(time.RFC3339) != want {
			t.Errorf("%q: %v, %v, want %s", text, got, err, want)
		}
	}
}

func TestCDRRefusals(t *testing.T) {
	for line, want := range map[string]string{
		"cdr --data x --config y":      "give one",
		"cdr --data x --state anwered": `(did you mean answered?)`,
		"cdr --data x --format xml":    "is not table, csv or json",
		"cdr --data x --limit -1":      "is less than 0",
		"cdr --data x --since never":   "is no time",
		"cdr now":                      "takes no argument",
	} {
		if got := run(t, strings.Fields(line)...); got.status != exitUsage || !strings.Contains(got.stderr, want) {
			t.Errorf("%s: status %d, %s", line, got.status, got.stderr)
		}
	}
	for _, dir := range []string{t.TempDir(), filepath.Join(t.TempDir(), "none")} {
		if got := run(t, "cdr", "--data", dir); got.status != exitFailed || !strings.Contains(got.stderr, dir) {
			t.Errorf("status %d, %s", got.status, got.stderr)
		}
	}
}

// TestCDRFollow follows a call through its states, in each format.
func TestCDRFollow(t *testing.T) {
	for _, format := range []string{"table", "csv", "json"} {
		dir := t.TempDir()
		s, err := store.Open(dir, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		r, w := io.Pipe()
		a := &app{stdin: strings.NewReader(""), stdout: w, stderr: io.Discard, getenv: func(string) string { return "" }}
		status := make(chan int, 1)
		go func() {
			status <- a.run(ctx, []string{"cdr", "--data", dir, "--follow", "--format", format})
			w.Close()
		}()
		stop := make(chan struct{})
		go func() { // until one of them is seen, so that nothing depends on when the follower begins
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				case <-time.After(20 * time.Millisecond):
					s.Put(&store.CDR{ID: s.NewID(), State: store.Refused, Caller: "seen", Began: time.Now(), In: store.Leg{Peer: "office"}})
				}
			}
		}()
		seen := make([]byte, 4096)
		text := ""
		for !strings.Contains(text, "seen") {
			n, err := r.Read(seen)
			if err != nil {
				t.Fatal(err)
			}
			text += string(seen[:n])
		}
		close(stop)
		cancel()
		go io.Copy(io.Discard, r)
		if got := <-status; got != exitGood {
			t.Errorf("%s: status %d", format, got)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
