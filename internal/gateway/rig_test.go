package gateway

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/callflow/export"
	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/memnet"
	"github.com/sallyport-sip/sallyport/internal/testca"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Timers of RFC 3261 that tests count by.
const (
	t1       = 500 * time.Millisecond
	t2       = 4 * time.Second
	lifetime = 64 * t1
)

const (
	gatewayAddr = "192.0.2.1"
	officeAddr  = "192.0.2.10:5080"
	acmeAddr    = "192.0.2.20:5081"
	backupAddr  = "192.0.2.30:5082"
)

// rig is a gateway on a network in memory, and the scripted peers around it.
type rig struct {
	*testing.T
	*Gateway
	net    *memnet.Network
	ca     *testca.CA
	log    syncBuffer
	set    setting
	dir    string // of the configuration and its files
	cdrs   keeper
	closed bool

	office, acme, backup *siptest.Peer
}

// syncBuffer is a log that several goroutines write.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// setting is what a test runs under.
type setting struct {
	shards          int
	office, targets transport.Transport
	profiles        map[string]string // of peers, by name
	extra           map[string]string // further keys of peers, by name
	tuned           string            // keys of the profile with that name
	more            string            // further profiles, whole lines
	keys            string            // further lines of the file
	routes          string
	file            string // the whole file instead
	six             bool   // peers have IPv6 addresses
	network         memnet.Options
	stored          bool // records of calls and the history are on the disk, as in a real gateway
	options         func(*Options)
	files           func(dir string) // writes more of them
}

// plain is UDP on both sides and one shard.
var plain = setting{shards: 1, office: transport.UDP, targets: transport.UDP}

// hops runs a test over each transport on either side, with one shard and with
// three.
func hops(t *testing.T, f func(r *rig)) {
	shards := 1
	for _, a := range []transport.Transport{transport.UDP, transport.TCP, transport.TLS} {
		for _, b := range []transport.Transport{transport.UDP, transport.TCP, transport.TLS} {
			t.Run(fmt.Sprintf("%v to %v, shards %d", a, b, shards), func(t *testing.T) {
				run(t, setting{shards: shards, office: a, targets: b}, f)
			})
			shards = 4 - shards
		}
	}
}

// streams is hops without UDP.
func streams(t *testing.T, f func(r *rig)) { streamsWith(t, setting{}, f) }

// streamsWith is streams with a setting of the test's.
func streamsWith(t *testing.T, set setting, f func(r *rig)) {
	for _, tr := range []transport.Transport{transport.TCP, transport.TLS} {
		for _, shards := range []int{1, 3} {
			t.Run(fmt.Sprintf("%v, shards %d", tr, shards), func(t *testing.T) {
				set := set
				set.shards, set.office, set.targets = shards, tr, tr
				run(t, set, f)
			})
		}
	}
}

// unasked is a setting in which nobody is asked whether it still knows a call.
var unasked = setting{profiles: map[string]string{"office": "tuned", "acme": "tuned"}, tuned: "keep_alive: 0"}

// run runs a test in a bubble, with a gateway and its three peers. When f
// returns, no call may be live, and after 64*T1 nothing may be left of any.
func run(t *testing.T, set setting, f func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, set)
		f(r)
		r.alone()
		if !r.closed {
			r.empty()
		}
	})
}

// uncounted is what a flow says of the calls before it on its connection.
var uncounted = regexp.MustCompile(`,\s*"call": \d+|, \d+[a-z]+ call on it`)

// alone compares each flow that is built from its own events with the same flow built from all.
func (r *rig) alone() {
	text := func(f *callflow.Flow) string {
		if f == nil {
			return "none"
		}
		var b strings.Builder
		if err := export.JSON(&b, []*callflow.Flow{f}, export.Options{}); err != nil {
			r.Fatal(err)
		}
		if strings.HasPrefix(f.ID, "leg-") { // without a record nobody has counted it
			return uncounted.ReplaceAllString(b.String(), "")
		}
		return b.String()
	}
	synctest.Wait()
	all := r.recorder.Flows()
	for _, f := range all[max(0, len(all)-20):] {
		r.recorder.Record(callflow.Noted, callflow.Call{}, "so that it is built anew")
		got := r.recorder.Flow(r.recorder.Run() + "-" + f.ID)
		g, w := strings.Split(text(got), "\n"), strings.Split(text(f), "\n")
		for i := range g {
			if i >= len(w) || g[i] != w[i] {
				r.Errorf("flow %s built from its own events differs in line %d:\n%q, and from all events:\n%q", f.ID, i, g[i:min(i+12, len(g))], w[min(i, len(w)):min(i+12, len(w))])
				break
			}
		}
	}
}

// start opens a gateway in a bubble.
func start(t *testing.T, set setting) *rig {
	t.Helper()
	if set.office == 0 {
		set.office = transport.UDP
	}
	if set.targets == 0 {
		set.targets = transport.UDP
	}
	r := &rig{T: t, net: memnet.New(set.network), ca: testca.New("test CA"), set: set}
	dir := t.TempDir()
	r.dir = dir
	gw := r.ca.Leaf("gw.example")
	r.write(dir, "gw.pem", gw.PEM())
	r.write(dir, "gw-key.pem", gw.KeyPEM())
	r.write(dir, "ca.pem", r.ca.PEM())
	if set.file == "" {
		set.file = file(set)
	}
	r.write(dir, "sallyport.yaml", []byte(set.file))
	if set.files != nil {
		set.files(dir)
	}
	cfg, problems := config.Load(filepath.Join(dir, "sallyport.yaml"))
	for _, p := range problems {
		t.Fatalf("configuration: %s\n%s", p, set.file)
	}
	if cfg.CDR == config.CDRInterval && !set.stored {
		cfg.CDR = config.CDROff // the store has tests of its own
	}
	o := Options{
		Network: r.net,
		Shards:  max(set.shards, 1),
		Log:     slog.New(slog.NewTextHandler(&r.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if set.options != nil {
		set.options(&o)
	}
	g, problems := New(cfg, o)
	for _, p := range problems {
		t.Fatalf("gateway: %s", p)
	}
	if !set.stored {
		g.records = &r.cdrs
	}
	if err := g.Start(); err != nil {
		t.Fatal(err)
	}
	r.Gateway = g
	t.Cleanup(func() {
		r.shut()
		if t.Failed() {
			t.Logf("log of the gateway:\n%s", r.log.String())
			r.ladders()
		}
	})
	at := func(addr string) string {
		if set.six {
			return strings.Replace(strings.Replace(addr, "192.0.2.", "[2001:db8::", 1), ":50", "]:50", 1)
		}
		return addr
	}
	r.office = r.peer("office", set.office, at(officeAddr))
	r.acme = r.peer("acme", set.targets, at(acmeAddr))
	r.backup = r.peer("backup", set.targets, at(backupAddr))
	r.office.Dial(r.listener(set.office))
	if set.targets == transport.UDP { // else the gateway connects
		r.acme.Dial(r.listener(set.targets))
		r.backup.Dial(r.listener(set.targets))
	}
	return r
}

func (r *rig) write(dir, name string, b []byte) {
	if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
		r.Fatal(err)
	}
}

// file writes a configuration: office calls acme and then backup, and is called
// by both.
func file(set setting) string {
	var b strings.Builder
	fmt.Fprintf(&b, `
listeners:
  udp: {listen: "udp:%[1]s:5060"}
  tcp: {listen: "tcp:%[1]s:5060"}
  tls: {listen: "tls:%[1]s:5061", client_certificates: required}
identities:
  gateway: {certificate: gw.pem, key: gw-key.pem}
trust:
  partners: {files: [ca.pem]}
defaults: {identity: gateway, trust: [partners]}
profiles:
  required: {sips: required}
  allowed: {sips: allowed}
  never: {sips: never}
  tuned: {%[2]s}
%[3]s%[4]speers:
`, gatewayAddr, set.tuned, set.more, set.keys)
	for _, p := range []struct {
		name, addr string
		t          transport.Transport
	}{{"office", officeAddr, set.office}, {"acme", acmeAddr, set.targets}, {"backup", backupAddr, set.targets}} {
		extra := ""
		if p.t == transport.TLS {
			extra = fmt.Sprintf(", certificate_names: [%s.example]", p.name)
		}
		if profile := set.profiles[p.name]; profile != "" {
			extra += ", profile: " + profile
		}
		if keys := set.extra[p.name]; keys != "" {
			extra += ", " + keys
		}
		fmt.Fprintf(&b, "  %s: {uri: \"sip:%s;transport=%v\"%s}\n", p.name, p.addr, p.t, extra)
	}
	if set.routes == "" {
		set.routes = "{from: [office], to: [acme, backup]}|{from: [acme, backup], to: [office]}"
	}
	b.WriteString("routes:\n")
	for line := range strings.SplitSeq(set.routes, "|") {
		b.WriteString("  - " + line + "\n")
	}
	return b.String()
}

// peer opens a peer whose certificate, on TLS, is for name.example.
func (r *rig) peer(name string, t transport.Transport, addr string) *siptest.Peer {
	r.Helper()
	return siptest.New(r.T, siptest.Config{
		Name: name, Transport: t, Network: r.net, Addr: addrPort(addr), TLS: r.tls(name + ".example"),
	})
}

// tls is how a peer with a name speaks TLS in both roles.
func (r *rig) tls(name string) *tls.Config { return r.tlsWith(r.ca.Leaf(name)) }

// tlsWith is tls with a certificate of the test's.
func (r *rig) tlsWith(l *testca.Leaf) *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{l.TLS()},
		RootCAs:      r.ca.Pool(),
		ClientCAs:    r.ca.Pool(),
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ServerName:   "gw.example",
	}
}

func addrPort(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// listener is where the gateway listens on a transport.
func (r *rig) listener(t transport.Transport) netip.AddrPort {
	r.Helper()
	for _, l := range r.Listeners() {
		if l.Transport() == t {
			return l.Addr()
		}
	}
	r.Fatalf("no listener on %v", t)
	return netip.AddrPort{}
}

// shut closes the gateway, once.
func (r *rig) shut() {
	if r.closed {
		return
	}
	r.closed = true
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := r.Close(ctx); err != nil {
		r.Errorf("close: %v", err)
	}
}

// ladders draws the calls that did not end, for whoever looks at a failure.
func (r *rig) ladders() {
	for _, f := range r.recorder.Flows() {
		if f.State != callflow.StateRinging && f.State != callflow.StateAnswered {
			continue
		}
		var b strings.Builder
		if err := export.Ladder(&b, f, export.Options{}); err != nil {
			r.Error(err)
		}
		r.Logf("%s", b.String())
	}
}

// kept returns what the gateway keeps of calls, those included that are over.
func (r *rig) kept() (calls, tags int) {
	for i := range r.server.NumShards() {
		r.server.Do(i, func(s *ua.Shard) {
			c, t, _ := r.engine.Kept(s)
			calls, tags = calls+c, tags+t
		})
	}
	return calls, tags
}

// none checks that no call is live any more.
func (r *rig) none() {
	r.Helper()
	synctest.Wait()
	if n := r.Calls(); n != 0 {
		r.Errorf("%d calls are live", n)
	}
	if n := r.relay.Open(); n != 0 {
		r.Errorf("%d requests are open", n)
	}
}

// empty checks that no call is live, and that nothing is left of any after
// 64*T1.
func (r *rig) empty() {
	r.Helper()
	r.none()
	time.Sleep(lifetime + time.Millisecond)
	synctest.Wait()
	if calls, tags := r.kept(); calls != 0 || tags != 0 {
		r.Errorf("after 64*T1 %d calls and %d tags are left", calls, tags)
	}
	r.relayed()
	time.Sleep(lifetime) // for as long again an INVITE without a transaction may be answered
	synctest.Wait()
	for i := range r.server.NumShards() {
		r.server.Do(i, func(s *ua.Shard) {
			if _, _, n := r.engine.Kept(s); n != 0 {
				r.Errorf("after 128*T1 %d INVITEs are left", n)
			}
		})
	}
	r.cdrs.closed(r.T)
	r.unloaded()
}

// relayed checks that nothing is left of what was relayed.
func (r *rig) relayed() {
	r.Helper()
	for i := range r.server.NumShards() {
		r.server.Do(i, func(s *ua.Shard) {
			if held, tags := r.relay.Kept(s); held+tags != 0 {
				r.Errorf("%d relayed requests and subscriptions and %d tags are left in shard %d", held, tags, i)
			}
		})
	}
}

const (
	offer  = "v=0\r\no=- 1 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n"
	answer = "v=0\r\no=- 2 2 IN IP4 198.51.100.2\r\ns=-\r\nc=IN IP4 198.51.100.2\r\nt=0 0\r\nm=audio 42000 RTP/AVP 0\r\n"
)

const number = "sip:+4930123@gw.example"

// invite sends an INVITE from the office.
func (r *rig) invite(options ...siptest.Option) {
	r.Helper()
	r.office.Send(r.office.Request(sip.INVITE, number, append([]siptest.Option{siptest.Body("application/sdp", offer)}, options...)...))
	r.office.Want(100)
}

// answered makes a call from the office to acme that is up. It returns the
// INVITE as acme saw it, and the 200 as the office did.
func (r *rig) answered(options ...siptest.Option) (invite, ok *siptest.Message) {
	r.Helper()
	r.invite(options...)
	invite = r.acme.WantRequest(sip.INVITE)
	r.acme.Reply(invite, 180)
	r.office.Want(180)
	r.acme.Reply(invite, 200, siptest.Body("application/sdp", answer))
	ok = r.office.Want(200)
	r.office.Send(r.office.Ack(ok))
	r.acme.WantRequest(sip.ACK)
	return invite, ok
}

// hangUp ends a call that is up from one side.
func (r *rig) hangUp(from, to *siptest.Peer, options ...siptest.Option) (bye *siptest.Message) {
	r.Helper()
	from.Send(from.InDialog(sip.BYE, options...))
	from.Want(200)
	bye = to.WantRequest(sip.BYE)
	to.Reply(bye, 200)
	return bye
}

// header compares a header of a message.
func (r *rig) header(m *siptest.Message, name sip.HeaderID, want string) {
	r.Helper()
	if got := string(m.First(name)); got != want {
		r.Errorf("%s: got %q, want %q", name, got, want)
	}
}

// contact is our Contact on a leg over a transport: where its listener is
// reached.
func (r *rig) contact(t transport.Transport) string {
	if t.Reliable() {
		return fmt.Sprintf("<sip:%v;transport=%v>", r.listener(t), t)
	}
	return fmt.Sprintf("<sip:%v>", r.listener(t))
}

// refused wants a final response that is no 2xx, and acknowledges it.
func (r *rig) refused(code int) *siptest.Message {
	r.Helper()
	m := r.office.Want(code)
	r.office.Send(r.office.Ack(m))
	return m
}

// refuse answers an INVITE with a failure and takes its ACK.
func (r *rig) refuse(p *siptest.Peer, invite *siptest.Message, code int, options ...siptest.Option) {
	r.Helper()
	p.Reply(invite, code, options...)
	p.WantRequest(sip.ACK)
}
