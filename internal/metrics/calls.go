package metrics

// Handshake is one kind of TLS handshake.
type Handshake struct {
	Role    string // ours: "client" or "server"
	Outcome string // "accepted" or "refused"
}

// Missing is one kind of 2xx without ACK: Code is that of the finding, see docs/reference/findings.md.
type Missing struct{ Peer, Code string }

// Recording is the ring in memory and the history on the disk.
type Recording struct {
	Bytes, Bound, Events int    // of the ring
	Gone                 uint64 // events that the ring has let go

	History *History // nil: none is kept
}

// History is what the disk keeps of flows.
type History struct {
	Segments     int
	Bytes        int64
	Events, Lost uint64
	Oldest       float64 // seconds since 1970; 0: nothing is kept
	Failing      bool
}

var (
	descSetup     = desc("call_setup_seconds", "From an INVITE to the final response that its caller was given, by what became of the call: answered, cancelled by the caller, or failed.", "outcome")
	descRinging   = desc("call_ringing_seconds", "From an INVITE to the first response that its caller was given of a target that rings or plays something: 180 to 183.")
	descTurned    = desc("peer_calls_refused_total", "INVITEs of a peer that the gateway refused before they became a call, by the class of the response.", "peer", "class")
	descShake     = desc("tls_handshake_seconds", "Time of TLS handshakes by our role and their outcome; of a refused one from the start of its connection. In TLS 1.3 a server may refuse after it: such a handshake counts here as accepted.", "role", "outcome")
	descNoACK     = desc("acks_missing_total", "Answers (2xx) whose ACK did not come in time, by the peer that owes it and the code of the finding.", "peer", "code")
	descRing      = desc("recorder_ring_bytes", "What the recorded events in memory take.")
	descRingBound = desc("recorder_ring_limit_bytes", "What they may take.")
	descRingNow   = desc("recorder_ring_events", "Recorded events in memory.")
	descGone      = desc("recorder_dropped_total", "Events that memory has let go for newer ones, or that were too long for it; the history may have them.")
	descSegments  = desc("history_segments", "Files of the history.")
	descHistory   = desc("history_bytes", "What the files of the history take.")
	descWritten   = desc("history_events_total", "Events that the history has taken.")
	descDropped   = desc("history_dropped_total", "Events that are not in the history: memory had let them go before they were written, or the disk did not take them.")
	descOldest    = desc("history_oldest_time_seconds", "When the oldest event in the history was; 0 when there is none.")
	descNotKept   = desc("history_failing", "1 while the disk takes no history.")
)

func (p page) calls(s *Sample) {
	for outcome, t := range s.Setups {
		p.histogram(descSetup, t, outcome)
	}
	p.histogram(descRinging, s.Ringing)
	for m, n := range s.ACKsMissing {
		p.counter(descNoACK, n, m.Peer, m.Code)
	}
	for h, t := range s.Handshakes {
		p.histogram(descShake, t, h.Role, h.Outcome)
	}
}

func (p page) recording(r *Recording) {
	p.gauge(descRing, float64(r.Bytes))
	p.gauge(descRingBound, float64(r.Bound))
	p.gauge(descRingNow, float64(r.Events))
	p.counter(descGone, r.Gone)
	if h := r.History; h != nil {
		p.gauge(descSegments, float64(h.Segments))
		p.gauge(descHistory, float64(h.Bytes))
		p.counter(descWritten, h.Events)
		p.counter(descDropped, h.Lost)
		p.gauge(descOldest, h.Oldest)
		p.gauge(descNotKept, truth(h.Failing))
	}
}
