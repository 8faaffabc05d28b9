package config

import "fmt"

// Profile is how we speak SIP with a peer.
type Profile struct {
	Name string
	Place

	// Whether calls are `sips:`, that is, demanded to be on TLS at every hop.
	// `required`: what the peer sends must be `sips:`, and what we send to it
	// is. `never`: what we send is `sip:`, still over TLS when the peer's URI
	// says so; its `sips:` requests are refused. `allowed`: the scheme follows
	// the caller. Default: `allowed`.
	SIPS SIPS `yaml:"sips" form:"one of required, allowed, never"`

	// How long a target may be silent, without even a 100, before the next one
	// of the route is tried; connecting counts. The last one that is not down has
	// the 32 seconds of RFC 3261 (Timer B). Default: 8s.
	ResponseTimeout Duration `yaml:"response_timeout" form:"duration"`

	// How long a target may take to answer, ringing included. Then its INVITE is
	// cancelled and the next target is tried; after the last one the caller gets
	// 408. Default: 3m.
	AnswerTimeout Duration `yaml:"answer_timeout" form:"duration"`

	// For how long a target that could not be reached, was silent, or answered
	// 503 without a Retry-After, is not asked while the route has another one;
	// a Retry-After counts instead, up to 10 minutes. Then one call tries it, and
	// the others follow when that one had an answer. When no other target takes
	// the call, those that are down are asked all the same. 0: it is asked each
	// time. Default: 30s.
	DownFor Duration `yaml:"down_for" form:"duration"`

	// How often the peer is asked, with OPTIONS inside the dialog, whether it
	// still knows a call that is established. One that it does not know, or does
	// not answer for, is ended with a BYE to the other side; so is one whose peer
	// cannot be reached three times, a minute apart. Calls with a session timer
	// (RFC 4028) are not asked for. 0: never. Default: 15m.
	KeepAlive Duration `yaml:"keep_alive" form:"duration"`

	// Which requests of the peer cross outside of calls, by the routes: `message`,
	// `options` to somebody behind the gateway, `publish`, and `subscribe`, whose
	// NOTIFYs cross back. The others are for who needs them: `refer` lets the peer
	// have others call whom it names, `notify` is for a peer that sends NOTIFYs
	// nobody subscribed to, such as those of waiting messages, and `info` for one
	// that sends INFO outside of calls. What is not in the list is refused: 403,
	// and 481 for the latter two. Default: `[message, options, publish, subscribe]`.
	Relay []Method `yaml:"relay" form:"list of message, options, publish, subscribe, refer, notify, info"`

	// Whether the peer is told who is on the other side of a call, by a UUID in Session-ID (RFC 7989), and whether its own
	// is taken: the same pair is then in every message of a call on both legs, so that a trace of either finds the other.
	// Where an endpoint names no UUID the gateway makes one. `off`: the peer gets no Session-ID, and what it sends in one
	// goes nowhere. Default: `on`.
	SessionID Switch `yaml:"session_id" form:"one of on, off"`

	// A header, such as `X-Call-ID`, in which the INVITE to the peer has the Call-ID of the caller's leg, for systems that
	// join calls by it. It tells the peer something of the other side's, which a gateway hides otherwise. Default: none.
	CallIDHeader HeaderName `yaml:"call_id_header" form:"name of a header"`

	// How connections with the peer are made and kept.
	Connection Connection `yaml:"connection" form:"group of keys"`
}

func checkProfiles(c *Config, r *report) {
	for i := range c.Profiles {
		p := &c.Profiles[i]
		checkRelay(p, r)
		checkConnection(r, p)
		for _, d := range []struct {
			key   string
			value Duration
		}{{"response_timeout", p.ResponseTimeout}, {"answer_timeout", p.AnswerTimeout}} {
			if d.value.Duration == 0 && !p.Broken(d.key) {
				r.add(p.At(d.key), fmt.Sprintf("profile %q: %q is 0", p.Name, d.key), "no target could answer that fast", "write a duration, or leave the key out")
			}
		}
	}
}

// SIPS is the rule for the sips scheme on one peer's leg (RFC 5630).
type SIPS string

// The values of sips.
const (
	SIPSRequired SIPS = "required"
	SIPSAllowed  SIPS = "allowed"
	SIPSNever    SIPS = "never"
)

func (s *SIPS) set(text string) *fault {
	return setWord(s, text, SIPSRequired, SIPSAllowed, SIPSNever)
}

// ProfileOf returns the peer's profile, the default one when it names none or
// one that is not defined.
func (c *Config) ProfileOf(p *Peer) Profile {
	if found := find(c.Profiles, p.Profile); found != nil {
		return *found
	}
	var def Profile
	def.complete()
	return def
}
