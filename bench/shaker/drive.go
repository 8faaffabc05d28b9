//go:build linux

package main

import (
	"bufio"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/sallyport-sip/sallyport/bench/certs"
	"github.com/sallyport-sip/sallyport/bench/proccpu"
)

// options say how the element is driven.
type options struct {
	element string
	certs   string
	name    string
	version string
	resume  bool
	rate    int
	measure time.Duration
	warmUp  time.Duration
	pid     int
}

// report is what a run says.
type report struct {
	Connections int     `json:"connections"` // answered in the measured time
	Resumed     int     `json:"resumed"`     // of those
	Failed      int     `json:"failed"`
	Why         string  `json:"why,omitempty"` // the first failure
	PerConn     float64 `json:"us_per_connection"`
	Core        float64 `json:"core_percent"`
	MemoryMiB   float64 `json:"memory_mib"`
	Suite       string  `json:"suite"`
	Other       float64 `json:"other_percent"` // of one core, used by neither the element nor this program
}

// patience is how long one connection may take, and mostAtOnce how many are under way; the next waits then, which shows in the
// number that was answered.
const (
	patience   = 10 * time.Second
	mostAtOnce = 64
)

// driver is one run.
type driver struct {
	options
	config *tls.Config
	slots  chan struct{}
	work   sync.WaitGroup

	mu     sync.Mutex
	report report // guarded by mu
}

func drive(ctx context.Context, o options) (*report, error) {
	d := &driver{options: o, slots: make(chan struct{}, mostAtOnce)}
	if err := d.configure(); err != nil {
		return nil, err
	}
	d.pace(ctx, o.warmUp)
	pids, err := proccpu.Tree(o.pid)
	if err != nil {
		return nil, err
	}
	before, err := spend(pids)
	if err != nil {
		return nil, err
	}
	d.report = report{}
	d.pace(ctx, o.measure)
	after, err := spend(pids)
	if err != nil || ctx.Err() != nil {
		return nil, cmp.Or(err, ctx.Err())
	}
	r := &d.report
	took := after.at.Sub(before.at)
	element := after.element - before.element
	r.PerConn = float64(element.Microseconds()) / float64(max(1, r.Connections))
	r.Core = percent(element, took)
	r.Other = max(0, percent(after.busy-before.busy-element-(after.own-before.own), took))
	if memory, err := proccpu.Memory(pids); err == nil {
		r.MemoryMiB = float64(memory) / (1 << 20)
	}
	return r, nil
}

// spent is a reading of the CPU time used so far.
type spent struct {
	at                 time.Time
	element, own, busy time.Duration
}

func spend(pids []int) (spent, error) {
	u, err := proccpu.Read(pids)
	if err != nil {
		return spent{}, err
	}
	busy, err := proccpu.Busy()
	if err != nil {
		return spent{}, err
	}
	own, err := proccpu.Read([]int{os.Getpid()})
	return spent{time.Now(), u.Sched, own.Sched, busy}, err
}

func percent(part, of time.Duration) float64 { return 100 * float64(part) / float64(of) }

// configure leaves the element one version, and one group that every element has.
func (d *driver) configure() error {
	cert, pool, err := certs.Load(d.certs, "caller")
	if err != nil {
		return err
	}
	version := uint16(tls.VersionTLS13)
	if d.version == "1.2" {
		version = tls.VersionTLS12
	}
	d.config = &tls.Config{
		Certificates: []tls.Certificate{cert}, RootCAs: pool, ServerName: d.name, MinVersion: version, MaxVersion: version,
		CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP256}, // the second for certificates (RFC 8422 §5.1.1)
	}
	if d.resume {
		d.config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	}
	return nil
}

// pace begins connections at their intended times, and returns when the last has ended.
func (d *driver) pace(ctx context.Context, duration time.Duration) {
	began := time.Now()
	for n := 0; ctx.Err() == nil; n++ {
		due := time.Duration(n) * time.Second / time.Duration(d.rate)
		if due >= duration {
			break
		}
		time.Sleep(time.Until(began.Add(due)))
		d.slots <- struct{}{}
		d.work.Go(func() {
			defer func() { <-d.slots }()
			d.one()
		})
	}
	d.work.Wait()
}

// one makes one connection and counts what became of it.
func (d *driver) one() {
	state, err := d.ask()
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil {
		d.report.Failed++
		if d.report.Why == "" {
			d.report.Why = err.Error()
		}
		return
	}
	d.report.Connections++
	d.report.Suite = tls.CipherSuiteName(state.CipherSuite)
	if state.DidResume {
		d.report.Resumed++
	}
}

// ask connects, shakes hands, asks OPTIONS, reads the 200 and closes.
func (d *driver) ask() (*tls.ConnectionState, error) {
	dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: patience}, Config: d.config}
	nc, err := dialer.Dial("tcp", d.element)
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	c := nc.(*tls.Conn)
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintf(c, options200, d.element, c.LocalAddr(), rand.Text(), d.name, rand.Text(), d.element, d.name, rand.Text()); err != nil {
		return nil, err
	}
	first, err := readAnswer(bufio.NewReader(c))
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(first, "SIP/2.0 200 ") {
		return nil, fmt.Errorf("the element answered %q", strings.TrimSpace(first))
	}
	state := c.ConnectionState()
	return &state, nil
}

const options200 = "OPTIONS sip:%s;transport=tls SIP/2.0\r\n" +
	"Via: SIP/2.0/TLS %s;branch=z9hG4bK%s\r\n" +
	"Max-Forwards: 70\r\n" +
	"From: <sip:caller@%s>;tag=%s\r\n" +
	"To: <sip:%s>\r\n" +
	"Call-ID: %[8]s@%[7]s\r\n" +
	"CSeq: 1 OPTIONS\r\n" +
	"Accept: application/sdp\r\n" +
	"Content-Length: 0\r\n\r\n"
