//go:build race

package sip

import "testing"

func TestBuildsWithTheRaceDetectorPoison(t *testing.T) {
	m := mustParse(t, invite)
	kept := m.Body()
	m.Release()
	for _, c := range kept {
		if c != 0xDB {
			t.Fatalf("a slice that was kept reads %q", kept)
		}
	}
}
