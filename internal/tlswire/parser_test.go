package tlswire

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// rows writes steps as short words: "C ClientHello 1", with * for unread.
func rows(steps []Step) []string {
	var out []string
	for _, s := range steps {
		row := strings.ToUpper(s.From.String()[:1]) + " " + s.Name
		if s.Number > 0 {
			row += fmt.Sprint(" ", s.Number)
		}
		if s.Encrypted {
			row += " *"
		}
		if s.AlertName != "" {
			row += " " + s.AlertName
		}
		if s.Problem != nil {
			row += " " + string(s.Problem.Kind)
		}
		out = append(out, row)
	}
	return out
}

func wantRows(t *testing.T, steps []Step, want ...string) {
	t.Helper()
	if got := rows(steps); !slices.Equal(got, want) {
		t.Errorf("steps:\n got  %s\n want %s", strings.Join(got, "\n      "), strings.Join(want, "\n      "))
	}
}

func find(t *testing.T, steps []Step, from Side, name string) Step {
	t.Helper()
	i := slices.IndexFunc(steps, func(s Step) bool { return s.From == from && s.Name == name })
	if i < 0 {
		t.Fatalf("no step %q of the %s in %v", name, from, rows(steps))
	}
	return steps[i]
}

// wantSame checks that the live view of both ends, and replays of either end's
// bytes in small and large pieces, tell the same story.
func wantSame(t *testing.T, o outcome) {
	t.Helper()
	for _, side := range []Side{Client, Server} {
		for name, split := range map[string]func([]byte) [][]byte{"whole": whole, "bytewise": bytewise} {
			steps, state := o.transcript[side].replay(true, split)
			if !reflect.DeepEqual(steps, o.steps[side]) {
				t.Errorf("%s, %s replay:\n got  %q\n live %q", side, name, rows(steps), rows(o.steps[side]))
			}
			if !reflect.DeepEqual(state, o.state[side]) {
				t.Errorf("%s, %s replay: state\n got  %+v\n live %+v", side, name, state, o.state[side])
			}
		}
	}
	if n := o.clientRing.size() + o.servRing.size(); n != 0 {
		t.Errorf("rings still know %d connections", n)
	}
}

func wantGood(t *testing.T, o outcome) {
	t.Helper()
	if o.err[Client] != nil || o.err[Server] != nil {
		t.Fatalf("handshake: client %v, server %v", o.err[Client], o.err[Server])
	}
	wantSame(t, o)
	for _, side := range []Side{Client, Server} {
		got, conn := o.state[side], o.conn[side]
		if want := VersionID(conn.Version).String(); got.Version != want {
			t.Errorf("version %q, want %q", got.Version, want)
		}
		if want := tls.CipherSuiteName(conn.CipherSuite); got.Suite != want {
			t.Errorf("suite %q, want %q", got.Suite, want)
		}
		if want := GroupID(conn.CurveID).String(); conn.CurveID != 0 && (!got.Resumed || got.Version == "1.3") && got.Group != want {
			t.Errorf("group %q, want %q", got.Group, want)
		}
		if got.SNI != "gw.example.test" || got.ALPN != "sip" {
			t.Errorf("SNI %q, ALPN %q", got.SNI, got.ALPN)
		}
		if got.Resumed != conn.DidResume {
			t.Errorf("resumed %t, want %t", got.Resumed, conn.DidResume)
		}
		if got.Finished != [2]bool{true, true} || got.Data != [2]bool{true, true} {
			t.Errorf("finished %v, data %v", got.Finished, got.Data)
		}
		if got.Problem != nil || got.Alert != nil {
			t.Errorf("problem %v, alert %v", got.Problem, got.Alert)
		}
	}
}

func wantChain(t *testing.T, got [][]byte, want tls.Certificate) {
	t.Helper()
	if !reflect.DeepEqual(got, want.Certificate) {
		t.Errorf("chain of %d certificates, want %d", len(got), len(want.Certificate))
	}
}

func TestFull12(t *testing.T) {
	t.Parallel()
	p := ecdsaPKI()
	o := p.configs(tls.VersionTLS12, true).run(t)
	wantGood(t, o)
	wantRows(t, o.steps[Server],
		"C ClientHello 1", "S ServerHello 2", "S Certificate 3", "S ServerKeyExchange 4", "S CertificateRequest 5",
		"S ServerHelloDone 6", "C Certificate 7", "C ClientKeyExchange 8", "C CertificateVerify 9",
		"C ChangeCipherSpec 10", "C Finished 11 *", "S ChangeCipherSpec 12", "S Finished 13 *",
		"C ApplicationData 14 *", "S ApplicationData *", "S Alert *")
	s := o.state[Client]
	wantChain(t, s.ServerCertificates, p.server)
	wantChain(t, s.ClientCertificates, p.client)
	if !s.ClientCertificateRequested || !s.ClientCertificateSent {
		t.Errorf("client certificate: requested %t, sent %t", s.ClientCertificateRequested, s.ClientCertificateSent)
	}
	if !reflect.DeepEqual(s.AcceptableCAs, [][]byte{p.ca.RawSubject}) {
		t.Errorf("acceptable CAs %x", s.AcceptableCAs)
	}
	hello := find(t, o.steps[Client], Server, "ServerHello")
	if hello.Version != "1.2" || hello.Suite != s.Suite || hello.ALPN != "sip" {
		t.Errorf("ServerHello %+v", hello)
	}
	if ske := find(t, o.steps[Client], Server, "ServerKeyExchange"); ske.Group != s.Group || s.Group == "" {
		t.Errorf("ServerKeyExchange group %q, state %q", ske.Group, s.Group)
	}
	if !slices.Equal(s.Offer.Versions, []VersionID{0x0303}) || !slices.Equal(s.Offer.ALPN, []string{"sip"}) {
		t.Errorf("offer %+v", s.Offer)
	}
}

func TestServerOnly12(t *testing.T) {
	t.Parallel()
	o := rsaPKI().configs(tls.VersionTLS12, false).run(t)
	wantGood(t, o)
	wantRows(t, o.steps[Server],
		"C ClientHello 1", "S ServerHello 2", "S Certificate 3", "S ServerKeyExchange 4", "S ServerHelloDone 6",
		"C ClientKeyExchange 8", "C ChangeCipherSpec 10", "C Finished 11 *", "S ChangeCipherSpec 12", "S Finished 13 *",
		"C ApplicationData 14 *", "S ApplicationData *", "S Alert *")
	if s := o.state[Client]; s.ClientCertificateRequested || s.ClientCertificateSent {
		t.Errorf("client certificate: requested %t, sent %t", s.ClientCertificateRequested, s.ClientCertificateSent)
	}
}

func TestSuites12(t *testing.T) {
	t.Parallel()
	all := slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites())
	for _, suite := range all {
		if !slices.Contains(suite.SupportedVersions, tls.VersionTLS12) {
			continue
		}
		t.Run(suite.Name, func(t *testing.T) {
			t.Parallel()
			p := rsaPKI()
			if strings.Contains(suite.Name, "ECDSA") {
				p = ecdsaPKI()
			}
			h := p.configs(tls.VersionTLS12, true)
			h.client.CipherSuites = []uint16{suite.ID}
			h.server.CipherSuites = []uint16{suite.ID}
			o := h.run(t)
			wantGood(t, o)
			if o.state[Client].Suite != suite.Name {
				t.Errorf("suite %q, want %q", o.state[Client].Suite, suite.Name)
			}
			if got, want := o.state[Client].Group != "", ephemeral(suite.Name); got != want {
				t.Errorf("group %q", o.state[Client].Group)
			}
		})
	}
}

func TestOldVersions(t *testing.T) {
	t.Parallel()
	for version, name := range map[uint16]string{tls.VersionTLS10: "1.0", tls.VersionTLS11: "1.1"} {
		o := rsaPKI().configs(version, true).run(t)
		wantGood(t, o)
		if o.state[Client].Version != name {
			t.Errorf("version %q, want %q", o.state[Client].Version, name)
		}
		if got := o.state[Client].AcceptableCAs; len(got) != 1 {
			t.Errorf("%s: acceptable CAs %x", name, got)
		}
	}
}

// full13 is a whole handshake with both certificates and the first data. A
// client without a session cache gets no tickets from crypto/tls.
var full13 = []string{
	"C ClientHello", "S ServerHello", "S EncryptedExtensions", "S CertificateRequest", "S Certificate",
	"S CertificateVerify", "S Finished", "C Certificate", "C CertificateVerify", "C Finished",
	"C ApplicationData *", "S ApplicationData *",
}

func TestFull13(t *testing.T) {
	t.Parallel()
	p := ecdsaPKI()
	o := p.configs(tls.VersionTLS13, true).run(t)
	wantGood(t, o)
	wantRows(t, o.steps[Server], full13...)
	s := o.state[Server]
	wantChain(t, s.ServerCertificates, p.server)
	wantChain(t, s.ClientCertificates, p.client)
	if !s.ClientCertificateRequested || !s.ClientCertificateSent || !reflect.DeepEqual(s.AcceptableCAs, [][]byte{p.ca.RawSubject}) {
		t.Errorf("state %+v", s)
	}
	if !slices.Contains(s.Offer.Schemes, SchemeID(tls.ECDSAWithP256AndSHA256)) || len(s.Offer.Suites) == 0 {
		t.Errorf("offer %+v", s.Offer)
	}
	for label := range o.transcript[Client].secret {
		if label == "CLIENT_TRAFFIC_SECRET_0" {
			return
		}
	}
	t.Error("crypto/tls did not log application secrets: the ring was not tested against them")
}

func TestServerOnly13(t *testing.T) {
	t.Parallel()
	o := rsaPKI().configs(tls.VersionTLS13, false).run(t)
	wantGood(t, o)
	wantRows(t, o.steps[Server],
		"C ClientHello", "S ServerHello", "S EncryptedExtensions", "S Certificate", "S CertificateVerify", "S Finished",
		"C Finished", "C ApplicationData *", "S ApplicationData *")
}

func TestEmptyClientCertificate(t *testing.T) {
	t.Parallel()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		h := ecdsaPKI().configs(version, false)
		h.server.ClientAuth = tls.RequestClientCert
		o := h.run(t)
		wantGood(t, o)
		s := o.state[Server]
		if !s.ClientCertificateRequested || s.ClientCertificateSent {
			t.Errorf("%s: requested %t, sent %t", s.Version, s.ClientCertificateRequested, s.ClientCertificateSent)
		}
		if c := find(t, o.steps[Server], Client, "Certificate"); len(c.Certificates) != 0 {
			t.Errorf("%s: %d certificates", s.Version, len(c.Certificates))
		}
	}
}

func TestGroups(t *testing.T) {
	t.Parallel()
	tests := map[string][]tls.CurveID{
		"X25519": {tls.X25519}, "P-256": {tls.CurveP256}, "P-384": {tls.CurveP384}, "P-521": {tls.CurveP521},
		"X25519MLKEM768": {tls.X25519MLKEM768}, "SecP256r1MLKEM768": {tls.SecP256r1MLKEM768},
		"SecP384r1MLKEM1024": {tls.SecP384r1MLKEM1024},
	}
	for want, curves := range tests {
		h := ecdsaPKI().configs(tls.VersionTLS13, true)
		h.server.CurvePreferences = curves
		h.client.CurvePreferences = curves
		o := h.run(t)
		wantGood(t, o)
		if got := o.state[Client].Group; got != want || o.state[Client].HelloRetry {
			t.Errorf("group %q, want %q; retry %t", got, want, o.state[Client].HelloRetry)
		}
		if got := o.state[Client].Offer.KeyShares; len(got) == 0 || got[0].String() != want {
			t.Errorf("key shares %v, want %s first", got, want)
		}
	}
}

func TestHelloRetryRequest(t *testing.T) {
	t.Parallel()
	h := ecdsaPKI().configs(tls.VersionTLS13, true)
	h.client.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP384}
	h.server.CurvePreferences = []tls.CurveID{tls.CurveP384}
	o := h.run(t)
	wantGood(t, o)
	wantRows(t, o.steps[Server], slices.Concat([]string{"C ClientHello", "S HelloRetryRequest"}, full13)...)
	s := o.state[Server]
	if !s.HelloRetry || s.Group != "P-384" {
		t.Errorf("retry %t, group %q", s.HelloRetry, s.Group)
	}
	if hrr := find(t, o.steps[Server], Server, "HelloRetryRequest"); hrr.Group != "P-384" || hrr.Version != "1.3" {
		t.Errorf("HelloRetryRequest %+v", hrr)
	}
}

func TestResumed(t *testing.T) {
	t.Parallel()
	want := map[uint16][]string{
		tls.VersionTLS12: {
			"C ClientHello 1", "S ServerHello 2", "S NewSessionTicket", "S ChangeCipherSpec 12", "S Finished 13 *",
			"C ChangeCipherSpec 10", "C Finished 11 *", "C ApplicationData 14 *", "S ApplicationData *", "S Alert *",
		},
		tls.VersionTLS13: {
			"C ClientHello", "S ServerHello", "S EncryptedExtensions", "S Finished", "S ApplicationData *",
			"C Finished", "C ApplicationData *", // the server's was a ticket
		},
	}
	for version, rows := range want {
		h := ecdsaPKI().configs(version, true)
		h.client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		h.server.SetSessionTicketKeys([][32]byte{{1}})
		first := h.run(t)
		wantGood(t, first)
		if first.state[Client].Resumed || find(t, first.steps[Client], Client, "ClientHello").Offer.Resumption {
			t.Errorf("the first handshake looks resumed")
		}
		o := h.run(t)
		wantGood(t, o)
		if version == tls.VersionTLS12 {
			// The server renews tickets at its own will.
			rows = slices.DeleteFunc(slices.Clone(rows), func(s string) bool {
				return s == "S NewSessionTicket" && !slices.ContainsFunc(o.steps[Server], func(s Step) bool { return s.Name == "NewSessionTicket" })
			})
		}
		wantRows(t, o.steps[Server], rows...)
		if !o.state[Client].Resumed || !find(t, o.steps[Client], Server, "ServerHello").Resumed || !o.state[Client].Offer.Resumption {
			t.Errorf("version %x: not seen as resumed", version)
		}
	}
}

func TestSuites13(t *testing.T) {
	t.Parallel()
	// crypto/tls does not let one choose: the transcript is sealed again.
	for _, suite := range suites13 {
		o := ecdsaPKI().configs(tls.VersionTLS13, true).run(t)
		tr := reseal(t, o.transcript[Server], suite, 1000)
		steps, state := tr.replay(true, whole)
		wantRows(t, steps, full13...)
		if want := tls.CipherSuiteName(suite.id); state.Suite != want {
			t.Errorf("suite %q, want %q", state.Suite, want)
		}
		wantChain(t, state.ClientCertificates, ecdsaPKI().client)
	}
}

// TestMessagesAndRecords puts handshake messages into records of many sizes:
// several messages in a record, several records for a message.
func TestMessagesAndRecords(t *testing.T) {
	t.Parallel()
	o := ecdsaPKI().configs(tls.VersionTLS13, true).run(t)
	for _, size := range []int{1, 2, 3, 4, 5, 7, 64, 333, 16384} {
		tr := reseal(t, o.transcript[Server], suites13[0], size)
		steps, _ := tr.replay(true, whole)
		wantRows(t, steps, full13...)
		again, _ := tr.replay(true, bytewise)
		if !reflect.DeepEqual(steps, again) {
			t.Errorf("records of %d bytes: bytewise feeding differs", size)
		}
	}
	o = ecdsaPKI().configs(tls.VersionTLS12, true).run(t)
	for _, size := range []int{1, 3, 4, 5, 100, 16384} {
		steps, state := refragment(o.transcript[Server], size).replay(false, whole)
		if !slices.Equal(rows(steps), rows(o.steps[Server])) || !reflect.DeepEqual(state, o.state[Server]) {
			t.Errorf("records of %d bytes: %q", size, rows(steps))
		}
	}
}

var errRefused = errors.New("refused by the test")

func TestRefused(t *testing.T) {
	t.Parallel()
	refuse := func(tls.ConnectionState) error { return errRefused }
	tests := []struct {
		name    string
		version uint16
		by      Side
		last    []string
		alert   *Alert
	}{
		{"client certificate 1.2", tls.VersionTLS12, Server,
			[]string{"C Certificate 7", "C ClientKeyExchange 8", "C CertificateVerify 9", "C ChangeCipherSpec 10", "C Finished 11 *", "S Alert bad_certificate"},
			&Alert{Server, 2, 42, "bad_certificate"}},
		{"server certificate 1.2", tls.VersionTLS12, Client,
			[]string{"S ServerHelloDone 6", "C Alert bad_certificate"},
			&Alert{Client, 2, 42, "bad_certificate"}},
		{"client certificate 1.3", tls.VersionTLS13, Server, // its alert is under the application key
			[]string{"C Certificate", "C CertificateVerify", "C Finished", "S ApplicationData *"}, nil},
		{"server certificate 1.3", tls.VersionTLS13, Client,
			[]string{"S CertificateVerify", "S Finished", "C Alert bad_certificate"},
			&Alert{Client, 2, 42, "bad_certificate"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := ecdsaPKI().configs(test.version, true)
			h.silent = true
			if test.by == Server {
				h.server.VerifyConnection = refuse
			} else {
				h.client.VerifyConnection = refuse
			}
			o := h.run(t)
			if !errors.Is(o.err[test.by], errRefused) || o.err[test.by.Other()] == nil {
				t.Fatalf("errors %v", o.err)
			}
			wantSame(t, o)
			steps := o.steps[test.by]
			got := rows(steps)
			if len(got) < len(test.last) || !slices.Equal(got[len(got)-len(test.last):], test.last) {
				t.Errorf("steps %q, want them to end with %q", got, test.last)
			}
			for i := range o.state {
				if got := o.state[i].Alert; !reflect.DeepEqual(got, test.alert) {
					t.Errorf("at the %s's end: alert %+v, want %+v", Side(i), got, test.alert)
				}
			}
		})
	}
}

func TestNoCommonVersion(t *testing.T) {
	t.Parallel()
	h := ecdsaPKI().configs(tls.VersionTLS12, false)
	h.server.MinVersion = tls.VersionTLS13
	o := h.run(t)
	wantSame(t, o)
	wantRows(t, o.steps[Server], "C ClientHello 1", "S Alert protocol_version")
}

func TestWithoutSecrets(t *testing.T) {
	t.Parallel()
	o := ecdsaPKI().configs(tls.VersionTLS13, true).run(t)
	steps, state := o.transcript[Server].replay(false, whole)
	// Until the server answers, nobody can tell the client's data from its
	// handshake: its fourth record is data here.
	wantRows(t, steps, "C ClientHello", "S ServerHello",
		"S EncryptedHandshake *", "S EncryptedHandshake *", "S EncryptedHandshake *", "S EncryptedHandshake *", "S EncryptedHandshake *",
		"C EncryptedHandshake *", "C EncryptedHandshake *", "C EncryptedHandshake *", "C EncryptedHandshake *", "S ApplicationData *")
	if state.ServerCertificates != nil || state.Finished != [2]bool{} || state.Version != "1.3" || state.Problem != nil {
		t.Errorf("state %+v", state)
	}
}

func TestSecretComesLate(t *testing.T) {
	t.Parallel()
	o := ecdsaPKI().configs(tls.VersionTLS13, true).run(t)
	tr := o.transcript[Server]
	var steps []Step
	p := New(func(s Step) { steps = append(steps, s) })
	for _, c := range tr.chunks {
		p.Feed(c.from, start, c.data)
	}
	wantRows(t, steps, full13[:2]...)
	p.Secret("SERVER_TRAFFIC_SECRET_0", tr.secret["SERVER_TRAFFIC_SECRET_0"])
	p.Secret(LabelClientHandshake, tr.secret[LabelClientHandshake])
	wantRows(t, steps, full13[:2]...) // the server's records are first
	p.Secret(LabelServerHandshake, tr.secret[LabelServerHandshake])
	wantRows(t, steps, full13...)
	if p.secret[Client] != nil || p.secret[Server] != nil || p.side[Client].keys != nil || p.side[Server].keys != nil {
		t.Error("secrets remain after both sides have finished")
	}
}

func TestWrongSecret(t *testing.T) {
	t.Parallel()
	o := ecdsaPKI().configs(tls.VersionTLS13, false).run(t)
	for name, bad := range map[string][]byte{
		"value":  bytes.Repeat([]byte{7}, len(o.transcript[Server].secret[LabelServerHandshake])),
		"length": {1, 2, 3},
	} {
		tr := o.transcript[Server]
		tr.secret = map[string][]byte{LabelServerHandshake: bad, LabelClientHandshake: tr.secret[LabelClientHandshake]}
		steps, state := tr.replay(true, whole)
		wantRows(t, steps[:4], "C ClientHello", "S ServerHello", "S Problem wrong-secret", "S EncryptedHandshake *")
		if state.Problem == nil || !state.Finished[Client] || state.Finished[Server] {
			t.Errorf("%s: state %+v", name, state)
		}
	}
}
