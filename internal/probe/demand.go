package probe

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/peer"
	"github.com/sallyport-sip/sallyport/internal/trust"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// State says whether a demand is met.
type State string

// The states of a demand.
const (
	Met    State = "met"
	Missed State = "missed"
	Open   State = "open" // this hop does not tell, or nothing depends on it
)

// Demand is one thing that the configuration of a peer asks for, and what the hop showed of it.
type Demand struct {
	Name   string `json:"name"`  // "sips", "tls versions", …
	Wants  string `json:"wants"` // what the configuration says
	Found  string `json:"found"`
	State  State  `json:"state"`
	Remedy string `json:"remedy,omitempty"` // of one that is missed
}

// subject is what the demands are judged by.
type subject struct {
	*peer.Peer
	hop     *Hop
	profile config.Profile
	policy  config.Policy
}

// demandRows are the rows, in their order; a nil Demand is none.
var demandRows = []func(*subject) *Demand{
	(*subject).sips, (*subject).versions, (*subject).suites, (*subject).groups, (*subject).alpn, (*subject).chain, (*subject).names, (*subject).mutual,
	(*subject).alias, (*subject).pong, (*subject).options, (*subject).methods,
}

// demands fills in what the configuration asks of the peer. A URI that stands in no configuration asks for nothing.
func (p *Probe) demands(r *Report, to *peer.Peer) {
	h := r.Best()
	if p.Target || h == nil {
		return
	}
	profile, _ := p.profiles(to.Name)
	s := &subject{to, h, profile, p.reach.Policy(to)}
	for _, row := range demandRows {
		if d := row(s); d != nil {
			r.Demands = append(r.Demands, *d)
		}
	}
}

// sips is the rule for the sips scheme (RFC 5630).
func (s *subject) sips() *Demand {
	d := &Demand{Name: "sips", Wants: string(s.SIPS), State: Met, Found: "the hop is " + strings.ToUpper(s.hop.Transport.String())}
	switch {
	case s.hop.Answer != nil && s.hop.Answer.Code == 416 && s.Scheme(false) == "sips":
		d.State, d.Found = Missed, "it answers 416: it does not take sips: URIs"
		d.Remedy = "have the peer take sips:, or set sips: never in its profile; the hop stays on TLS"
	case s.SIPS == config.SIPSRequired && !s.hop.Transport.Secure():
		d.State, d.Remedy = Missed, "give the peer's uri ;transport=tls or write sips:, or set sips: allowed in its profile"
	case s.SIPS == config.SIPSAllowed && !s.hop.Transport.Secure():
		d.Found += ", so calls that are sips: will not be sent there"
	}
	return d
}

// versions are those of TLS that the policy allows.
func (s *subject) versions() *Demand {
	if s.hop.TLS == nil {
		return nil
	}
	d := &Demand{Name: "tls versions", Wants: fmt.Sprintf("%s to %s", s.policy.MinVersion, s.policy.MaxVersion), Found: s.hop.TLS.Chosen.Version, State: Met}
	switch v := config.TLSVersion(s.hop.TLS.Chosen.Version); {
	case s.hop.Failed != nil && s.hop.Failed.Code == trust.NoCommonVersion:
		d.State, d.Found, d.Remedy = Missed, "none in common", s.hop.Failed.Remedy
	case v == "":
		d.State, d.Found = Open, "the handshake did not come so far"
	case v < s.policy.MinVersion || v > s.policy.MaxVersion:
		d.State, d.Remedy = Missed, "change min_version or max_version of the peer's policy, or have the peer speak another one"
	}
	return d
}

// suites are those of TLS 1.2 that the policy names.
func (s *subject) suites() *Demand {
	if s.hop.TLS == nil || len(s.policy.Suites) == 0 {
		return nil
	}
	d := &Demand{Name: "suites", Wants: words(s.policy.Suites), State: Open, Found: "the handshake did not come so far"}
	switch c := s.hop.TLS.Chosen; {
	case s.hop.Failed != nil && s.hop.Failed.Code == trust.NoCommonSuite:
		d.State, d.Found, d.Remedy = Missed, "none in common", s.hop.Failed.Remedy
	case c.Version == "1.3":
		d.Found = "TLS 1.3 has its own: " + c.Suite
	case c.Suite != "":
		d.State, d.Found = Met, c.Suite
	}
	return d
}

// groups are those of the key exchange that the policy names.
func (s *subject) groups() *Demand {
	if s.hop.TLS == nil || len(s.policy.Groups) == 0 {
		return nil
	}
	d := &Demand{Name: "groups", Wants: words(s.policy.Groups), State: Open, Found: "the handshake did not come so far"}
	if c := s.hop.TLS.Chosen; c.Group != "" {
		d.State, d.Found = Met, c.Group
	}
	return d
}

// alpn is the application protocol (RFC 7301) that the policy wants agreed on.
func (s *subject) alpn() *Demand {
	if s.hop.TLS == nil || len(s.policy.ALPN) == 0 {
		return nil
	}
	d := &Demand{Name: "ALPN", Wants: strings.Join(s.policy.ALPN, " or "), State: Open, Found: "the handshake did not come so far"}
	switch c := s.hop.TLS.Chosen; {
	case slices.Contains(s.policy.ALPN, c.ALPN):
		d.State, d.Found = Met, c.ALPN
	case s.hop.Failed != nil && s.hop.Stage == StageHandshake && s.hop.Failed.Code == trust.ALPNMismatch:
		d.State, d.Found, d.Remedy = Missed, "none was agreed on", s.hop.Failed.Remedy
	}
	return d
}

// words joins values of the configuration.
func words[T ~string](all []T) string {
	out := make([]string, len(all))
	for i, v := range all {
		out[i] = string(v)
	}
	return strings.Join(out, " ")
}

// chain is what the certificate has to lead to.
func (s *subject) chain() *Demand {
	if s.hop.TLS == nil {
		return nil
	}
	d := &Demand{Name: "trust", Wants: "a chain to " + strings.Join(s.Trust, ", "), State: Met}
	switch chain := s.hop.TLS.Review.Verified.Chain; {
	case len(chain) > 0:
		d.Found = "it leads to " + trust.Subject(chain[len(chain)-1])
	case len(s.hop.TLS.Chain) == 0:
		d.State, d.Found = Open, "no certificate was shown"
	default:
		d.Found = "it does"
		for _, r := range s.hop.TLS.Review.Refusals {
			if r.Code != trust.NameMismatch {
				d.State, d.Found, d.Remedy = Missed, r.Reason, r.Remedy
				break
			}
		}
	}
	return d
}

// names are those of which the certificate must have one (RFC 5922 §7.2).
func (s *subject) names() *Demand {
	if s.hop.TLS == nil || len(s.CertNames) == 0 {
		return nil
	}
	d := &Demand{Name: "names", Wants: strings.Join(s.CertNames, " or "), State: Open, Found: "no certificate was shown"}
	if len(s.hop.TLS.Chain) == 0 {
		return d
	}
	d.State, d.Found = Met, "the certificate has it"
	if m := s.hop.TLS.Review.Verified.Matched; m.Want != "" {
		d.Found = m.Name.String()
	}
	for _, r := range s.hop.TLS.Review.Refusals {
		if r.Code == trust.NameMismatch {
			d.State, d.Found, d.Remedy = Missed, r.Reason, r.Remedy
		}
	}
	return d
}

// mutual says whether the server asks who we are: without that nothing on its side keeps others out.
func (s *subject) mutual() *Demand {
	if s.hop.TLS == nil || s.Identity == "" {
		return nil
	}
	d := &Demand{Name: "our certificate", Wants: "the server asks for it and accepts it: identity " + s.Identity, State: Met, Found: "it asks, and accepts"}
	switch {
	case s.hop.Failed != nil && s.hop.Stage == StageHandshake && s.hop.Failed.By == "peer":
		d.State, d.Found, d.Remedy = Missed, s.hop.Failed.Reason, s.hop.Failed.Remedy
	case !s.hop.TLS.Complete():
		d.State, d.Found = Open, "the handshake did not come so far"
	case !s.hop.TLS.Asked:
		d.State, d.Found = Open, "it does not ask: it knows us by something else, or by nothing"
	}
	return d
}

// alias is the use of one connection in both directions (RFC 5923). The probe offers none, or the peer would send calls
// to a connection that is about to end.
func (s *subject) alias() *Demand {
	with := s.profile.Connection.Alias
	if with == config.AliasOff || s.hop.Transport != transport.TLS || s.hop.TLS == nil {
		return nil
	}
	d := &Demand{Name: "alias", Wants: string(with), State: Open}
	switch {
	case !s.hop.TLS.Complete():
		d.Found = "the handshake did not come so far"
	case s.hop.TLS.Mutual() && with.Offers():
		d.State, d.Found = Met, "both sides proved who they are, so the gateway offers its connection; the probe does not"
	case s.hop.TLS.Mutual():
		d.State, d.Found = Met, "both sides proved who they are, so the peer may offer its connections"
	default:
		d.Found = "only the server proved who it is, so no connection serves both directions"
	}
	return d
}

// pong is the answer to a keep-alive on a stream (RFC 5626 §3.5.1).
func (s *subject) pong() *Demand {
	with := s.profile.Connection.Ping
	if with == config.PingOff || !s.hop.Transport.Reliable() || s.hop.Transport.WebSocket() {
		return nil
	}
	d := &Demand{Name: "keep-alive", Wants: "ping: " + string(with), State: Open, Found: "not asked: OPTIONS had no answer"}
	if s.hop.Pong == nil {
		return d
	}
	switch {
	case s.hop.Pong.Came:
		d.State, d.Found = Met, "it answers a double CRLF after "+callflow.Span(s.hop.Pong.Took)
	case with == config.PingRequired || s.hop.Promised:
		d.State, d.Found = Missed, fmt.Sprintf("it does not answer a double CRLF within %v", pongWithin)
		d.Remedy = "set connection: ping: learn in the profile, or have the peer answer as RFC 5626 has it: the gateway would end such connections"
	default:
		d.Found = "it does not answer a double CRLF, so a missing answer will not count"
	}
	if s.hop.Promised {
		d.Found += "; it promises to, by keep"
	}
	return d
}

// options says whether the peer answers at all.
func (s *subject) options() *Demand {
	d := &Demand{Name: "OPTIONS", Wants: "an answer", State: Missed, Found: "none"}
	if a := s.hop.Answer; a != nil {
		d.Found = fmt.Sprintf("%d %s after %s", a.Code, phrase(a), callflow.Span(a.Took))
		if !outOfOrder(a.Code) {
			d.State = Met
			return d
		}
	}
	if s.hop.Failed != nil {
		d.Remedy = s.hop.Failed.Remedy
	}
	return d
}

// methods are those that calls with the peer need, as the profile has them. A peer that lists none may know all.
func (s *subject) methods() *Demand {
	if s.hop.Answer == nil {
		return nil
	}
	need := []sip.Method{sip.INVITE, sip.ACK, sip.BYE, sip.CANCEL}
	if s.KeepAlive > 0 {
		need = append(need, sip.OPTIONS)
	}
	var wants, lacks []string
	for _, m := range need {
		wants = append(wants, string(m))
		if !slices.ContainsFunc(s.hop.Answer.Allow, func(a string) bool { return a == string(m) }) {
			lacks = append(lacks, string(m))
		}
	}
	d := &Demand{Name: "methods", Wants: strings.Join(wants, " "), State: Met, Found: "Allow has them"}
	switch {
	case s.hop.Answer.Allow == nil:
		d.State, d.Found = Open, "it does not say: there is no Allow in its answer"
	case len(lacks) == 1 && lacks[0] == string(sip.OPTIONS):
		d.State, d.Found = Missed, "Allow lacks OPTIONS"
		d.Remedy = "set keep_alive: 0 in the profile, or the gateway asks in every call and may take the answer for the call's end"
	case len(lacks) > 0:
		d.State, d.Found = Missed, "Allow lacks "+strings.Join(lacks, " ")
		d.Remedy = "see whether this is the right server: one that lacks them takes no calls"
	}
	return d
}
