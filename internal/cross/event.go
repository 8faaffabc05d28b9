package cross

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
)

// Notice reads what a NOTIFY says of its subscription: whether that has ended,
// and else how long it lasts.
func Notice(m *sip.Message) (last bool, expires time.Duration) {
	state, params, _ := strings.Cut(string(m.First(sip.HdrSubscriptionState)), ";")
	for p := range strings.SplitSeq(params, ";") {
		if name, value, _ := strings.Cut(p, "="); strings.EqualFold(strings.TrimSpace(name), "expires") {
			n, _ := strconv.ParseUint(strings.TrimSpace(value), 10, 31)
			expires = time.Duration(n) * time.Second
		}
	}
	return strings.EqualFold(strings.TrimSpace(state), "terminated"), expires
}

// NoSubscription says whether the 2xx to a REFER makes no subscription (RFC 4488 §4).
func NoSubscription(m *sip.Message) bool {
	if m == nil {
		return false
	}
	for f := range m.Fields() {
		if strings.EqualFold(string(f.Name), "Refer-Sub") {
			value, _, _ := bytes.Cut(f.Value, []byte(";"))
			return strings.EqualFold(string(bytes.TrimSpace(value)), "false")
		}
	}
	return false
}

// Event is the event of a message, with its id if it has one. Both are compared byte
// by byte, and nothing else is (RFC 6665 §8.2.1).
func Event(m *sip.Message) string {
	parts := strings.Split(string(m.First(sip.HdrEvent)), ";")
	event := strings.TrimSpace(parts[0])
	for _, p := range parts[1:] {
		if name, value, _ := strings.Cut(p, "="); strings.EqualFold(strings.TrimSpace(name), "id") {
			return event + ";" + strings.TrimSpace(value)
		}
	}
	return event
}

// ReferID reads the id of a REFER's subscription, 0 when there is none. ok is false
// for what is none of a REFER's.
func ReferID(event string) (id uint32, ok bool) {
	name, value, has := strings.Cut(event, ";")
	n, err := strconv.ParseUint(value, 10, 32)
	return uint32(n), name == "refer" && (err == nil || !has)
}

// ReferEvent is the Event header line of a message in a REFER's subscription with
// another id: that is a CSeq number (RFC 3515 §2.4.6), and each side has its own.
// nil leaves the header as it is: it names no id.
func ReferEvent(m *sip.Message, to uint32) []byte {
	value := m.First(sip.HdrEvent)
	if id, isRefer := ReferID(Event(m)); !isRefer || id == 0 {
		return nil
	}
	out := []byte("Event: ")
	for i, part := range bytes.Split(value, []byte(";")) {
		if i > 0 {
			out = append(out, ';')
		}
		if name, _, _ := bytes.Cut(part, []byte("=")); strings.EqualFold(string(bytes.TrimSpace(name)), "id") {
			part = strconv.AppendUint([]byte("id="), uint64(to), 10)
		}
		out = append(out, part...)
	}
	return append(out, "\r\n"...)
}

// Lasting is for how long a SUBSCRIBE asks, or its 2xx grants: an hour where it does not
// say, which it has to (RFC 6665 §4.2.1.1).
func Lasting(m *sip.Message) time.Duration {
	if span, ok := Expires(m); ok {
		return span
	}
	return time.Hour
}

// Expires reads an Expires header, and whether there is one that can be read.
func Expires(m *sip.Message) (time.Duration, bool) {
	n, err := strconv.ParseUint(string(bytes.TrimSpace(m.First(sip.HdrExpires))), 10, 32)
	return time.Duration(n) * time.Second, err == nil
}
