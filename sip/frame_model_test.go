package sip

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"
)

// TestFramerUnderRandomSplits makes streams of messages, pings and rubbish, and cuts them at random places: what comes
// out is what comes out of the stream in one piece, and of messages that are well framed each one as it went in.
func TestFramerUnderRandomSplits(t *testing.T) {
	parts := map[bool][][]byte{true: {invite, []byte("\r\n"), []byte("\r\n\r\n")}}
	names, err := filepath.Glob("testdata/rfc*/*.[ds]*")
	if err != nil || len(names) < 100 {
		t.Fatalf("%d messages, %v", len(names), err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		one := frames(Limits{}, b, len(b))
		good := one.end == "" && one.left == 0 && len(one.messages) == 1 && one.pings == 0
		parts[good] = append(parts[good], b)
	}
	rapid.Check(t, func(t *rapid.T) {
		good := rapid.IntRange(0, 3).Draw(t, "kind") > 0
		var stream []byte
		for range rapid.IntRange(1, 6).Draw(t, "parts") {
			stream = append(stream, rapid.SampledFrom(parts[true]).Draw(t, "part")...)
		}
		if !good {
			stream = append(stream, rapid.SampledFrom(parts[false]).Draw(t, "bad part")...)
			stream = append(stream, rapid.SampledFrom(parts[true]).Draw(t, "behind")...)
		}
		limits := Limits{Message: rapid.SampledFrom([]int{0, 0, 600, 2000}).Draw(t, "message")}
		whole := frames(limits, bytes.Clone(stream), max(1, len(stream)))
		pieces := framesBy(limits, bytes.Clone(stream), func() int { return rapid.IntRange(1, 900).Draw(t, "size") })
		if !equal(whole, pieces) {
			t.Fatalf("in one piece:\n%+v\nin pieces:\n%+v", whole, pieces)
		}
		if good && limits.Message == 0 && (whole.end != "" || whole.left != 0) {
			t.Fatalf("well framed, and yet: %q, %d bytes left", whole.end, whole.left)
		}
	})
}
