package trust

import (
	"crypto/tls"
	"fmt"
	"slices"

	"github.com/sallyport-sip/sallyport/internal/config"
)

// settled judges what a handshake settled besides certificates. On connections of our own, and for a listener's policy,
// crypto/tls has kept to most of it; the policy of the peer that called on a listener is asked here for the first time.
func (v *verification) settled() *Refusal {
	if v.state == nil {
		return nil
	}
	for _, judge := range []func(*verification) *Refusal{
		(*verification).version, (*verification).suite, (*verification).group, (*verification).protocol, (*verification).resumption,
	} {
		if r := judge(v); r != nil {
			return r
		}
	}
	return nil
}

// settled judges a connection on which no certificate was shown.
func (p *Policy) settled(st tls.ConnectionState) error {
	v := &verification{Policy: p, role: Client, state: &st}
	if r := v.settled(); r != nil {
		return r
	}
	return nil
}

func (v *verification) version() *Refusal {
	version := tls.VersionName(v.state.Version)
	switch least, most := v.Rules.MinVersion, v.Rules.MaxVersion; {
	case v.state.Version < least.Number():
		return v.unfit(VersionRefused, version, fmt.Sprintf("TLS %s at least", least))
	case v.state.Version > most.Number():
		return v.unfit(VersionRefused, version, fmt.Sprintf("TLS %s at most", most))
	}
	return nil
}

func (v *verification) suite() *Refusal {
	if id := v.state.CipherSuite; v.state.Version < tls.VersionTLS13 && !slices.Contains(v.Rules.CipherSuites(), id) {
		return v.unfit(SuiteRefused, tls.CipherSuiteName(id), "")
	}
	return nil
}

// group passes RSA key exchange, which has no group.
func (v *verification) group() *Refusal {
	if id := v.state.CurveID; len(v.Rules.Groups) > 0 && id != 0 && !slices.Contains(v.Rules.Curves(), id) {
		return v.unfit(GroupRefused, config.GroupName(id), "")
	}
	return nil
}

// protocol passes that of a WebSocket, which is the transport's and not the policy's.
func (v *verification) protocol() *Refusal {
	got := v.state.NegotiatedProtocol
	if len(v.Rules.ALPN) == 0 || got == "http/1.1" || slices.Contains(v.Rules.ALPN, got) {
		return nil
	}
	picked := "none was agreed on"
	if got != "" {
		picked = fmt.Sprintf("%q was agreed on", clean(got, 60))
	}
	return v.unfit(ALPNMismatch, "", fmt.Sprintf(": %s, and alpn of %s wants %s", picked, v.Who, list(v.Rules.ALPN)))
}

func (v *verification) resumption() *Refusal {
	if v.state.DidResume && v.Rules.Resumption == config.ResumptionOff {
		return v.unfit(ResumptionRefused, "", "")
	}
	return nil
}

// unfit says what the connection has, and what the policy wants instead.
func (v *verification) unfit(code Code, has, wants string) *Refusal {
	w := v.words(nil)
	w.side, w.has, w.detail, w.policy = v.Who, has, wants, "the default policy"
	if v.Rules.Name != "" {
		w.policy = fmt.Sprintf("policy %q", v.Rules.Name)
	}
	return w.refusal(code, nil)
}
