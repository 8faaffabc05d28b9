package store

import "testing"

func TestPutAndQuery(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := &CDR{ID: s.NewID(), State: Opened, Caller: "+491", Called: "+492"}
	s.Put(c)
	c.State = Answered
	s.Put(c)
	other := &CDR{ID: s.NewID(), State: Ended, Caller: "+493", Called: "+494"}
	s.Put(other)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(dir, Options{}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var got []*CDR
	for c, err := range Query(dir, Filter{Oldest: true}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, c)
	}
	if len(got) != 2 || got[0].ID != c.ID || got[0].State != Interrupted || got[1].ID != other.ID || got[1].State != Ended {
		t.Errorf("got %+v", got)
	}
}
