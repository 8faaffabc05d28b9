//go:build interop

package e2e

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/internal/api"
	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/store"
	"github.com/sallyport-sip/sallyport/internal/testca"
)

// TestCertificateCasesWithKamailio is TestCertificateCases with one Kamailio at the other end, which shows the certificate of
// each case by a domain of its tls.cfg: as server where the gateway calls it, and as client to the gateway's listener, with an
// OPTIONS that it was given over UDP.
func TestCertificateCasesWithKamailio(t *testing.T) {
	need(t, "kamailio", "kamailio kamailio-tls-modules")
	// In its words: as server it accepts, as client it connects or reads.
	const alerted = "TLS accept:error:0A000412:SSL routines::sslv3 alert bad certificate"
	for version, method := range map[string]string{"1.2": "TLSv1.2", "1.3": "TLSv1.2+"} {
		t.Run("TLS "+version, func(t *testing.T) {
			s := newCertificateStage(t)
			k := s.kamailio(t, method)
			k.start(t)
			soon(t, "Kamailio shakes hands", func() bool {
				conn, err := tls.DialWithDialer(&net.Dialer{Timeout: time.Second}, "tcp", k.tls, &tls.Config{InsecureSkipVerify: true})
				if err == nil {
					conn.Close() // a client without a certificate hears in TLS 1.3 only later that it is refused
				}
				return err == nil || strings.Contains(err.Error(), "remote error")
			})
			s.serve(t)
			refused := 0
			for _, c := range s.cases {
				soon(t, "the gateway has called Kamailio for case "+c.ID, func() bool { return len(s.handshakes(t, "role=client&peer=c"+c.ID)) > 0 })
				var err error
				if testca.Refused(c.Server) {
					refused++
					soon(t, "Kamailio's server reads our alert of case "+c.ID, func() bool { return strings.Count(k.log.String(), alerted) >= refused })
					err = errors.New(alerted)
				}
				s.checkServer(t, c, err)
				s.checkClient(t, c, s.overKamailio(t, c, k))
			}
			if got := strings.Count(k.log.String(), alerted); got != refused {
				t.Errorf("Kamailio was refused %d times as server, want %d", got, refused)
			}
			s.checkRecords(t)
			good, err := store.Handshakes(filepath.Join(s.dir, "data"), callflow.HandshakeFilter{Outcome: callflow.OutcomeGood})
			if err != nil || len(good) == 0 {
				t.Fatal("no good handshake", err)
			}
			for _, h := range good {
				if h.Chosen.Version != version {
					t.Errorf("a handshake of version %s", h.Chosen.Version)
				}
			}
		})
	}
}

// kamailio prepares one with a server domain for where the peer of each case listens, and a client domain that a header of the
// request chooses. It begins its connection for a case at the case's own address.
func (s *certificateStage) kamailio(t *testing.T, method string) *kamailio {
	t.Helper()
	k := &kamailio{dir: t.TempDir(), log: &log{}, udp: net.JoinHostPort(s.host, freePort(t, s.host)), tls: s.server[s.cases[0].ID]}
	var listen, domains strings.Builder
	for _, c := range s.cases {
		file := filepath.Join(s.dir, c.ID+".pem")
		fmt.Fprintf(&listen, "listen=tls:%s\nlisten=tls:%s\n", s.server[c.ID], s.begins(c))
		for _, at := range []string{"server:" + s.server[c.ID] + "]", "client:" + s.gateway[c.ID] + "]\nserver_id = " + c.ID} {
			fmt.Fprintf(&domains, "[%s\nmethod = %s\nverify_certificate = yes\nrequire_certificate = yes\nprivate_key = %s\ncertificate = %[3]s\nca_list = %s\n",
				at, method, file, filepath.Join(s.dir, "ca.pem"))
		}
	}
	// Kamailio wants the two defaults.
	first := filepath.Join(s.dir, s.cases[0].ID+".pem")
	for _, role := range []string{"server", "client"} {
		fmt.Fprintf(&domains, "[%s:default]\nmethod = %s\nprivate_key = %s\ncertificate = %[3]s\n", role, method, first)
	}
	for name, text := range map[string]string{"tls.cfg": domains.String(), "kamailio.cfg": `#!KAMAILIO
debug=2
log_stderror=yes
children=1
tcp_children=1
auto_aliases=no
dns=no
rev_dns=no
enable_tls=yes
listen=udp:` + k.udp + "\n" + listen.String() + `
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "tls.so"
modparam("tls", "config", "` + filepath.Join(k.dir, "tls.cfg") + `")
modparam("tls", "xavp_cfg", "tls")

request_route {
	if (proto != UDP) {
		sl_send_reply("200", "OK");
		exit;
	}
	$fs = $hdr(X-Begin-At);
	$xavp(tls=>server_id) = $hdr(X-Case);
	t_relay();
	exit;
}
`} {
		if err := os.WriteFile(filepath.Join(k.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return k
}

// handshakes asks the gateway for its records.
func (s *certificateStage) handshakes(t *testing.T, query string) []*callflow.Handshake {
	t.Helper()
	var list api.Handshakes
	s.get(t, "/api/v1/handshakes?"+query, &list)
	return list.Handshakes
}

// begins is the socket of Kamailio from which it calls for a case.
func (s *certificateStage) begins(c testca.Case) string {
	return net.JoinHostPort(s.client[c.ID], "5071")
}

// overKamailio has Kamailio send an OPTIONS to the gateway, and returns the first line of the gateway's answer, empty
// when the gateway has refused the handshake.
func (s *certificateStage) overKamailio(t *testing.T, c testca.Case, k *kamailio) (line string) {
	t.Helper()
	conn, err := net.Dial("udp", k.udp)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	request := strings.Replace(options(s.gateway[c.ID]), "SIP/2.0/TLS 127.0.0.1:5071;branch=z9hG4bKopenssl",
		fmt.Sprintf("SIP/2.0/UDP %s;branch=z9hG4bK%s\r\nX-Begin-At: tls:%s\r\nX-Case: %[2]s", conn.LocalAddr(), c.ID, s.begins(c)), 1)
	if _, err := conn.Write([]byte(request)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	soon(t, "Kamailio's OPTIONS of case "+c.ID+" is answered, or its handshake refused", func() bool {
		conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if n, err := conn.Read(buf); err == nil {
			line, _, _ = strings.Cut(string(buf[:n]), "\r\n")
			return !strings.HasPrefix(line, "SIP/2.0 1")
		}
		return len(s.handshakes(t, "role=server&failed=true&listener=c"+c.ID)) > 0
	})
	if status := strings.TrimPrefix(line, "SIP/2.0 "); strings.HasPrefix(status, "4") && !strings.HasPrefix(status, "403") || strings.HasPrefix(status, "5") {
		return "" // Kamailio's own word that it has no connection
	}
	return line
}
