package e2e

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/internal/api"
	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/store"
	"github.com/sallyport-sip/sallyport/internal/testca"
)

// certificateStage is a gateway with a listener and a peer for each case of testca, which show one another their
// certificates in both roles.
type certificateStage struct {
	*process
	dir     string
	host    string // of all that listens
	admin   string
	domains *testca.Domains
	cases   []testca.Case
	server  map[string]string       // where the peer of a case listens
	gateway map[string]string       // where the gateway listens for it
	client  map[string]string       // the address from where the peer calls: a stranger's few answers are for one address
	leaves  map[string]*testca.Leaf // what the peer shows, also as NAME.pem with its key in dir
}

var stages atomic.Int32

// newCertificateStage gives every case its ports and files. The gateway starts with serve, when the peers listen.
func newCertificateStage(t *testing.T) *certificateStage {
	t.Helper()
	if runtime.GOOS == "darwin" {
		t.Skip("this system has a single loopback address, and a stranger's few answers are for one address")
	}
	s := &certificateStage{dir: t.TempDir(), domains: testca.NewDomains(), cases: testca.Cases,
		server: map[string]string{}, gateway: map[string]string{}, client: map[string]string{}, leaves: map[string]*testca.Leaf{}}
	// An address of its own, on which neither another stage listens nor a connection begins that the system has given a port.
	s.host = fmt.Sprintf("127.0.2.%d", stages.Add(1))
	free := someAddresses(t, s.host, 2*len(s.cases)+1)
	s.admin = free[0]
	s.write(t, "ca.pem", s.domains.Root.PEM())
	gw := s.domains.Root.Leaf("gateway.example")
	s.write(t, "gateway.pem", append(gw.PEM(), gw.KeyPEM()...))
	for i, c := range s.cases {
		s.client[c.ID] = fmt.Sprintf("127.0.1.%d", i+1)
		s.server[c.ID], s.gateway[c.ID] = free[1+2*i], free[2+2*i]
		s.leaves[c.ID] = c.Mint(s.domains)
		s.write(t, c.ID+".pem", append(s.leaves[c.ID].PEM(), s.leaves[c.ID].KeyPEM()...))
	}
	s.write(t, "ca.crl", s.domains.CRL())
	return s
}

func (s *certificateStage) write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// serve starts the gateway, which calls every peer at once and only once.
func (s *certificateStage) serve(t *testing.T) {
	t.Helper()
	var listeners, policies, peers strings.Builder
	for _, c := range s.cases {
		fmt.Fprintf(&listeners, "  c%s: {listen: \"tls:%s\", policy: p%[1]s}\n", c.ID, s.gateway[c.ID])
		fmt.Fprintf(&policies, "  p%s: {%s}\n", c.ID, c.Policy)
		fmt.Fprintf(&peers, "  c%s: {uri: \"sip:%s;transport=tls\", certificate_names: [%s], listener: c%[1]s, policy: p%[1]s, profile: kept}\n",
			c.ID, s.server[c.ID], c.Wanted)
	}
	s.process = startServe(t, s.dir, `identities: {gateway: {certificate: gateway.pem, key: gateway.pem}}
trust: {partners: {files: [ca.pem], crls: [ca.crl]}}
defaults: {identity: gateway, trust: [partners]}
profiles: {kept: {connection: {connect: always, retry_first: 1h, retry_longest: 1h}}}
routes: [{from: [c8], to: [c24]}]
admin: {listen: "`+s.admin+`"}
listeners:
`+listeners.String()+"policies:\n"+policies.String()+"peers:\n"+peers.String())
}

// get reads a document of the gateway's API.
func (s *certificateStage) get(t *testing.T, path string, document any) {
	t.Helper()
	r, err := http.Get("http://" + s.admin + path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if err := json.NewDecoder(r.Body).Decode(document); err != nil {
		t.Fatal(err)
	}
}

// connection returns a live connection of a case.
func (s *certificateStage) connection(t *testing.T, c testca.Case, inbound bool) (found api.Connection, ok bool) {
	t.Helper()
	var list api.ConnectionList
	s.get(t, "/api/v1/connections", &list)
	i := slices.IndexFunc(list.Connections, func(one api.Connection) bool {
		if inbound {
			return one.Inbound && one.Listener == "c"+c.ID
		}
		return !one.Inbound && one.Remote == s.server[c.ID]
	})
	if i < 0 {
		return found, false
	}
	return list.Connections[i], true
}

// checkRecords ends the gateway and holds its records of the handshakes against the cases: who refused, and why.
func (s *certificateStage) checkRecords(t *testing.T) {
	t.Helper()
	// A client has its alert before the gateway has the record, and a gateway that ends gives up what is under way.
	soon(t, "the gateway has judged all that came", func() bool { return s.judged(t) == 2*len(s.cases) })
	s.terminate(t)
	for _, c := range s.cases {
		for _, side := range []struct {
			role, want string
			filter     callflow.HandshakeFilter
		}{
			{"server", c.Server, callflow.HandshakeFilter{Role: callflow.RoleClient, Peer: "c" + c.ID}},
			{"client", c.Client, callflow.HandshakeFilter{Role: callflow.RoleServer, Listener: "c" + c.ID}},
		} {
			records, err := store.Handshakes(filepath.Join(s.dir, "data"), side.filter)
			if err != nil || len(records) != 1 {
				t.Errorf("case %s, %s: %d records, want one (%v)", c.ID, side.role, len(records), err)
				continue
			}
			r, code := records[0], ""
			if testca.Refused(side.want) && (side.role == "server" || !byPeerAlone(side.want)) {
				code = side.want
			}
			if r.Code != code || r.Failed() != (code != "") || code != "" && (r.By != "gateway" || r.Sentence == "" || r.Remedy == "") {
				t.Errorf("case %s, %s: the record says %s by %q: %q, %s; %s; want %q", c.ID, side.role, r.Outcome, r.By, r.Code, r.Sentence, r.Remedy, code)
			}
		}
	}
}

// judged is how many handshakes the gateway has records of.
func (s *certificateStage) judged(t *testing.T) (n int) {
	t.Helper()
	for _, c := range s.cases {
		for _, filter := range []callflow.HandshakeFilter{{Role: callflow.RoleClient, Peer: "c" + c.ID}, {Role: callflow.RoleServer, Listener: "c" + c.ID}} {
			records, err := store.Handshakes(filepath.Join(s.dir, "data"), filter)
			if err != nil {
				t.Fatal(err)
			}
			n += len(records)
		}
	}
	return n
}

// checkServer holds what became of a certificate that a server showed against the case; err is how the handshake
// ended for the server, nil for good.
func (s *certificateStage) checkServer(t *testing.T, c testca.Case, err error) {
	t.Helper()
	if !testca.Refused(c.Server) {
		var live api.Connection
		soon(t, "the gateway has a connection to the peer of case "+c.ID, func() (ok bool) { live, ok = s.connection(t, c, false); return ok })
		if err != nil || live.Peer != "c"+c.ID || (len(live.Notes) > 0) != (c.Server == testca.Noted) {
			t.Errorf("case %s: a server that is to be accepted got %v; the connection is %+v", c.ID, err, live)
		}
		return
	}
	if err == nil {
		t.Errorf("case %s: the handshake was good for a server that is to be refused", c.ID)
	}
}

// byPeerAlone says whether the code is about a name, which the listener does not judge.
func byPeerAlone(code string) bool {
	return code == "name_mismatch" || code == "name_in_common_name" || code == "wildcard_name"
}

// checkClient holds what became of a client against the case; got is the first line of the answer to its OPTIONS, empty
// when the connection ended before.
func (s *certificateStage) checkClient(t *testing.T, c testca.Case, got string) {
	t.Helper()
	switch {
	case !testca.Refused(c.Client):
		live, _ := s.connection(t, c, true)
		if !strings.HasPrefix(got, "SIP/2.0 200 ") || live.Peer != "c"+c.ID || (len(live.Notes) > 0) != (c.Client == testca.Noted) {
			t.Errorf("case %s: a client that is to be accepted got %q; the connection is %+v", c.ID, got, live)
		}
	case byPeerAlone(c.Client):
		live, _ := s.connection(t, c, true)
		if !strings.HasPrefix(got, "SIP/2.0 403 ") || live.Peer != "" || len(live.Notes) != 1 || !strings.Contains(live.Notes[0], "it is no peer here") {
			t.Errorf("case %s: a client of no peer's name got %q; the connection is %+v", c.ID, got, live)
		}
	case got != "":
		t.Errorf("case %s: a client that is to be refused as %q got %q", c.ID, c.Client, got)
	}
}

// TestCertificateCases shows the built gateway every certificate of the cases, as its servers and as its clients, over
// sockets: what the wire tells the peer, and what the gateway says of it.
func TestCertificateCases(t *testing.T) {
	for name, version := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newCertificateStage(t)
			ended := map[string]chan error{}
			for _, c := range s.cases {
				ended[c.ID] = s.listen(t, c, version)
			}
			s.serve(t)
			for _, c := range s.cases {
				select {
				case err := <-ended[c.ID]:
					if testca.Refused(c.Server) && (err == nil || !strings.Contains(err.Error(), "bad certificate")) {
						t.Errorf("case %s: the refused server got %v, want alert bad_certificate", c.ID, err)
					}
					s.checkServer(t, c, err)
				case <-time.After(30 * time.Second):
					t.Fatalf("case %s: the gateway did not call its peer", c.ID)
				}
				s.checkClient(t, c, s.call(t, c, version))
			}
			s.checkRecords(t)
		})
	}
}

// listen is a peer's server, which shows the leaf of the case to one connection and keeps it.
func (s *certificateStage) listen(t *testing.T, c testca.Case, version uint16) chan error {
	t.Helper()
	l, err := tls.Listen("tcp", s.server[c.ID], &tls.Config{Certificates: []tls.Certificate{s.leaves[c.ID].TLS()}, ClientAuth: tls.RequireAnyClientCert,
		MinVersion: version, MaxVersion: version})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			ended <- err
			return
		}
		t.Cleanup(func() { conn.Close() })
		ended <- conn.(*tls.Conn).Handshake()
	}()
	t.Cleanup(func() { l.Close() })
	return ended
}

// call is a peer's client: it shows the leaf of the case, sends an OPTIONS and returns the first line of the answer. The
// connection stays until the test ends, for who looks at it.
func (s *certificateStage) call(t *testing.T, c testca.Case, version uint16) string {
	t.Helper()
	leaf := s.leaves[c.ID].TLS()
	from := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(s.client[c.ID])}}
	conn, err := tls.DialWithDialer(from, "tcp", s.gateway[c.ID], &tls.Config{RootCAs: s.domains.Root.Pool(), ServerName: "gateway.example",
		MinVersion: version, MaxVersion: version,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &leaf, nil }})
	if err != nil {
		return s.alerted(t, c, err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	io.WriteString(conn, options(s.gateway[c.ID])) // a failure shows when the answer is read
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return s.alerted(t, c, err)
	}
	return line
}

// alerted wants the alert with which every refusal of a certificate ends, and returns nothing.
func (s *certificateStage) alerted(t *testing.T, c testca.Case, err error) string {
	t.Helper()
	if _, invalid := errors.AsType[x509.CertificateInvalidError](err); invalid || !strings.Contains(err.Error(), "bad certificate") {
		t.Errorf("case %s: the client got %v, want alert bad_certificate", c.ID, err)
	}
	return ""
}

// options is an OPTIONS to the gateway itself. No line begins with Q or R, which s_client would take for a command.
func options(addr string) string {
	return strings.ReplaceAll(`OPTIONS sip:`+addr+`;transport=tls SIP/2.0
Via: SIP/2.0/TLS 127.0.0.1:5071;branch=z9hG4bKopenssl
From: <sip:acme.example>;tag=1
To: <sip:`+addr+`>
Call-ID: openssl@acme.example
CSeq: 1 OPTIONS
Max-Forwards: 70
Content-Length: 0

`, "\n", "\r\n")
}
