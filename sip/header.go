package sip

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
	numHeaders
)

// shape tells how often a header may stand in a message.
type shape uint8

const (
	list   shape = iota // any number, and several values by commas (RFC 3261 §7.3.1)
	many                // any number of fields, one value each: commas belong to the value
	single              // at most one
)

// headers is the table of known headers. compact is the one-letter form, or 0.
var headers = [numHeaders]struct {
	name    string
	compact byte
	shape   shape
}{
	HdrVia:                     {"Via", 'v', list},
	HdrFrom:                    {"From", 'f', single},
	HdrTo:                      {"To", 't', single},
	HdrCallID:                  {"Call-ID", 'i', single},
	HdrCSeq:                    {"CSeq", 0, single},
	HdrMaxForwards:             {"Max-Forwards", 0, single},
	HdrContact:                 {"Contact", 'm', list},
	HdrRecordRoute:             {"Record-Route", 0, list},
	HdrRoute:                   {"Route", 0, list},
	HdrContentLength:           {"Content-Length", 'l', single},
	HdrContentType:             {"Content-Type", 'c', single},
	HdrContentEncoding:         {"Content-Encoding", 'e', list},
	HdrContentDisposition:      {"Content-Disposition", 0, single},
	HdrContentLanguage:         {"Content-Language", 0, list},
	HdrMIMEVersion:             {"MIME-Version", 0, single},
	HdrExpires:                 {"Expires", 0, single},
	HdrMinExpires:              {"Min-Expires", 0, single},
	HdrRequire:                 {"Require", 0, list},
	HdrProxyRequire:            {"Proxy-Require", 0, list},
	HdrSupported:               {"Supported", 'k', list},
	HdrUnsupported:             {"Unsupported", 0, list},
	HdrAllow:                   {"Allow", 0, list},
	HdrAllowEvents:             {"Allow-Events", 'u', list},
	HdrEvent:                   {"Event", 'o', single},
	HdrSubscriptionState:       {"Subscription-State", 0, single},
	HdrAuthorization:           {"Authorization", 0, many},
	HdrProxyAuthorization:      {"Proxy-Authorization", 0, many},
	HdrWWWAuthenticate:         {"WWW-Authenticate", 0, many},
	HdrProxyAuthenticate:       {"Proxy-Authenticate", 0, many},
	HdrAuthenticationInfo:      {"Authentication-Info", 0, many},
	HdrAccept:                  {"Accept", 0, list},
	HdrAcceptEncoding:          {"Accept-Encoding", 0, list},
	HdrAcceptLanguage:          {"Accept-Language", 0, list},
	HdrSubject:                 {"Subject", 's', single},
	HdrDate:                    {"Date", 0, single},
	HdrTimestamp:               {"Timestamp", 0, single},
	HdrOrganization:            {"Organization", 0, single},
	HdrPriority:                {"Priority", 0, single},
	HdrServer:                  {"Server", 0, single},
	HdrUserAgent:               {"User-Agent", 0, single},
	HdrRetryAfter:              {"Retry-After", 0, single},
	HdrWarning:                 {"Warning", 0, list},
	HdrReason:                  {"Reason", 0, list},
	HdrRSeq:                    {"RSeq", 0, single},
	HdrRAck:                    {"RAck", 0, single},
	HdrSessionExpires:          {"Session-Expires", 'x', single},
	HdrMinSE:                   {"Min-SE", 0, single},
	HdrReferTo:                 {"Refer-To", 'r', single},
	HdrReferredBy:              {"Referred-By", 'b', single},
	HdrReplaces:                {"Replaces", 0, single},
	HdrPath:                    {"Path", 0, list},
	HdrServiceRoute:            {"Service-Route", 0, list},
	HdrPAssertedIdentity:       {"P-Asserted-Identity", 0, list},
	HdrPPreferredIdentity:      {"P-Preferred-Identity", 0, list},
	HdrPrivacy:                 {"Privacy", 0, single},
	HdrDiversion:               {"Diversion", 0, list},
	HdrHistoryInfo:             {"History-Info", 0, list},
	HdrSessionID:               {"Session-ID", 0, single},
	HdrSIPETag:                 {"SIP-ETag", 0, single},
	HdrSIPIfMatch:              {"SIP-If-Match", 0, single},
	HdrAlertInfo:               {"Alert-Info", 0, list},
	HdrCallInfo:                {"Call-Info", 0, list},
	HdrErrorInfo:               {"Error-Info", 0, list},
	HdrInReplyTo:               {"In-Reply-To", 0, list},
	HdrReplyTo:                 {"Reply-To", 0, single},
	HdrIdentity:                {"Identity", 'y', many},
	HdrPChargingVector:         {"P-Charging-Vector", 0, single},
	HdrPVisitedNetworkID:       {"P-Visited-Network-ID", 0, list},
	HdrPAccessNetworkInfo:      {"P-Access-Network-Info", 0, many},
	HdrPAssociatedURI:          {"P-Associated-URI", 0, list},
	HdrUserToUser:              {"User-to-User", 0, many},
	HdrJoin:                    {"Join", 0, single},
	HdrTargetDialog:            {"Target-Dialog", 0, single},
	HdrSecurityClient:          {"Security-Client", 0, list},
	HdrSecurityServer:          {"Security-Server", 0, list},
	HdrSecurityVerify:          {"Security-Verify", 0, list},
	HdrProxyAuthenticationInfo: {"Proxy-Authentication-Info", 0, many},
}

// String returns the header's full name, "" for HdrOther.
func (id HeaderID) String() string {
	if id >= numHeaders {
		return ""
	}
	return headers[id].name
}
