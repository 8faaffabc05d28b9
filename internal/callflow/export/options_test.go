package export

import (
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/sallyport-sip/sallyport/internal/callflow"
)

// TestReadOptions reads each key that a query may have, and wants an error that says what may stand there.
func TestReadOptions(t *testing.T) {
	t.Parallel()
	f := &callflow.Flow{ID: "41", Legs: []*callflow.Leg{{Name: "A"}, {Name: "B"}, {Name: "C"}}}
	for query, want := range map[string]Options{
		"":                             {FoldTLS: true},
		"format=svg&other=1":           {FoldTLS: true},
		"fold=0&time=day":              {Times: TimesOfDay},
		"fold=1&time=scaled":           {FoldTLS: true, Times: TimesScaled},
		"time=delta":                   {FoldTLS: true},
		"time=since&hide=B,C":          {FoldTLS: true, Times: TimesSince, Hide: map[int]bool{1: true, 2: true}},
		"open=A,B&closed=B,C":          {FoldTLS: true, Open: map[int]bool{0: true, 1: true, 2: false}},
		"width=60&columns=3":           {FoldTLS: true, Width: 60, Columns: 3},
		"compress=1&ascii=1&numbers=1": {FoldTLS: true, Compress: true, ASCII: true, Numbers: true},
	} {
		q, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ReadOptions(q, f); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v", query, got, err)
		}
	}
	for query, want := range map[string]string{
		"fold=yes":     `fold="yes": use 1 for yes or 0 for no`,
		"time=noon":    `time="noon" is none of delta, day, since, scaled`,
		"width=59":     `width="59": use a number from 60 to 1000`,
		"width=100000": `width="100000": use a number from 60 to 1000`,
		"columns=x":    `columns="x": use a number from 3 to 1000`,
		"hide=D":       `hide="D": call 41 has no leg "D"; its legs are A, B, C`,
		"open=A,":      `open="A,": call 41 has no leg ""`,
		"closed=a":     `closed="a": call 41 has no leg "a"`,
	} {
		q, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ReadOptions(q, f); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", query, err, want)
		}
	}
}
