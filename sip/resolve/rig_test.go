package resolve

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/sallyport-sip/sallyport/internal/memnet"
	"github.com/sallyport-sip/sallyport/internal/testdns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	firstServer  = netip.MustParseAddrPort("192.0.2.53:53")
	secondServer = netip.MustParseAddrPort("192.0.2.54:53")
)

// rig is a resolver and two name servers with the same records.
type rig struct {
	*testing.T
	*Resolver
	net           *memnet.Network
	first, second *testdns.Server
}

// run runs a test in a bubble.
func run(t *testing.T, zone string, f func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{T: t, net: memnet.New(memnet.Options{})}
		records := slices.DeleteFunc(strings.Split(zone, "\n"), func(s string) bool { return strings.TrimSpace(s) == "" })
		r.first = testdns.Start(t, r.net, firstServer, records...)
		r.second = testdns.Start(t, r.net, secondServer, records...)
		r.Resolver = &Resolver{
			Servers: []netip.AddrPort{firstServer, secondServer},
			Dial:    testdns.Dial(r.net),
			IntN:    func(int) int { return 0 },
			Source:  func(a netip.Addr) netip.Addr { return a },
		}
		r.system.hostsPath = "testdata/hosts"
		f(r)
	})
}

// all returns the targets as "udp 192.0.2.1:5060", and the error.
func (r *rig) all(q Query) (out []string, err error) {
	for to, e := range r.Targets(context.Background(), q) {
		if e != nil {
			return out, e
		}
		want := q.Name
		if want == "" {
			want = plain(q.Host)
		}
		if to.Name != want {
			r.Errorf("the name to verify is %q, want %q", to.Name, want)
		}
		out = append(out, fmt.Sprintf("%s %v", to.Transport, to.Addr))
	}
	return out, nil
}

// want checks the targets of a query.
func (r *rig) want(q Query, want ...string) {
	r.Helper()
	got, err := r.all(q)
	if err != nil || !slices.Equal(got, want) {
		r.Errorf("%+v: got %q, %v, want %q", q, got, err, want)
	}
}

// fails checks that there is none, and what the error says.
func (r *rig) fails(q Query, words ...string) {
	r.Helper()
	got, err := r.all(q)
	if err == nil || len(got) > 0 {
		r.Errorf("%+v: got %q, %v, want an error", q, got, err)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			r.Errorf("%+v: the error %q does not say %q", q, err, w)
		}
	}
}

// asked checks what the first server was asked since the last time, in any order.
func (r *rig) asked(want ...string) {
	r.Helper()
	got := r.first.Asked()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		r.Errorf("asked %q, want %q", got, want)
	}
}

// took checks how long something took.
func (r *rig) took(want time.Duration, f func()) {
	r.Helper()
	began := time.Now()
	f()
	if got := time.Since(began); got != want {
		r.Errorf("it took %v, want %v", got, want)
	}
}
