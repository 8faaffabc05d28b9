package config

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
