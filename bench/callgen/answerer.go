//go:build linux

package main

import (
	"hash/maphash"
	"time"
)

// answerer rings and answers every INVITE at once (100, 180 and 200 leave together) and answers BYE. It watches the
// order of what comes: a BYE before its ACK is out of order.
type answerer struct {
	loop *loop
	text text
	seed maphash.Seed

	dialogs map[uint64]dialog // by hash of the Call-ID
	old     []aging           // dialogs in the order of their INVITEs; forgotten after keep
	head    int
	keep    time.Duration

	counts answererCounts
}

type dialog struct {
	acked bool
	ended bool
}

type aging struct {
	key  uint64
	when time.Duration
}

// memory is how long a dialog is known when calls are not held, so that a repeated request finds it.
const memory = 10 * time.Second

type answererCounts struct {
	sent, received uint64
	invites        uint64
	outOfOrder     uint64 // BYEs that came before their ACK
	repeated       uint64 // INVITEs and BYEs that had come before: the element's retransmissions
	foreign        uint64 // requests outside any dialog known
}

func newAnswerer(l *loop, transport, host, ip string) *answerer {
	return &answerer{
		loop: l, text: newText(transport, "answerer", host, ip), seed: maphash.MakeSeed(),
		dialogs: make(map[uint64]dialog), keep: memory,
	}
}

func (a *answerer) handle(k link, m *message) {
	a.counts.received++
	key := maphash.Bytes(a.seed, m.at(m.callID)) | 1 // never 0, which means no tag
	d, known := a.dialogs[key]
	switch m.kind {
	case kindInvite:
		if known {
			a.counts.repeated++
			return
		}
		a.remember(key)
		a.counts.invites++
		a.answer(k, m, "100 Trying", 0, false, false)
		a.answer(k, m, "180 Ringing", key, true, false)
		a.answer(k, m, "200 OK", key, true, true)
	case kindAck:
		if !known {
			a.counts.foreign++
			return
		}
		d.acked = true
		a.dialogs[key] = d
	case kindBye:
		switch {
		case !known:
			a.counts.foreign++
			a.answer(k, m, "481 Call/Transaction Does Not Exist", 0, false, false)
			return
		case d.ended:
			a.counts.repeated++
		case !d.acked:
			a.counts.outOfOrder++
		}
		d.ended = true
		a.dialogs[key] = d
		a.answer(k, m, "200 OK", 0, false, false)
	case kindResponse:
		a.counts.foreign++
	default:
		a.answer(k, m, "200 OK", key, false, false)
	}
}

func (a *answerer) answer(k link, m *message, line string, tag uint64, dialog, body bool) {
	k.done(a.text.response(k.open(), m, line, tag, dialog, body))
	a.counts.sent++
	a.loop.touch(k)
}

// remember makes a dialog and forgets those that are too old.
func (a *answerer) remember(key uint64) {
	now := a.loop.now()
	for a.head < len(a.old) && now-a.old[a.head].when > a.keep {
		delete(a.dialogs, a.old[a.head].key)
		a.head++
	}
	if a.head > len(a.old)/2 && a.head > 4096 {
		a.old = a.old[:copy(a.old, a.old[a.head:])]
		a.head = 0
	}
	a.dialogs[key] = dialog{}
	a.old = append(a.old, aging{key, now})
}
