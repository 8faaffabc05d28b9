package sip

// Check looks at what every message needs before anybody acts on it, so that
// an accessor never finds a bad header too late: the mandatory headers
// (RFC 3261 §8.1.1), those that stand at most once, and all that is routed on.
// The error is a *ParseError.
func (m *Message) Check() error {
	if err := m.check(); err != nil {
		return err
	}
	return nil
}

func (m *Message) check() *ParseError {
	if m.err != nil {
		return m.err
	}
	if err := m.readVia(); err != nil {
		return err
	}
	if m.via.alike {
		if rule := judgeParams(m.via.Params); rule != "" {
			return m.broken(HdrVia, rule)
		}
	}
	if err := m.readCSeq(); err != nil {
		return err
	}
	if err := m.checkAddress(HdrFrom); err != nil {
		return err
	}
	if err := m.checkAddress(HdrTo); err != nil {
		return err
	}
	if !callID(m.First(HdrCallID)) {
		return m.broken(HdrCallID, "a word, or two with an @ between")
	}
	if m.code != 0 {
		return nil
	}
	return m.checkRequest()
}

func (m *Message) checkRequest() *ParseError {
	if m.cseq.Method != m.method {
		err := m.broken(HdrCSeq, "the method is that of the request line")
		if !known(m.method) {
			err.Code = 501 // RFC 4475 §3.1.2.18
		}
		return err
	}
	if m.Has(HdrMaxForwards) {
		if _, ok := m.MaxForwards(); !ok {
			return m.broken(HdrMaxForwards, "a number from 0 to 255")
		}
	}
	var u URI
	if rule := u.parse(m.RequestURI()); rule != "" {
		return ruleError("Request-URI", int(m.uri.start), rule)
	}
	if u.Headers != nil {
		return ruleError("Request-URI", int(m.uri.start), "a Request-URI has no headers (RFC 3261 §19.1.1)")
	}
	if !m.Has(HdrContact) && m.method == INVITE && !OldBranch(m.via.Branch()) {
		return m.broken(HdrContact, "")
	}
	for _, id := range [...]HeaderID{HdrContact, HdrRoute, HdrRecordRoute} {
		if err := m.checkEach(id); err != nil {
			return err
		}
	}
	return nil
}

// checkEach reads every value of a header with addresses: an INVITE's first
// Contact and the Record-Route are where the dialog's requests go, Route is
// where this one goes.
func (m *Message) checkEach(id HeaderID) *ParseError {
	if !m.Has(id) {
		return nil
	}
	for i := int(m.first[id]) - 1; i < len(m.fields); i++ {
		if m.fields[i].id != id {
			continue
		}
		b := m.at(m.fields[i].value)
		for n := -1; n < len(b); {
			var a Address
			var rule string
			if n, rule = a.parse(b, n+1); rule == "" && !m.star(id, a) {
				if len(a.RawURI) > m.maxURI {
					return tooMuch(LimitURI, id.String(), int(m.fields[i].value.start), m.maxURI)
				}
				rule = uriRule(a.RawURI)
			}
			if rule != "" {
				return ruleError(id.String(), int(m.fields[i].value.start), rule)
			}
		}
	}
	return nil
}

// star says whether a is the Contact that stands for all of a registration's
// (RFC 3261 §10.2.2).
func (m *Message) star(id HeaderID, a Address) bool {
	return id == HdrContact && m.method == REGISTER && string(a.RawURI) == "*"
}

// checkAddress judges a header with one address. The To of a new call mostly
// repeats the Request-URI, which is judged anyway.
func (m *Message) checkAddress(id HeaderID) *ParseError {
	var a Address
	if rule := a.parseAll(m.First(id)); rule != "" {
		return m.broken(id, rule)
	}
	if a.alike {
		if rule := judgeParams(a.Params); rule != "" {
			return m.broken(id, rule)
		}
	}
	if string(a.RawURI) == string(m.RequestURI()) {
		return nil
	}
	if len(a.RawURI) > m.maxURI {
		return tooMuch(LimitURI, id.String(), int(m.fields[m.first[id]-1].value.start), m.maxURI)
	}
	if rule := uriRule(a.RawURI); rule != "" {
		return m.broken(id, rule)
	}
	return nil
}

func uriRule(b []byte) string {
	var u URI
	return u.parse(b)
}

// callID is word [ "@" word ] (RFC 3261 §25.1).
func callID(b []byte) bool {
	i := endOf(b, 0, classWord)
	if i > 0 && at(b, i, '@') {
		return all(b[i+1:], classWord)
	}
	return i > 0 && i == len(b)
}
