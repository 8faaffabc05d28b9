package sip

// magicCookie begins the branch of every client that follows RFC 3261 (§8.1.1.7).
const magicCookie = "z9hG4bK"

// Via is one Via value (RFC 3261 §20.42): the transport and place that a
// response goes back to.
type Via struct {
	Transport []byte // as written: "UDP", "TLS" …
	Host      []byte // sent-by host; IPv6 references keep their brackets
	Port      uint16 // sent-by port, 0: none written
	Params    Params

	alike bool // see endParams
}

// Branch returns the transaction's branch, nil when there is none.
func (v Via) Branch() []byte {
	b, _ := v.Params.Get("branch")
	return b
}

// OldBranch says whether a branch identifies no transaction, because it lacks the
// magic cookie as that of a client of RFC 2543 does, or has nothing behind it
// (RFC 4475 §3.2.1).
func OldBranch(b []byte) bool {
	return len(b) <= len(magicCookie) || string(b[:len(magicCookie)]) != magicCookie
}

// RPort says whether the sender asked for a response to the source port
// (RFC 3581 §3).
func (v Via) RPort() bool {
	_, ok := v.Params.Get("rport")
	return ok
}

// Received returns the address that the request came from, as the next hop saw
// it, nil when none is written. Brackets around an IPv6 address, which the
// grammar has not but RFC 5118 §4.5 wants to be read, are left out.
func (v Via) Received() []byte {
	b, _ := v.Params.Get("received")
	if n := len(b); n > 2 && b[0] == '[' && b[n-1] == ']' {
		return b[1 : n-1]
	}
	return b
}

// parse fills the empty v from the first value of b, a list, and returns the
// rule that it breaks or "", and where the value ends.
func (v *Via) parse(b []byte) (end int, rule string) {
	i := endProtocol(b)
	end = endOf(b, i, classToken)
	if i == 0 || end == i || end == len(b) || !space(b[end]) {
		return 0, "a Via begins with SIP/2.0/ and a transport"
	}
	v.Transport = b[i:end]
	i = skipSpace(b, end)
	if end = endHost(b, i); end == i {
		return i, "the sent-by is a host, and a port to 65535"
	}
	v.Host = b[i:end]
	if i = skipSpace(b, end); at(b, i, ':') {
		var ok bool
		if v.Port, i, ok = endPort(b, skipSpace(b, i+1)); !ok {
			return i, "the sent-by is a host, and a port to 65535"
		}
		i = skipSpace(b, i)
	}
	if end, v.alike = endParams(b, i); end < 0 || end < len(b) && b[end] != ',' {
		return i, "a parameter is empty or malformed"
	}
	v.Params = Params(trimEnd(b[i:end]))
	return end, ""
}

// endProtocol reads "SIP/2.0/", spaces around the slashes allowed, and returns 0
// when it is something else.
func endProtocol(b []byte) int {
	if len(b) > 8 && string(b[:8]) == "SIP/2.0/" {
		return skipSpace(b, 8)
	}
	if i := endWord(b, 0, "SIP"); i > 0 {
		return endWord(b, i, "2.0")
	}
	return 0
}

// endWord reads a word and a slash.
func endWord(b []byte, i int, word string) int {
	end := i + len(word)
	if end > len(b) || !equalFold(b[i:end], word) {
		return 0
	}
	if end = skipSpace(b, end); !at(b, end, '/') {
		return 0
	}
	return skipSpace(b, end+1)
}
