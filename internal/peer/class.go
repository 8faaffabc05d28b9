package peer

import "sync/atomic"

// Class is how a call failed, coarse enough to be a label of a metric.
type Class uint8

// The classes of failures. What people do in the course of a day comes first: it says nothing about a network.
const (
	Cancelled   Class = iota // the caller gave up
	Busy                     // 486 or 600
	NoAnswer                 // 408, 480, or 487 of the target: nobody took the call in time
	Redirected               // another 3xx
	NotTaken                 // another 4xx
	Broken                   // another 5xx
	Everywhere               // another 6xx
	Unreachable              // no connection, or it was lost before a final response
	classes     = iota
)

var classWords = [classes]string{"cancelled", "busy", "no_answer", "3xx", "4xx", "5xx", "6xx", "unreachable"}

func (c Class) String() string { return classWords[c] }

// ClassOf is the class of a final response.
func ClassOf(code int) Class {
	switch {
	case code == 486 || code == 600:
		return Busy
	case code == 408 || code == 480 || code == 487:
		return NoAnswer
	case code < 400:
		return Redirected
	case code < 500:
		return NotTaken
	case code < 600:
		return Broken
	}
	return Everywhere
}

// FailedBy returns how many calls failed, by the word for the class.
func (l *Load) FailedBy() map[string]uint64 { return byWord(&l.failed) }

// RefusedBy returns how many INVITEs were refused before they became a call, by the word for the class.
func (l *Load) RefusedBy() map[string]uint64 { return byWord(&l.refused) }

func byWord(counts *[classes]atomic.Uint64) map[string]uint64 {
	all := make(map[string]uint64, classes)
	for i := range counts {
		all[Class(i).String()] = counts[i].Load()
	}
	return all
}
