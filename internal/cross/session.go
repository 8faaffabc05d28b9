package cross

import (
	"crypto/rand"
	"encoding/hex"

	"github.com/sallyport-sip/sallyport/sip"
)

// A UUID stands for one endpoint of a session, in Session-ID (RFC 7989 §4.1): that of who is behind one leg. The zero value
// is the null UUID: it is not known yet.
//
// Each side is told the other's and its own, `Session-ID: <theirs>;remote=<yours>`, as "the intermediary ... acting as the
// endpoint" has to where an endpoint names none (RFC 7989 §7): then the gateway makes one for it, and keeps it for as long
// as the call or the subscription lasts. So the UUID of who calls is in every message on every leg, also of a call that goes
// on to the next target, and a trace of either side finds the other one.
//
// RFC 7329, which was before, has one UUID without a remote, and who follows it sends back the one that it got. It is
// taken as the UUID of its sender.
type UUID [16]byte

// NewUUID makes one by chance: "version 4 or 5" is demanded (RFC 7989 §4.1, RFC 9562 §5.4).
func NewUUID() UUID {
	var u UUID
	rand.Read(u[:])
	u[6] = u[6]&0x0F | 0x40
	u[8] = u[8]&0x3F | 0x80
	return u
}

// Known says whether it is not null.
func (u *UUID) Known() bool { return *u != UUID{} }

// String is the UUID in Session-ID's form, and empty for the null one.
func (u *UUID) String() string {
	if !u.Known() {
		return ""
	}
	return hex.EncodeToString(u[:])
}

// hear takes the UUID of who sent a message from its Session-ID. It reports whether there was one, be it null: a server on the
// way that answers by itself does not know who is behind it.
func (u *UUID) hear(m *sip.Message) bool {
	id, err := m.SessionID()
	if err != nil {
		return false // none, or none that is valid, which is the same (RFC 7989 §7)
	}
	if !sip.NullUUID(id.Local) {
		hex.Decode(u[:], id.Local)
	}
	return true
}

const (
	remoteParam = ";remote="
	valueLength = 2*32 + len(remoteParam)

	// SessionRoom is how long a Session-ID of ours is, with its name and line end.
	SessionRoom = len("Session-ID: \r\n") + valueLength
)

// Own writes the Session-ID of a message that is the gateway's own, to the peer of To: "the local-uuid field" has the UUID of
// who is behind the other leg, "if known", else the null one (RFC 7989 §7).
func (s *Sides) Own(b *sip.Builder) {
	if !s.To.SessionID {
		return
	}
	var v [valueLength]byte
	near := s.Near
	if near == nil {
		near = new(UUID)
	}
	hex.Encode(v[:], near[:])
	copy(v[32:], remoteParam)
	hex.Encode(v[32+len(remoteParam):], s.Far[:])
	b.HeaderBytes("Session-ID", v[:])
}

// pass takes the UUID of who sent a message that crosses, and writes the Session-ID for who gets it.
func (s *Sides) pass(b *sip.Builder, m *sip.Message) {
	heard := s.From.SessionID && s.Near.hear(m)
	if !s.To.SessionID {
		return
	}
	if !heard && !s.Near.Known() {
		*s.Near = NewUUID()
	}
	s.Own(b)
}
