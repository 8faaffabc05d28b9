package store

// Stats is how the records reach the disk.
type Stats struct {
	Waiting int    // bytes that are not on the disk yet
	Lost    uint64 // records that found no room in memory while the disk took none
	Failing bool   // the disk takes none

	HandshakesWaiting int    // records of handshakes that are not on the disk yet
	HandshakesLost    uint64 // that had to go before they were written
}

// Stats returns the numbers of this moment.
func (s *Store) Stats() Stats {
	q := &s.shakes
	q.mu.Lock()
	waiting, lost := 0, q.lost
	for _, list := range q.waiting {
		waiting += len(list)
	}
	q.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{
		Waiting: len(s.pending) + s.behind, Lost: s.lost, Failing: s.failing != nil,
		HandshakesWaiting: waiting, HandshakesLost: lost,
	}
}
