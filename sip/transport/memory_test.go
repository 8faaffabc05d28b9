package transport

import (
	"crypto/tls"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"
)

// inUse is the memory of this process that Go has in use, in bytes.
func inUse() int {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapInuse + m.StackInuse)
}

// 1,000 bad connections at once stay under 100 MiB, whatever they do.
func TestBadConnectionsAreCheap(t *testing.T) {
	const conns, most = 1000, 100 << 20
	cred := newCredentials(tls.VersionTLS13)
	hello := clientHello(t, cred.client)
	tests := []struct {
		name  string
		tr    Transport
		bytes string
	}{
		{"silent tcp", TCP, ""},
		{"half message", TCP, message(1, strings.Repeat("x", 60_000))[:50_000]},
		{"silent tls", TLS, ""},
		{"half a hello", TLS, hello[:100]},
		{"hello and silence", TLS, hello},
		{"huge hello", TLS, "\x16\x03\x01\x40\x00\x01\x00\xff\xff" + strings.Repeat("x", 16_000)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := newNode(t, nil, func(cfg *Config) { cfg.Limits = Limits{Handshakes: 2 * conns, HandshakesPerSource: 2 * conns} })
			to := server.listen(tt.tr, cred.server)
			runtime.GC()
			before, peak := inUse(), 0
			for i := range conns {
				nc := rawDial(t, system{}, to)
				nc.Write([]byte(tt.bytes)) // it may have been cut off already
				if i%100 == 99 {
					time.Sleep(20 * time.Millisecond)
					peak = max(peak, inUse()-before)
				}
			}
			wantServed(t, server, tt.tr, to, cred)
			peak = max(peak, inUse()-before)
			t.Logf("%d KiB for %d connections", peak>>10, conns)
			if peak > most {
				t.Errorf("%d connections take %d MiB, want less than %d", conns, peak>>20, most>>20)
			}
		})
	}
}

// wantServed checks that a good client still gets through.
func wantServed(t *testing.T, server *node, tr Transport, to netip.AddrPort, cred credentials) {
	t.Helper()
	client := newNode(t, nil, nil)
	send(t, client.dial(tr, to, cred.client), message(7, "good"))
	server.wantText(message(7, "good"))
}

// clientHello is what a client says first.
func clientHello(t *testing.T, conf *tls.Config) string {
	near, far := net.Pipe()
	done := make(chan string)
	go func() {
		b := make([]byte, 16<<10)
		n, _ := far.Read(b)
		far.Close()
		done <- string(b[:n])
	}()
	_ = tls.Client(near, conf).HandshakeContext(t.Context())
	return <-done
}

func TestRestingTLSConnectionIsSmall(t *testing.T) {
	const conns, most = 300, 36 << 10
	onEachVersion(t, func(t *testing.T, network Network, cred credentials, _ uint16) {
		if _, ok := network.(system); !ok {
			t.Skip("only sockets give their buffers back while they wait")
		}
		server := newNode(t, network, nil)
		to := server.listen(TLS, cred.server)
		if s := newSocket(rawDial(t, network, server.listen(TCP, nil)), server.Stats()); !s.direct() {
			t.Skip("this platform has no raw path")
		}
		runtime.GC()
		before := inUse()
		clients := make([]*tls.Conn, conns)
		for i := range clients {
			clients[i] = tls.Client(rawDial(t, network, to), cred.client)
			write(t, clients[i], message(i, ""))
			server.wantText(message(i, ""))
		}
		runtime.GC()
		runtime.GC() // pools let go at the second
		each := (inUse() - before) / conns
		t.Logf("%d bytes for both ends of a connection", each)
		// The client's end, which is Go's own, is in there too.
		if each > most {
			t.Errorf("a resting connection takes %d bytes, want at most %d", each, most)
		}
		runtime.KeepAlive(clients)
	})
}
