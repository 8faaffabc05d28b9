package config

import "fmt"

// Method is a SIP method that may cross outside of calls, in lower case.
type Method string

// The values of relay.
const (
	RelayMessage   Method = "message"
	RelayOptions   Method = "options"
	RelayPublish   Method = "publish"
	RelaySubscribe Method = "subscribe"
	RelayRefer     Method = "refer"
	RelayNotify    Method = "notify"
	RelayInfo      Method = "info"
)

func (m *Method) set(text string) *fault {
	return setWord(m, text, RelayMessage, RelayOptions, RelayPublish, RelaySubscribe, RelayRefer, RelayNotify, RelayInfo)
}

// relayed is what crosses unless the profile says otherwise.
func relayed() []Method {
	return []Method{RelayMessage, RelayOptions, RelayPublish, RelaySubscribe}
}

// checkRelay judges the relay key of a profile.
func checkRelay(p *Profile, r *report) {
	names := make([]string, len(p.Relay))
	for i, m := range p.Relay {
		names[i] = string(m)
	}
	checkTwice(r, fmt.Sprintf("profile %q", p.Name), "relay", p.Place, names)
}
