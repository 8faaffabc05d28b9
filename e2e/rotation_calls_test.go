//go:build unix

package e2e

import (
	"context"
	"crypto/tls"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/sip/ua"
)

// TestCallsBeginDuringRotations makes calls and connections without a pause while the gateway's certificate and a CA change
// twenty times, by the watch, SIGHUP and reload --evict at once. Every call and every handshake succeeds.
func TestCallsBeginDuringRotations(t *testing.T) {
	t.Parallel()
	const rotations, callers, diallers, pause = 20, 4, 2, 40 * time.Millisecond
	s := newSite(t, "127.0.0.1", "1.2", "1.3", "ca")
	s.generation(t, 0)
	s.link(t, "gen0")
	s.rewrite(t, strings.NewReplacer("client_certificates: required", "client_certificates: required, limits: {connections_per_source: 20000}", // each call has one of its own
		"certificate: gateway.pem, key: gateway-key.pem", "certificate: live/gateway.pem, key: live/gateway-key.pem",
		"files: [ca.pem]", "files: [ca.pem, live/extra.pem]").Replace(s.config))
	sallyport(t, s.dir, "reload")
	ctx, cancel := context.WithTimeout(t.Context(), 4*sitePatience)
	defer cancel()
	over, stop := context.WithCancel(ctx)
	defer stop()

	var made, connected atomic.Int64
	var work sync.WaitGroup
	forever := func(n int, what string, count *atomic.Int64, try func() error) {
		for range n {
			work.Go(func() {
				tick := time.NewTicker(pause)
				defer tick.Stop()
				for over.Err() == nil {
					if err := try(); err != nil {
						t.Errorf("%s %d: %v", what, count.Load(), err)
						return
					}
					count.Add(1)
					<-tick.C
				}
			})
		}
	}
	forever(callers, "call", &made, func() error {
		ours, err := s.call(ctx, t, "+490", ua.InviteOptions{})
		if err != nil {
			return err
		}
		select {
		case <-s.accepted:
		case <-ctx.Done():
			return ctx.Err()
		}
		return ours.Bye(ctx)
	})
	forever(diallers, "connection", &connected, func() error {
		d := tls.Dialer{Config: s.tls(t, "caller")}
		c, err := d.DialContext(ctx, "tcp", s.entry["tls"].String())
		if err != nil {
			return err
		}
		return c.Close()
	})
	for n := 1; n <= rotations; n++ {
		const watched, reloaded = "certificate files have changed, and are taken", "configuration taken"
		noticed, reloads := len(s.gateway.logged(watched)), len(s.gateway.logged(reloaded))
		before := made.Load()
		s.generation(t, n)
		s.link(t, fmt.Sprintf("gen%d", n))
		switch n % 3 {
		case 0:
			soon(t, "the watch notices", func() bool { return len(s.gateway.logged(watched)) > noticed })
		case 1:
			s.signal(t, syscall.SIGHUP)
			soon(t, "the reload is over", func() bool { return len(s.gateway.logged(reloaded)) > reloads })
		case 2:
			s.signal(t, syscall.SIGHUP)
			if said := sallyport(t, s.dir, "reload", "--evict"); strings.Contains(said, "connection") {
				t.Errorf("rotation %d: reload says %q", n, said)
			}
		}
		soon(t, "calls go on", func() bool { return t.Failed() || made.Load() > before+callers })
	}
	stop()
	work.Wait()
	t.Logf("%d calls and %d connections", made.Load(), connected.Load())
	if connected.Load() == 0 || len(s.gateway.logged("alarm")) > 0 {
		t.Errorf("%d connections, %d alarms", connected.Load(), len(s.gateway.logged("alarm")))
	}
	s.gateway.terminate(t)
}
