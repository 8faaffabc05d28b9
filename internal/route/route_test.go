package route

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/peer"
	"github.com/sallyport-sip/sallyport/sip"
)

var update = flag.Bool("update", false, "rewrite what testdata/*.txtar want")

// head makes a file of the test complete.
const head = `
listeners:
  tls: {listen: "tls:127.0.0.1:5061"}
  tcp: {listen: "tcp:127.0.0.1:5060"}
  udp: {listen: "udp:127.0.0.1:5060"}
identities: {us: {certificate: us.pem, key: us.pem}}
trust: {them: {files: [ca.pem]}}
defaults: {identity: us, trust: [them]}
`

// TestDecide asks for the calls of each archive, one a line: the caller, the
// scheme, the number. It compares the explanation and the decision.
func TestDecide(t *testing.T) {
	for _, archive := range archives(t, "decide-*") {
		cfg, problems := config.Parse("routes.yaml", append([]byte(head), archive.file(0)...))
		for _, p := range problems {
			t.Errorf("%s: %s", archive.name, p)
		}
		peers := peer.Compile(cfg, nil)
		table := Compile(cfg, peers)
		var got strings.Builder
		for line := range strings.Lines(string(archive.file(1))) {
			var from, scheme, number string
			fmt.Sscanf(line, "%s %s %q", &from, &scheme, &number)
			f := Facts{From: peers.Lookup(from), Method: sip.INVITE, User: number, SIPS: scheme == "sips"}
			fmt.Fprintf(&got, "%s", line)
			for _, line := range table.Explain(f) {
				fmt.Fprintf(&got, "  %s\n", line)
			}
			d := table.Decide(f)
			fmt.Fprintf(&got, "  -> %s, route %d, targets [%s]: %s\n", outcomes[d.Outcome], d.Route, names(d.Targets), d.Why)
		}
		archive.compare(t, 2, got.String())
	}
}

var outcomes = map[Outcome]string{Routed: "routed", NoRoute: "404", SIPSNotAllowed: "480 (380)", SIPSRequired: "480 (381)"}

// TestCheck compares the problems of each archive's file.
func TestCheck(t *testing.T) {
	for _, archive := range archives(t, "check-*") {
		cfg, problems := config.Parse("routes.yaml", archive.file(0))
		var got strings.Builder
		for _, p := range append(problems, Check(cfg)...) {
			got.WriteString(p.String() + "\n")
		}
		archive.compare(t, 1, got.String())
	}
}

func TestExampleHasNoDeadRoute(t *testing.T) {
	cfg, _ := config.Parse("sallyport.yaml", []byte(config.Example))
	for _, p := range Check(cfg) {
		t.Error(p)
	}
}

// A connection may know its peer from before a reload.
func TestDecideKnowsPeersOfAnEarlierTable(t *testing.T) {
	cfg, _ := config.Parse("sallyport.yaml", []byte(config.Example))
	before := peer.Compile(cfg, nil)
	table := Compile(cfg, peer.Compile(cfg, before))
	d := table.Decide(Facts{From: before.Lookup("office"), User: "+4930"})
	if d.Outcome != Routed || names(d.Targets) != "acme, backup" {
		t.Errorf("got %+v", d)
	}
}

func TestDecideDoesNotAllocate(t *testing.T) {
	table, f := bench(t)
	var d Decision
	if n := testing.AllocsPerRun(100, func() { d = table.Decide(f) }); n != 0 {
		t.Errorf("got %v allocations", n)
	}
	if d.Route != 99 {
		t.Errorf("got route %d", d.Route)
	}
}

// BenchmarkDecide walks a hundred routes and takes the last.
func BenchmarkDecide(b *testing.B) {
	table, f := bench(b)
	b.ReportAllocs()
	for b.Loop() {
		if d := table.Decide(f); d.Outcome != Routed {
			b.Fatal(d)
		}
	}
}

func bench(t testing.TB) (*Table, Facts) {
	t.Helper()
	var file strings.Builder
	file.WriteString(head + "peers:\n  office: {uri: \"sip:192.0.2.1\"}\n  acme: {uri: \"sips:acme.example\"}\nroutes:\n")
	for i := range 100 {
		fmt.Fprintf(&file, "  - {from: [office], number: \"+49%d*\", to: [acme]}\n", 100+i)
	}
	cfg, problems := config.Parse("bench.yaml", []byte(file.String()))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	peers := peer.Compile(cfg, nil)
	return Compile(cfg, peers), Facts{From: peers.Lookup("office"), Method: sip.INVITE, User: "+4919912345"}
}

// archive is a golden: inputs, then the output that is wanted.
type archive struct {
	name string
	*txtar.Archive
}

func archives(t *testing.T, pattern string) []archive {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", pattern+".txtar"))
	if err != nil || len(files) == 0 {
		t.Fatal("no goldens", err)
	}
	var out []archive
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, archive{file, a})
	}
	return out
}

func (a archive) file(i int) []byte { return a.Files[i].Data }

func (a archive) compare(t *testing.T, i int, got string) {
	t.Helper()
	if !*update {
		if want := string(a.file(i)); got != want {
			t.Errorf("%s\ngot:\n%swant:\n%s", a.name, got, want)
		}
		return
	}
	a.Files[i].Data = []byte(got)
	if err := os.WriteFile(a.name, txtar.Format(a.Archive), 0o644); err != nil {
		t.Fatal(err)
	}
}
