package tui

import "sync"

// A mailbox is how the model tells the goroutines of a source what is wanted, without ever waiting. What is watched is replaced by
// what is watched now; questions wait in a queue, and one that finds it full is not put: the user asks again.
type mailbox struct {
	questions chan any
	news      chan struct{} // holds one: something else is watched

	mu     sync.Mutex // guards wanted
	wanted watched
}

// mostQuestions bounds the queue.
const mostQuestions = 16

func newMailbox() *mailbox {
	return &mailbox{questions: make(chan any, mostQuestions), news: make(chan struct{}, 1)}
}

func (b *mailbox) watch(w watched) {
	b.mu.Lock()
	b.wanted = w
	b.mu.Unlock()
	select {
	case b.news <- struct{}{}:
	default:
	}
}

func (b *mailbox) ask(q any) {
	select {
	case b.questions <- q:
	default:
	}
}

// watches is what is watched now.
func (b *mailbox) watches() watched {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.wanted
}
