package gateway

import (
	"context"
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
// and the error names it.
func (g *Gateway) Start() error {
	cfg := g.snapshot.Load().config
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	if err := g.server.Start(); err != nil {
		return err
	}
	g.engine = b2bua.New(g, g.log, g.server.NumShards())
	g.places = make(map[string]b2bua.Place)
	for i := range cfg.Listeners {
		if err := g.listen(&cfg.Listeners[i]); err != nil {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			g.server.Close(ctx)
			return err
		}
	}
	return nil
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
	g.log.Info("listening", "listener", l.Name, "address", l.Listen.Transport, "port", open.Addr())
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

// Close ends every call, then every connection, and waits for all goroutines.
// ctx bounds how long that may take.
func (g *Gateway) Close(ctx context.Context) error {
	for i := range g.server.NumShards() {
		g.server.Do(i, func(s *ua.Shard) { g.engine.Shutdown(s) })
	}
	patience, cancel := context.WithTimeout(ctx, farewell)
	defer cancel()
	for tick := time.NewTicker(10 * time.Millisecond); g.engine.Live() > 0 && patience.Err() == nil; {
		select {
		case <-tick.C:
		case <-patience.Done():
			tick.Stop()
		}
	}
	return g.server.Close(ctx)
}
