package probe

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/trust"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/resolve"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// Codes of what is no handshake's reason. Those of handshakes are trust's.
const (
	Unresolved  trust.Code = "unresolved"   // the name leads to no address
	NoResponse  trust.Code = "no_response"  // connected, and OPTIONS got no answer
	Closed      trust.Code = "closed"       // the server ended the connection instead of answering
	OutOfOrder  trust.Code = "out_of_order" // answered, as by somebody who is not in service
	BadAnswer   trust.Code = "bad_answer"   // answered by a response that is broken, or is none to our request
	NotSIP      trust.Code = "not_sip"      // what came back is no SIP
	ByItself    trust.Code = "by_itself"    // nobody can connect to a browser
	Unfulfilled trust.Code = "unfulfilled"  // the hop works, and the peer does not meet what is configured
)

// Report is all that one run found out.
type Report struct {
	Target      string // the URI
	Peer        string // its name in the configuration
	Began       time.Time
	Resolution  []resolve.Event
	ResolveErr  error // the look-up that ended the search
	Unreachable bool  // a browser's host
	Hops        []*Hop
	More        bool     // there are addresses that were not tried
	Demands     []Demand // of a configured peer: what the configuration asks for

	// What judge made of it.
	Well     bool       // a hop works, and every demand is met
	Code     trust.Code // empty when all is well
	Verdict  string     // one sentence
	Remedies []string   // most likely first; empty when all is well
}

// Best is the hop that came furthest, the first of those that came as far; nil when there was none.
func (r *Report) Best() *Hop {
	var best *Hop
	for _, h := range r.Hops {
		if best == nil || h.Works() && !best.Works() || h.Works() == best.Works() && h.Stage.rank() > best.Stage.rank() {
			best = h
		}
	}
	return best
}

// judge makes the sentence and its remedies of what was found.
func (r *Report) judge() *Report {
	h := r.Best()
	switch {
	case r.Unreachable:
		r.say(ByItself, "nobody can connect to a browser: it is called by the connection that it has opened (RFC 7118 §B.1)",
			"see whether it is connected: sallyport status")
	case h == nil:
		r.say(Unresolved, "its name leads to no server: "+r.unresolved(), r.findName())
	case !h.Works() && r.Peer == "":
		r.say(h.Failed.Code, h.whoRefuses(), forURI(h.remedies())...)
	case !h.Works():
		r.say(h.Failed.Code, h.whoRefuses(), texts(h.remedies())...)
	default:
		r.works(h)
	}
	return r
}

func (r *Report) say(code trust.Code, why string, remedies ...string) {
	r.Code = code
	r.Verdict = fmt.Sprintf("%s does not work: %s.", r.Target, strings.TrimSuffix(why, "."))
	for _, remedy := range remedies {
		if remedy != "" && !slices.Contains(r.Remedies, remedy) {
			r.Remedies = append(r.Remedies, remedy)
		}
	}
}

func (r *Report) unresolved() string {
	switch {
	case errors.Is(r.ResolveErr, resolve.ErrNoName):
		return "the DNS has no address for it"
	case r.ResolveErr != nil:
		return r.ResolveErr.Error()
	}
	return "there is no address"
}

func (r *Report) findName() string {
	switch {
	case errors.Is(r.ResolveErr, resolve.ErrUnavailable):
		return "ask the domain's operator which name serves SIP, or write a host with its port"
	case errors.Is(r.ResolveErr, resolve.ErrNoName):
		return "check the spelling of the name; then ask who runs its DNS for an SRV, A or AAAA record"
	case errors.Is(r.ResolveErr, resolve.ErrUnsupported):
		return "ask for another transport in the URI"
	}
	return "see whether the name servers of this machine can be reached, or name others in section resolver"
}

// whoRefuses says of a hop that does not work who ended it and why.
func (h *Hop) whoRefuses() string {
	v := h.Failed
	at := fmt.Sprintf("%v over %v", h.Addr, h.Transport)
	switch {
	case h.Stage != StageHandshake:
		return v.Reason + " (" + at + ")"
	case v.By == "gateway" && v.KnownBy == trust.OwnDecision && aboutCertificate(v.Code):
		return "we refuse the server: " + v.Reason + " (" + at + ")"
	case v.By == "peer" && v.KnownBy == trust.ByAlert:
		return "the server refuses us: " + v.Reason + " (" + at + ")"
	}
	return v.Reason + " (" + at + ")"
}

// aboutCertificate says whether a reason of ours is about the certificate that was shown, and not about the exchange.
func aboutCertificate(c trust.Code) bool {
	switch c {
	case trust.PlainTextOnTLS, trust.TLSOnPlain, trust.ProtocolError, trust.Stalled, trust.NoCommonVersion, trust.NoCommonSuite, trust.KeyMismatch:
		return false
	}
	return true
}

// remedy is what to do about one reason.
type remedy struct {
	code trust.Code
	text string
}

func texts(all []remedy) (out []string) {
	for _, r := range all {
		out = append(out, r.text)
	}
	return out
}

// uriRemedies are those that differ where there is no configuration to change.
var uriRemedies = map[trust.Code]string{
	trust.UnknownCA:           "name the certificate of the server's CA with --trust FILE, once you have it from its operator",
	trust.SelfSignedCert:      "have this very certificate from the server's operator and name it with --trust FILE",
	trust.NameMismatch:        "if a name that is in the certificate is whom you mean, say so with --names NAME; else this is another server, or it needs a certificate for the name that is wanted",
	trust.NoClientCertificate: "show a certificate of ours: --cert FILE --key FILE",
}

// forURI puts the remedies into the words of the command line.
func forURI(all []remedy) (out []string) {
	for _, r := range all {
		if text, ok := uriRemedies[r.code]; ok {
			r.text = text
		}
		out = append(out, r.text)
	}
	return out
}

// remedies are those of the reason, of the other reasons found in the chain, and of the causes found on our side.
func (h *Hop) remedies() []remedy {
	own := remedy{h.Failed.Code, h.Failed.Remedy}
	if h.TLS == nil || h.Stage != StageHandshake || trust.Code(h.TLS.Code) != h.Failed.Code { // or it was found out beside the handshake
		return []remedy{own}
	}
	var all, causes []remedy
	for _, v := range h.TLS.Verdicts {
		if v.ByGateway == (h.Failed.By == "gateway") && !v.Accepted && !v.Undecided && trust.Code(v.Code) != h.Failed.Code {
			causes = append(causes, remedy{trust.Code(v.Code), v.Remedy})
		}
	}
	if h.Failed.By == "gateway" {
		all = append(all, own)
		for _, r := range h.TLS.Review.Refusals {
			all = append(all, remedy{r.Code, r.Remedy})
		}
		return append(all, causes...)
	}
	return append(append(all, causes...), own) // what is found on our side is more than the peer's word
}

// judgeAnswer decides whether what came back, or that nothing did, is as it should be.
func (h *Hop) judgeAnswer(w *watch) {
	a := h.Answer
	fail := func(code trust.Code, reason, remedy string) {
		h.fail(trust.Verdict{By: "peer", KnownBy: trust.Inferred, Code: code, Reason: reason, Remedy: remedy})
	}
	if a != nil {
		h.Stage = StageAnswered
		switch {
		case a.Malformed != "":
			fail(BadAnswer, fmt.Sprintf("it answers OPTIONS with %d %s, which a gateway has to drop: %s", a.Code, phrase(a), a.Malformed),
				"have the server, or what stands before it, corrected: as it is, no call would get an answer either")
		case outOfOrder(a.Code):
			fail(OutOfOrder, fmt.Sprintf("it answers OPTIONS with %d %s", a.Code, phrase(a)), outRemedy(a))
		}
		return
	}
	h.Stage = StageOptions
	switch why := w.closed; {
	case w.odd != "":
		fail(NotSIP, "what it sends back is no SIP: "+w.odd, "check the port: something else than SIP listens there")
	case why != nil && why.Local && !errors.Is(why.Err, errDone):
		fail(NotSIP, "what it sends back is no SIP: "+why.Text, "check the port: something else than SIP listens there")
	case why != nil && !why.Local:
		fail(Closed, "it ended the connection instead of answering OPTIONS: "+why.Text,
			"look into the server's log: it may not know this address of ours, or not take OPTIONS from strangers")
	case h.Transport == transport.UDP:
		fail(NoResponse, "nobody answers OPTIONS over UDP, which also does not tell whether anybody is there",
			"check address and port; then whether a firewall drops what we send or the answer; some servers are silent to strangers")
	default:
		fail(NoResponse, "it takes the connection and does not answer OPTIONS",
			"look into the server's log; some servers are silent to those whom they do not know: see what it knows peers by, address or certificate")
	}
}

// outOfOrder says which answers are those of somebody who takes no calls: the gateway's failover goes on from there
// too. All others, 401 and 404 and 483 among them, show that requests arrive and are answered.
func outOfOrder(code int) bool { return code == 408 || code >= 500 && code < 600 && code != 501 }

func outRemedy(a *Answer) string {
	if a.RetryAfter != "" {
		return "it asks to be left alone for " + a.RetryAfter + " s (Retry-After); then look into its log"
	}
	return "look into the server's log: it is overloaded, out of service, or cannot reach what stands behind it"
}

func phrase(a *Answer) string {
	if a.Reason != "" {
		return a.Reason
	}
	return sip.StatusText(a.Code)
}

// works makes the sentence of a hop that works.
func (r *Report) works(h *Hop) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s works: it answers OPTIONS with %d %s after %s over %s", r.Target, h.Answer.Code, phrase(h.Answer), callflow.Span(h.Answer.Took), h.how())
	if n := len(r.Hops) - 1; n > 0 {
		fmt.Fprintf(&b, "; but %d of its addresses %s not", n, map[bool]string{true: "does", false: "do"}[n == 1])
		for _, f := range r.Hops[:n] {
			r.Remedies = append(r.Remedies, fmt.Sprintf("%v: %s: %s", f.Addr, f.Failed.Reason, f.Failed.Remedy))
		}
	}
	failed := 0
	for _, d := range r.Demands {
		if d.State == Missed {
			failed++
			if !slices.Contains(r.Remedies, d.Remedy) {
				r.Remedies = append(r.Remedies, d.Remedy)
			}
		}
	}
	if r.Well = failed == 0; !r.Well {
		r.Code = Unfulfilled
		fmt.Fprintf(&b, "; but %d of what its configuration asks for %s missing", failed, map[bool]string{true: "is", false: "are"}[failed == 1])
	}
	r.Verdict = b.String() + "."
}

// how names the security of a hop that works.
func (h *Hop) how() string {
	if h.TLS == nil {
		return strings.ToUpper(h.Transport.String()) + ", in clear"
	}
	s := "TLS " + h.TLS.Chosen.Version
	if h.TLS.Mutual() {
		return s + ", both sides proved who they are"
	}
	return s + ", the server proved who it is and asked for no certificate of ours"
}
