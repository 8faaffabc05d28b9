package gateway

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow/export"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// rfc6216 is a message of RFC 6216 and its body.
func rfc6216(t *testing.T, name string) (raw string, body []byte) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "rfc6216", name+".dat"))
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ = bytes.Cut(b, []byte("\r\n\r\n"))
	return string(b), body
}

// RFC 6216 §3: a MESSAGE over TLS, with its handshake, goes on over TLS. The
// certificates are made for the test, because those of the RFC are signed with SHA-1.
func TestLadderOfRFC6216(t *testing.T) {
	run(t, setting{office: transport.TLS, targets: transport.TLS}, func(r *rig) {
		raw, body := rfc6216(t, "message-tls")
		r.office.Send(raw)
		m := r.acme.WantRequest(sip.MESSAGE)
		if !bytes.Equal(m.Body(), body) || !bytes.HasPrefix(m.RequestURI(), []byte("sips:kumiko@")) {
			r.Errorf("acme got\n%s", m.Bytes())
		}
		r.acme.Reply(m, 200)
		r.office.Want(200)
		synctest.Wait()
		flows := r.recorder.Flows()
		if len(flows) != 1 {
			r.Fatalf("%d flows", len(flows))
		}
		var got strings.Builder
		if err := export.Ladder(&got, flows[0], export.Options{Width: 110}); err != nil {
			r.Fatal(err)
		}
		drawn := settled(got.String())
		golden := filepath.Join("testdata", "rfc6216", "ladder.txt")
		if *update {
			if err := os.WriteFile(golden, []byte(drawn), 0o644); err != nil {
				r.Fatal(err)
			}
			return
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			r.Fatal(err)
		}
		if drawn != string(want) {
			r.Errorf("got\n%s\nwant\n%s", drawn, want)
		}
	})
}

// settled is a ladder without what depends on the machine: which suite its
// processor is quick at, and when the session ticket comes.
func settled(ladder string) string {
	var b strings.Builder
	for line := range strings.Lines(ladder) {
		if !strings.Contains(line, "application data") {
			b.WriteString(strings.ReplaceAll(line, "CHACHA20-POLY1305", "AES-128-GCM"))
		}
	}
	return b.String()
}

// What is signed or encrypted from end to end crosses byte for byte.
func TestSMIMECrossesByteForByte(t *testing.T) {
	for _, targets := range []transport.Transport{transport.UDP, transport.TCP, transport.TLS} {
		for _, name := range []string{"smime-msg", "smime-encrypted", "smime-sign-encrypt"} {
			t.Run(name+" to "+targets.String(), func(t *testing.T) {
				run(t, setting{office: transport.TLS, targets: targets}, func(r *rig) {
					raw, body := rfc6216(t, name)
					parsed, err := sip.Parse([]byte(raw))
					if err != nil {
						t.Fatal(err)
					}
					defer parsed.Release()
					// The same message to a sip: URI, which may leave over any hop.
					r.office.Send(r.office.Request(sip.MESSAGE, "sip:kumiko@gw.example",
						siptest.Set("MIME-Version", string(parsed.First(sip.HdrMIMEVersion))),
						siptest.Set("Content-Disposition", string(parsed.First(sip.HdrContentDisposition))),
						siptest.Set("Content-Transfer-Encoding", "binary"),
						siptest.Body(string(parsed.First(sip.HdrContentType)), string(body))))
					m := r.acme.WantRequest(sip.MESSAGE)
					if !bytes.Equal(m.Body(), body) {
						r.Errorf("the body has %d bytes and differs from the %d that were sent", len(m.Body()), len(body))
					}
					for _, id := range []sip.HeaderID{sip.HdrContentType, sip.HdrMIMEVersion, sip.HdrContentDisposition} {
						r.header(m, id, string(parsed.First(id)))
					}
					r.acme.Reply(m, 200)
					r.office.Want(200)
				})
			})
		}
	}
}

// A request outside of calls is a flow of its own, also when it is refused.
func TestFlowsOfRelayedRequests(t *testing.T) {
	run(t, plain, func(r *rig) {
		r.office.Send(r.office.Request(sip.MESSAGE, number))
		r.acme.Reply(r.acme.WantRequest(sip.MESSAGE), 200)
		r.office.Want(200)
		time.Sleep(time.Second)
		r.office.Send(r.office.Request(sip.MESSAGE, number))
		r.acme.Reply(r.acme.WantRequest(sip.MESSAGE), 415)
		r.office.Want(415)
		time.Sleep(time.Second)
		r.office.Send(r.office.Request(sip.REFER, number, siptest.Set("Refer-To", "<sip:x@y>")))
		r.office.Want(403)
		time.Sleep(time.Second)
		r.office.Send(r.office.Request(sip.MESSAGE, number))
		r.office.Want(100)
		time.Sleep(lifetime)
		r.acme.Close()
		r.backup.Close()
		synctest.Wait()
		want := []string{
			"delivered|MESSAGE delivered by acme on hop B after 0.0ms",
			"failed|MESSAGE refused: acme answered 415 Unsupported Media Type on hop B",
			"failed|REFER refused: the gateway answered 403 Forbidden on hop A: peer office: its profile's relay does not have REFER",
			"unanswered|MESSAGE not answered by anybody: no answer in 32s: the sender waits no longer",
		}
		flows := r.recorder.Flows()
		if len(flows) != len(want) {
			r.Fatalf("%d flows, want %d", len(flows), len(want))
		}
		for i, f := range flows {
			if got := string(f.State) + "|" + f.Sentence; got != want[i] || !f.Done {
				r.Errorf("got %s, done %v, want %s", got, f.Done, want[i])
			}
		}
	})
	run(t, plain, func(r *rig) {
		r.subscribes("600")
		r.notifies("active;expires=600")
		if f := r.recorder.Flows(); len(f) != 1 || f[0].Sentence != "SUBSCRIBE accepted by acme on hop B after 0.0ms, 1 NOTIFY so far" || f[0].Done {
			r.Errorf("got %+v", f)
		}
		r.unsubscribes()
		if f := r.recorder.Flows(); len(f) != 1 || f[0].State != "ended" || !strings.Contains(f[0].Sentence, "2 NOTIFYs") {
			r.Errorf("got %s %s", f[0].State, f[0].Sentence)
		}
	})
}
