package transport

import (
	"fmt"
	"net/netip"
	"testing"
)

// BenchmarkEcho sends messages over loopback and waits for their echo: one
// operation is one message there and back. calls/msg counts reads and writes of
// both ends.
func BenchmarkEcho(b *testing.B) {
	networks := []struct {
		name string
		Network
	}{{"raw", system{}}, {"plain", plainNetwork{}}}
	for _, s := range streams {
		for _, network := range networks {
			for _, burst := range []int{1, 10} {
				b.Run(fmt.Sprintf("%s/%s/burst=%d", s.name, network.name, burst), func(b *testing.B) {
					echo(b, network.Network, s.tr, newCredentials(s.version), burst)
				})
			}
		}
	}
}

func echo(b *testing.B, network Network, tr Transport, cred credentials, burst int) {
	server := newNode(b, network, func(cfg *Config) {
		cfg.Hooks.Deliver = func(batch []Packet) {
			for _, p := range batch {
				p.Conn.Send(p.Msg.Bytes(), p.Source)
				p.Msg.Release()
			}
			batch[0].Conn.Flush()
		}
	})
	back := make(chan int, 1000)
	client := newNode(b, network, func(cfg *Config) {
		cfg.Hooks.Deliver = func(batch []Packet) {
			for _, p := range batch {
				p.Msg.Release()
			}
			back <- len(batch)
		}
	})
	c := client.dial(tr, server.listen(tr, cred.server), cred.client)
	text := []byte(message(1, ""))
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i += burst {
		for range burst {
			if _, err := c.Send(text, netip.AddrPort{}); err != nil {
				b.Fatal(err)
			}
		}
		c.Flush()
		for left := burst; left > 0; {
			left -= <-back
		}
	}
	calls := uint64(0)
	for _, n := range []*node{server, client} {
		calls += n.Stats().Reads.Load() + n.Stats().Writes.Load()
	}
	b.ReportMetric(float64(calls)/float64(2*b.N), "calls/msg")
}
