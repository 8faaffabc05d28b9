package store

import (
	"bytes"
	"testing"
)

// journalOf is a journal file with n entries, the first with this number.
func journalOf(first uint64, n int) []byte {
	b := appendHeader(nil, first)
	for i := range n {
		b = appendEntry(b, first+uint64(i), int64(i+1), sample(FormatID(int64(i+1)), i, Ended))
	}
	return b
}

// read returns the numbers of what a tail finds.
func read(t *testing.T, b []byte, size int) []uint64 {
	t.Helper()
	tl := tail{file: bytes.NewReader(b)}
	var found []uint64
	if !tl.open() {
		return nil
	}
	for {
		entries, err := tl.batch(size)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) == 0 {
			return found
		}
		for _, e := range entries {
			found = append(found, e.number)
		}
	}
}

// TestTornTail cuts a journal at every byte, and turns over every byte: what stands before is read, and nothing else.
func TestTornTail(t *testing.T) {
	b := journalOf(100, 4)
	var ends []int
	for at := headerSize; at < len(b); {
		_, size := readEntry(b[at:], 0)
		at += size
		ends = append(ends, at)
	}
	whole := func(n int) (count int) {
		for _, end := range ends {
			if end <= n {
				count++
			}
		}
		return count
	}
	for n := range len(b) + 1 {
		if got := read(t, b[:n], 1<<14); len(got) != whole(n) {
			t.Fatalf("cut at %d: found %d entries, want %d", n, len(got), whole(n))
		}
		if n == len(b) {
			break
		}
		torn := bytes.Clone(b)
		torn[n] ^= 0x55
		want := whole(n)
		if n < headerSize {
			want = 0
		}
		if got := read(t, torn, 1<<14); len(got) != want {
			t.Fatalf("wrong at %d: found %d entries, want %d", n, len(got), want)
		}
	}
}

// TestFileUsedAgain writes a short journal over a long one, so that entries of the old one follow at once.
func TestFileUsedAgain(t *testing.T) {
	b := journalOf(1, 10)
	copy(b, journalOf(50, 3))
	if got := read(t, b, 1<<14); len(got) != 3 || got[0] != 50 {
		t.Errorf("found %v, want 50 to 52", got)
	}
}

func TestBatchesOfAnySize(t *testing.T) {
	b := journalOf(1, 30)
	for _, size := range []int{1, 24, 500, 1000, 1 << 20} {
		if got := read(t, b, size); len(got) != 30 {
			t.Errorf("by %d bytes: found %d, want 30", size, len(got))
		}
	}
}

func TestNewestOf(t *testing.T) {
	var b []byte
	for i, id := range []int64{1, 2, 1, 3, 2, 1} {
		b = appendEntry(b, uint64(i+1), id, &CDR{State: Opened})
	}
	var got []uint64
	for rest := newestOf(b); len(rest) > 0; {
		e, size := readEntry(rest, 0)
		got = append(got, e.number)
		rest = rest[size:]
	}
	if len(got) != 3 || got[0] != 4 || got[1] != 5 || got[2] != 6 {
		t.Errorf("kept %v, want 4, 5, 6", got)
	}
}
