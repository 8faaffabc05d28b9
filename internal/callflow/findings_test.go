package callflow

import (
	"bytes"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "rewrite the goldens and the page")

// play runs a script and returns what all its flows show.
func findingsOf(t *testing.T, script string) (all []Finding) {
	t.Helper()
	for _, f := range (Builder{}).Build(parsePlay(t, script)) {
		for _, x := range f.Findings {
			if x.Sentence == "" || x.Remedy == "" || x.Reference == "" || len(x.Rows) == 0 {
				t.Errorf("finding %s says too little: %+v", x.Code, x)
			}
			for _, n := range x.Rows {
				if n < 1 || n > len(f.Rows) {
					t.Errorf("finding %s: there is no row %d", x.Code, n)
				}
			}
		}
		all = append(all, f.Findings...)
	}
	return all
}

// told are findings as a golden has them. Those of one code alone, or all.
func told(all []Finding, code string) []byte {
	var b bytes.Buffer
	for _, f := range all {
		if code == "" || f.Code == code {
			fmt.Fprintf(&b, "%s %s %v: %s\n  fix: %s (%s)\n", f.Severity, f.Code, f.Rows, f.Sentence, f.Remedy, f.Reference)
		}
	}
	return b.Bytes()
}

// TestFindings plays for each row of the table a flow that raises it, and one near to it that must not. A row without
// either is a failure, and so is a script without a row.
func TestFindings(t *testing.T) {
	t.Parallel()
	var codes []string
	for _, c := range table {
		if slices.Contains(codes, c.Code) {
			t.Errorf("two rows have the code %s", c.Code)
		}
		codes = append(codes, c.Code)
		t.Run(c.Code, func(t *testing.T) {
			file := filepath.Join("testdata", "findings", c.Code+".txtar")
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatalf("the row needs a flow that raises it and one near to it: %v", err)
			}
			raises, near := 0, 0
			for i := 0; i < len(archive.Files); i++ {
				script := &archive.Files[i]
				got := told(findingsOf(t, string(script.Data)), c.Code)
				switch {
				case strings.HasPrefix(script.Name, "raises"):
					raises++
					if i+1 == len(archive.Files) || archive.Files[i+1].Name != "says" {
						t.Fatalf("%s: what it says is missing", script.Name)
					}
					i++
					want := &archive.Files[i]
					if *update {
						want.Data = got
					}
					if len(got) == 0 || !bytes.Equal(got, want.Data) {
						t.Errorf("%s: got\n%s\nwant\n%s", script.Name, got, want.Data)
					}
				case strings.HasPrefix(script.Name, "near"):
					near++
					if len(got) > 0 {
						t.Errorf("%s raises it: %s", script.Name, got)
					}
				default:
					t.Errorf("script %q is neither raises nor near", script.Name)
				}
			}
			if raises == 0 || near == 0 {
				t.Errorf("%d flows raise it and %d are near to it, want one of each at least", raises, near)
			}
			if *update {
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
	files, err := filepath.Glob("testdata/findings/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if code := strings.TrimSuffix(filepath.Base(f), ".txtar"); !slices.Contains(codes, code) {
			t.Errorf("%s: no check has that code", f)
		}
	}
}

// TestAGoodCallHasNoFinding plays calls in which nothing is wrong, over each transport.
func TestAGoodCallHasNoFinding(t *testing.T) {
	t.Parallel()
	for _, hop := range []string{"udp", "tcp", "tls"} {
		script := fmt.Sprintf("a=%[1]s b=%[1]s\n0 setup\n60000 hangup A\n", hop)
		if hop == "tls" {
			script = "a=tls b=tls\n0 tls A\n0 tls B\n0 setup A<180.contact=<sip:192.0.2.1:5061;transport=tls> \n60000 hangup B\n"
		}
		if got := told(findingsOf(t, script), ""); len(got) > 0 {
			t.Errorf("%s: %s", hop, got)
		}
	}
}

const findingsPage = "../../docs/reference/findings.md"

// TestFindingsPage compares the page of checks with the table; -update writes it.
func TestFindingsPage(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	b.WriteString("# Findings\n\n<!-- Made by TestFindingsPage in internal/callflow. -->\n\n")
	fmt.Fprintf(&b, "What the gateway looks for in each call, request and refused handshake that it shows: %d checks. A finding stands below the\n", len(table))
	b.WriteString("sentence of its flow in every rendering, names the rows that show it, and says what to do. The sentence stays the verdict: a finding\n")
	b.WriteString("adds what it does not say. Severity: a *problem* did not work, a *warning* worked and is about to fail or fails for others, a *hint*\nis worth knowing. The filter `finding:CODE` finds the flows.\n\n")
	b.WriteString("| code | severity | what it means | what to do | rule |\n|---|---|---|---|---|\n")
	for _, c := range table {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", c.Code, c.Severity, c.What, c.Remedy, c.Reference)
	}
	if *update {
		if err := os.WriteFile(findingsPage, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got, err := os.ReadFile(findingsPage); err != nil || !bytes.Equal(got, b.Bytes()) {
		t.Errorf("%s is not what the table says (%v): go test ./internal/callflow -run TestFindingsPage -update", findingsPage, err)
	}
}

// knownHosts are the hosts of RFC 3665 by what their messages and its text call them.
var knownHosts = map[string]string{
	"client.atlanta.example.com": "Alice", "client.biloxi.example.com": "Bob", "ss1.atlanta.example.com": "Proxy_1",
	"ss2.biloxi.example.com": "Proxy_2", "ss1.example.com": "Proxy_1", "ss2.example.com": "Proxy_2",
}

// TestNoFalseAlarmOnRFC3665 takes the place of each host in each flow of RFC 3665, which are good calls and calls that end
// as they should. What is found is what is there: credentials in clear, and refusals.
func TestNoFalseAlarmOnRFC3665(t *testing.T) {
	t.Parallel()
	right := map[string][]string{
		"auth-plain":  nil,            // every flow with credentials is over UDP or TCP
		"body-length": {"3.8", "3.9"}, // two of the RFC's bodies are shorter than they say
	}
	files, err := filepath.Glob("../../sip/testdata/rfc3665/*.sip")
	if err != nil || len(files) != 178 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	type line struct {
		from, to string
		raw      []byte
	}
	flows := map[string][]line{}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		m, ok := read(raw)
		parts := strings.SplitN(strings.TrimSuffix(filepath.Base(file), ".sip"), "-", 4)
		if !ok || len(parts) < 3 {
			continue
		}
		name, l := filepath.Base(file), line{raw: raw}
		var via string
		if m.detail != nil {
			via = knownHosts[m.detail.via.host]
		}
		for _, host := range []string{"Alice", "Bob", "Proxy_1", "Proxy_2", "SIP_Server"} {
			base := strings.TrimSuffix(name, ".sip")
			if strings.HasSuffix(base, "_"+host) {
				l.to = host
			}
			if before, _, is := strings.Cut(base, "_"+host+"_"); is && !strings.Contains(before, host) {
				l.from = host
			}
		}
		if m.detail != nil && strings.Contains(m.detail.uri.host, "chicago") {
			continue // a second place of Bob's
		}
		if l.from == "" || l.to == "" || m.detail == nil || m.request && via != l.from || !m.request && via != l.to {
			continue // the name of the file is not that of its message
		}
		flows[parts[1]] = append(flows[parts[1]], l)
	}
	played := 0
	for section, lines := range flows {
		for _, gateway := range []string{"Alice", "Bob", "Proxy_1", "Proxy_2"} {
			var events []Event
			links := map[string]*Link{}
			at := time.Date(2026, 3, 1, 20, 0, 0, 0, time.UTC)
			for _, l := range lines {
				other := l.from
				if l.from == gateway {
					other = l.to
				} else if l.to != gateway {
					continue
				}
				if links[other] == nil {
					links[other] = &Link{ID: uint64(len(links) + 1), Transport: "udp", Peer: other}
				}
				at = at.Add(20 * time.Millisecond)
				events = append(events, Event{Seq: uint64(len(events) + 1), At: at, Kind: Message, Link: links[other], Out: l.from == gateway, Raw: l.raw,
					Remote: netip.MustParseAddrPort("192.0.2.20:5060")})
			}
			for _, f := range (Builder{}).Build(events) {
				played++
				for _, x := range f.Findings {
					if sections, is := right[x.Code]; !is || sections != nil && !slices.Contains(sections, section) {
						t.Errorf("%s at %s: %s", section, gateway, told([]Finding{x}, ""))
					}
				}
			}
		}
	}
	if played < 30 {
		t.Errorf("%d flows were played, want 30 at least", played)
	}
}
