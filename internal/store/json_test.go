package store

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"
)

func TestJSONIsThatOfTheLibrary(t *testing.T) {
	full, n := &CDR{}, 0
	fillIn(t, reflect.ValueOf(full).Elem(), &n)
	odd := sample(FormatID(3), 3, Ended)
	odd.Caller, odd.Called, odd.Cause.Text = "\"quoted\\\n<b>&\x00\x7f", "Grüße\xff\u2028", `x"`
	odd.Out[0].TLS.Identity = nil
	odd.Began = odd.Began.In(time.FixedZone("", 3600))
	for _, c := range []*CDR{{}, full, sample(FormatID(1), 1, Opened), sample(FormatID(2), 2, Ended), odd} {
		want, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		if got := appendJSON(nil, c); string(got) != string(want) {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}
