package config

import (
	"fmt"
	"slices"
	"time"
)

// History is what is kept on the disk of every call, request and refused connection, so that it can be looked at later.
type History struct {
	Place

	// Whether a history is kept, in `history` under the data directory. It needs the records of calls: with `cdr: off` there is none. Default:
	// `true`.
	Keep bool `yaml:"keep"`

	// How much it may take on the disk: bytes, or a number with k, M, G or T. The oldest goes when there is more. A call of fourteen
	// messages takes about 14 kB. Default: `1G`.
	Size ByteSize `yaml:"size" form:"size"`

	// How long it is kept at most. 0: only the size counts. Default: 30d.
	Age Duration `yaml:"age" form:"duration"`

	// What is kept: `calls`, INVITEs and all that belongs to them; `requests`, messages whose method is OPTIONS, MESSAGE, SUBSCRIBE, NOTIFY,
	// PUBLISH or REGISTER; `handshakes`, connections with their TLS handshakes, good and refused. Default: all three.
	Kinds []HistoryKind `yaml:"kinds" form:"list of calls, requests, handshakes"`

	// What is kept of telephone numbers: `whole`, or `masked`, which leaves the last three digits. The records of calls have whole
	// numbers in any case, so that calls are found by them. Default: `whole`.
	Numbers HistoryNumbers `yaml:"numbers" form:"one of whole, masked"`
}

// HistoryKind is a kind of what the history keeps.
type HistoryKind string

// The kinds.
const (
	HistoryCalls      HistoryKind = "calls"
	HistoryRequests   HistoryKind = "requests"
	HistoryHandshakes HistoryKind = "handshakes"
)

func (k *HistoryKind) set(text string) *fault {
	return setWord(k, text, HistoryCalls, HistoryRequests, HistoryHandshakes)
}

// HistoryNumbers says what the history keeps of telephone numbers.
type HistoryNumbers string

// The values of numbers.
const (
	NumbersWhole  HistoryNumbers = "whole"
	NumbersMasked HistoryNumbers = "masked"
)

func (n *HistoryNumbers) set(text string) *fault {
	return setWord(n, text, NumbersWhole, NumbersMasked)
}

const (
	defaultHistory = 1 << 30
	leastHistory   = 16 << 20
	historyAge     = 30 * 24 * time.Hour
)

func (h *History) complete() {
	if h.Size == 0 {
		h.Size = defaultHistory
	}
	if h.Kinds == nil {
		h.Kinds = []HistoryKind{HistoryCalls, HistoryRequests, HistoryHandshakes}
	}
	if h.Numbers == "" {
		h.Numbers = NumbersWhole
	}
}

// Keeps says whether a kind is kept.
func (h *History) Keeps(k HistoryKind) bool { return slices.Contains(h.Kinds, k) }

func checkHistory(c *Config, r *report) {
	h := &c.History
	if h.Size < leastHistory && !h.Broken("size") {
		r.add(h.At("size"), fmt.Sprintf("history: size is %s", h.Size), "a busy minute needs more", fmt.Sprintf("write at least %s, or keep: false", ByteSize(leastHistory)))
	}
	names := make([]string, len(h.Kinds))
	for i, k := range h.Kinds {
		names[i] = string(k)
	}
	checkTwice(r, "history", "kinds", h.Place, names)
	if len(h.Kinds) == 0 && !h.Broken("kinds") {
		r.add(h.At("kinds"), "history: no kind is kept", "", "write keep: false, or leave the key out for all kinds")
	}
	if h.Keep && h.Has("keep") && c.CDR == CDROff {
		r.add(h.At("keep"), "history: there is none with cdr: off", "a call is found in the history by its record", "write keep: false here, or cdr: interval")
	}
}
