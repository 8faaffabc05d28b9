package config

import (
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/sip/transport"
)

// Every limit has a default, and it is the transport's where that has one.
func TestLimitsLeftOutAreTheDefaults(t *testing.T) {
	c, problems := Parse("s.yaml", []byte(`
listeners:
  a: {listen: "tcp:127.0.0.1:5060"}
  b: {listen: "tcp:127.0.0.1:5062", limits: {headers: 20, idle: 0, idle_unknown: 7s}}
limits: {connections: 7}
`))
	mustBeGood(t, problems)
	d := transport.DefaultLimits()
	a, b := c.Listeners[0].Limits, c.Listeners[1].Limits
	for _, k := range a.counts() {
		if int(*k.value) != k.normal || k.normal < k.least || k.normal > k.most {
			t.Errorf("%s: %d, default %d from %d to %d", k.key, *k.value, k.normal, k.least, k.most)
		}
	}
	if int(a.MessageSize) != d.Message.Message || a.IdleUnknown.Duration != d.IdleUnknown || a.Idle.Duration != 0 || a.MessagesPerSource != 20 {
		t.Errorf("limits of a listener that says nothing: %+v", a)
	}
	if b.Headers != 20 || b.Vias != 70 || b.IdleUnknown.Duration != 7*time.Second || b.Stall.Duration != d.Stall {
		t.Errorf("limits of a listener that says some: %+v", b)
	}
	if c.Limits.Connections != 7 || int(c.Limits.Handshakes) != d.Handshakes || c.Limits.Transactions != defaultTransactions {
		t.Errorf("limits in all: %+v", c.Limits)
	}
}
