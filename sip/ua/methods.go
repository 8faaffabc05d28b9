package ua

import (
	"maps"
	"slices"
	"strings"

	"github.com/sallyport-sip/sallyport/sip"
)

// Methods is a [Handler] that has a function for each method. Other methods are
// refused with 405; OPTIONS, when it has no function, is answered with 200 (RFC
// 3261 §11.2). Both name the methods that there are in Allow (§8.2.1), with INVITE
// also those that the library deals with.
type Methods map[sip.Method]func(*Request)

// ServeSIP calls the function of the request's method.
func (m Methods) ServeSIP(r *Request) {
	if f := m[r.Msg.Method()]; f != nil {
		f(r)
		return
	}
	code, options := 405, []Option{Header("Allow", m.allow())}
	if r.Msg.Method() == sip.OPTIONS {
		code = 200
		if known := r.ss.srv.Supported; len(known) > 0 {
			options = append(options, Header("Supported", strings.Join(known, ", ")))
		}
	}
	// The only error is that nobody waits for the answer any more.
	_ = r.Reply(code, options...)
}

func (m Methods) allow() string {
	names := []string{string(sip.OPTIONS)}
	for method := range maps.Keys(m) {
		names = append(names, string(method))
	}
	if m[sip.INVITE] != nil {
		names = append(names, string(sip.ACK), string(sip.BYE), string(sip.CANCEL))
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ", ")
}
