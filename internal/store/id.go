package store

import (
	"math/rand/v2"
	"time"
)

// An ID is 63 bits: the milliseconds since 1970, and 21 bits that begin anywhere in the lower half of their range and
// count up, so that IDs of two gateways in the same millisecond are hardly ever the same. It is written as thirteen
// characters that sort as the number does and hold no letter that looks like another.
const (
	idBits  = 21
	idChars = 13
	digits  = "0123456789abcdefghjkmnpqrstvwxyz"
)

// NextID is the ID after last, at this time. It is greater than last also when the clock went back.
func NextID(last int64, now time.Time) int64 {
	return max(last+1, firstID(now)+rand.Int64N(1<<(idBits-1)))
}

// firstID is the least ID of a time.
func firstID(at time.Time) int64 { return max(0, at.UnixMilli()) << idBits }

// FormatID writes an ID, so that texts sort as IDs do.
func FormatID(id int64) string {
	var text [idChars]byte
	for i := idChars - 1; i >= 0; i-- {
		text[i] = digits[id&31]
		id >>= 5
	}
	return string(text[:])
}

// ParseID is the reverse of FormatID; ok is false for what it never wrote.
func ParseID(text string) (id int64, ok bool) {
	if len(text) != idChars || text[0] > '7' {
		return 0, false
	}
	for i := range len(text) {
		v := digitValue[text[i]]
		if v == 0 {
			return 0, false
		}
		id = id<<5 | int64(v-1)
	}
	return id, true
}

// digitValue is one more than the value of a character of digits, 0 for all others.
var digitValue = func() (values [256]byte) {
	for i := range len(digits) {
		values[digits[i]] = byte(i + 1)
	}
	return values
}()

// FirstID is the least that an ID of a time can be.
func FirstID(at time.Time) string { return FormatID(firstID(at)) }

// IDTime is the time of an ID, in milliseconds. That is when its record began, or later when the clock had gone back.
func IDTime(id int64) time.Time { return time.UnixMilli(id >> idBits) }
