package sip

import "iter"

// HeaderID names a header field that this package knows; HdrOther stands for
// all others, whose bytes are kept as they are.
type HeaderID uint8

// The known header fields.
const (
	HdrOther HeaderID = iota
	HdrVia
	HdrFrom
	HdrTo
	HdrCallID
	HdrCSeq
	HdrMaxForwards
	HdrContact
	HdrRecordRoute
	HdrRoute
	HdrContentLength
	HdrContentType
	HdrContentEncoding
	HdrContentDisposition
	HdrContentLanguage
	HdrMIMEVersion
	HdrExpires
	HdrMinExpires
	HdrRequire
	HdrProxyRequire
	HdrSupported
	HdrUnsupported
	HdrAllow
	HdrAllowEvents
	HdrEvent
	HdrSubscriptionState
	HdrAuthorization
	HdrProxyAuthorization
	HdrWWWAuthenticate
	HdrProxyAuthenticate
	HdrAuthenticationInfo
	HdrAccept
	HdrAcceptEncoding
	HdrAcceptLanguage
	HdrSubject
	HdrDate
	HdrTimestamp
	HdrOrganization
	HdrPriority
	HdrServer
	HdrUserAgent
	HdrRetryAfter
	HdrWarning
	HdrReason
	HdrRSeq
	HdrRAck
	HdrSessionExpires
	HdrMinSE
	HdrReferTo
	HdrReferredBy
	HdrReplaces
	HdrPath
	HdrServiceRoute
	HdrPAssertedIdentity
	HdrPPreferredIdentity
	HdrPrivacy
	HdrDiversion
	HdrHistoryInfo
	HdrSessionID
	HdrSIPETag
	HdrSIPIfMatch
	HdrAlertInfo
	HdrCallInfo
	HdrErrorInfo
	HdrInReplyTo
	HdrReplyTo
	HdrIdentity
	HdrPChargingVector
	HdrPVisitedNetworkID
	HdrPAccessNetworkInfo
	HdrPAssociatedURI
	HdrUserToUser
	HdrJoin
	HdrTargetDialog
	HdrSecurityClient
	HdrSecurityServer
	HdrSecurityVerify
	HdrProxyAuthenticationInfo
	HdrFlowTimer
	HdrMaxBreadth
	numHeaders
)

// shape tells how often a header may stand in a message.
type shape uint8

const (
	list   shape = iota // any number, and several values by commas (RFC 3261 §7.3.1)
	many                // any number of fields, one value each: commas belong to the value
	single              // at most one
)

// headers is the table of known headers. compact is the one-letter form, or 0;
// section is where the grammar stands.
var headers = [numHeaders]struct {
	name    string
	compact byte
	shape   shape
	section string
	kind    kind
}{
	HdrVia:                     {"Via", 'v', list, "RFC 3261 §20.42", viaKind},
	HdrFrom:                    {"From", 'f', single, "RFC 3261 §20.20", fromToKind},
	HdrTo:                      {"To", 't', single, "RFC 3261 §20.39", fromToKind},
	HdrCallID:                  {"Call-ID", 'i', single, "RFC 3261 §20.8", callIDKind},
	HdrCSeq:                    {"CSeq", 0, single, "RFC 3261 §20.16", cseqKind},
	HdrMaxForwards:             {"Max-Forwards", 0, single, "RFC 3261 §20.22", hopsKind},
	HdrContact:                 {"Contact", 'm', list, "RFC 3261 §20.10", contactKind},
	HdrRecordRoute:             {"Record-Route", 0, list, "RFC 3261 §20.30", routeKind},
	HdrRoute:                   {"Route", 0, list, "RFC 3261 §20.34", routeKind},
	HdrContentLength:           {"Content-Length", 'l', single, "RFC 3261 §20.14", lengthKind},
	HdrContentType:             {"Content-Type", 'c', single, "RFC 3261 §20.15", mediaTypeKind},
	HdrContentEncoding:         {"Content-Encoding", 'e', list, "RFC 3261 §20.12", tokenKind},
	HdrContentDisposition:      {"Content-Disposition", 0, single, "RFC 3261 §20.11", dispositionKind},
	HdrContentLanguage:         {"Content-Language", 0, list, "RFC 3261 §20.13", languageTagKind},
	HdrMIMEVersion:             {"MIME-Version", 0, single, "RFC 3261 §20.24", versionKind},
	HdrExpires:                 {"Expires", 0, single, "RFC 3261 §20.19", secondsKind},
	HdrMinExpires:              {"Min-Expires", 0, single, "RFC 3261 §20.23", secondsKind},
	HdrRequire:                 {"Require", 0, list, "RFC 3261 §20.32", tokenKind},
	HdrProxyRequire:            {"Proxy-Require", 0, list, "RFC 3261 §20.29", tokenKind},
	HdrSupported:               {"Supported", 'k', list, "RFC 3261 §20.37", tokenKind.orEmpty()},
	HdrUnsupported:             {"Unsupported", 0, list, "RFC 3261 §20.40", tokenKind},
	HdrAllow:                   {"Allow", 0, list, "RFC 3261 §20.5", tokenKind.orEmpty()},
	HdrAllowEvents:             {"Allow-Events", 'u', list, "RFC 6665 §8.2.2", eventTypeKind},
	HdrEvent:                   {"Event", 'o', single, "RFC 6665 §8.2.1", eventKind},
	HdrSubscriptionState:       {"Subscription-State", 0, single, "RFC 6665 §8.2.3", subscriptionKind},
	HdrAuthorization:           {"Authorization", 0, many, "RFC 3261 §20.7", credentialsKind},
	HdrProxyAuthorization:      {"Proxy-Authorization", 0, many, "RFC 3261 §20.28", credentialsKind},
	HdrWWWAuthenticate:         {"WWW-Authenticate", 0, many, "RFC 3261 §20.44", challengeKind},
	HdrProxyAuthenticate:       {"Proxy-Authenticate", 0, many, "RFC 3261 §20.27", challengeKind},
	HdrAuthenticationInfo:      {"Authentication-Info", 0, many, "RFC 3261 §20.6", authInfoKind},
	HdrAccept:                  {"Accept", 0, list, "RFC 3261 §20.1", mediaRangeKind.orEmpty()},
	HdrAcceptEncoding:          {"Accept-Encoding", 0, list, "RFC 3261 §20.2", preferenceKind.orEmpty()},
	HdrAcceptLanguage:          {"Accept-Language", 0, list, "RFC 3261 §20.3", languageKind.orEmpty()},
	HdrSubject:                 {"Subject", 's', single, "RFC 3261 §20.36", textKind.orEmpty()},
	HdrDate:                    {"Date", 0, single, "RFC 3261 §20.17", dateKind},
	HdrTimestamp:               {"Timestamp", 0, single, "RFC 3261 §20.38", timestampKind},
	HdrOrganization:            {"Organization", 0, single, "RFC 3261 §20.25", textKind.orEmpty()},
	HdrPriority:                {"Priority", 0, single, "RFC 3261 §20.26", tokenKind},
	HdrServer:                  {"Server", 0, single, "RFC 3261 §20.35", productsKind},
	HdrUserAgent:               {"User-Agent", 0, single, "RFC 3261 §20.41", productsKind},
	HdrRetryAfter:              {"Retry-After", 0, single, "RFC 3261 §20.33", retryAfterKind},
	HdrWarning:                 {"Warning", 0, list, "RFC 3261 §20.43", warningKind},
	HdrReason:                  {"Reason", 0, list, "RFC 3326 §2", reasonKind},
	HdrRSeq:                    {"RSeq", 0, single, "RFC 3262 §7.1", rseqKind},
	HdrRAck:                    {"RAck", 0, single, "RFC 3262 §7.2", rackKind},
	HdrSessionExpires:          {"Session-Expires", 'x', single, "RFC 4028 §4", sessionExpiresKind},
	HdrMinSE:                   {"Min-SE", 0, single, "RFC 4028 §5", intervalKind},
	HdrReferTo:                 {"Refer-To", 'r', single, "RFC 3515 §2.1", addressKind},
	HdrReferredBy:              {"Referred-By", 'b', single, "RFC 3892 §3", addressKind},
	HdrReplaces:                {"Replaces", 0, single, "RFC 3891 §6.1", replacesKind},
	HdrPath:                    {"Path", 0, list, "RFC 3327 §4", routeKind},
	HdrServiceRoute:            {"Service-Route", 0, list, "RFC 3608 §5", routeKind},
	HdrPAssertedIdentity:       {"P-Asserted-Identity", 0, list, "RFC 3325 §9.1", identifiedKind},
	HdrPPreferredIdentity:      {"P-Preferred-Identity", 0, list, "RFC 3325 §9.2", identifiedKind},
	HdrPrivacy:                 {"Privacy", 0, single, "RFC 3323 §4.2", privacyKind},
	HdrDiversion:               {"Diversion", 0, list, "RFC 5806 §4", routeKind},
	HdrHistoryInfo:             {"History-Info", 0, list, "RFC 7044 §5", historyKind},
	HdrSessionID:               {"Session-ID", 0, single, "RFC 7989 §5", sessionIDKind},
	HdrSIPETag:                 {"SIP-ETag", 0, single, "RFC 3903 §11.3.1", tokenKind},
	HdrSIPIfMatch:              {"SIP-If-Match", 0, single, "RFC 3903 §11.3.2", tokenKind},
	HdrAlertInfo:               {"Alert-Info", 0, list, "RFC 3261 §20.4", referenceKind},
	HdrCallInfo:                {"Call-Info", 0, list, "RFC 3261 §20.9", referenceKind},
	HdrErrorInfo:               {"Error-Info", 0, list, "RFC 3261 §20.18", referenceKind},
	HdrInReplyTo:               {"In-Reply-To", 0, list, "RFC 3261 §20.21", callIDKind},
	HdrReplyTo:                 {"Reply-To", 0, single, "RFC 3261 §20.31", fromToKind},
	HdrIdentity:                {"Identity", 'y', many, "RFC 8224 §4", identityKind},
	HdrPChargingVector:         {"P-Charging-Vector", 0, single, "RFC 7315 §5.6", chargingKind},
	HdrPVisitedNetworkID:       {"P-Visited-Network-ID", 0, list, "RFC 7315 §5.3", valueItemKind},
	HdrPAccessNetworkInfo:      {"P-Access-Network-Info", 0, many, "RFC 7315 §5.4", itemKind},
	HdrPAssociatedURI:          {"P-Associated-URI", 0, list, "RFC 7315 §5.1", routeKind},
	HdrUserToUser:              {"User-to-User", 0, many, "RFC 7433 §4.1", valueItemKind},
	HdrJoin:                    {"Join", 0, single, "RFC 3911 §7.1", replacesKind},
	HdrTargetDialog:            {"Target-Dialog", 0, single, "RFC 4538 §7", targetDialogKind},
	HdrSecurityClient:          {"Security-Client", 0, list, "RFC 3329 §2.2", itemKind},
	HdrSecurityServer:          {"Security-Server", 0, list, "RFC 3329 §2.2", itemKind},
	HdrSecurityVerify:          {"Security-Verify", 0, list, "RFC 3329 §2.2", itemKind},
	HdrProxyAuthenticationInfo: {"Proxy-Authentication-Info", 0, many, "RFC 7615 §4", authInfoKind},
	HdrFlowTimer:               {"Flow-Timer", 0, single, "RFC 5626 §10", flowTimerKind},
	HdrMaxBreadth:              {"Max-Breadth", 0, single, "RFC 5393 §5.3.3", breadthKind},
}

// String returns the header's full name, "" for HdrOther.
func (id HeaderID) String() string {
	if id >= numHeaders {
		return ""
	}
	return headers[id].name
}

// HeaderInfo is what this package knows of a header.
type HeaderInfo struct {
	ID      HeaderID
	Name    string
	Compact byte   // the one-letter form, or 0
	List    bool   // several values may stand in one field, with commas between
	Single  bool   // one field at most
	Section string // RFC and section of the grammar: "RFC 3261 §20.15"
	Type    string // the Go type of one value
	Empty   bool   // the field may have no value
}

// Headers returns every known header in the order of their numbers.
func Headers() iter.Seq[HeaderInfo] {
	return func(yield func(HeaderInfo) bool) {
		for id := HdrVia; id < numHeaders; id++ {
			h := &headers[id]
			if !yield(HeaderInfo{id, h.name, h.compact, h.shape == list, h.shape == single, h.section, h.kind.name, h.kind.empty}) {
				return
			}
		}
	}
}
