package sip

// lower folds ASCII letters; other bytes stay.
var lower = func() (t [256]byte) {
	for i := range t {
		t[i] = byte(i)
		if i >= 'A' && i <= 'Z' {
			t[i] = byte(i) + 'a' - 'A'
		}
	}
	return t
}()

// class bits of a byte in the grammar of RFC 3261 §25.1.
const (
	classToken  = 1 << iota // token
	classHost               // hostname, IPv4address: alphanum, "-", ".", and "_", which is met in practice
	classUser               // user: unreserved and user-unreserved; "%" is looked at apart
	classParam              // paramchar of a URI
	classWord               // word, as in Call-ID
	classGen                // what a header's parameter value may hold outside quotes: token, host with brackets, UTF-8
	classDigit              // DIGIT
	classHeader             // hname and hvalue of a URI
)

var class = func() (t [256]uint8) {
	set := func(bits uint8, chars string) {
		for i := 0; i < len(chars); i++ {
			t[chars[i]] |= bits
		}
	}
	const alphanum = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	const mark = "-_.!~*'()"
	set(classToken|classHost|classUser|classParam|classWord|classGen|classHeader, alphanum)
	set(classToken|classGen, "-.!%*_+`'~")
	set(classHost, "-._")
	set(classUser, mark+"&=+$,;?/")
	set(classParam, mark+"[]/:&+$")
	set(classHeader, mark+"[]/?:+$")
	set(classWord, "-.!%*_+`'~()<>:\\\"/[]?{}")
	set(classGen, "[]:.-")
	set(classDigit, "0123456789")
	for c := 0x80; c < 0x100; c++ {
		t[c] |= classGen
	}
	return t
}()

// AppendUnescape appends b to dst with its %HH escapes replaced by the bytes
// they stand for (RFC 3261 §19.1.2). A broken escape stays as it is.
func AppendUnescape(dst, b []byte) []byte {
	for i := 0; i < len(b); i++ {
		if b[i] == '%' && i+2 < len(b) {
			if h, l := unhex(b[i+1]), unhex(b[i+2]); h >= 0 && l >= 0 {
				dst = append(dst, byte(h<<4|l))
				i += 2
				continue
			}
		}
		dst = append(dst, b[i])
	}
	return dst
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// equalFold compares ASCII text without regard to case.
func equalFold[A, B []byte | string](a A, b B) bool {
	if len(a) != len(b) {
		return false
	}
	for i := 0; i < len(a); i++ {
		if a[i] != b[i] && lower[a[i]] != lower[b[i]] {
			return false
		}
	}
	return true
}

// number reads a decimal number of at most max. Leading zeros are allowed, as
// RFC 4475 §3.1.1.1 demands.
func number(b []byte, max uint64) (uint64, bool) {
	if len(b) == 0 {
		return 0, false
	}
	var n uint64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
		if n > max {
			return 0, false
		}
	}
	return n, true
}
