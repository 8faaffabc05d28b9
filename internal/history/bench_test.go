//go:build unix

package history

import (
	"syscall"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
)

// again is a Source that gives the same events over and over, as if they were new.
type again struct {
	events []callflow.Event
	left   int
	at     int
	seq    uint64
}

func (a *again) Next() []callflow.Event {
	n := min(a.left, 128, len(a.events)-a.at)
	if n == 0 {
		return nil
	}
	some := a.events[a.at : a.at+n]
	a.left -= n
	if a.at += n; a.at == len(a.events) {
		a.at = 0
	}
	for i := range some {
		a.seq++
		some[i].Seq = a.seq
	}
	return some
}

func (a *again) Lost() uint64 { return 0 }

// BenchmarkKeep is what the keeper pays for an event, from the ring's copy to the file: processor time of the process, because a disk may
// make it wait.
func BenchmarkKeep(b *testing.B) {
	for _, masked := range []bool{false, true} {
		b.Run(map[bool]string{false: "whole numbers", true: "masked numbers"}[masked], func(b *testing.B) {
			f := busy(1)
			in, out := f.link(5, true, "acme"), f.link(6, false, "office")
			for n := range 500 {
				f.call(uint64(n+100), in, out)
			}
			for i := range f.all {
				if e := &f.all[i]; e.Kind == callflow.Message { // as long as messages are
					e.Raw = append(e.Raw, make([]byte, 500)...)
				}
			}
			src := &again{events: f.all}
			h, err := Open(Options{Dir: b.TempDir(), Run: "aaaaaa", Source: &feed{}, Limits: Limits{Bytes: 64 << 20, MaskNumbers: masked}})
			if err != nil {
				b.Fatal(err)
			}
			h.catchUp(b.Context())
			close(h.stop) // its goroutine's work is done here
			h.keeping.Wait()
			h.o.Source = src
			b.ReportAllocs()
			b.ResetTimer()
			base := cpu()
			for b.Loop() {
				src.left = 256
				h.k.drain()
			}
			b.ReportMetric(float64(cpu()-base)/float64(b.N)/256, "cpu-ns/event")
			b.StopTimer()
			if err := h.k.close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// cpu is the processor time of the process.
func cpu() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
