package gateway

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/internal/testca"
	"github.com/sallyport-sip/sallyport/internal/watch"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// bell is a watch.Notifier by hand: the system's cannot be waited for in a bubble.
type bell struct{ names chan string }

func (b *bell) Add(string) error      { return nil }
func (b *bell) Remove(string) error   { return nil }
func (b *bell) Events() <-chan string { return b.names }
func (b *bell) Close() error          { return nil }

// watched is mutual TLS with a watch on the files. ring says that something has
// changed, and waits until it was looked at.
func watched() (set setting, ring func()) {
	b := &bell{}
	set = mutual
	set.options = func(o *Options) {
		b.names = make(chan string) // belongs to the bubble
		o.Watch = &watch.Config{Notifier: b}
	}
	return set, func() {
		b.names <- ""
		time.Sleep(time.Second)
		synctest.Wait()
	}
}

// A rotator replaces the files of a rig's gateway. Both ways leave a moment in
// which they do not fit one another, or none.
type rotator struct {
	*rig
	links bool // by a symbolic link, all at once, as Kubernetes does; else one file after the other by renames
	n     int
}

// begin lets the files be what the way needs.
func (o *rotator) begin() {
	if !o.links {
		return
	}
	for _, name := range []string{"gw.pem", "gw-key.pem", "ca.pem"} {
		b, err := os.ReadFile(filepath.Join(o.dir, name))
		if err != nil {
			o.Fatal(err)
		}
		o.must(os.MkdirAll(filepath.Join(o.dir, "..0"), 0o700))
		o.write(filepath.Join(o.dir, "..0"), name, b)
		o.must(os.Remove(filepath.Join(o.dir, name)))
		o.must(os.Symlink("..data/"+name, filepath.Join(o.dir, name)))
	}
	o.must(os.Symlink("..0", filepath.Join(o.dir, "..data")))
}

func (o *rotator) must(err error) {
	o.Helper()
	if err != nil {
		o.Fatal(err)
	}
}

// to replaces certificate, key and trust. between is called when a file is swapped
// and the next is not.
func (o *rotator) to(leaf *testca.Leaf, trust []byte, between func()) {
	o.Helper()
	o.n++
	all := []struct {
		name string
		b    []byte
	}{{"gw.pem", leaf.PEM()}, {"gw-key.pem", leaf.KeyPEM()}, {"ca.pem", trust}}
	if o.links {
		next := fmt.Sprintf("..%d", o.n)
		o.must(os.Mkdir(filepath.Join(o.dir, next), 0o700))
		for _, f := range all {
			o.write(filepath.Join(o.dir, next), f.name, f.b)
		}
		o.must(os.Symlink(next, filepath.Join(o.dir, "..data_tmp")))
		o.must(os.Rename(filepath.Join(o.dir, "..data_tmp"), filepath.Join(o.dir, "..data")))
		o.must(os.RemoveAll(filepath.Join(o.dir, fmt.Sprintf("..%d", o.n-1))))
		return
	}
	for _, f := range all {
		o.write(o.dir, f.name+".new", f.b)
		o.must(os.Rename(filepath.Join(o.dir, f.name+".new"), filepath.Join(o.dir, f.name)))
		between()
	}
}

// crowd is many connections of one peer to the gateway, on which nothing happens.
type crowd struct {
	*transport.Endpoint
	closed atomic.Int32
}

func (r *rig) crowd(addr string, n int, conf *tls.Config) *crowd {
	c := &crowd{}
	c.Endpoint = transport.New(transport.Config{Network: r.net, Hooks: transport.Hooks{
		Deliver: func([]transport.Packet) {},
		Closed:  func(*transport.Conn, transport.CloseReason) { c.closed.Add(1) },
	}})
	r.Cleanup(func() { c.Close(r.Context()) })
	for i := range n {
		if _, err := c.Dial(r.Context(), transport.DialConfig{TLS: conf, Key: transport.Key{Transport: transport.TLS, Remote: r.listener(transport.TLS),
			Local: netip.AddrPortFrom(netip.MustParseAddr(addr), 0), Policy: strconv.Itoa(i)}}); err != nil {
			r.Fatal(err)
		}
	}
	return c
}

// Connections and calls live through any number of new certificates and CAs: by
// renames and by links, noticed by the watch and by a reload. Each new handshake,
// in both roles, shows the new certificate.
func TestRotations(t *testing.T) {
	for _, links := range []bool{false, true} {
		t.Run(map[bool]string{false: "renames", true: "links"}[links], func(t *testing.T) {
			set, ring := watched()
			run(t, set, func(r *rig) { r.rotations(&rotator{rig: r, links: links}, ring) })
		})
	}
}

func (r *rig) rotations(files *rotator, ring func()) {
	const idle, calls, rotations = 500, 50, 20
	files.begin()
	ring()
	r.office.Close()
	r.acme.Close()
	r.backup.Close()
	cas := []*testca.CA{r.ca, testca.New("next CA"), testca.New("third CA")}
	pool := x509.NewCertPool()
	for _, ca := range cas {
		pool.AddCert(ca.Cert)
	}
	conf := func(name string) *tls.Config {
		c := r.tls(name)
		c.RootCAs, c.ClientCAs = pool, pool
		return c
	}
	backup := siptest.New(r.T, siptest.Config{Name: "backup", Transport: transport.TLS, Network: r.net, Addr: addrPort(backupAddr), TLS: conf("backup.example")})
	office, acme := r.bare(transport.TLS, officeAddr, "office.example"), r.bare(transport.TLS, acmeAddr, "acme.example")
	quick := conf("office.example")
	quick.CurvePreferences = []tls.CurveID{tls.X25519} // it is many handshakes
	many := r.crowd("192.0.2.12", idle, quick)
	for n := range calls {
		office.invite(n, r.listener(transport.TLS))
	}
	synctest.Wait()
	if r.Calls() != calls || office.up != calls {
		r.Fatalf("%d calls, %d answered, want %d", r.Calls(), office.up, calls)
	}
	conns := r.open()
	shows := func(want *testca.Leaf) {
		r.Helper()
		nc, err := r.net.Dial(r.Context(), addrPort("192.0.2.13:0"), r.listener(transport.TLS))
		files.must(err)
		tc := tls.Client(nc, conf("office.example"))
		files.must(tc.HandshakeContext(r.Context()))
		if got := tc.ConnectionState().PeerCertificates[0]; !got.Equal(want.Cert()) {
			r.Errorf("rotation %d: as server the gateway shows serial %x, want %x", files.n, got.SerialNumber, want.Cert().SerialNumber)
		}
		tc.Close()
		p := r.snapshot.Load().peers.Lookup("backup")
		c, err := r.server.Endpoint().Dial(r.Context(), r.dialConfig(p, transport.TLS, addrPort(backupAddr)))
		files.must(err)
		backup.Accepted()
		if got := backup.TLS().PeerCertificates[0]; !got.Equal(want.Cert()) {
			r.Errorf("rotation %d: as client the gateway shows serial %x, want %x", files.n, got.SerialNumber, want.Cert().SerialNumber)
		}
		c.Close(errLetGo)
		synctest.Wait()
	}
	for i := range rotations {
		ca := cas[i%len(cas)]
		leaf := ca.Leaf("gw.example")
		trust := append(r.ca.PEM(), cas[(i+1)%len(cas)].PEM()...)
		if i%2 == 0 {
			files.to(leaf, trust, ring)
			ring()
		} else {
			files.to(leaf, trust, func() {})
			r.takes()
		}
		shows(leaf)
		if n := r.open(); n != conns || len(r.Failing()) != 0 {
			r.Errorf("rotation %d: %d connections, before %d; %v fail", i, n, conns, r.Failing())
		}
	}
	if strings.Contains(r.log.String(), "level=ERROR") || len(r.Alarms()) != 0 {
		r.Error("something was wrong in between")
	}
	l := r.Loaded()
	if want := rotations / 2; l.Reloads != want || l.Renewals < want {
		r.Errorf("%d reloads and %d changes noticed, want %d of each", l.Reloads, l.Renewals, want)
	}

	// A CA goes by mistake. Nobody is cut off, and when it is back all is as before.
	last := cas[1].Leaf("gw.example")
	files.to(last, cas[1].PEM(), func() {})
	ring()
	if n := r.open(); n != conns || len(r.Failing()) != conns {
		r.Errorf("%d connections, before %d; %d fail, want all", n, conns, len(r.Failing()))
	}
	time.Sleep(2 * time.Minute)
	files.to(last, r.ca.PEM(), func() {})
	ring()
	if n := r.open(); n != conns || len(r.Failing()) != 0 || many.closed.Load() != 0 {
		r.Errorf("%d connections, before %d; %d fail; %d of the idle ones were closed", n, conns, len(r.Failing()), many.closed.Load())
	}
	shows(last)
	r.endCalls()
	synctest.Wait()
	if office.byes != calls || acme.byes != calls {
		r.Errorf("%d and %d calls got their BYE, want %d", office.byes, acme.byes, calls)
	}
}

// Files that are no good change nothing: the old certificate is shown, and log,
// status and an alarm say which file, why, what to do, and how long there is time.
// A moment in which they do not fit is not worth a word.
func TestWatchRefusesBadFiles(t *testing.T) {
	set, ring := watched()
	run(t, set, func(r *rig) {
		old := r.ListenerSerial()
		next := r.ca.Leaf("gw.example")
		r.write(r.dir, "gw.pem", next.PEM())
		ring()
		time.Sleep(8 * time.Second)
		if len(r.Alarms()) != 0 || r.Loaded().Refused != nil || strings.Contains(r.log.String(), "level=ERROR") {
			r.Errorf("after 9 s there are already alarms: %+v", r.Alarms())
		}
		time.Sleep(3 * time.Second)
		l, alarms := r.Loaded(), r.Alarms()
		if len(alarms) != 1 || alarms[0].Name != "identity gateway" || l.Refused == nil || l.Refused.By != ByWatch || l.RenewalsRefused != 1 || l.Renewals != 0 {
			r.Fatalf("got alarms %+v, loaded %+v", alarms, l)
		}
		until := r.snapshot.Load().trust.ListenerIdentity("tls", "").Chain[0].NotAfter.UTC().Format("2006-01-02 15:04 UTC")
		for what, texts := range map[string][2]string{
			"alarm":   {alarms[0].Text, alarms[0].Remedy},
			"status":  {fmt.Sprint(l.Refused.Problems, l.Refused.InUse), l.Refused.Problems[0].Remedy},
			"the log": {r.log.String(), r.log.String()},
		} {
			for _, part := range []string{"gw-key.pem", "does not belong to certificate", "serial " + old, "can be used until " + until} {
				if !strings.Contains(strings.ReplaceAll(texts[0], `\"`, `"`), part) {
					r.Errorf("%s does not say %q: %s", what, part, texts[0])
				}
			}
			if !strings.Contains(texts[1], "name the key that the certificate was made with") {
				r.Errorf("%s does not say what to do: %s", what, texts[1])
			}
		}
		if got := r.ListenerSerial(); got != old {
			r.Errorf("the gateway has serial %s, want the old %s", got, old)
		}
		said := strings.Count(r.log.String(), "changed file refused")
		time.Sleep(5 * time.Minute)
		if n := strings.Count(r.log.String(), "changed file refused"); n != said {
			r.Errorf("it is said %d times", n)
		}

		r.write(r.dir, "ca.pem", []byte("what?"))
		ring()
		time.Sleep(unsettled)
		if alarms := r.Alarms(); len(alarms) != 2 || !strings.Contains(alarms[1].Text, `trust "partners"`) || !strings.Contains(alarms[1].Text, "CN=test CA, serial") {
			r.Errorf("got %+v", alarms)
		}
		r.write(r.dir, "ca.pem", r.ca.PEM())
		r.write(r.dir, "gw-key.pem", next.KeyPEM())
		ring()
		if len(r.Alarms()) != 0 || r.Loaded().Refused != nil || r.Loaded().Renewals != 1 {
			r.Errorf("good again: got alarms %+v, loaded %+v", r.Alarms(), r.Loaded())
		}
		if got := r.ListenerSerial(); got != fmt.Sprintf("%x", next.Cert().SerialNumber) {
			r.Errorf("the gateway has serial %s", got)
		}
		for _, word := range []string{"certificates have changed", "identity gateway", "serial " + old + ", fingerprint ", "fingerprint"} {
			if !strings.Contains(r.log.String(), word) {
				r.Errorf("the log has no %q", word)
			}
		}
	})
}

// ListenerSerial is the serial number that the gateway shows.
func (r *rig) ListenerSerial() string {
	return fmt.Sprintf("%x", r.snapshot.Load().trust.ListenerIdentity("tls", "").Chain[0].SerialNumber)
}

// Put back as they were, bad files are forgotten.
func TestWatchForgetsWhatWasPutBack(t *testing.T) {
	set, ring := watched()
	run(t, set, func(r *rig) {
		key, err := os.ReadFile(filepath.Join(r.dir, "gw-key.pem"))
		if err != nil {
			r.Fatal(err)
		}
		if err := os.Remove(filepath.Join(r.dir, "gw-key.pem")); err != nil {
			r.Fatal(err)
		}
		ring()
		time.Sleep(unsettled + time.Second)
		if all := r.Alarms(); len(all) != 1 || !strings.Contains(all[0].Text, "there is no such file") {
			r.Errorf("got %+v", all)
		}
		r.write(r.dir, "gw-key.pem", key)
		time.Sleep(31 * time.Second) // by the poll alone
		synctest.Wait()
		if l := r.Loaded(); len(r.Alarms()) != 0 || l.Refused != nil || l.Renewals != 0 {
			r.Errorf("got %+v, %+v", r.Alarms(), l)
		}
	})
}

// The watch takes files, and never the configuration that names them; nor does it
// look when it is off.
func TestWatchLeavesTheConfigurationAlone(t *testing.T) {
	set, ring := watched()
	run(t, set, func(r *rig) {
		r.rewrite("sips: never", "sips: allowed")
		next := r.ca.Leaf("gw.example")
		renew := func() {
			r.write(r.dir, "gw.pem", next.PEM())
			r.write(r.dir, "gw-key.pem", next.KeyPEM())
			ring()
		}
		version := r.Loaded().Version
		renew()
		if l := r.Loaded(); l.Version != version || l.Renewals != 1 || l.Reloads != 0 || !l.Watched {
			r.Errorf("got %+v", l)
		}
		r.rewrite("peers:\n", "watch: false\npeers:\n")
		r.takes()
		next = r.ca.Leaf("gw.example")
		renew()
		time.Sleep(time.Minute)
		if l := r.Loaded(); l.Renewals != 1 || l.Watched {
			r.Errorf("the watch is off, and %+v", l)
		}
		r.rewrite()
		r.takes()
		next = r.ca.Leaf("gw.example")
		renew()
		if l := r.Loaded(); l.Renewals != 2 || !l.Watched {
			r.Errorf("the watch is on again, and %+v", l)
		}
	})
}

// What expires while the gateway runs does not keep the renewal of something else
// out. A reload, which somebody watches, still says it.
func TestRenewalBesideWhatHasExpired(t *testing.T) {
	set, ring := watched()
	run(t, set, func(r *rig) {
		brief := r.ca.Leaf("other.example", testca.Valid(-time.Hour, time.Hour))
		r.write(r.dir, "other.pem", append(brief.PEM(), brief.KeyPEM()...))
		r.write(r.dir, "brief.pem", testca.New("brief CA", testca.Valid(-time.Hour, time.Hour)).PEM())
		r.rewrite("identities:\n", "identities:\n  other: {certificate: other.pem, key: other.pem}\n", "trust:\n", "trust:\n  brief: {files: [brief.pem]}\n")
		r.takes()
		time.Sleep(2 * time.Hour)
		next := r.ca.Leaf("gw.example")
		r.write(r.dir, "gw.pem", next.PEM())
		r.write(r.dir, "gw-key.pem", next.KeyPEM())
		ring()
		if got := r.ListenerSerial(); got != fmt.Sprintf("%x", next.Cert().SerialNumber) {
			r.Errorf("the gateway has serial %s: %+v", got, r.Alarms())
		}
		if got := r.Reload(); len(got.Problems) != 2 {
			r.Errorf("a reload says %v", got.Problems)
		}
		expired := r.ca.Leaf("other.example", testca.Expired())
		r.write(r.dir, "other.pem", append(expired.PEM(), expired.KeyPEM()...))
		ring()
		time.Sleep(unsettled)
		if l := r.Loaded(); l.RenewalsRefused != 1 {
			r.Errorf("a new file with an expired certificate: %+v", l)
		}
	})
}

// A thousand changes, by the watch and by reloads, with connections that fail and
// pass again, leave no goroutine and no open file behind.
func TestThousandRotationsLeaveNothing(t *testing.T) {
	set, ring := watched()
	with := set.options
	set.options = func(o *Options) {
		with(o)
		o.Log = nil
	}
	run(t, set, func(r *rig) {
		r.answered()
		leaves := []*testca.Leaf{r.ca.Leaf("gw.example"), r.ca.Leaf("gw.example")}
		trusts := [][]byte{r.ca.PEM(), testca.New("another CA").PEM()}
		rotate := func(n int) {
			r.write(r.dir, "gw.pem", leaves[n%2].PEM())
			r.write(r.dir, "gw-key.pem", leaves[n%2].KeyPEM())
			r.write(r.dir, "ca.pem", trusts[n/10%2])
			if n%4 == 0 {
				ring()
			} else {
				r.takes()
			}
		}
		for n := range 20 { // so that all is made once
			rotate(n)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		goroutines, opened := runtime.NumGoroutine(), descriptors(t)
		for n := range 1000 {
			rotate(n)
		}
		r.write(r.dir, "ca.pem", r.ca.PEM())
		r.takes()
		synctest.Wait()
		// One more may wait for the calls of connections that failed.
		if got := runtime.NumGoroutine(); got > goroutines+1 {
			r.Errorf("%d goroutines, before %d", got, goroutines)
		}
		if got := descriptors(t); got > opened {
			r.Errorf("%d open files, before %d", got, opened)
		}
		r.hangUp(r.office, r.acme)
	})
}

// descriptors is how many files the process has open, 0 where that cannot be told.
func descriptors(t *testing.T) int {
	if runtime.GOOS != "linux" {
		return 0
	}
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// Evicted connections are closed after their calls got their BYEs, with a reason;
// others, and their calls, go on.
func TestEvict(t *testing.T) {
	run(t, mutual, func(r *rig) {
		r.answered()
		r.write(r.dir, "other.pem", testca.New("another CA").PEM())
		conns := r.open()
		trust := []string{"  partners: {files: [ca.pem]}\n", "  partners: {files: [ca.pem]}\n  others: {files: [other.pem]}\n",
			"certificate_names: [acme.example]", "certificate_names: [acme.example], trust: [others]"}
		r.rewrite(trust...)
		got := r.Reload()
		if len(got.Problems) != 0 || len(got.Failing) != 1 {
			r.Fatalf("got %+v", got)
		}
		f := got.Failing[0]
		if f.Conn.Identity().Peer != "acme" || f.Evicted || len(f.Calls) != 1 || f.Code == "" || f.Remedy == "" || !strings.Contains(f.Why, "acme.example") {
			r.Errorf("got %+v", f)
		}
		if n := r.open(); n != conns || r.Calls() != 1 {
			r.Errorf("%d connections, before %d, and %d calls", n, conns, r.Calls())
		}
		r.rewrite("sips: never", "sips: nevr")
		if got := r.ReloadWith(ReloadOptions{Evict: true}); len(got.Problems) != 1 || !f.Conn.Alive() || r.Calls() != 1 {
			r.Errorf("a reload that is refused evicts: %+v", got)
		}
		r.rewrite(trust...)
		got = r.ReloadWith(ReloadOptions{Evict: true})
		if len(got.Failing) != 1 || !got.Failing[0].Evicted || len(got.Failing[0].Calls) != 1 {
			r.Fatalf("got %+v", got.Failing)
		}
		bye := r.acme.WantRequest(sip.BYE)
		if reason := string(bye.First(sip.HdrReason)); reason != `SIP;cause=403;text="Forbidden", Q.850;cause=21` {
			r.Errorf("Reason: %s", reason)
		}
		r.office.Reply(r.office.WantRequest(sip.BYE), 200)
		if !f.Conn.Alive() {
			r.Error("the connection is closed before its BYE has an answer")
		}
		r.acme.Reply(bye, 200)
		time.Sleep(evictEvery)
		synctest.Wait()
		if n := r.open(); n != conns-1 || f.Conn.Alive() || r.Calls() != 0 {
			r.Errorf("%d connections, before %d, and %d calls", n, conns, r.Calls())
		}
		if again := r.ReloadWith(ReloadOptions{Evict: true}); len(again.Failing) != 0 {
			r.Errorf("again: %+v", again.Failing)
		}
	})
}

// Who does not answer its BYE is not waited for.
func TestEvictASilentPeer(t *testing.T) {
	run(t, mutual, func(r *rig) {
		r.answered()
		r.write(r.dir, "ca.pem", testca.New("another CA").PEM())
		r.rewrite()
		conns := slices.Collect(r.Conns())
		if got := r.ReloadWith(ReloadOptions{Evict: true}); len(got.Failing) != len(conns) {
			r.Fatalf("got %+v", got.Failing)
		}
		r.acme.WantRequest(sip.BYE)
		r.office.Reply(r.office.WantRequest(sip.BYE), 200)
		time.Sleep(farewell)
		synctest.Wait()
		if n := r.open(); n != 0 {
			r.Errorf("%d connections are open", n)
		}
		time.Sleep(lifetime)
	})
}

// A connection that is being made while the certificates change is one under the
// new policy: the next request to its peer takes it.
func TestDialOvertakenByARenewal(t *testing.T) {
	run(t, mutual, func(r *rig) {
		p := r.snapshot.Load().peers.Lookup("acme")
		before := r.dialConfig(p, transport.TLS, addrPort(acmeAddr))
		renewed := r.ca.Leaf("gw.example")
		r.write(r.dir, "gw.pem", renewed.PEM())
		r.write(r.dir, "gw-key.pem", renewed.KeyPEM())
		r.takes()
		c, err := r.server.Endpoint().Dial(r.Context(), before)
		if err != nil {
			r.Fatal(err)
		}
		after := r.dialConfig(p, transport.TLS, addrPort(acmeAddr))
		if before.Key == after.Key || r.server.Endpoint().Lookup(after.Key) != c {
			r.Error("the connection is not found under the new policy")
		}
		r.acme.Accepted()
	})
}

// A reload that is refused for a certificate raises the same alarm as the watch,
// and the next good one ends it.
func TestReloadRaisesTheAlarmOfAFile(t *testing.T) {
	run(t, mutual, func(r *rig) {
		good, err := os.ReadFile(filepath.Join(r.dir, "gw-key.pem"))
		if err != nil {
			r.Fatal(err)
		}
		r.write(r.dir, "gw-key.pem", r.ca.Leaf("gw.example").KeyPEM())
		got := r.Reload()
		if len(got.Problems) != 1 || len(got.InUse) != 1 || !strings.Contains(got.InUse[0], "serial "+r.ListenerSerial()) {
			r.Errorf("got %+v", got)
		}
		if all := r.Alarms(); len(all) != 1 || all[0].Name != "identity gateway" || !strings.HasSuffix(all[0].Remedy, "; then reload") {
			r.Errorf("got %+v", all)
		}
		r.write(r.dir, "gw-key.pem", good)
		r.takes()
		if all := r.Alarms(); len(all) != 0 {
			r.Errorf("got %+v", all)
		}
	})
}
