package store

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
	"time"
)

// fillIn gives every field under v a value of its own, so that one that the journal's form leaves out is noticed.
func fillIn(t *testing.T, v reflect.Value, n *int) {
	*n++
	switch {
	case v.Type() == reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(time.Unix(int64(*n), int64(*n)).UTC()))
	case v.Kind() == reflect.Struct:
		for _, field := range v.Fields() {
			fillIn(t, field, n)
		}
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fillIn(t, v.Elem(), n)
	case v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fillIn(t, v.Index(0), n)
		fillIn(t, v.Index(1), n)
	case v.Kind() == reflect.String:
		v.SetString(string(rune('a' + *n)))
	case v.Kind() == reflect.Bool:
		v.SetBool(true)
	case v.CanInt():
		v.SetInt(int64(*n))
	case v.CanUint():
		v.SetUint(uint64(*n))
	default:
		t.Fatalf("a field of type %s: the journal has no form for it", v.Type())
	}
}

func TestEveryFieldIsInTheJournal(t *testing.T) {
	c, n := &CDR{}, 0
	fillIn(t, reflect.ValueOf(c).Elem(), &n)
	c.ID = FormatID(42)
	for _, want := range []*CDR{c, {ID: c.ID}, sample(c.ID, 1, Opened), sample(c.ID, 2, Ended)} {
		e, size := readEntry(appendEntry(nil, 7, 42, want), 7)
		if size == 0 || e.number != 7 || e.id != 42 {
			t.Fatalf("read entry %+v of size %d", e, size)
		}
		got, err := e.decode()
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	}
}

// TestLongestRecord puts more into a record than any message carries: it is cut, and still an entry.
func TestLongestRecord(t *testing.T) {
	long := string(bytes.Repeat([]byte("x"), 100000))
	l := Leg{Peer: long, CallID: long, Transport: long, Remote: long, Text: long, TLS: &TLS{Version: long, Suite: long, Group: long}}
	for range 100 {
		l.TLS.Identity = append(l.TLS.Identity, long)
	}
	c := &CDR{Caller: long, Called: long, In: l}
	for i := range 100 {
		l.Code = 500 + i
		c.Out = append(c.Out, l)
	}
	e, size := readEntry(appendEntry(nil, 1, 1, c), 1)
	if size == 0 {
		t.Fatal("no entry")
	}
	got, err := e.decode()
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Caller) != maxText || len(got.Out) != maxLegs || got.Out[maxLegs-1].Code != 599 || len(got.In.TLS.Identity) != maxNames {
		t.Errorf("got %d legs, the last with %d", len(got.Out), got.Out[len(got.Out)-1].Code)
	}
}

// What older programs have left in their journals is read, without what they did not know.
func TestFormsBeforeAreRead(t *testing.T) {
	c := &CDR{Caller: "a", Verdict: "clear", In: Leg{Peer: "office", To200: 5}}
	e, _ := readEntry(appendEntry(nil, 1, 1, c), 1)
	now := []byte(e.record)
	// At its end: no SIPS, no KnownBy and no Reason of the leg, no further leg, no VerdictWhy, no Session, no Run.
	if tail := now[len(now)-7:]; !bytes.Equal(tail, make([]byte, 7)) {
		t.Fatalf("the record ends in %x", tail)
	}
	for form, b := range map[byte][]byte{
		formWithoutWhy:     append(bytes.Clone(now[:len(now)-7]), 0),
		formWithoutSession: bytes.Clone(now[:len(now)-3]),
		formWithoutRun:     bytes.Clone(now[:len(now)-2]),
	} {
		b[0] = form
		got, err := decode(string(b), 1)
		if err != nil || got.Verdict != "clear" || got.In.To200 != 5 || got.In.Peer != "office" {
			t.Errorf("form %d: got %+v, %v", form, got, err)
		}
		b[0] = formVersion
		if _, err := decode(string(b), 1); err == nil {
			t.Errorf("form %d is taken for that of today", form)
		}
	}
	for _, form := range []byte{0, formVersion + 1} {
		now[0] = form
		if _, err := decode(string(now), 1); !errors.Is(err, errForm) {
			t.Errorf("form %d: %v", form, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for n, state := range []State{Opened, Answered, Ended} {
		e, _ := readEntry(appendEntry(nil, 1, 1, sample(FormatID(1), n, state)), 0)
		f.Add(e.record)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := decode(string(b), 5)
		if err != nil {
			return
		}
		e, _ := readEntry(appendEntry(nil, 1, 5, c), 0)
		again, err := e.decode()
		if err != nil {
			t.Fatal(err)
		}
		if len(b) < maxText && !reflect.DeepEqual(again, c) {
			t.Errorf("got  %+v\nwant %+v", again, c)
		}
	})
}

func TestIDs(t *testing.T) {
	now := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	last, text := int64(0), ""
	for i := range 1000 {
		if i == 500 {
			now = now.Add(-time.Hour) // the clock was set back
		}
		id := NextID(last, now)
		if id <= last || FormatID(id) <= text {
			t.Fatalf("ID %d after %d, as text %q after %q", id, last, FormatID(id), text)
		}
		last, text = id, FormatID(id)
		if back, ok := ParseID(text); !ok || back != id {
			t.Fatalf("%q is %d, %v, want %d", text, back, ok, id)
		}
		now = now.Add(time.Duration(i%3) * time.Millisecond)
	}
	for _, wrong := range []string{"", "1", "8000000000000", "000000000000i", "00000000000000", "000000000000A"} {
		if id, ok := ParseID(wrong); ok {
			t.Errorf("%q is the ID %d", wrong, id)
		}
	}
}
