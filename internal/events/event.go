// Package events tells applications what happens: a call that rings, is busy, is not answered, fails and why; a handshake
// that is refused; a peer that is down.
//
// Its main types are Event, a document of version 1 that docs/reference/events.md describes, and Hub, which numbers
// events and keeps the newest in a bounded memory. Reading starts at Hub.Emit, which never waits, and at Reader, which
// goes through that memory at its own pace and is told what it missed. Webhooks (webhooks.go) is such a reader: it has a
// goroutine for the memory and some for each endpoint, which end with Close.
package events

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Version is that of the document. A field keeps its name and meaning within one; more may be added.
const Version = 1

// Type says what happened.
type Type string

// The types of events; the table Types says what each means.
const (
	CallStarted      Type = "call.started"
	CallRouted       Type = "call.routed"
	CallTargetFailed Type = "call.target_failed"
	CallProgress     Type = "call.progress"
	CallRinging      Type = "call.ringing"
	CallAnswered     Type = "call.answered"
	CallBusy         Type = "call.busy"
	CallNoAnswer     Type = "call.no_answer"
	CallCancelled    Type = "call.cancelled"
	CallFailed       Type = "call.failed"
	CallEnded        Type = "call.ended"
	AckMissing       Type = "ack.missing"
	HandshakeRefused Type = "handshake.refused"
	PeerDown         Type = "peer.down"
	PeerUp           Type = "peer.up"
	AlarmRaised      Type = "alarm.raised"
	AlarmCleared     Type = "alarm.cleared"
	CertExpiring     Type = "certificate.expiring"
	Reloaded         Type = "reload"
	Lost             Type = "events.lost"
)

// Types is every type with what it means and the parts of an event that it has.
var Types = []struct {
	Type  Type
	Means string
	Has   string
}{
	{CallStarted, "a peer's INVITE has begun a call", "call"},
	{CallRouted, "a target is asked, the first or a further one", "call"},
	{CallTargetFailed, "that target, or one of its addresses, has failed; the call goes on to the next, or fails", "call, failure"},
	{CallProgress, "a provisional response above 100 other than 180 went to the caller: each code once for each target", "call, status"},
	{CallRinging, "180 went to the caller: once for each target", "call, status"},
	{CallAnswered, "the 2xx went to the caller", "call, status, end: its verdict"},
	{CallBusy, "the call is over: whoever was called is busy (486, 600 or cause 17 of Q.850)", "call, failure, end"},
	{CallNoAnswer, "the call is over: it rang, and nobody answered in time (408, 480, 504, or causes 18 and 19 of Q.850)", "call, failure, end"},
	{CallCancelled, "the call is over: the caller gave up before there was an answer", "call, end"},
	{CallFailed, "the call is over, or never began, for any other reason", "call, failure, end"},
	{CallEnded, "an answered call is over", "call, end"},
	{AckMissing, "no ACK has come to the 2xx of a call, 8 s after it at the latest", "call, failure"},
	{HandshakeRefused, "a connection did not come up. Of strangers no more than ten a second are told", "peer, handshake"},
	{PeerDown, "a peer is not asked for a while, because it failed", "peer, why"},
	{PeerUp, "it was heard from again", "peer, why"},
	{AlarmRaised, "a person should see to something; again when its severity changes", "alarm"},
	{AlarmCleared, "that is over", "alarm"},
	{CertExpiring, "a certificate or CRL has passed a threshold before its end, or its end", "certificate"},
	{Reloaded, "a configuration or changed certificate files were taken, or refused", "reload"},
	{Lost, "events are missing here: the reader was too slow, or asks for what is not in memory any more", "lost"},
}

// Known says whether there is such a type.
func Known(t Type) bool {
	for i := range Types {
		if Types[i].Type == t {
			return true
		}
	}
	return false
}

// Event is something that happened. Its parts are those of its type; the others are zero, and left out.
type Event struct {
	Version int       `json:"version"`
	ID      string    `json:"id"`
	Type    Type      `json:"type"`
	At      time.Time `json:"at"`
	Peer    string    `json:"peer,omitempty"`
	Why     string    `json:"why,omitempty"`
	Status  int       `json:"status,omitempty"`

	Call    Call    `json:"call,omitzero"`
	Failure Failure `json:"failure,omitzero"`
	End     End     `json:"end,omitzero"`

	Handshake   *Handshake   `json:"handshake,omitempty"`
	Alarm       *Alarm       `json:"alarm,omitempty"`
	Certificate *Certificate `json:"certificate,omitempty"`
	Reload      *Reload      `json:"reload,omitempty"`
	Lost        *Gap         `json:"lost,omitempty"`

	seq uint64 // by which ID is made
}

// Call is the call of an event, as far as it was known then.
type Call struct {
	ID         string `json:"id,omitempty"`
	Number     uint64 `json:"number,omitempty"`
	Session    string `json:"session,omitempty"`
	From       string `json:"from"`
	To         string `json:"to,omitempty"`
	Caller     string `json:"caller"`
	Called     string `json:"called"`
	Route      string `json:"route,omitempty"`
	CallID     string `json:"call_id"`
	OutCallID  string `json:"out_call_id,omitempty"`
	Connection uint64 `json:"connection,omitempty"`
}

// Failure is why a target or a call failed.
type Failure struct {
	Code    int    `json:"code,omitempty"`
	Q850    int    `json:"q850,omitempty"`
	Reason  string `json:"reason,omitempty"`
	Text    string `json:"text"`
	Hop     string `json:"hop,omitempty"`
	Peer    string `json:"peer,omitempty"`
	Address string `json:"address,omitempty"`
	TLS     string `json:"tls,omitempty"`
	Remedy  string `json:"remedy,omitempty"`
}

// End is how a call ended, or stands.
type End struct {
	By       string        `json:"by,omitempty"`
	Duration time.Duration `json:"duration_ns,omitempty"`
	Setup    time.Duration `json:"setup_ns,omitempty"`
	Q850     int           `json:"q850,omitempty"`
	Reason   string        `json:"reason,omitempty"`
	Text     string        `json:"text,omitempty"`
	Verdict  string        `json:"verdict,omitempty"`
}

// Handshake is a connection that did not come up.
type Handshake struct {
	Connection uint64 `json:"connection"`
	Inbound    bool   `json:"inbound"`
	Transport  string `json:"transport"`
	Remote     string `json:"remote"`
	Listener   string `json:"listener,omitempty"`
	By         string `json:"by,omitempty"`
	Code       string `json:"code"`
	Cause      string `json:"cause"`
	Likely     string `json:"likely,omitempty"`
	Remedy     string `json:"remedy,omitempty"`
}

// Alarm is something that a person should see to.
type Alarm struct {
	Name     string `json:"name"`
	Severity string `json:"severity,omitempty"`
	Text     string `json:"text,omitempty"`
	Remedy   string `json:"remedy,omitempty"`
}

// Certificate is what ends.
type Certificate struct {
	Kind    string    `json:"kind"`
	Name    string    `json:"name"`
	Subject string    `json:"subject"`
	Ends    time.Time `json:"ends"`
	File    string    `json:"file,omitempty"`
	Text    string    `json:"text"`
	Remedy  string    `json:"remedy"`
}

// Reload is an attempt to take a configuration or changed files.
type Reload struct {
	By       string   `json:"by"`
	Taken    bool     `json:"taken"`
	Version  string   `json:"version"`
	Problems []string `json:"problems,omitempty"`
}

// Gap is where events are missing.
type Gap struct {
	Count uint64 `json:"count,omitempty"`
	After string `json:"after,omitempty"`
	Why   string `json:"why"`
}

// Concerns says whether an event is about a peer: its own, or on either side of its call.
func (e *Event) Concerns(peer string) bool {
	return e.Peer == peer || e.Call.From == peer || e.Call.To == peer || e.Failure.Peer == peer
}

// Selection says which events somebody wants. The zero value wants all.
type Selection struct {
	Types []string // each a type, or the beginning of some: "call.*"; none: all
	Peers []string // one of them is concerned; none: all
}

// Check says what is wrong with the types of a selection; nil: nothing.
func (s Selection) Check() error {
	for _, want := range s.Types {
		found := false
		for i := range Types {
			found = found || matches(want, Types[i].Type)
		}
		if !found {
			return fmt.Errorf("there is no event %q: write a type such as %q, or the beginning of some such as \"call.*\"", want, CallFailed)
		}
	}
	return nil
}

// Wants says whether the selection has an event. That events are missing everybody is told.
func (s *Selection) Wants(e *Event) bool {
	if e.Type == Lost {
		return true
	}
	return s.wantsType(e.Type) && s.wantsPeer(e)
}

func (s *Selection) wantsType(t Type) bool {
	for _, want := range s.Types {
		if matches(want, t) {
			return true
		}
	}
	return len(s.Types) == 0
}

func (s *Selection) wantsPeer(e *Event) bool {
	if slices.ContainsFunc(s.Peers, e.Concerns) {
		return true
	}
	return len(s.Peers) == 0
}

func matches(want string, t Type) bool {
	if want == "*" {
		return true
	}
	if start, ok := strings.CutSuffix(want, ".*"); ok {
		return strings.HasPrefix(string(t), start+".")
	}
	return want == string(t)
}

// FormatID writes the ID of an event: the run of the gateway and the number in it.
func FormatID(run string, seq uint64) string { return run + "-" + strconv.FormatUint(seq, 10) }

// ParseID reads an ID.
func ParseID(id string) (run string, seq uint64, ok bool) {
	i := strings.LastIndexByte(id, '-')
	if i <= 0 {
		return "", 0, false
	}
	seq, err := strconv.ParseUint(id[i+1:], 10, 64)
	return id[:i], seq, err == nil
}

// Turned is the event that a peer is up or down.
func Turned(peer string, up bool, why string) *Event {
	t := PeerDown
	if up {
		t = PeerUp
	}
	return &Event{Type: t, Peer: peer, Why: why}
}
