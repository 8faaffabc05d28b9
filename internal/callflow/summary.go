package callflow

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Summary is a flow as one line of a list. It is what the API lists and streams, docs/reference/api.md.
type Summary struct {
	ID             string    `json:"id"`
	Number         uint64    `json:"number"`      // of the call in its run, as in logs; 0: it is no call of the gateway's
	State          State     `json:"state"`       //
	Sentence       string    `json:"sentence"`    // the outcome in words
	From           string    `json:"from"`        // user@host; empty without SIP
	To             string    `json:"to"`          // likewise
	Start          time.Time `json:"start"`       // of the first event
	DurationMicros int64     `json:"duration_us"` // as Flow.Duration
	SetupMicros    int64     `json:"setup_us"`    // as Flow.Setup
	Done           bool      `json:"done"`        // nothing more is expected
	Peers          []string  `json:"peers"`       // by name, each once, in the order of the legs
	Legs           int       `json:"legs"`        //
	Security       string    `json:"security"`    // the word of Security; empty: not judged
	Hops           []string  `json:"hops"`        // a word for each leg: see Hop.Word
	Findings       []string  `json:"findings"`    // codes, each once, the gravest first
	Reason         string    `json:"reason"`      // code of the first refused handshake; empty: none was refused
	Live           bool      `json:"live"`        // it goes on in this run of the gateway, and may change
}

// Summarize makes the line of a flow that a running gateway has in memory, or of one that was read from a file.
func Summarize(f *Flow) Summary {
	s := Summary{
		ID: f.ID, State: f.State, Sentence: f.Sentence, From: f.From, To: f.To, Start: f.Start.UTC(),
		DurationMicros: f.Duration.Microseconds(), SetupMicros: f.Setup.Microseconds(), Done: f.Done, Live: !f.Done,
		Peers: []string{}, Legs: len(f.Legs), Hops: []string{}, Findings: []string{},
	}
	s.Number = NumberOf(f.ID)
	if f.Security != nil {
		s.Security = f.Security.Word
	}
	for _, l := range f.Legs {
		if l.Peer != "" && !slices.Contains(s.Peers, l.Peer) {
			s.Peers = append(s.Peers, l.Peer)
		}
		s.Hops = append(s.Hops, l.Hop.Word())
		if s.Reason == "" {
			s.Reason = l.Hop.refusedFor()
		}
	}
	for i := range f.Findings {
		if code := f.Findings[i].Code; !slices.Contains(s.Findings, code) {
			s.Findings = append(s.Findings, code)
		}
	}
	return s
}

// NumberOf is the call's number that a flow's id ends with: 41 of "41" and of "k3f9-41". It is 0 for the ids of what is no call.
func NumberOf(id string) uint64 {
	if strings.HasPrefix(id, "conn-") || strings.HasPrefix(id, "leg-") {
		return 0
	}
	run, number, found := strings.Cut(id, "-")
	if !found {
		number = run
	}
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// Word is the hop in a few characters: "13m" is TLS 1.3 with certificates of both sides, "12" TLS 1.2 with one of the server alone,
// "udp" and "tcp" are plain, "13m-wss" and "ws" WebSocket. An x stands before a hop that was refused or never came up: "x12",
// "xtls" when no version was agreed. "-" is a hop for which no connection was begun.
func (h *Hop) Word() string {
	l := h.Link
	if l == nil {
		return "-"
	}
	word := l.Transport
	if t := l.TLS; t != nil && t.Version != "" {
		word = strings.ReplaceAll(t.Version, ".", "")
		if t.Mutual && !h.Refused {
			word += "m"
		}
		if l.Transport == "wss" {
			word += "-wss"
		}
	}
	if h.Refused {
		word = "x" + word
	}
	return word
}

// refusedFor is the code of the first verdict that refused; empty when none did.
func (h *Hop) refusedFor() string {
	for i := range h.Verdicts {
		if v := &h.Verdicts[i]; !v.Accepted && !v.Undecided && v.Code != "" {
			return v.Code
		}
	}
	return ""
}

// Equal reports whether two lines say the same.
func (s *Summary) Equal(o *Summary) bool {
	return s.ID == o.ID && s.Number == o.Number && s.State == o.State && s.Sentence == o.Sentence && s.From == o.From && s.To == o.To &&
		s.Start.Equal(o.Start) && s.DurationMicros == o.DurationMicros && s.SetupMicros == o.SetupMicros && s.Done == o.Done &&
		slices.Equal(s.Peers, o.Peers) && s.Legs == o.Legs && s.Security == o.Security && slices.Equal(s.Hops, o.Hops) &&
		slices.Equal(s.Findings, o.Findings) && s.Reason == o.Reason && s.Live == o.Live
}

// Newer orders summaries as lists do: the newest start first, and of the same start the greater id.
func (s *Summary) Newer(o *Summary) int {
	if c := o.Start.Compare(s.Start); c != 0 {
		return c
	}
	return strings.Compare(o.ID, s.ID)
}
