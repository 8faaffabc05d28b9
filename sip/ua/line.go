package ua

// line is the requests of one Call-ID that wait for their handler. It exists
// while a goroutine serves the ones before them, and not longer. Owned by the
// shard.
type line struct {
	waiting []*Request
}

// maxLine bounds how many requests of one Call-ID wait behind one that blocks.
const maxLine = 64

// enqueue gives a request its turn. False means that too much waits already.
func (ss *sessions) enqueue(s *Shard, r *Request) bool {
	lines := ss.home(s).lines
	key := string(r.Msg.CallID())
	if l := lines[key]; l != nil {
		if len(l.waiting) >= maxLine {
			return false
		}
		l.waiting = append(l.waiting, r)
		return true
	}
	l := &line{waiting: []*Request{r}}
	if !ss.work(s, key, l) {
		return false
	}
	lines[key] = l
	return true
}

// work serves in a goroutine what waits in a line, and comes back for what has
// arrived meanwhile.
func (ss *sessions) work(s *Shard, key string, l *line) bool {
	batch := l.waiting
	l.waiting = nil
	return s.Go(func() func(*Shard) {
		for _, r := range batch {
			r.serve()
		}
		return func(s *Shard) {
			if len(l.waiting) == 0 || !ss.work(s, key, l) {
				ss.home(s).leave(key)
			}
		}
	})
}
