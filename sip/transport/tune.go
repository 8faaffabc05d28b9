package transport

import (
	"net"
	"time"
)

// When TCP's question whether the other side is there is not answered it is asked
// again probeEvery later, or after idle when that is less, probes times in all.
const (
	probeEvery = 10 * time.Second
	probes     = 3
)

func keepAliveConfig(idle time.Duration) net.KeepAliveConfig {
	if idle <= 0 {
		return net.KeepAliveConfig{Enable: false}
	}
	return net.KeepAliveConfig{Enable: true, Idle: idle, Interval: min(probeEvery, idle), Count: probes}
}
