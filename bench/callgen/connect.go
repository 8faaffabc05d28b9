//go:build linux

package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/sallyport-sip/sallyport/bench/certs"
)

const connectTime = 10 * time.Second

// dial makes the caller's connection to the element, handshake included.
func dial(local, element netip.AddrPort, config *tls.Config, s side) (*stream, error) {
	d := net.Dialer{Timeout: connectTime, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(local.Addr(), 0))}
	nc, err := d.Dial("tcp", element.String())
	if err != nil {
		return nil, fmt.Errorf("element %v: %w", element, err)
	}
	w := newWire(nc)
	if config == nil {
		return newStream(w, nil, s)
	}
	t := tls.Client(w, config)
	_ = nc.SetDeadline(time.Now().Add(connectTime))
	if err := t.Handshake(); err != nil {
		_ = nc.Close()
		return nil, fmt.Errorf("element %v: handshake: %w", element, err)
	}
	return newStream(w, t, s)
}

// acceptor takes the connections that the element makes to the answerer and passes them to the loop.
type acceptor struct {
	listener net.Listener
	config   *tls.Config
	loop     *loop
	side     side
	running  sync.WaitGroup

	mu      sync.Mutex // guards what follows
	refused []string
	made    []*stream
}

func accept(local netip.AddrPort, config *tls.Config, l *loop, s side) (*acceptor, error) {
	ln, err := net.Listen("tcp", local.String())
	if err != nil {
		return nil, err
	}
	a := &acceptor{listener: ln, config: config, loop: l, side: s}
	a.running.Go(a.run)
	return a, nil
}

func (a *acceptor) run() {
	for {
		nc, err := a.listener.Accept()
		if err != nil {
			return // closed
		}
		a.running.Go(func() { a.serve(nc) })
	}
}

func (a *acceptor) serve(nc net.Conn) {
	w := newWire(nc)
	var t *tls.Conn
	if a.config != nil {
		t = tls.Server(w, a.config)
		_ = nc.SetDeadline(time.Now().Add(connectTime))
		if err := t.Handshake(); err != nil {
			_ = nc.Close()
			a.mu.Lock()
			a.refused = append(a.refused, "handshake of the element with the answerer: "+err.Error())
			a.mu.Unlock()
			return
		}
	}
	k, err := newStream(w, t, a.side)
	if err != nil {
		_ = nc.Close()
		return
	}
	a.mu.Lock()
	a.made = append(a.made, k)
	a.mu.Unlock()
	a.loop.arrived <- k
}

// close ends the listener and the connections it made. The loop must have stopped.
func (a *acceptor) close() {
	_ = a.listener.Close()
	a.running.Wait()
	for _, k := range a.made {
		k.close()
	}
}

// tlsConfigs reads both sides' configurations: mutual TLS 1.3, certificates of one authority. In an empty dir the
// certificates are made first, in a temporary one.
func tlsConfigs(dir, name string) (client, server *tls.Config, err error) {
	if dir == "" {
		if dir, err = os.MkdirTemp("", "callgen"); err != nil {
			return nil, nil, err
		}
		defer os.RemoveAll(dir)
		if err := certs.Write(dir); err != nil {
			return nil, nil, err
		}
	}
	callerCert, pool, err := certs.Load(dir, "caller")
	if err != nil {
		return nil, nil, err
	}
	answererCert, _, err := certs.Load(dir, "answerer")
	if err != nil {
		return nil, nil, err
	}
	client = &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{callerCert}, RootCAs: pool, ServerName: name,
		DynamicRecordSizingDisabled: true,
	}
	server = &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{answererCert}, ClientCAs: pool,
		ClientAuth: tls.RequireAndVerifyClientCert, SessionTicketsDisabled: true, DynamicRecordSizingDisabled: true,
	}
	return client, server, nil
}
