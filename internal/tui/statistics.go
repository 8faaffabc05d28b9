package tui

import (
	"fmt"
	"slices"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
)

// statistics counts the flows of the list.
func (l *list) statistics(ascii bool) (lines []styled) {
	state, security, finding, peer, reason := tally{}, tally{}, tally{}, tally{}, tally{}
	var setup, length []time.Duration
	troubles := 0
	for _, f := range l.shown() {
		state[string(f.State)]++
		security[orDash(f.Security)]++
		for _, code := range f.Findings {
			finding[code]++
		}
		for _, p := range f.Peers {
			peer[p]++
		}
		if f.Reason != "" {
			reason[f.Reason]++
		}
		if f.SetupMicros > 0 {
			setup = append(setup, time.Duration(f.SetupMicros)*time.Microsecond)
		}
		if f.DurationMicros > 0 {
			length = append(length, time.Duration(f.DurationMicros)*time.Microsecond)
		}
		if troubled(f) {
			troubles++
		}
	}
	lines = append(lines, styled{bold, fmt.Sprintf("%d in the list, %d to look at", len(l.shown()), troubles)},
		styled{plain, "time until the answer: " + spread(setup)}, styled{plain, "length of calls:       " + spread(length)}, styled{plain, ""})
	lines = append(lines, state.lines("States", ascii)...)
	lines = append(lines, peer.lines("Peers", ascii)...)
	lines = append(lines, finding.lines("Findings", ascii)...)
	lines = append(lines, reason.lines("Refused handshakes, by reason", ascii)...)
	return append(lines, security.lines("Security of the signalling", ascii)...)
}

// spread says how some durations lie.
func spread(all []time.Duration) string {
	if len(all) == 0 {
		return "none was answered"
	}
	slices.Sort(all)
	at := func(percent int) string { return callflow.Span(all[(len(all)-1)*percent/100]) }
	return fmt.Sprintf("half within %s, 95 %% within %s, longest %s", at(50), at(95), at(100))
}
