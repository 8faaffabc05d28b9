package sip

import "time"

const (
	dateLayout = "Mon, 02 Jan 2006 15:04:05 GMT"
	dateRule   = "a date is of the form Sat, 13 Nov 2010 23:29:00 GMT (RFC 3261 §20.17)"
	weekdays   = "MonTueWedThuFriSatSun"
	months     = "JanFebMarAprMayJunJulAugSepOctNovDec"
)

// Date returns the Date header, ErrAbsent when there is none.
func (m *Message) Date() (time.Time, error) { return first(m, HdrDate, parseDate) }

// AppendDate appends a SIP-date, which is always in GMT.
func AppendDate(dst []byte, t time.Time) []byte { return t.UTC().AppendFormat(dst, dateLayout) }

// parseDate reads a SIP-date. Unlike HTTP, SIP has one form and one zone. Whether
// the day of the week is that of the date is not asked.
func parseDate(b []byte, i int) (t time.Time, end int, rule string) {
	if end = i + len(dateLayout); end > len(b) {
		return t, i, dateRule
	}
	b = b[i:end]
	month := index3(months, b[8:11])
	if index3(weekdays, b[:3]) < 0 || month < 0 || string(b[3:5]) != ", " || b[7] != ' ' || b[11] != ' ' || b[16] != ' ' ||
		b[19] != ':' || b[22] != ':' || string(b[25:]) != " GMT" {
		return t, i, dateRule
	}
	var n [5]int
	for k, v := range [...][]byte{b[5:7], b[12:16], b[17:19], b[20:22], b[23:25]} {
		x, ok := number(v, 9999)
		if !ok {
			return t, i, dateRule
		}
		n[k] = int(x)
	}
	t = time.Date(n[1], time.Month(month+1), n[0], n[2], n[3], n[4], 0, time.UTC)
	if t.Day() != n[0] || n[2] > 23 || n[3] > 59 || n[4] > 59 {
		return time.Time{}, i, "a day of that month and a time of day"
	}
	return t, end, ""
}

// index3 returns which of the words of three letters is b, or -1. Case counts
// (RFC 3261 §25.1 gives them as their bytes).
func index3(words string, b []byte) int {
	for i := 0; i < len(words); i += 3 {
		if string(b) == words[i:i+3] {
			return i / 3
		}
	}
	return -1
}
