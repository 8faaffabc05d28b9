//go:build linux

package main

import (
	"context"
	"crypto/tls"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/bench/certs"
)

// Each way to shake hands is what it says: the version, resumed or not, mutual, and every OPTIONS answered.
func TestDriveAgainstTheBareElement(t *testing.T) {
	for name, newKey := range map[string]certs.KeyMaker{"P-256": certs.P256, "RSA-2048": certs.RSA2048} {
		dir := t.TempDir()
		if err := certs.WriteKeys(dir, newKey); err != nil {
			t.Fatal(err)
		}
		at := freePort(t)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- bare(ctx, at, dir) }()
		waitFor(t, at)
		for _, version := range []string{"1.2", "1.3"} {
			for _, resume := range []bool{false, true} {
				r, err := drive(t.Context(), options{element: at, certs: dir, name: "gateway.example", version: version, resume: resume,
					rate: 50, measure: 200 * time.Millisecond, warmUp: 60 * time.Millisecond, pid: os.Getpid()})
				if err != nil {
					t.Fatal(err)
				}
				resumed := 0
				if resume {
					resumed = r.Connections
				}
				if r.Connections != 10 || r.Failed != 0 || r.Resumed != resumed {
					t.Errorf("%s, TLS %s, resume %v: %+v, want 10 answered", name, version, resume, r)
				}
				if v13 := strings.HasPrefix(r.Suite, "TLS_AES"); v13 != (version == "1.3") {
					t.Errorf("%s, TLS %s: suite %s", name, version, r.Suite)
				}
			}
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func TestBareElementWantsACertificate(t *testing.T) {
	dir := t.TempDir()
	if err := certs.Write(dir); err != nil {
		t.Fatal(err)
	}
	at := freePort(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go bare(ctx, at, dir)
	waitFor(t, at)
	_, pool, err := certs.Load(dir, "caller")
	if err != nil {
		t.Fatal(err)
	}
	c, err := tls.Dial("tcp", at, &tls.Config{RootCAs: pool, ServerName: "gateway.example", MaxVersion: tls.VersionTLS12})
	if err == nil {
		c.Close()
		t.Error("a client without a certificate was let in")
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func waitFor(t *testing.T, at string) {
	t.Helper()
	for range 500 {
		if c, err := net.Dial("tcp", at); err == nil {
			c.Close()
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("nobody listens at " + at)
}
