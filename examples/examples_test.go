package examples

import (
	"bytes"
	"context"
	"crypto/tls"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

func TestProgramsAreShort(t *testing.T) {
	for name, most := range map[string]int{"options": 20, "call": 30, "answer": 40} {
		b, err := os.ReadFile(filepath.Join(name, "main.go"))
		if err != nil {
			t.Fatal(err)
		}
		if lines := bytes.Count(b, []byte("\n")); lines > most {
			t.Errorf("%s has %d lines, want at most %d", name, lines, most)
		}
	}
}

func TestOptions(t *testing.T) {
	at := free(t)
	run(t, "options", at.String())
	var asker ua.Server
	if err := asker.Start(); err != nil {
		t.Fatal(err)
	}
	defer asker.Close(context.Background())
	if _, err := asker.Listen(transport.ListenConfig{Transport: transport.UDP, Addr: netip.MustParseAddrPort("127.0.0.1:0")}); err != nil {
		t.Fatal(err)
	}
	for method, want := range map[sip.Method]int{sip.OPTIONS: 200, sip.MESSAGE: 405} {
		// It is sent again until the program has started.
		m, err := asker.Send(t.Context(), ua.Target{Transport: transport.UDP, Addr: at}, ua.Outgoing{Method: method, URI: "sip:" + at.String()})
		if err != nil {
			t.Fatal(err)
		}
		if m.StatusCode() != want || string(m.First(sip.HdrAllow)) != "OPTIONS" {
			t.Errorf("%s got\n%s", method, m.Bytes())
		}
	}
}

func TestCall(t *testing.T) {
	p := siptest.New(t, siptest.Config{Transport: transport.TCP, Timeout: time.Minute})
	program := run(t, "call", p.URI("bob"))
	invite := p.WantRequest(sip.INVITE)
	p.Reply(invite, 180)
	p.Reply(invite, 200)
	p.WantRequest(sip.ACK)
	p.Reply(p.WantRequest(sip.BYE), 200)
	p.WantClosed()
	program.wants("answered; hanging up: <nil>")
}

func TestAnswer(t *testing.T) {
	ca := newAuthority(t)
	cert, key, authority := ca.files(t, "gw.example")
	at := free(t)
	program := run(t, "answer", at.String(), cert, key, authority, "pbx.example")
	accepts(t, at)

	for domain, want := range map[string]string{"pbx.example": "", "other.example": "refused with 403 Forbidden"} {
		var caller ua.Server
		if err := caller.Start(); err != nil {
			t.Fatal(err)
		}
		defer caller.Close(context.Background())
		cert, key, authority := ca.files(t, domain)
		cfg, err := ua.ClientTLS(cert, key, authority, "gw.example")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		call, err := caller.Invite(ctx, ua.Target{Transport: transport.TLS, Addr: at, TLS: cfg}, ua.InviteOptions{To: "sips:bob@gw.example"})
		switch {
		case want != "":
			if err == nil || err.Error() != want {
				t.Errorf("%s: %v, want %s", domain, err, want)
			}
		case err != nil:
			t.Errorf("%s: %v", domain, err)
		default:
			if again, err := call.Do(ctx, sip.INVITE); err != nil || again.StatusCode() != 200 {
				t.Errorf("re-INVITE of %s: %v", domain, err)
			}
			if err := call.Bye(ctx); err != nil {
				t.Errorf("%s: %v", domain, err)
			}
			program.wants("a call is over: <nil>")
		}
	}
	// Whoever has no certificate does not get in.
	nobody := &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}
	if conn, err := tls.Dial("tcp", at.String(), nobody); err == nil {
		conn.Close()
		t.Error("a client without a certificate was let in")
	}
	if err := program.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	program.wants("ended: <nil>")
}
