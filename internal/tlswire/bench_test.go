package tlswire

import (
	"crypto/tls"
	"testing"
)

// BenchmarkHandshake is what one mutual handshake costs to read, from the first
// byte to Done, its secrets brought by the ring.
func BenchmarkHandshake(b *testing.B) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		o := ecdsaPKI().configs(version, true).run(b)
		tr, log := o.transcript[Client], o.keyLog()
		b.Run(VersionID(version).String(), func(b *testing.B) {
			b.ReportAllocs()
			var ring KeyRing
			for b.Loop() {
				l := NewLive(&ring, func(Step) {})
				for i, c := range tr.chunks {
					l.Feed(c.from, start, c.data)
					if i == 0 {
						ring.Write([]byte(log))
					}
				}
				l.Done()
				if l.State().Finished != [2]bool{true, true} {
					b.Fatal("not read to the end")
				}
			}
		})
	}
}
