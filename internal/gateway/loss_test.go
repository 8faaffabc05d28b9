package gateway

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/internal/memnet"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// Calls cross a network that loses and reorders, between two user agents of our
// own library: each ends as it should on both sides, and nothing is left.
func TestCallsSurviveALossyNetwork(t *testing.T) {
	for _, shards := range []int{1, 3} {
		set := setting{shards: shards, network: memnet.Options{Seed: 7, Delay: 5 * time.Millisecond, Loss: 0.15, Reorder: 0.2, ReorderBy: 30 * time.Millisecond}}
		t.Run(fmt.Sprint(shards, " shards"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { lossy(start(t, set)) })
		})
	}
}

func lossy(r *rig) {
	r.office.Close() // their addresses are for user agents
	r.acme.Close()
	answers := make(chan *ua.Call, 100)
	callee := r.agent(acmeAddr, func(q *ua.Request) {
		if q.Msg.Method() != sip.INVITE {
			q.Reply(200)
			return
		}
		uri, _ := sip.ParseURI(q.Msg.RequestURI())
		q.Reply(180)
		switch string(uri.User) {
		case "+busy":
			time.Sleep(time.Second)
			q.Reply(486)
		case "+rings":
			<-q.Context().Done()
		default:
			time.Sleep(time.Second)
			call, err := q.Accept(ua.Body("application/sdp", []byte(answer)))
			if err != nil {
				r.Errorf("accept: %v", err)
				return
			}
			answers <- call
		}
	})
	caller := r.agent(officeAddr, func(q *ua.Request) { q.Reply(200) })

	const each = 15
	ctx, cancel := context.WithTimeout(r.Context(), time.Hour) // a call that hangs fails
	defer cancel()
	var calls sync.WaitGroup
	for i := range each {
		for name, place := range map[string]func(context.Context, string) error{
			"+busy":  func(ctx context.Context, to string) error { return r.busy(ctx, caller, to) },
			"+rings": func(ctx context.Context, to string) error { return r.rings(ctx, caller, to) },
			"+talks": func(ctx context.Context, to string) error { return r.talks(ctx, caller, to) },
			"+ends": func(ctx context.Context, to string) error {
				// The callee hangs up, whichever call this is to it.
				call, err := r.dial(ctx, caller, to)
				if err == nil {
					err = until(ctx, call.Done())
				}
				if err == nil {
					err = context.Cause(call.Context())
				}
				if errors.Is(err, ua.ErrPeerHungUp) {
					return nil
				}
				return fmt.Errorf("the callee should have hung up: %w", err)
			},
		} {
			calls.Go(func() {
				time.Sleep(time.Duration(i) * 100 * time.Millisecond)
				if err := place(ctx, "sip:"+name+"@gw.example"); err != nil {
					r.Errorf("%s %d: %v", name, i, err)
				}
			})
		}
	}
	calls.Go(func() {
		for range 2 * each { // those of +talks end by themselves
			var call *ua.Call
			select {
			case call = <-answers:
			case <-ctx.Done():
				r.Error("a call was not answered")
				return
			}
			calls.Go(func() {
				time.Sleep(5 * time.Second)
				// When no ACK has come by then, this waits for it, or for a BYE.
				if err := call.Bye(ctx); err != nil {
					r.Errorf("the callee's BYE: %v", err)
				}
			})
		}
	})
	calls.Wait()
	// A caller who heard no 1xx at all could not cancel: its call rings until
	// timer C.
	time.Sleep(181*time.Second + 2*lifetime)
	r.empty()
	for _, srv := range []*ua.Server{caller, callee} {
		if err := srv.Close(r.Context()); err != nil {
			r.Error(err)
		}
	}
}

// until waits for an event.
func until(ctx context.Context, event <-chan struct{}) error {
	select {
	case <-event:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// agent is a user agent at an address.
func (r *rig) agent(addr string, serve ua.HandlerFunc) *ua.Server {
	srv := &ua.Server{Handler: serve, Network: r.net, Shards: 2}
	if err := srv.Start(); err != nil {
		r.Fatal(err)
	}
	if _, err := srv.Listen(transport.ListenConfig{Name: "udp", Transport: transport.UDP, Addr: addrPort(addr)}); err != nil {
		r.Fatal(err)
	}
	return srv
}

func (r *rig) dial(ctx context.Context, srv *ua.Server, to string) (*ua.Call, error) {
	target := ua.Target{Transport: transport.UDP, Addr: r.listener(transport.UDP)}
	return srv.Invite(ctx, target, ua.InviteOptions{URI: to}, ua.Body("application/sdp", []byte(offer)))
}

func (r *rig) busy(ctx context.Context, srv *ua.Server, to string) error {
	_, err := r.dial(ctx, srv, to)
	if refused, ok := errors.AsType[*ua.ResponseError](err); ok && refused.Code == 486 {
		return nil
	}
	return fmt.Errorf("want a 486: %w", err)
}

// rings gives up after two seconds.
func (r *rig) rings(ctx context.Context, srv *ua.Server, to string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if _, err := r.dial(ctx, srv, to); !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("want no answer: %w", err)
	}
	return nil
}

// talks hangs up after three seconds.
func (r *rig) talks(ctx context.Context, srv *ua.Server, to string) error {
	call, err := r.dial(ctx, srv, to)
	if err != nil {
		return err
	}
	time.Sleep(3 * time.Second)
	return call.Bye(ctx)
}
