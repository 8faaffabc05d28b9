// Package acme gets the certificates of identities from a CA and renews them in time (RFC 8555, RFC 9773).
//
// Reading starts at Keeper. It has one goroutine for each identity, which sleeps until its certificate is due, asks the
// CA, writes certificate and key into one file, and tells whoever uses it. When the CA is away or refuses, it waits for
// longer and longer, and says so as long as that lasts. schedule.go says when what is due; issuer.go speaks with the CA,
// through certmagic; file.go keeps what it gave.
//
// The account, its key and what a CA asks are kept in the same directory. Files are for the gateway's user alone.
package acme

import (
	"context"
	"crypto/tls"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"time"
)

// Order is what one identity wants.
type Order struct {
	Identity string
	Domains  []string
	File     string // where the certificate is kept, with its key
	Issuer   Settings
}

// Settings are how a CA is asked.
type Settings struct {
	CA     string // URL of its directory
	CARoot string // file with the CAs by which it is known; empty: those of the system
	Email  string
	// HTTP is where http-01 is answered; empty: tls-alpn-01 is used.
	HTTP string
	// TLS is the address of a listener of ours that answers tls-alpn-01.
	TLS string
}

// Status is how an order stands.
type Status struct {
	Identity string
	Domains  []string
	CA       string
	NotAfter time.Time // of the certificate; zero: there is none
	Next     time.Time // when the CA is asked again
	Since    time.Time // since when it fails; zero: it does not
	Failures int       // since then
	Err      error     // the last one, nil for none
}

// Options are what a Keeper works with.
type Options struct {
	Dir string // for what belongs to accounts
	Log *slog.Logger
	// Changed is called when a new certificate is in its file.
	Changed func(identity string)
	// Report is called when a try has ended, and when an order is taken up.
	Report func(Status)
	// Issue replaces the CA, in tests. Nil: certmagic.
	Issue func(Settings) (CA, error)
	// Retry is how long to wait after the failure with that number, from 1 on. Nil: Backoff.
	Retry func(failures int) time.Duration
}

// Keeper gets and renews certificates. Its methods are safe for concurrent use.
type Keeper struct {
	options Options
	shared  *shared // with certmagic; nil before the first order

	mu     sync.Mutex
	orders map[string]*running // guarded by mu; by identity
	closed bool                // guarded by mu
	asking map[string]int      // guarded by mu; domains that a CA may be looking at now, in lower case, and how many orders have them
}

// running is an order with its goroutine.
type running struct {
	order Order
	stop  context.CancelFunc
	wake  chan struct{} // has room for one
	done  chan struct{}
}

// New returns a Keeper without orders.
func New(o Options) *Keeper {
	if o.Retry == nil {
		o.Retry = Backoff
	}
	k := &Keeper{options: o, orders: map[string]*running{}, asking: map[string]int{}}
	if o.Issue == nil {
		k.shared = new(shared)
		k.options.Issue = func(s Settings) (CA, error) { return k.shared.issuer(o.Dir, s) }
	}
	return k
}

// Follow makes orders those that are kept. One that is as before goes on; if it waits for a CA that has failed, it tries
// at once.
func (k *Keeper) Follow(orders []Order) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return
	}
	gone := k.orders
	k.orders = map[string]*running{}
	for _, o := range orders {
		if r := gone[o.Identity]; r != nil && reflect.DeepEqual(r.order, o) {
			k.orders[o.Identity] = r
			delete(gone, o.Identity)
			select {
			case r.wake <- struct{}{}:
			default:
			}
			continue
		}
		ctx, stop := context.WithCancel(context.Background())
		r := &running{order: o, stop: stop, wake: make(chan struct{}, 1), done: make(chan struct{})}
		k.orders[o.Identity] = r
		before := gone[o.Identity]
		delete(gone, o.Identity)
		if before != nil {
			before.stop()
		}
		go func() {
			defer close(r.done)
			if before != nil {
				<-before.done // two must not write one file
			}
			k.keep(ctx, o, r.wake)
		}()
	}
	for _, r := range gone {
		r.stop()
	}
}

// Close ends all orders and waits for their goroutines. What a CA is doing meanwhile is given up.
func (k *Keeper) Close() {
	k.mu.Lock()
	k.closed = true
	orders := k.orders
	k.orders = nil
	k.mu.Unlock()
	for _, r := range orders {
		r.stop()
	}
	for _, r := range orders {
		<-r.done
	}
	if k.shared != nil {
		k.shared.close()
	}
}

// Challenge returns the certificate by which a CA sees that a domain is ours, an error when none asked about it.
func (k *Keeper) Challenge(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	k.mu.Lock()
	asking := k.asking[strings.ToLower(hello.ServerName)] > 0
	k.mu.Unlock()
	if !asking || k.shared == nil { // anybody may ask at any time, and costs nothing
		return nil, errNotAsked
	}
	return k.shared.challenge(hello)
}

// ask notes that a CA may come to look at domains, until the returned function.
func (k *Keeper) ask(domains []string) (done func()) {
	add := func(n int) {
		k.mu.Lock()
		defer k.mu.Unlock()
		for _, d := range domains {
			if k.asking[strings.ToLower(d)] += n; k.asking[strings.ToLower(d)] == 0 {
				delete(k.asking, strings.ToLower(d))
			}
		}
	}
	add(1)
	return func() { add(-1) }
}

// keep looks after one order until ctx ends.
func (k *Keeper) keep(ctx context.Context, o Order, wake <-chan struct{}) {
	w := work{k: k, order: o, log: k.options.Log.With("identity", o.Identity, "ca", o.Issuer.CA)}
	w.status = Status{Identity: o.Identity, Domains: o.Domains, CA: o.Issuer.CA}
	w.have, _ = load(o.File)
	if w.have == nil {
		k.options.Report(w.status)
	}
	for ctx.Err() == nil {
		wait := w.step(ctx)
		if ctx.Err() != nil {
			return
		}
		w.status.Next = time.Now().Add(wait)
		k.options.Report(w.status)
		alarm := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			alarm.Stop()
			return
		case <-wake:
			alarm.Stop()
		case <-alarm.C:
		}
	}
}

// work is what the goroutine of one order knows. It owns it.
type work struct {
	k      *Keeper
	order  Order
	log    *slog.Logger
	status Status
	have   *held // nil: there is no certificate
	window window
}

// step does what is due, and returns how long nothing will be.
func (w *work) step(ctx context.Context) time.Duration {
	ca, err := w.k.options.Issue(w.order.Issuer)
	if err != nil {
		return w.failed(err)
	}
	if w.have != nil && w.have.serves(w.order.Domains) {
		w.window.ask(ctx, ca, w.have.leaf)
		w.status.NotAfter = w.have.leaf.NotAfter
		if due := w.window.due(w.have.leaf); time.Now().Before(due) {
			w.status.Err, w.status.Since, w.status.Failures = nil, time.Time{}, 0
			return min(time.Until(due), w.window.again())
		}
	}
	w.log.Info("a certificate is asked for", "domains", w.order.Domains)
	asked := w.k.ask(w.order.Domains)
	got, err := obtain(ctx, ca, w.order)
	asked()
	if err != nil {
		return w.failed(err)
	}
	if err := got.save(w.order.File); err != nil {
		return w.failed(err)
	}
	w.have, w.window = got, window{issued: time.Now()}
	w.log.Info("a certificate was issued", "serial", got.leaf.SerialNumber.Text(16), "until", got.leaf.NotAfter.UTC().Format(time.RFC3339))
	w.status.Err, w.status.Since, w.status.Failures, w.status.NotAfter = nil, time.Time{}, 0, got.leaf.NotAfter
	w.k.options.Changed(w.order.Identity)
	return 0 // asks at once when it is to be renewed
}

func (w *work) failed(err error) time.Duration {
	s := &w.status
	if s.Failures == 0 {
		s.Since = time.Now()
	}
	s.Failures++
	s.Err = err
	wait := w.k.options.Retry(s.Failures)
	w.log.Warn("no certificate was issued", "cause", err, "try", s.Failures, "next_in", wait.String())
	return wait
}
