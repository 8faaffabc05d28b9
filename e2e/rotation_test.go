//go:build unix

package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/sip/ua"
)

// TestRotations changes the certificate of a running gateway, and a CA that it trusts, twenty times under 500 idle
// connections and 50 calls: by renames and by symbolic links, noticed by the watch, by SIGHUP and by the command. Nobody is
// cut off, and each new handshake, in both roles, shows the new certificate.
func TestRotations(t *testing.T) {
	t.Parallel()
	const idle, calls, rotations = 500, 50, 20
	s := newSite(t, "127.0.0.1", "1.3", "1.3", "ca")
	fresh := s.fresh(t)
	s.generation(t, 0)
	s.link(t, "gen0")
	config := strings.NewReplacer("certificate: gateway.pem, key: gateway-key.pem", "certificate: live/gateway.pem, key: live/gateway-key.pem",
		"files: [ca.pem]", "files: [ca.pem, live/extra.pem]", "peers:\n", fmt.Sprintf("peers:\n  fresh: {uri: \"sip:%s;transport=tls\", certificate_names: [fresh.example], profile: restless}\n",
			fresh.Addr()), "routes:\n", "routes:\n  - {from: [caller], number: \"+44*\", to: [fresh]}\n").Replace(s.config) + "profiles: {restless: {down_for: 0}}\n"
	s.rewrite(t, config)
	sallyport(t, s.dir, "reload")
	ctx, cancel := context.WithTimeout(t.Context(), 4*sitePatience)
	defer cancel()

	type call struct{ ours, theirs *ua.Call }
	var up []call
	for range calls {
		ours, theirs := s.talk(ctx, t)
		up = append(up, call{ours, theirs})
	}
	var conns []*tls.Conn
	for range idle {
		conns = append(conns, s.connect(t))
	}
	taken := func(msg string) int { return len(s.gateway.logged(msg)) }
	for n := 1; n <= rotations; n++ {
		const watched, reloaded = "certificate files have changed, and are taken", "configuration taken"
		noticed, reloads := taken(watched), taken(reloaded)
		if n%2 == 0 {
			s.generation(t, n)
			s.link(t, fmt.Sprintf("gen%d", n))
		} else {
			s.replace(t)
		}
		switch n % 3 {
		case 0:
			soon(t, "the watch notices", func() bool { return taken(watched) > noticed })
		case 1:
			s.signal(t, syscall.SIGHUP)
			soon(t, "the reload is over", func() bool { return taken(reloaded) > reloads })
		case 2:
			said := sallyport(t, s.dir, "reload")
			if !strings.Contains(said, "identity gateway has changed") && taken(watched) == noticed { // the watch may have been first
				t.Errorf("rotation %d: reload says %q", n, said)
			}
		}
		want := s.serial(t)
		c := s.connect(t)
		if got := fmt.Sprintf("%x", c.ConnectionState().PeerCertificates[0].SerialNumber); got != want {
			t.Errorf("rotation %d: as server the gateway shows serial %s, want %s", n, got, want)
		}
		c.Close()
		if _, err := s.call(ctx, t, "+44", ua.InviteOptions{}); err == nil {
			t.Error("the peer that takes no calls has taken one")
		}
		if got := <-fresh.serials; got != want {
			t.Errorf("rotation %d: as client the gateway shows serial %s, want %s", n, got, want)
		}
	}
	for i, c := range conns {
		c.SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("idle connection %d: %v", i, err)
		}
	}
	if n := len(s.gateway.logged("alarm")); n > 0 {
		t.Errorf("%d alarms", n)
	}
	s.refusesABadKey(t)
	for i, c := range up {
		if err := c.ours.Bye(ctx); err != nil {
			t.Errorf("call %d: BYE: %v", i, err)
		}
		wantOver(ctx, t, c.theirs)
	}
	s.gateway.terminate(t)
}

// refusesABadKey puts a key there that does not fit: nothing is changed, and status says what and how long there is time.
func (s *site) refusesABadKey(t *testing.T) {
	t.Helper()
	key := filepath.Join(s.dir, "live", "gateway-key.pem")
	good, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	old := s.serial(t)
	if err := os.WriteFile(key, []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	var page string
	soon(t, "status tells of the bad key", func() bool {
		page = sallyport(t, s.dir, "status")
		return strings.Contains(page, "identity gateway") || strings.Contains(page, "live/gateway-key.pem")
	})
	flat := strings.Join(strings.Fields(page), " ")
	for _, part := range []string{"files that have changed", "gateway-key.pem", "it is not a PEM file", "serial " + old, "can be used until ", "alarms since"} {
		if !strings.Contains(flat, part) {
			t.Errorf("status does not say %q:\n%s", part, page)
		}
	}
	c := s.connect(t)
	if got := fmt.Sprintf("%x", c.ConnectionState().PeerCertificates[0].SerialNumber); got != old {
		t.Errorf("with a bad key the gateway shows serial %s, want the old %s", got, old)
	}
	c.Close()
	if err := os.WriteFile(key, good, 0o600); err != nil {
		t.Fatal(err)
	}
	soon(t, "the alarm is over", func() bool { return len(s.gateway.logged("alarm is over")) > 0 })
}

// generation makes a directory with a new certificate, its key and another CA.
func (s *site) generation(t *testing.T, n int) {
	t.Helper()
	dir := fmt.Sprintf("gen%d", n)
	if err := os.Mkdir(filepath.Join(s.dir, dir), 0o700); err != nil {
		t.Fatal(err)
	}
	s.issue(t, dir)
}

func (s *site) issue(t *testing.T, dir string) {
	t.Helper()
	sallyport(t, s.dir, "cert", "issue", "--ca", "ca.pem", "--sip", "gateway.example", "--dns", "gateway.example", "--out", dir+"/gateway.pem")
	sallyport(t, s.dir, "cert", "ca", "--name", "extra", "--out", dir+"/extra.pem")
}

// link has the files be those of a directory from now on, all at once.
func (s *site) link(t *testing.T, dir string) {
	t.Helper()
	if err := errors.Join(os.Symlink(dir, filepath.Join(s.dir, "next")), os.Rename(filepath.Join(s.dir, "next"), filepath.Join(s.dir, "live"))); err != nil {
		t.Fatal(err)
	}
}

// replace swaps one file after the other by renames.
func (s *site) replace(t *testing.T) {
	t.Helper()
	staged, err := os.MkdirTemp(s.dir, "staged")
	if err != nil {
		t.Fatal(err)
	}
	s.issue(t, filepath.Base(staged))
	for _, name := range []string{"gateway.pem", "gateway-key.pem", "extra.pem"} {
		if err := os.Rename(filepath.Join(staged, name), filepath.Join(s.dir, "live", name)); err != nil {
			t.Fatal(err)
		}
	}
}

// serial is that of the certificate on the disk.
func (s *site) serial(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, "live", "gateway.pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", c.SerialNumber)
}

// connect makes a connection of the caller's to the gateway, on which nothing is said.
func (s *site) connect(t *testing.T) *tls.Conn {
	t.Helper()
	c, err := tls.Dial("tcp", s.entry["tls"].String(), s.tls(t, "caller"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// freshPeer is called and hangs up at once: the gateway makes a new connection to it for each call.
type freshPeer struct {
	net.Listener
	serials chan string // that the gateway has shown
}

func (s *site) fresh(t *testing.T) *freshPeer {
	t.Helper()
	s.version["fresh"] = "1.3"
	sallyport(t, s.dir, "cert", "issue", "--ca", "ca.pem", "--sip", "fresh.example", "--out", "fresh.pem")
	l, err := tls.Listen("tcp", "127.0.0.1:0", s.tls(t, "fresh"))
	if err != nil {
		t.Fatal(err)
	}
	f := &freshPeer{l, make(chan string, 100)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			tc := c.(*tls.Conn)
			if tc.HandshakeContext(t.Context()) == nil {
				f.serials <- fmt.Sprintf("%x", tc.ConnectionState().PeerCertificates[0].SerialNumber)
			}
			c.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return f
}

// Connections that the configuration refuses are listed, and closed when the operator says so.
func TestEvict(t *testing.T) {
	t.Parallel()
	s := newSite(t, "127.0.0.1", "1.3", "1.3", "ca")
	ctx, cancel := context.WithTimeout(t.Context(), sitePatience)
	defer cancel()
	ours, theirs := s.talk(ctx, t)
	sallyport(t, s.dir, "cert", "ca", "--name", "other", "--out", "other.pem")
	s.rewrite(t, strings.NewReplacer("partners: {files: [ca.pem]}", "partners: {files: [ca.pem]}, others: {files: [other.pem]}",
		"certificate_names: [answerer.example]", "certificate_names: [answerer.example], trust: [others]").Replace(s.config))
	said := sallyport(t, s.dir, "reload")
	for _, part := range []string{"of peer answerer, to ", ", with 1 call, serves only the calls it has", "not trusted", "sallyport reload --evict"} {
		if !strings.Contains(strings.Join(strings.Fields(said), " "), part) {
			t.Errorf("reload does not say %q:\n%s", part, said)
		}
	}
	if page := sallyport(t, s.dir, "status"); !strings.Contains(page, "only for the calls there are") {
		t.Errorf("status does not say it:\n%s", page)
	}
	select {
	case <-ours.Done():
		t.Fatal("the call is over without --evict")
	case <-time.After(100 * time.Millisecond):
	}
	if said := sallyport(t, s.dir, "reload", "--evict"); !strings.Contains(said, "evicted: its calls are ended, and it is closed") {
		t.Errorf("reload --evict says:\n%s", said)
	}
	wantOver(ctx, t, ours)
	wantOver(ctx, t, theirs)
	soon(t, "the connection is closed", func() bool {
		var list struct{ Connections []struct{ Peer string } }
		answer, err := http.Get("http://" + s.admin + "/api/v1/connections")
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		if err := json.NewDecoder(answer.Body).Decode(&list); err != nil {
			t.Fatal(err)
		}
		return len(list.Connections) == 1 && list.Connections[0].Peer == "caller"
	})
	s.gateway.terminate(t)
}
