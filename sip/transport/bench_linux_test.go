package transport

import (
	"net/netip"
	"syscall"
	"testing"
	"time"
)

// BenchmarkPaced is the echo at about 1,000 messages a second, where the process
// is at rest between two: cpu-µs/msg is what one message there and back costs
// both ends, waking up included.
func BenchmarkPaced(b *testing.B) {
	for _, network := range []struct {
		name string
		Network
	}{{"raw", system{}}, {"plain", plainNetwork{}}} {
		b.Run(network.name, func(b *testing.B) { paced(b, network.Network) })
	}
}

func paced(b *testing.B, network Network) {
	cred := newCredentials(streams[len(streams)-1].version)
	server := newNode(b, network, func(cfg *Config) {
		cfg.Hooks.Deliver = func(batch []Packet) {
			for _, p := range batch {
				p.Conn.Send(p.Msg.Bytes(), p.Source)
				p.Msg.Release()
			}
			batch[0].Conn.Flush()
		}
	})
	client := newNode(b, network, nil)
	c := client.dial(TLS, server.listen(TLS, cred.server), cred.client)
	text := []byte(message(1, ""))
	var before, after syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &before); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := c.Send(text, netip.AddrPort{}); err != nil {
			b.Fatal(err)
		}
		c.Flush()
		<-client.packets
		<-client.batches
		time.Sleep(time.Millisecond)
	}
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &after); err != nil {
		b.Fatal(err)
	}
	spent := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
	b.ReportMetric(float64(spent)/1000/float64(b.N), "cpu-µs/msg")
}
