package transaction

import (
	"strings"
	"testing"
	"time"
)

const ms = time.Millisecond

// The events of a machine's script. tick has to stand at the very instant at
// which the machine asked to be woken.
type (
	begin   struct{}
	tick    struct{}
	fail    struct{}
	got     int // a client receives this response
	tell    int // a server's TU gives this response
	again   struct{}
	gotAck  struct{}
	cancels struct{}
)

type step struct {
	at time.Duration
	do any
}

// anyMachine is what all four have in common.
type anyMachine interface {
	start(time.Duration) action
	expire(time.Duration) action
	fail() action
	next() time.Duration
	current() State
}

func play(t *testing.T, m anyMachine, s step) action {
	t.Helper()
	switch e := s.do.(type) {
	case begin:
		return m.start(s.at)
	case tick:
		if m.next() != s.at {
			t.Fatalf("the machine wakes at %v, the script at %v", m.next(), s.at)
		}
		return m.expire(s.at)
	case fail:
		return m.fail()
	case got:
		return m.(clientMachine).response(s.at, int(e))
	case tell:
		return m.(serverMachine).respond(s.at, int(e))
	case again:
		return m.(serverMachine).request()
	case gotAck:
		return m.(serverMachine).ack(s.at)
	case cancels:
		m.(clientMachine).cancel(s.at)
		return 0
	}
	t.Fatalf("unknown event %T", s.do)
	return 0
}

func (a action) String() string {
	if a == 0 {
		return "nothing"
	}
	var names []string
	for i, name := range []string{"send", "ack", "pass", "timeout", "error", "done"} {
		if a&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, "+")
}

// arrow is one arrow of a drawing: the events that lead to its tail, the event
// it stands for, what has to be done and where it ends.
type arrow struct {
	name     string
	reliable bool
	before   []step
	event    step
	want     action
	state    State
	next     time.Duration // when it wants to wake then
}

func runArrows(t *testing.T, fresh func(machine) anyMachine, arrows []arrow) {
	cfg := DefaultConfig()
	for _, a := range arrows {
		t.Run(a.name, func(t *testing.T) {
			m := fresh(machine{cfg: &cfg, reliable: a.reliable})
			for _, s := range a.before {
				play(t, m, s)
			}
			if got := play(t, m, a.event); got != a.want {
				t.Errorf("action %v, want %v", got, a.want)
			}
			if m.current() != a.state {
				t.Errorf("state %v, want %v", m.current(), a.state)
			}
			if m.next() != a.next {
				t.Errorf("wakes at %v, want %v", m.next(), a.next)
			}
		})
	}
}

func TestInviteClientArrows(t *testing.T) { // RFC 6026 §8.4, figure 5
	calling := []step{{0, begin{}}}
	proceeding := []step{{0, begin{}}, {100 * ms, got(180)}}
	completed := []step{{0, begin{}}, {100 * ms, got(486)}}
	accepted := []step{{0, begin{}}, {100 * ms, got(200)}}
	terminated := []step{{0, begin{}}, {0, fail{}}}
	const timerC = 181_000 * ms
	runArrows(t, func(m machine) anyMachine { return &inviteClient{machine: m} }, []arrow{
		{name: "INVITE from TU, unreliable", event: step{0, begin{}}, want: actSend, state: Calling, next: 500 * ms},
		{name: "INVITE from TU, reliable", reliable: true, event: step{0, begin{}}, want: actSend, state: Calling, next: 32_000 * ms},
		{name: "Calling, timer A", before: calling, event: step{500 * ms, tick{}}, want: actSend, state: Calling, next: 1500 * ms},
		{name: "Calling, timer B", reliable: true, before: calling, event: step{32_000 * ms, tick{}}, want: actTimeout | actDone, state: Terminated, next: never},
		{name: "Calling, transport error", before: calling, event: step{1 * ms, fail{}}, want: actError | actDone, state: Terminated, next: never},
		{name: "Calling, 100", before: calling, event: step{10 * ms, got(100)}, want: actPass, state: Proceeding, next: timerC + 10*ms},
		{name: "Calling, 2xx", before: calling, event: step{10 * ms, got(200)}, want: actPass, state: Accepted, next: 32_010 * ms},
		{name: "Calling, 2xx, reliable", reliable: true, before: calling, event: step{10 * ms, got(299)}, want: actPass, state: Accepted, next: 32_010 * ms},
		{name: "Calling, 300-699", before: calling, event: step{10 * ms, got(300)}, want: actAck | actPass, state: Completed, next: 32_010 * ms},
		{name: "Calling, 300-699, reliable", reliable: true, before: calling, event: step{10 * ms, got(699)}, want: actAck | actPass | actDone, state: Terminated, next: never},
		{name: "Calling, CANCEL is not sent yet", before: calling, event: step{10 * ms, cancels{}}, state: Calling, next: 500 * ms},
		{name: "Proceeding, 100 leaves timer C", before: proceeding, event: step{200 * ms, got(100)}, want: actPass, state: Proceeding, next: timerC + 100*ms},
		{name: "Proceeding, 1xx starts timer C afresh", before: proceeding, event: step{200 * ms, got(183)}, want: actPass, state: Proceeding, next: timerC + 200*ms},
		{name: "Proceeding, 2xx", before: proceeding, event: step{200 * ms, got(200)}, want: actPass, state: Accepted, next: 32_200 * ms},
		{name: "Proceeding, 300-699", before: proceeding, event: step{200 * ms, got(603)}, want: actAck | actPass, state: Completed, next: 32_200 * ms},
		{name: "Proceeding, timer C", before: proceeding, event: step{timerC + 100*ms, tick{}}, want: actTimeout | actDone, state: Terminated, next: never},
		{name: "Proceeding, connection lost", before: proceeding, event: step{1 * ms, fail{}}, want: actError | actDone, state: Terminated, next: never},
		{name: "Proceeding, CANCEL sent", before: proceeding, event: step{1000 * ms, cancels{}}, state: Proceeding, next: 33_000 * ms},
		{name: "Proceeding, 1xx after CANCEL", before: append(proceeding, step{1000 * ms, cancels{}}), event: step{2000 * ms, got(180)}, want: actPass, state: Proceeding, next: 33_000 * ms},
		{name: "Proceeding, a second CANCEL", before: append(proceeding, step{1000 * ms, cancels{}}), event: step{2000 * ms, cancels{}}, state: Proceeding, next: 33_000 * ms},
		{name: "Completed, 300-699", before: completed, event: step{200 * ms, got(486)}, want: actAck, state: Completed, next: 32_100 * ms},
		{name: "Completed, 2xx", before: completed, event: step{200 * ms, got(200)}, state: Completed, next: 32_100 * ms},
		{name: "Completed, 1xx", before: completed, event: step{200 * ms, got(180)}, state: Completed, next: 32_100 * ms},
		{name: "Completed, transport error", before: completed, event: step{200 * ms, fail{}}, want: actError | actDone, state: Terminated, next: never},
		{name: "Completed, timer D", before: completed, event: step{32_100 * ms, tick{}}, want: actDone, state: Terminated, next: never},
		{name: "Accepted, 2xx", before: accepted, event: step{200 * ms, got(200)}, want: actPass, state: Accepted, next: 32_100 * ms},
		{name: "Accepted, 1xx", before: accepted, event: step{200 * ms, got(180)}, state: Accepted, next: 32_100 * ms},
		{name: "Accepted, 300-699", before: accepted, event: step{200 * ms, got(500)}, state: Accepted, next: 32_100 * ms},
		{name: "Accepted, connection lost", before: accepted, event: step{200 * ms, fail{}}, state: Accepted, next: 32_100 * ms},
		{name: "Accepted, timer M", before: accepted, event: step{32_100 * ms, tick{}}, want: actDone, state: Terminated, next: never},
		{name: "Terminated, 2xx", before: terminated, event: step{200 * ms, got(200)}, state: Terminated, next: never},
		{name: "Terminated, transport error", before: terminated, event: step{200 * ms, fail{}}, state: Terminated, next: never},
	})
}

func TestNonInviteClientArrows(t *testing.T) { // RFC 3261 §17.1.2.2, figure 6
	trying := []step{{0, begin{}}}
	proceeding := []step{{0, begin{}}, {100 * ms, got(100)}}
	completed := []step{{0, begin{}}, {100 * ms, got(200)}}
	runArrows(t, func(m machine) anyMachine { return &nonInviteClient{m} }, []arrow{
		{name: "request from TU, unreliable", event: step{0, begin{}}, want: actSend, state: Trying, next: 500 * ms},
		{name: "request from TU, reliable", reliable: true, event: step{0, begin{}}, want: actSend, state: Trying, next: 32_000 * ms},
		{name: "Trying, timer E", before: trying, event: step{500 * ms, tick{}}, want: actSend, state: Trying, next: 1500 * ms},
		{name: "Trying, timer F", reliable: true, before: trying, event: step{32_000 * ms, tick{}}, want: actTimeout | actDone, state: Terminated, next: never},
		{name: "Trying, transport error", before: trying, event: step{1 * ms, fail{}}, want: actError | actDone, state: Terminated, next: never},
		{name: "Trying, 1xx leaves timer E", before: trying, event: step{10 * ms, got(100)}, want: actPass, state: Proceeding, next: 500 * ms},
		{name: "Trying, 200-699", before: trying, event: step{10 * ms, got(200)}, want: actPass, state: Completed, next: 5010 * ms},
		{name: "Trying, 200-699, reliable", reliable: true, before: trying, event: step{10 * ms, got(404)}, want: actPass | actDone, state: Terminated, next: never},
		{name: "Proceeding, timer E is T2", before: proceeding, event: step{500 * ms, tick{}}, want: actSend, state: Proceeding, next: 4500 * ms},
		{name: "Proceeding, 1xx", before: proceeding, event: step{200 * ms, got(183)}, want: actPass, state: Proceeding, next: 500 * ms},
		{name: "Proceeding, 200-699", before: proceeding, event: step{200 * ms, got(200)}, want: actPass, state: Completed, next: 5200 * ms},
		{name: "Proceeding, timer F", reliable: true, before: proceeding, event: step{32_000 * ms, tick{}}, want: actTimeout | actDone, state: Terminated, next: never},
		{name: "Proceeding, transport error", before: proceeding, event: step{200 * ms, fail{}}, want: actError | actDone, state: Terminated, next: never},
		{name: "Completed, another response", before: completed, event: step{200 * ms, got(200)}, state: Completed, next: 5100 * ms},
		{name: "Completed, connection lost", before: completed, event: step{200 * ms, fail{}}, state: Completed, next: 5100 * ms},
		{name: "Completed, timer K", before: completed, event: step{5100 * ms, tick{}}, want: actDone, state: Terminated, next: never},
		{name: "any, CANCEL means nothing", before: proceeding, event: step{200 * ms, cancels{}}, state: Proceeding, next: 500 * ms},
	})
}

func TestInviteServerArrows(t *testing.T) { // RFC 6026 §8.6, figure 7
	proceeding := []step{{0, begin{}}}
	completed := []step{{0, begin{}}, {100 * ms, tell(486)}}
	confirmed := append(completed, step{200 * ms, gotAck{}})
	accepted := []step{{0, begin{}}, {100 * ms, tell(200)}}
	runArrows(t, func(m machine) anyMachine { return &inviteServer{m} }, []arrow{
		{name: "INVITE", event: step{0, begin{}}, want: actPass | actSend, state: Proceeding, next: never},
		{name: "Proceeding, INVITE", before: proceeding, event: step{500 * ms, again{}}, want: actSend, state: Proceeding, next: never},
		{name: "Proceeding, 101-199 from TU", before: proceeding, event: step{500 * ms, tell(180)}, want: actSend, state: Proceeding, next: never},
		{name: "Proceeding, transport error", before: proceeding, event: step{500 * ms, fail{}}, want: actError, state: Proceeding, next: never},
		{name: "Proceeding, ACK", before: proceeding, event: step{500 * ms, gotAck{}}, state: Proceeding, next: never},
		{name: "Proceeding, 2xx from TU", before: proceeding, event: step{100 * ms, tell(200)}, want: actSend, state: Accepted, next: 32_100 * ms},
		{name: "Proceeding, 2xx from TU, reliable", reliable: true, before: proceeding, event: step{100 * ms, tell(200)}, want: actSend, state: Accepted, next: 32_100 * ms},
		{name: "Proceeding, 300-699 from TU", before: proceeding, event: step{100 * ms, tell(300)}, want: actSend, state: Completed, next: 600 * ms},
		{name: "Proceeding, 300-699 from TU, reliable", reliable: true, before: proceeding, event: step{100 * ms, tell(300)}, want: actSend, state: Completed, next: 32_100 * ms},
		{name: "Completed, INVITE", before: completed, event: step{200 * ms, again{}}, want: actSend, state: Completed, next: 600 * ms},
		{name: "Completed, timer G", before: completed, event: step{600 * ms, tick{}}, want: actSend, state: Completed, next: 1600 * ms},
		{name: "Completed, transport error", before: completed, event: step{600 * ms, fail{}}, want: actError, state: Completed, next: 600 * ms},
		{name: "Completed, another final from TU", before: completed, event: step{200 * ms, tell(200)}, state: Completed, next: 600 * ms},
		{name: "Completed, timer H", reliable: true, before: completed, event: step{32_100 * ms, tick{}}, want: actTimeout | actDone, state: Terminated, next: never},
		{name: "Completed, ACK", before: completed, event: step{200 * ms, gotAck{}}, state: Confirmed, next: 5200 * ms},
		{name: "Completed, ACK, reliable", reliable: true, before: completed, event: step{200 * ms, gotAck{}}, want: actDone, state: Terminated, next: never},
		{name: "Confirmed, ACK", before: confirmed, event: step{300 * ms, gotAck{}}, state: Confirmed, next: 5200 * ms},
		{name: "Confirmed, INVITE", before: confirmed, event: step{300 * ms, again{}}, state: Confirmed, next: 5200 * ms},
		{name: "Confirmed, timer I", before: confirmed, event: step{5200 * ms, tick{}}, want: actDone, state: Terminated, next: never},
		{name: "Accepted, INVITE", before: accepted, event: step{200 * ms, again{}}, state: Accepted, next: 32_100 * ms},
		{name: "Accepted, ACK", before: accepted, event: step{200 * ms, gotAck{}}, want: actPass, state: Accepted, next: 32_100 * ms},
		{name: "Accepted, 2xx from TU", before: accepted, event: step{200 * ms, tell(200)}, want: actSend, state: Accepted, next: 32_100 * ms},
		{name: "Accepted, 300-699 from TU", before: accepted, event: step{200 * ms, tell(500)}, state: Accepted, next: 32_100 * ms},
		{name: "Accepted, 1xx from TU", before: accepted, event: step{200 * ms, tell(180)}, state: Accepted, next: 32_100 * ms},
		{name: "Accepted, transport error", before: accepted, event: step{200 * ms, fail{}}, want: actError, state: Accepted, next: 32_100 * ms},
		{name: "Accepted, timer L", before: accepted, event: step{32_100 * ms, tick{}}, want: actDone, state: Terminated, next: never},
		{name: "Terminated, 2xx from TU", before: append(accepted, step{32_100 * ms, tick{}}), event: step{33_000 * ms, tell(200)}, state: Terminated, next: never},
		{name: "Terminated, transport error", before: append(accepted, step{32_100 * ms, tick{}}), event: step{33_000 * ms, fail{}}, state: Terminated, next: never},
	})
}

func TestNonInviteServerArrows(t *testing.T) { // RFC 3261 §17.2.2, figure 8; RFC 4320 §4
	trying := []step{{0, begin{}}}
	proceeding := []step{{0, begin{}}, {3500 * ms, tick{}}}
	completed := []step{{0, begin{}}, {100 * ms, tell(200)}}
	runArrows(t, func(m machine) anyMachine { return &nonInviteServer{m} }, []arrow{
		{name: "request", event: step{0, begin{}}, want: actPass, state: Trying, next: 3500 * ms},
		{name: "Trying, request", before: trying, event: step{500 * ms, again{}}, state: Trying, next: 3500 * ms},
		{name: "Trying, ACK", before: trying, event: step{500 * ms, gotAck{}}, state: Trying, next: 3500 * ms},
		{name: "Trying, E has reached T2", before: trying, event: step{3500 * ms, tick{}}, want: actSend, state: Proceeding, next: 32_000 * ms},
		{name: "Trying, 100 from TU too early", before: trying, event: step{3499 * ms, tell(100)}, state: Trying, next: 3500 * ms},
		{name: "Trying, 100 from TU", before: trying, event: step{3500 * ms, tell(100)}, want: actSend, state: Proceeding, next: 32_000 * ms},
		{name: "Trying, 100 from TU at once, reliable", reliable: true, before: trying, event: step{1 * ms, tell(100)}, want: actSend, state: Proceeding, next: 32_000 * ms},
		{name: "Trying, 101-199 from TU", reliable: true, before: trying, event: step{100 * ms, tell(180)}, state: Trying, next: 3500 * ms},
		{name: "Trying, 408 from TU", before: trying, event: step{100 * ms, tell(408)}, state: Trying, next: 3500 * ms},
		{name: "Trying, 200-699 from TU", before: trying, event: step{100 * ms, tell(200)}, want: actSend, state: Completed, next: 32_100 * ms},
		{name: "Trying, 200-699 from TU, reliable", reliable: true, before: trying, event: step{100 * ms, tell(404)}, want: actSend | actDone, state: Terminated, next: never},
		{name: "Trying, transport error", before: trying, event: step{100 * ms, fail{}}, want: actError, state: Trying, next: 3500 * ms},
		{name: "Proceeding, request", before: proceeding, event: step{4000 * ms, again{}}, want: actSend, state: Proceeding, next: 32_000 * ms},
		{name: "Proceeding, 100 from TU", before: proceeding, event: step{4000 * ms, tell(100)}, want: actSend, state: Proceeding, next: 32_000 * ms},
		{name: "Proceeding, 408 from TU", before: proceeding, event: step{4000 * ms, tell(408)}, state: Proceeding, next: 32_000 * ms},
		{name: "Proceeding, 200-699 from TU", before: proceeding, event: step{4000 * ms, tell(500)}, want: actSend, state: Completed, next: 36_000 * ms},
		{name: "Proceeding, no answer", before: proceeding, event: step{32_000 * ms, tick{}}, want: actTimeout | actDone, state: Terminated, next: never},
		{name: "Completed, request", before: completed, event: step{200 * ms, again{}}, want: actSend, state: Completed, next: 32_100 * ms},
		{name: "Completed, another final from TU", before: completed, event: step{200 * ms, tell(500)}, state: Completed, next: 32_100 * ms},
		{name: "Completed, transport error", before: completed, event: step{200 * ms, fail{}}, want: actError, state: Completed, next: 32_100 * ms},
		{name: "Completed, timer J", before: completed, event: step{32_100 * ms, tick{}}, want: actDone, state: Terminated, next: never},
		{name: "Terminated, late 200 from TU", before: append(completed, step{32_100 * ms, tick{}}), event: step{33_000 * ms, tell(200)}, state: Terminated, next: never},
	})
}

// TestRetransmissionTimes lets each machine run alone, and looks at when it
// sends and when it gives up.
func TestRetransmissionTimes(t *testing.T) {
	const s = time.Second
	cfg := DefaultConfig()
	slow := Config{T1: 2 * s, T2: 4 * s, T4: 5 * s}.WithDefaults()
	for _, c := range []struct {
		name   string
		m      anyMachine
		before []step
		sends  []time.Duration
		end    time.Duration
		why    action
	}{
		{"timers A and B", &inviteClient{machine: machine{cfg: &cfg}}, []step{{0, begin{}}},
			[]time.Duration{500 * ms, 1500 * ms, 3500 * ms, 7500 * ms, 15500 * ms, 31500 * ms}, 32 * s, actTimeout | actDone},
		{"timer B alone", &inviteClient{machine: machine{cfg: &cfg, reliable: true}}, []step{{0, begin{}}},
			nil, 32 * s, actTimeout | actDone},
		{"timers A and B with T1 of 2 s", &inviteClient{machine: machine{cfg: &slow}}, []step{{0, begin{}}},
			[]time.Duration{2 * s, 6 * s, 14 * s, 30 * s, 62 * s, 126 * s}, 128 * s, actTimeout | actDone},
		{"timers E and F", &nonInviteClient{machine{cfg: &cfg}}, []step{{0, begin{}}},
			[]time.Duration{500 * ms, 1500 * ms, 3500 * ms, 7500 * ms, 11500 * ms, 15500 * ms, 19500 * ms, 23500 * ms, 27500 * ms, 31500 * ms},
			32 * s, actTimeout | actDone},
		{"timer E in Proceeding", &nonInviteClient{machine{cfg: &cfg}}, []step{{0, begin{}}, {200 * ms, got(100)}},
			[]time.Duration{500 * ms, 4500 * ms, 8500 * ms, 12500 * ms, 16500 * ms, 20500 * ms, 24500 * ms, 28500 * ms},
			32 * s, actTimeout | actDone},
		{"timers G and H", &inviteServer{machine{cfg: &cfg}}, []step{{0, begin{}}, {1 * s, tell(486)}},
			[]time.Duration{1500 * ms, 2500 * ms, 4500 * ms, 8500 * ms, 12500 * ms, 16500 * ms, 20500 * ms, 24500 * ms, 28500 * ms, 32500 * ms},
			33 * s, actTimeout | actDone},
		{"timer D of at least 32 s", &inviteClient{machine: machine{cfg: &Config{T1: 10 * ms, T2: 4 * s}}}, []step{{0, begin{}}, {0, got(404)}},
			nil, 32 * s, actDone},
		{"timer D of 64*T1", &inviteClient{machine: machine{cfg: &slow}}, []step{{0, begin{}}, {0, got(404)}},
			nil, 128 * s, actDone},
		{"100 to a request other than INVITE, and its end", &nonInviteServer{machine{cfg: &cfg}}, []step{{0, begin{}}},
			[]time.Duration{3500 * ms}, 32 * s, actTimeout | actDone},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, s := range c.before {
				play(t, c.m, s)
			}
			var sends []time.Duration
			for {
				at := c.m.next()
				switch a := c.m.expire(at); {
				case a == actSend:
					sends = append(sends, at)
					continue
				case a != c.why || at != c.end:
					t.Errorf("ended with %v at %v, want %v at %v", a, at, c.why, c.end)
				}
				break
			}
			if len(sends) != len(c.sends) {
				t.Fatalf("sent at %v, want %v", sends, c.sends)
			}
			for i := range sends {
				if sends[i] != c.sends[i] {
					t.Fatalf("sent at %v, want %v", sends, c.sends)
				}
			}
		})
	}
}

func TestDefaultConfig(t *testing.T) {
	got := DefaultConfig()
	want := Config{T1: 500 * ms, T2: 4000 * ms, T4: 5000 * ms, TimerC: 181_000 * ms}
	if got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := (Config{T1: ms}).WithDefaults(); got.T1 != ms || got.T2 != want.T2 {
		t.Errorf("a field that is set did not stay: %v", got)
	}
}

func TestStateNames(t *testing.T) {
	for s, want := range map[State]string{
		0: "none", Calling: "calling", Trying: "trying", Proceeding: "proceeding", Completed: "completed",
		Confirmed: "confirmed", Accepted: "accepted", Terminated: "terminated", 99: "unknown",
	} {
		if got := s.String(); got != want {
			t.Errorf("state %d is %q, want %q", s, got, want)
		}
	}
}
