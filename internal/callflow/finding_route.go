package callflow

import (
	"fmt"
	"strings"
)

// foreignRoute is a request that reached us with a Route to another address. A name may be one of ours.
func foreignRoute(s *study, l *half) []found {
	m := l.first(func(m *heard) bool {
		return !m.out && m.request && len(m.detail.routes) > 0 && m.detail.routes[0].addr.IsValid() && !s.ours[m.detail.routes[0].host]
	})
	if m == nil {
		return nil
	}
	return one(rowsOf(m), "the %s of %s on %s has the Route %s, which is not the gateway: it was to go elsewhere first, or the proxy before us did not take its own Route off",
		m.method, l.name, l.on(), m.detail.routes[0].uri)
}

// strictRoute is a Record-Route without lr.
func strictRoute(_ *study, l *half) []found {
	for _, m := range l.msgs {
		if m.out || m.method != "INVITE" {
			continue
		}
		for _, r := range m.detail.recorded {
			if r.scheme != "" && !r.lr {
				return one(rowsOf(m), "%s gives the Record-Route %s on %s, which has no lr: requests in the dialog are routed strictly, with that URI as their target", l.name, r.uri, l.on())
			}
		}
	}
	return nil
}

// looped is a call that went in a circle.
func looped(s *study, l *half) []found {
	m := l.first(func(m *heard) bool { return !m.request && (m.code == 482 || m.code == 483) })
	if m == nil || m.out && len(s.legs) > 1 {
		return nil
	}
	req := l.request(m)
	hops := ""
	if req != nil && req.detail.vias > 1 {
		hops = fmt.Sprintf(", after %d hops", req.detail.vias)
	}
	word := "the same request has come back"
	if m.code == 483 {
		word = "its Max-Forwards was used up"
	}
	return one(rowsOf(req, m), "%s answered %d %s on %s%s: %s", s.sender(m), m.code, m.phrase(), l.on(), hops, word)
}

// manyHops is how many a call may have had before it reached us without being remarkable.
const manyHops = 6

// longWay is a call that has passed many hops, or has few left.
func longWay(_ *study, l *half) []found {
	m := l.initialInvite()
	if m == nil || m.out {
		return nil
	}
	few := m.detail.maxForwards >= 0 && m.detail.maxForwards < 10
	if m.detail.vias <= manyHops && !few {
		return nil
	}
	return one(rowsOf(m), "the INVITE of %s has passed %d hops before ours and may pass %d more", l.name, max(m.detail.vias-1, 0), max(m.detail.maxForwards, 0))
}

// untaken is a call that the gateway had no way for, and said so with these words.
func untaken(words string, tell func(who, called, why string) found) func(*study, *half) []found {
	return func(s *study, l *half) []found {
		no := l.first(func(m *heard) bool { return m.out && !m.request && m.method == "INVITE" && m.code >= 300 })
		if no == nil {
			return nil
		}
		for _, r := range l.rows {
			why, is := strings.CutSuffix(r.Label, words)
			if r.Kind != RowNote || !is {
				continue
			}
			who, why, told := strings.Cut(strings.TrimPrefix(why, "peer "), ": ")
			if !told {
				who = l.name
			}
			called, _, _ := strings.Cut(s.To, "@")
			f := tell(who, called, why)
			f.sentence += fmt.Sprintf(", so the %s answered %d on %s", s.gateway, no.code, l.on())
			f.rows = append(rowsOf(l.initialInvite(), no), r.Number)
			return []found{f}
		}
		return nil
	}
}

func noRoute(who, called, _ string) found {
	return found{sentence: fmt.Sprintf("no row of routes takes a call from %s to %s", who, called),
		remedy: fmt.Sprintf("add a row to `routes` with %s in `from` and a `number` that fits %s, or let %s dial what a row has", who, called, who)}
}

func sipsNowhere(who, called, why string) found {
	which, _, _ := strings.Cut(why, " matches")
	return found{sentence: fmt.Sprintf("%s called %s by sips:, which asks for TLS on every hop, and no target of %s is reached over TLS", who, called, which),
		remedy: fmt.Sprintf("give a target of that route a `uri` with transport=tls and a profile without `sips: never`, or let %s call sip:", who)}
}

// unresolved is a target whose name led to no address.
func unresolved(_ *study, l *half) []found {
	_, after, is := strings.Cut(l.failure, ": resolve ")
	name, why, told := strings.Cut(after, ": ")
	if !is || !told {
		return nil
	}
	for _, r := range l.rows {
		if r.Kind == RowNote && strings.Contains(r.Label, l.failure) {
			return []found{{rows: []int{r.Number},
				sentence: fmt.Sprintf("no server has the name %s, by which %s is called on %s: %s", name, l.name, l.on(), why),
				remedy:   fmt.Sprintf("correct the host in the `uri` of peer %s, or its DNS; `sallyport probe %s` shows what was asked and answered", l.name, l.name)}}
		}
	}
	return nil
}
