package trust

import "fmt"

// ExplainPlain returns the verdicts on a connection without TLS on which the other side spoke TLS: its first bytes are those of a record
// (RFC 8446 §5.1). Who calls us mistakes our port for one with TLS; a port that we call answers plain SIP with an alert, as a TLS server does.
func ExplainPlain(head []byte, we Role) []Verdict {
	if we == Server {
		return []Verdict{ourRefusal(Refuse(TLSOnPlain, ": it begins with a TLS record, not with SIP")), notJudged(byPeer)}
	}
	w := words{ours: true, detail: ": it answered with a TLS record"}
	if len(head) >= 7 && head[0] == 21 {
		w.detail = fmt.Sprintf(": it answered with TLS alert %d", head[6])
		for _, a := range alerts {
			if a.number == head[6] {
				w.detail += " " + a.name
			}
		}
	}
	v := Verdict{By: byPeer, KnownBy: ByAlert, Code: PlainTextOnTLS}
	v.Reason, v.Remedy = w.say(PlainTextOnTLS)
	return []Verdict{notJudged(byGateway), v}
}
