package sip

import (
	"iter"
	"time"
)

// Event names what a subscription is about (RFC 6665 §8.2.1).
type Event struct {
	Type   []byte // the package with its templates, "presence.winfo"; compared byte by byte
	Params Params
}

// ID returns the parameter that tells subscriptions of one dialog apart, nil when
// there is none.
func (e Event) ID() []byte {
	v, _ := e.Params.Get("id")
	return v
}

// Package returns the type without its templates.
func (e Event) Package() []byte {
	for i, c := range e.Type {
		if c == '.' {
			return e.Type[:i]
		}
	}
	return e.Type
}

// Append appends the event as it is written.
func (e Event) Append(dst []byte) []byte { return Item{e.Type, e.Params}.Append(dst) }

// Event returns the Event header, ErrAbsent when there is none.
func (m *Message) Event() (Event, error) { return first(m, HdrEvent, parseEvent) }

func parseEvent(b []byte, i int) (e Event, end int, rule string) {
	x, end, rule := item(b, i, paramRule{"id", isToken, "id is a token"})
	if rule == "" && !eventType(x.Token) {
		return e, i, eventRule
	}
	return Event{x.Token, x.Params}, end, rule
}

const eventRule = "an event is a package, and templates behind single dots (RFC 6665 §8.4)"

// eventType is event-package *( "." event-template ).
func eventType(b []byte) bool {
	for i, c := range b {
		if c == '.' && (i == 0 || i == len(b)-1 || b[i-1] == '.') {
			return false
		}
	}
	return all(b, classToken)
}

// AllowEvents returns every value of Allow-Events.
func (m *Message) AllowEvents() iter.Seq2[[]byte, error] {
	return values(m, HdrAllowEvents, parseEventType)
}

func parseEventType(b []byte, i int) (v []byte, end int, rule string) {
	if v, end, _ = parseToken(b, i); !eventType(v) {
		return nil, i, eventRule
	}
	return v, end, ""
}

// SubscriptionState says how a subscription stands (RFC 6665 §8.2.3).
type SubscriptionState struct {
	State  []byte // "active", "pending", "terminated" or an extension
	Params Params
}

// Reason returns why a subscription ended, nil when that is not said.
func (s SubscriptionState) Reason() []byte {
	v, _ := s.Params.Get("reason")
	return v
}

// Expires returns how long the subscription lasts, and whether that is said.
func (s SubscriptionState) Expires() (time.Duration, bool) { return s.Params.seconds("expires") }

// RetryAfter returns how long to wait before subscribing again, and whether that
// is said.
func (s SubscriptionState) RetryAfter() (time.Duration, bool) { return s.Params.seconds("retry-after") }

// Append appends the state as it is written.
func (s SubscriptionState) Append(dst []byte) []byte { return Item{s.State, s.Params}.Append(dst) }

// SubscriptionState returns the Subscription-State header, ErrAbsent when there
// is none.
func (m *Message) SubscriptionState() (SubscriptionState, error) {
	return first(m, HdrSubscriptionState, parseSubscriptionState)
}

func parseSubscriptionState(b []byte, i int) (SubscriptionState, int, string) {
	x, end, rule := item(b, i,
		paramRule{"reason", isToken, "reason is a token"},
		paramRule{"expires", isSeconds, "expires is a number of seconds"},
		paramRule{"retry-after", isSeconds, "retry-after is a number of seconds"})
	return SubscriptionState{x.Token, x.Params}, end, rule
}
