package config

import "strconv"

// A LimitRow is one limit as docs/reference/limits.md has it.
type LimitRow struct {
	Key, Default string
	Passing      string // what happens to who passes it
	Reason       string // by which it is counted
}

// passing says what happens to who passes a limit, by its key.
var passing = map[string]string{
	"message_size":           "513; a stream ends",
	"headers":                "400; a stream ends when its Content-Length was among the rest",
	"header_length":          "400",
	"uri_length":             "414 for the Request-URI, else 400",
	"vias":                   "400",
	"body_parts":             "400",
	"messages":               "dropped; a stream ends",
	"messages_per_source":    "dropped; a stream ends",
	"messages_per_peer":      "503 with Retry-After",
	"connections":            "closed before any handshake",
	"connections_per_source": "closed before any handshake",
	"handshakes":             "waits for 1s, then closed",
	"handshakes_per_source":  "closed before any handshake",
	"handshake_time":         "closed",
	"first_message":          "closed",
	"whole_message":          "closed",
	"idle":                   "closed",
	"idle_unknown":           "closed",
	"keep_alives":            "closed",
	"pending":                "cut off",
	"pending_peer":           "cut off; UDP: dropped",
	"stall":                  "cut off",
	"all connections":        "closed before any handshake",
	"all handshakes":         "waits for 1s, then closed",
	"all unfinished":         "the stream that passes it is closed",
	"all pending":            "the stream that passes it is cut off",
	"all waiting":            "what begins something new gets 503 with Retry-After, other datagrams are dropped; other streams are read more slowly",
	"all transactions":       "what begins something new gets 503 with Retry-After",
}

// ListenerLimitRows are the limits of each listener, in the order of the file.
func ListenerLimitRows() []LimitRow {
	l := DefaultListenerLimits()
	var rows []LimitRow
	for _, k := range l.counts() {
		rows = append(rows, LimitRow{k.key, strconv.Itoa(k.normal), passing[k.key], k.key})
	}
	for _, k := range l.times() {
		rows = append(rows, LimitRow{k.key, Duration{k.normal}.String(), passing[k.key], k.key})
	}
	return rows
}

// TotalLimitRows are the limits of all listeners together.
func TotalLimitRows() []LimitRow {
	var rows []LimitRow
	for _, k := range new(TotalLimits).counts() {
		reason := k.key
		if reason == "pending" {
			reason = "backlog"
		}
		rows = append(rows, LimitRow{k.key, strconv.Itoa(k.normal), passing["all "+k.key], reason})
	}
	return rows
}

// What one of each takes at most, in bytes. Tests measure it: of connections those
// in memory_test.go of sip/transport, of transactions that of sip/ua.
const (
	ConnectionBytes  = 36 << 10 // at rest, over TLS, with half a message not counted
	HandshakeBytes   = 100 << 10
	TransactionBytes = 4 << 10 // of a request with a dozen headers, and its response
	WaitingFactor    = 2       // a message's memory by its size
)

// A BoundRow is one part of the memory that limits allow.
type BoundRow struct {
	What  string
	Count int
	Each  int // bytes
}

// Bound adds up what may be held for who sends to the gateway: of every limit
// all, at once. Calls are not in it; their number is bounded by the limits of
// their peers.
func (l *TotalLimits) Bound() (rows []BoundRow, bytes int) {
	rows = []BoundRow{
		{"connections", int(l.Connections), ConnectionBytes},
		{"handshakes", int(l.Handshakes), HandshakeBytes},
		{"unfinished", int(l.Unfinished), 1},
		{"pending", int(l.Pending), 1},
		{"waiting", int(l.Waiting), WaitingFactor},
		{"transactions", int(l.Transactions), TransactionBytes},
	}
	for _, r := range rows {
		bytes += r.Count * r.Each
	}
	return rows, bytes
}

// DefaultTotalLimits are those of a file that says nothing.
func DefaultTotalLimits() *TotalLimits {
	l := new(TotalLimits)
	l.complete()
	return l
}
