package history

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/sallyport-sip/sallyport/internal/callflow"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// feed is a Source that a test fills. It makes events with Seq and time.
type feed struct {
	mu   sync.Mutex
	seq  uint64
	at   time.Time
	wait []callflow.Event
	all  []callflow.Event
	lost uint64
}

func (f *feed) Next() []callflow.Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := min(len(f.wait), 128)
	some := f.wait[:n:n]
	f.wait = f.wait[n:]
	if n == 0 {
		return nil
	}
	return some
}

func (f *feed) Lost() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lost
}

func (f *feed) add(e callflow.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seq++
	f.at = f.at.Add(time.Millisecond)
	e.Seq, e.At = f.seq, f.at
	own := e
	own.Raw = slices.Clone(e.Raw)
	f.wait, f.all = append(f.wait, e), append(f.all, own)
}

// link is a TLS connection with its whole handshake, as a gateway records it.
func (f *feed) link(id uint64, inbound bool, peer string) *callflow.Link {
	l := &callflow.Link{
		ID: id, Inbound: inbound, Transport: "tls", Local: netip.MustParseAddrPort("192.0.2.1:5061"), Remote: netip.MustParseAddrPort("198.51.100.7:40000"),
		Listener: "outside", Peer: peer, Opened: f.at,
		TLS: &callflow.TLS{Version: "1.3", Suite: "TLS_AES_128_GCM_SHA256", Group: "X25519", Mutual: true, PeerNames: []string{peer + ".example"}},
	}
	f.add(callflow.Event{Kind: callflow.Opened, Link: l})
	f.add(callflow.Event{Kind: callflow.HandshakeStep, Link: l, Step: &callflow.Step{Name: "ClientHello", Offered: []string{"1.3", "1.2"}, ServerName: "gw", Length: 200}})
	f.add(callflow.Event{Kind: callflow.HandshakeStep, Link: l, Step: &callflow.Step{ByGateway: true, Name: "Certificate", Length: 900, Certificate: &callflow.Certificate{
		Subject: "CN=gw", Issuer: "CN=root", Names: []string{"DNS:gw"}, NotBefore: time.Unix(1e9, 0), NotAfter: time.Unix(2e9, 0), Chain: 2}}})
	f.add(callflow.Event{Kind: callflow.Judged, Link: l, Verdict: &callflow.Verdict{ByGateway: true, Accepted: true, KnownBy: callflow.OwnDecision, Reason: "good"}})
	f.add(callflow.Event{Kind: callflow.Judged, Link: l, Verdict: &callflow.Verdict{Accepted: true, KnownBy: callflow.Inferred, Reason: "good"}})
	f.add(callflow.Event{Kind: callflow.Ready, Link: l})
	return l
}

// refused is a connection that was refused.
func (f *feed) refused(id uint64) {
	l := &callflow.Link{ID: id, Inbound: true, Transport: "tls", Remote: netip.MustParseAddrPort("203.0.113.5:5555"), Listener: "outside", Opened: f.at, TLS: &callflow.TLS{}}
	f.add(callflow.Event{Kind: callflow.Opened, Link: l})
	f.add(callflow.Event{Kind: callflow.HandshakeStep, Link: l, Step: &callflow.Step{ByGateway: true, Name: callflow.NameAlert, Alert: callflow.Alert{Fatal: true, Code: 42, Name: "bad_certificate"}, Length: 2}})
	f.add(callflow.Event{Kind: callflow.Judged, Link: l, Verdict: &callflow.Verdict{ByGateway: true, KnownBy: callflow.OwnDecision, Code: "unknown_ca", Reason: "nobody we trust signed it", Remedy: "send another"}})
	f.add(callflow.Event{Kind: callflow.Refused, Link: l, Reason: "nobody we trust signed it"})
}

// call is a whole short call over two connections.
func (f *feed) call(number uint64, in, out *callflow.Link) {
	for i, l := range []*callflow.Link{in, out} {
		id := fmt.Sprintf("%d-%d@gw.example", number, i)
		d := callflow.Direction(1 + i)
		message := func(out bool, line, method, tag string) {
			f.add(callflow.Event{Kind: callflow.Message, Link: l, Out: out, Remote: l.Remote, Raw: fmt.Appendf(nil,
				"%s\r\nVia: SIP/2.0/TLS gw.example;branch=z9hG4bK%s%d\r\nFrom: <sip:+4930%06d@a.example>;tag=f\r\nTo: <sip:+4989%06d@b.example>%s\r\n"+
					"Call-ID: %s\r\nCSeq: 1 %s\r\nContent-Length: 0\r\n\r\n", line, method, number, number, number, tag, id, method)})
		}
		message(i == 1, "INVITE sip:b.example SIP/2.0", "INVITE", "")
		f.add(callflow.Event{Kind: callflow.LegCreated, Call: &callflow.Call{Number: number, Direction: d, CallID: id, Peer: l.Peer, Connection: l.ID, Nth: int(number)}, Reason: "why +4930123456"})
		message(i == 0, "SIP/2.0 200 OK", "INVITE", ";tag=t")
		message(i == 1, "ACK sip:b.example SIP/2.0", "ACK", ";tag=t")
		message(i == 1, "BYE sip:b.example SIP/2.0", "BYE", ";tag=t")
		message(i == 0, "SIP/2.0 200 OK", "BYE", ";tag=t")
	}
	f.add(callflow.Event{Kind: callflow.Assessed, Call: &callflow.Call{Number: number, Security: &callflow.Security{
		Word: "secured", Why: "because", Claims: []string{"a claim"}, Hops: []callflow.HopSecurity{{Direction: callflow.In, Peer: "acme", Transport: "tls", TLS: in.TLS, Seen: 3}},
	}}})
}

// ping is an OPTIONS that is answered.
func (f *feed) ping(number uint64, l *callflow.Link) {
	id := fmt.Sprintf("ping-%d", number)
	message := func(out bool, line string) {
		f.add(callflow.Event{Kind: callflow.Message, Link: l, Out: out, Raw: fmt.Appendf(nil,
			"%s\r\nVia: SIP/2.0/TLS h;branch=z9hG4bKp%d\r\nFrom: <sip:a@a>;tag=f\r\nTo: <sip:b@b>\r\nCall-ID: %s\r\nCSeq: 1 OPTIONS\r\n\r\n", line, number, id)})
	}
	message(false, "OPTIONS sip:b SIP/2.0")
	f.add(callflow.Event{Kind: callflow.LegCreated, Call: &callflow.Call{Request: true, Number: number, Direction: callflow.In, CallID: id, Peer: l.Peer, Connection: l.ID, Nth: int(number)}})
	message(true, "SIP/2.0 200 OK")
}

// busy is a run with calls between two trunks that stay up, and other things between.
func busy(calls int) *feed {
	f := &feed{at: time.Unix(1.7e9, 0)}
	in, out := f.link(1, true, "acme"), f.link(2, false, "office")
	for n := range calls {
		f.call(uint64(3*n+1), in, out)
		f.ping(uint64(3*n+2), in)
		f.refused(uint64(n + 10))
	}
	return f
}

func (f *feed) flow(id string) *callflow.Flow {
	for _, w := range (callflow.Builder{}).Build(f.all) {
		if w.ID == id {
			return w
		}
	}
	return nil
}

func open(t *testing.T, o Options) *History {
	t.Helper()
	if o.Limits == (Limits{}) {
		o.Limits = Limits{Bytes: 1 << 30}
	}
	h, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil && o.create == nil {
			t.Error(err)
		}
	})
	return h
}

// same compares a flow with that of all events.
func same(t *testing.T, h *History, f *feed, run, id string) {
	t.Helper()
	got, err := h.Flow(t.Context(), run+"-"+id)
	if err != nil {
		t.Fatalf("%s: %v", id, err)
	}
	want := f.flow(id)
	if want == nil {
		t.Fatalf("%s: there is no such flow", id)
	}
	if got.ID != run+"-"+id {
		t.Errorf("id %s", got.ID)
	}
	got.ID = want.ID
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s is\n%+v\nwant\n%+v", id, got, want)
	}
}

// TestFlowsComeBack, each equal to what the events told, from the run that is on and after it has ended.
func TestFlowsComeBack(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		f := busy(300)
		h := open(t, Options{Dir: dir, Run: "aaaaaa", Source: f})
		for _, id := range []string{"1", "2", "301", "898", "conn-10", "conn-309"} {
			same(t, h, f, "aaaaaa", id)
		}
		if g, err := h.Flow(t.Context(), "1"); err != nil || g.ID != "aaaaaa-1" {
			t.Errorf("without the run: %v, %v", g, err)
		}
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
		again := open(t, Options{Dir: dir, Run: "bbbbbb", Source: &feed{}})
		for _, id := range []string{"1", "2", "301", "898", "conn-10", "conn-309"} {
			same(t, again, f, "aaaaaa", id)
		}
		for _, id := range []string{"1", "bbbbbb-1", "aaaaaa-3", "cccccc-1", "aaaaaa-conn-1", "nonsense", ""} {
			if g, err := again.Flow(t.Context(), id); !errors.Is(err, ErrNone) {
				t.Errorf("%q: %+v, %v", id, g, err)
			}
		}
		if runs := again.Runs(); !slices.Equal(runs, []string{"aaaaaa"}) {
			t.Errorf("runs %v", runs)
		}
	})
}

// TestHandshakeOfAnEarlierCallIsToldInThatCall: of a connection that another call opened a flow says that it was reused.
func TestHandshakeOfAnEarlierCallIsToldInThatCall(t *testing.T) {
	f := busy(5)
	h := open(t, Options{Dir: t.TempDir(), Run: "aaaaaa", Source: f})
	first, err := h.Flow(t.Context(), "1")
	if err != nil || len(first.Legs[0].Hop.Handshake) == 0 {
		t.Fatalf("the first call has no handshake: %+v, %v", first, err)
	}
	later, err := h.Flow(t.Context(), "13")
	if err != nil || len(later.Legs[0].Hop.Handshake) != 0 || later.Legs[0].Hop.Reused == nil || later.Legs[0].Hop.Reused.Age <= 0 || later.Legs[0].Hop.Reused.Nth != 13 {
		t.Fatalf("a later call has %+v, %v", later.Legs[0].Hop, err)
	}
}

// TestTornTail: whatever a crash leaves of the last block, those before it can be read, and the next run goes on beside it.
func TestTornTail(t *testing.T) {
	f := busy(40)
	dir := t.TempDir()
	h := open(t, Options{Dir: dir, Run: "aaaaaa", Source: f})
	if _, err := h.Flow(t.Context(), "1"); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(filepath.Join(dir, segmentName(1, "aaaaaa"))) // as it was when the process was killed
	if err != nil {
		t.Fatal(err)
	}
	last := uint64(0)
	_, end, _, _, err := scan(strings.NewReader(string(whole)))
	if err != nil || end != int64(len(whole)) {
		t.Fatalf("blocks up to %d of %d: %v", end, len(whole), err)
	}
	for at := int64(headSize); at < end; {
		k, err := readBlock(strings.NewReader(string(whole)), at)
		if err != nil {
			t.Fatal(err)
		}
		if at+k.size == end {
			last = uint64(at)
		}
		at += k.size
	}
	torn := map[string][]byte{
		"whole":            whole,
		"half a block":     whole[:(int(last)+len(whole))/2],
		"a few bytes":      whole[:last+5],
		"a byte is wrong":  append(slices.Clone(whole[:len(whole)-9]), append([]byte{whole[len(whole)-9] ^ 1}, whole[len(whole)-8:]...)...),
		"zeros follow":     append(slices.Clone(whole), make([]byte, 5000)...),
		"nonsense follows": append(slices.Clone(whole), []byte(strings.Repeat("nonsense", 100))...),
	}
	for name, text := range torn {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, segmentName(1, "aaaaaa"))
			if err := os.WriteFile(file, text, 0o600); err != nil {
				t.Fatal(err)
			}
			for range 2 { // mended by the first, and as good for the second
				h := open(t, Options{Dir: dir, Run: "bbbbbb", Source: &feed{}})
				if _, err := h.Flow(t.Context(), "none"); !errors.Is(err, ErrNone) { // the keeper has looked at it
					t.Fatal(err)
				}
				same(t, h, f, "aaaaaa", "1")
				if name == "whole" || strings.HasSuffix(name, "follow") {
					same(t, h, f, "aaaaaa", "118")
				}
				if err := h.Close(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
	t.Run("a newer form", func(t *testing.T) {
		dir := t.TempDir()
		b := appendHead(nil, "aaaaaa", time.Now())
		b[len(magic)] = formVersion + 1
		file := filepath.Join(dir, segmentName(1, "aaaaaa"))
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		h := open(t, Options{Dir: dir, Run: "bbbbbb", Source: &feed{}})
		h.catchUp(t.Context())
		if _, err := os.Stat(file); err != nil {
			t.Errorf("a file of a newer program was deleted: %v", err)
		}
	})
}

// TestLimits: the oldest segments go when all are too large or too old, also when the limits change.
func TestLimits(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		f := busy(0)
		in, out := f.link(5, true, "acme"), f.link(6, false, "office")
		h := open(t, Options{Dir: dir, Run: "aaaaaa", Source: f, Limits: Limits{Bytes: 4 << 20, Age: time.Hour}})
		number := uint64(0)
		for range 3000 {
			number++
			f.at = time.Now()
			f.call(number, in, out)
			if number%100 == 0 {
				time.Sleep(time.Second)
			}
		}
		h.catchUp(t.Context())
		s := h.Stats()
		if s.Bytes > 5<<20 || s.Bytes < 3<<20 || s.Segments < 3 || s.Oldest.IsZero() {
			t.Errorf("%+v", s)
		}
		if _, err := h.Flow(t.Context(), "1"); !errors.Is(err, ErrNone) {
			t.Errorf("the first is still there: %v", err)
		}
		if g, err := h.Flow(t.Context(), "3000"); err != nil || g.State != callflow.StateEnded || len(g.Rows) < 10 || g.Legs[0].Hop.Reused == nil {
			t.Errorf("the last one, whose connections' beginning has gone: %+v, %v", g, err)
		}
		h.Limit(Limits{Bytes: 2 << 20, Age: time.Hour})
		time.Sleep(2 * tidyEvery)
		if s := h.Stats(); s.Bytes > 3<<20 {
			t.Errorf("after the limit was lowered: %+v", s)
		}
		time.Sleep(2 * time.Hour)
		if s := h.Stats(); s.Segments > 1 {
			t.Errorf("after hours: %+v", s)
		}
		h.Limit(Limits{Off: true})
		f.call(9000, in, out)
		h.catchUp(t.Context())
		if _, err := h.Flow(t.Context(), "9000"); !errors.Is(err, ErrOff) {
			t.Errorf("switched off: %v", err)
		}
		var none *History
		if _, err := none.Flow(t.Context(), "1"); !errors.Is(err, ErrOff) {
			t.Errorf("none: %v", err)
		}
		files, _ := os.ReadDir(dir)
		if s := h.Stats(); len(files) != s.Segments {
			t.Errorf("%d files, %d segments", len(files), s.Segments)
		}
	})
}

// TestKinds: what is not wanted is not kept, and the rest is.
func TestKinds(t *testing.T) {
	for name, tt := range map[string]struct {
		limits     Limits
		has, hasNo []string
	}{
		"no calls":      {Limits{Bytes: 1 << 30, NoCalls: true}, []string{"2", "conn-10"}, []string{"1"}},
		"no requests":   {Limits{Bytes: 1 << 30, NoRequests: true}, []string{"1", "conn-10"}, []string{"2"}},
		"no handshakes": {Limits{Bytes: 1 << 30, NoHandshakes: true}, []string{"1", "2"}, []string{"conn-10"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, Options{Dir: t.TempDir(), Run: "aaaaaa", Source: busy(2), Limits: tt.limits})
			for _, id := range tt.has {
				if g, err := h.Flow(t.Context(), id); err != nil || len(g.Rows) < 2 {
					t.Errorf("%s: %v, %v", id, g, err)
				}
			}
			for _, id := range tt.hasNo {
				if g, err := h.Flow(t.Context(), id); !errors.Is(err, ErrNone) {
					t.Errorf("%s: %+v, %v", id, g, err)
				}
			}
		})
	}
}

// TestNumbersAreMasked on the disk, in messages and words, and flows are told all the same.
func TestNumbersAreMasked(t *testing.T) {
	dir := t.TempDir()
	h := open(t, Options{Dir: dir, Run: "aaaaaa", Source: busy(20), Limits: Limits{Bytes: 1 << 30, MaskNumbers: true}})
	g, err := h.Flow(t.Context(), "1")
	if err != nil || g.From != "+*******001@a.example" || len(g.Rows) < 10 {
		t.Fatalf("%+v, %v", g, err)
	}
	text, err := os.ReadFile(filepath.Join(dir, segmentName(1, "aaaaaa")))
	if err != nil || strings.Contains(string(text), "+4930") || strings.Contains(string(text), "+4989") || !strings.Contains(string(text), "why +*******456") {
		t.Errorf("%v: a number is on the disk", err)
	}
}

// fullDisk is a file that takes no more than there is room for.
type fullDisk struct {
	*os.File
	d *disk
}

type disk struct {
	mu   sync.Mutex
	room int
}

func (f fullDisk) Write(b []byte) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	n := min(len(b), f.d.room)
	f.d.room -= n
	n, err := f.File.Write(b[:n])
	if err == nil && n < len(b) {
		err = syscall.ENOSPC
	}
	return n, err
}

func (d *disk) set(room int) {
	d.mu.Lock()
	d.room = room
	d.mu.Unlock()
}

// TestFullDisk is an alarm, counts what is lost, keeps what was there, and goes on when there is room again.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		d := &disk{room: 50_000}
		var alarms []error
		f := busy(0)
		in, out := f.link(5, true, "acme"), f.link(6, false, "office")
		h := open(t, Options{Dir: dir, Run: "aaaaaa", Source: f, Alarm: func(err error) { alarms = append(alarms, err) },
			create: func(name string) (file, error) {
				o, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
				return fullDisk{o, d}, err
			}})
		for n := range 100 {
			f.call(uint64(n+1), in, out)
			time.Sleep(2 * pollEvery)
		}
		s := h.Stats()
		if len(alarms) != 1 || !errors.Is(alarms[0], syscall.ENOSPC) || !s.Failing || s.Lost == 0 {
			t.Fatalf("alarms %v, %+v", alarms, s)
		}
		same(t, h, f, "aaaaaa", "1")
		if _, err := h.Flow(t.Context(), "100"); !errors.Is(err, ErrNone) {
			t.Errorf("what had no room: %v", err)
		}
		d.set(1 << 30)
		time.Sleep(2 * retryAfter)
		f.call(500, in, out)
		h.catchUp(t.Context())
		if s := h.Stats(); len(alarms) != 2 || alarms[1] != nil || s.Failing || s.Lost == 0 {
			t.Errorf("with room again: alarms %v, %+v", alarms, s)
		}
		same(t, h, f, "aaaaaa", "500")
		same(t, h, f, "aaaaaa", "1")
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		again := open(t, Options{Dir: dir, Run: "bbbbbb", Source: &feed{}})
		same(t, again, f, "aaaaaa", "500")
		same(t, again, f, "aaaaaa", "1")
	})
}

// TestWhatTheRingLostIsCounted.
func TestWhatTheRingLostIsCounted(t *testing.T) {
	f := busy(1)
	f.lost = 17
	h := open(t, Options{Dir: t.TempDir(), Run: "aaaaaa", Source: f})
	h.catchUp(t.Context())
	if s := h.Stats(); s.Lost != 17 || s.Events != uint64(len(f.all)) {
		t.Errorf("%+v of %d events", s, len(f.all))
	}
}

// TestReadersAndTheKeeperAtOnce is for the race detector.
func TestReadersAndTheKeeperAtOnce(t *testing.T) {
	f := busy(0)
	in, out := f.link(5, true, "acme"), f.link(6, false, "office")
	h := open(t, Options{Dir: t.TempDir(), Run: "aaaaaa", Source: f, Limits: Limits{Bytes: 2 << 20}})
	var all sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	for range 2 {
		all.Go(func() {
			for n := uint64(1); ctx.Err() == nil; n++ {
				if _, err := h.Flow(t.Context(), fmt.Sprint(n%2000)); err != nil && !errors.Is(err, ErrNone) {
					t.Error(err)
				}
				h.Stats()
			}
		})
	}
	for n := range 2000 {
		f.call(uint64(n+1), in, out)
	}
	h.catchUp(t.Context())
	stop()
	all.Wait()
}
