package sip

import "bytes"

// Via is one Via value (RFC 3261 §20.42): the transport and place that a
// response goes back to.
type Via struct {
	Transport []byte // as written: "UDP", "TLS" …
	Host      []byte // sent-by host; IPv6 references keep their brackets
	Port      uint16 // sent-by port, 0: none written
	Params    Params
}

// Branch returns the transaction's branch, nil when there is none.
func (v Via) Branch() []byte {
	b, _ := v.Params.Get("branch")
	return b
}

// RPort says whether the sender asked for a response to the source port
// (RFC 3581 §3).
func (v Via) RPort() bool {
	_, ok := v.Params.Get("rport")
	return ok
}

func parseVia(b []byte) (v Via, rule string) {
	const version = "a Via begins with SIP/2.0/ and a transport"
	rest, ok := cutSlash(b, "SIP")
	if !ok {
		return v, version
	}
	if rest, ok = cutSlash(rest, "2.0"); !ok {
		return v, version
	}
	n := 0
	for n < len(rest) && class[rest[n]]&classToken != 0 {
		n++
	}
	v.Transport = rest[:n]
	if n == 0 || n == len(rest) || rest[n] != ' ' && rest[n] != '\t' {
		return v, version
	}
	rest = trim(rest[n:])
	if semi := bytes.IndexByte(rest, ';'); semi >= 0 {
		v.Params = Params(rest[semi:])
		rest = trim(rest[:semi])
		if !v.Params.valid() {
			return v, "a parameter is empty or malformed"
		}
	}
	if v.Host, v.Port, ok = parseHostPort(rest); !ok {
		v.Host, v.Port, ok = spacedHostPort(rest)
	}
	if !ok {
		return v, "the sent-by is a host, and a port to 65535"
	}
	return v, ""
}

// cutSlash takes a word and a slash off b, spaces around the slash allowed.
func cutSlash(b []byte, word string) (rest []byte, ok bool) {
	if len(b) < len(word) || !equalFold(b[:len(word)], word) {
		return nil, false
	}
	i := skipSpace(b, len(word))
	if i == len(b) || b[i] != '/' {
		return nil, false
	}
	return b[skipSpace(b, i+1):], true
}

// spacedHostPort allows spaces around the colon, as the grammar's COLON does.
func spacedHostPort(b []byte) (host []byte, port uint16, ok bool) {
	colon := bytes.LastIndexByte(b, ':')
	if colon < 0 {
		return nil, 0, false
	}
	host, _, ok = parseHostPort(trim(b[:colon]))
	n, digits := number(trim(b[colon+1:]), 65535)
	return host, uint16(n), ok && digits && n > 0
}
