package sip

// CSeq orders the requests of a dialog (RFC 3261 §20.16).
type CSeq struct {
	Seq    uint32 // below 2^31
	Method Method
}

func parseCSeq(b []byte) (c CSeq, rule string) {
	n := 0
	for n < len(b) && b[n] >= '0' && b[n] <= '9' {
		n++
	}
	seq, ok := number(b[:n], 1<<31-1) // "MUST be less than 2**31" (RFC 3261 §8.1.1.5)
	if !ok {
		return c, "the sequence number is below 2147483648"
	}
	word := trim(b[n:])
	if len(word) == 0 || len(word) == len(b)-n || !all(word, classToken) {
		return c, "a number, a space and a method"
	}
	return CSeq{uint32(seq), methodOf(word)}, ""
}
