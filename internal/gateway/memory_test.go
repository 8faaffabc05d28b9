package gateway

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// bare is a peer that keeps nothing of any call: what a heap grows by is the
// gateway's. It answers an INVITE with 200, a 2xx to its own with ACK, and a BYE
// with 200.
type bare struct {
	*transport.Endpoint
	conn  *transport.Conn // of the caller
	t     transport.Transport
	addr  netip.AddrPort
	done  int  // final responses to BYE
	up    int  // 2xx to INVITE
	byes  int  // that came in
	brief bool // hangs up at once
}

func (r *rig) bare(t transport.Transport, addr, name string) *bare {
	b := &bare{t: t, addr: addrPort(addr)}
	b.Endpoint = transport.New(transport.Config{Network: r.net, Hooks: transport.Hooks{Deliver: b.deliver}})
	r.Cleanup(func() { b.Close(r.Context()) })
	var conf *tls.Config
	if t == transport.TLS {
		conf = r.tls(name)
	}
	if _, err := b.Listen(transport.ListenConfig{Name: "x", Transport: t, Addr: b.addr, TLS: conf}); err != nil {
		r.Fatal(err)
	}
	var err error
	b.conn, err = b.Dial(r.Context(), transport.DialConfig{
		Key: transport.Key{Transport: t, Remote: r.listener(t), Peer: "gateway", Local: netip.AddrPortFrom(b.addr.Addr(), 0)}, TLS: conf, Listener: "x",
	})
	if t == transport.UDP {
		b.conn, err = b.Listeners()[0].Conn(), nil
	}
	if err != nil {
		r.Fatal(err)
	}
	return b
}

func (b *bare) deliver(batch []transport.Packet) {
	for _, p := range batch {
		b.packet(p)
		p.Msg.Release()
	}
	b.conn.Flush()
}

func (b *bare) packet(p transport.Packet) {
	m := p.Msg
	if m.IsRequest() {
		switch m.Method() {
		case sip.ACK:
			return
		case sip.BYE:
			b.byes++
		}
		var w sip.Builder
		w.Reset(make([]byte, 0, 1500))
		w.Response(m, 200, "OK", []byte("bare"), sip.Source{Host: p.Source.Addr().String(), Port: p.Source.Port()})
		var body []byte
		if m.Method() == sip.INVITE {
			w.Header("Contact", fmt.Sprintf("<sip:x@%v;transport=%v>", b.addr, b.t))
			w.Header("Content-Type", "application/sdp")
			body = []byte(answer)
		}
		p.Conn.Send(w.Finish(body), p.Source)
		p.Conn.Flush()
		return
	}
	if m.StatusCode() < 200 {
		return
	}
	if m.Method() == sip.BYE {
		b.done++
		return
	}
	b.up++
	var w sip.Builder
	w.Reset(make([]byte, 0, 1500))
	b.inDialog(&w, sip.ACK, m, string(m.CallID()))
	p.Conn.Send(w.Finish(nil), p.Source)
	if b.brief {
		w.Reset(make([]byte, 0, 1500))
		b.inDialog(&w, sip.BYE, m, string(m.CallID()))
		p.Conn.Send(w.Finish(nil), p.Source)
	}
	p.Conn.Flush()
}

// inDialog writes a request of the caller's, whose To is that of a 2xx.
func (b *bare) inDialog(w *sip.Builder, method sip.Method, ok *sip.Message, callID string) {
	w.Request(method, []byte(number))
	w.Header("Via", "SIP/2.0/", b.t.Via(), " ", b.addr.String(), ";branch=z9hG4bK", callID, string(method))
	w.Header("Max-Forwards", "70")
	w.Header("From", fmt.Sprintf("<sip:office@office.example>;tag=%s", callID))
	w.HeaderBytes("To", ok.First(sip.HdrTo))
	w.Header("Call-ID", callID)
	seq := uint32(1)
	if method == sip.BYE {
		seq = 2
	}
	w.CSeq(seq, method)
}

func (b *bare) invite(n int, to netip.AddrPort) {
	id := fmt.Sprintf("call%06d", n)
	text := fmt.Sprintf("INVITE %s SIP/2.0\r\nVia: SIP/2.0/%s %v;branch=z9hG4bK%sI\r\nMax-Forwards: 70\r\n"+
		"From: <sip:office@office.example>;tag=%[4]s\r\nTo: <%[1]s>\r\nCall-ID: %[4]s\r\nCSeq: 1 INVITE\r\n"+
		"Contact: <sip:office@%[3]v;transport=%[5]v>\r\nAllow: INVITE, ACK, CANCEL, BYE\r\nSupported: timer\r\nUser-Agent: bare\r\n"+
		"Content-Type: application/sdp\r\nContent-Length: %[6]d\r\n\r\n%[7]s",
		number, b.t.Via(), b.addr, id, b.t, len(offer), offer)
	b.conn.Send([]byte(text), to)
	b.conn.Flush()
}

// heap is what is in use after a collection.
func heap() uint64 {
	synctest.Wait()
	runtime.GC()
	runtime.GC() // what was in a sync.Pool
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// Budgets in bytes of heap for each call, both legs together, a fifth above what
// was measured with 2,000. A goroutine alone would take 2 KiB at the least.
const (
	heldBudget  = 3600 // up for longer than 64*T1
	overBudget  = 6800 // over just now, on UDP with all its transactions
	lateBudget  = 4000 // over within 64*T1, with what a late 2xx to its INVITE needs
	afterBudget = 300  // over for longer
)

// A call that is up has no goroutine and little memory, one that is over leaves
// nothing.
func TestMemoryOfCalls(t *testing.T) {
	for _, tr := range []transport.Transport{transport.UDP, transport.TLS} {
		t.Run(tr.String(), func(t *testing.T) {
			set := setting{shards: 1, office: tr, targets: tr}
			set.options = func(o *Options) {
				o.Log, o.Recorder.Bytes, o.Events = nil, 64<<10, 1
				// The BYEs of all calls together are more.
				o.Limits.Pending, o.Limits.PendingPeer = 64<<10, 128<<10
			}
			run(t, set, func(r *rig) { r.measure(tr) })
		})
	}
}

func (r *rig) measure(tr transport.Transport) {
	const n = 2000
	r.office.Close()
	r.acme.Close()
	r.records = nil // the rig would keep them all
	office, acme := r.bare(tr, officeAddr, "office.example"), r.bare(tr, acmeAddr, "acme.example")
	to := r.listener(tr)
	placed := 0
	place := func() {
		for i := range n {
			placed++
			office.invite(placed, to)
			if i%50 == 49 {
				synctest.Wait()
			}
		}
		synctest.Wait()
	}
	budget := func(what string, before uint64, most int) {
		if got := (int(heap()) - int(before)) / n; got > most {
			r.Errorf("%v: a call %s takes %d bytes, want at most %d", tr, what, got, most)
		} else {
			r.Logf("%v: a call %s takes %d bytes", tr, what, got)
		}
	}
	// First what is made once: tables, and lists of things to be used again.
	office.brief = true
	place()
	time.Sleep(time.Minute)
	office.brief, office.up, office.done = false, 0, 0

	empty, goroutines := heap(), runtime.NumGoroutine()
	place()
	if r.Calls() != n || office.up != n {
		r.Fatalf("%d calls, %d answered, want %d", r.Calls(), office.up, n)
	}
	time.Sleep(time.Minute)
	budget("that is up", empty, heldBudget)
	if got := runtime.NumGoroutine(); got != goroutines {
		r.Errorf("%d goroutines more than without calls", got-goroutines)
	}
	office.byes, acme.byes = 0, 0
	r.endCalls()
	synctest.Wait()
	if office.byes != n || acme.byes != n {
		r.Errorf("%d and %d calls got their BYE, want %d", office.byes, acme.byes, n)
	}
	time.Sleep(time.Minute)
	budget("that was up for long and is over", empty, afterBudget)

	office.brief = true
	place()
	if r.Calls() != 0 || office.done != n {
		r.Fatalf("%d calls are up, %d ended, want %d", r.Calls(), office.done, n)
	}
	budget("that has just ended", empty, overBudget)
	time.Sleep(6 * time.Second) // T4, and a little
	budget("that has ended T4 ago", empty, lateBudget)
	time.Sleep(time.Minute)
	budget("that has ended", empty, afterBudget)
}
