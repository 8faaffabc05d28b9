package b2bua

import (
	"fmt"

	"github.com/sallyport-sip/sallyport/sip"
)

// causes are the Q.850 causes of status codes as RFC 3398 §8.2.6.1 maps them,
// as far as the gateway itself ends a call for one.
var causes = map[int]int{
	403: 21, 404: 1, 408: 102, 410: 22, 416: 127, 480: 18, 481: 127, 482: 25, 483: 25, 484: 28, 485: 1, 487: 31, 488: 127,
	500: 41, 502: 38, 503: 41, 504: 102, 604: 1,
}

// reasonFor is the value of the Reason header with which the gateway ends a call
// for a status code: in the words of SIP and of Q.850 (RFC 3326 §2).
func reasonFor(status int) string {
	reason := fmt.Sprintf("SIP;cause=%d;text=%q", status, sip.StatusText(status))
	if cause, ok := causes[status]; ok {
		reason += fmt.Sprintf(", Q.850;cause=%d", cause)
	}
	return reason
}
