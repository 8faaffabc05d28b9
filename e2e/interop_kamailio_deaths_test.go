//go:build interop

package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// deathPatience is for a test in which requests are sent again and again to a dead proxy.
const deathPatience = 2 * time.Minute

// TestKamailioRestartsUnderCalls kills the proxy under calls in both directions and starts it again. It has forgotten everything,
// and every connection with it is gone: then each call is ended from one side or the other, and each BYE arrives, those of the
// gateway over a connection that it dials and those from behind the proxy over one that the proxy dials.
func TestKamailioRestartsUnderCalls(t *testing.T) {
	need(t, "kamailio", "kamailio kamailio-tls-modules")
	for _, version := range []string{"1.2", "1.3"} {
		t.Run("TLS "+version, func(t *testing.T) {
			b := newBehindProxy(t, version, "proxy")
			ctx, cancel := context.WithTimeout(t.Context(), deathPatience)
			defer cancel()
			const calls = 40
			var up [][2]*ua.Call
			for i := range calls {
				up = append(up, b.pair(t, ctx, []placer{b.toProxy, b.fromProxy}[i%2]))
			}
			b.proxy.kill()
			soon(t, "the gateway has seen the connections close", func() bool {
				return b.closedOf("proxy") == b.connectionsOf("proxy")
			})
			b.proxy.start(t)
			for i, ends := range up {
				b.reoffer(t, ctx, ends[i/4%2]) // not only BYE finds its way
				end := i / 2 % 2
				if err := ends[end].Bye(ctx); err != nil {
					t.Errorf("call %d: BYE: %v", i, err)
				}
				wantOver(ctx, t, ends[1-end])
			}
			b.wantNoCalls(t)
			b.wantFlows(t, "ended", calls)
			b.gateway.terminate(t)
			all := records(t, b.dir)
			if len(all) != calls {
				t.Fatalf("%d records, want %d", len(all), calls)
			}
			for i, r := range all {
				r.check(t, "ended", []string{"caller", "callee"}[i/2%2], "hop-by-hop", [][2]string{toProxy, fromProxy}[i%2])
			}
		})
	}
}

// TestKamailioIsGone kills the proxy under calls for good. A BYE from the side that is left ends the call there and in the
// gateway; a new call is refused and its flow says why, or goes to the next target.
func TestKamailioIsGone(t *testing.T) {
	need(t, "kamailio", "kamailio kamailio-tls-modules")
	t.Run("no other target", func(t *testing.T) {
		b := newBehindProxy(t, "1.3", "proxy")
		ctx, cancel := context.WithTimeout(t.Context(), deathPatience)
		defer cancel()
		var mine []*ua.Call // the caller's ends
		for i := range 10 {
			ends := b.pair(t, ctx, []placer{b.toProxy, b.fromProxy}[i%2])
			mine = append(mine, ends[i%2])
		}
		b.proxy.kill()
		for i, call := range mine {
			if err := call.Bye(ctx); err != nil {
				t.Errorf("call %d: BYE: %v", i, err)
			}
		}
		b.wantNoCalls(t)
		flow := newFlow(t, b.admin, "failed", func() {
			_, err := b.toProxy(ctx, t, "+490", ua.InviteOptions{})
			if no, ok := errors.AsType[*ua.ResponseError](err); !ok || no.Code != 503 {
				t.Errorf("a call to the dead proxy ended with %v, want 503", err)
			}
		})
		for _, want := range []string{"proxy", "nothing listens there"} {
			if !strings.Contains(flow.Sentence, want) {
				t.Errorf("the flow says %q, want %q in it", flow.Sentence, want)
			}
		}
		b.wantNoCalls(t)
		b.gateway.terminate(t)
	})
	t.Run("another target", func(t *testing.T) {
		b := newBehindProxy(t, "1.3", "proxy, backup")
		ctx, cancel := context.WithTimeout(t.Context(), deathPatience)
		defer cancel()
		ends := b.pair(t, ctx, b.toProxy)
		b.proxy.kill()
		for range 3 {
			over := b.pair(t, ctx, b.toProxy)
			if err := over[0].Bye(ctx); err != nil {
				t.Errorf("BYE: %v", err)
			}
			wantOver(ctx, t, over[1])
		}
		if err := ends[0].Bye(ctx); err != nil {
			t.Errorf("BYE: %v", err)
		}
		b.wantNoCalls(t)
		b.gateway.terminate(t)
	})
}

// TestKamailioDiesWhileItRings kills the proxy under a call that rings behind it. The call fails at once, or rings at the next target, where
// the caller gives it up; nothing of it is left in the gateway.
func TestKamailioDiesWhileItRings(t *testing.T) {
	need(t, "kamailio", "kamailio kamailio-tls-modules")
	for _, row := range []struct {
		targets, state string
		legs           []string
		ended          func(error) bool
	}{
		{"proxy", "failed", []string{"caller", "proxy"}, func(err error) bool {
			no, ok := errors.AsType[*ua.ResponseError](err)
			return ok && no.Code == 503
		}},
		{"proxy, backup", "cancelled", []string{"caller", "proxy", "backup"}, func(err error) bool { return errors.Is(err, context.Canceled) }},
	} {
		t.Run(row.targets, func(t *testing.T) {
			b := newBehindProxy(t, "1.3", row.targets)
			ctx, cancel := context.WithTimeout(t.Context(), deathPatience)
			defer cancel()
			flow := newFlow(t, b.admin, row.state, func() {
				ctx, giveUp := context.WithCancel(ctx)
				defer giveUp()
				rang := 0
				ringing := ua.InviteOptions{OnProgress: func(*sip.Message) {
					if rang++; rang == 1 {
						b.proxy.kill()
					} else {
						giveUp()
					}
				}}
				if _, err := b.toProxy(ctx, t, "+492", ringing); !row.ended(err) {
					t.Errorf("the call ended with %v after it rang %d times", err, rang)
				}
			})
			var legs []string
			for _, l := range flow.Legs {
				legs = append(legs, l.Peer)
			}
			if !slices.Equal(legs, row.legs) {
				t.Errorf("the flow has legs with %v, want %v", legs, row.legs)
			}
			b.wantNoCalls(t)
			b.gateway.terminate(t)
		})
	}
}

// closedOf counts the connections with a peer that have closed.
func (b *behindProxy) closedOf(peer string) (n int) {
	for _, line := range b.gateway.logged("connection closed") {
		if line.Peer == peer {
			n++
		}
	}
	return n
}

// wantNoCalls waits until no call is left in the gateway.
func (b *behindProxy) wantNoCalls(t *testing.T) {
	t.Helper()
	wantNoCalls(t, b.admin)
}

// wantFlows wants so many recorded flows, all of them in this state.
func (b *behindProxy) wantFlows(t *testing.T, state string, n int) {
	t.Helper()
	got := map[string]int{}
	for _, c := range flows(t, b.admin) {
		got[c.State]++
	}
	if len(got) != 1 || got[state] != n {
		t.Errorf("recorded %v, want %s", got, fmt.Sprint(map[string]int{state: n}))
	}
}
