package gateway

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/trust"
)

// Reload is one attempt to take a new configuration.
type Reload struct {
	At       time.Time
	By       string           // who asked: ByReload, ByWatch
	Version  string           // of the configuration that is in force afterwards
	Problems []config.Problem // why it was refused; none: it was taken
	Notes    []string         // what it says and only a restart brings
	InUse    []string         // when files were refused: what certificates go on instead, and until when
	Changes  []trust.Change   // certificates that are others now
	Failing  []Failing        // connections that the configuration in force refuses
}

// Who asks for what is in a Reload.
const (
	ByReload = "reload" // a person or a program
	ByWatch  = "watch"  // files have changed
)

// Loaded is what is known of the configuration in force.
type Loaded struct {
	File    string
	Version string    // config.Config.Version
	At      time.Time // when it came into force
	Notes   []string  // what only a restart brings
	Reloads int       // how often another one was taken since the start
	Refused *Reload   // the last one that was not, nil when the last one was taken

	RefusedTotal uint64 // how many were not

	Watched         bool      // changes of certificate files are taken by themselves
	Renewals        int       // how often
	Renewed         time.Time // the last time; zero: never
	RenewalsRefused uint64    // how often changed files were no good
}

// reloads is what became of each configuration. Guarded by Gateway.telling.
type reloads struct {
	loaded  time.Time
	notes   []string
	taken   int
	refused *Reload

	refusals uint64

	renewals        int
	renewed         time.Time
	unfit           *Reload // changed files that are no good; nil: those that run are good
	renewalsRefused uint64
}

// Loaded returns what is known of the configuration in force.
func (g *Gateway) Loaded() Loaded {
	g.telling.Lock()
	defer g.telling.Unlock()
	cfg := g.snapshot.Load().config
	h := &g.reloads
	refused := h.refused
	if h.unfit != nil && (refused == nil || h.unfit.At.After(refused.At)) {
		refused = h.unfit
	}
	return Loaded{File: cfg.File, Version: cfg.Version, At: h.loaded, Notes: h.notes, Reloads: h.taken, Refused: refused, RefusedTotal: h.refusals,
		Watched: cfg.Watch && g.options.Watch != nil, Renewals: h.renewals, Renewed: h.renewed, RenewalsRefused: h.renewalsRefused}
}

// Reload reads the file again, and all files that it names, and takes what it
// says. With problems everything stays as it is. Calls and connections live on
// in any case. Several at once are made one after the other.
func (g *Gateway) Reload() Reload { return g.ReloadWith(ReloadOptions{}) }

// ReloadOptions are what a reload does besides.
type ReloadOptions struct {
	// Evict closes the connections that the configuration in force refuses, those
	// too that an earlier one has left, and ends the calls on them. A reload that is
	// refused closes none.
	Evict bool
	// By says who asked, for the audit; empty: a signal.
	By string
}

// ReloadWith is Reload with options.
func (g *Gateway) ReloadWith(o ReloadOptions) Reload {
	r := g.reloadWith(o)
	evicted := 0
	for i := range r.Failing {
		if f := &r.Failing[i]; f.Evicted {
			evicted++
			g.Audit("evict", "by", cmp.Or(o.By, bySignal), "connection", f.Conn.ID(), "peer", f.Conn.Identity().Peer, "calls", len(f.Calls), "cause", f.Why)
		}
	}
	g.Audit("reload", "by", cmp.Or(o.By, bySignal), "taken", len(r.Problems) == 0, "version", r.Version, "problems", len(r.Problems), "evicted", evicted)
	return r
}

// bySignal is who asks for a reload when nobody says who.
const bySignal = "signal"

func (g *Gateway) reloadWith(o ReloadOptions) Reload {
	file := g.snapshot.Load().config.File
	if info, err := os.Stat(file); err == nil && !info.Mode().IsRegular() {
		return g.note(nil, []config.Problem{{File: file, What: "it is no ordinary file any more", Why: "reading it could wait for ever",
			Remedy: "put an ordinary file there, or restart the gateway"}})
	}
	g.reloading.Lock()
	defer g.reloading.Unlock()
	cfg, problems := config.Load(file)
	if len(problems) > 0 {
		if problems[0].Line > 0 { // the shape is wrong; say at once what else is
			_, more := build(cfg, g.options.TLS, nil)
			problems = append(problems, more...)
		}
		return g.note(nil, problems)
	}
	r := g.apply(cfg)
	if o.Evict && len(r.Problems) == 0 {
		g.evict(r.Failing)
	}
	return r
}

// Apply takes a configuration without problems of its own, as Reload does.
func (g *Gateway) Apply(cfg *config.Config) Reload {
	g.reloading.Lock()
	defer g.reloading.Unlock()
	return g.apply(cfg)
}

// apply makes the change. The caller holds reloading.
func (g *Gateway) apply(cfg *config.Config) Reload {
	before := g.snapshot.Load()
	if g.closing.Load() {
		return g.note(nil, []config.Problem{{File: cfg.File, What: "the gateway stops", Why: "no configuration is taken any more", Remedy: "start it again"}})
	}
	sight := g.look(cfg)
	cfg.KeepIn(g.first.Data)
	next, problems := build(cfg, g.options.TLS, before)
	if len(problems) > 0 {
		return g.note(nil, problems)
	}
	follow, problems := g.follow(cfg, next.admin)
	if len(problems) > 0 {
		return g.note(nil, problems)
	}
	sockets := g.plan(next)
	if l, err := sockets.open(); err != nil {
		follow(false)
		return g.note(nil, []config.Problem{cfg.Problem(l.At("listen"), fmt.Sprintf("listener %q cannot be opened", l.Name), err.Error(), "choose another address, or free this one")})
	}
	next.places = sockets.places()
	next.resolver = g.resolverOf(cfg, before)
	g.bring(next)
	sockets.commit()
	g.lenient(before, next)
	g.followACME(cfg)
	g.followHEP(cfg)
	g.followKeys(cfg, time.Now())
	follow(true)
	failing := g.review(before, next)
	g.keepUp()
	g.fit(sight)
	g.follows(cfg)
	r := g.note(restartOnly(g.first, cfg), nil)
	r.Changes, r.Failing = before.trust.Changes(next.trust), failing
	g.sayChanges(r.Changes)
	return r
}

// bring brings a snapshot into force.
func (g *Gateway) bring(next *snapshot) {
	g.staples.carry(next)
	g.snapshot.Store(next)
	g.limitHistory(next.config)
	g.tellAnew(next)
	g.staples.nudge()
	select {
	case g.renewed <- struct{}{}:
	default:
	}
}

// restartOnly says what differs from the configuration that the gateway started
// with, and stays as it was there until it starts again.
func restartOnly(running, cfg *config.Config) []string {
	var notes []string
	for _, k := range []struct {
		key      string
		was, now string
	}{
		{"data", running.Data, cfg.Data},
		{"cdr", onOff(running.CDR), onOff(cfg.CDR)},
		{"cdr_keep", running.CDRKeep.String(), cfg.CDRKeep.String()},
		{"handshakes_keep", running.HandshakesKeep.String(), cfg.HandshakesKeep.String()},
		{"limits: waiting", strconv.Itoa(int(running.Limits.Waiting)), strconv.Itoa(int(cfg.Limits.Waiting))},
		{"limits: transactions", strconv.Itoa(int(running.Limits.Transactions)), strconv.Itoa(int(cfg.Limits.Transactions))},
	} {
		if k.was != k.now {
			notes = append(notes, fmt.Sprintf("%s is still %s: that changes only with a restart", k.key, k.was))
		}
	}
	return notes
}

// onOff is the part of cdr that a reload cannot change.
func onOff(m config.CDRMode) string {
	if m == config.CDROff {
		return "off"
	}
	return "on"
}

// note keeps and says what became of an attempt.
func (g *Gateway) note(notes []string, problems []config.Problem) Reload {
	cfg := g.snapshot.Load().config
	r := Reload{At: time.Now(), By: ByReload, Version: cfg.Version, Problems: problems, Notes: notes}
	config.SortProblems(problems)
	r.InUse = g.alarmFiles(g.snapshot.Load(), problems)
	g.keep(r)
	g.tellReload(r.By, r.Version, problems)
	if len(problems) > 0 {
		for _, p := range problems {
			g.log.Error("configuration refused", "problem", p.String())
		}
		g.log.Error("the configuration stays as it was", "problems", len(problems))
		for _, text := range r.InUse {
			g.log.Error("nothing is changed", "in_use", text)
		}
		return r
	}
	for _, n := range notes {
		g.log.Warn("needs a restart", "setting", n)
	}
	g.log.Info("configuration taken", "configuration", cfg.File, "version", short(cfg.Version))
	return r
}

func (g *Gateway) keep(r Reload) {
	g.telling.Lock()
	defer g.telling.Unlock()
	h := &g.reloads
	if len(r.Problems) > 0 {
		h.refused = &r
		h.refusals++
		return
	}
	h.loaded, h.notes, h.refused = r.At, r.Notes, nil
	h.taken++
}

// short is as much of a version as one can compare by eye.
func short(version string) string { return version[:min(12, len(version))] }

// Follow has f asked about each new configuration before it comes into force: a
// problem refuses the reload. done says whether it did come into force.
func (g *Gateway) Follow(f Follower) {
	g.reloading.Lock()
	defer g.reloading.Unlock()
	g.followers = append(g.followers, f)
}

// A Follower changes with the configuration, as the API does.
type Follower func(cfg *config.Config, a Admin) (done func(inForce bool), problems []config.Problem)

func (g *Gateway) follow(cfg *config.Config, a Admin) (done func(bool), problems []config.Problem) {
	var asked []func(bool)
	done = func(inForce bool) {
		for _, f := range slices.Backward(asked) {
			f(inForce)
		}
	}
	for _, f := range g.followers {
		one, problems := f(cfg, a)
		if len(problems) > 0 {
			done(false)
			return nil, problems
		}
		asked = append(asked, one)
	}
	return done, nil
}
