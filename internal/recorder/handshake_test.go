package recorder

import (
	"crypto/tls"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/testca"
)

const (
	in13 = "p:ClientHello g:ServerHello g:EncryptedExtensions g:CertificateRequest g:Certificate g:CertificateVerify " +
		"g:Finished p:Certificate p:CertificateVerify p:Finished"
	in12 = "p:1:ClientHello g:2:ServerHello g:3:Certificate g:4:ServerKeyExchange g:5:CertificateRequest " +
		"g:6:ServerHelloDone p:7:Certificate p:8:ClientKeyExchange p:9:CertificateVerify p:10:ChangeCipherSpec " +
		"p:11:Finished"
	out13 = "g:ClientHello p:ServerHello p:EncryptedExtensions p:CertificateRequest p:Certificate p:CertificateVerify " +
		"p:Finished g:Certificate g:CertificateVerify g:Finished"
	out12 = "g:1:ClientHello p:2:ServerHello p:3:Certificate p:4:ServerKeyExchange p:5:CertificateRequest " +
		"p:6:ServerHelloDone g:7:Certificate g:8:ClientKeyExchange g:9:CertificateVerify g:10:ChangeCipherSpec " +
		"g:11:Finished"
)

// TestInboundHandshake plays every end that a handshake with a calling peer can take.
func TestInboundHandshake(t *testing.T) {
	tests := []struct {
		name     string
		version  uint16
		set      func(*rig)
		want     string
		verdicts string
		refused  bool
		data     bool // the client had sent data before it knew
	}{
		{name: "1.3 good", version: tls.VersionTLS13, want: in13 + " g:NewSessionTicket",
			verdicts: "gateway+own decision, peer+inferred"},
		{name: "1.2 good", version: tls.VersionTLS12,
			want: in12 + " g:NewSessionTicket g:12:ChangeCipherSpec g:13:Finished p:14:ApplicationData" +
				" p:15:Alert=close_notify g:15:Alert=close_notify",
			verdicts: "gateway+own decision, peer+inferred"},
		{name: "1.3 refused", version: tls.VersionTLS13, set: func(r *rig) { r.judge = refuse },
			want: in13 + " g:Alert=bad_certificate", verdicts: "gateway-own decision, peer+inferred", refused: true, data: true},
		{name: "1.2 refused", version: tls.VersionTLS12, set: func(r *rig) { r.judge = refuse },
			want: in12 + " g:Alert=bad_certificate", verdicts: "gateway-own decision, peer+inferred",
			refused: true},
		{name: "1.3 no certificate", version: tls.VersionTLS13, set: func(r *rig) { r.peer = nil },
			want:     strings.Split(in13, " p:CertificateVerify")[0] + " p:Finished g:Alert=certificate_required",
			verdicts: "gateway-own decision, peer?unknown", refused: true, data: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, tt.version)
				if tt.set != nil {
					tt.set(r)
				}
				r.listen()
				cfg := r.config("", testca.New("x").Leaf("x"))
				cfg.Certificates = nil
				cfg.ClientSessionCache = tls.NewLRUClientSessionCache(1) // so that it wants a ticket
				if r.peer != nil {
					cfg.Certificates = []tls.Certificate{r.peer.TLS()}
				}
				c := tls.Client(r.call(gatewayAddr), cfg)
				if c.Handshake() == nil {
					_, _ = io.WriteString(c, invite("a1"))
				}
				time.Sleep(time.Second)
				c.Close()
				synctest.Wait()
				r.close()

				f := r.only()
				hop := f.Legs[0].Hop
				if got := story(hop.Handshake); got != tt.want {
					t.Errorf("handshake\n got %s\nwant %s", got, tt.want)
				}
				if got := verdicts(hop.Verdicts); got != tt.verdicts {
					t.Errorf("verdicts: got %s, want %s", got, tt.verdicts)
				}
				if (f.State == callflow.StateRefused) != tt.refused || hop.Refused != tt.refused {
					t.Errorf("state %s, hop refused %v: %s", f.State, hop.Refused, f.Sentence)
				}
				unread := 0
				for _, row := range f.Rows {
					if row.Kind == callflow.RowData && row.Bad {
						unread++
					}
					if row.Kind == callflow.RowSIP && strings.Contains(string(row.Raw), "0123") {
						t.Error("a credential was recorded")
					}
				}
				if (unread == 1) != tt.data {
					t.Errorf("got %d rows of unread data, want one: %v", unread, tt.data)
				}
				if tt.refused {
					return
				}
				if got := hop.Link.TLS; !got.Mutual || got.Suite == "" || got.Group != "X25519MLKEM768" && got.Group != "X25519" {
					t.Errorf("agreed: got %+v", got)
				}
				if f.Legs[0].Peer != "phone" || len(f.Rows) < len(hop.Handshake)+3 {
					t.Errorf("peer %q, %d rows", f.Legs[0].Peer, len(f.Rows))
				}
			})
		})
	}
}

// TestOutboundHandshake plays every end that a handshake with a peer we dial can take.
func TestOutboundHandshake(t *testing.T) {
	tests := []struct {
		name     string
		version  uint16
		set      func(*rig)
		peer     func(*tls.Config) *tls.Config
		want     string
		verdicts string
		refused  bool
	}{
		{name: "1.3 good", version: tls.VersionTLS13, want: out13, verdicts: "gateway+own decision, peer+inferred"},
		{name: "1.2 good", version: tls.VersionTLS12,
			want: out12 + " p:12:ChangeCipherSpec p:13:Finished g:14:ApplicationData" +
				" g:15:Alert=close_notify p:15:Alert=close_notify",
			verdicts: "gateway+own decision, peer+inferred"},
		{name: "1.3 refused by us", version: tls.VersionTLS13, set: func(r *rig) { r.judge = refuse },
			want:     strings.Split(out13, " g:Certificate ")[0] + " g:Alert=bad_certificate",
			verdicts: "gateway-own decision, peer?unknown", refused: true},
		{name: "1.2 refused by us", version: tls.VersionTLS12, set: func(r *rig) { r.judge = refuse },
			want:     strings.Split(out12, " g:7:")[0] + " g:Alert=bad_certificate",
			verdicts: "gateway-own decision, peer?unknown", refused: true},
		{name: "1.3 refused by the peer", version: tls.VersionTLS13, peer: demand, want: out13 + " p:Alert=unknown_ca",
			verdicts: "gateway+own decision, peer-alert, peer-inferred", refused: true},
		{name: "1.2 refused by the peer", version: tls.VersionTLS12, peer: demand, want: out12 + " p:Alert=unknown_ca",
			verdicts: "gateway+own decision, peer-alert, peer-inferred", refused: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, tt.version)
				if tt.set != nil {
					tt.set(r)
				}
				cfg := r.config("", r.peer)
				cfg.ClientAuth = tls.RequireAnyClientCert
				if tt.peer != nil {
					cfg = tt.peer(cfg)
				}
				stop := r.serve(cfg)
				r.rec.Record(callflow.LegCreated, callflow.Call{Number: 7, Direction: callflow.Out, CallID: "b1", Peer: "trunk"}, "routed")
				c, err := r.dial()
				if err == nil {
					_, _ = c.Send([]byte(invite("b1")), netip.AddrPort{})
					c.Flush()
				}
				time.Sleep(time.Second)
				r.close()
				stop()

				f := r.only()
				hop := f.Legs[0].Hop
				if got := story(hop.Handshake); got != tt.want {
					t.Errorf("handshake\n got %s\nwant %s", got, tt.want)
				}
				if got := verdicts(hop.Verdicts); got != tt.verdicts {
					t.Errorf("verdicts: got %s, want %s", got, tt.verdicts)
				}
				if hop.Refused != tt.refused {
					t.Errorf("hop refused %v: %s", hop.Refused, f.Sentence)
				}
				if !tt.refused && f.State != callflow.StateBusy {
					t.Errorf("state %s\n%s", f.State, ladder(f))
				}
				if f.ID != "7" || f.Legs[0].Peer != "trunk" {
					t.Errorf("flow %s, peer %q", f.ID, f.Legs[0].Peer)
				}
			})
		})
	}
}

// TestRefusedWithoutTLS tells of connections that never came to a handshake.
func TestRefusedWithoutTLS(t *testing.T) {
	tests := []struct {
		name, words string
		play        func(*rig)
	}{
		{"plain SIP to the TLS port", "plain text came where TLS is spoken", func(r *rig) {
			c := r.call(gatewayAddr)
			_, _ = io.WriteString(c, invite("a1"))
			time.Sleep(time.Second)
			c.Close()
		}},
		{"not admitted", "not in the allow list", func(r *rig) {
			r.admit = errNotAdmitted
			r.call(gatewayAddr).Close()
			time.Sleep(time.Second)
		}},
		{"nobody listens", "nothing listens there", func(r *rig) {
			if _, err := r.dial(); err == nil {
				r.t.Error("dial: got no error")
			}
		}},
		{"silence", "did not go on in time", func(r *rig) {
			c := r.call(gatewayAddr)
			time.Sleep(10 * time.Minute)
			c.Close()
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, tls.VersionTLS13)
				r.listen()
				tt.play(r)
				r.close()
				f := r.only()
				if f.State != callflow.StateRefused || !strings.Contains(f.Sentence, tt.words) {
					t.Errorf("state %s: %s, want words %q", f.State, f.Sentence, tt.words)
				}
			})
		})
	}
}

// TestPlainTransports draws TCP and UDP without a word of TLS.
func TestPlainTransports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, tls.VersionTLS13)
		r.listen()
		c := r.call(plainAddr)
		_, _ = io.WriteString(c, invite("a1"))
		pc, err := r.net.ListenPacket(t.Context(), netip.MustParseAddrPort("192.0.2.7:5060"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := pc.(interface {
			WriteToUDPAddrPort([]byte, netip.AddrPort) (int, error)
		}).WriteToUDPAddrPort([]byte(invite("a2")), plainAddr); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		c.Close()
		pc.Close()
		r.close()

		flows := r.rec.Flows()
		if len(flows) != 2 {
			t.Fatalf("got %d flows, want 2", len(flows))
		}
		for _, f := range flows {
			hop := f.Legs[0].Hop
			if hop.Link.TLS != nil || len(hop.Handshake) > 0 || len(hop.Verdicts) > 0 {
				t.Errorf("%s: TLS %v, handshake %s", hop.Link.Transport, hop.Link.TLS, story(hop.Handshake))
			}
			rows := 1
			if hop.Link.Transport == "tcp" {
				rows = 3 // opened, INVITE, closed
			}
			if len(f.Rows) != rows {
				t.Errorf("%s: got %d rows %+v, want %d", hop.Link.Transport, len(f.Rows), f.Rows, rows)
			}
		}
	})
}
