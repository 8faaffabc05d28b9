package sip

import (
	"strconv"
	"time"
)

// maxSeconds is the largest delta-seconds (RFC 3261 §20.19).
const maxSeconds = 1<<32 - 1

const secondsRule = "a number of seconds below 4294967296"

// Expires returns the Expires header, ErrAbsent when there is none.
func (m *Message) Expires() (time.Duration, error) { return first(m, HdrExpires, parseSeconds) }

// MinExpires returns the Min-Expires header, ErrAbsent when there is none.
func (m *Message) MinExpires() (time.Duration, error) { return first(m, HdrMinExpires, parseSeconds) }

// FlowTimer returns the Flow-Timer header, within which a flow wants a keep-alive
// (RFC 5626 §4.4), ErrAbsent when there is none.
func (m *Message) FlowTimer() (time.Duration, error) { return first(m, HdrFlowTimer, parseFlowTimer) }

func parseSeconds(b []byte, i int) (d time.Duration, end int, rule string) {
	end = endOf(b, i, classDigit)
	n, ok := number(b[i:end], maxSeconds)
	if !ok {
		return 0, i, secondsRule
	}
	return time.Duration(n) * time.Second, end, ""
}

func parseFlowTimer(b []byte, i int) (d time.Duration, end int, rule string) {
	if d, end, rule = parseSeconds(b, i); rule == "" && d == 0 {
		rule, end = "a number of seconds above 0 (RFC 5626 §10)", i
	}
	return d, end, rule
}

// seconds returns a parameter that is a number of seconds.
func (p Params) seconds(name string) (time.Duration, bool) {
	v, _ := p.Get(name)
	n, ok := number(v, maxSeconds)
	return time.Duration(n) * time.Second, ok
}

// numbers returns a parser of numbers in those bounds.
func numbers(low, high uint64, rule string) parser[uint32] {
	return func(b []byte, i int) (uint32, int, string) {
		end := endOf(b, i, classDigit)
		n, ok := number(b[i:end], high)
		if !ok || n < low {
			return 0, i, rule
		}
		return uint32(n), end, ""
	}
}

var (
	parseHops    = numbers(0, 255, "a number from 0 to 255")
	parseLength  = numbers(0, maxBody, "a number of bytes")
	parseBreadth = numbers(0, 1<<32-1, "a number below 4294967296")
	parseRSeq    = numbers(1, 1<<32-1, "a number from 1 to 4294967295")
)

// MaxBreadth returns how many branches may exist at once (RFC 5393 §5.3.3),
// ErrAbsent when the header is not there.
func (m *Message) MaxBreadth() (uint32, error) { return first(m, HdrMaxBreadth, parseBreadth) }

// RSeq returns the number of a reliable provisional response (RFC 3262 §7.1),
// ErrAbsent when the header is not there.
func (m *Message) RSeq() (uint32, error) { return first(m, HdrRSeq, parseRSeq) }

// RAck names the response that a PRACK acknowledges (RFC 3262 §7.2).
type RAck struct {
	RSeq uint32
	CSeq CSeq
}

// Append appends the value as it is written.
func (r RAck) Append(dst []byte) []byte {
	dst = append(strconv.AppendUint(dst, uint64(r.RSeq), 10), ' ')
	return r.CSeq.Append(dst)
}

// Append appends the value as it is written.
func (c CSeq) Append(dst []byte) []byte {
	dst = append(strconv.AppendUint(dst, uint64(c.Seq), 10), ' ')
	return append(dst, c.Method...)
}

// RAck returns the RAck header, ErrAbsent when there is none.
func (m *Message) RAck() (RAck, error) { return first(m, HdrRAck, parseRAck) }

func parseRAck(b []byte, i int) (r RAck, end int, rule string) {
	n, end, rule := parseRSeq(b, i)
	if rule != "" {
		return r, end, rule
	}
	start := skipSpace(b, end)
	if start == end {
		return r, end, "two numbers and a method, spaces between"
	}
	c, end, rule := parseCSeqAt(b, start)
	return RAck{n, c}, end, rule
}

func parseCSeqAt(b []byte, i int) (c CSeq, end int, rule string) {
	if c, rule = parseCSeq(b[i:]); rule != "" {
		return c, i, rule
	}
	return c, len(b), ""
}

// Interval is a time with parameters, as in Session-Expires and Min-SE (RFC 4028
// §4, §5).
type Interval struct {
	Time   time.Duration
	Params Params
}

// Refresher returns who refreshes the session: "uac", "uas", or nil.
func (x Interval) Refresher() []byte {
	v, _ := x.Params.Get("refresher")
	return v
}

// Append appends the value as it is written.
func (x Interval) Append(dst []byte) []byte {
	return append(strconv.AppendInt(dst, int64(x.Time/time.Second), 10), x.Params...)
}

// SessionExpires returns the Session-Expires header, ErrAbsent when there is none.
func (m *Message) SessionExpires() (Interval, error) {
	return first(m, HdrSessionExpires, parseSessionExpires)
}

// MinSE returns the Min-SE header, ErrAbsent when there is none.
func (m *Message) MinSE() (Interval, error) { return first(m, HdrMinSE, parseInterval) }

func parseInterval(b []byte, i int) (Interval, int, string) { return interval(b, i) }

func parseSessionExpires(b []byte, i int) (Interval, int, string) {
	return interval(b, i, paramRule{"refresher", isRefresher, "refresher is uac or uas"})
}

func isRefresher(v []byte) bool { return equalFold(v, "uac") || equalFold(v, "uas") }

func interval(b []byte, i int, rules ...paramRule) (x Interval, end int, rule string) {
	if x.Time, end, rule = parseSeconds(b, i); rule != "" {
		return x, end, rule
	}
	x.Params, end, rule = params(b, end, rules...)
	return x, end, rule
}

// RetryAfter says when to try again (RFC 3261 §20.33).
type RetryAfter struct {
	Time    time.Duration
	Comment []byte // with its parentheses
	Params  Params
}

// Duration returns for how long the callee will be there, and whether that is
// said.
func (r RetryAfter) Duration() (time.Duration, bool) { return r.Params.seconds("duration") }

// Append appends the value as it is written.
func (r RetryAfter) Append(dst []byte) []byte {
	dst = strconv.AppendInt(dst, int64(r.Time/time.Second), 10)
	if r.Comment != nil {
		dst = append(append(dst, ' '), r.Comment...)
	}
	return append(dst, r.Params...)
}

// RetryAfter returns the Retry-After header, ErrAbsent when there is none.
func (m *Message) RetryAfter() (RetryAfter, error) { return first(m, HdrRetryAfter, parseRetryAfter) }

func parseRetryAfter(b []byte, i int) (r RetryAfter, end int, rule string) {
	if r.Time, end, rule = parseSeconds(b, i); rule != "" {
		return r, end, rule
	}
	if start := skipSpace(b, end); at(b, start, '(') {
		if end = endComment(b, start); end < 0 {
			return r, start, commentRule
		}
		r.Comment = b[start:end]
	}
	r.Params, end, rule = params(b, end, paramRule{"duration", isSeconds, "duration is a number of seconds"})
	return r, end, rule
}

// Timestamp is when a request was sent, by the sender's clock, and how long the
// answer took (RFC 3261 §20.38).
type Timestamp struct {
	Time  []byte // seconds, with decimals; echoed as it is
	Delay []byte // seconds between request and response, nil when it is not said
}

// Append appends the value as it is written.
func (t Timestamp) Append(dst []byte) []byte {
	dst = append(dst, t.Time...)
	if t.Delay != nil {
		dst = append(append(dst, ' '), t.Delay...)
	}
	return dst
}

// Timestamp returns the Timestamp header, ErrAbsent when there is none.
func (m *Message) Timestamp() (Timestamp, error) { return first(m, HdrTimestamp, parseTimestamp) }

func parseTimestamp(b []byte, i int) (t Timestamp, end int, rule string) {
	if end = endOf(b, i, classDigit); end == i {
		return t, i, "a number of seconds, decimals behind a dot, and a delay behind a space"
	}
	end = endDecimals(b, end)
	t.Time = b[i:end]
	if start := skipSpace(b, end); start > end && start < len(b) {
		end = endDecimals(b, endOf(b, start, classDigit))
		t.Delay = b[start:end]
	}
	return t, end, ""
}

// endDecimals reads [ "." *(DIGIT) ].
func endDecimals(b []byte, i int) int {
	if at(b, i, '.') {
		return endOf(b, i+1, classDigit)
	}
	return i
}
