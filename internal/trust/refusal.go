package trust

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/sallyport-sip/sallyport/sip/domaincert"
)

// Code is the short name of a reason why a handshake was refused or ended: the same word in events, metrics and pages.
type Code string

// The codes; the table reasons has the words of each.
const (
	Expired             Code = "expired"
	NotYetValid         Code = "not_yet_valid"
	UnknownCA           Code = "unknown_ca"
	SelfSignedCert      Code = "self_signed"
	BadIssuer           Code = "bad_issuer"
	MissingIntermediate Code = "missing_intermediate"
	NameMismatch        Code = "name_mismatch"
	NameInCommonName    Code = "name_in_common_name"
	WildcardName        Code = "wildcard_name"
	UnrecognizedName    Code = "unrecognized_name"
	NameConstraint      Code = "name_constraint"
	WrongUsage          Code = "wrong_usage"
	NotForSIP           Code = "not_for_sip"
	PinMismatch         Code = "pin_mismatch"
	NoClientCertificate Code = "no_client_certificate"
	ChainTooDeep        Code = "chain_too_deep"
	KeyMismatch         Code = "key_mismatch"
	Revoked             Code = "revoked"
	RevocationUnknown   Code = "revocation_unknown"
	BadCertificate      Code = "bad_certificate"
	NoCommonVersion     Code = "no_common_version"
	NoCommonSuite       Code = "no_common_suite"
	NoCommonGroup       Code = "no_common_group"
	NoCommonSignature   Code = "no_common_signature"
	VersionRefused      Code = "version_refused"
	SuiteRefused        Code = "suite_refused"
	GroupRefused        Code = "group_refused"
	ALPNMismatch        Code = "alpn_mismatch"
	ResumptionRefused   Code = "resumption_refused"
	NoCertificateYet    Code = "no_certificate_yet"
	DomainValidated     Code = "domain_validated"
	PlainTextOnTLS      Code = "plain_text_on_tls"
	TLSOnPlain          Code = "tls_on_plain"
	ProtocolError       Code = "protocol_error"
	Stalled             Code = "stalled"
	ClosedWithoutAlert  Code = "closed_without_alert"
	Reset               Code = "reset"
	ConnectionRefused   Code = "connection_refused"
	NoAnswer            Code = "no_answer"
	ClockWrong          Code = "clock_wrong"
	Unreachable         Code = "unreachable"
	PeerAlert           Code = "alert"
	NotJudged           Code = "not_judged"
	Unexplained         Code = "unexplained"
)

// reasons is the one table of words. {braces} are filled from a words value; the sentence and
// the remedy are for the case that we judge a certificate of the peer's.
var reasons = []wording{
	{code: Expired, public: "its certificate has expired", sentence: "certificate {subject} expired on {until}",
		remedy: "renew it at {who}; if it should be valid, check the clock here ({now})",
		ours:   "renew this certificate of ours and reload"},
	{code: NotYetValid, public: "its certificate is not valid yet", sentence: "certificate {subject} is valid only from {from}",
		remedy: "check the clocks: here it is {now}"},
	{code: UnknownCA, public: "its certificate is not signed by a trusted CA", sentence: "certificate {subject} is signed by {issuer}, which is not trusted here{detail}",
		remedy: "if {issuer} is right, add its certificate to trust {trust}; if a trusted CA signed {issuer}, {who} must send that certificate too; else give {who} a certificate of {anchors}",
		ours:   "ask the peer to trust {issuer}, or use a certificate of a CA that it trusts",
		says:   "our certificate {subject} is signed by {issuer}, {trusted}"},
	{code: SelfSignedCert, public: "its certificate is self-signed and not trusted", sentence: "certificate {subject} is self-signed and is not in the trust",
		remedy: "add this very certificate to trust {trust}, or give {who} a certificate of {anchors}",
		ours:   "put this certificate into the peer's trust, or use one that a CA it trusts has signed",
		says:   "our certificate {subject} is self-signed, so the peer must have it in its trust"},
	{code: BadIssuer, public: "its certificate was not signed by a CA", sentence: "certificate {subject} is signed by {issuer}, which {detail}",
		remedy: "give {who} a certificate that a CA has signed, such as {anchors}"},
	{code: MissingIntermediate, public: "it sent an incomplete certificate chain", sentence: "certificate {subject} came without the certificate of its issuer {issuer}",
		remedy: "make {who} send its whole chain: its own certificate first, then {issuer}",
		ours:   "append the certificate of {issuer} to our certificate file, after our own"},
	{code: NameMismatch, public: "its certificate is for another name", sentence: "{detail}",
		remedy: "put a name of this certificate into certificate_names of {who}, if that is whom you mean; or give {who} a certificate with the SIP URI or DNS name that is wanted",
		ours:   "use a certificate that carries the name which was asked for, or correct the host of the peer's uri"},
	{code: NameInCommonName, public: "its certificate has its name only as common name", sentence: "{detail}",
		remedy: "have {who} get a certificate with the name as SIP URI or DNS name in subjectAltName; until then a policy with common_name: true lets this one count",
		ours:   "use a certificate with the name in subjectAltName"},
	{code: WildcardName, public: "its certificate is for a wildcard", sentence: "{detail}",
		remedy: "have {who} get a certificate with the name itself; until then a policy with wildcards: true lets this one count",
		ours:   "use a certificate with the name itself: RFC 5922 §7.2 lets no wildcard count"},
	{code: UnrecognizedName, public: "there is no certificate for the name asked for", sentence: "no certificate of ours is for the name that was asked for{detail}",
		says: "the peer may have no certificate for the name that we asked for{detail}", ours: "correct the host of the peer's uri, which is the name that we ask for",
		remedy: "make the peer ask for a name of ours; or name an identity with that name in identities of the listener; with sni: any the peer would get the listener's identity and judge for itself"},
	{code: NameConstraint, public: "its certificate breaks a constraint of its CA", sentence: "certificate {subject} breaks a name constraint of its CA: {detail}",
		remedy: "have {who} get a certificate within the constraints; a constraint on URIs cannot hold for sip: URIs, so use a CA without one",
		ours:   "use a certificate within the constraints of its CA"},
	{code: WrongUsage, public: "its certificate is not for this use", sentence: "certificate {subject} may not be used as a TLS {role}: its extended key usage is {detail}",
		remedy: "have {who} get a certificate with {usage}",
		ours:   "use a certificate with {usage}"},
	{code: NotForSIP, public: "its certificate is not one for SIP", sentence: "certificate {subject} is not for SIP: its extended key usage is {detail}, without sipDomain",
		remedy: "have {who} get a certificate with sipDomain (1.3.6.1.5.5.7.3.20) or without extended key usage, or leave require_sip_domain out of its policy",
		ours:   "use a certificate with sipDomain (1.3.6.1.5.5.7.3.20) or without extended key usage"},
	{code: PinMismatch, public: "its certificate is not the one that is known", sentence: "certificate {subject} is none of those that are pinned: {detail}",
		remedy: "ask {who}, by another way than this connection, whether it has a new certificate: if so, add the one or the other to pins of {who}; if not, somebody else has a certificate for its name",
		ours:   "tell the peer the pin of this certificate"},
	{code: NoClientCertificate, public: "a client certificate is missing", sentence: "no client certificate was shown",
		remedy: "give the peer a certificate to show, or set client_certificates of {listener} to optional",
		ours:   "name an identity for this peer, so that there is a certificate to show",
		says:   "we had no certificate to show"},
	{code: ChainTooDeep, public: "its certificate chain is too long", sentence: "the chain of certificate {subject} is too long: {detail}",
		remedy: "use a CA nearer to one of {anchors}, trust an intermediate of this chain, or raise chain_depth of the policy",
		ours:   "use a shorter chain"},
	{code: KeyMismatch, public: "a key does not fit its certificate", sentence: "the signature made in the handshake does not fit the certificate that was shown",
		remedy: "{who} uses a private key that does not belong to its certificate: correct its files",
		ours:   "check that our key belongs to our certificate"},
	{code: Revoked, public: "its certificate is revoked", sentence: "certificate {subject} was revoked by {issuer}{detail}",
		remedy: "find out from {issuer} why; {who} needs a new certificate, and until it has one should not be let in",
		ours:   "get a new certificate for this identity and reload"},
	{code: RevocationUnknown, public: "whether its certificate is revoked could not be found out", sentence: "nothing fresh says whether certificate {subject} was revoked by {issuer}: {detail}",
		remedy: "put a fresh CRL of {issuer} into crls of trust {trust}, or let its OCSP responder be asked (ocsp: fetch) or {who} staple its answer; with revocation: soft the certificate is taken all the same",
		ours:   "see that our OCSP answer can be had and is stapled, and that the peer reaches the CA's responder and CRLs"},
	{code: BadCertificate, public: "its certificate cannot be used", sentence: "the certificate cannot be used: {detail}",
		remedy: "give {who} a well-formed certificate",
		ours:   "use a well-formed certificate"},
	{code: NoCommonVersion, public: "no TLS version in common", sentence: "no TLS version in common{detail}",
		remedy: "make the peer speak TLS 1.2 or 1.3; what we speak is said by min_version and max_version of our policy",
		says:   "perhaps no TLS version in common{detail}", ours: "compare the versions of this peer's policy with what the peer takes"},
	{code: NoCommonSuite, public: "no cipher suite in common", sentence: "no cipher suite in common{detail}",
		remedy: "make the peer offer ECDHE suites with AES-GCM or ChaCha20 that fit our key, or use an RSA key here for an old peer; a policy with other suites widens ours",
		says:   "perhaps no cipher suite in common{detail}", ours: "compare the suites of the peer's policy with its own; the record of the handshake has what we offered"},
	{code: NoCommonGroup, public: "no key exchange group in common", sentence: "no group for the key exchange in common{detail}",
		remedy: "make the peer offer X25519 or P-256, or allow a group of its in the policy",
		says:   "perhaps no group for the key exchange in common{detail}", ours: "allow more groups in the policy of this peer: X25519 and P-256 are what most take"},
	{code: NoCommonSignature, public: "no signature algorithm in common", sentence: "no signature algorithm in common{detail}",
		remedy: "use a certificate here with a key of a kind that the peer takes, RSA for an old one; or bring the peer up to date",
		says:   "our key does not fit what the peer takes{detail}"},
	{code: VersionRefused, public: "the TLS version is not allowed", sentence: "the connection speaks {has}, and {policy} of {side} wants {detail}",
		remedy: "make both sides of the connection agree on another version: where {who} calls us, give the listener a policy with the same versions; or change {policy}"},
	{code: SuiteRefused, public: "the cipher suite is not allowed", sentence: "the connection has the cipher suite {has}, and {policy} of {side} does not",
		remedy: "make both sides agree on another suite: where {who} calls us, give the listener a policy with the same suites; or add this one to suites of {policy}"},
	{code: GroupRefused, public: "the key exchange group is not allowed", sentence: "the keys of the connection were exchanged in the group {has}, and {policy} of {side} does not have it",
		remedy: "make both sides agree on another group: where {who} calls us, give the listener a policy with the same groups; or add this one to groups of {policy}"},
	{code: ALPNMismatch, public: "no application protocol in common", sentence: "no application protocol (ALPN) in common{detail}",
		says:   "our list of application protocols (ALPN) may not suit it{detail}",
		remedy: "make {who} offer the protocol that alpn of our policy names; where {who} calls us, the listener's policy must name it too; or leave alpn out if {who} does not use it"},
	{code: ResumptionRefused, public: "the session may not be resumed", sentence: "the connection takes up an earlier session, and {policy} of {side} has resumption: off",
		remedy: "give the listener on which {who} calls a policy with resumption: off too, so that it gives out no sessions; or allow them in {policy}"},
	{code: NoCertificateYet, public: "no certificate yet", sentence: "our identity {detail} has no certificate yet: it gets one by ACME",
		remedy: "see alarm \"acme {detail}\" in sallyport status: it says what the CA has answered and when it is asked again"},
	{code: DomainValidated, public: "a domain was validated", sentence: "a CA has seen that the domain {detail} is ours (ACME); the connection was for nothing else",
		remedy: "nothing is to be done"},
	{code: PlainTextOnTLS, public: "plain text where TLS is spoken", sentence: "plain text came where TLS is spoken{detail}",
		remedy: "make the peer use TLS on this port, or send it to a tcp: listener",
		says:   "plain SIP of ours came to a port that speaks TLS{detail}", ours: "use transport=tls in the peer's uri, or the peer's port for plain SIP (5060 is usual)"},
	{code: TLSOnPlain, public: "no TLS is spoken there", sentence: "TLS was spoken to a port that expects plain SIP{detail}",
		remedy: "call the port that speaks TLS (5061 is usual); or, to go without it, let who calls use transport=tcp in the uri",
		says:   "perhaps no TLS is spoken there{detail}"},
	{code: ProtocolError, public: "the TLS exchange broke off", sentence: "the TLS exchange broke off: {detail}",
		remedy: "record the connection and look at the last step; a middle box or a faulty TLS library is likely"},
	{code: Stalled, public: "the TLS handshake took too long", sentence: "the handshake did not go on in time{detail}",
		remedy: "see whether the peer is overloaded, expects plain text, or a firewall drops long packets"},
	{code: ClosedWithoutAlert, public: "it closed the connection during the TLS handshake", sentence: "the peer closed the connection without an alert{detail}",
		remedy: "look into the peer's log: it kept its reason to itself"},
	{code: Reset, public: "it reset the connection during the TLS handshake", sentence: "the connection was reset without an alert{detail}",
		remedy: "look into the peer's log and the firewall's: no reason was sent"},
	{code: ConnectionRefused, public: "it refused the connection", sentence: "nothing listens there: the connection was refused",
		remedy: "check the peer's address and port, and that it runs"},
	{code: NoAnswer, public: "it does not answer", sentence: "nobody answers there: the connection did not come up in time",
		remedy: "check the peer's address and port; then see whether a firewall, here or there, drops what we send"},
	{code: Unreachable, public: "it cannot be reached", sentence: "no way leads there: {detail}",
		remedy: "check the peer's address, the listener whose address we call from, and the routes of this machine"},
	{code: ClockWrong, public: "a clock may be wrong", sentence: "a clock may be wrong: {detail}",
		remedy: "set the clock here by NTP or by hand, and compare the peer's",
		says:   "a clock may be wrong: {detail}"},
	{code: PeerAlert, public: "it refused the TLS handshake", sentence: "the peer ended the handshake with alert {detail}",
		remedy: "look into the peer's log for the same moment"},
	{code: NotJudged, sentence: "the handshake ended before this side had to decide"},
	{code: Unexplained, public: "the connection failed", sentence: "the connection failed: {detail}",
		remedy: "look into the log of both sides"},
}

// wording is one row of reasons.
type wording struct {
	code     Code
	public   string // what a caller may hear of it in a Warning or Reason: nothing of names, files and addresses
	sentence string
	remedy   string
	ours     string // the remedy for a certificate of ours; empty: the same
	says     string // the sentence for a certificate of ours; empty: "our " and sentence
}

// Refusal is the error of a handshake that we refuse: VerifyConnection returns it, so it arrives unchanged from
// Handshake. Reason and Remedy are for our operator; crypto/tls sends the peer nothing but alert 42.
type Refusal struct {
	Code    Code
	Reason  string
	Remedy  string
	Subject string // of the certificate it is about; empty when there is none
	Issuer  string
	Trusted []string // subjects of the anchors that it was judged by, as far as they come from files
	Err     error    // what crypto/x509 or domaincert said; may be nil
}

// Error returns the reason.
func (r *Refusal) Error() string { return r.Reason }

// Unwrap returns Err.
func (r *Refusal) Unwrap() error { return r.Err }

// Refuse makes the Refusal for a fact about a connection that no certificate is involved in, such as TLSOnPlain; detail
// may be empty.
func Refuse(code Code, detail string) *Refusal {
	return words{detail: detail}.refusal(code, nil)
}

// words fills the table's braces.
type words struct {
	cert     *x509.Certificate
	who      string // `peer "acme"`
	listener string // `listener "outside"`
	trust    string // `"partners"`
	anchors  []string
	role     string // "client" or "server": what the certificate was used as
	detail   string
	ours     bool // the certificate is ours and the peer judges it
	issuer   string
	trusted  string // what the peer says of that issuer; empty: it names others
	policy   string // `policy "strict"`
	side     string // whose policy it is
	has      string // what the handshake settled, and the policy does not want
}

// say returns the reason and the remedy for code.
func (w words) say(code Code) (reason, remedy string) {
	row := reasons[slices.IndexFunc(reasons, func(r wording) bool { return r.code == code })]
	reason, remedy = row.sentence, row.remedy
	if w.ours {
		remedy = cmp.Or(row.ours, row.remedy)
		if reason = row.says; reason == "" && strings.HasPrefix(row.sentence, "certificate ") {
			reason = "our " + row.sentence
		} else if reason == "" {
			reason = row.sentence
		}
	}
	r := w.replacer()
	return r.Replace(reason), r.Replace(remedy)
}

func (w words) replacer() *strings.Replacer {
	subject, issuer, from, until := "", w.issuer, "", ""
	if w.cert != nil {
		subject, from, until = Subject(w.cert), minute(w.cert.NotBefore), day(w.cert.NotAfter)
		if issuer == "" {
			issuer = printable(w.cert.Issuer.String())
		}
	}
	usage := "serverAuth"
	if w.role == "client" {
		usage = "clientAuth"
	}
	return strings.NewReplacer("{subject}", subject, "{issuer}", cmp.Or(issuer, "its issuer"), "{from}", from, "{until}", until,
		"{now}", minute(time.Now()), "{who}", cmp.Or(w.who, "the peer"), "{listener}", cmp.Or(w.listener, "the listener"), "{trust}", cmp.Or(w.trust, "of the listener"),
		"{anchors}", cmp.Or(list(w.anchors), "a trusted CA"), "{role}", w.role, "{trusted}", cmp.Or(w.trusted, "which is not among the CAs that the peer names"), "{usage}", usage, "{detail}", w.detail,
		"{policy}", w.policy, "{side}", w.side, "{has}", w.has)
}

func (w words) refusal(code Code, err error) *Refusal {
	code = nearly(code, err)
	r := &Refusal{Code: code, Trusted: w.anchors, Err: err}
	r.Reason, r.Remedy = w.say(code)
	if w.cert != nil {
		r.Subject, r.Issuer = Subject(w.cert), printable(w.cert.Issuer.String())
	}
	return r
}

// nearly tells names that do not count by RFC 5922, though they are the right ones, from wrong ones.
func nearly(code Code, err error) Code {
	m, ok := errors.AsType[*domaincert.MismatchError](err)
	switch {
	case code != NameMismatch || !ok:
	case m.Leave.CommonName:
		return NameInCommonName
	case m.Leave.Wildcard:
		return WildcardName
	}
	return code
}

// Public returns what may be told outside about a code: a clause about the next hop without any name of ours or of its. It is never
// empty.
func Public(code Code) string {
	i := slices.IndexFunc(reasons, func(r wording) bool { return r.code == code })
	if i < 0 || reasons[i].public == "" {
		return "the connection failed"
	}
	return reasons[i].public
}

// Codes returns all codes, in the order of the table.
func Codes() []Code {
	codes := make([]Code, len(reasons))
	for i, r := range reasons {
		codes[i] = r.code
	}
	return codes
}

// Subject returns the name by which a certificate is spoken of: its subject, or its first alternative name when the
// subject is empty. It is short and printable whatever the certificate says.
func Subject(c *x509.Certificate) string {
	s := c.Subject.String()
	switch {
	case s != "":
	case len(c.URIs) > 0:
		s = "URI:" + c.URIs[0].String()
	case len(c.DNSNames) > 0:
		s = "DNS:" + c.DNSNames[0]
	case len(c.IPAddresses) > 0:
		s = "IP:" + c.IPAddresses[0].String()
	default:
		s = "without a name"
	}
	return printable(s)
}

// printable makes a name that came from the network fit for a terminal and a log.
func printable(s string) string { return clean(s, 120) }

// clean replaces what cannot be printed and cuts at most runes.
func clean(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
	if runes := []rune(s); len(runes) > most {
		s = string(runes[:most-1]) + "…"
	}
	return s
}

func list(names []string) string {
	const most = 3
	if n := len(names); n > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", n-most)
	}
	return strings.Join(names, ", ")
}

func minute(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

func day(t time.Time) string { return t.UTC().Format("2006-01-02") }
