package sip

import (
	"iter"
	"time"
)

// Q returns the preference of a Contact in thousandths, 1000 when it has none
// (RFC 3261 §20.10).
func (a Address) Q() int { return a.Params.Q() }

// Expires returns how long a Contact is good for, and whether it says so
// (RFC 3261 §10.2.1.1).
func (a Address) Expires() (time.Duration, bool) { return a.Params.seconds("expires") }

// Instance returns the URN of the user agent that registers, without quotes and
// brackets (RFC 5626 §4.1), nil when there is none.
func (a Address) Instance() []byte {
	v, _ := a.Params.Get("+sip.instance")
	if v = unquote(v); len(v) > 2 && v[0] == '<' && v[len(v)-1] == '>' {
		return v[1 : len(v)-1]
	}
	return nil
}

// RegID returns which of its flows a user agent registers (RFC 5626 §4.2.1), and
// whether it says so.
func (a Address) RegID() (uint32, bool) {
	v, _ := a.Params.Get("reg-id")
	n, ok := number(v, 1<<31-1)
	return uint32(n), ok && n > 0
}

// Append appends the address as it is written, with angle brackets.
func (a Address) Append(dst []byte) []byte {
	if string(a.RawURI) == "*" {
		return append(dst, '*')
	}
	if len(a.Display) > 0 {
		dst = append(append(dst, a.Display...), ' ')
	}
	dst = append(append(append(dst, '<'), a.RawURI...), '>')
	return append(dst, a.Params...)
}

// Addresses returns every value of a header with addresses: Contact, Route,
// Record-Route, Path, P-Asserted-Identity, Alert-Info and their like.
func (m *Message) Addresses(id HeaderID) iter.Seq2[Address, error] {
	return values(m, id, parseAddress)
}

// ReplyTo returns the Reply-To header, ErrAbsent when there is none.
func (m *Message) ReplyTo() (Address, error) { return first(m, HdrReplyTo, parseAddress) }

// ReferTo returns the Refer-To header (RFC 3515 §2.1), ErrAbsent when there is
// none.
func (m *Message) ReferTo() (Address, error) { return first(m, HdrReferTo, parseAddress) }

// ReferredBy returns the Referred-By header (RFC 3892 §3), ErrAbsent when there
// is none.
func (m *Message) ReferredBy() (Address, error) { return first(m, HdrReferredBy, parseAddress) }

// parseAddress reads an address as leniently as Message.Check does.
func parseAddress(b []byte, i int) (a Address, end int, rule string) {
	end, rule = a.parse(b, i)
	return a, max(end, i), rule
}

// strictAddress reads an address whose URI and parameters follow the grammar too.
func strictAddress(b []byte, i int, rules ...paramRule) (a Address, end int, rule string) {
	if a, end, rule = parseAddress(b, i); rule != "" {
		return a, end, rule
	}
	if rule = strictURI(a.RawURI); rule == "" {
		rule = judgeParams(a.Params, rules...)
	}
	if rule == "" && len(a.Display) > 0 && a.Display[0] != '"' && endOfTokens(a.Display) < len(a.Display) {
		rule = "a display name is tokens, or in quotes"
	}
	if rule != "" {
		return a, i, rule
	}
	return a, end, ""
}

// endOfTokens reads tokens with spaces between.
func endOfTokens(b []byte) (i int) {
	for end := -1; end != i; {
		end = i
		i = endOf(b, skipSpace(b, i), classToken)
	}
	return i
}

var tagRule = paramRule{"tag", isToken, "the tag is a token"}

// parseFromTo is the grammar of From, To and Reply-To.
func parseFromTo(b []byte, i int) (Address, int, string) { return strictAddress(b, i, tagRule) }

// parseContact is the grammar of Contact. The star belongs to REGISTER, which
// Message.Check looks after.
func parseContact(b []byte, i int) (a Address, end int, rule string) {
	if at(b, i, '*') && skipSpace(b, i+1) == len(b) {
		a.RawURI = b[i : i+1]
		return a, i + 1, ""
	}
	return strictAddress(b, i, qRule,
		paramRule{"expires", isSeconds, "expires is a number of seconds"},
		paramRule{"reg-id", isRegID, "reg-id is a number from 1 to 2147483647"},
		paramRule{"+sip.instance", isInstance, "+sip.instance is a URN in angle brackets in quotes"})
}

func isRegID(v []byte) bool {
	n, ok := number(v, 1<<31-1)
	return ok && n > 0
}

func isInstance(v []byte) bool {
	u := unquote(v)
	return isQuoted(v) && len(u) > 2 && u[0] == '<' && u[len(u)-1] == '>' && uriRule(u[1:len(u)-1]) == ""
}

// parseRoute is the grammar of Route, Record-Route and their like, which have
// brackets always.
func parseRoute(b []byte, i int) (a Address, end int, rule string) {
	a, end, rule = strictAddress(b, i)
	if rule == "" && !bracketed(b, i, a) {
		return a, i, "the URI stands in angle brackets"
	}
	return a, end, rule
}

// bracketed says whether the address read at i has angle brackets.
func bracketed(b []byte, i int, a Address) bool {
	return len(a.Display) > 0 || at(b, skipSpace(b, i), '<')
}

// parseReference is the grammar of Alert-Info, Call-Info and Error-Info: a URI in
// brackets, without a name (RFC 3261 §20.4, §20.9, §20.18).
func parseReference(b []byte, i int) (a Address, end int, rule string) {
	if !at(b, skipSpace(b, i), '<') {
		return a, i, "the URI stands in angle brackets, without a name"
	}
	return strictAddress(b, i, paramRule{"purpose", isToken, "purpose is a token"})
}

// parseIdentified is the grammar of P-Asserted-Identity and P-Preferred-Identity,
// which have no parameters (RFC 3325 §9.1).
func parseIdentified(b []byte, i int) (a Address, end int, rule string) {
	a, end, rule = strictAddress(b, i)
	if rule == "" && len(a.Params) > 0 {
		return a, i, "parameters of the URI stand in angle brackets, the header has none"
	}
	return a, end, rule
}

// parseHistory is the grammar of History-Info (RFC 7044 §5.1).
func parseHistory(b []byte, i int) (a Address, end int, rule string) {
	a, end, rule = strictAddress(b, i, paramRule{"index", isIndex, "index is numbers with dots between"})
	if rule == "" && !bracketed(b, i, a) {
		return a, i, "the URI stands in angle brackets"
	}
	return a, end, rule
}

func isIndex(v []byte) bool {
	return len(v) > 0 && endOfAny(v, "0123456789.") == len(v) && v[0] != '.' && v[len(v)-1] != '.'
}
