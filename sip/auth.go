package sip

import "iter"

// Auth is the value of a header with credentials or a challenge: Authorization,
// Proxy-Authorization, WWW-Authenticate or Proxy-Authenticate (RFC 3261 §22,
// RFC 8898).
type Auth struct {
	Scheme []byte // "Digest", "Bearer" …
	Token  []byte // the token of Bearer credentials (RFC 8898 §2.1.3), nil else
	Params AuthParams
}

// AuthParams are parameters with commas between: name=value, name="value", as
// written.
type AuthParams []byte

// Is compares the scheme without regard to case.
func (a Auth) Is(scheme string) bool { return equalFold(a.Scheme, scheme) }

// Append appends the value as it is written.
func (a Auth) Append(dst []byte) []byte {
	dst = append(append(dst, a.Scheme...), ' ')
	return append(append(dst, a.Token...), a.Params...)
}

// Get returns the value of a parameter, without the quotes and with quoted-pairs
// kept, and whether it is there.
func (p AuthParams) Get(name string) (value []byte, ok bool) {
	for n, v := range p.All() {
		if equalFold(n, name) {
			return unquote(v), true
		}
	}
	return nil, false
}

// All returns names and values, quotes kept, as far as they are well-formed.
func (p AuthParams) All() iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		for i := 0; i < len(p); i++ {
			name, value, end := authParam(p, i)
			if end < 0 || !yield(name, value) {
				return
			}
			i = end
		}
	}
}

// Append appends the parameters as they are written.
func (p AuthParams) Append(dst []byte) []byte { return append(dst, p...) }

// Authorizations returns every credential for this element (RFC 3261 §20.7).
func (m *Message) Authorizations() iter.Seq2[Auth, error] {
	return values(m, HdrAuthorization, parseCredentials)
}

// ProxyAuthorizations returns every credential for a proxy (RFC 3261 §20.28).
func (m *Message) ProxyAuthorizations() iter.Seq2[Auth, error] {
	return values(m, HdrProxyAuthorization, parseCredentials)
}

// Challenges returns every challenge of a 401 (RFC 3261 §20.44).
func (m *Message) Challenges() iter.Seq2[Auth, error] {
	return values(m, HdrWWWAuthenticate, parseChallenge)
}

// ProxyChallenges returns every challenge of a 407 (RFC 3261 §20.27).
func (m *Message) ProxyChallenges() iter.Seq2[Auth, error] {
	return values(m, HdrProxyAuthenticate, parseChallenge)
}

// AuthenticationInfo returns the Authentication-Info header (RFC 3261 §20.6),
// ErrAbsent when there is none.
func (m *Message) AuthenticationInfo() (AuthParams, error) {
	return first(m, HdrAuthenticationInfo, parseAuthInfo)
}

// ProxyAuthenticationInfo returns the Proxy-Authentication-Info header (RFC 7615
// §4), ErrAbsent when there is none.
func (m *Message) ProxyAuthenticationInfo() (AuthParams, error) {
	return first(m, HdrProxyAuthenticationInfo, parseAuthInfo)
}

// authParam reads one parameter at i, and the spaces around it. end is at a comma
// or the end of b, or -1.
func authParam(b []byte, i int) (name, value []byte, end int) {
	i = skipSpace(b, i)
	end = endOf(b, i, classToken)
	name = b[i:end]
	eq := skipSpace(b, end)
	if end == i || !at(b, eq, '=') {
		return nil, nil, -1
	}
	i = skipSpace(b, eq+1)
	if at(b, i, '"') {
		end = endQuoted(b, i)
	} else {
		end = endOf(b, i, classToken)
	}
	if end <= i {
		return nil, nil, -1
	}
	value = b[i:end]
	if end = skipSpace(b, end); end < len(b) && b[end] != ',' {
		return nil, nil, -1
	}
	return name, value, end
}

const authRule = "a scheme, a space, and parameters with commas between"

// scheme reads the scheme and the space behind it.
func scheme(b []byte, i int) (a Auth, end int, rule string) {
	end = endOf(b, i, classToken)
	start := skipSpace(b, end)
	if end == i || start == end || start == len(b) {
		return a, i, authRule
	}
	a.Scheme = b[i:end]
	return a, start, ""
}

// parseCredentials reads credentials: those of Digest have what RFC 3261 §22.4 and
// RFC 7616 §3.4 demand.
func parseCredentials(b []byte, i int) (a Auth, end int, rule string) {
	if a, i, rule = scheme(b, i); rule != "" {
		return a, i, rule
	}
	if a.Is("Bearer") {
		a.Token = b[i:]
		if n := endToken68(b, i); n < len(b) || n == i {
			return a, n, "the token of Bearer credentials is letters, digits and -._~+/, then equals signs (RFC 8898 §2.1.3)"
		}
		return a, len(b), ""
	}
	a.Params = AuthParams(b[i:])
	if a.Is("Digest") {
		return a, len(b), a.Params.judge(credentialRules, "realm", "nonce", "uri", "response")
	}
	return a, len(b), a.Params.judge(nil)
}

// parseChallenge reads a challenge.
func parseChallenge(b []byte, i int) (a Auth, end int, rule string) {
	if a, i, rule = scheme(b, i); rule != "" {
		return a, i, rule
	}
	a.Params = AuthParams(b[i:])
	switch {
	case a.Is("Digest"):
		return a, len(b), a.Params.judge(challengeRules, "realm", "nonce")
	case a.Is("Bearer"):
		return a, len(b), a.Params.judge(bearerRules)
	}
	return a, len(b), a.Params.judge(nil)
}

// parseAuthInfo reads Authentication-Info.
func parseAuthInfo(b []byte, i int) (p AuthParams, end int, rule string) {
	p = AuthParams(b[i:])
	return p, len(b), p.judge(infoRules)
}

// endToken68 reads 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"=".
func endToken68(b []byte, i int) int {
	start := i
	for i < len(b) && (class[b[i]]&classHost != 0 || b[i] == '~' || b[i] == '+' || b[i] == '/') {
		i++
	}
	for i > start && at(b, i, '=') {
		i++
	}
	return i
}

// The parameters with a form of their own (RFC 3261 §25.1, RFC 7616 §3.3 to §3.5,
// RFC 8898 §2.1.1).
var (
	credentialRules = []paramRule{
		quoted("username"), quoted("realm"), quoted("nonce"), quoted("uri"), quoted("cnonce"), quoted("opaque"),
		{"response", isQuotedHex, "response is hexadecimal digits in quotes"},
		{"nc", isNonceCount, "nc is eight hexadecimal digits"},
		{"qop", isToken, "qop is a token, without quotes"},
		{"algorithm", isToken, "algorithm is a token, without quotes"},
	}
	challengeRules = []paramRule{
		quoted("realm"), quoted("domain"), quoted("nonce"), quoted("opaque"), quoted("qop"),
		{"stale", isToken, "stale is true or false, without quotes"},
		{"algorithm", isToken, "algorithm is a token, without quotes"},
	}
	bearerRules = []paramRule{
		quoted("realm"), quoted("scope"), quoted("authz_server"), quoted("error"),
	}
	infoRules = []paramRule{
		quoted("nextnonce"), quoted("cnonce"),
		{"rspauth", isQuotedHexOrEmpty, "rspauth is hexadecimal digits in quotes"},
		{"nc", isNonceCount, "nc is eight hexadecimal digits"},
		{"qop", isToken, "qop is a token, without quotes"},
	}
)

func quoted(name string) paramRule {
	return paramRule{name, isQuoted, name + " is a quoted string"}
}

func isHex(v []byte) bool {
	return endOfAny(v, "0123456789abcdefABCDEF") == len(v)
}

func isQuotedHexOrEmpty(v []byte) bool { return isQuoted(v) && isHex(unquote(v)) }
func isQuotedHex(v []byte) bool        { return isQuotedHexOrEmpty(v) && len(v) > 2 }
func isNonceCount(v []byte) bool       { return len(v) == 8 && isHex(v) }

// judge looks for a parameter that is malformed, stands twice or is missing.
func (p AuthParams) judge(rules []paramRule, needed ...string) string {
	for n, i := 0, 0; ; n++ {
		name, value, end := authParam(p, i)
		switch {
		case end < 0:
			return "parameters are name=value with commas between"
		case n == maxParams:
			return "a value has at most 64 parameters"
		case p.before(i, name):
			return "a parameter stands at most once"
		}
		for k := range rules {
			if equalFold(name, rules[k].name) && !rules[k].ok(value) {
				return rules[k].rule
			}
		}
		if end == len(p) {
			break
		}
		i = end + 1
	}
	for _, name := range needed {
		if _, ok := p.Get(name); !ok {
			return "realm and nonce are mandatory, and in credentials uri and response"
		}
	}
	return ""
}

// before says whether a parameter of that name stands before i.
func (p AuthParams) before(i int, name []byte) bool {
	for n := range p[:i].All() {
		if equalFold(n, name) {
			return true
		}
	}
	return false
}
