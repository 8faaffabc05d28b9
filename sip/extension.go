package sip

// The grammars of extensions that are forwarded or dropped but hardly read.

// Privacy says whether the Privacy header asks for that kind, such as "id" or
// "none" (RFC 3323 §4.2).
func (m *Message) Privacy(kind string) bool {
	for b := m.First(HdrPrivacy); len(b) > 0; {
		name, _, rest := nextParam(b)
		if equalFold(name, kind) {
			return true
		}
		b = rest
	}
	return false
}

// parsePrivacy reads priv-value *(";" priv-value).
func parsePrivacy(b []byte, i int) (v []byte, end int, rule string) {
	for start := i; ; i = skipSpace(b, end+1) {
		if _, end, rule = parseToken(b, i); rule != "" {
			return nil, i, rule
		}
		if end = skipSpace(b, end); !at(b, end, ';') {
			return b[start:end], end, ""
		}
	}
}

// parseCharging reads P-Charging-Vector: parameters, the first of which has no
// semicolon (RFC 7315 §5.6).
func parseCharging(b []byte, i int) (p Params, end int, rule string) {
	x, end, rule := item(b, i)
	if rule == "" {
		return x.Params, end, ""
	}
	if end = endOf(b, i, classToken); end > i && at(b, skipSpace(b, end), '=') {
		value := skipSpace(b, skipSpace(b, end)+1)
		if end = endParamValue(b, value); end > value {
			return params(b, end)
		}
	}
	return nil, i, "parameters with semicolons between"
}

// endParamValue reads a token, a host or a quoted string; i or less means that
// there is none.
func endParamValue(b []byte, i int) int {
	if at(b, i, '"') {
		return endQuoted(b, i)
	}
	return endOf(b, i, classGen)
}

// parseValueItem reads a token or a quoted string with parameters: User-to-User
// (RFC 7433 §4.1) and P-Visited-Network-ID (RFC 7315 §5.3).
func parseValueItem(b []byte, i int) (x Item, end int, rule string) {
	if !at(b, i, '"') {
		return item(b, i)
	}
	if end = endQuoted(b, i); end < 0 {
		return x, i, "the quotes close"
	}
	x.Token = b[i:end]
	x.Params, end, rule = params(b, end)
	return x, end, rule
}

// parseIdentity reads Identity: a PASSporT, its info and parameters (RFC 8224 §4),
// or the quoted signature of RFC 4474.
func parseIdentity(b []byte, i int) (v []byte, end int, rule string) {
	const identityRule = "a signed token, info with a URI in angle brackets, and parameters (RFC 8224 §4)"
	if at(b, i, '"') {
		if end = endQuoted(b, i); end < 0 || end < len(b) {
			return nil, i, identityRule
		}
		return b[i:end], end, ""
	}
	start := i
	for i < len(b) && b[i] != ';' && !space(b[i]) {
		i++
	}
	if n := endToken68(b[:i], start); n < i || n == start {
		return nil, n, identityRule
	}
	for end = skipSpace(b, i); at(b, end, ';'); end = skipSpace(b, end) {
		i = skipSpace(b, end+1)
		eq := skipSpace(b, endOf(b, i, classToken))
		if !at(b, eq, '=') {
			return nil, i, identityRule
		}
		value := skipSpace(b, eq+1)
		if at(b, value, '<') {
			for end = value; end < len(b) && b[end] != '>'; end++ {
			}
			if end == len(b) || uriRule(b[value+1:end]) != "" {
				return nil, value, identityRule
			}
			end++
		} else if end = endParamValue(b, value); end <= value {
			return nil, value, identityRule
		}
	}
	return b[start:end], end, ""
}
