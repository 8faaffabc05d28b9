// Package cross decides what of a message passes from one peer's side of the
// gateway to the other's, and how what does not pass is written anew.
//
// Headers has the table of headers (headers.go); uri.go writes the addresses of a
// request that crosses, event.go reads what subscriptions are told apart by, and
// refuse.go has refusals in words that both sides may see. Packages b2bua and
// relay build their messages of these. Nothing here keeps state.
package cross

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
		// Good only among those who trust each other (RFC 3325 §5, RFC 7315); see
		// claims.go for those that cross where a peer hears them.
		sip.HdrPPreferredIdentity, sip.HdrPAssociatedURI,
		sip.HdrPChargingVector, sip.HdrPVisitedNetworkID, sip.HdrPAccessNetworkInfo,
		// It is about the flow between a registrar and its client (RFC 5626 §4.4).
		sip.HdrFlowTimer,
		// Its agent is a host of the other side; see warning.
		sip.HdrWarning,
		// Each side hears its own pair of it; see session.go.
		sip.HdrSessionID,
	} {
		t[id] = true
	}
	return t
}()

// Headers writes the headers of m that cross to the other leg, all but
// those of a known header that is written in another way.
func Headers(b *sip.Builder, m *sip.Message, sides Sides, but ...sip.HeaderID) {
	for f := range m.Fields() {
		if stays[f.ID] || f.ID != sip.HdrOther && slices.Contains(but, f.ID) || f.ID == sip.HdrOther && sides.ours(f) {
			continue
		}
		if c := claimOf(f); c != "" {
			sides.claim(b, m, f, c)
		} else {
			b.Field(f)
		}
	}
	for v := range m.Values(sip.HdrWarning) {
		warning(b, v, sides.Place)
	}
	sides.pass(b, m)
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
