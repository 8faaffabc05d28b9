package gateway

import (
	"slices"
	"strings"
	"time"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/watch"
)

// Certificates, keys, trust and the token change by themselves: whatever renews
// them writes new files under the same names. They are taken then without a
// reload, judged as a whole as in one. The configuration is never read here: what
// somebody is still writing, or has not yet decided on, waits for a reload.

const (
	// unsettled is for how long changed files may be unfit without a word: a key and
	// its certificate cannot be replaced at the same moment.
	unsettled = 10 * time.Second
	// retryUnfit is how often they are tried meanwhile. After that each look does.
	retryUnfit = time.Second
)

// files is what is known of the files that the configuration names. Guarded by
// Gateway.reloading.
type files struct {
	watcher *watch.Watcher // nil: nothing is watched
	taken   watch.Sight    // when those were read that run
	tried   watch.Sight    // when they could not be taken the last time
	since   time.Time      // when they first were as in tried; zero: those that run are taken
	said    string         // the problems that were told
	alarms  []string       // that were raised for them
}

// look reads the files that a configuration names. It comes before they are taken:
// what changes after that is another change.
func (g *Gateway) look(cfg *config.Config) watch.Sight {
	if g.options.Watch == nil {
		return nil
	}
	return watch.Look(paths(cfg))
}

func paths(cfg *config.Config) []string {
	var all []string
	for _, f := range cfg.Files() {
		all = append(all, f.Path)
	}
	return all
}

// startWatch begins to watch, once the gateway serves.
func (g *Gateway) startWatch() {
	if g.options.Watch == nil {
		return
	}
	cfg := *g.options.Watch
	cfg.Trouble = func(err error) {
		g.log.Warn("the system does not tell when certificate files change: they are looked at every 30 s", "cause", err)
	}
	g.reloading.Lock()
	defer g.reloading.Unlock()
	w := watch.Start(cfg)
	g.files.watcher = w
	g.follows(g.snapshot.Load().config)
	g.work.Go(func() { g.watch(w) })
}

// follows watches the files of a configuration, if it wants that. The caller holds
// reloading.
func (g *Gateway) follows(cfg *config.Config) {
	if g.files.watcher == nil {
		return
	}
	if !cfg.Watch {
		g.files.watcher.Follow(nil)
		return
	}
	g.files.watcher.Follow(paths(cfg))
}

// watch takes the files when they have changed, until the gateway stops.
func (g *Gateway) watch(w *watch.Watcher) {
	defer w.Close()
	again := time.NewTimer(0)
	again.Stop()
	for {
		select {
		case <-g.stopping.Done():
			again.Stop()
			return
		case <-w.Changes():
		case <-again.C:
		}
		if wait := g.renew(); wait > 0 {
			again.Reset(wait)
		}
	}
}

// renew takes the files as they are now, if they are not those that run. It
// returns after how long to try again; 0: when somebody says so.
func (g *Gateway) renew() (again time.Duration) {
	g.reloading.Lock()
	defer g.reloading.Unlock()
	before, f := g.snapshot.Load(), &g.files
	if g.closing.Load() || !before.config.Watch {
		return 0
	}
	now := watch.Look(paths(before.config))
	changed := now.Changed(f.taken)
	if len(changed) == 0 {
		g.fit(now)
		return 0
	}
	next, problems := g.reread(before, changed)
	if len(problems) == 0 {
		g.swap(before, next, now, changed)
		return 0
	}
	if f.since.IsZero() || len(now.Changed(f.tried)) > 0 {
		f.tried, f.since = now, time.Now()
	}
	if time.Since(f.since) < unsettled {
		return retryUnfit
	}
	g.refuseFiles(before, problems)
	return 0
}

// reread is a snapshot with the files read again, and all else as it was. What has
// not changed is not judged by the clock anew: a certificate that has expired
// meanwhile does not keep the renewal of another out.
func (g *Gateway) reread(before *snapshot, changed []string) (*snapshot, []config.Problem) {
	o := g.options.TLS
	o.Before, o.Aged = before.trust, func(file string) bool { return !slices.Contains(changed, file) }
	set, problems := o.Load(before.config)
	admin, bad := loadAdmin(before.config, set)
	problems = append(problems, bad...)
	hooks, bad := loadWebhooks(before.config)
	problems = append(problems, bad...)
	shipments, bad := loadShipments(before.config, set)
	if problems = append(problems, bad...); len(problems) > 0 {
		config.SortProblems(problems)
		return nil, problems
	}
	next := *before
	next.trust, next.admin, next.hooks, next.shipments = set, admin, hooks, shipments
	return &next, nil
}

// swap brings new files into force. Connections and calls live on.
func (g *Gateway) swap(before, next *snapshot, sight watch.Sight, changed []string) {
	g.bring(next)
	for _, s := range g.sockets {
		if s.Transport().Secure() {
			s.SetTLS(next.trust.ServerConfig(s.Name()))
		}
	}
	failing := g.review(before, next)
	g.keepUp()
	g.fit(sight)
	g.telling.Lock()
	g.reloads.renewals++
	g.reloads.renewed = time.Now()
	g.telling.Unlock()
	g.tellReload(ByWatch, before.config.Version, nil)
	g.log.Info("certificate files have changed, and are taken", "files", strings.Join(changed, ", "), "connections_failing", len(failing))
	g.sayChanges(before.trust.Changes(next.trust))
}
