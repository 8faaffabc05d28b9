package ship

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	wire "layeh.com/radius"
	"layeh.com/radius/rfc2865"
	"layeh.com/radius/rfc2866"

	"github.com/sallyport-sip/sallyport/internal/radius"
	"github.com/sallyport-sip/sallyport/internal/store"
)

// book is an accounting server, which keeps what it was told and has taken, each once.
type book struct {
	addr   string
	silent atomic.Bool
	asked  atomic.Int64

	mu   sync.Mutex
	told []string
}

const radiusSecret = "correct-horse-battery"

func newBook(t *testing.T) *book {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &book{addr: pc.LocalAddr().String()}
	p := &wire.PacketServer{
		SecretSource: wire.StaticSecretSource([]byte(radiusSecret)), ErrorLog: log.New(io.Discard, "", 0),
		Handler: wire.HandlerFunc(func(w wire.ResponseWriter, r *wire.Request) {
			b.asked.Add(1)
			if b.silent.Load() {
				return
			}
			b.note(r.Packet)
			w.Write(r.Response(wire.CodeAccountingResponse))
		}),
	}
	ended := make(chan struct{})
	go func() { defer close(ended); p.Serve(pc) }()
	t.Cleanup(func() { p.Shutdown(context.Background()); pc.Close(); <-ended })
	return b
}

func (b *book) note(p *wire.Packet) {
	line := fmt.Sprintf("%v %s", rfc2866.AcctStatusType_Get(p), rfc2865.CalledStationID_GetString(p))
	b.mu.Lock()
	defer b.mu.Unlock()
	if gateway := rfc2865.CalledStationID_GetString(p) == ""; gateway || !slices.Contains(b.told, line) {
		b.told = append(b.told, line)
	}
}

func (b *book) all() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.told)
}

func (b *book) has(line string) func() bool {
	return func() bool { return slices.Contains(b.all(), line) }
}

func accounts(servers ...*book) Target {
	o := &radius.Config{Secret: []byte(radiusSecret), Interval: 200 * time.Millisecond, Tries: 2, NAS: "gw1"}
	for _, b := range servers {
		o.Servers = append(o.Servers, radius.Server{Address: b.addr})
	}
	return Target{Name: "r", RADIUS: o}
}

// answer puts a call that is answered; end puts that it is over.
func (r *rig) answer(called string) *store.CDR {
	now := time.Now()
	c := &store.CDR{ID: r.s.NewID(), State: store.Answered, Called: called, Began: now, Answered: now}
	r.put(c)
	return c
}

func (r *rig) end(c *store.CDR) {
	next := *c
	next.State, next.EndedBy, next.Ended = store.Ended, "caller", time.Now()
	r.put(&next)
}

func (r *rig) put(c *store.CDR) {
	done := make(chan error, 1)
	r.s.PutDurable(c, func(err error) { done <- err })
	if err := <-done; err != nil {
		r.Fatal(err)
	}
}

func (r *rig) alarmed(text string) func() bool {
	return func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return slices.ContainsFunc(r.alarms, func(a string) bool { return strings.Contains(a, text) })
	}
}

// A server is told that the gateway is there, of each call that is answered and over, in that order, and that the gateway leaves. What
// happens while nobody tells is told by the next run, and what a crash interrupted is.
func TestAccounting(t *testing.T) {
	r, b := newRig(t), newBook(t)
	s := r.ship(accounts(b))
	r.standing(s, "r")
	up := r.answer("1")
	r.soon("the start", b.has("Start 1"))
	r.call("2") // was never answered
	r.end(up)
	r.soon("the end", b.has("Stop 1"))
	r.soon("the other", b.has("Stop 2"))
	r.answer("3")
	r.soon("a start", b.has("Start 3"))
	s.Close()
	if got := b.all(); got[0] != "Accounting-On " || got[len(got)-1] != "Accounting-Off " || slices.Contains(got, "Start 2") {
		t.Errorf("told %q", got)
	}
	r.end(r.answer("4")) // both while nobody tells
	if err := r.s.Close(); err != nil {
		t.Fatal(err)
	}
	r.open()
	r.ship(accounts(b))
	r.soon("what was over meanwhile", b.has("Stop 4"))
	r.soon("what was interrupted", b.has("Stop 3"))
	got := b.all()
	if i := slices.Index(got, "Accounting-Off "); got[i+1] != "Accounting-On " {
		t.Errorf("told %q", got)
	}
	if slices.Index(got, "Start 1") > slices.Index(got, "Stop 1") {
		t.Errorf("told %q", got)
	}
}

// While no server answers nothing is lost, and an alarm says so; the second one takes over, and a reload changes servers without another
// beginning.
func TestAccountingWaitsForAServer(t *testing.T) {
	r, first, second := newRig(t), newBook(t), newBook(t)
	s := r.ship(accounts(first, second))
	r.standing(s, "r")
	r.soon("it begins", first.has("Accounting-On "))
	first.silent.Store(true)
	second.silent.Store(true)
	up := r.answer("1")
	r.soon("an alarm", r.alarmed("raised cdr_ship r: records of calls are not sent to r: "+first.addr))
	second.silent.Store(false)
	r.soon("the second takes over", second.has("Start 1"))
	r.soon("the alarm ends", r.alarmed("cleared"))
	if n := s.Accounting()["r"]; n.Silent == 0 || n.Again == 0 {
		t.Errorf("%+v", n)
	}
	asked := first.asked.Load()
	third := newBook(t)
	s.Apply([]Target{accounts(third)})
	r.end(up)
	r.soon("the third is told", third.has("Stop 1"))
	if got := third.all(); len(got) != 1 {
		t.Errorf("told %q", got)
	}
	if first.asked.Load() != asked {
		t.Error("a server that is configured no more is asked")
	}
	s.Apply(nil)
	if got := third.all(); got[len(got)-1] != "Accounting-Off " {
		t.Errorf("told %q", got)
	}
}

// A server that knows a call is told now and then that it goes on, for as long as it does, also after a change of the target.
func TestInterimUpdates(t *testing.T) {
	r, b := newRig(t), newBook(t)
	target := accounts(b)
	target.Interim = time.Minute
	sink := newRadiusSink(target, Options{Dial: new(net.Dialer).DialContext}, newSession())
	up := r.answer("1")
	if err := sink.send(t.Context(), []store.Followed{{Entry: 1, CDR: up}, {Entry: 2, CDR: up}}); err != nil {
		t.Fatal(err)
	}
	sink.tick(t.Context(), up.Answered.Add(59*time.Second))
	if b.has("Interim-Update 1")() {
		t.Error("an update comes too early")
	}
	other := newRadiusSink(target, Options{Dial: new(net.Dialer).DialContext}, sink.session)
	defer other.close(false)
	sink.close(false)
	other.tick(t.Context(), up.Answered.Add(time.Minute))
	if !b.has("Interim-Update 1")() {
		t.Errorf("told %q", b.all())
	}
	over := *up
	over.State, over.Ended = store.Ended, time.Now()
	if err := other.send(t.Context(), []store.Followed{{Entry: 3, CDR: &over}}); err != nil {
		t.Fatal(err)
	}
	asked := b.asked.Load()
	other.tick(t.Context(), up.Answered.Add(time.Hour))
	if b.asked.Load() != asked || len(other.session.up) != 0 {
		t.Errorf("told %q, %d calls are up", b.all(), len(other.session.up))
	}
}

// Of a batch that comes again, what was taken is not sent again; requests of one call keep their order among those of many.
func TestBatchThatComesAgain(t *testing.T) {
	r, b := newRig(t), newBook(t)
	sink := newRadiusSink(accounts(b), Options{Dial: new(net.Dialer).DialContext}, newSession())
	defer sink.close(false)
	var batch []store.Followed
	for i := range 50 {
		c := r.answer(fmt.Sprint(i))
		over := *c
		over.State, over.Ended = store.Ended, time.Now()
		batch = append(batch, store.Followed{CDR: c}, store.Followed{CDR: &over})
	}
	sink.taken[batch[0].CDR] = true
	for sink.send(t.Context(), batch) != nil { // a busy machine may need more than one try
	}
	got := b.all()
	if len(got) != 99 || slices.Contains(got, "Start 0") {
		t.Errorf("%d were told", len(got))
	}
	for i := 1; i < 50; i++ {
		if slices.Index(got, fmt.Sprint("Start ", i)) > slices.Index(got, fmt.Sprint("Stop ", i)) {
			t.Errorf("call %d has ended before it began: %q", i, got)
		}
	}
	if len(sink.taken) != 0 {
		t.Errorf("%d are remembered", len(sink.taken))
	}
}
