package callflow

import "testing"

// BenchmarkBuild makes the flow of one whole call, findings included: what a reader pays for each call that it looks at.
func BenchmarkBuild(b *testing.B) {
	events := parsePlay(&testing.T{}, "a=tls b=tls\n0 tls A\n0 tls B\n0 setup\n60000 hangup A\n")
	b.ReportAllocs()
	for b.Loop() {
		Builder{}.Build(events)
	}
}
