//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"time"

	"github.com/sallyport-sip/sallyport/bench/proccpu"
)

// heldCall is a call that is up, with the BYE that will end it.
type heldCall struct {
	link link
	n    uint64
	bye  []byte
}

// hold keeps an answered call.
func (c *caller) hold(k link, m *message, n uint64, cl *call) {
	if !cl.rang {
		c.fail(cl, "answered without 180")
		return
	}
	cl.state = held
	c.held = append(c.held, heldCall{k, n, c.textOf(k).inDialog(nil, m, n, c.run, "BYE", "2", 'b')})
}

// end hangs up the held call i.
func (c *caller) end(i int) {
	h := c.held[i]
	cl := c.at(h.n)
	if cl.state != held {
		return // it has failed meanwhile
	}
	if !c.loop.alive(h.link) {
		c.fail(cl, "no connection to the element")
		return
	}
	cl.state, cl.began = ending, c.loop.now()
	h.link.done(append(h.link.open(), h.bye...))
	c.sent(h.link)
}

// standing is what an element has at one moment.
type standing struct {
	MemoryMiB  float64 `json:"memory_mib"` // proportional set size
	HeapMiB    float64 `json:"heap_mib"`   // after a collection; of an element that has a probe
	Goroutines int     `json:"goroutines"` // likewise
}

// holdReport is the outcome of a run in which calls were held.
type holdReport struct {
	Transport string            `json:"transport"`
	TLS       string            `json:"tls,omitempty"`
	Rate      int               `json:"rate"`
	Held      int               `json:"held"` // calls up at the moment in the middle
	Ended     uint64            `json:"ended"`
	FailedWhy map[string]uint64 `json:"failed_why,omitempty"`
	Lost      []string          `json:"lost,omitempty"`
	Probed    bool              `json:"probed"`
	Before    standing          `json:"before"` // after the calls of the warm-up
	Up        standing          `json:"up"`
	After     standing          `json:"after"` // after the last BYE
}

// runHold warms the element up with calls that end at once, then places calls and keeps them, then ends them. Between these
// parts it is quiet for so long that every transaction is over.
func runHold(o options) (*holdReport, error) {
	d, err := connect(o)
	if err != nil {
		return nil, err
	}
	defer d.close()
	return d.driveHold()
}

func (d *driver) driveHold() (*holdReport, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	d.caller.room(d.hold)
	d.caller.holding, d.answerer.keep = true, 24*time.Hour
	r := &holdReport{Transport: d.transport, Rate: d.rate, Probed: d.probe != ""}

	start := d.loop.now()
	for due := start; due < start+d.warmUp; due += d.gap(due - start) {
		if err := d.serveUntil(due); err != nil {
			return nil, err
		}
		d.caller.begin(due, false)
	}
	if err := d.pause(&r.Before); err != nil {
		return nil, err
	}
	if err := d.paced(d.hold, func(_ int, due time.Duration) { d.caller.begin(due, true) }); err != nil {
		return nil, err
	}
	if err := d.pause(&r.Up); err != nil {
		return nil, err
	}
	r.Held = d.caller.count(held)
	ended := d.caller.counts.measured.finished
	if err := d.paced(len(d.caller.held), func(i int, _ time.Duration) { d.caller.end(i) }); err != nil {
		return nil, err
	}
	if err := d.pause(&r.After); err != nil {
		return nil, err
	}
	r.Ended = d.caller.counts.measured.finished - ended
	r.FailedWhy, r.Lost, r.TLS = d.caller.counts.measured.failed, slices.Clone(d.loop.lost), suite(d.tls)
	return r, nil
}

// paced does n things at the rate of the run.
func (d *driver) paced(n int, do func(i int, due time.Duration)) error {
	begin := d.loop.now()
	for i := range n {
		due := begin + time.Duration(int64(i)*int64(time.Second)/int64(d.rate))
		if err := d.serveUntil(due); err != nil {
			return err
		}
		do(i, due)
	}
	return nil
}

// pause lets the element settle, gives up what has no answer by then, and measures.
func (d *driver) pause(into *standing) error {
	limit := d.loop.now() + d.timeout
	for d.loop.now() < limit && d.caller.count(inviting)+d.caller.count(ending) > 0 {
		if err := d.serveUntil(d.loop.now() + 5*time.Millisecond); err != nil {
			return err
		}
	}
	d.caller.giveUp()
	if err := d.serveUntil(d.loop.now() + d.settle); err != nil {
		return err
	}
	if err := d.findElement(); err != nil {
		return err
	}
	m, err := proccpu.Memory(d.pids)
	if err != nil {
		return err
	}
	into.MemoryMiB = float64(m) / (1 << 20)
	if d.probe == "" {
		return nil
	}
	return d.ask(into)
}

// ask has the element collect its garbage and say what is left.
func (d *driver) ask(into *standing) error {
	answer, err := http.Get(d.probe)
	if err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	defer answer.Body.Close()
	var says struct {
		Heap       uint64 `json:"heap"`
		Goroutines int    `json:"goroutines"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&says); err != nil || answer.StatusCode != http.StatusOK {
		return fmt.Errorf("probe: %s, %v", answer.Status, err)
	}
	into.HeapMiB, into.Goroutines = float64(says.Heap)/(1<<20), says.Goroutines
	return nil
}

// room makes the ring large enough for n calls that are open at once.
func (c *caller) room(n int) {
	size := len(c.calls)
	for size < 2*n {
		size *= 2
	}
	c.calls = make([]call, size)
}

// count says how many calls are in a state.
func (c *caller) count(s state) (n int) {
	for i := c.oldest; i < c.next; i++ {
		if c.at(i).state == s {
			n++
		}
	}
	return n
}

// giveUp fails the calls that have waited too long, also behind calls that are held.
func (c *caller) giveUp() {
	for i := c.oldest; i < c.next; i++ {
		switch c.at(i).state {
		case inviting:
			c.expire(i, "no answer to INVITE in "+c.timeout.String())
		case ending:
			c.expire(i, "no answer to BYE in "+c.timeout.String())
		}
	}
}

func (r *holdReport) clean() bool {
	return r.Held > 0 && uint64(r.Held) == r.Ended && len(r.FailedWhy) == 0
}

func (r *holdReport) print(w io.Writer) {
	fmt.Fprintf(w, "%s, %d calls held, %d of them ended", r.Transport, r.Held, r.Ended)
	if r.TLS != "" {
		fmt.Fprintf(w, ", %s", r.TLS)
	}
	fmt.Fprintln(w)
	for _, row := range []struct {
		when string
		s    standing
	}{{"before", r.Before}, {"with calls", r.Up}, {"after", r.After}} {
		fmt.Fprintf(w, "%-10s %8.1f MiB", row.when, row.s.MemoryMiB)
		if r.Probed {
			fmt.Fprintf(w, ", heap %8.1f MiB, %d goroutines", row.s.HeapMiB, row.s.Goroutines)
		}
		fmt.Fprintln(w)
	}
	for _, why := range slices.Sorted(maps.Keys(r.FailedWhy)) {
		fmt.Fprintf(w, "failed    %d: %s\n", r.FailedWhy[why], why)
	}
	for _, why := range r.Lost {
		fmt.Fprintf(w, "lost      a connection: %s\n", why)
	}
}
