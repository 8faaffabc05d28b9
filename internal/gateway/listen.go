package gateway

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/peer"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// A socket is an open listener and what it was opened for. A configuration that
// wants the same of the same name leaves it alone.
type socket struct {
	*transport.Listener
	want config.Address
}

// A change takes the open sockets from one configuration to the next. It is
// made in steps, so that nothing is lost when one fails: new sockets are opened;
// when all are open, the old ones let go.
type change struct {
	g      *Gateway
	next   *snapshot
	kept   []socket
	opened []socket
	gone   []socket // not listened on any more
	aside  []socket // of gone: closed already, because a new one needs their address
}

// plan compares what is open with what a configuration wants.
func (g *Gateway) plan(next *snapshot) *change {
	c := &change{g: g, next: next}
	for _, s := range g.sockets {
		if l := next.listener(s.Name()); l != nil && l.Listen == s.want {
			c.kept = append(c.kept, s)
		} else {
			c.gone = append(c.gone, s)
		}
	}
	return c
}

// open opens what is new. When one cannot be opened everything is as before, and
// that listener is returned with the error.
func (c *change) open() (*config.Listener, error) {
	cfg := c.next.config
	for i := range cfg.Listeners {
		l := &cfg.Listeners[i]
		if slices.ContainsFunc(c.kept, func(s socket) bool { return s.Name() == l.Name }) {
			continue
		}
		err := c.makeRoom(l)
		var s socket
		if err == nil {
			s, err = c.g.listen(l, c.next)
		}
		if err != nil {
			c.undo()
			return l, err
		}
		c.opened = append(c.opened, s)
	}
	return nil, nil
}

// makeRoom lets go of the address of a stream listener that goes anyway: two
// sockets cannot have it at once. On UDP the calls still need the old one.
func (c *change) makeRoom(l *config.Listener) error {
	for _, s := range c.gone {
		if slices.Contains(c.aside, s) || !s.want.Collides(l.Listen) {
			continue
		}
		if s.Transport() == transport.UDP {
			return fmt.Errorf("listener %q has that address until its last call is over: use another one, or restart the gateway", s.Name())
		}
		s.Retire()
		c.aside = append(c.aside, s)
	}
	for _, old := range c.g.leaving {
		if old.want.Collides(l.Listen) {
			return fmt.Errorf("a listener that is gone, %q, has that address until its last call is over: wait, or restart the gateway", old.Name())
		}
	}
	return nil
}

// undo closes what open has opened, and opens again what stood aside.
func (c *change) undo() {
	for _, s := range c.opened {
		s.Close()
	}
	now := c.g.snapshot.Load()
	for _, s := range c.aside {
		i := slices.Index(c.g.sockets, s)
		again, err := c.g.listen(now.listener(s.Name()), now)
		if err != nil {
			c.g.sockets = slices.Delete(c.g.sockets, i, i+1)
			c.g.alarms.raise("listener "+s.Name(), fmt.Sprintf("listener %s is closed: it could not be opened again after a reload that failed: %v", s.Name(), err),
				"free its address, and reload")
			continue
		}
		c.g.sockets[i] = again
	}
}

// places are what listeners advertise once the change is made. Those that are
// gone keep theirs, for the connections that still live.
func (c *change) places() map[string]peer.Place {
	places := make(map[string]peer.Place)
	if before := c.g.snapshot.Load(); before != nil {
		maps.Copy(places, before.places)
	}
	for _, s := range slices.Concat(c.kept, c.opened) {
		places[s.Name()] = placeOf(c.next.listener(s.Name()), s.Addr())
	}
	return places
}

// commit makes the change: the next snapshot is the one in force. What is gone
// accepts nothing more; its connections live on, on UDP the whole socket.
func (c *change) commit() {
	for _, s := range c.kept {
		if s.Transport().Secure() {
			s.SetTLS(c.next.trust.ServerConfig(s.Name()))
		}
		s.SetWebSocket(webSocketOf(c.next.listener(s.Name())))
		s.SetLimits(limitsOf(&c.next.listener(s.Name()).Limits, c.g.options.Limits))
	}
	c.g.server.Endpoint().SetLimits(limitsInAll(&c.next.config.Limits, c.g.options.Limits))
	c.g.sockets = slices.Concat(c.kept, c.opened)
	c.unprotected()
	for _, n := range c.next.trust.Notes(c.next.config) {
		c.g.log.Warn(n.What, "cause", n.Why, "remedy", n.Remedy)
	}
	for _, s := range c.opened {
		c.g.alarms.clear("listener " + s.Name())
	}
	for _, s := range c.gone {
		c.g.log.Info("listener closed", "listener", s.Name(), "transport", s.Transport(), "address", s.Addr())
		if slices.Contains(c.aside, s) {
			continue
		}
		s.Retire()
		if s.Transport() == transport.UDP {
			c.g.leave(s)
		}
	}
}

// unprotected raises an alarm for each listener that takes WebSocket without TLS
// from other hosts.
func (c *change) unprotected() {
	for _, s := range slices.Concat(c.kept, c.opened, c.gone) {
		alarm := "websocket " + s.Name()
		if l := c.next.listener(s.Name()); l != nil && l.NeedsProxy() {
			c.g.alarms.raise(alarm, fmt.Sprintf("listener %s takes WebSocket without TLS from other hosts: whoever is on the way reads and changes calls", s.Name()),
				"listen on wss, or on a loopback address behind a proxy that ends TLS; where a proxy elsewhere does, set behind_proxy: true")
		} else {
			c.g.alarms.clear(alarm)
		}
	}
}

func webSocketOf(l *config.Listener) transport.WebSocket {
	return transport.WebSocket{Path: l.Path, Origins: l.Origins}
}

// listen opens one listener.
func (g *Gateway) listen(l *config.Listener, snap *snapshot) (socket, error) {
	t, _ := transport.ParseTransport(string(l.Listen.Transport))
	open, err := g.server.Listen(transport.ListenConfig{
		Name: l.Name, Transport: t, Addr: l.Listen.AddrPort, TLS: snap.trust.ServerConfig(l.Name), WebSocket: webSocketOf(l),
		Limits: limitsOf(&l.Limits, g.options.Limits),
	})
	if err != nil {
		return socket{}, err
	}
	g.log.Info("listening", "listener", l.Name, "transport", t, "address", open.Addr())
	return socket{open, l.Listen}, nil
}

func (snap *snapshot) listener(name string) *config.Listener {
	for i := range snap.config.Listeners {
		if l := &snap.config.Listeners[i]; l.Name == name {
			return l
		}
	}
	return nil
}

// placeOf is what a listener advertises, with the real port where the file
// leaves it to the system.
func placeOf(l *config.Listener, addr netip.AddrPort) peer.Place {
	at := l.Advertised()
	if at.Port == 0 {
		at.Port = addr.Port()
	}
	host := at.Host
	if a, err := netip.ParseAddr(host); err == nil && a.Is6() {
		host = "[" + host + "]"
	}
	return peer.Place{Host: host, HostPort: net.JoinHostPort(at.Host, strconv.Itoa(int(at.Port)))}
}
