package cross

import (
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
)

func TestRetryAfterOfAResponse(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"18000;duration=3600": 5 * time.Hour, "120 (in a meeting)": 2 * time.Minute, " 5 ": 5 * time.Second, "0": 0,
		"": -1, "soon": -1, "-5": -1, "1.5": -1, "99999999999": -1,
	} {
		m, err := sip.Parse([]byte("SIP/2.0 503 Service Unavailable\r\nRetry-After: " + value + "\r\nContent-Length: 0\r\n\r\n"))
		if err != nil {
			t.Fatal(err)
		}
		got, ok := RetryAfter(m)
		if !ok {
			got = -1
		}
		if got != want {
			t.Errorf("%q: got %v, want %v", value, got, want)
		}
		m.Release()
	}
}
