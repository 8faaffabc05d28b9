//go:build linux

package main

import (
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport-sip/sallyport/bench/proccpu"
)

// options say what a run is.
type options struct {
	transport        string
	element          netip.AddrPort // invalid: the caller calls the answerer directly
	caller, answerer netip.AddrPort
	conns            int
	rate             int // calls a second
	warmUp, measure  time.Duration
	timeout          time.Duration
	number           string
	certs, name      string
	pid              int // the element's first process; 0: not measured

	hold   int           // so many calls are held instead of calls ended at once
	settle time.Duration // quiet before each measurement of what is held
	probe  string        // where an element in Go tells its heap and goroutines; empty: nowhere
}

// outcome is what a run has to say.
type outcome interface {
	print(w io.Writer)
	clean() bool // every call went as it should
}

// run places the calls of one run and returns what came of them.
func run(o options) (*report, error) {
	d, err := connect(o)
	if err != nil {
		return nil, err
	}
	defer d.close()
	return d.drive()
}

// driver is one run under way.
type driver struct {
	options
	loop     *loop
	caller   *caller
	answerer *answerer
	acceptor *acceptor
	sockets  []interface{ close() }
	tls      *tls.ConnectionState
	pids     []int
}

func connect(o options) (d *driver, err error) {
	l, err := newLoop()
	if err != nil {
		return nil, err
	}
	d = &driver{options: o, loop: l}
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	element := o.element
	if !element.IsValid() {
		element = o.answerer
	}
	d.answerer = newAnswerer(l, o.transport, o.answerer.String(), o.answerer.Addr().String())
	target := "sip:" + o.number + "@" + element.String() + ";transport=" + o.transport
	var id [5]byte
	_, _ = rand.Read(id[:])
	d.caller = newCaller(l, target, "<sip:"+o.number+"@"+element.String()+">", "-"+hex.EncodeToString(id[:]), o.rate, o.timeout)
	if o.transport == "udp" {
		return d, d.bindUDP(element)
	}
	return d, d.connectStreams(element)
}

func (d *driver) bindUDP(element netip.AddrPort) error {
	answers, err := listenUDP(d.options.answerer, element, d.answerer)
	if err != nil {
		return err
	}
	d.sockets = append(d.sockets, answers)
	if err := d.loop.add(answers); err != nil {
		return err
	}
	for i := range d.conns {
		local := d.options.caller
		if local.Port() != 0 {
			local = netip.AddrPortFrom(local.Addr(), local.Port()+uint16(i))
		}
		u, err := listenUDP(local, element, d.caller)
		if err != nil {
			return err
		}
		d.sockets = append(d.sockets, u)
		if err := d.loop.add(u); err != nil {
			return err
		}
		d.caller.addLink(u, "udp", u.local.String(), u.local.Addr().String())
	}
	return nil
}

func (d *driver) connectStreams(element netip.AddrPort) error {
	var client, server *tls.Config
	if d.transport == "tls" {
		name := d.name
		if !d.element.IsValid() {
			name = "answerer.example"
		}
		var err error
		if client, server, err = tlsConfigs(d.certs, name); err != nil {
			return err
		}
	}
	var err error
	if d.acceptor, err = accept(d.options.answerer, server, d.loop, d.answerer); err != nil {
		return err
	}
	for range d.conns {
		s, err := dial(d.options.caller, element, client, d.caller)
		if err != nil {
			return err
		}
		d.sockets = append(d.sockets, s)
		if err := d.loop.add(s); err != nil {
			return err
		}
		if s.tls != nil {
			st := s.tls.ConnectionState()
			d.tls = &st
		}
		d.caller.addLink(s, d.transport, s.local.String(), s.local.Addr().String())
	}
	return nil
}

func (d *driver) close() {
	if d.acceptor != nil {
		d.acceptor.close()
	}
	for _, s := range d.sockets {
		s.close()
	}
	d.loop.close()
}

// drive warms the element up, measures, and waits for the calls still open.
func (d *driver) drive() (*report, error) {
	if err := d.findElement(); err != nil {
		return nil, err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) // by default the kernel may wake a thread 50 µs late
	// Until the measurement a second processor serves the handshakes of connections that the element makes.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	start := d.loop.now()
	begin := start + d.warmUp
	for due := start; due < begin; due += d.gap(due - start) {
		if err := d.serveUntil(due); err != nil {
			return nil, err
		}
		d.caller.begin(due, false)
	}
	if err := d.serveUntil(begin); err != nil {
		return nil, err
	}
	runtime.GOMAXPROCS(1)
	if err := d.findElement(); err != nil {
		return nil, err
	}
	before, err := d.reading()
	if err != nil {
		return nil, err
	}
	calls := int(int64(d.rate) * int64(d.measure) / int64(time.Second))
	begin = d.loop.now()
	for i := range calls {
		due := begin + time.Duration(int64(i)*int64(time.Second)/int64(d.rate))
		if err := d.serveUntil(due); err != nil {
			return nil, err
		}
		d.caller.begin(due, true)
	}
	if err := d.serveUntil(begin + d.measure); err != nil {
		return nil, err
	}
	after, err := d.reading()
	if err != nil {
		return nil, err
	}
	for d.caller.open() > 0 {
		if err := d.serveUntil(d.loop.now() + 5*time.Millisecond); err != nil {
			return nil, err
		}
	}
	return d.report(before, after), nil
}

// gap is the time to the next call of the warm-up, whose rate climbs from a tenth to the full one in its first 60 %.
func (d *driver) gap(since time.Duration) time.Duration {
	share := min(1, 0.1+0.9*float64(since)/(0.6*float64(d.warmUp)))
	return time.Duration(float64(time.Second) / (float64(d.rate) * share))
}

// serveUntil handles what comes until the time given. It looks at the sockets at least once, so that a schedule that
// is behind does not keep answers waiting.
func (d *driver) serveUntil(when time.Duration) error {
	for looked := false; ; looked = true {
		d.loop.flush()
		d.caller.expireOld()
		left := when - d.loop.now()
		if left <= 0 && looked {
			return nil
		}
		if err := d.loop.wait(min(left, 20*time.Millisecond)); err != nil {
			return err
		}
	}
}

// findElement lists the element's processes.
func (d *driver) findElement() error {
	if d.pid == 0 {
		return nil
	}
	if err := checkProcess(d.pid); err != nil {
		return err
	}
	var err error
	d.pids, err = proccpu.Tree(d.pid)
	return err
}

func checkProcess(pid int) error {
	if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("element: process %d is not running", pid)
	}
	return nil
}

// reading is the state of all accounts at one moment.
type reading struct {
	when          time.Duration
	element, self proccpu.Usage
	busy          time.Duration
	finished      uint64
	caller        callerCounts
	answerer      answererCounts
}

func (d *driver) reading() (r reading, err error) {
	if len(d.pids) > 0 {
		if r.element, err = proccpu.Read(d.pids); err != nil {
			return r, fmt.Errorf("element: %w", err)
		}
	}
	if r.self, err = proccpu.Read([]int{os.Getpid()}); err != nil {
		return r, err
	}
	if r.busy, err = proccpu.Busy(); err != nil {
		return r, err
	}
	r.when, r.finished = d.loop.now(), d.caller.counts.finished
	r.caller, r.answerer = d.caller.counts, d.answerer.counts
	return r, nil
}
