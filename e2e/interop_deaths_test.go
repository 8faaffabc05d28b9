//go:build interop

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

const (
	deathCalls = 10000
	deathRate  = 300 // calls a second
	// deathGrowth is how much more resident memory the gateway may have after the second half of the calls than after the
	// first one: three KiB a call, less than half of what a call holds, and some for the heap's breathing.
	deathGrowth = 16 << 20
	// stragglers is 64*T1, in which the last transaction of a call that is over ends.
	stragglers = 32 * time.Second
	// deathGoroutines is how many the gateway may have without calls and connections: listeners, shards, workers, the API.
	deathGoroutines = 60
)

// TestDeaths places calls through a gateway with three targets, over TLS, TCP and UDP, that are killed at random and
// come back. Every call ends at its caller; none is established twice; each has one record; and in the end the gateway is as
// it was.
func TestDeaths(t *testing.T) {
	calls := deathCalls
	if testing.Short() {
		calls = deathCalls / 10
	}
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("SALLYPORT_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("SALLYPORT_SEED=%d", seed)
	t.Setenv("GOGC", "25") // what is resident is then near what is in use
	d := newDeaths(t)

	// Half of them, and then the other half, so that there is something to compare with.
	random := rand.New(rand.NewPCG(seed, 1))
	before := d.half(t, random, 0, calls/2)
	after := d.half(t, random, calls/2, calls)
	t.Logf("%d calls, %d deaths; resident memory %.1f MiB after half of the calls, %.1f MiB after all of them",
		calls, d.deaths, float64(before)/(1<<20), float64(after)/(1<<20))
	d.check(t, calls)
	if after > before+deathGrowth {
		t.Errorf("resident memory grew from %d to %d bytes", before, after)
	}
	d.wantIdle(t)
	d.wantRecords(t, calls)
}

// half places the calls with these numbers while targets die, and returns the gateway's resident memory when nothing is
// left of them.
func (d *deaths) half(t *testing.T, random *rand.Rand, from, to int) (resident int64) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var reaper sync.WaitGroup
	reaper.Go(func() { d.reap(ctx, t, random) })
	d.place(t, from, to)
	stop()
	reaper.Wait()
	wantNoCalls(t, d.admin)
	time.Sleep(stragglers) // what is kept for late messages of calls that are over ends then; nothing tells us
	return d.resident(t)
}

// deaths is a gateway between callers and targets that die.
type deaths struct {
	dir     string
	gateway *process
	admin   string
	callers []caller
	targets []*victim
	deaths  int

	mu       sync.Mutex     // guards what follows
	outcome  map[string]int // at the callers: "answered", a status code, "cancelled"
	answered map[string]bool
	seen     map[string]int // at the targets: what they print
}

// A caller is one of the two peers that place calls.
type caller struct {
	srv *ua.Server
	to  ua.Target
}

// A victim is a target, in the process that it has now.
type victim struct {
	args []string
	cmd  *exec.Cmd
	over chan struct{} // closed when all that it printed has been read
}

func newDeaths(t *testing.T) *deaths {
	t.Helper()
	d := &deaths{
		dir: t.ArtifactDir(), admin: net.JoinHostPort(callerHost, freePort(t, callerHost)),
		outcome: map[string]int{}, answered: map[string]bool{}, seen: map[string]int{},
	}
	issue(t, d.dir, "gateway", "outsider", "first", "second", "third")
	outside, lan := net.JoinHostPort(callerHost, freePort(t, callerHost)), net.JoinHostPort(callerHost, freePort(t, callerHost))
	for i, hop := range []string{"tls", "tcp", "udp"} {
		host := []string{answererHost, answererHost, secondHost}[i] // ports count on UDP only
		addr := net.JoinHostPort(host, freePort(t, host))
		d.targets = append(d.targets, &victim{args: []string{hop, addr, d.dir, []string{"first", "second", "third"}[i]}})
		d.live(t, d.targets[i])
	}
	d.callers = []caller{
		d.caller(t, "outsider", ua.Target{Transport: transport.TLS, Addr: netip.MustParseAddrPort(outside), Peer: "gateway"}),
		d.caller(t, "insider", ua.Target{Transport: transport.UDP, Addr: netip.MustParseAddrPort(lan), Peer: "gateway"}),
	}
	at := func(i int) string { return d.targets[i].args[1] }
	d.gateway = startServe(t, d.dir, fmt.Sprintf(`
listeners:
  outside: {listen: "tls:%[1]s", client_certificates: required}
  lan-udp: {listen: "udp:%[2]s"}
  lan-tcp: {listen: "tcp:%[2]s"}
identities: {gateway: {certificate: gateway.pem, key: gateway-key.pem}}
trust: {partners: {files: [ca.pem]}}
defaults: {identity: gateway, trust: [partners]}
profiles:
  mortal: {response_timeout: 1s, answer_timeout: 3s, down_for: 500ms}
peers:
  outsider: {uri: "sip:%[3]s;transport=tls", certificate_names: [outsider.example]}
  insider:  {uri: "sip:%[4]s;transport=udp"}
  first:  {uri: "sip:%[5]s;transport=tls", certificate_names: [first.example], profile: mortal}
  second: {uri: "sip:%[6]s;transport=tcp", profile: mortal}
  third:  {uri: "sip:%[7]s;transport=udp", profile: mortal}
routes:
  - {number: "+491*", to: [first, second, third]}
  - {number: "+492*", to: [second, third, first]}
  - {number: "+493*", to: [third, first, second]}
admin: {listen: "%[8]s"}
data: ./data
`, outside, lan, d.callers[0].addr(), d.callers[1].addr(), at(0), at(1), at(2), d.admin))
	return d
}

// caller starts one of the callers.
func (d *deaths) caller(t *testing.T, name string, to ua.Target) caller {
	t.Helper()
	srv := &ua.Server{Shards: 1}
	cfg := transport.ListenConfig{Name: name, Transport: to.Transport, Addr: netip.MustParseAddrPort(callerHost + ":0")}
	if to.Transport == transport.TLS {
		mutual, err := mutualTLS(d.dir, name)
		if err != nil {
			t.Fatal(err)
		}
		cfg.TLS, to.TLS = mutual, mutual
	}
	if err := srv.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { srv.Close(context.Background()) })
	if _, err := srv.Listen(cfg); err != nil {
		t.Fatal(err)
	}
	return caller{srv, to}
}

func (c caller) addr() netip.AddrPort { return c.srv.Endpoint().Listeners()[0].Addr() }

// live starts a target, and waits until it listens.
func (d *deaths) live(t *testing.T, m *victim) {
	m.cmd, m.over = exec.Command(os.Args[0], m.args...), make(chan struct{})
	m.cmd.Env = append(os.Environ(), roleVariable+"=target")
	m.cmd.Stderr = os.Stderr
	stdin, err := m.cmd.StdinPipe() // it ends with us
	if err != nil {
		t.Error(err)
		return
	}
	printed, err := m.cmd.StdoutPipe()
	if err == nil {
		err = m.cmd.Start()
	}
	if err != nil {
		t.Error(err)
		return
	}
	cmd, over, serving := m.cmd, m.over, make(chan struct{})
	go func() {
		defer close(over)
		defer stdin.Close()
		for s := bufio.NewScanner(printed); s.Scan(); {
			if s.Text() == "serving" {
				close(serving)
				continue
			}
			d.mu.Lock()
			d.seen[s.Text()]++
			d.mu.Unlock()
		}
		cmd.Wait()
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-over
	})
	select {
	case <-serving:
	case <-over:
		t.Errorf("the target %q ended at once", m.args)
	}
}

// reap kills targets and brings them back, until ctx ends; at times two are dead at once.
func (d *deaths) reap(ctx context.Context, t *testing.T, r *rand.Rand) {
	wait := func(most int) bool {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(time.Duration(100+r.IntN(most)) * time.Millisecond):
			return true
		}
	}
	for wait(500) {
		dead := []*victim{d.targets[r.IntN(len(d.targets))]}
		if other := d.targets[r.IntN(len(d.targets))]; other != dead[0] && r.IntN(3) == 0 {
			dead = append(dead, other)
		}
		for _, m := range dead {
			m.cmd.Process.Kill()
			<-m.over
			d.deaths++
		}
		wait(600)
		for _, m := range dead {
			d.live(t, m)
		}
	}
}

// place places the calls with these numbers, at the rate, and waits until all have ended.
func (d *deaths) place(t *testing.T, from, to int) {
	t.Helper()
	var all sync.WaitGroup
	began := time.Now()
	for i := from; i < to; i++ {
		time.Sleep(time.Until(began.Add(time.Duration(i-from) * time.Second / deathRate)))
		all.Go(func() {
			number := fmt.Sprintf("+49%d%06d", 1+i/10%3, i)
			result := d.call(d.callers[i/30%2], number)
			d.mu.Lock()
			defer d.mu.Unlock()
			d.outcome[result]++
			d.answered[number] = result == "answered"
		})
	}
	all.Wait()
}

// call places a call and ends it, and says what became of it.
func (d *deaths) call(c caller, number string) string {
	ctx, cancel := context.WithTimeout(context.Background(), 2*stragglers)
	defer cancel()
	ringing := false
	o := ua.InviteOptions{
		URI:  fmt.Sprintf("sip:%s@%s;transport=%s", number, c.to.Addr, c.to.Transport),
		From: "<sip:alice@caller.example>",
	}
	if strings.HasSuffix(number, "1") {
		o.OnProgress = func(m *sip.Message) {
			ringing = true
			cancel()
		}
	}
	call, err := c.srv.Invite(ctx, c.to, o, ua.Body("application/sdp", []byte(siteSDP)))
	no, refused := errors.AsType[*ua.ResponseError](err)
	switch {
	case refused:
		return strconv.Itoa(no.Code)
	case ringing && errors.Is(err, context.Canceled):
		return "cancelled"
	case err != nil:
		return err.Error()
	}
	if strings.HasSuffix(number, "2") {
		select {
		case <-call.Done(): // the target's BYE came
		case <-time.After(3 * time.Second): // the target is dead
		}
	} else {
		time.Sleep(held + 100*time.Millisecond)
	}
	if err := call.Bye(ctx); err != nil {
		return "answered, and the BYE: " + err.Error()
	}
	return "answered"
}

// check judges what callers and targets have seen.
func (d *deaths) check(t *testing.T, calls int) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	total := 0
	for _, what := range slices.Sorted(maps.Keys(d.outcome)) {
		t.Logf("%6d calls: %s", d.outcome[what], what)
		total += d.outcome[what]
		switch what {
		case "answered", "cancelled", "486": // as the number wants it
		case "408", "480", "503": // no target was there
		default:
			t.Errorf("%d calls ended with %s", d.outcome[what], what)
		}
	}
	if total != calls {
		t.Errorf("%d calls ended, want %d", total, calls)
	}
	if lost := d.outcome["408"] + d.outcome["480"] + d.outcome["503"]; lost > calls/10 {
		t.Errorf("%d calls of %d found no target, though one of three lived at any time", lost, calls)
	}
	// A target that was given up may answer late: it gets ACK and BYE (RFC 3261 §13.2.2.4), and holds no call.
	late := 0
	for what, n := range d.seen {
		event, number, _ := strings.Cut(what, " ")
		switch {
		case event == "confirmed":
			late += n - 1
		case event == "held" && n > 1:
			t.Errorf("call %s was held by %d targets", number, n)
		case event == "held" && !d.answered[number]:
			t.Errorf("call %s was held by a target and has no answer at the caller", number)
		}
	}
	t.Logf("%6d late answers were taken and ended at once", late)
	for number, yes := range d.answered {
		if yes && d.seen["invited "+number] == 0 {
			t.Errorf("call %s was answered and came to no target", number)
		}
	}
}

// resident is the gateway's resident memory, in bytes.
func (d *deaths) resident(t *testing.T) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.gateway.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "VmRSS:")
	var kib int64
	if _, err := fmt.Sscan(after, &kib); err != nil {
		t.Fatalf("no VmRSS: %v", err)
	}
	return kib << 10
}

// wantIdle ends the callers and the targets, and then the gateway so that it prints its goroutines: nothing of a call or a
// connection is left among them.
func (d *deaths) wantIdle(t *testing.T) {
	t.Helper()
	for _, c := range d.callers {
		if err := c.srv.Close(t.Context()); err != nil {
			t.Errorf("close a caller: %v", err)
		}
	}
	for _, m := range d.targets {
		m.cmd.Process.Kill()
		<-m.over
	}
	soon(t, "the gateway has no connection", func() bool {
		var status struct {
			Connections struct{ Open int }
		}
		d.get(t, "/api/v1/status", &status)
		return status.Connections.Open == 0
	})
	d.gateway.cmd.Process.Signal(syscall.SIGQUIT)
	<-d.gateway.ended
	_, stacks, _ := strings.Cut(d.gateway.stderr.String(), "SIGQUIT")
	n := strings.Count(stacks, "\ngoroutine ")
	t.Logf("%d goroutines in the end", n)
	if n == 0 || n > deathGoroutines {
		t.Errorf("the gateway had %d goroutines in the end, want 1 to %d:\n%s", n, deathGoroutines, stacks)
	}
}

// get reads a document of the gateway's API.
func (d *deaths) get(t *testing.T, path string, into any) {
	t.Helper()
	answer, err := http.Get("http://" + d.admin + path)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(into); err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: status %d, %v", path, answer.StatusCode, err)
	}
}

// wantRecords wants each call once in the gateway's records, ended as its caller saw it.
func (d *deaths) wantRecords(t *testing.T, calls int) {
	t.Helper()
	states := map[string]string{"answered": "ended", "cancelled": "cancelled"}
	times, outcome := map[string]int{}, map[string]int{}
	for _, r := range records(t, d.dir) {
		times[r.Called]++
		outcome[r.State]++
		if answered := r.State == "ended"; answered != d.answered[r.Called] {
			t.Errorf("the record of %s says %s; answered at the caller: %v", r.Called, r.State, d.answered[r.Called])
		}
	}
	for number, n := range times {
		if n != 1 {
			t.Errorf("call %s has %d records", number, n)
		}
	}
	if len(times) != calls {
		t.Errorf("%d calls have records, want %d", len(times), calls)
	}
	for what, state := range states {
		if outcome[state] != d.outcome[what] {
			t.Errorf("%d records say %s, and %d calls were %s", outcome[state], state, d.outcome[what], what)
		}
	}
}
