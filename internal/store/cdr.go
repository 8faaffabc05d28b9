package store

import (
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
)

// CDR is the record of one call: what happened, on both legs. Its values are
// plain so that a record means the same in ten years. Times that did not come
// are zero.
type CDR struct {
	ID     string `json:"id"`   // unique among all calls of all runs: see NewID
	Call   uint64 `json:"call"` // the call's number in its run, as in logs and flows
	State  State  `json:"state"`
	Caller string `json:"caller"` // user of the caller's From, or its whole URI when that is not SIP
	Called string `json:"called"` // user of the Request-URI as it came
	Route  string `json:"route,omitempty"`

	Began    time.Time `json:"began"` // INVITE received
	Answered time.Time `json:"answered,omitzero"`
	Ended    time.Time `json:"ended,omitzero"`

	EndedBy string `json:"ended_by,omitempty"` // "caller", "callee", "gateway"
	Cause   Cause  `json:"cause"`
	Verdict string `json:"verdict"` // of the signalling, in one word: docs/reference/security.md
	// VerdictWhy says in words for a person what the verdict stands on.
	VerdictWhy string `json:"verdict_why,omitempty"`
	// Session is the UUID of who called, which is in the Session-ID of the call's messages on every leg (RFC 7989).
	Session string `json:"session,omitempty"`
	// Run is the run of the gateway that Call counts in: RUN-CALL is the id of the call's flow.
	Run string `json:"run,omitempty"`

	In  Leg   `json:"in"`
	Out []Leg `json:"out,omitempty"` // one for each target that was tried, in order; the last one answered or refused
}

// Flow is the id of the call's flow, RUN-CALL, or RUN-leg-… of an INVITE that was refused before it became a call; empty in records of
// older programs.
func (c *CDR) Flow() string {
	switch {
	case c.Run == "":
		return ""
	case c.Call == 0:
		return c.Run + "-" + callflow.Unjoined(c.In.CallID)
	}
	return flowName(c.Run, c.Call)
}

// State is where the call of a record is in its life.
type State string

// The states of a record.
const (
	Opened      State = "open"     // no final response yet
	Answered    State = "answered" // still going on
	Ended       State = "ended"    // was answered, and has ended
	Refused     State = "refused"  // a final response other than a 2xx, of a target or ours
	Cancelled   State = "cancelled"
	Interrupted State = "interrupted" // was open when the gateway ended without being told to
)

// Over says whether nothing more will happen to a record in that state.
func (s State) Over() bool { return s != Opened && s != Answered }

// Cause is why a call ended.
type Cause struct {
	SIP    int    `json:"sip,omitempty"`  // status code of the final response; 200 after an answer
	Q850   int    `json:"q850,omitempty"` // of a Reason header (RFC 3326); 0: none
	Reason string `json:"reason,omitempty"`
	Text   string `json:"text"` // in plain words
}

// Leg is one side of a call.
type Leg struct {
	Peer      string `json:"peer"`
	CallID    string `json:"call_id"`
	Transport string `json:"transport"` // "udp", "tcp", "tls"
	Remote    string `json:"remote"`    // address:port
	// Connection is the number of the hop's connection, 0 when there was none.
	Connection uint64 `json:"connection,omitempty"`
	New        bool   `json:"new,omitempty"` // the connection was made for this leg
	TLS        *TLS   `json:"tls,omitempty"`
	SIPS       bool   `json:"sips,omitempty"`     // the dialogs on this leg are sips:
	KnownBy    string `json:"known_by,omitempty"` // how the peer was recognised: "certificate", "address"

	Code int    `json:"code,omitempty"` // final status code; 0: none came
	Text string `json:"text,omitempty"` // why a target failed, in plain words
	// Reason is why it failed as a code of docs/reference/faults.md, when that was TLS or the connection.
	Reason string `json:"reason,omitempty"`

	// From the INVITE on this leg; 0 when none came.
	To100 time.Duration `json:"to_100_ns,omitempty"`
	To180 time.Duration `json:"to_180_ns,omitempty"` // 180, 181, 182, 183, whichever came first
	To200 time.Duration `json:"to_200_ns,omitempty"`
}

// TLS is the security of a hop.
type TLS struct {
	Version   string        `json:"version"` // "1.2", "1.3"
	Suite     string        `json:"suite"`
	Group     string        `json:"group,omitempty"`
	Resumed   bool          `json:"resumed,omitempty"`
	Mutual    bool          `json:"mutual"`
	Identity  []string      `json:"identity,omitempty"` // names verified in the other side's certificate
	Handshake time.Duration `json:"handshake_ns"`
}
