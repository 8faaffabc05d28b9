package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"time"

	"github.com/sallyport-sip/sallyport/internal/b2bua"
	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// Start opens every listener. When one cannot be opened, all are closed again
// and the error names it. Messages that come before the last one is open wait.
func (g *Gateway) Start() error {
	cfg := g.snapshot.Load().config
	if err := writable(cfg.Data); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	if err := g.server.Start(); err != nil {
		return err
	}
	g.engine = b2bua.New(g, g.log, g.server.NumShards())
	err := g.listenAll(cfg)
	close(g.opening)
	if err != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		g.server.Close(ctx)
	}
	return err
}

func (g *Gateway) listenAll(cfg *config.Config) error {
	g.places = make(map[string]b2bua.Place)
	for i := range cfg.Listeners {
		if err := g.listen(&cfg.Listeners[i]); err != nil {
			return err
		}
	}
	return nil
}

// writable makes a directory, and a file in it, which it removes again.
func writable(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".writable-*")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

func (g *Gateway) listen(l *config.Listener) error {
	t, _ := transport.ParseTransport(string(l.Listen.Transport))
	open, err := g.server.Listen(transport.ListenConfig{
		Name: l.Name, Transport: t, Addr: l.Listen.AddrPort,
		TLS: g.snapshot.Load().trust.ServerConfig(l.Name),
	})
	if err != nil {
		return fmt.Errorf("listener %s: %w", l.Name, err)
	}
	g.places[l.Name] = placeOf(l, open.Addr())
	g.log.Info("listening", "listener", l.Name, "transport", t, "address", open.Addr())
	return nil
}

// placeOf is what a listener advertises, with the real port where the file
// leaves it to the system.
func placeOf(l *config.Listener, addr netip.AddrPort) b2bua.Place {
	at := l.Advertised()
	if at.Port == 0 {
		at.Port = addr.Port()
	}
	host := at.Host
	if a, err := netip.ParseAddr(host); err == nil && a.Is6() {
		host = "[" + host + "]"
	}
	return b2bua.Place{Host: host, HostPort: net.JoinHostPort(at.Host, strconv.Itoa(int(at.Port)))}
}

// farewell is how long calls have to answer their BYE when the gateway stops.
const farewell = 2 * time.Second

// Close refuses new calls, ends every call, then every connection, and waits for
// all goroutines. ctx bounds how long that may take.
func (g *Gateway) Close(ctx context.Context) error {
	g.closing.Store(true)
	for i := range g.server.NumShards() {
		g.server.Do(i, func(s *ua.Shard) { g.engine.Shutdown(s) })
	}
	patience, cancel := context.WithTimeout(ctx, farewell)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for g.engine.Live() > 0 && patience.Err() == nil {
		select {
		case <-tick.C:
		case <-patience.Done():
		}
	}
	return g.server.Close(ctx)
}
