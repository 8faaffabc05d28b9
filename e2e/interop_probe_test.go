//go:build interop

package e2e

import (
	"context"
	"encoding/json"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// probed is what the tests read of "sallyport probe --json".
type probed struct {
	Well    bool   `json:"well"`
	Code    string `json:"code"`
	Verdict string `json:"verdict"`
	Hops    []struct {
		Stage     string `json:"stage"`
		Handshake *struct {
			Asked  bool `json:"asked"`
			Chosen struct {
				Version string `json:"version"`
			} `json:"chosen"`
		} `json:"handshake"`
		Answer *struct {
			Status int      `json:"status"`
			Allow  []string `json:"allow"`
		} `json:"answer"`
	} `json:"hops"`
}

// probeJSON probes and returns the document.
func probeJSON(t *testing.T, dir string, args ...string) (doc probed, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, append([]string{"probe", "--json", "--timeout", "3s"}, args...)...)
	cmd.Dir = dir
	out, _ := cmd.Output() // its status is that of the hop
	if err := json.Unmarshal(out, &doc); err != nil {
		t.Fatalf("%v: %v: %s", args, err, out)
	}
	if len(doc.Hops) == 0 {
		t.Fatalf("no hop: %s", out)
	}
	return doc, string(out)
}

// TestProbeKamailio tries a proxy that requires and verifies our certificate: with it, without it, and with one of a
// stranger's authority, under both versions of TLS.
func TestProbeKamailio(t *testing.T) {
	need(t, "kamailio", "kamailio kamailio-tls-modules")
	dir := t.TempDir()
	sallyport(t, dir, "cert", "ca", "--name", "Test CA", "--out", "ca.pem")
	sallyport(t, dir, "cert", "ca", "--name", "Other CA", "--out", "other.pem")
	for _, name := range []string{"proxy", "gateway"} {
		sallyport(t, dir, "cert", "issue", "--ca", "ca.pem", "--sip", name+".example", "--out", name+".pem")
	}
	sallyport(t, dir, "cert", "issue", "--ca", "other.pem", "--sip", "stranger.example", "--out", "stranger.pem")
	for version, method := range map[string]string{"1.2": "TLSv1.2", "1.3": "TLSv1.2+"} {
		t.Run("TLS "+version, func(t *testing.T) {
			k := newKamailio(t, dir, "127.0.0.1:9", "127.0.0.1:9", method)
			k.start(t)
			uri := []string{"sip:" + k.tls + ";transport=tls", "--names", "proxy.example", "--trust", "ca.pem"}
			as := func(name string) []string {
				return append(uri[:len(uri):len(uri)], "--cert", name+".pem", "--key", name+"-key.pem")
			}

			doc, text := probeJSON(t, dir, as("gateway")...)
			hop := doc.Hops[0]
			if !doc.Well || hop.Answer == nil || hop.Answer.Status != 200 || len(hop.Answer.Allow) != 5 {
				t.Errorf("with our certificate: %s", text)
			} else if !hop.Handshake.Asked || hop.Handshake.Chosen.Version != version {
				t.Errorf("asked for our certificate: %v, TLS %s", hop.Handshake.Asked, hop.Handshake.Chosen.Version)
			}
			for name, args := range map[string][]string{"without a certificate": uri, "with a stranger's": as("stranger")} {
				doc, text := probeJSON(t, dir, args...)
				if doc.Well || doc.Hops[0].Stage != "handshake" || !strings.Contains(doc.Verdict, "refuses us") {
					t.Errorf("%s: %s", name, text)
				}
			}
			// Its other port is a plain one, of UDP: nothing listens there for TLS.
			if doc, text := probeJSON(t, dir, "sip:"+k.udp+";transport=tls"); doc.Code != "connection_refused" {
				t.Errorf("where nothing listens: %s", text)
			}
			if doc, text := probeJSON(t, dir, "sip:"+k.tls+";transport=tcp"); doc.Code != "plain_text_on_tls" {
				t.Errorf("in clear to its TLS port: %s", text)
			}
		})
	}
}

// TestProbeOpenSSL tries openssl's server, which speaks TLS and no SIP: under each version, with what it asks for and
// without, and with a chain that lacks its intermediate.
func TestProbeOpenSSL(t *testing.T) {
	need(t, "openssl", "openssl")
	dir := t.TempDir()
	pki := opensslPKI(t, dir)
	for _, tt := range []struct {
		name   string
		server []string
		probe  []string
		code   string
		stage  string
	}{
		{"accepted, and no SIP, TLS 1.3", []string{"-tls1_3"}, []string{"--names", "acme.example", "--trust", "ca.pem"}, "no_response", "options"},
		{"accepted, and no SIP, TLS 1.2", []string{"-tls1_2"}, []string{"--names", "acme.example", "--trust", "ca.pem"}, "no_response", "options"},
		{"unknown CA", []string{"-tls1_3"}, []string{"--names", "acme.example"}, "unknown_ca", "handshake"},
		{"wrong name", []string{"-tls1_2"}, []string{"--names", "other.example", "--trust", "ca.pem"}, "name_mismatch", "handshake"},
		{"no certificate of ours, TLS 1.3", []string{"-tls1_3", "-Verify", "1", "-verify_return_error", "-CAfile", "ca.pem"}, []string{"--names", "acme.example", "--trust", "ca.pem"}, "no_client_certificate", "handshake"},
		{"only an old version", []string{"-tls1_2"}, []string{"--names", "acme.example", "--trust", "ca.pem", "--tls", "1.3"}, "no_common_version", "handshake"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			port := freePort(t, "127.0.0.1")
			addr := net.JoinHostPort("127.0.0.1", port)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, "openssl", append([]string{"s_server", "-accept", addr, "-cert", "acme.pem", "-key", "acme-key.pem", "-quiet"}, tt.server...)...)
			cmd.Dir = pki.dir
			stdin, err := cmd.StdinPipe() // open: at its end the server would leave
			if err != nil {
				t.Fatal(err)
			}
			defer stdin.Close()
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() { cancel(); _ = cmd.Wait() }()
			soon(t, "openssl listens", func() bool {
				c, err := net.DialTimeout("tcp", addr, time.Second)
				if err == nil {
					c.Close()
				}
				return err == nil
			})
			doc, text := probeJSON(t, dir, append([]string{"sip:" + addr + ";transport=tls"}, tt.probe...)...)
			if doc.Code != tt.code || doc.Hops[0].Stage != tt.stage {
				t.Errorf("code %q at stage %q, want %q at %q: %s", doc.Code, doc.Hops[0].Stage, tt.code, tt.stage, text)
			}
		})
	}
}
