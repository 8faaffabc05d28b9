package api

import (
	"reflect"
	"testing"

	"github.com/sallyport-sip/sallyport/internal/b2bua"
)

// TestCallsByConnection: each call stands with both of its connections, once where they are one, the oldest first.
func TestCallsByConnection(t *testing.T) {
	t.Parallel()
	call := func(number, in, out uint64) (c b2bua.CallInfo) {
		c.Number, c.In.Connection, c.Out.Connection = number, in, out
		return c
	}
	got := callsByConnection([]b2bua.CallInfo{call(7, 1, 2), call(3, 1, 1), call(5, 2, 1)})
	if want := map[uint64][]uint64{1: {3, 5, 7}, 2: {5, 7}}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
