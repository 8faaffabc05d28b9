package gateway

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/memnet"
)

const flooded = `
listeners:
  dgram: {listen: "udp:192.0.2.1:5060", limits: {messages: 30, messages_per_source: 4, messages_per_peer: 10}}
  stream: {listen: "tcp:192.0.2.1:5060", limits: {messages_per_source: 4, messages_per_peer: 10, headers: 16}}
peers:
  office: {uri: "sip:192.0.2.10:5080;transport=udp", accept_from: ["udp:192.0.2.10:5080"]}
  acme: {uri: "sip:192.0.2.20:5081;transport=tcp"}
  quiet: {uri: "sip:192.0.2.10:5090;transport=udp", accept_from: ["udp:192.0.2.10:5090"]}
routes:
  - {from: [office], to: [acme]}
cdr: off
`

// floodRig is a gateway and sockets to it.
type floodRig struct {
	*testing.T
	*Gateway
	net *memnet.Network
}

func underFlood(t *testing.T, f func(*floodRig)) {
	synctest.Test(t, func(t *testing.T) {
		r := &floodRig{T: t, net: memnet.New(memnet.Options{})}
		r.Gateway = opened(t, t.TempDir(), flooded, r.net)
		if err := r.Start(); err != nil {
			t.Fatal(err)
		}
		f(r)
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func optionsOf(call string, n int, via string) string {
	return fmt.Sprintf("OPTIONS sip:192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/%s 192.0.2.99;branch=z9hG4bK%s%d;rport\r\nFrom: <sip:a@b>;tag=1\r\n"+
		"To: <sip:192.0.2.1>\r\nCall-ID: %s\r\nCSeq: %d OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n", via, call, n, call, n+1)
}

// asks sends requests in datagrams from an address and counts the answers by status.
func (r *floodRig) asks(from string, requests ...string) map[string]int {
	pc, err := r.net.ListenPacket(r.Context(), netip.MustParseAddrPort(from))
	if err != nil {
		r.Fatal(err)
	}
	defer pc.Close()
	codes := map[string]int{}
	b := make([]byte, 65536)
	for _, text := range requests {
		if _, err := pc.WriteTo([]byte(text), net.UDPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.1:5060"))); err != nil {
			r.Fatal(err)
		}
		synctest.Wait()
		pc.SetReadDeadline(time.Now().Add(time.Nanosecond))
		for {
			n, _, err := pc.ReadFrom(b)
			if err != nil {
				break
			}
			codes[strings.Fields(string(b[:n]))[1]]++
		}
	}
	return codes
}

func many(call string, n int) (requests []string) {
	for i := range n {
		requests = append(requests, optionsOf(fmt.Sprintf("%s%d", call, i), 0, "UDP"))
	}
	return requests
}

func (r *floodRig) wantLimited(want ...Passed) {
	r.Helper()
	got := r.Limited()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		r.Errorf("limits passed: %v, want %v", got, want)
	}
}

func TestFloodOfOneStranger(t *testing.T) {
	underFlood(t, func(r *floodRig) {
		codes := r.asks("203.0.113.66:5060", many("s", 100)...)
		if codes["403"] != 5 || len(codes) != 1 {
			t.Errorf("answers %v, want 403 five times", codes)
		}
		// Five times the four of a second were looked at.
		r.wantLimited(Passed{"dgram", limitMessagesPerSource, 80}, Passed{"dgram", limitStranger, 20})
		if codes := r.asks("192.0.2.10:5080", many("o", 5)...); codes["200"] != 5 {
			t.Errorf("the peer's answers: %v", codes)
		}
	})
}

func TestFloodOfManyStrangers(t *testing.T) {
	underFlood(t, func(r *floodRig) {
		for i := range 100 {
			r.asks(fmt.Sprintf("203.0.113.%d:5060", i+1), many(fmt.Sprintf("s%dx", i), 1)...)
		}
		var dropped uint64
		for _, p := range r.Limited() {
			if p.Limit == limitMessages {
				dropped = p.Times
			}
		}
		if dropped == 0 || dropped > 40 { // twice the thirty of a second at once; two sources may share a bucket
			t.Errorf("limits passed: %v", r.Limited())
		}
		if codes := r.asks("192.0.2.10:5080", many("o", 5)...); codes["200"] != 5 {
			t.Errorf("the peer's answers: %v", codes)
		}
	})
}

// What one peer sends too much is no other's loss, behind the same address, and of
// the same call.
func TestFloodOfAPeer(t *testing.T) {
	for _, c := range []struct {
		name     string
		requests func() []string
	}{
		{"distinct calls", func() []string { return many("f", 50) }},
		{"one call", func() (all []string) {
			for i := range 50 {
				all = append(all, optionsOf("one", i, "UDP"))
			}
			return all
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			underFlood(t, func(r *floodRig) {
				codes := r.asks("192.0.2.10:5080", c.requests()...)
				if codes["200"] != 20 || codes["503"] != 30 {
					t.Errorf("answers %v, want 20 times 200 and 30 times 503", codes)
				}
				r.wantLimited(Passed{"dgram", limitMessagesPerPeer, 30})
				if codes := r.asks("192.0.2.10:5090", optionsOf("one", 99, "UDP"), optionsOf("two", 0, "UDP")); codes["200"] != 2 {
					t.Errorf("the quiet peer's answers: %v", codes)
				}
				time.Sleep(time.Second)
				if codes := r.asks("192.0.2.10:5080", many("g", 10)...); codes["200"] != 10 {
					t.Errorf("a second later: %v", codes)
				}
			})
		})
	}
}

// One request that comes again and again is one transaction.
func TestFloodOfOneRequest(t *testing.T) {
	underFlood(t, func(r *floodRig) {
		var same []string
		for range 20 {
			same = append(same, optionsOf("same", 0, "UDP"))
		}
		if codes := r.asks("192.0.2.10:5080", same...); codes["200"] != 20 {
			t.Errorf("answers %v", codes)
		}
		r.wantLimited()
	})
}

// A message beyond a limit is answered, and counted by that limit. A reload
// changes it for the next one.
func TestLimitsOfMessagesAreCountedAndReloaded(t *testing.T) {
	underFlood(t, func(r *floodRig) {
		headers := strings.Replace(optionsOf("h", 0, "UDP"), "Max-", strings.Repeat("A: b\r\n", 300)+"Max-", 1)
		long := strings.Replace(optionsOf("l", 0, "UDP"), "sip:192.0.2.1 ", "sip:"+strings.Repeat("x", 5000)+"@192.0.2.1 ", 1)
		vias := strings.Replace(optionsOf("v", 0, "UDP"), "From", "Via: "+strings.Repeat("SIP/2.0/UDP a;branch=z9hG4bKx,", 70)+"SIP/2.0/UDP b\r\nFrom", 1)
		commas := strings.Replace(optionsOf("c", 0, "UDP"), "From", "Subject: "+strings.Repeat(",", 60_000)+"\r\nFrom", 1)
		for want, text := range map[string]string{"400": headers, "414": long} {
			if codes := r.asks("192.0.2.10:5080", text); codes[want] != 1 || len(codes) != 1 {
				t.Errorf("answers %v, want %s", codes, want)
			}
		}
		for _, text := range []string{vias, commas} {
			if codes := r.asks("192.0.2.10:5080", text); codes["400"] != 1 {
				t.Errorf("answers %v, want 400", codes)
			}
		}
		r.wantLimited(Passed{"dgram", "header_length", 1}, Passed{"dgram", "headers", 1}, Passed{"dgram", "uri_length", 1}, Passed{"dgram", "vias", 1})

		file := strings.Replace(flooded, "messages_per_peer: 10}", "messages_per_peer: 10, message_size: 1024}", 1)
		cfg, problems := config.Parse(r.Config().File, []byte(file))
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		if got := r.Apply(cfg); len(got.Problems) > 0 {
			t.Fatal(got.Problems)
		}
		if codes := r.asks("192.0.2.10:5080", headers); codes["513"] != 1 {
			t.Errorf("answers after the reload: %v, want 513", codes)
		}
	})
}
