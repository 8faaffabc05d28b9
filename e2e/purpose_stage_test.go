package e2e

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/internal/testca"
	"github.com/sallyport-sip/sallyport/internal/testdns"
)

// failing is a gateway whose every peer has something wrong with it. Its office and its peers on UDP are sockets that say
// what a script says, so that they can be as wrong as they like.
type failing struct {
	*testing.T
	dir     string
	process *process
	admin   string
	domains *testca.Domains
	entry   map[string]string // the gateway's listeners: lan, nat, outside
	office  *speaker
	remote  *speaker // calls a listener whose address is advertised wrongly
	flows   []string // ids, in the order of failures
	calls   int
}

// newFailing starts the peers, and the gateway on them.
func newFailing(t *testing.T) *failing {
	t.Helper()
	s := &failing{T: t, dir: t.TempDir(), domains: testca.NewDomains(), entry: map[string]string{}}
	addr := someAddresses(t, "127.0.0.1", 5) // the last one is where nobody listens
	s.entry["lan"], s.entry["nat"], s.entry["outside"], s.admin = addr[0], addr[1], addr[2], addr[3]
	s.write("ca.pem", s.domains.Root.PEM())
	gw := s.domains.Root.Leaf("gateway.example")
	s.write("gateway.pem", append(gw.PEM(), gw.KeyPEM()...))
	ns := testdns.Start(t, loopback{}, netip.MustParseAddrPort("127.0.0.1:0"), "elsewhere.example. 60 IN A 127.0.0.1")
	s.office, s.remote = s.speaker(nil), s.speaker(nil)
	var peers, routes strings.Builder
	peer := func(name, number, more string) {
		fmt.Fprintf(&peers, "  %s: {%s}\n", name, more)
		fmt.Fprintf(&routes, "  - {from: [office, remote, branch], number: \"%s\", to: [%s]}\n", number, name)
	}
	overTLS := func(name, number string, l *testca.Leaf, believed *testca.CA) {
		peer(name, number, fmt.Sprintf(`uri: "sip:%s;transport=tls", certificate_names: [%s.example], listener: outside`, s.accepts(l, believed), name))
	}
	overUDP := func(name, number, more string, says func(*speaker, string)) {
		peer(name, number, fmt.Sprintf(`uri: "sip:%s;transport=udp", accept_from: ["udp:%[1]s"]%s`, s.speaker(says).addr(), more))
	}
	overTLS("expired", "+4901", s.domains.Root.Leaf("expired.example", testca.Valid(-400*24*time.Hour, -35*24*time.Hour)), s.domains.Root)
	overTLS("misnamed", "+4903", s.domains.Root.Leaf("other.example"), s.domains.Root)
	overTLS("picky", "+4904", s.domains.Root.Leaf("picky.example"), s.domains.Rogue)
	overUDP("circle", "+4907", "", refuses("482 Loop Detected"))
	peer("down", "+4908", fmt.Sprintf(`uri: "sip:%s;transport=tcp", accept_from: []`, addr[4]))
	peer("nowhere", "+4909", `uri: "sip:carrier.invalid;transport=tcp", accept_from: []`)
	overUDP("silent", "+4910", ", profile: impatient", func(*speaker, string) {})
	overUDP("pbx", "+4911", "", answers(nil))
	overUDP("hidden", "+4912", "", answersFromBehindNAT)
	overUDP("alg", "+4913", "", answers(rewritten))
	overUDP("narrow", "+4914", "", refuses("488 Not Acceptable Here", `Warning: 305 narrow.example "Incompatible media format: only G729"`))
	overUDP("plain", "+4915", "", refuses("488 Not Acceptable Here"))
	fmt.Fprint(&routes, "  - {from: [branch], number: \"+4916\", to: [pbx]}\n")
	overUDP("guarded", "+4917", "", refuses("407 Proxy Authentication Required", `Proxy-Authenticate: Digest realm="guarded.example", nonce="8f2b", algorithm=MD5, qop="auth"`))
	overUDP("timer", "+4918", "", refuses("422 Session Interval Too Small", "Min-SE: 1800"))
	s.process = startServe(t, s.dir, fmt.Sprintf(`
listeners:
  lan: {listen: "udp:%s"}
  nat: {listen: "udp:%s", advertise: "192.0.2.10"}
  trunk: {listen: "tcp:%[1]s"}
  outside: {listen: "tls:%[3]s"}
identities: {gateway: {certificate: gateway.pem, key: gateway.pem}}
trust: {partners: {files: [ca.pem]}}
defaults: {identity: gateway, trust: [partners]}
profiles: {impatient: {answer_timeout: 1s, response_timeout: 1s}}
resolver: {servers: ["%[4]s"], family: ipv4}
peers:
  office: {uri: "sip:%s;transport=udp", accept_from: ["udp:%[5]s"], listener: lan}
  remote: {uri: "sip:%[6]s;transport=udp", accept_from: ["udp:%[6]s"], listener: nat}
  branch: {uri: "sip:%[7]s;transport=tls", certificate_names: [branch.example]}
%[8]sroutes:
%[9]sadmin: {listen: "%[10]s"}
data: data
drain: 0
`, addr[0], addr[1], addr[2], ns.Addr(), s.office.addr(), s.remote.addr(), addr[4], peers.String(), routes.String(), s.admin))
	return s
}

func (s *failing) write(name string, data []byte) {
	s.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), data, 0o600); err != nil {
		s.Fatal(err)
	}
}

// accepts is a peer's TLS server that shows a certificate, wants one of an authority that it believes, and says nothing.
func (s *failing) accepts(l *testca.Leaf, believed *testca.CA) string {
	s.Helper()
	at, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{l.TLS()},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: believed.Pool()})
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { at.Close() })
	go func() {
		for {
			conn, err := at.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				io.Copy(io.Discard, conn) // the handshake is the first thing that it does
			}()
		}
	}()
	return at.Addr().String()
}

// dial opens a connection to the listener for TLS.
func (s *failing) dial() net.Conn {
	s.Helper()
	conn, err := net.Dial("tcp", s.entry["outside"])
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	return conn
}

// invite is a request of somebody's. Each call has its own Call-ID; n is the number of its CSeq.
func (s *failing) invite(at, from, uri string, n int, body string, headers ...string) string {
	transport, scheme := "UDP", "sip"
	if strings.HasPrefix(uri, "sips:") {
		transport, scheme = "TLS", "sips"
	}
	var more strings.Builder
	for _, h := range headers {
		more.WriteString(h + "\r\n")
	}
	return fmt.Sprintf("INVITE %s SIP/2.0\r\nVia: SIP/2.0/%s %s;branch=z9hG4bK%d-%d;rport\r\nMax-Forwards: 70\r\nFrom: <%s:%s>;tag=f%d\r\nTo: <%s>\r\n"+
		"Call-ID: purpose-%d\r\nCSeq: %d INVITE\r\nContact: <%s:alice@%s>\r\n%sContent-Type: application/sdp\r\nContent-Length: %d\r\n\r\n%s",
		uri, transport, at, s.calls, n, scheme, from, s.calls, uri, s.calls, n, scheme, at, more.String(), len(body), body)
}

// place sends an INVITE of a speaker's and waits for its final response; it acknowledges that when it can.
func (s *failing) place(who *speaker, entry, called string, n int, body string, headers ...string) (answer string) {
	s.Helper()
	uri := "sip:" + called + "@" + entry
	invite := s.invite(who.addr(), "alice@127.0.0.1", uri, n, body, headers...)
	who.send(invite, entry)
	select {
	case answer = <-who.finals:
	case <-time.After(30 * time.Second):
		s.Fatalf("the call to %s has no final response", called)
	}
	if to := targetOf(answer, uri); strings.HasPrefix(to, "127.") {
		who.send(within("ACK", invite, answer, uri), entry)
	}
	return answer
}

// calls is a call of the office that fails, or is up and ended.
func calls(s *failing, f *failure) {
	s.Helper()
	s.calls++
	const entry = "lan"
	var more []string
	if f.finding == "session-interval" {
		more = []string{"Supported: timer", "Session-Expires: 90", "Min-SE: 90"}
	}
	answer := s.place(s.office, s.entry[entry], f.called, 1, siteSDP, more...)
	if strings.HasPrefix(answer, "SIP/2.0 200") {
		time.Sleep(time.Second) // the time in which the callee repeats its answer
		uri := "sip:" + f.called + "@" + s.entry[entry]
		s.office.send(within("BYE", s.invite(s.office.addr(), "alice@127.0.0.1", uri, 2, siteSDP), answer, uri), s.entry[entry])
	}
}

const secureSDP = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 40000 RTP/SAVP 8\r\n" +
	"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj\r\n"

func callsSRTP(s *failing, f *failure) {
	s.Helper()
	s.calls++
	s.place(s.office, s.entry["lan"], f.called, 1, secureSDP)
}

// callsWithoutACK is a call from elsewhere: its ACK goes to the Contact that it is given, which is not where it called.
func callsWithoutACK(s *failing, f *failure) {
	s.Helper()
	s.calls++
	s.place(s.remote, s.entry["nat"], f.called, 1, siteSDP)
}

// callsSecurely is a call to sips: over TLS.
func callsSecurely(s *failing, f *failure) {
	s.Helper()
	s.calls++
	own := s.domains.Root.Leaf("branch.example")
	conn := tls.Client(s.dial(), &tls.Config{RootCAs: s.domains.Root.Pool(), ServerName: "gateway.example", Certificates: []tls.Certificate{own.TLS()}})
	uri := "sips:" + f.called + "@" + s.entry["outside"]
	invite := s.invite("branch.example", "alice@branch.example", uri, 1, siteSDP)
	io.WriteString(conn, invite)
	var got strings.Builder
	buf := make([]byte, 4096)
	for !strings.Contains(strings.ReplaceAll(got.String(), "SIP/2.0 100", ""), "SIP/2.0 ") {
		n, err := conn.Read(buf)
		if err != nil {
			s.Fatal(err)
		}
		got.Write(buf[:n])
	}
	_, final, _ := strings.Cut(got.String(), "\r\n\r\nSIP")
	io.WriteString(conn, within("ACK", invite, "SIP"+final, uri))
}

// rogueCalls shows the gateway a certificate of an authority that it does not know.
func rogueCalls(s *failing, _ *failure) {
	s.Helper()
	own := s.domains.Rogue.Leaf("branch.example").TLS()
	conn := tls.Client(s.dial(), &tls.Config{RootCAs: s.domains.Root.Pool(), ServerName: "gateway.example",
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own, nil }})
	if _, err := io.Copy(io.Discard, conn); err == nil {
		s.Error("the connection of a stranger ended without an alert")
	}
}

// clearCalls sends SIP to the port on which TLS is spoken.
func clearCalls(s *failing, _ *failure) {
	s.Helper()
	conn := s.dial()
	s.calls++
	io.WriteString(conn, s.invite("127.0.0.1", "alice@127.0.0.1", "sip:+4905@"+s.entry["outside"], 1, siteSDP))
	io.Copy(io.Discard, conn)
}
