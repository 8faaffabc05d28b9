package cross

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/peer"
	"github.com/sallyport-sip/sallyport/sip"
)

// Who a message says it is from is a claim: TLS authenticates the hop and not the
// message. What a peer may claim is in its asserts. A peer whose hears lists a claim in a
// header other than From is inside of our trust domain, and is told also what Privacy
// would keep from others (RFC 3325 §5, §7; RFC 7044, RFC 5806; P-DCS headers: RFC 3603,
// RFC 5503); peer.Hears has what becomes of it where nothing is written.
// P-Preferred-Identity is for the first server of a user and never crosses. History-Info
// says whom a request was for on its way, in whatever domain, so that nobody's asserts
// can back it: it is not judged.

// Sides are the peers between whom a message crosses, and how we are reached by the one
// that it goes to.
type Sides struct {
	From, To *peer.Peer
	Place    peer.Place

	// Who is behind the side that the message comes from, and behind the one that it goes to. What the message says of
	// the former is put into it; nil for a message of our own when there is no other side.
	Near, Far *UUID
}

// ours says whether a header that nobody here knows is the one in which we tell the other side a Call-ID: nobody else's
// stands beside it.
func (s *Sides) ours(f sip.Field) bool {
	name := s.To.CallIDHeader
	return name != "" && len(f.Name) == len(name) && strings.EqualFold(string(f.Name), name)
}

// claimOf says which claim a header makes; empty: none.
func claimOf(f sip.Field) config.Claim {
	switch f.ID {
	case sip.HdrPAssertedIdentity:
		return config.ClaimAsserted
	case sip.HdrDiversion:
		return config.ClaimDiversion
	case sip.HdrHistoryInfo:
		return config.ClaimHistory
	case sip.HdrOther:
		const dcs, remote = "p-dcs-", "remote-party-id"
		switch {
		case len(f.Name) > len(dcs) && bytes.EqualFold(f.Name[:len(dcs)], []byte(dcs)):
			return config.ClaimDCS
		case len(f.Name) == len(remote) && bytes.EqualFold(f.Name, []byte(remote)):
			return config.ClaimRemote
		}
	}
	return ""
}

// claim writes as much of a header that makes one as crosses: nothing to who does not
// hear it, and of a sender with asserts only the values that they back.
func (s Sides) claim(b *sip.Builder, m *sip.Message, f sip.Field, c config.Claim) {
	switch {
	case !hears(s.To, m, c):
	case s.From.Asserts == nil || c == config.ClaimHistory:
		b.Field(f)
	default:
		for _, value := range valuesOf(f.Value, c) {
			if backs(s.From.Asserts, value, c) {
				b.HeaderBytes(string(f.Name), value)
			} else if !begins(m) {
				s.From.State.ClaimsStripped.Add(1) // else Claims has counted it
			}
		}
	}
}

// begins says whether a message is a request outside of any dialog.
func begins(m *sip.Message) bool {
	to, err := m.To()
	return m.IsRequest() && err == nil && len(to.Tag()) == 0
}

// hears says whether a peer is told a claim in a message.
func hears(to *peer.Peer, m *sip.Message, c config.Claim) bool {
	told, trusted := to.Hears(c)
	return trusted || told && !private(m)
}

// private says whether the sender of a message wants something about itself kept from
// others (RFC 3323 §4.2, RFC 3325 §9.3, RFC 7044 §10.1.2). A kind that nobody knows
// counts; those about media, and about what to do when it cannot be had, do not.
func private(m *sip.Message) bool {
	for f := range m.Fields() {
		if f.ID != sip.HdrPrivacy {
			continue
		}
		for kind := range bytes.FieldsFuncSeq(f.Value, func(r rune) bool { return r == ';' || r == ',' || r == ' ' || r == '\t' }) {
			if !bytes.EqualFold(kind, []byte("none")) && !bytes.EqualFold(kind, []byte("session")) && !bytes.EqualFold(kind, []byte("critical")) {
				return true
			}
		}
	}
	return false
}

// backs says whether a value of a claim is one that a peer may make.
func backs(a *peer.Asserts, value []byte, c config.Claim) bool {
	if c == config.ClaimDCS {
		return backsAll(a, value)
	}
	uri, ok := uriIn(value)
	return ok && a.Backs(uri)
}

// backsAll says it of a P-DCS header: each URI in it has to be backed. One that names
// nobody who could be compared, such as P-DCS-OSPS, is not.
func backsAll(a *peer.Asserts, value []byte) bool {
	rest, found := strings.ToLower(string(value)), false
	for rest != "" {
		at := -1
		for _, scheme := range []string{"sip:", "sips:", "tel:"} {
			if i := strings.Index(rest, scheme); i >= 0 && (at < 0 || i < at) {
				at = i
			}
		}
		if at < 0 {
			break
		}
		text := rest[at:]
		end := strings.IndexAny(text, "\"<>, \t")
		if end < 0 {
			end = len(text)
		}
		uri, err := sip.ParseURI([]byte(text[:end]))
		if err != nil || !a.Backs(uri) {
			return false
		}
		found, rest = true, text[end:]
	}
	return found
}

// valuesOf cuts a header at the commas between its values; those of P-DCS headers are
// one.
func valuesOf(value []byte, c config.Claim) (all [][]byte) {
	if c == config.ClaimDCS {
		return [][]byte{value}
	}
	from, quoted, bracket := 0, false, false
	for i := 0; i < len(value); i++ {
		switch ch := value[i]; {
		case ch == '\\' && quoted:
			i++
		case ch == '"':
			quoted = !quoted
		case quoted:
		case ch == '<' || ch == '>':
			bracket = ch == '<'
		case ch == ',' && !bracket:
			all, from = append(all, bytes.TrimSpace(value[from:i])), i+1
		}
	}
	return append(all, bytes.TrimSpace(value[from:]))
}

// How many values that were left out a flow tells of, and how much of each.
const (
	mostTold    = 8
	longestTold = 100 // bytes
)

// ErrClaim is the cause of a refusal because a peer claims what it may not.
var ErrClaim = errors.New("the peer may not claim that")

// Claims judges who a request outside of any dialog says it is from. left says in words
// what of it is left out; the refusal is 403 for a From, and for the others where the
// peer's asserts says so.
func Claims(m *sip.Message, from *peer.Peer, place peer.Place) (left string, refusal *sip.StatusError) {
	a := from.Asserts
	if a == nil {
		return "", nil
	}
	if !fromBacked(m, a) {
		address, _ := m.From()
		return "", denied(from, place, "From", address.RawURI)
	}
	n := 0
	for f := range m.Fields() {
		c := claimOf(f)
		if c == "" || c == config.ClaimHistory {
			continue
		}
		for _, value := range valuesOf(f.Value, c) {
			switch {
			case backs(a, value, c):
			case a.Refuse:
				return "", denied(from, place, string(f.Name), value)
			default:
				from.State.ClaimsStripped.Add(1)
				if n++; n <= mostTold {
					left += fmt.Sprintf(", %s %.*s", f.Name, longestTold, value)
				}
			}
		}
	}
	switch {
	case n > mostTold:
		left += fmt.Sprintf(" and %d more", n-mostTold)
	case n == 0:
		return "", nil
	}
	return "; left out, because " + from.Name + " may not claim it: " + left[len(", "):], nil
}

func fromBacked(m *sip.Message, a *peer.Asserts) bool {
	address, err := m.From()
	if err != nil {
		return false
	}
	uri, err := address.URI()
	return err == nil && a.Backs(uri)
}

func denied(from *peer.Peer, place peer.Place, header string, value []byte) *sip.StatusError {
	from.State.ClaimsRefused.Add(1)
	return &sip.StatusError{
		Code:   403,
		Header: fmt.Sprintf("Warning: 399 %s %q", place.HostPort, "the "+header+" names somebody whom this peer may not claim to be"),
		Err: fmt.Errorf("peer %s: %w: its %s is %s, and its asserts has %s; if it may, add that to peers.%s.asserts, else ask the peer what it sends",
			from.Name, ErrClaim, header, value, from.Asserts.Names(), from.Name),
	}
}

// Unbacked says whether a request names somebody of whom nothing says that the peer may
// claim to be: the peer has no asserts, and the sender is not anonymous.
func Unbacked(m *sip.Message, from *peer.Peer) bool {
	if from.Asserts != nil {
		return false
	}
	address, err := m.From()
	if err != nil {
		return true
	}
	uri, err := address.URI()
	return err != nil || !peer.Anonymous(uri)
}

// Made is which claims a request makes beside its From, and whether its sender wants
// privacy: all that Words goes by.
type Made uint8

// wantsPrivacy is the bit above those of kinds.
const wantsPrivacy = 1 << len(kinds)

// kinds are the claims, each with its bit.
var kinds = [...]config.Claim{config.ClaimAsserted, config.ClaimRemote, config.ClaimDiversion, config.ClaimHistory, config.ClaimDCS}

// MadeBy looks at a message.
func MadeBy(m *sip.Message) (made Made) {
	for f := range m.Fields() {
		if c := claimOf(f); c != "" {
			made |= 1 << slices.Index(kinds[:], c)
		}
	}
	if made != 0 && private(m) {
		made |= wantsPrivacy
	}
	return made
}

// Words says what of the claims of a request outside of any dialog crosses although
// nothing backs it, and what does not because a target is not told it. Empty: nothing.
func (made Made) Words(from *peer.Peer, targets []*peer.Peer) string {
	var text strings.Builder
	list := func(format string, who *peer.Peer, is func(config.Claim) bool) {
		var names []string
		for bit, c := range kinds {
			if made&(1<<bit) != 0 && is(c) {
				names = append(names, string(c))
			}
		}
		if len(names) > 0 {
			fmt.Fprintf(&text, format, who.Name, strings.Join(names, ", "))
		}
	}
	if from.Asserts == nil {
		list("; %s has no asserts that would back its %s", from, func(c config.Claim) bool { return c != config.ClaimHistory })
	}
	for _, to := range targets {
		list("; by its hears %s is not told %s", to, func(c config.Claim) bool { told, _ := to.Hears(c); return !told })
		list("; because of Privacy %s is not told %s", to, func(c config.Claim) bool {
			told, trusted := to.Hears(c)
			return told && !trusted && made&wantsPrivacy != 0
		})
	}
	return text.String()
}
