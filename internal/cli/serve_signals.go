package cli

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// signals is what the system tells a gateway that runs. What ends other programs
// does not end it: the hang-up of the terminal that it was started from, and a
// reader of its log that is gone.
type signals struct {
	hangups chan os.Signal
	ends    chan os.Signal
}

// newSignals begins to listen. Main has its own ear for the first signal to end,
// and would let the second kill the process; here the second cuts the wait for
// calls short, and the third kills.
func newSignals() *signals {
	signal.Ignore(syscall.SIGPIPE)
	s := &signals{make(chan os.Signal, 1), make(chan os.Signal, 2)}
	signal.Notify(s.hangups, syscall.SIGHUP)
	signal.Notify(s.ends, os.Interrupt, syscall.SIGTERM)
	return s
}

func (s *signals) close() {
	signal.Stop(s.hangups)
	signal.Stop(s.ends)
	signal.Reset(syscall.SIGPIPE)
}

// reloadUntil calls reload for each SIGHUP until ctx ends.
func (s *signals) reloadUntil(ctx context.Context, reload func()) {
	for {
		select {
		case <-s.hangups:
			reload()
		case <-ctx.Done():
			return
		}
	}
}

// next returns a context that ends with the next signal to end. ended is Main's
// context: what ended it may still be on its way here, and is not the next.
func (s *signals) next(ended context.Context) (context.Context, context.CancelFunc) {
	if context.Cause(ended) != context.Canceled { // it was a signal, and both get each
		<-s.ends
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-s.ends:
			signal.Stop(s.ends) // one more ends the process
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		cancel()
		<-done
	}
}
