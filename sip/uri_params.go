package sip

import "iter"

// LR says whether a route's URI is of a loose router (RFC 3261 §19.1.1).
func (u URI) LR() bool { return u.flag("lr") }

// OB says whether the URI stands for the flow that the message came by (RFC 5626
// §5.4).
func (u URI) OB() bool { return u.flag("ob") }

func (u URI) flag(name string) bool {
	_, ok := u.Params.Get(name)
	return ok
}

// MAddr returns the address that stands for the host, nil when there is none.
func (u URI) MAddr() []byte {
	v, _ := u.Params.Get("maddr")
	return v
}

// TTL returns the time to live of a multicast request, and whether it is there.
func (u URI) TTL() (int, bool) {
	v, _ := u.Params.Get("ttl")
	n, ok := number(v, 255)
	return int(n), ok
}

// Method returns the method of a request to be formed from the URI (RFC 3261
// §19.1.5), "" when there is none.
func (u URI) Method() Method {
	v, _ := u.Params.Get("method")
	return methodOf(v)
}

// Phone says whether the user is a telephone number: user=phone, or a tel URI.
func (u URI) Phone() bool {
	v, _ := u.Params.Get("user")
	return equalFold(v, "phone") || u.Is("tel")
}

// Header returns a header that the URI asks for, escapes kept, and whether it is
// there.
func (u URI) Header(name string) (value []byte, ok bool) {
	for n, v := range u.EachHeader() {
		if equalFold(n, name) {
			return v, true
		}
	}
	return nil, false
}

// EachHeader returns names and values behind the question mark, escapes kept. A
// value is nil when no equals sign follows the name.
func (u URI) EachHeader() iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		for rest := u.Headers; len(rest) > 0; {
			var name, value []byte
			if name, value, rest = nextURIHeader(rest); !yield(name, value) {
				return
			}
		}
	}
}

func nextURIHeader(b []byte) (name, value, rest []byte) {
	end, eq := 0, -1
	for ; end < len(b) && b[end] != '&'; end++ {
		if b[end] == '=' && eq < 0 {
			eq = end
		}
	}
	rest = b[min(end+1, len(b)):]
	if eq < 0 {
		return b[:end], nil, rest
	}
	return b[:eq], b[eq+1 : end], rest
}

// Global says whether a tel URI's number is global (RFC 3966 §5.1.4).
func (u URI) Global() bool { return u.Is("tel") && len(u.User) > 0 && u.User[0] == '+' }

// AppendNumber appends a telephone number without its visual separators (RFC 3966
// §5.1.1).
func AppendNumber(dst, number []byte) []byte {
	for _, c := range number {
		if !visualSeparator(c) {
			dst = append(dst, c)
		}
	}
	return dst
}

func visualSeparator(c byte) bool { return c == '-' || c == '.' || c == '(' || c == ')' }

// Append appends the URI as it is written.
func (u URI) Append(dst []byte) []byte {
	dst = append(append(append(dst, u.Scheme...), ':'), u.User...)
	if u.Password != nil {
		dst = append(append(dst, ':'), u.Password...)
	}
	if u.SIP() && u.User != nil {
		dst = append(dst, '@')
	}
	dst = append(dst, u.Host...)
	if u.Port != 0 {
		dst = appendPort(dst, u.Port)
	}
	dst = append(dst, u.Params...)
	if u.Headers != nil {
		dst = append(append(dst, '?'), u.Headers...)
	}
	return dst
}

// URIPart is a part of a SIP URI, which says what must be escaped in it (RFC 3261
// §19.1.2).
type URIPart uint8

// The parts of a URI that hold text of others.
const (
	UserPart   = URIPart(classUser)
	ParamPart  = URIPart(classParam)  // name or value of a parameter
	HeaderPart = URIPart(classHeader) // name or value of a header
)

// AppendEscape appends text with %HH for each byte that may not stand in that part
// of a URI.
func AppendEscape(dst, text []byte, part URIPart) []byte {
	const hex = "0123456789ABCDEF"
	for _, c := range text {
		if class[c]&uint8(part) != 0 {
			dst = append(dst, c)
			continue
		}
		dst = append(dst, '%', hex[c>>4], hex[c&15])
	}
	return dst
}
