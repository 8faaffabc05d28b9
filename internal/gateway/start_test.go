package gateway

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/memnet"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
)

// minimal is a file that needs no certificates.
const minimal = `
listeners:
  first: {listen: "udp:192.0.2.1:5060"}
  second: {listen: "tcp:192.0.2.1:5060"}
peers:
  office: {uri: "sip:192.0.2.10:5080;transport=udp"}
  acme: {uri: "sip:192.0.2.20:5081;transport=udp"}
routes:
  - {from: [office], to: [acme]}
cdr: off
`

// opened makes a gateway of a file in a directory.
func opened(t *testing.T, dir, file string, network *memnet.Network) *Gateway {
	t.Helper()
	cfg, problems := config.Parse(filepath.Join(dir, "sallyport.yaml"), []byte(file))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	g, problems := New(cfg, Options{Network: network, Shards: 2})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return g
}

func TestStartNamesTheListenerWhosePortIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memnet.New(memnet.Options{})
		taken, err := network.Listen(t.Context(), netip.MustParseAddrPort("192.0.2.1:5060"))
		if err != nil {
			t.Fatal(err)
		}
		g := opened(t, t.TempDir(), minimal, network)
		err = g.Start()
		if err == nil || !strings.HasPrefix(err.Error(), "listener second: ") || !strings.Contains(err.Error(), "192.0.2.1:5060") {
			t.Errorf("got %v", err)
		}
		// Everything is closed again: the other listener's port is free.
		pc, err := network.ListenPacket(t.Context(), netip.MustParseAddrPort("192.0.2.1:5060"))
		if err != nil {
			t.Fatal(err)
		}
		pc.Close()
		taken.Close()
		g = opened(t, t.TempDir(), minimal, network)
		if err := g.Start(); err != nil {
			t.Error(err)
		}
		if err := g.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// A start that fails while messages already come must not wait for their
// readers.
func TestStartFailsUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memnet.New(memnet.Options{})
		blocked := gate{network, make(chan struct{}), make(chan struct{})}
		cfg, _ := config.Parse(filepath.Join(t.TempDir(), "sallyport.yaml"), []byte(minimal))
		g, problems := New(cfg, Options{Network: blocked, Shards: 1})
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		result := make(chan error)
		go func() { result <- g.Start() }()
		<-blocked.reached
		p := siptest.New(t, siptest.Config{Name: "office", Network: network, Addr: netip.MustParseAddrPort("192.0.2.10:5080")})
		p.Dial(netip.MustParseAddrPort("192.0.2.1:5060"))
		p.Send(p.Request(sip.OPTIONS, "sip:192.0.2.1"))
		p.WantSilence(time.Second) // the last listener is not open yet
		at := time.Now()
		close(blocked.open)
		if err := <-result; err == nil {
			t.Error("it did start")
		}
		if took := time.Since(at); took > 10*time.Millisecond {
			t.Errorf("closing took %v", took)
		}
	})
}

// gate is a network whose streams cannot be listened on; it says so when open.
type gate struct {
	*memnet.Network
	reached, open chan struct{}
}

func (g gate) Listen(context.Context, netip.AddrPort) (l net.Listener, err error) {
	close(g.reached)
	<-g.open
	return nil, fmt.Errorf("no")
}

func TestStartWithoutADataDirectory(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	g := opened(t, dir, minimal+"data: ./file/data\n", memnet.New(memnet.Options{}))
	if err := g.Start(); err == nil || !strings.HasPrefix(err.Error(), "data directory: ") || !strings.Contains(err.Error(), "/file: not a directory") {
		t.Errorf("got %v", err)
	}
}

func TestStartWithAReadOnlyDataDirectory(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("the superuser may write everywhere")
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o500); err != nil {
		t.Fatal(err)
	}
	g := opened(t, dir, minimal, memnet.New(memnet.Options{}))
	if err := g.Start(); err == nil || !strings.HasPrefix(err.Error(), "data directory: ") {
		t.Errorf("got %v", err)
	}
}

func TestStartLeavesTheDataDirectoryEmpty(t *testing.T) {
	dir := t.TempDir()
	g := opened(t, dir, minimal, memnet.New(memnet.Options{}))
	if err := g.Start(); err != nil {
		t.Fatal(err)
	}
	defer g.Close(context.Background())
	entries, err := os.ReadDir(filepath.Join(dir, "data"))
	if err != nil || len(entries) != 0 {
		t.Errorf("got %v, %v", entries, err)
	}
}

// A peer needs a listener of its transport, whose address our Via and Contact
// have.
func TestCheckFindsPeersWithoutAListener(t *testing.T) {
	file := strings.Replace(minimal, "transport=udp", "transport=tcp", 1)
	file = strings.Replace(file, `  second: {listen: "tcp:192.0.2.1:5060"}`+"\n", "", 1)
	cfg, problems := config.Parse("sallyport.yaml", []byte(file))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	problems = Check(cfg)
	const want = `sallyport.yaml:5:17: peer "office": there is no listener on tcp`
	if len(problems) != 1 || !strings.HasPrefix(problems[0].String(), want) {
		t.Errorf("got %v, want %s", problems, want)
	}
}

// Close ends each call, on both legs, and refuses what comes meanwhile.
func TestCloseEndsCallsWithBye(t *testing.T) {
	hops(t, func(r *rig) {
		r.answered()
		closed := make(chan struct{})
		go func() {
			r.shut()
			close(closed)
		}()
		for _, p := range []*siptest.Peer{r.office, r.acme} {
			p.Reply(p.WantRequest(sip.BYE), 200)
		}
		<-closed
		if r.Calls() != 0 {
			r.Errorf("%d calls are left", r.Calls())
		}
	})
}

func TestCloseGivesUpCallsThatRing(t *testing.T) {
	hops(t, func(r *rig) {
		r.invite()
		invite := r.acme.WantRequest(sip.INVITE)
		r.acme.Reply(invite, 180)
		r.office.Want(180)
		closed := make(chan struct{})
		go func() {
			r.shut()
			close(closed)
		}()
		m := r.refused(503)
		if m.First(sip.HdrRetryAfter) == nil {
			r.Error("the 503 has no Retry-After")
		}
		cancel := r.acme.WantRequest(sip.CANCEL)
		r.office.Send(r.office.Request(sip.INVITE, number))
		r.office.Want(100)
		r.refused(503)
		r.acme.Reply(cancel, 200)
		<-closed
	})
}

// Peers that do not answer hold Close up for no longer than it says.
func TestCloseDoesNotWaitForEver(t *testing.T) {
	hops(t, func(r *rig) {
		r.answered()
		at := time.Now()
		r.shut()
		if took := time.Since(at); took > farewell+5*time.Second {
			r.Errorf("it took %v", took)
		}
		r.acme.WantRequest(sip.BYE)
		r.office.WantRequest(sip.BYE)
	})
}

// The store of records is open as long as the gateway is, and belongs to one
// gateway.
func TestStartOpensTheStore(t *testing.T) {
	dir := t.TempDir()
	file := strings.Replace(minimal, "cdr: off", "cdr: strict", 1)
	for range 2 {
		g := opened(t, dir, file, memnet.New(memnet.Options{}))
		if err := g.Start(); err != nil {
			t.Fatal(err)
		}
		if _, ok := g.RecordStats(); !ok {
			t.Error("calls are not recorded")
		}
		second := opened(t, dir, file, memnet.New(memnet.Options{}))
		if err := second.Start(); err == nil || !strings.HasPrefix(err.Error(), "records of calls: ") {
			t.Errorf("a second gateway with the same data: %v", err)
		}
		if err := g.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// Check finds a data directory that Start could not use, and makes none.
func TestCheckOfTheDataDirectory(t *testing.T) {
	dir := t.TempDir()
	for name, make := range map[string]func(string) error{
		"file": func(p string) error { return os.WriteFile(p, nil, 0o600) },
		"link": func(p string) error { return os.Symlink("nowhere", p) },
		"own":  func(p string) error { return os.Mkdir(p, 0o700) },
	} {
		if err := make(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for data, want := range map[string]string{
		"own": "", "own/new/deep": "", "file": "is no directory", "file/deep": "it cannot be used", "link": "is a link to nothing",
	} {
		cfg, problems := config.Parse(filepath.Join(dir, "sallyport.yaml"), []byte(minimal+"data: "+data+"\n"))
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		problems = Check(cfg)
		if want == "" && len(problems) > 0 || want != "" && (len(problems) != 1 || !strings.Contains(problems[0].String(), want) || problems[0].Line != 11) {
			t.Errorf("%s: got %v, want %q", data, problems, want)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "own/new")); err == nil {
		t.Error("Check has made a directory")
	}
}
