package gateway

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"reflect"
	"slices"
	"time"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/hep"
	"github.com/sallyport-sip/sallyport/internal/trust"
)

// What the recorder keeps goes to the collectors of the configuration, by a goroutine that follows its ring: no call waits for it. It
// runs while there is a collector. hep_mirror.go says what is sent.

// collectors are those that are in force. Guarded by Gateway.reloading, but for senders that the mirror was made with.
type collectors struct {
	all    []collector
	mirror *mirror            // nil: none runs
	stop   context.CancelFunc // ends it
	done   chan struct{}      // closed when it has ended
}

type collector struct {
	config config.Collector
	sender *hep.Sender
}

// Collector is how one collector is served.
type Collector struct {
	Name string
	hep.Counts
}

// Collectors returns how each collector is served, in the order of the file.
func (g *Gateway) Collectors() []Collector {
	g.telling.Lock()
	defer g.telling.Unlock()
	all := make([]Collector, 0, len(g.mirrored))
	for _, c := range g.mirrored {
		all = append(all, Collector{c.config.Name, c.sender.Counts()})
	}
	return all
}

// checkHEP reads the passwords for collectors.
func checkHEP(cfg *config.Config) (problems []config.Problem) {
	for i := range cfg.HEP {
		c := &cfg.HEP[i]
		if c.PasswordFile == "" {
			continue
		}
		if _, err := trust.ReadPassword(c.PasswordFile); err != nil {
			problems = append(problems, cfg.Problem(c.At("password_file"), fmt.Sprintf("hep collector %q: password_file: %v", c.Name, err), "", ""))
		}
	}
	return problems
}

// followHEP starts and ends senders as the configuration has them. One whose section is the same goes on. The caller holds reloading.
func (g *Gateway) followHEP(cfg *config.Config) {
	old := g.collectors
	next := collectors{}
	for _, c := range cfg.HEP {
		c.Place = config.Place{}
		i := slices.IndexFunc(old.all, func(o collector) bool { return reflect.DeepEqual(o.config, c) && c.PasswordFile == "" })
		if i >= 0 {
			next.all = append(next.all, old.all[i])
			old.all = slices.Delete(slices.Clone(old.all), i, i+1)
			continue
		}
		next.all = append(next.all, collector{c, hep.New(g.senderOf(c))})
	}
	m := old.end()
	for _, c := range old.all { // those that are left are in force no more
		c.sender.Close()
		if !slices.ContainsFunc(cfg.HEP, func(n config.Collector) bool { return n.Name == c.config.Name }) {
			g.alarms.clear("hep " + c.config.Name)
		}
	}
	g.telling.Lock()
	g.mirrored = next.all
	g.telling.Unlock()
	if len(next.all) > 0 {
		if m == nil {
			m = newMirror(g.recorder)
		}
		next.begin(m)
	}
	g.collectors = next
}

// begin starts the mirror.
func (c *collectors) begin(m *mirror) {
	m.to = c.all
	ctx, stop := context.WithCancel(context.Background())
	c.mirror, c.stop, c.done = m, stop, make(chan struct{})
	go func() {
		defer close(c.done)
		m.run(ctx)
	}()
}

// end stops the mirror and returns it, with what it knows of calls; nil when none ran.
func (c *collectors) end() *mirror {
	if c.mirror == nil {
		return nil
	}
	c.stop()
	<-c.done
	return c.mirror
}

// closeHEP ends all of it, when the last event is written.
func (g *Gateway) closeHEP() {
	g.reloading.Lock()
	defer g.reloading.Unlock()
	g.followHEP(&config.Config{})
}

// senderOf says how a collector is reached.
func (g *Gateway) senderOf(c config.Collector) hep.Config {
	var password []byte
	if c.PasswordFile != "" {
		password, _ = trust.ReadPassword(c.PasswordFile) // it was read a moment ago, and the collector will say if it is missing now
	}
	alarm := "hep " + c.Name
	return hep.Config{
		Dial:      func(ctx context.Context) (net.Conn, error) { return g.dialCollector(ctx, c) },
		Datagrams: c.Transport == config.CollectorTransport(config.UDP),
		CaptureID: uint32(c.CaptureID), Node: c.Node, Password: string(password),
		Changed: func(err error) {
			if err == nil {
				g.alarms.clear(alarm)
				return
			}
			g.alarms.raiseAs(Warning, alarm, fmt.Sprintf("HEP collector %s at %s cannot be reached: %v; what waits for it is dropped when the queue is full", c.Name, c.Address, err),
				"see whether it runs and listens there over "+string(c.Transport)+"; it is tried again at least once a minute")
		},
	}
}

func (g *Gateway) dialCollector(ctx context.Context, c config.Collector) (net.Conn, error) {
	dial := g.options.DialCollector
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	network := "tcp"
	if c.Transport == config.CollectorTransport(config.UDP) {
		network = "udp"
	}
	nc, err := dial(ctx, network, c.Address.String())
	if err != nil || c.Transport != config.CollectorTransport(config.TLS) {
		return nc, err
	}
	pool, err := g.snapshot.Load().trust.Pool(c.Trust)
	if err != nil {
		nc.Close()
		return nil, err
	}
	t := tls.Client(nc, &tls.Config{ServerName: c.Address.Host, RootCAs: pool, MinVersion: tls.VersionTLS12})
	if err := t.HandshakeContext(ctx); err != nil {
		nc.Close()
		return nil, err
	}
	return t, nil
}

// mirrorEvery is how often the mirror looks for what it holds back.
const mirrorEvery = time.Second

// run sends what comes until ctx ends, and what is there then.
func (m *mirror) run(ctx context.Context) {
	news, stop := m.recorder.Subscribe()
	defer stop()
	tick := time.NewTicker(mirrorEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		m.catchUp()
		select {
		case <-news:
		case <-tick.C:
			m.release(time.Now())
		case <-ctx.Done():
		}
	}
	m.catchUp()
}

func (m *mirror) catchUp() {
	for events := m.cursor.Next(); events != nil; events = m.cursor.Next() {
		for i := range events {
			m.event(&events[i])
		}
	}
}
