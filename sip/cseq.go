package sip

// CSeq orders the requests of a dialog (RFC 3261 §20.16).
type CSeq struct {
	Seq    uint32 // below 2^31
	Method Method
}

func parseCSeq(b []byte) (c CSeq, rule string) {
	end := endOf(b, 0, classDigit)
	seq, ok := number(b[:end], 1<<31-1) // "MUST be less than 2**31" (RFC 3261 §8.1.1.5)
	if !ok {
		return c, "the sequence number is below 2147483648"
	}
	i := skipSpace(b, end)
	if i == end || !all(b[i:], classToken) {
		return c, "a number, a space and a method"
	}
	return CSeq{uint32(seq), methodOf(b[i:])}, ""
}
