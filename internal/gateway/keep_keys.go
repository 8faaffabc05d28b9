package gateway

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/callflow/export"
	"github.com/sallyport-sip/sallyport/internal/config"
)

// keptKeys are the peers whose secrets are kept (peers.NAME.keep_keys). The recorder keeps them; here is until when, the alarm and
// the audit. Safe for any goroutine.
type keptKeys struct {
	mu    sync.Mutex
	peers map[string]keeping // guarded by mu
	wake  chan struct{}      // the next end is another one
}

// keeping is one peer's. One whose time is over stays for as long as the file says the same, or a reload would begin it anew.
type keeping struct {
	setting config.KeepKeys
	ends    time.Time
	over    bool
}

// followKeys takes what a configuration says. A peer whose setting is the same keeps the time at which it began.
func (g *Gateway) followKeys(cfg *config.Config, now time.Time) {
	k := &g.keys
	k.mu.Lock()
	next := make(map[string]keeping)
	var began, ended []string
	for i := range cfg.Peers {
		p := &cfg.Peers[i]
		if !p.KeepKeys.On() {
			continue
		}
		one, same := k.peers[p.Name]
		if !same || one.setting != p.KeepKeys {
			if same && !one.over {
				ended = append(ended, p.Name)
			}
			one = keeping{setting: p.KeepKeys, ends: p.KeepKeys.Ends(now)}
			if one.over = !now.Before(one.ends); !one.over {
				began = append(began, p.Name)
			}
		}
		next[p.Name] = one
	}
	for name, one := range k.peers {
		if _, still := next[name]; !still && !one.over {
			ended = append(ended, name)
		}
	}
	k.peers = next
	k.mu.Unlock()
	g.sayKeys(began, ended, "the configuration has another keep_keys now")
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// expireKeys ends what is over, and returns when the next one is; zero: never.
func (g *Gateway) expireKeys(now time.Time) (next time.Time) {
	k := &g.keys
	k.mu.Lock()
	var ended []string
	for name, one := range k.peers {
		switch {
		case one.over:
		case !now.Before(one.ends):
			one.over = true
			k.peers[name] = one
			ended = append(ended, name)
		case next.IsZero() || one.ends.Before(next):
			next = one.ends
		}
	}
	k.mu.Unlock()
	if len(ended) > 0 {
		g.sayKeys(nil, ended, "its time is over")
	}
	return next
}

// sayKeys brings what has changed to the recorder, the audit and the alarms.
func (g *Gateway) sayKeys(began, ended []string, why string) {
	k := &g.keys
	k.mu.Lock()
	live := make(map[string]time.Time)
	for name, one := range k.peers {
		if !one.over {
			live[name] = one.ends
		}
	}
	k.mu.Unlock()
	g.recorder.Retain(live)
	slices.Sort(ended)
	for _, name := range ended {
		g.Audit("keep_keys end", "peer", name, "cause", why)
		g.alarms.clear("keys " + name)
	}
	for _, name := range began {
		ends := live[name].UTC().Format(time.RFC3339)
		g.Audit("keep_keys begin", "peer", name, "until", ends)
		g.alarms.raiseAs(Warning, "keys "+name, "the TLS secrets of peer "+name+" are kept in memory until "+ends+", so its calls can be decrypted by whoever exports them",
			"remove keep_keys of the peer and reload, as soon as what is looked for is found")
	}
}

// watchKeys ends retention in time, until the gateway stops; then all of it.
func (g *Gateway) watchKeys() {
	for {
		timer := time.NewTimer(config.MostKeepKeys)
		if next := g.expireKeys(time.Now()); !next.IsZero() {
			timer.Reset(time.Until(next))
		}
		select {
		case <-timer.C:
		case <-g.keys.wake:
			timer.Stop()
		case <-g.stopping.Done():
			timer.Stop()
			g.followKeys(&config.Config{}, time.Now())
			return
		}
	}
}

// KeptKeys returns for which peers secrets are kept now, and until when.
func (g *Gateway) KeptKeys() map[string]time.Time {
	g.keys.mu.Lock()
	defer g.keys.mu.Unlock()
	all := make(map[string]time.Time)
	for name, one := range g.keys.peers {
		if !one.over {
			all[name] = one.ends
		}
	}
	return all
}

// NoSecretsError says why a flow cannot be exported with secrets.
type NoSecretsError struct{ Why, Remedy string }

func (e *NoSecretsError) Error() string { return "export with secrets: " + e.Why + ": " + e.Remedy }

// Secrets returns what was on the wire of a flow's connections, for an export with secrets, which the audit notes; by is who asked. The
// error is a *NoSecretsError.
func (g *Gateway) Secrets(f *callflow.Flow, by string) (func(*callflow.Link) *export.Kept, error) {
	now := time.Now()
	var with, without []string
	for _, l := range f.Legs {
		link := l.Hop.Link
		switch {
		case link == nil || link.TLS == nil && link.Transport != "tls" && link.Transport != "wss":
		case g.recorder.Kept(link, now) != nil:
			with = append(with, fmt.Sprintf("#%d", link.ID))
		default:
			without = append(without, link.Peer)
		}
	}
	if len(with) > 0 {
		g.Audit("export with secrets", "by", by, "flow", f.ID, "connections", strings.Join(with, " "))
		return func(l *callflow.Link) *export.Kept { return g.recorder.Kept(l, now) }, nil
	}
	if len(without) == 0 {
		return nil, &NoSecretsError{"flow " + f.ID + " has no TLS connection", "export it without secrets: nothing in it was encrypted"}
	}
	slices.Sort(without)
	peers := strings.Join(slices.Compact(without), ", ")
	kept := g.KeptKeys()
	if slices.ContainsFunc(without, func(p string) bool { return !kept[p].IsZero() }) {
		return nil, &NoSecretsError{"nothing is kept of the connections of flow " + f.ID + ": they began before keep_keys of " + peers + " was on, or have gone since",
			"close them (sallyport reload --evict, or at the peer), call again, and export that call"}
	}
	return nil, &NoSecretsError{"no secrets are kept for " + peers,
		"set keep_keys of the peer to a duration such as 1h, reload, have it connect anew, call again, and export that call; without secrets the export has its SIP in clear already"}
}
