package trust

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-sip/sallyport/sip/domaincert"
)

// peerRefusal quotes the peer's alert, and then says what on our side can be behind it. A cause is listed only with its
// evidence; when there is none, the verdict says so.
func peerRefusal(a alert, we Role, f Facts) []Verdict {
	found := causes(a.causes, we, f)
	v := Verdict{By: byPeer, KnownBy: ByAlert, Code: a.code}
	v.Reason, v.Remedy = words{detail: fmt.Sprintf("%d %s", a.number, a.name)}.say(PeerAlert)
	if a.means != "" {
		v.Reason += ": " + a.means
	}
	if a.code != PeerAlert {
		w := words{ours: true}
		if len(f.Presented) > 0 {
			w.cert = f.Presented[0]
		}
		_, v.Remedy = w.say(a.code)
	}
	if len(found) == 0 && (a.causes == nil || len(a.causes) > 0) {
		v.Reason += "; none of our own checks explains it"
		if a.code == Expired {
			v.Remedy = "check the clock of the peer: by the clock here our certificate is within its time"
		}
	}
	return append([]Verdict{v}, found...)
}

// causes runs our own certificate through our own checks, in the order of likelihood, and returns what applies. Only
// codes that can be behind the alert are kept; nil keeps all.
func causes(can []Code, we Role, f Facts) []Verdict {
	var found []Verdict
	add := func(code Code, w words) {
		if can != nil && !slices.Contains(can, code) {
			return
		}
		w.ours, w.role = true, we.String()
		v := Verdict{By: byPeer, KnownBy: Inferred, Code: code}
		v.Reason, v.Remedy = w.say(code)
		found = append(found, v)
	}
	if len(f.Presented) == 0 {
		if we == Client && f.Asked {
			add(NoClientCertificate, words{})
		}
		return found
	}
	leaf := f.Presented[0]
	for _, c := range f.Presented {
		if code := lifetime(c, time.Now()); code != "" {
			add(code, words{cert: c})
		}
	}
	if !allows(leaf, we) {
		add(WrongUsage, words{cert: leaf, detail: strings.Join(UsageNames(leaf), ", ")})
	}
	if selfSigned(leaf) {
		add(SelfSignedCert, words{cert: leaf})
	} else if we == Client && len(f.AcceptableCAs) > 0 && !acceptable(f) {
		add(UnknownCA, words{cert: leaf})
	}
	if we == Server && f.ServerName != "" {
		if _, err := domaincert.Match(leaf, []string{f.ServerName}, domaincert.Options{}); err != nil {
			add(NameMismatch, words{cert: leaf, detail: "the peer asked for " + printable(f.ServerName) + ": our " + err.Error()})
		}
	}
	return found
}

// acceptable reports whether the peer named a CA that signed one of the certificates we showed.
func acceptable(f Facts) bool {
	for _, c := range f.Presented {
		for _, ca := range f.AcceptableCAs {
			if bytes.Equal(c.RawIssuer, ca) {
				return true
			}
		}
	}
	return false
}
