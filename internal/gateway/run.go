package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport-sip/sallyport/internal/b2bua"
	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/relay"
	"github.com/sallyport-sip/sallyport/internal/store"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// Start opens the store of records and every listener. When one cannot be
// opened, all are closed again and the error names it. Messages that come before
// the last one is open wait.
func (g *Gateway) Start() error {
	cfg := g.snapshot.Load().config
	if err := writable(cfg.Data); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	if err := g.openStore(cfg); err != nil {
		return err
	}
	if err := g.server.Start(); err != nil {
		return errors.Join(err, g.closeStore())
	}
	g.engine = b2bua.New(g, g.log, g.server.NumShards())
	g.relay = relay.New(g, g.log, g.server.NumShards())
	g.rememberChains(cfg.Data)
	g.checkRevocation()
	g.followKeys(cfg, time.Now())
	g.work.Go(g.watchKeys)
	err := g.listenAll()
	close(g.opening)
	if err != nil {
		g.stop()
		g.work.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		g.server.Close(ctx)
		return errors.Join(err, g.closeStore())
	}
	g.startWebhooks(g.snapshot.Load())
	g.keepUp()
	g.work.Go(g.watchCalendar)
	g.startWatch()
	if doubt := g.options.Recorder.Clock(time.Now()); doubt != "" {
		g.log.Warn("the clock of this machine may be wrong", "cause", doubt, "remedy", "set it by NTP or by hand: certificates are judged by it")
	}
	g.reloading.Lock()
	g.followACME(cfg)
	g.followHEP(cfg)
	g.reloading.Unlock()
	g.telling.Lock()
	g.started = time.Now()
	g.reloads.loaded = g.started
	g.telling.Unlock()
	return nil
}

func (g *Gateway) listenAll() error {
	next := *g.snapshot.Load()
	c := g.plan(&next)
	if l, err := c.open(); err != nil {
		return fmt.Errorf("listener %s: %w", l.Name, err)
	}
	next.places = c.places()
	g.snapshot.Store(&next)
	c.commit()
	g.lenient(nil, &next)
	return nil
}

func (g *Gateway) openStore(cfg *config.Config) error {
	if cfg.CDR == config.CDROff || g.records != nil {
		return nil
	}
	s, err := store.Open(cfg.Data, store.Options{Log: g.log, Keep: cfg.CDRKeep.Duration, KeepHandshakes: cfg.HandshakesKeep.Duration, Alarm: func(err error) {
		if err == nil {
			g.alarms.clear("records")
			return
		}
		g.alarms.raise("records", fmt.Sprintf("records of calls and handshakes cannot be written: %v", err), "make room on the disk of "+cfg.Data)
	}})
	if err != nil {
		return fmt.Errorf("records of calls: %w", err)
	}
	g.store, g.records = s, s
	g.recorder.KeepIn(s)
	if err := g.openHistory(cfg); err != nil {
		return errors.Join(err, g.closeStore())
	}
	return nil
}

func (g *Gateway) closeStore() error {
	if g.store == nil {
		return nil
	}
	g.recorder.KeepIn(nil)
	if err := g.closeHistory(); err != nil {
		g.log.Warn("the history ends without its last events", "cause", err)
	}
	if err := g.store.Close(); err != nil {
		return fmt.Errorf("records of calls: %w", err)
	}
	return nil
}

const (
	// farewell is how long calls have to answer their BYE when the gateway stops.
	farewell = 2 * time.Second
	// newsEvery is how often a gateway that waits for its calls says how many are
	// left.
	newsEvery = 10 * time.Second
)

// Drain refuses new calls and waits until the last one has ended by itself, at
// most for as long as the configuration's drain says, or until ctx ends. It
// returns how many calls are left, which Close will end.
func (g *Gateway) Drain(ctx context.Context) (left int) {
	g.closing.Store(true)
	patience := g.snapshot.Load().config.Drain.Duration
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if n := g.Calls(); n > 0 && patience > 0 {
		g.log.Info("draining: new calls are refused, calls may end by themselves", "calls", n, "for", patience.String())
	}
	news := time.NewTicker(newsEvery)
	defer news.Stop()
	for g.waitForCalls(ctx, news.C) {
		g.log.Info("draining", "calls", g.Calls())
	}
	return g.Calls()
}

// waitForCalls waits for the last call to end. True means that there is news to
// tell meanwhile.
func (g *Gateway) waitForCalls(ctx context.Context, news <-chan time.Time) bool {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for g.engine.Live()+g.relay.Open() > 0 && ctx.Err() == nil {
		select {
		case <-tick.C:
		case <-news:
			return true
		case <-ctx.Done():
		}
	}
	return false
}

// Draining says whether new calls are refused because the gateway is told to
// stop.
func (g *Gateway) Draining() bool { return g.closing.Load() }

// Calls are ended a few at a time, so that their peers can keep up.
const (
	endAtOnce = 100
	endEvery  = 5 * time.Millisecond
)

func (g *Gateway) endCalls() {
	g.inTurns(func(s *ua.Shard) (more bool) {
		more = g.engine.Shutdown(s, endAtOnce)
		return g.relay.Shutdown(s, endAtOnce) || more
	})
}

// Close refuses new calls, ends every call, then every connection, and waits for
// all goroutines. Last, the records of the calls are put on the disk. ctx bounds
// how long that may take.
func (g *Gateway) Close(ctx context.Context) error {
	g.reloading.Lock() // when none is under way: the next is refused
	g.closing.Store(true)
	g.reloading.Unlock()
	g.endCalls()
	patience, cancel := context.WithTimeout(ctx, farewell)
	defer cancel()
	g.waitForCalls(patience, nil)
	g.stop()
	g.acme.Close()
	err := g.server.Close(ctx)
	g.work.Wait()
	g.closeHEP()
	g.stopWebhooks()
	return cmp.Or(err, g.closeStore())
}
