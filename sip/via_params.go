package sip

import "iter"

// Vias returns every Via value, topmost first.
func (m *Message) Vias() iter.Seq2[Via, error] { return values(m, HdrVia, parseVia) }

// TTL returns the time to live of a multicast request, and whether it is said
// (RFC 3261 §20.42).
func (v Via) TTL() (int, bool) {
	b, _ := v.Params.Get("ttl")
	n, ok := number(b, 255)
	return int(n), ok
}

// MAddr returns the address that stands for the sent-by (RFC 3261 §18.1.1), nil
// when there is none. Nothing is sent there that nobody asked for.
func (v Via) MAddr() []byte {
	b, _ := v.Params.Get("maddr")
	return b
}

// SourcePort returns the value of rport that the next hop wrote (RFC 3581 §4), 0
// when it wrote none.
func (v Via) SourcePort() uint16 {
	b, _ := v.Params.Get("rport")
	n, _ := number(b, 65535)
	return uint16(n)
}

// Keep says whether the sender offers keep-alives on this hop, or was told how
// often (RFC 6223 §8).
func (v Via) Keep() bool {
	_, ok := v.Params.Get("keep")
	return ok
}

// Alias says whether requests may go back over the connection that the message
// came by (RFC 5923 §5).
func (v Via) Alias() bool {
	_, ok := v.Params.Get("alias")
	return ok
}

// Append appends the value as it is written.
func (v Via) Append(dst []byte) []byte {
	dst = append(append(append(append(dst, "SIP/2.0/"...), v.Transport...), ' '), v.Host...)
	if v.Port != 0 {
		dst = appendPort(dst, v.Port)
	}
	return append(dst, v.Params...)
}

func parseVia(b []byte, i int) (v Via, end int, rule string) {
	end, rule = v.parse(b[i:])
	return v, i + end, rule
}

// strictVia is the grammar of Via (RFC 3261 §25.1, RFC 3581 §5, RFC 5923 §5,
// RFC 6223 §9).
func strictVia(b []byte, i int) (v Via, end int, rule string) {
	if v, end, rule = parseVia(b, i); rule != "" {
		return v, end, rule
	}
	if !strictHost(v.Host) {
		return v, i, "the sent-by is a host name, an IPv4 address or an IPv6 address in brackets"
	}
	return v, max(end, i), judgeParams(v.Params,
		paramRule{"ttl", isTTL, "ttl is a number from 0 to 255"},
		paramRule{"maddr", isHost, "maddr is a host"},
		paramRule{"received", isReceived, "received is an IP address"},
		paramRule{"branch", isToken, "branch is a token"},
		paramRule{"rport", isPortOrEmpty, "rport is a port, or has no value"},
		paramRule{"alias", isEmpty, "alias has no value"},
		paramRule{"keep", isSecondsOrEmpty, "keep is a number of seconds, or has no value"})
}

// isReceived takes an IPv6 address with brackets, too (RFC 5118 §4.5).
func isReceived(v []byte) bool {
	return validIPv4(v) || validIPv6(v) || endReference(v, 0) == len(v) && len(v) > 0
}

func isPortOrEmpty(v []byte) bool {
	_, end, ok := endPort(v, 0)
	return len(v) == 0 || ok && end == len(v)
}

func isSecondsOrEmpty(v []byte) bool { return len(v) == 0 || isSeconds(v) }
