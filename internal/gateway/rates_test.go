package gateway

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// rated is a gateway with low rates, on every transport.
const rated = `
listeners:
  udp: {listen: "udp:192.0.2.1:5060", limits: {messages: 30, messages_per_source: 4, messages_per_peer: 10}}
  tcp: {listen: "tcp:192.0.2.1:5060", limits: {messages: 30, messages_per_source: 4, messages_per_peer: 10}}
  tls: {listen: "tls:192.0.2.1:5061", client_certificates: required, limits: {messages: 30, messages_per_source: 4, messages_per_peer: 10}}
identities:
  gateway: {certificate: gw.pem, key: gw-key.pem}
trust:
  partners: {files: [ca.pem]}
defaults: {identity: gateway, trust: [partners]}
peers:
  office: {uri: "sip:192.0.2.10:5080;transport=%[1]v"%[2]s}
  acme: {uri: "sip:192.0.2.20:5081;transport=%[1]v"%[3]s}
  backup: {uri: "sip:192.0.2.30:5082;transport=%[1]v"%[4]s}
routes:
  - {from: [office], to: [acme]}
cdr: off
`

// underRates is underRatesOf without the two peers that the office calls: their
// addresses are for the senders of the test.
func underRates(t *testing.T, f func(r *rig)) {
	underRatesOf(t, func(r *rig) {
		r.acme.Close()
		r.backup.Close()
		f(r)
	})
}

// underRatesOf runs a test over each transport under the rates above.
func underRatesOf(t *testing.T, f func(r *rig)) {
	for _, tr := range []transport.Transport{transport.UDP, transport.TCP, transport.TLS} {
		t.Run(tr.String(), func(t *testing.T) {
			names := func(name string) string {
				if tr != transport.TLS {
					return ""
				}
				return ", certificate_names: [" + name + ".example]"
			}
			set := setting{office: tr, targets: tr, file: fmt.Sprintf(rated, tr, names("office"), names("acme"), names("backup"))}
			synctest.Test(t, func(t *testing.T) { f(start(t, set)) })
		})
	}
}

// A sender is a socket of somebody's to the gateway, and what it has been answered.
type sender struct {
	*rig
	conn   net.Conn // nil on UDP
	packet net.PacketConn
	codes  map[string]int
	ended  bool
}

// sender opens a socket on the transport of the test.
func (r *rig) sender(from, name string) *sender {
	r.Helper()
	s := &sender{rig: r, codes: map[string]int{}}
	to := r.listener(r.set.office)
	if r.set.office == transport.UDP {
		pc, err := r.net.ListenPacket(r.Context(), addrPort(from))
		if err != nil {
			r.Fatal(err)
		}
		s.packet = pc
		go s.datagrams()
		return s
	}
	c, err := r.net.Dial(r.Context(), addrPort(from), to)
	if err != nil {
		r.Fatal(err)
	}
	s.conn = c
	if r.set.office == transport.TLS {
		s.conn = tls.Client(c, r.tls(name))
	}
	go s.stream()
	return s
}

func (s *sender) datagrams() {
	b := make([]byte, 65536)
	for {
		n, _, err := s.packet.ReadFrom(b)
		if err != nil {
			return
		}
		s.codes[strings.Fields(string(b[:n]))[1]]++
	}
}

func (s *sender) stream() {
	in := bufio.NewReader(s.conn)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			s.ended = true
			return
		}
		if strings.HasPrefix(line, "SIP/2.0 ") {
			s.codes[strings.Fields(line)[1]]++
		}
	}
}

// asks sends requests at once, waits until all is quiet, and returns the answers
// since it was called last.
func (s *sender) asks(requests ...string) map[string]int {
	s.Helper()
	for _, text := range requests {
		if s.packet != nil {
			if _, err := s.packet.WriteTo([]byte(text), net.UDPAddrFromAddrPort(s.listener(transport.UDP))); err != nil {
				s.Fatal(err)
			}
		}
	}
	if s.conn != nil {
		io.WriteString(s.conn, strings.Join(requests, ""))
	}
	synctest.Wait()
	codes := s.codes
	s.codes = map[string]int{}
	return codes
}

func (s *sender) close() {
	if s.conn != nil {
		s.conn.Close()
	} else {
		s.packet.Close()
	}
	synctest.Wait()
}

func (s *sender) many(call string, n int) (requests []string) {
	for i := range n {
		requests = append(requests, optionsOf(fmt.Sprintf("%s%d", call, i), 0, strings.ToUpper(s.set.office.String())))
	}
	return requests
}

func (r *rig) passed(limit string) (n uint64) {
	for _, p := range r.Limited() {
		if string(p.Limit) == limit && p.Listener == r.set.office.String() {
			n += p.Times
		}
	}
	return n
}

func TestPeerAboveItsRate(t *testing.T) {
	underRates(t, func(r *rig) {
		flood, quiet := r.sender("192.0.2.30:5082", "backup.example"), r.sender("192.0.2.20:5081", "acme.example")
		defer flood.close()
		defer quiet.close()
		if got := flood.asks(flood.many("f", 50)...); got["200"] != 20 || got["503"] != 30 || len(got) != 2 {
			t.Errorf("answers %v, want 20 times 200 and 30 times 503", got)
		}
		if n := r.passed("messages_per_peer"); n != 30 {
			t.Errorf("counted %d, want 30", n)
		}
		if got := quiet.asks(quiet.many("q", 5)...); got["200"] != 5 {
			t.Errorf("the quiet peer's answers: %v", got)
		}
		time.Sleep(time.Second)
		if got := flood.asks(flood.many("g", 11)...); got["200"] != 10 || got["503"] != 1 {
			t.Errorf("a second later: %v, want 10 times 200 and one 503", got)
		}
		if flood.ended {
			t.Error("the peer's stream has ended")
		}
	})
}

// What is sent piece by piece counts as what comes in one.
func TestPeerAboveItsRateOneByOne(t *testing.T) {
	underRates(t, func(r *rig) {
		flood := r.sender("192.0.2.30:5082", "backup.example")
		defer flood.close()
		codes := map[string]int{}
		for _, text := range flood.many("f", 50) {
			for code, n := range flood.asks(text) {
				codes[code] += n
			}
		}
		if codes["200"] != 20 || codes["503"] != 30 {
			t.Errorf("answers %v, want 20 times 200 and 30 times 503", codes)
		}
	})
}

// Who is no peer gets a few answers, is counted, and on a stream it is closed.
func TestStrangerAboveItsRate(t *testing.T) {
	underRates(t, func(r *rig) {
		flood, quiet := r.sender("203.0.113.66:5060", "nobody.example"), r.sender("192.0.2.20:5081", "acme.example")
		defer flood.close()
		defer quiet.close()
		if got := flood.asks(flood.many("s", 20)...); got["403"] != 5 || len(got) != 1 {
			t.Errorf("answers %v, want 403 five times", got)
		}
		if n := r.passed("messages_per_source"); n != 0 || flood.ended {
			t.Errorf("within its rate: counted %d, ended %v", n, flood.ended)
		}
		if got := flood.asks(flood.many("t", 10)...); len(got) != 0 {
			t.Errorf("answers %v, want none", got)
		}
		if n := r.passed("messages_per_source"); n != 10 {
			t.Errorf("counted %d, want 10", n)
		}
		if stream := flood.conn != nil; flood.ended != stream {
			t.Errorf("its connection ended: %v, want %v", flood.ended, stream)
		}
		if got := quiet.asks(quiet.many("q", 5)...); got["200"] != 5 {
			t.Errorf("the peer's answers: %v", got)
		}
	})
}

// Many strangers together have a rate too.
func TestManyStrangersAboveTheirRate(t *testing.T) {
	underRates(t, func(r *rig) {
		quiet := r.sender("192.0.2.20:5081", "acme.example")
		defer quiet.close()
		ended := 0
		for i := range 100 {
			s := r.sender(fmt.Sprintf("203.0.113.%d:5060", i+1), "nobody.example")
			s.asks(s.many(fmt.Sprintf("m%dx", i), 1)...)
			if s.ended {
				ended++
			}
			s.close()
		}
		n := r.passed("messages")
		if n < 20 || n > 40 { // twice the thirty of a second at once; sources may share a bucket
			t.Errorf("counted %d, want about 40", n)
		}
		if r.set.office != transport.UDP && ended < int(n) {
			t.Errorf("%d connections ended, want the %d that were counted", ended, n)
		}
		if got := quiet.asks(quiet.many("q", 5)...); got["200"] != 5 {
			t.Errorf("the peer's answers: %v", got)
		}
	})
}

// Who floods us with new requests can still use the calls that it has, and hang up.
func TestCallsGoOnAboveTheRate(t *testing.T) {
	underRatesOf(t, func(r *rig) {
		r.answered()
		for n := range 30 {
			r.office.Send(r.office.Request(sip.OPTIONS, "sip:192.0.2.1"))
			if n < 19 { // the INVITE was one of the twenty
				r.office.Want(200)
			} else {
				r.office.Want(503)
			}
		}
		for _, method := range []sip.Method{sip.UPDATE, sip.INFO, sip.INVITE} {
			q := r.office.InDialog(method)
			r.office.Send(q)
			r.acme.Reply(r.acme.WantRequest(method), 200)
			ok := r.office.Want(200)
			if method == sip.INVITE {
				r.office.Send(r.office.Ack(ok))
				r.acme.WantRequest(sip.ACK)
			}
		}
		r.office.Send(r.office.Request(sip.OPTIONS, "sip:192.0.2.1"))
		r.office.Want(503)
		r.hangUp(r.office, r.acme)
		if n := r.passed("messages_per_peer"); n != 12 {
			t.Errorf("counted %d, want 12", n)
		}
	})
}

// What says that it belongs to a dialog has a rate too, which leaves that of new
// requests alone.
func TestPeerAboveItsRateWithinDialogs(t *testing.T) {
	underRates(t, func(r *rig) {
		flood := r.sender("192.0.2.30:5082", "backup.example")
		defer flood.close()
		within := flood.many("w", 100)
		for i := range within {
			within[i] = strings.Replace(within[i], "To: <sip:192.0.2.1>", "To: <sip:192.0.2.1>;tag=none", 1)
		}
		if got := flood.asks(within...); got["481"] != 80 || got["503"] != 20 || len(got) != 2 {
			t.Errorf("answers %v, want 80 times 481 and 20 times 503", got)
		}
		if got := flood.asks(flood.many("f", 21)...); got["200"] != 20 || got["503"] != 1 {
			t.Errorf("new requests: %v, want 20 times 200 and one 503", got)
		}
		if n := r.passed("messages_per_peer"); n != 21 {
			t.Errorf("counted %d, want 21", n)
		}
	})
}

func TestReloadSaysWhatLimitsNeedARestart(t *testing.T) {
	underFlood(t, func(r *floodRig) {
		file := flooded + "limits: {waiting: 2000000, transactions: 2000, connections: 10}\n"
		cfg, problems := config.Parse(r.Config().File, []byte(file))
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		want := []string{
			"limits: waiting is still 67108864: that changes only with a restart",
			"limits: transactions is still 250000: that changes only with a restart",
		}
		if got := r.Apply(cfg); len(got.Problems) > 0 || !slices.Equal(got.Notes, want) {
			t.Errorf("got %q and %v, want %q", got.Notes, got.Problems, want)
		}
	})
}
