package config

import "github.com/sallyport-sip/sallyport/sip/transport"

// TotalLimits bound what the gateway holds for all who send to it, whatever the
// listener. What they add up to is in docs/reference/limits.md.
type TotalLimits struct {
	Place

	// How many connections made to us may be open on all listeners together. The
	// next one is closed at once. Default: 20000.
	Connections Count `yaml:"connections" form:"number"`

	// How many TLS handshakes with those who connect may be under way. The next
	// connection waits for a second and is then closed. Default: 1000.
	Handshakes Count `yaml:"handshakes" form:"number"`

	// How many bytes of messages that are not complete may be held for all
	// together who are no peers. The connection that passes it ends. Default:
	// 33554432.
	Unfinished Count `yaml:"unfinished" form:"bytes"`

	// How many bytes may wait for all together who do not read. The connection that
	// passes it ends. Default: 33554432.
	Pending Count `yaml:"pending" form:"bytes"`

	// How many bytes of messages may wait for their turn. What is more gets 503,
	// or is dropped, or waits in the kernel. Changes only with a restart. Default:
	// 67108864.
	Waiting Count `yaml:"waiting" form:"bytes"`

	// How many transactions there may be: of each request a peer sends and of each
	// that it causes, for 32 seconds on UDP. When there are as many, a request that
	// begins something new gets 503. Changes only with a restart. Default: 250000.
	Transactions Count `yaml:"transactions" form:"number"`
}

// What is not the transport's.
const (
	defaultWaiting      = 64 << 20
	defaultTransactions = 250_000
)

func (l *TotalLimits) counts() []numberKey {
	d := transport.DefaultLimits()
	return []numberKey{
		{"connections", &l.Connections, d.Conns, 1, anyCount, false, false},
		{"handshakes", &l.Handshakes, d.Handshakes, 1, anyCount, false, false},
		{"unfinished", &l.Unfinished, d.Unfinished, 1 << 20, anyCount, false, false},
		{"pending", &l.Pending, d.Backlog, 1 << 20, anyCount, false, false},
		{"waiting", &l.Waiting, defaultWaiting, 1 << 20, anyCount, false, false},
		{"transactions", &l.Transactions, defaultTransactions, 1000, anyCount, false, false},
	}
}

func (l *TotalLimits) complete() {
	for _, k := range l.counts() {
		if *k.value == 0 {
			*k.value = Count(k.normal)
		}
	}
}

func checkTotalLimits(c *Config, r *report) {
	for _, k := range c.Limits.counts() {
		checkRange(r, "limits", c.Limits.Place, k)
	}
}
