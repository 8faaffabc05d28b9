package sip

// Check looks at what every message needs before anybody acts on it, so that
// an accessor never finds a bad header too late: the mandatory headers
// (RFC 3261 §8.1.1), those that stand at most once, and all that is routed on.
// The error is a *ParseError.
func (m *Message) Check() error {
	if m.err != nil {
		return m.err
	}
	if _, err := m.Via(); err != nil {
		return err
	}
	cseq, err := m.CSeq()
	if err != nil {
		return err
	}
	if err := m.checkAddress(HdrFrom); err != nil {
		return err
	}
	if err := m.checkAddress(HdrTo); err != nil {
		return err
	}
	if id := m.First(HdrCallID); !callID(id) {
		return m.broken(HdrCallID, "a word, or two with an @ between")
	}
	if m.code != 0 {
		return nil
	}
	return m.checkRequest(cseq)
}

func (m *Message) checkRequest(cseq CSeq) error {
	if cseq.Method != m.method {
		return m.broken(HdrCSeq, "the method is that of the request line")
	}
	if v := m.First(HdrMaxForwards); v != nil {
		if _, ok := number(v, 255); !ok {
			return m.broken(HdrMaxForwards, "a number from 0 to 255")
		}
	}
	if u, rule := parseURI(m.RequestURI()); rule != "" {
		return ruleError("Request-URI", int(m.uri.start), rule)
	} else if u.SIP() && u.Headers != nil {
		return ruleError("Request-URI", int(m.uri.start), "a Request-URI has no headers (RFC 3261 §19.1.1)")
	}
	if m.first[HdrContact] > 0 {
		if err := m.checkContact(); err != nil {
			return err
		}
	} else if m.method == INVITE {
		return m.broken(HdrContact, "")
	}
	if m.first[HdrRoute] > 0 {
		for v := range m.Values(HdrRoute) {
			if a, rule := parseAddress(v); rule != "" {
				return m.broken(HdrRoute, rule)
			} else if _, rule := parseURI(a.RawURI); rule != "" {
				return m.broken(HdrRoute, rule)
			}
		}
	}
	return nil
}

// checkContact reads every Contact: an INVITE's first one is where the dialog's
// requests go.
func (m *Message) checkContact() error {
	for v := range m.Values(HdrContact) {
		a, rule := parseAddress(v)
		if rule == "" && string(a.RawURI) != "*" {
			_, rule = parseURI(a.RawURI)
		}
		if rule != "" {
			return m.broken(HdrContact, rule)
		}
	}
	return nil
}

func (m *Message) checkAddress(id HeaderID) error {
	a, rule := parseAddress(m.First(id))
	if rule == "" {
		_, rule = parseURI(a.RawURI)
	}
	if rule != "" {
		return m.broken(id, rule)
	}
	return nil
}

// callID is word [ "@" word ] (RFC 3261 §25.1).
func callID(b []byte) bool {
	ats := 0
	for _, c := range b {
		if c == '@' {
			ats++
		} else if class[c]&classWord == 0 {
			return false
		}
	}
	return len(b) > 0 && ats <= 1 && b[0] != '@' && b[len(b)-1] != '@'
}
