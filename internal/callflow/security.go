package callflow

import (
	"strings"

	"github.com/sallyport-sip/sallyport/sip"
)

// How secure the signalling of a call was, as far as the gateway can know. What its own
// connections were, it has seen; what others did before and behind them, it is only told:
// by sips: (RFC 5630), by Via, Record-Route and History-Info. "There is currently no
// mechanism to provide an indication of end-to-end security for SIP" (RFC 5630 §4), so
// no word says that. Media is another matter and counts in none of this.

// The words for a call, from the best to the worst. A call has the last one that fits
// any of its hops at any time.
const (
	Secured    = "secured"    // sips: throughout, on each hop of ours TLS with certificates of both sides, and nothing that came speaks against it
	HopByHop   = "hop-by-hop" // on each hop of ours TLS with the peer's certificate verified; beyond them nothing is known
	Unproven   = "unproven"   // on each hop of ours TLS, but a peer was known by its address alone
	Partly     = "partly"     // one hop of ours was TLS and another not
	Plain      = "plain"      // no hop of ours was TLS
	Downgraded = "downgraded" // what came says that somebody asked for sips: and did not have it
)

// SecurityWords are all of them.
var SecurityWords = []string{Secured, HopByHop, Unproven, Partly, Plain, Downgraded}

// Protection is how the connections of one leg were protected, all of them together: a
// leg may move, and what was bad once stays so.
type Protection uint8

// What one connection may add.
const (
	OverTLS   Protection = 1 << iota // one was TLS
	OverPlain                        // one was not
	ByAddress                        // over TLS, the peer was known by its address alone
	OneSided                         // over TLS, only one side had shown a certificate
)

// ProtectionOf is what a connection with that TLS adds; nil: none.
func ProtectionOf(t *TLS) Protection {
	if t == nil {
		return OverPlain
	}
	p := OverTLS
	if len(t.PeerNames) == 0 {
		p |= ByAddress
	}
	if !t.Mutual {
		p |= OneSided
	}
	return p
}

// Claims are what an INVITE says about how it came, which nobody vouches for.
type Claims struct {
	SIPS      bool // its Request-URI is sips:
	ToSIPS    bool // its To is, which no proxy changes (RFC 3261 §26.4.4)
	WasSIPS   bool // an entry of History-Info is sips: (RFC 7044)
	WasSIP    bool // one is sip:
	RoutedSIP bool // a Record-Route is sip:
	Hops      int  // Vias beyond the hop that we see
	PlainHops int  // of them, those that were not over TLS by their own word
	NotBacked bool // who it says it is from is nothing that the peer's asserts has, because it has none
	ToOther   bool // To is neither sip: nor sips:
}

// ReadClaims reads them. It copies nothing and keeps nothing of m.
func ReadClaims(m *sip.Message) (c Claims) {
	c.SIPS = schemeOf(m.RequestURI()) == "sips"
	if to, err := m.To(); err == nil {
		scheme := schemeOf(to.RawURI)
		c.ToSIPS, c.ToOther = scheme == "sips", scheme == ""
	}
	first := true
	for via, err := range m.Vias() {
		if first || err != nil {
			first = false
			continue
		}
		c.Hops++
		if t := string(via.Transport); !hasFoldPrefix(t, "TLS") && !strings.EqualFold(t, "WSS") {
			c.PlainHops++
		}
	}
	for v := range m.Values(sip.HdrRecordRoute) {
		if a, err := sip.ParseAddress(v); err == nil && schemeOf(a.RawURI) == "sip" {
			c.RoutedSIP = true
		}
	}
	for v := range m.Values(sip.HdrHistoryInfo) {
		if a, err := sip.ParseAddress(v); err == nil {
			scheme := schemeOf(a.RawURI)
			c.WasSIPS, c.WasSIP = c.WasSIPS || scheme == "sips", c.WasSIP || scheme == "sip"
		}
	}
	return c
}

// hasFoldPrefix is strings.HasPrefix without regard to case: TLS and TLS-SCTP.
func hasFoldPrefix(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// schemeOf is "sip" or "sips", else empty.
func schemeOf(uri []byte) string {
	switch {
	case len(uri) > 5 && strings.EqualFold(string(uri[:5]), "sips:"):
		return "sips"
	case len(uri) > 4 && strings.EqualFold(string(uri[:4]), "sip:"):
		return "sip"
	}
	return ""
}

// Judge finds the word for a call by the protection of its legs, those of targets that
// were given up included, and says why in words for a person. A leg that had no
// connection has none and counts for nothing. sips says that all legs are sips:.
func Judge(legs []Protection, sips bool, c Claims) (word, why string) {
	var all Protection
	for _, p := range legs {
		all |= p
	}
	switch {
	case !c.SIPS && c.ToSIPS:
		return Downgraded, "the call was addressed to sips: and came as sip: (RFC 3261 §26.4.4)"
	case !c.SIPS && c.WasSIPS:
		return Downgraded, "History-Info has the call as sips:, and it came as sip:"
	case c.SIPS && c.PlainHops > 0:
		return Downgraded, "the call is sips:, and by the Via of an earlier hop that one was not over TLS"
	case all&OverTLS == 0:
		return Plain, "no hop of ours was over TLS"
	case all&OverPlain != 0:
		return Partly, "one hop of ours was over TLS and another was not"
	case all&ByAddress != 0:
		return Unproven, "on a hop over TLS the peer showed no certificate and was known by its address alone"
	case !sips || !c.SIPS:
		return HopByHop, "TLS and the peer's certificate on each hop of ours; it is not sips: throughout, so nothing is claimed beyond them"
	case all&OneSided != 0:
		return HopByHop, "TLS and the peer's certificate on each hop of ours, but on one the peer did not ask for ours"
	case c.WasSIP || !c.ToSIPS && !c.ToOther:
		return HopByHop, "TLS and the peer's certificate on each hop of ours; the call became sips: only on its way here"
	case c.RoutedSIP:
		return HopByHop, "TLS and the peer's certificate on each hop of ours; a Record-Route is sip: in a call that is sips:"
	}
	return Secured, "sips: throughout; on each hop of ours TLS with certificates of both sides, on further ones TLS by the word of those before us"
}

// Security is the verdict on the signalling of one call.
type Security struct {
	Word string
	Why  string
	Hops []HopSecurity // the caller's first; the last one answered, or was asked last

	Claims []string // what others claim about hops that we do not see
}

// HopSecurity is one hop of ours.
type HopSecurity struct {
	Direction Direction
	Peer      string
	SIPS      bool // the dialog on it is sips:
	Transport string
	TLS       *TLS // nil: it was not over TLS, or there was no connection
	Seen      Protection
}

// KnownBy says how it is known who was there.
func (h *HopSecurity) KnownBy() string {
	switch {
	case h.Seen == 0:
		return ""
	case h.TLS != nil && len(h.TLS.PeerNames) > 0:
		return "certificate"
	}
	return "address"
}

// Words are the hop in one line.
func (h *HopSecurity) Words() string {
	side := "from "
	if h.Direction == Out {
		side = "to "
	}
	scheme := " sip: over "
	if h.SIPS {
		scheme = " sips: over "
	}
	s := side + h.Peer + scheme
	switch t := h.TLS; {
	case h.Seen == 0:
		return side + h.Peer + " no connection"
	case t == nil:
		s += h.Transport
	default:
		s += "TLS " + t.Version + ", " + t.Suite
		if t.Group != "" {
			s += ", " + t.Group
		}
		switch {
		case len(t.PeerNames) == 0:
			s += ", known by its address"
		case t.Mutual:
			s += ", " + strings.Join(t.PeerNames, " ") + " by certificate, both sides"
		default:
			s += ", " + strings.Join(t.PeerNames, " ") + " by certificate, that side only"
		}
	}
	if h.Seen&OverPlain != 0 && h.TLS != nil {
		s += "; at times without TLS"
	}
	return s
}

// Lines are the claims in words; none: nothing was claimed.
func (c Claims) Lines() (lines []string) {
	add := func(yes bool, line string) {
		if yes {
			lines = append(lines, line)
		}
	}
	add(c.SIPS, "sips: in the Request-URI: TLS on every hop")
	add(!c.SIPS && c.ToSIPS, "sips: in To, and the Request-URI is sip:")
	add(c.SIPS && !c.ToSIPS && !c.ToOther, "sip: in To, and the Request-URI is sips:")
	add(c.Hops > 0 && c.PlainHops == 0, "Via: the hops before ours were over TLS")
	add(c.PlainHops > 0, "Via: a hop before ours was not over TLS")
	add(c.WasSIPS, "History-Info: it was sips: once")
	add(c.WasSIP && c.SIPS, "History-Info: it was sip: once")
	add(c.SIPS && c.RoutedSIP, "Record-Route: a proxy on the way is sip:")
	add(c.NotBacked, notBacked)
	return lines
}

const notBacked = "who it is from is what the peer says: it has no asserts that would back it"
