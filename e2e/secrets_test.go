package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// TestNoSecretComesOut sends secrets of each kind in each place through a gateway, in calls that are answered, refused, moved and
// malformed, and looks for all of them in every byte that comes out but on the other leg: the log, every answer of the API, every format
// of every flow, live and from the history after a restart, the files on the disk, a HEP collector, a webhook and shipped records.
func TestNoSecretComesOut(t *testing.T) {
	t.Parallel()
	s := newSecretSite(t)
	s.talks()
	s.failures()
	soon(t, "the call's end has been shipped", func() bool { return strings.Contains(s.came.String(), "call.ended") })
	run := s.outputs("live")
	s.withSecrets(run)
	s.gateway.terminate(t)
	log := s.gateway.stderr.String()
	s.gateway = startServe(t, s.dir, s.config)
	s.seen["the log"] = []byte(log)
	for _, id := range run {
		s.flow("history", id)
	}
	s.gateway.terminate(t)
	s.disk()
	s.seen["the log"] = append([]byte(log), s.gateway.stderr.String()...)
	s.seen["webhook and shipped records"] = []byte(s.came.String())
	s.seen["the HEP collector"] = []byte(s.homer.String())
	if !bytes.Contains(s.seen["the HEP collector"], []byte("Subject: "+mark)) || !bytes.Contains(s.seen["the log"], []byte("audit")) {
		t.Error("what was to be looked at has nothing of a call in it")
	}
	for _, secret := range s.secrets {
		var in []string
		for where, b := range s.seen {
			if i := bytes.Index(b, []byte(secret)); i >= 0 {
				in = append(in, fmt.Sprintf("%s: …%q…", where, b[max(0, i-120):min(len(b), i+60)]))
			}
		}
		if len(in) > 0 {
			t.Errorf("%s came out in %d places:\n%s", secret, len(in), strings.Join(in, "\n"))
		}
	}
}

// mark is what an output has that has the message around the secrets.
const mark = "visible-7f3a"

// A secretSite is a gateway between an office over TLS, whose secrets of TLS are kept, and a carrier on UDP.
type secretSite struct {
	*testing.T
	dir, config, admin string
	gateway            *process
	office, acme       *siptest.Peer
	came, homer        *printed
	n                  int
	secrets            []string
	seen               map[string][]byte // what has come out, by where
}

// new makes another secret, of letters and digits only so that no encoding changes it.
func (s *secretSite) new(kind string) string {
	s.n++
	one := fmt.Sprintf("%sZq%02dXw7Kp", kind, s.n)
	s.secrets = append(s.secrets, one)
	return one
}

func newSecretSite(t *testing.T) *secretSite {
	s := &secretSite{T: t, dir: t.TempDir(), came: &printed{}, homer: &printed{}, seen: map[string][]byte{}}
	v := &site{dir: s.dir, version: map[string]string{"caller": "1.3"}}
	v.certificates(t, "ca")
	s.acme = siptest.New(t, siptest.Config{Name: "acme", Timeout: sitePatience})
	s.office = siptest.New(t, siptest.Config{Name: "office", Transport: transport.TLS, TLS: v.tls(t, "caller"), Timeout: sitePatience})
	collector, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { collector.Close() })
	go func() {
		for b := make([]byte, 65536); ; {
			n, _, err := collector.ReadFrom(b)
			if err != nil {
				return
			}
			s.homer.Write(append(b[:n:n], '\n'))
		}
	}()
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		r.Header.Write(s.came)
		io.Copy(s.came, r.Body)
	}))
	t.Cleanup(hook.Close)
	hookSecret := s.new("hook")
	hookSecret += hookSecret
	for name, text := range map[string]string{"hook.secret": hookSecret, "token": s.new("token") + mark, "operator": s.new("operator") + mark} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	key, err := os.ReadFile(filepath.Join(s.dir, "gateway-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	s.secrets = append(s.secrets, strings.Split(string(key), "\n")[1])
	addr := someAddresses(t, "127.0.0.1", 3)
	s.admin = addr[2]
	s.config = fmt.Sprintf(`
listeners:
  outside: {listen: "tls:%s", client_certificates: required}
  lan: {listen: "udp:%s"}
identities: {gateway: {certificate: gateway.pem, key: gateway-key.pem}}
trust: {partners: {files: [ca.pem]}}
defaults: {identity: gateway, trust: [partners]}
peers:
  office: {uri: "sip:%s;transport=tls", certificate_names: [caller.example], keep_keys: 1h}
  acme: {uri: "sip:%s;transport=udp", accept_from: ["%[4]s"]}
routes:
  - {from: [office], number: "+49*", to: [acme]}
admin: {listen: "%[5]s"}
hep: {homer: {address: "%s", transport: udp}}
webhooks: {crm: {url: "%s/hook", secret_file: hook.secret}}
cdr_ship: {billing: {url: "%[7]s/cdr", secret_file: hook.secret}, file: {path: shipped.jsonl}}
drain: 0
`, addr[0], addr[1], s.office.Addr(), s.acme.Addr(), s.admin, collector.LocalAddr(), hook.URL)
	if err := os.WriteFile(filepath.Join(s.dir, "sallyport.yaml"), []byte(s.config), 0o600); err != nil {
		t.Fatal(err)
	}
	s.gateway = start(t, s.dir, "serve", "--log-format", "json", "--log-level", "debug")
	soon(t, "the gateway serves", func() bool { return len(s.gateway.logged("serving")) > 0 || s.gateway.over() })
	s.office.Dial(netip.MustParseAddrPort(addr[0]))
	s.acme.Dial(s.entry())
	return s
}

// loaded are options that put a secret of each kind into each place of a message.
func (s *secretSite) loaded(uri string, more ...siptest.Option) []siptest.Option {
	pw := func() string { return "sip:alice:" + s.new("pw") + "@a.example" }
	sdp := "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nk=clear:" + s.new("k") + "\r\na=key-mgmt:mikey " + s.new("mikey") +
		"\r\nm=audio 40000 RTP/AVP 8\r\na=ice-pwd:" + s.new("ice") + "\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + s.new("srtp") + "|2^20|1:4\r\n"
	return append([]siptest.Option{
		siptest.Set("Subject", mark),
		siptest.Set("From", "\"office\" <sip:office:"+s.new("from")+"@a.example>;tag="+fmt.Sprint(s.n)),
		siptest.Set("To", "<"+uri+">"),
		siptest.Add("P-Asserted-Identity", "<"+pw()+">"),
		siptest.Add("Authorization", `Digest username="alice", realm="x", nonce="y", uri="sip:x", response="`+s.new("digest")+`"`),
		siptest.Add("Proxy-Authorization", "Basic "+s.new("basic")+"\r\n "+s.new("folded")),
		siptest.Add("X-Auth-Token", s.new("xtoken")),
		siptest.Add("Authentication-Info", "rspauth=\""+s.new("rspauth")+"\""),
		siptest.Add("Call-Info", "<https://alice:"+s.new("page")+"@a.example/x>;purpose=info"),
		siptest.Add("Referred-By", "<"+pw()+"?Authorization=Digest%20response%3D%22"+s.new("inuri")+"%22&Subject=x>"),
		siptest.Add("History-Info", "<"+pw()+"?Reason=SIP%3Bcause%3D302&Proxy-Authorization=Basic%20"+s.new("inuri")+">;index=1"),
		siptest.Add("Reason", "SIP;cause=486;text=\""+pw()+"\""),
		siptest.Body("multipart/mixed;boundary=b", "--b\r\nContent-Type: application/sdp\r\n\r\n"+sdp+"\r\n--b\r\nContent-Type: message/sipfrag\r\n\r\nINVITE "+
			pw()+" SIP/2.0\r\nAuthorization: Digest response=\""+s.new("frag")+"\"\r\n\r\n--b--\r\n"),
	}, more...)
}

func (s *secretSite) number(n string) string {
	return "sip:" + n + ":" + s.new("ruri") + "@gateway.example"
}

// talks is a call that is answered, in which there is a transfer, and which ends with a reason.
func (s *secretSite) talks() {
	uri := s.number("+49301")
	s.office.Send(s.office.Request(sip.INVITE, uri, s.loaded(uri)...))
	invite := s.acme.WantRequest(sip.INVITE)
	s.acme.Reply(invite, 180)
	s.office.Want(180)
	s.acme.Reply(invite, 200, siptest.Set("Contact", "<sip:acme:"+s.new("contact")+"@"+s.acme.Addr().String()+">"),
		siptest.Add("Authentication-Info", "rspauth=\""+s.new("rspauth")+"\""),
		siptest.Body("application/sdp", siteSDP+"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:"+s.new("srtp")+"\r\n"))
	s.office.Send(s.office.Ack(s.office.Want(200)))
	s.acme.WantRequest(sip.ACK)
	s.office.Send(s.office.InDialog(sip.REFER, siptest.Add("Refer-To", "<sip:carol:"+s.new("refer")+"@c.example?Replaces=1%3Bto-tag%3D2&Authorization=Digest%20response%3D%22"+
		s.new("referheader")+"%22&body=a%3Dcrypto%3A1%20X%20inline%3A"+s.new("referbody")+">")))
	s.office.Next() // whatever it says to that
	s.office.Send(s.office.InDialog(sip.INFO, siptest.Body("application/dtmf-relay", "Signal=5\r\nk=clear:"+s.new("info")+"\r\n")))
	s.acme.Reply(s.acme.WantRequest(sip.INFO), 200)
	s.office.Want(200)
	s.acme.Send(s.acme.InDialog(sip.BYE, siptest.Add("Reason", "Q.850;cause=16;text=\"sip:x:"+s.new("bye")+"@h\"")))
	s.office.Reply(s.office.WantRequest(sip.BYE), 200)
	s.acme.Want(200)
}

// failures are calls and requests that come to nothing, each with what a sentence might quote.
func (s *secretSite) failures() {
	for _, code := range []int{302, 401, 486, 488, 504, 503} {
		uri := s.number("+49302")
		s.office.Send(s.office.Request(sip.INVITE, uri, s.loaded(uri)...))
		invite := s.acme.WantRequest(sip.INVITE)
		answer := s.acme.Response(invite, code, siptest.Add("Contact", "<sip:carol:"+s.new("moved")+"@192.0.2.99>"),
			siptest.Add("Warning", "399 acme \"try sip:x:"+s.new("warning")+"@h\""), siptest.Add("WWW-Authenticate", `Digest realm="r", nonce="n"`))
		line, rest, _ := strings.Cut(answer, "\r\n")
		s.acme.Send(line + " sip:y:" + s.new("phrase") + "@h\r\n" + rest)
		s.acme.WantRequest(sip.ACK)
		s.office.Send(s.office.Ack(s.office.Next()))
	}
	nowhere := s.number("+1")
	s.office.Send(s.office.Request(sip.INVITE, nowhere, s.loaded(nowhere)...))
	s.office.Send(s.office.Ack(s.office.Next()))
	for _, o := range []siptest.Option{
		siptest.Set("Contact", "<sip:alice:"+s.new("bad")+"@[::bad>"),
		siptest.Set("From", "<sip:alice:"+s.new("bad")+"@h;tag=1"),
		siptest.Set("To", "\"x <sip:alice:"+s.new("bad")+"@h>"),
		siptest.Set("CSeq", "sip:alice:"+s.new("bad")+"@h"),
		siptest.Set("Require", "sip:alice:"+s.new("bad")+"@h"),
		siptest.Set("Content-Type", "sip:alice:"+s.new("bad")+"@h"),
		siptest.Set("Session-Expires", "sip:alice:"+s.new("bad")+"@h"),
		siptest.Set("Via", "SIP/2.0/TLS sip:alice:"+s.new("bad")+"@h"),
		siptest.Set("Max-Forwards", "sip:alice:"+s.new("bad")+"@h"),
		siptest.Add("Authorization", s.new("bad")),
		siptest.URI("sips:alice:" + s.new("bad") + "@[x"),
		siptest.URI("http://alice:" + s.new("bad") + "@x/"),
		siptest.Body("application/sdp", "v=0\r\na=crypto:x inline:"+s.new("bad")+"\r\nm=\r\n"),
	} {
		uri := s.number("+49303")
		s.acme.Send(s.acme.Request(sip.INVITE, uri, s.loaded(uri, o)...))
	}
	for _, m := range []sip.Method{sip.REGISTER, sip.MESSAGE, sip.SUBSCRIBE, sip.OPTIONS, "sip:alice:pw@h"} {
		uri := s.number("+49304")
		s.acme.Send(s.acme.Request(m, uri, s.loaded(uri)...))
	}
	stranger := siptest.New(s, siptest.Config{Name: "stranger", Addr: netip.MustParseAddrPort("127.0.0.2:0")})
	uri := s.number("+49305")
	stranger.Dial(s.entry())
	stranger.Send(stranger.Request(sip.INVITE, uri, s.loaded(uri)...))
	time.Sleep(500 * time.Millisecond) // what was answered and what was not, is
}

// entry is the gateway's listener for UDP.
func (s *secretSite) entry() netip.AddrPort {
	return netip.MustParseAddrPort(regexp.MustCompile(`udp:([0-9.:]+)`).FindStringSubmatch(s.config)[1])
}

// outputs asks for everything that the API has, and returns the flows' ids.
func (s *secretSite) outputs(when string) (ids []string) {
	for _, path := range []string{"status", "calls", "peers", "connections", "certificates", "flows", "filters", "handshakes", "session"} {
		s.ask(when, "/api/v1/"+path)
	}
	s.ask(when, "/metrics")
	for _, path := range []string{"/api/v1/stream", "/api/v1/stream?flow=1", "/api/v1/events?after=0"} {
		s.ask(when, path)
	}
	var flows struct{ Flows []struct{ ID string } }
	if err := json.Unmarshal(s.seen[when+" /api/v1/flows"], &flows); err != nil || len(flows.Flows) < 6 {
		s.Fatalf("%d flows, %v", len(flows.Flows), err)
	}
	for _, f := range flows.Flows {
		s.flow(when, f.ID)
		ids = append(ids, f.ID)
	}
	var shakes struct{ Handshakes []struct{ ID any } }
	json.Unmarshal(s.seen[when+" /api/v1/handshakes"], &shakes)
	for _, h := range shakes.Handshakes {
		s.ask(when, "/api/v1/handshakes/"+fmt.Sprint(h.ID))
	}
	return ids
}

// flow asks for one flow in every form.
func (s *secretSite) flow(when, id string) {
	s.ask(when, "/api/v1/flows/"+id)
	s.ask(when, "/api/v1/flows/"+id+"/diff?a=1&b=2")
	for _, format := range []string{"text", "json", "svg", "html", "plantuml", "mermaid", "pcapng"} {
		b := s.ask(when, "/api/v1/flows/"+id+"/export?format="+format)
		if format == "pcapng" && strings.HasSuffix(id, "-1") && !bytes.Contains(b, []byte("Subject: "+mark)) {
			s.Errorf("%s: %s has no message in it: %.200q", when, id, b)
		}
	}
}

// ask keeps an answer of the API; of a stream what comes within a second.
func (s *secretSite) ask(when, path string) []byte {
	ctx, cancel := context.WithTimeout(s.Context(), sitePatience)
	if strings.Contains(path, "/stream") || strings.Contains(path, "/events") {
		ctx, cancel = context.WithTimeout(s.Context(), 1500*time.Millisecond)
	}
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", "http://"+s.admin+path, nil)
	if err != nil {
		s.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		s.Fatalf("%s: %v", path, err)
	}
	defer answer.Body.Close()
	b, _ := io.ReadAll(answer.Body)
	if answer.StatusCode != 200 && !strings.Contains(path, "/diff") {
		s.Errorf("%s %s: %s %s", when, path, answer.Status, b)
	}
	s.seen[when+" "+path] = b
	return b
}

// withSecrets exports the first call with the secrets of its connections, which only the local socket lets out; they are looked for from
// then on.
func (s *secretSite) withSecrets(ids []string) {
	id := ids[len(ids)-1]
	for _, one := range ids {
		if strings.HasSuffix(one, "-1") {
			id = one
		}
	}
	sallyport(s.T, s.dir, "flow", "export", id, "--format", "pcapng", "--with-secrets", "--out", "opened.pcapng")
	path := filepath.Join(s.dir, "opened.pcapng")
	b, err := os.ReadFile(path)
	if err != nil {
		s.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		s.Errorf("the file with secrets is open to others: %v, %v", info, err)
	}
	lines := regexp.MustCompile(`(?m)^(CLIENT|SERVER)_\w+_SECRET\w* [0-9a-f]{64} ([0-9a-f]+)$`).FindAllSubmatch(b, -1)
	if len(lines) < 2 {
		s.Fatalf("%d secrets of TLS in the file", len(lines))
	}
	for _, l := range lines {
		s.secrets = append(s.secrets, string(l[2]))
	}
	if err := os.Remove(path); err != nil {
		s.Fatal(err)
	}
	answer, err := http.Get("http://" + s.admin + "/api/v1/flows/" + id + "/export?format=pcapng&secrets=1")
	if err != nil {
		s.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusForbidden {
		s.Errorf("secrets over the network: %s", answer.Status)
	}
}

// disk keeps every file that the gateway has written.
func (s *secretSite) disk() {
	own := map[string]bool{"hook.secret": true, "token": true, "operator": true}
	err := filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || own[d.Name()] || strings.HasSuffix(path, "-key.pem") {
			return err
		}
		b, err := os.ReadFile(path)
		s.seen[path] = b
		return err
	})
	if err != nil {
		s.Fatal(err)
	}
}
