package resolve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/sallyport-sip/sallyport/internal/testdns"
)

const oneHost = `
host.example. 60 IN A 192.0.2.1
example. 60 IN SOA ns.example. hostmaster.example. 1 3600 600 86400 30
`

// hostQuery needs one question: the IPv4 addresses of host.example.
var hostQuery = Query{Host: "host.example", Port: 5060, Family: IPv4}

const hostTarget = "udp 192.0.2.1:5060"

// lies makes a server send something else than its answer: what f made of it.
func lies(s *testdns.Server, f func(m *dns.Msg)) {
	s.Handle(func(w dns.ResponseWriter, ask *dns.Msg) bool {
		m := s.Answer(ask)
		f(m)
		_ = w.WriteMsg(m)
		return true
	})
}

// udpOnly has f spoil the answers over UDP.
func udpOnly(s *testdns.Server, f func(m *dns.Msg)) {
	s.Handle(func(w dns.ResponseWriter, ask *dns.Msg) bool {
		if _, tcp := w.RemoteAddr().(*net.TCPAddr); tcp {
			return false
		}
		m := s.Answer(ask)
		f(m)
		_ = w.WriteMsg(m)
		return true
	})
}

func forged(m *dns.Msg) {
	m.Rcode, m.Ns = dns.RcodeSuccess, nil
	m.Answer = []dns.RR{record(m.Question[0].Name + " 60 IN A 203.0.113.66")}
}

func record(text string) dns.RR {
	rr, err := dns.NewRR(text)
	if err != nil {
		panic(err)
	}
	return rr
}

// An answer that is not to our question counts for nothing; the true one that
// comes after it is taken (RFC 5452 §9.1).
func TestForgedAnswers(t *testing.T) {
	for name, forge := range map[string]func(m *dns.Msg){
		"wrong id":             func(m *dns.Msg) { m.Id++ },
		"wrong name":           func(m *dns.Msg) { m.Question[0].Name = "other.example." },
		"wrong type":           func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeAAAA },
		"wrong class":          func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS },
		"no question":          func(m *dns.Msg) { m.Question = nil },
		"no question, no name": func(m *dns.Msg) { m.Question, m.Rcode = nil, dns.RcodeNameError },
		"two questions":        func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) },
		"a question":           func(m *dns.Msg) { m.Response = false },
		"another operation":    func(m *dns.Msg) { m.Opcode = dns.OpcodeNotify },
	} {
		t.Run(name, func(t *testing.T) {
			run(t, oneHost, func(r *rig) {
				r.first.Handle(func(w dns.ResponseWriter, ask *dns.Msg) bool {
					m := r.first.Answer(ask)
					forged(m)
					forge(m)
					_ = w.WriteMsg(m)
					return false // and then the true answer
				})
				r.want(hostQuery, hostTarget)
				r.asked("A host.example")
			})
		})
	}
}

// Other letters than those that we sent are a sign of a forger, or of a server
// that does not keep them. TCP tells (the port and the sequence number cannot be
// guessed).
func TestLetterCase(t *testing.T) {
	run(t, oneHost, func(r *rig) {
		udpOnly(r.first, func(m *dns.Msg) {
			forged(m)
			m.Question[0].Name = flip(m.Question[0].Name)
		})
		r.want(hostQuery, hostTarget)
		r.asked("A host.example", "A host.example tcp")
	})
	cases := map[string]bool{}
	for range 64 {
		cases[newQuestion(question{"ab.example", typeA}, true).Question[0].Name] = true
	}
	if len(cases) < 16 {
		t.Errorf("64 questions have only %d ways to write the name", len(cases))
	}
}

func flip(s string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
			return c ^ 0x20
		}
		return c
	}, s)
}

// Who sends many answers in the hope that one of them fits makes us ask over TCP.
func TestManyStrayAnswers(t *testing.T) {
	run(t, oneHost, func(r *rig) {
		r.first.Handle(func(w dns.ResponseWriter, ask *dns.Msg) bool {
			if _, tcp := w.RemoteAddr().(*net.TCPAddr); tcp {
				return false
			}
			for i := range 100 {
				m := r.first.Answer(ask)
				forged(m)
				m.Id += uint16(i) + 1
				_ = w.WriteMsg(m)
			}
			return true
		})
		r.took(0, func() { r.want(hostQuery, hostTarget) })
		r.asked("A host.example", "A host.example tcp")
	})
}

// An answer that comes from elsewhere is none, though all of it fits.
func TestAnswerFromAnotherAddress(t *testing.T) {
	for _, from := range []string{"192.0.2.66:53", "192.0.2.53:5353"} {
		run(t, oneHost, func(r *rig) {
			other, err := r.net.ListenPacket(r.Context(), netip.MustParseAddrPort(from))
			if err != nil {
				t.Fatal(err)
			}
			defer other.Close()
			r.first.Handle(func(w dns.ResponseWriter, ask *dns.Msg) bool {
				m := r.first.Answer(ask)
				forged(m)
				b, _ := m.Pack()
				_, _ = other.WriteTo(b, w.RemoteAddr())
				return false
			})
			r.want(hostQuery, hostTarget)
		})
	}
}

// The same on the system's sockets, where it is the connected socket that keeps
// others out.
func TestAnswerFromAnotherAddressOnTheSystemsSockets(t *testing.T) {
	true1, forger := udpSocket(t), udpSocket(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		n, from, err := true1.ReadFrom(buf)
		ask := new(dns.Msg)
		if err != nil || ask.Unpack(buf[:n]) != nil {
			return
		}
		m := new(dns.Msg).SetReply(ask)
		forged(m)
		b, _ := m.Pack()
		_, _ = forger.WriteTo(b, from)
		m.Answer = []dns.RR{record(m.Question[0].Name + " 60 IN A 192.0.2.1")}
		b, _ = m.Pack()
		_, _ = true1.WriteTo(b, from)
	}()
	r := &Resolver{Servers: []netip.AddrPort{true1.LocalAddr().(*net.UDPAddr).AddrPort()}, Timeout: time.Minute}
	to, err := r.Walk(hostQuery).Next(t.Context())
	if err != nil || to.Addr.String() != "192.0.2.1:5060" {
		t.Errorf("got %v, %v", to, err)
	}
	<-done
}

func udpSocket(t *testing.T) net.PacketConn {
	pc, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.Close() })
	return pc
}

// Records of an answer that its question did not ask for are not looked at.
func TestRecordsThatDoNotBelong(t *testing.T) {
	run(t, oneHost+"_sip._udp.svc.example. 60 IN SRV 0 0 5070 host.example.\nsvc.example. 60 IN A 192.0.2.9", func(r *rig) {
		lies(r.first, func(m *dns.Msg) {
			q := m.Question[0]
			if strings.HasPrefix(strings.ToLower(q.Name), "victim") {
				return
			}
			m.Answer = append([]dns.RR{record("victim.example. 60 IN A 203.0.113.66"), record("victim.example. 60 IN CNAME evil.example.")}, m.Answer...)
			other := record(q.Name + " 60 IN A 203.0.113.66")
			other.Header().Class = dns.ClassCHAOS
			m.Answer = append(m.Answer, other, record(q.Name+" 60 IN TXT x"))
			if q.Qtype == dns.TypeSRV {
				m.Answer = append(m.Answer, record(q.Name+" 60 IN A 203.0.113.66"), record("host.example. 60 IN A 203.0.113.66"))
			}
			m.Extra = append(m.Extra, record("host.example. 60 IN A 203.0.113.66"), record("victim.example. 60 IN A 203.0.113.66"))
			m.Ns = append(m.Ns, record("host.example. 60 IN A 203.0.113.66"))
		})
		r.want(Query{Host: "svc.example", Transport: "udp", Family: IPv4}, "udp 192.0.2.1:5070")
		r.want(hostQuery, hostTarget)
		r.fails(Query{Host: "victim.example", Port: 5060, Family: IPv4}, ErrNoName.Error())
	})
}

func TestTruncatedAnswers(t *testing.T) {
	cut := func(m *dns.Msg) { m.Answer, m.Truncated = m.Answer[:0], true }
	run(t, oneHost, func(r *rig) {
		udpOnly(r.first, cut)
		r.took(0, func() { r.want(hostQuery, hostTarget) })
		r.asked("A host.example", "A host.example tcp")
	})
	// With half of the records in it, too.
	var zone []string
	for i := range 100 {
		zone = append(zone, fmt.Sprintf("_sip._udp.big.example. 60 IN SRV %d 0 5060 host-%d.a-rather-long-name.example.", i, i))
	}
	zone = append(zone, "host-0.a-rather-long-name.example. 60 IN A 192.0.2.1")
	run(t, strings.Join(zone, "\n"), func(r *rig) {
		to, err := r.Walk(Query{Host: "big.example", Transport: "udp", Family: IPv4}).Next(r.Context())
		if err != nil || to.Addr.String() != "192.0.2.1:5060" {
			t.Errorf("got %v, %v", to, err)
		}
		r.asked("SRV _sip._udp.big.example", "SRV _sip._udp.big.example tcp", "A host-0.a-rather-long-name.example")
	})
	// The server that takes no TCP is one that does not answer; the next one does.
	run(t, oneHost, func(r *rig) {
		udpOnly(r.first, cut)
		r.first.CloseTCP()
		r.took(0, func() { r.want(hostQuery, hostTarget) })
		r.asked("A host.example")
	})
	run(t, oneHost, func(r *rig) {
		for _, s := range []*testdns.Server{r.first, r.second} {
			udpOnly(s, cut)
			s.CloseTCP()
		}
		r.fails(hostQuery, "refused")
		r.asked("A host.example", "A host.example") // two attempts
	})
	run(t, oneHost, func(r *rig) {
		lies(r.first, cut)
		r.second.Silent()
		r.fails(hostQuery)
	})
}

// A server that does not know EDNS is asked without (RFC 6891 §7).
func TestServerWithoutEDNS(t *testing.T) {
	for _, code := range []int{dns.RcodeFormatError, dns.RcodeNotImplemented, dns.RcodeBadVers} {
		for _, question := range []bool{true, false} {
			run(t, oneHost, func(r *rig) {
				r.first.Handle(func(w dns.ResponseWriter, ask *dns.Msg) bool {
					opt := ask.IsEdns0()
					if opt == nil {
						return false
					}
					if opt.UDPSize() != 1232 || opt.Version() != 0 {
						t.Errorf("EDNS says %v", opt)
					}
					m := new(dns.Msg).SetRcode(ask, code&0xf)
					if code > 0xf {
						m.SetEdns0(512, false)
						m.Rcode = code
					}
					if !question {
						m.Question = nil
					}
					_ = w.WriteMsg(m)
					return true
				})
				r.took(0, func() {
					if code == dns.RcodeBadVers && !question {
						return // its code alone does not stand in the header
					}
					r.want(hostQuery, hostTarget)
					r.asked("A host.example", "A host.example")
				})
			})
		}
	}
	run(t, oneHost, func(r *rig) { // one that never understands
		r.first.Code(dns.RcodeFormatError)
		r.want(hostQuery, hostTarget)
		r.asked("A host.example", "A host.example")
	})
}

// Servers that are of no use give way to the next one, and have a rest.
func TestServersThatFail(t *testing.T) {
	for name, c := range map[string]struct {
		fail func(r *rig)
		took time.Duration
	}{
		"silent":   {func(r *rig) { r.first.Silent() }, 2 * time.Second},
		"slow":     {func(r *rig) { r.first.Slow(3 * time.Second) }, 2 * time.Second},
		"SERVFAIL": {func(r *rig) { r.first.Code(dns.RcodeServerFailure) }, 0},
		"REFUSED":  {func(r *rig) { r.first.Code(dns.RcodeRefused) }, 0},
		"NOTAUTH":  {func(r *rig) { r.first.Code(dns.RcodeNotAuth) }, 0},
		"lame": {func(r *rig) {
			lies(r.first, func(m *dns.Msg) {
				m.Answer, m.RecursionAvailable, m.Ns = nil, false, []dns.RR{record("example. 60 IN NS ns.example.")}
			})
		}, 0},
		"rubbish": {func(r *rig) {
			r.first.Handle(func(w dns.ResponseWriter, ask *dns.Msg) bool {
				b, _ := r.first.Answer(ask).Pack()
				_, _ = w.Write(b[:len(b)-3])
				return true
			})
		}, 0},
		"short": {func(r *rig) {
			r.first.Handle(func(w dns.ResponseWriter, ask *dns.Msg) bool { _, _ = w.Write([]byte{1}); return true })
		}, 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, oneHost+"host2.example. 60 IN A 192.0.2.2\nhost3.example. 60 IN A 192.0.2.3", func(r *rig) {
				c.fail(r)
				r.took(c.took, func() { r.want(hostQuery, hostTarget) })
				r.asked("A host.example")
				r.took(0, func() { r.want(Query{Host: "host2.example", Port: 1, Family: IPv4}, "udp 192.0.2.2:1") })
				r.asked() // it rests
				time.Sleep(30 * time.Second)
				r.first.Handle(nil)
				r.want(Query{Host: "host3.example", Port: 1, Family: IPv4}, "udp 192.0.2.3:1")
				r.asked("A host3.example")
			})
		})
	}
}

// A port that refuses datagrams is found out at once, where the system says so.
func TestServerThatRefuses(t *testing.T) {
	run(t, oneHost, func(r *rig) {
		dial := r.Dial
		r.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			if address == firstServer.String() {
				return nil, errors.New("connection refused")
			}
			return dial(ctx, network, address)
		}
		r.took(0, func() { r.want(hostQuery, hostTarget) })
	})
	closed := udpSocket(t)
	addr := closed.LocalAddr().(*net.UDPAddr).AddrPort()
	closed.Close()
	r := &Resolver{Servers: []netip.AddrPort{addr}, Timeout: time.Hour, Attempts: 1, Limit: time.Hour}
	if _, err := r.Walk(hostQuery).Next(t.Context()); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("got %v", err)
	}
}

// An answer that comes after the time limit is not taken for the answer to a
// later question, nor to a second try of the same.
func TestLateAnswers(t *testing.T) {
	run(t, oneHost, func(r *rig) {
		r.Servers = r.Servers[:1]
		r.first.Slow(2*time.Second + time.Millisecond)
		r.took(4*time.Second, func() { r.fails(hostQuery, "name server 192.0.2.53:53", "no answer within 2s") })
		r.asked("A host.example", "A host.example")
		// For five seconds nobody asks again (RFC 9520 §3.2).
		time.Sleep(4 * time.Second)
		r.took(0, func() { r.fails(hostQuery, "no answer within 2s") })
		r.asked()
		r.first.Handle(nil)
		time.Sleep(time.Second)
		r.want(hostQuery, hostTarget)
	})
}

// All look-ups of one walk have one limit together; what there was no time to ask
// is not taken for something that nobody answers.
func TestLimitOfAWalk(t *testing.T) {
	var zone strings.Builder
	zone.WriteString(oneHost)
	for i := range 20 {
		zone.WriteString(fmt.Sprintf("_sip._udp.many.example. 60 IN SRV %d 0 5060 host%d.example.\nhost%d.example. 60 IN A 192.0.2.%d\n", i, i, i, i+1))
	}
	run(t, zone.String(), func(r *rig) {
		q := Query{Host: "many.example", Transport: "udp", Family: IPv4}
		for _, s := range []*testdns.Server{r.first, r.second} {
			s.Handle(func(_ dns.ResponseWriter, ask *dns.Msg) bool { return ask.Question[0].Qtype == dns.TypeA })
		}
		r.took(15*time.Second, func() { r.fails(q, "no answer within") })
		for _, s := range []*testdns.Server{r.first, r.second} {
			s.Handle(nil)
		}
		r.first.Asked()
		r.second.Asked()
		r.want(Query{Host: "host9.example", Port: 5060, Family: IPv4}, "udp 192.0.2.10:5060")
	})
}

// A caller that leaves says nothing about the servers, and those who wait for the
// same answer get it.
func TestCallerLeaves(t *testing.T) {
	run(t, oneHost, func(r *rig) {
		r.first.Slow(time.Second)
		ctx, cancel := context.WithCancel(r.Context())
		time.AfterFunc(500*time.Millisecond, cancel)
		done := make(chan error)
		go func() {
			time.Sleep(time.Millisecond)
			_, err := r.Walk(hostQuery).Next(r.Context())
			done <- err
		}()
		if _, err := r.Walk(hostQuery).Next(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if err := <-done; err != nil {
			t.Errorf("who waited got %v", err)
		}
		synctest.Wait()
		if len(r.health.failed) > 0 {
			t.Errorf("%v have failed", r.health.failed)
		}
	})
}
