package b2bua

import (
	"bytes"
	"slices"

	"github.com/sallyport-sip/sallyport/internal/peer"
	"github.com/sallyport-sip/sallyport/sip"
)

// What crosses from one leg to the other is decided here and nowhere else:
// headers that belong to one hop or one dialog are never copied, all others
// are, unknown ones with their bytes.

// stays marks the headers that never cross, with the reason.
var stays = func() (t [256]bool) {
	for _, id := range []sip.HeaderID{
		// Written anew for each leg: a leg's dialog, path and length are its own.
		sip.HdrVia, sip.HdrFrom, sip.HdrTo, sip.HdrCallID, sip.HdrCSeq, sip.HdrMaxForwards, sip.HdrContact,
		sip.HdrRecordRoute, sip.HdrRoute, sip.HdrPath, sip.HdrServiceRoute, sip.HdrContentLength, sip.HdrTimestamp,
		sip.HdrProxyRequire, sip.HdrRAck,
		// They name dialogs of the other leg, which nobody here knows.
		sip.HdrReplaces, sip.HdrJoin, sip.HdrTargetDialog, sip.HdrInReplyTo,
		// A hop's credentials and challenges are for that hop (RFC 3261 §22, RFC 3329).
		sip.HdrAuthorization, sip.HdrProxyAuthorization, sip.HdrWWWAuthenticate, sip.HdrProxyAuthenticate,
		sip.HdrAuthenticationInfo, sip.HdrProxyAuthenticationInfo,
		sip.HdrSecurityClient, sip.HdrSecurityServer, sip.HdrSecurityVerify,
		// Good only among those who trust each other (RFC 3325 §5, RFC 7315), and
		// no profile can say yet whom it trusts.
		sip.HdrPAssertedIdentity, sip.HdrPPreferredIdentity, sip.HdrPAssociatedURI,
		sip.HdrPChargingVector, sip.HdrPVisitedNetworkID, sip.HdrPAccessNetworkInfo,
		// Its agent is a host of the other side; see warning.
		sip.HdrWarning,
	} {
		t[id] = true
	}
	return t
}()

// copyAcross writes the headers of m that cross to the other leg, all but
// those of a known header that is written in another way.
func copyAcross(b *sip.Builder, m *sip.Message, place peer.Place, but ...sip.HeaderID) {
	for f := range m.Fields() {
		if !stays[f.ID] && (f.ID == sip.HdrOther || !slices.Contains(but, f.ID)) {
			b.Field(f)
		}
	}
	for v := range m.Values(sip.HdrWarning) {
		warning(b, v, place)
	}
}

// warning passes the code and the text of a Warning and puts our name where
// the other side's stood (RFC 3261 §20.43).
func warning(b *sip.Builder, value []byte, place peer.Place) {
	code, rest, ok := bytes.Cut(value, []byte(" "))
	_, text, ok2 := bytes.Cut(bytes.TrimLeft(rest, " "), []byte(" "))
	if ok && ok2 {
		b.HeaderBytes("Warning", code, []byte(" "), []byte(place.HostPort), []byte(" "), bytes.TrimLeft(text, " "))
	}
}
