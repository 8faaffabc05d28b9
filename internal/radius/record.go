package radius

import (
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	wire "layeh.com/radius"
	"layeh.com/radius/rfc2865"
	"layeh.com/radius/rfc2866"
	"layeh.com/radius/rfc2869"

	"github.com/sallyport-sip/sallyport/internal/store"
)

// Status is what a request tells: a value of Acct-Status-Type (RFC 2866 section 5.1).
type Status uint32

// The kinds of requests.
const (
	Start   = Status(rfc2866.AcctStatusType_Value_Start)
	Stop    = Status(rfc2866.AcctStatusType_Value_Stop)
	Interim = Status(rfc2866.AcctStatusType_Value_InterimUpdate)
	On      = Status(rfc2866.AcctStatusType_Value_AccountingOn)
	Off     = Status(rfc2866.AcctStatusType_Value_AccountingOff)
)

// Request is what a server is told, but for what differs each time it is sent.
type Request struct {
	At         time.Time // when that happened; zero: not known
	attributes wire.Attributes
}

// Gateway tells of the gateway's start or end: On or Off. session names this run of it.
func Gateway(s Status, nas, session string, at time.Time) Request {
	r := begin(s, nas, session, at)
	return r.Request
}

// Call tells of a call: Start, Stop, or Interim as of at, which only that needs.
func Call(s Status, nas string, c *store.CDR, at time.Time) Request {
	switch s {
	case Start:
		at = c.Answered
	case Stop:
		at = c.Ended
	}
	r := begin(s, nas, c.ID, at)
	r.text(rfc2865.UserName_Type, c.In.Peer)
	r.text(rfc2865.CallingStationID_Type, c.Caller)
	r.text(rfc2865.CalledStationID_Type, c.Called)
	if s != Start && !at.IsZero() {
		r.number(rfc2866.AcctSessionTime_Type, lasted(c, at))
	}
	if s == Stop {
		r.number(rfc2866.AcctTerminateCause_Type, uint32(terminated(c)))
	}
	r.h323(s, nas, c)
	r.pairs(c)
	return r.Request
}

func lasted(c *store.CDR, at time.Time) uint32 {
	if c.Answered.IsZero() || at.Before(c.Answered) {
		return 0
	}
	return uint32(at.Sub(c.Answered) / time.Second)
}

// terminated is why a call is over (RFC 2866 section 5.10).
func terminated(c *store.CDR) rfc2866.AcctTerminateCause {
	switch {
	case c.State == store.Interrupted:
		return rfc2866.AcctTerminateCause_Value_NASReboot
	case c.State == store.Ended && c.EndedBy == "gateway":
		return rfc2866.AcctTerminateCause_Value_NASRequest
	case c.State == store.Ended || c.State == store.Cancelled:
		return rfc2866.AcctTerminateCause_Value_UserRequest
	case c.EndedBy == "callee":
		return rfc2866.AcctTerminateCause_Value_HostRequest
	case c.Cause.SIP >= 400 && c.Cause.SIP < 500:
		return rfc2866.AcctTerminateCause_Value_UserError
	}
	return rfc2866.AcctTerminateCause_Value_ServiceUnavailable
}

const (
	// vendorCisco is the number of the vendor whose attributes the field uses for calls, and the types are its.
	vendorCisco = 9

	ciscoAVPair          = 1
	h323RemoteAddress    = 23
	h323ConfID           = 24
	h323SetupTime        = 25
	h323CallOrigin       = 26
	h323CallType         = 27
	h323ConnectTime      = 28
	h323DisconnectTime   = 29
	h323DisconnectCause  = 30
	h323GatewayID        = 33
	h323TimeLayout       = "15:04:05.000 MST Mon Jan 2 2006"
	longestText          = 253                 // of an attribute (RFC 2865 section 5)
	longestVendorText    = longestText - 4 - 2 // without vendor and type
	roomForAttributes    = 4096 - 20 - 6       // of a packet (RFC 2865 section 3), with Acct-Delay-Time to come
	mostIdentities       = 4                   // that are told of one leg
	virtualPort          = uint32(rfc2865.NASPortType_Value_Virtual)
	normalClearing       = 16 // cause of ITU-T Q.850 for a call that somebody hung up
	h323NumberBase       = 16 // in which the cause is written
	sessionDigits        = 32 // of a UUID
	digitsOfEachConfPart = 8
)

// builder adds attributes as long as there is room in a packet.
type builder struct {
	Request
	used int
}

func begin(s Status, nas, session string, at time.Time) *builder {
	r := &builder{Request: Request{At: at}}
	r.number(rfc2866.AcctStatusType_Type, uint32(s))
	r.text(rfc2866.AcctSessionID_Type, session)
	r.text(rfc2865.NASIdentifier_Type, nas)
	r.number(rfc2865.NASPortType_Type, virtualPort)
	if !at.IsZero() {
		r.number(rfc2869.EventTimestamp_Type, uint32(at.Unix()))
	}
	return r
}

func (b *builder) add(t wire.Type, a wire.Attribute) {
	if b.used+2+len(a) > roomForAttributes {
		return
	}
	b.used += 2 + len(a)
	b.attributes.Add(t, a)
}

func (b *builder) number(t wire.Type, n uint32) { b.add(t, wire.NewInteger(n)) }

func (b *builder) text(t wire.Type, s string) {
	if s != "" {
		b.add(t, wire.Attribute(plain(s, longestText)))
	}
}

// vendor adds an attribute of vendor 9, whose text begins with its name.
func (b *builder) vendor(kind byte, name, value string) {
	if value == "" {
		return
	}
	s := plain(name+"="+value, longestVendorText)
	a, err := wire.NewVendorSpecific(vendorCisco, append(wire.Attribute{kind, byte(2 + len(s))}, s...))
	if err != nil {
		panic("radius: " + err.Error()) // it is never that long
	}
	b.add(rfc2865.VendorSpecific_Type, a)
}

// h323 adds what billing systems look for in accounting of calls.
func (b *builder) h323(s Status, nas string, c *store.CDR) {
	b.vendor(h323GatewayID, "h323-gw-id", nas)
	b.vendor(h323CallOrigin, "h323-call-origin", "answer")
	b.vendor(h323CallType, "h323-call-type", "VoIP")
	b.vendor(h323SetupTime, "h323-setup-time", h323Time(c.Began))
	b.vendor(h323ConnectTime, "h323-connect-time", h323Time(c.Answered))
	if s == Stop {
		b.vendor(h323DisconnectTime, "h323-disconnect-time", h323Time(c.Ended))
		b.vendor(h323DisconnectCause, "h323-disconnect-cause", q850(c))
	}
	if host, _, err := net.SplitHostPort(c.In.Remote); err == nil {
		b.vendor(h323RemoteAddress, "h323-remote-address", host)
	}
	if len(c.Session) == sessionDigits {
		var parts []string
		for part := range slices.Chunk([]byte(strings.ToUpper(c.Session)), digitsOfEachConfPart) {
			parts = append(parts, string(part))
		}
		b.vendor(h323ConfID, "h323-conf-id", strings.Join(parts, " "))
	}
}

func h323Time(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(h323TimeLayout)
}

// q850 is the cause in the base that the field writes it in. Without one from the other side it is that of a hang-up, or none.
func q850(c *store.CDR) string {
	n := c.Cause.Q850
	if n == 0 && c.State == store.Ended && c.EndedBy != "gateway" {
		n = normalClearing
	}
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(int64(n), h323NumberBase)
}

// pairs adds what only we know: how the call was secured. docs/operate/cdr.md has the list.
func (b *builder) pairs(c *store.CDR) {
	b.pair("state", string(c.State))
	b.pair("verdict", c.Verdict)
	if c.Cause.SIP != 0 {
		b.pair("sip", strconv.Itoa(c.Cause.SIP))
	}
	b.pair("session", c.Session)
	b.leg("in", &c.In)
	if n := len(c.Out); n > 0 {
		b.leg("out", &c.Out[n-1])
	}
	b.pair("route", c.Route)
	b.pair("cause", c.Cause.Text)
}

func (b *builder) leg(side string, l *store.Leg) {
	b.pair(side+"-peer", l.Peer)
	b.pair(side+"-transport", l.Transport)
	b.pair(side+"-known-by", l.KnownBy)
	if t := l.TLS; t != nil {
		b.pair(side+"-tls-version", t.Version)
		b.pair(side+"-tls-suite", t.Suite)
		b.pair(side+"-tls-mutual", strconv.FormatBool(t.Mutual))
		for _, name := range t.Identity[:min(len(t.Identity), mostIdentities)] {
			b.pair(side+"-tls-identity", name)
		}
	}
	b.pair(side+"-call-id", l.CallID)
}

func (b *builder) pair(name, value string) {
	if value != "" {
		b.vendor(ciscoAVPair, "sallyport-"+name, value)
	}
}

// plain is s without what would be more than text to who writes it into a file, and not longer than an attribute may be.
func plain(s string, longest int) string {
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || unicode.IsControl(r) {
			return '?'
		}
		return r
	}, s)
	if len(s) <= longest {
		return s
	}
	for longest > 0 && !utf8.RuneStart(s[longest]) {
		longest--
	}
	return s[:longest]
}
