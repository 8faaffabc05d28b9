package gateway

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/testca"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

const homerAddr = "192.0.2.90:9060"

// homer is a collector in memory.
type homer struct {
	*testing.T
	mu   sync.Mutex
	seen []gathered
	done sync.WaitGroup
	ln   net.Listener
}

// gathered is one packet.
type gathered struct {
	kind                  byte
	from, to              string
	correlation, password string
	node                  string
	payload               []byte
}

// homed starts a collector beside a gateway. secure is how it speaks TLS; nil: it does not.
func (r *rig) homed(secure *tls.Config) *homer {
	h := &homer{T: r.T}
	var err error
	if h.ln, err = r.net.Listen(r.Context(), addrPort(homerAddr)); err != nil {
		r.Fatal(err)
	}
	h.done.Go(func() {
		for {
			nc, err := h.ln.Accept()
			if err != nil {
				return
			}
			if secure != nil {
				nc = tls.Server(nc, secure)
			}
			h.done.Go(func() { h.read(nc) })
		}
	})
	r.Cleanup(func() { r.shut(); h.ln.Close(); h.done.Wait() })
	return h
}

func (h *homer) read(nc net.Conn) {
	defer nc.Close()
	for {
		head := make([]byte, 6)
		if _, err := io.ReadFull(nc, head); err != nil {
			return
		}
		b := make([]byte, int(binary.BigEndian.Uint16(head[4:]))-6)
		if _, err := io.ReadFull(nc, b); err != nil {
			return
		}
		h.take(b)
	}
}

func (h *homer) take(b []byte) {
	chunks := map[uint16][]byte{}
	for len(b) > 0 {
		n := binary.BigEndian.Uint16(b[4:])
		chunks[binary.BigEndian.Uint16(b[2:])] = b[6:n]
		b = b[n:]
	}
	end := func(v4, v6, port uint16) string {
		a, _ := netip.AddrFromSlice(append(chunks[v4], chunks[v6]...))
		return netip.AddrPortFrom(a, binary.BigEndian.Uint16(chunks[port])).String()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seen = append(h.seen, gathered{
		kind: chunks[11][0], from: end(3, 5, 7), to: end(4, 6, 8), correlation: string(chunks[17]), password: string(chunks[14]), node: string(chunks[19]), payload: chunks[15],
	})
}

// all returns what has come once nothing moves any more.
func (h *homer) all() []gathered {
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]gathered(nil), h.seen...)
}

// mirrored is a setting with a collector.
func mirrored(set setting, keys string) setting {
	set.keys += "hep: {homer: {address: \"" + homerAddr + "\", " + keys + "}}\n"
	set.options = func(o *Options) {
		o.DialCollector = func(ctx context.Context, network, address string) (net.Conn, error) {
			return o.Network.(interface {
				Dial(context.Context, netip.AddrPort, netip.AddrPort) (net.Conn, error)
			}).Dial(ctx, netip.AddrPort{}, addrPort(address))
		}
	}
	return set
}

// A collector gets every message of a call on both legs, as it is recorded, with its addresses and with one correlation id: the
// session of the caller, or by choice the Call-ID of its leg.
func TestHEPHasEveryMessage(t *testing.T) {
	for _, tt := range []struct {
		keys string
		with []siptest.Option
		want string
	}{
		{"transport: tcp", []siptest.Option{sessionID(officeUUID + ";remote=" + nullUUID)}, officeUUID},
		{"transport: tcp", nil, "first@office"},
		{"transport: tcp, correlation: call_id, node: gw1", []siptest.Option{sessionID(officeUUID + ";remote=" + nullUUID)}, "first@office"},
	} {
		for _, over := range []transport.Transport{transport.UDP, transport.TLS} {
			run(t, mirrored(setting{office: over, targets: over}, tt.keys), func(r *rig) {
				h := r.homed(nil)
				time.Sleep(2 * time.Second) // the first dial may have been too early
				r.answered(append(tt.with, siptest.Set("Call-ID", "first@office"), siptest.Add("Authorization", `Digest response="0123"`))...)
				r.hangUp(r.office, r.acme)
				synctest.Wait()
				var want, got []string
				f := r.recorder.Flows()[0]
				for _, row := range f.Rows {
					if len(row.Raw) > 0 {
						want = append(want, string(row.Raw))
					}
				}
				shakes := 0
				for _, p := range h.all() {
					if p.correlation != tt.want {
						t.Errorf("%v: %q has correlation %q, want %q", over, p.payload, p.correlation, tt.want)
					}
					if p.kind == 100 {
						shakes++
						continue
					}
					got = append(got, string(p.payload))
					if bytes.Contains(p.payload, []byte("0123\"")) {
						t.Errorf("a password was sent: %s", p.payload)
					}
				}
				if strings.Join(got, "|") != strings.Join(want, "|") || len(want) < 12 {
					t.Errorf("%v: got %d messages\n%s\nwant %d\n%s", over, len(got), got, len(want), want)
				}
				if over == transport.TLS && shakes != 2 || over == transport.UDP && shakes != 0 {
					t.Errorf("%v: %d handshakes", over, shakes)
				}
				first := h.all()[shakes/2]
				if node := map[bool]string{true: "gw1", false: "sallyport"}[strings.Contains(tt.keys, "gw1")]; first.node != node || !strings.HasSuffix(first.to, ":"+fmt.Sprint(r.listener(over).Port())) {
					t.Errorf("the first is from %s to %s, of node %q", first.from, first.to, first.node)
				}
			})
		}
	}
}

// A handshake that was refused is told with its reason and the correlation id of the call that failed for it.
func TestHEPTellsWhyAHandshakeWasRefused(t *testing.T) {
	set := mirrored(setting{office: transport.UDP, targets: transport.TLS, extra: map[string]string{"acme": "certificate_names: [other.example]"}}, "transport: tcp")
	set.file = strings.Replace(file(set), "certificate_names: [acme.example], certificate_names", "certificate_names", 1)
	run(t, set, func(r *rig) {
		h := r.homed(nil)
		time.Sleep(2 * time.Second)
		r.invite(siptest.Set("Call-ID", "first@office"))
		invite := r.backup.WantRequest(sip.INVITE)
		r.backup.Reply(invite, 486)
		r.office.Send(r.office.Ack(r.office.Want(486)))
		r.backup.WantRequest(sip.ACK)
		time.Sleep(10 * time.Second)
		var outcomes []string
		for _, p := range h.all() {
			if p.kind != 100 {
				continue
			}
			var s struct {
				Event, Outcome, Peer, Reason string
				Verdicts                     []struct{ Code string }
			}
			if err := json.Unmarshal(p.payload, &s); err != nil || s.Event != "tls_handshake" || p.correlation != "first@office" {
				t.Errorf("%s: %v, correlation %q", p.payload, err, p.correlation)
			}
			outcomes = append(outcomes, s.Peer+" "+s.Outcome)
			if s.Outcome == "refused" && (!strings.Contains(s.Reason, "other.example") || len(s.Verdicts) == 0 || s.Verdicts[0].Code == "") {
				t.Errorf("refused: %s", p.payload)
			}
		}
		slices.Sort(outcomes)
		if got := strings.Join(outcomes, ", "); got != "acme refused, backup accepted" {
			t.Errorf("handshakes: %s", got)
		}
	})
}

// A collector is spoken with over TLS, and gets nothing when its certificate is not for its address.
func TestHEPOverTLS(t *testing.T) {
	for _, good := range []bool{true, false} {
		set := mirrored(plain, "password_file: PASSWORD")
		set.file = strings.Replace(file(set), "PASSWORD", passwordFile(t), 1)
		run(t, set, func(r *rig) {
			leaf := r.ca.Leaf("homer.example")
			if good {
				leaf = r.ca.Leaf("homer.example", testca.IP("192.0.2.90"))
			}
			h := r.homed(&tls.Config{Certificates: []tls.Certificate{leaf.TLS()}})
			time.Sleep(2 * time.Second)
			r.answered()
			r.hangUp(r.office, r.acme)
			all := h.all()
			if got := len(all) > 10; got != good {
				t.Errorf("its certificate is good: %v, and it has %d packets", good, len(all))
			}
			if good && all[0].password != "myPassword" {
				t.Errorf("the password is %q", all[0].password)
			}
			alarmed := false
			for _, a := range r.Alarms() {
				alarmed = alarmed || a.Name == "hep homer" && strings.Contains(a.Text, "certificate")
			}
			if alarmed == good {
				t.Errorf("its certificate is good: %v, and the alarms are %v", good, r.Alarms())
			}
		})
	}
}

// A collector that takes nothing holds up no call, and a reload that leaves it out ends it.
func TestHEPToNobody(t *testing.T) {
	run(t, mirrored(plain, "transport: tcp"), func(r *rig) {
		ln, err := r.net.Listen(r.Context(), addrPort(homerAddr)) // accepts, and never reads
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		for range 3 {
			r.answered()
			r.hangUp(r.office, r.acme)
		}
		if c := r.Collectors(); len(c) != 1 || c[0].Name != "homer" {
			t.Errorf("collectors: %+v", c)
		}
		r.write(r.dir, "sallyport.yaml", []byte(file(plain)))
		if got := r.Reload(); len(got.Problems) > 0 {
			r.Fatal(got.Problems)
		}
		if c := r.Collectors(); len(c) != 0 {
			t.Errorf("collectors after the reload: %+v", c)
		}
	})
}

// A password file that is not there is a problem of the configuration.
func TestHEPPasswordFileIsRead(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "sallyport.yaml")
	text := "listeners: {a: {listen: \"udp:127.0.0.1:5060\"}}\npeers: {p: {uri: \"sip:127.0.0.2\"}}\nroutes: [{to: [p]}]\n" +
		"hep: {homer: {address: \"127.0.0.1\", transport: udp, password_file: none.pw}}\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, problems := config.Load(path)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if got := Check(cfg); len(got) != 1 || !strings.Contains(got[0].String(), "sallyport.yaml:4:") || !strings.Contains(got[0].String(), "none.pw") {
		t.Errorf("got %v", got)
	}
}

func passwordFile(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "hep.pw")
	if err := os.WriteFile(path, []byte("myPassword\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
