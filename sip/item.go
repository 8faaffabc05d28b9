package sip

import "iter"

// Item is a token with parameters, as in Content-Disposition, Accept-Encoding,
// Require and many others. A comma list has several.
type Item struct {
	Token  []byte
	Params Params
}

// Append appends the item as it is written.
func (x Item) Append(dst []byte) []byte { return append(append(dst, x.Token...), x.Params...) }

const tokenRule = "a token: letters, digits and -.!%*_+`'~"

func parseItem(b []byte, i int) (x Item, end int, rule string) { return item(b, i) }

func item(b []byte, i int, rules ...paramRule) (x Item, end int, rule string) {
	if end = endOf(b, i, classToken); end == i {
		return x, i, tokenRule
	}
	x.Token = b[i:end]
	x.Params, end, rule = params(b, end, rules...)
	return x, end, rule
}

var qRule = paramRule{"q", isQValue, "q is a number from 0 to 1 with up to three decimals"}

// parsePreference reads what Accept-Encoding has (RFC 3261 §20.2).
func parsePreference(b []byte, i int) (Item, int, string) { return item(b, i, qRule) }

// parseLanguage reads what Accept-Language has (RFC 3261 §20.3): a language-tag
// or a star, with a preference.
func parseLanguage(b []byte, i int) (x Item, end int, rule string) {
	x, end, rule = item(b, i, qRule)
	if rule == "" && string(x.Token) != "*" && !languageTag(x.Token) {
		return x, i, languageRule
	}
	return x, end, rule
}

const languageRule = "a language is one to eight letters, and such subtags behind hyphens"

// languageTag is primary-tag *( "-" subtag ) (RFC 3261 §25.1). Digits in subtags
// are of RFC 5646.
func languageTag(b []byte) bool {
	n := 0
	for i, primary := 0, true; i < len(b); i++ {
		switch c := b[i]; {
		case c == '-':
			if n == 0 {
				return false
			}
			n, primary = 0, false
			continue
		case c|0x20 >= 'a' && c|0x20 <= 'z':
		case primary || class[c]&classDigit == 0:
			return false
		}
		if n++; n > 8 {
			return false
		}
	}
	return n > 0
}

// parseToken reads one token without parameters, such as an option-tag or a
// method.
func parseToken(b []byte, i int) (v []byte, end int, rule string) {
	if end = endOf(b, i, classToken); end == i {
		return nil, i, tokenRule
	}
	return b[i:end], end, ""
}

// parseTag reads one value of Content-Language (RFC 3261 §20.13).
func parseTag(b []byte, i int) (v []byte, end int, rule string) {
	if v, end, _ = parseToken(b, i); !languageTag(v) {
		return nil, i, languageRule
	}
	return v, end, ""
}

// parseText reads TEXT-UTF8-TRIM: all there is, which the index has already
// found to be without control characters.
func parseText(b []byte, i int) (v []byte, end int, rule string) {
	if n := badControl(b[i:]); n >= 0 {
		return nil, i + n, "text has no control characters"
	}
	if n := badUTF8(b[i:]); n >= 0 {
		return nil, i + n, "text is UTF-8"
	}
	return b[i:], len(b), ""
}

// parseVersion reads MIME-Version (RFC 3261 §20.24).
func parseVersion(b []byte, i int) (v []byte, end int, rule string) {
	major := endOf(b, i, classDigit)
	if at(b, major, '.') {
		end = endOf(b, major+1, classDigit)
	}
	if major == i || end <= major+1 {
		return nil, i, "a version is two numbers with a dot between"
	}
	return b[i:end], end, ""
}

// Lists says whether a header with a comma list of tokens has that one, without
// regard to case, as for option tags: m.Lists(sip.HdrSupported, "100rel").
func (m *Message) Lists(id HeaderID, token string) bool {
	for v := range m.Values(id) {
		if end := endOf(v, 0, classToken); equalFold(v[:end], token) {
			return true
		}
	}
	return false
}

// Allows says whether Allow names the method. Methods are case-sensitive
// (RFC 3261 §7.1).
func (m *Message) Allows(method Method) bool {
	for v := range m.Values(HdrAllow) {
		if string(v) == string(method) {
			return true
		}
	}
	return false
}

// Items returns the values of a header whose values are items.
func (m *Message) Items(id HeaderID) iter.Seq2[Item, error] {
	return values(m, id, parseItem)
}

// Disposition says what a body is for (RFC 3261 §20.11).
type Disposition struct {
	Type   []byte // "session", "render", "icon", "alert", "early-session" …
	Params Params
}

// Optional says whether who does not understand the body may ignore it:
// handling=optional.
func (d Disposition) Optional() bool {
	v, _ := d.Params.Get("handling")
	return equalFold(v, "optional")
}

// Append appends the disposition as it is written.
func (d Disposition) Append(dst []byte) []byte { return Item{d.Type, d.Params}.Append(dst) }

// ContentDisposition returns the Content-Disposition header, ErrAbsent when there
// is none.
func (m *Message) ContentDisposition() (Disposition, error) {
	return first(m, HdrContentDisposition, parseDisposition)
}

func parseDisposition(b []byte, i int) (Disposition, int, string) {
	x, end, rule := item(b, i, paramRule{"handling", isToken, "handling is optional, required or another token"})
	return Disposition{x.Token, x.Params}, end, rule
}

// Reason tells why a request was sent (RFC 3326 §2).
type Reason struct {
	Protocol []byte // "SIP", "Q.850" …
	Params   Params
}

// Cause returns the code, such as a status or a Q.850 cause.
func (r Reason) Cause() (code int, ok bool) {
	v, _ := r.Params.Get("cause")
	n, ok := number(v, 1<<31-1)
	return int(n), ok
}

// Text returns the words between the quotes, quoted-pairs kept.
func (r Reason) Text() []byte {
	v, _ := r.Params.Get("text")
	return unquote(v)
}

// Append appends the reason as it is written.
func (r Reason) Append(dst []byte) []byte { return Item{r.Protocol, r.Params}.Append(dst) }

// Reasons returns every value of Reason.
func (m *Message) Reasons() iter.Seq2[Reason, error] {
	return values(m, HdrReason, parseReason)
}

func parseReason(b []byte, i int) (Reason, int, string) {
	x, end, rule := item(b, i,
		paramRule{"cause", isDigits, "cause is a number"},
		paramRule{"text", isQuoted, "text is a quoted string"})
	return Reason{x.Token, x.Params}, end, rule
}
