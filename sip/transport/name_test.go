package transport

import (
	"encoding/json"
	"testing"
)

func TestTransportIsItsNameInJSON(t *testing.T) {
	for want, transport := range map[string]Transport{`"udp"`: UDP, `"tcp"`: TCP, `"tls"`: TLS} {
		if got, err := json.Marshal(transport); err != nil || string(got) != want {
			t.Errorf("got %s, %v, want %s", got, err, want)
		}
	}
}
