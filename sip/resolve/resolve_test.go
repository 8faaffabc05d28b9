package resolve

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"
)

func targets(r Resolver, host string) (out []string, err error) {
	for to, e := range r.Targets(context.Background(), host, 5061) {
		if e != nil {
			return out, e
		}
		out = append(out, to.String())
	}
	return out, nil
}

func TestTargets(t *testing.T) {
	asked := 0
	r := Resolver{Lookup: func(_ context.Context, network, host string) ([]netip.Addr, error) {
		asked++
		if host == "down.example" {
			return nil, errors.New("no such host")
		}
		if host == "empty.example" {
			return nil, nil
		}
		return []netip.Addr{netip.MustParseAddr("::ffff:192.0.2.1"), netip.MustParseAddr("2001:db8::1")}, nil
	}}
	for _, c := range []struct {
		host    string
		want    []string
		fails   bool
		lookups int
	}{
		{"192.0.2.7", []string{"192.0.2.7:5061"}, false, 0},
		{"2001:db8::7", []string{"[2001:db8::7]:5061"}, false, 0},
		{"two.example", []string{"192.0.2.1:5061", "[2001:db8::1]:5061"}, false, 1},
		{"down.example", nil, true, 1},
		{"empty.example", nil, true, 1},
	} {
		asked = 0
		got, err := targets(r, c.host)
		if !slices.Equal(got, c.want) || (err != nil) != c.fails || asked != c.lookups {
			t.Errorf("%s: got %v, %v after %d look-ups", c.host, got, err, asked)
		}
	}
}
