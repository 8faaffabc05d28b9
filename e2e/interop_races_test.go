//go:build interop

package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// raceCalls is how many calls of a scenario are placed, a few at a time.
const (
	raceCalls = 20
	raceRate  = 20 // calls a second
)

// races are the scenarios of testdata/sipp. In each, SIPp on both sides wants exactly the messages that its part names.
var races = []struct {
	name   string
	over   string         // the hops besides UDP and TCP: "tls" for mutual TLS on both
	second bool           // there is a second target
	again  bool           // a target that has failed is asked again
	counts map[string]int // calls that a side must see, when not each of them
	caller []string       // more arguments for the caller's SIPp
}{
	{name: "bye_caller", over: "tls"},
	{name: "bye_answerer", over: "tls"},
	{name: "bye_crossing"},
	{name: "bye_early"},
	{name: "cancel_ringing", over: "tls"},
	{name: "cancel_before_ringing"},
	{name: "cancel_crosses_200"},
	{name: "cancel_late_200", over: "tls"},
	{name: "cancel_overtaken"},
	{name: "early_media", over: "tls"},
	{name: "reinvite_caller", over: "tls"},
	{name: "reinvite_answerer", over: "tls"},
	{name: "reinvite_glare"},
	{name: "reinvite_unknown"},
	{name: "busy", over: "tls", second: true, counts: map[string]int{"second": 0}},
	{name: "unavailable", over: "tls", second: true, counts: map[string]int{"answerer": 1}, caller: []string{"-l", "1"}},
	{name: "failover_early", second: true, again: true},
	{name: "forked", over: "tls"},
	{name: "prack", over: "tls"},
	{name: "update"},
	{name: "info"},
	{name: "late_offer", over: "tls"},
	{name: "prack_offer"},
	{name: "reinvite_bye"},
	{name: "no_ack", caller: []string{"-nr"}},
}

// TestRaces lets SIPp call SIPp through the gateway in every scenario.
func TestRaces(t *testing.T) {
	t.Parallel()
	need(t, "sipp", "sip-tester")
	need(t, "stunnel", "stunnel4")
	for _, r := range races {
		hops := []string{"udp", "tcp"}
		if r.over == "tls" {
			hops = append(hops, "1.3")
		}
		for _, hop := range hops {
			t.Run(r.name+" "+hop, func(t *testing.T) {
				t.Parallel()
				s := newStage(t, stageOptions{in: hop, out: hop, second: r.second, again: r.again})
				s.play(t, r.name, r.counts, r.caller)
			})
		}
	}
}

// play runs one scenario, and wants each side to have seen all calls, or as many as counts says.
func (s *stage) play(t *testing.T, name string, counts map[string]int, caller []string) {
	t.Helper()
	sides := writeScenario(t, s.dir, name)
	stations := map[string]station{"caller": s.caller, "answerer": s.answerer, "second": s.second}
	running := map[string]*sippProcess{}
	slices.Reverse(sides) // the caller comes last
	for _, side := range sides {
		o := sippOptions{name: side, calls: raceCalls, more: []string{"-trace_msg", "-message_file", side + ".messages"}}
		if n, ok := counts[side]; ok {
			o.calls = n + 1
		}
		if side == "caller" {
			o.rate, o.more = raceRate, append(o.more, caller...)
		}
		running[side] = stations[side].sipp(t, o)
	}
	t.Cleanup(func() {
		if t.Failed() {
			for _, side := range sides {
				t.Logf("the first messages of the %s:\n%s", side, head(filepath.Join(s.dir, side+".messages"), 12000))
			}
		}
	})
	running["caller"].wants(t, raceCalls)
	for _, side := range sides {
		if t.Failed() {
			return
		}
		n, ok := counts[side]
		switch {
		case side == "caller":
		case ok:
			running[side].wantsOnly(t, n)
		default:
			running[side].wants(t, raceCalls)
		}
	}
	wantNoCalls(t, s.admin)
}

// wantsOnly wants SIPp to have seen that many calls, and not another one. It runs still, waiting for that.
func (p *sippProcess) wantsOnly(t *testing.T, calls int) {
	t.Helper()
	done := func() bool { return calls == 0 || p.count(t, "SuccessfulCall(C)") == calls }
	if !eventually(sippTime, func() bool { return len(p.exited) > 0 || done() }) || len(p.exited) > 0 {
		t.Errorf("%s: %d calls succeeded, want %d:\n%s", p.name, p.count(t, "SuccessfulCall(C)"), calls, p.failures())
	}
	if got := p.count(t, "TotalCallCreated"); got != calls {
		t.Errorf("%s saw %d calls, want %d", p.name, got, calls)
	}
}

// head is the beginning of a file, for a message.
func head(file string, most int) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	return strings.ToValidUTF8(string(text[:min(len(text), most)]), "?")
}
