package store

// Stats is how the records reach the disk.
type Stats struct {
	Waiting int    // bytes that are not on the disk yet
	Lost    uint64 // records that found no room in memory while the disk took none
	Failing bool   // the disk takes none
}

// Stats returns the numbers of this moment.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{Waiting: len(s.pending) + s.behind, Lost: s.lost, Failing: s.failing != nil}
}
