package gateway

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sipsRules is every MUST, MUST NOT, SHOULD and RECOMMENDED of RFC 5630, and what else
// it and RFC 3261 say about SIPS URIs that a gateway has to keep. code is the function
// that keeps a rule and tests are those that show it; without them there is nothing of
// ours that the rule is about, and does says why.
var sipsRules = []struct {
	section, rule, does, code string
	tests                     []string
}{
	{"RFC 3261 §8.1.1.8, RFC 5630 §5.1.1", "With a SIPS Request-URI or topmost Route, our Contact MUST be a SIPS URI", "our Contact has the scheme of the dialog, and is sips: too where the target or first Route is", "internal/b2bua/build.go:request", []string{"TestRule4SIPSByProfileSchemeAndTransport", "TestNoSIPSRequestLeavesOverAPlainHop"}},
	{"RFC 3261 §12.1.1, RFC 5630 §5.1.2", "The Contact of our response MUST be a SIPS URI when the Request-URI is, or the top Record-Route, or without one the Contact", "so it is", "internal/cross/sips.go:Begins", []string{"TestURIsOfARequestAgreeAboutSIPS"}},
	{"RFC 3261 §26.2.2", "UDP is not a valid transport for SIPS; `transport=tcp` and the deprecated `transport=tls` are TLS over TCP", "accepted without a transport and with tcp, tls, ws and wss; `transport=udp` gets 400, and in a peer's uri is a problem of the configuration", "internal/cross/sips.go:judged", []string{"TestURIsOfARequestAgreeAboutSIPS"}},
	{"RFC 3261 §26.4.4, RFC 5630 §3.2", "It is RECOMMENDED to inspect To for its scheme; the Vias and History-Info MAY be too", "inspected, and part of the call's verdict; nothing is refused for them", "internal/callflow/security.go:ReadClaims", []string{"TestVerdictOfACall"}},
	{"4", "A SIPS Request-URI is not downgraded, by its scheme or by a link that is not secure", "a sips: request leaves as sips: over TLS or not at all", "internal/cross/hop.go:Reach", []string{"TestNoSIPSRequestLeavesOverAPlainHop", "TestRule4SIPSByProfileSchemeAndTransport", "TestSIPSRulesForRelayedRequests"}},
	{"4, 5.3", "A SIP Request-URI MUST NOT be forwarded to a SIPS Request-URI", "deviates: a profile with `sips: required` makes a call of our own, which is sips:. The verdict stays hop-by-hop at best, as it was not sips: from its beginning", "internal/peer/peer.go:Scheme", []string{"TestRule4SIPSByProfileSchemeAndTransport", "TestVerdictOfACall"}},
	{"4", "From and To may be SIP or SIPS URIs", "opaque in what arrives; ours have the scheme of the leg", "internal/cross/uri.go:URI", []string{"TestRule4SIPSByProfileSchemeAndTransport", "TestVerdictOfACall"}},
	{"5.1.1", "A UAC MUST NOT change a SIPS URI to a SIP URI", "the scheme of a target, Route and Refer-To is never lowered", "internal/cross/sips.go:Moves", []string{"TestNoSIPSRequestLeavesOverAPlainHop", "TestTargetsOfASIPSDialogStaySIPS", "TestReferDoesNotLeadFromSIPSToSIPUnseen"}},
	{"5.1.1", "After 416, or 480 with Warning 380, the request MUST NOT be tried again as SIP", "both cross to the caller, with our name in the Warning, and nothing is tried again", "internal/b2bua/setup.go:reject", []string{"TestRefusalsOfSIPSAreNotTriedAgain"}},
	{"5.1.1", "With a SIPS Request-URI, SIP URIs in the route set MUST be changed to SIPS", "they are, on both sides", "sip/dialog/sips.go:raised", []string{"TestRoutesOfASIPSDialogAreRaised", "TestRoutesToASIPSTargetAreRaised"}},
	{"5.1.1", "With a SIP Request-URI and a SIPS topmost Route, the request MUST go over TLS", "such a dialog needs TLS as a sips: one does; over a plain hop it is not made", "sip/dialog/sips.go:SIPS", []string{"TestURIsOfARequestAgreeAboutSIPS", "TestAnswersWithTheWrongSchemeMakeNoCall", "TestNoSIPSRequestLeavesOverAPlainHop"}},
	{"5.1.1, 5.1.2, 5.3", "`transport=tls` MUST NOT be used", "deviates: our Request-URI and Contact of sip: over TLS have it, as long as peers take a URI without it for UDP. Those of sips: have none. What arrives may have it: sip: over TLS", "internal/peer/place.go:Contact", []string{"TestURIsOfARequestAgreeAboutSIPS"}},
	{"5.1.1.1, 5.2, 5.2.1", "Registrations, Path, Service-Route and GRUU", "REGISTER gets 405: there are no registrations yet; Path and Service-Route do not cross", "internal/cross/headers.go:Headers", []string{"TestMethodsOutsideDialogs", "TestRule12NothingOfOneLegShowsOnTheOther"}},
	{"5.1.1.2", "With a SIP Request-URI and no SIPS topmost Route, our Contact MUST be a SIP URI, over TLS too", "so it is", "internal/b2bua/build.go:invite", []string{"TestRule4SIPSByProfileSchemeAndTransport"}},
	{"5.1.1.2, 5.1.2", "In a target refresh of a dialog begun with SIPS, our Contact MUST be a SIPS URI, in requests and responses", "so it is", "internal/b2bua/crossing.go:pass", []string{"TestTargetsOfASIPSDialogStaySIPS"}},
	{"5.1.1.2, 5.1.2", "The same of the other side", "a request with a sip: Contact gets 400; that of a 2xx inside a dialog is passed over with a note; a 2xx that would make a dialog so gets ACK and BYE, and the caller 480 with Warning 380", "internal/cross/sips.go:Moves", []string{"TestTargetsOfASIPSDialogStaySIPS", "TestAnswersWithTheWrongSchemeMakeNoCall", "TestRingingWithTheWrongSchemeMakesNoDialog", "TestSubscriptionsOfSIPSStaySIPS"}},
	{"5.1.1.3", "What is derived from a SIPS dialog MUST NOT be SIP without authorization: REFER", "the gateway follows no REFER. One whose Refer-To is sip: gets 480 with Warning 381 where the profile of either side has `sips: required`; else it crosses with its bytes and a note in the flow, and whoever is to follow it decides. Referred-By crosses as it is", "internal/cross/sips.go:Refers", []string{"TestReferDoesNotLeadFromSIPSToSIPUnseen"}},
	{"5.1.1.3", "The same for Replaces, Join and third-party control", "an INVITE with Replaces or Join is refused with 481: it names a dialog of another leg", "internal/b2bua/build.go:newCaller", []string{"TestInviteWithReplacesGets481"}},
	{"5.1.2", "Who does not wish SIPS MUST answer 480, and SHOULD with Warning 380", "profile `sips: never`, a target without TLS, and sips: over a hop that is not TLS", "internal/cross/sips.go:NotAllowed", []string{"TestRule4SIPSByProfileSchemeAndTransport", "TestSIPSOverAPlainHopIsRefused", "TestSIPSRulesForRelayedRequests", "TestSIPSDialogsTakeNothingFromAPlainHop"}},
	{"5.1.2", "Who wishes SIPS MUST answer 480, and SHOULD with Warning 381", "profile `sips: required`", "internal/cross/sips.go:Required", []string{"TestRule4SIPSByProfileSchemeAndTransport", "TestSIPSRulesForRelayedRequests"}},
	{"5.1.2, 5.3", "URIs that are used inconsistently MUST be refused with 400", "a SIPS Request-URI with a SIP Contact; a SIPS Contact, Route or top Record-Route over a hop that is not TLS", "internal/cross/sips.go:Begins", []string{"TestURIsOfARequestAgreeAboutSIPS"}},
	{"5.3", "The last hop is no exception: a SIPS request goes to a SIPS Request-URI only, else 480 and SHOULD Warning 380", "targets without TLS and those with `sips: never` are passed over, and when none is left it is 480 with 380", "internal/route/action_to.go:decision", []string{"TestSIPSCallsPassPlainTargetsOver", "TestRule4SIPSByProfileSchemeAndTransport"}},
	{"5.3", "SIP requests SHOULD go over TLS where that is possible", "a peer's uri says whether they do; with certificate names always", "internal/peer/peer.go:compile", []string{"TestVerdictOfACall"}},
	{"5.3", "A 3xx that leads to the other scheme, a 416, and 480 with 380 or 381 MUST NOT be recursed on, and SHOULD be forwarded", "no 3xx is followed, and its Contacts are not shown to the other side: the caller gets 480, with Warning 380 or 381 where the 3xx leads to the other scheme only", "internal/cross/sips.go:Redirected", []string{"TestRedirectionsToTheOtherSchemeAreTold", "TestRefusalsOfSIPSAreNotTriedAgain"}},
	{"5.4", "Redirect servers", "the gateway redirects nobody", "", nil},
}

// TestSIPSPage writes docs/reference/sips.md, or compares it. A function or test that
// is named must be there.
func TestSIPSPage(t *testing.T) {
	known := functions(t, "../..")
	var b strings.Builder
	b.WriteString(`# SIPS

<!-- Written by TestSIPSPage in internal/gateway. To write it again: go test ./internal/gateway -run TestSIPSPage -update -->

` + "`sips:`" + ` means: TLS on every hop, or the request fails (RFC 5630 §4). The gateway keeps that on its own hops, and says
of the others what is claimed: [How secure was this call?](security.md). WebSocket with TLS counts as TLS. A peer's profile
says with ` + "`sips`" + ` whether its calls are so.

Rules without another number are of RFC 5630.

| section | rule | what the gateway does | kept by | shown by |
|---|---|---|---|---|
`)
	for _, r := range sipsRules {
		path, fn, _ := strings.Cut(r.code, ":")
		if r.code != "" && !known[path+":"+fn] {
			t.Errorf("§%s: there is no %s", r.section, r.code)
		}
		if (r.code == "") != (len(r.tests) == 0) {
			t.Errorf("§%s: code and no test, or the reverse", r.section)
		}
		section := r.section
		if !strings.HasPrefix(section, "RFC") {
			section = "§" + strings.ReplaceAll(section, ", ", ", §")
		}
		var kept, tests []string
		if fn != "" {
			kept = append(kept, fmt.Sprintf("`%s` in `%s`", fn, path))
		}
		for _, name := range r.tests {
			if !known[name] {
				t.Errorf("§%s: there is no %s", r.section, name)
			}
			tests = append(tests, "`"+name+"`")
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", section, r.rule, r.does, strings.Join(kept, ""), strings.Join(tests, ", "))
	}
	const page = "../../docs/reference/sips.md"
	if *update {
		if err := os.WriteFile(page, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(page); err != nil || string(got) != b.String() {
		t.Errorf("%s is not what the table says, %v: write it again with -update", page, err)
	}
}

// functions are those of all files, as path:name, and those of tests by name alone.
func functions(t *testing.T, root string) map[string]bool {
	t.Helper()
	found := make(map[string]bool)
	for _, dir := range []string{"internal/b2bua", "internal/callflow", "internal/cross", "internal/gateway", "internal/peer", "internal/route", "internal/relay", "sip/dialog"} {
		files, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: no files, %v", dir, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(text)) {
				rest, ok := strings.CutPrefix(line, "func ")
				if !ok {
					continue
				}
				if strings.HasPrefix(rest, "(") {
					_, rest, _ = strings.Cut(rest, ") ")
				}
				name, _, _ := strings.Cut(rest, "(")
				found[dir+"/"+filepath.Base(file)+":"+name] = true
				if strings.HasPrefix(name, "Test") {
					found[name] = true
				}
			}
		}
	}
	return found
}
