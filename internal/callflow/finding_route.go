package callflow

import "fmt"

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
