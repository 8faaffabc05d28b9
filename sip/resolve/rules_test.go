package resolve

import (
	"errors"
	"testing"

	"github.com/sallyport-sip/sallyport/sip"
)

// The domain of RFC 3263 §4.1, and others with less in the DNS.
const domains = `
example.com. 60 IN NAPTR 50 50 "s" "SIPS+D2T" "" _sips._tcp.example.com.
example.com. 60 IN NAPTR 90 50 "s" "SIP+D2T" "" _sip._tcp.example.com.
example.com. 60 IN NAPTR 100 50 "s" "SIP+D2U" "" _sip._udp.example.com.
_sips._tcp.example.com. 60 IN SRV 0 1 5061 server1.example.com.
_sip._tcp.example.com. 60 IN SRV 0 1 5060 server1.example.com.
_sip._tcp.example.com. 60 IN SRV 1 2 5070 server2.example.com.
_sip._udp.example.com. 60 IN SRV 0 1 5080 server2.example.com.
server1.example.com. 60 IN A 192.0.2.1
server2.example.com. 60 IN A 192.0.2.2
server2.example.com. 60 IN AAAA 2001:db8::2
example.com. 60 IN A 192.0.2.3

srv.example. 60 IN A 192.0.2.10
_sip._udp.srv.example. 60 IN SRV 0 0 5090 host.srv.example.
_sip._tcp.srv.example. 60 IN SRV 0 0 5091 host.srv.example.
host.srv.example. 60 IN A 192.0.2.11

plain.example. 60 IN A 192.0.2.20

none.example. 60 IN A 192.0.2.30
_sip._udp.none.example. 60 IN SRV 0 0 0 .
_sips._tcp.none.example. 60 IN SRV 0 0 0 .

half.example. 60 IN A 192.0.2.40
_sip._tcp.half.example. 60 IN SRV 0 0 0 .
_sip._udp.half.example. 60 IN SRV 0 0 5060 plain.example.

web.example. 60 IN NAPTR 10 10 "s" "SIPS+D2W" "" _sips._ws.web.example.
web.example. 60 IN NAPTR 10 20 "s" "SIP+D2W" "" _sip._ws.web.example.
_sips._ws.web.example. 60 IN SRV 0 0 8443 plain.example.
_sip._ws.web.example. 60 IN SRV 0 0 8080 plain.example.
web.example. 60 IN A 192.0.2.50

odd.example. 60 IN NAPTR 10 10 "u" "E2U+sip" "!^.*$!sip:info@example.com!" .
odd.example. 60 IN NAPTR 10 20 "a" "SIP+D2T" "" host.odd.example.
odd.example. 60 IN NAPTR 10 30 "s" "SIP+D2S" "" _sip._sctp.odd.example.
odd.example. 60 IN A 192.0.2.60

empty.example. 60 IN NAPTR 10 10 "s" "SIP+D2T" "" _sip._tcp.empty.example.
empty.example. 60 IN NAPTR 10 20 "S" "sip+d2u" "" _sip._udp.empty.example.
empty.example. 60 IN A 192.0.2.70

next.example. 60 IN NAPTR 10 10 "s" "SIP+D2T" "" _sip._tcp.next.example.
next.example. 60 IN NAPTR 10 20 "S" "sip+d2u" "" elsewhere.example.
elsewhere.example. 60 IN SRV 0 0 5093 plain.example.

two.example. 60 IN SRV 0 0 5093 plain.example.
_sips._tcp.mute.example. 60 IN SRV 0 0 5061 gone.example.
_sips._tcp.mute.example. 60 IN SRV 1 0 5061 plain.example.
`

// TestRules has a row for each rule of RFC 3263 §4.1 and §4.2.
func TestRules(t *testing.T) {
	clear := []string{"udp", "tcp"}
	all := []string{"tls", "tcp", "udp", "wss", "ws"}
	for name, c := range map[string]struct {
		q    Query
		want []string
		fail error
	}{
		"address, sip":                      {q: Query{Host: "192.0.2.7"}, want: []string{"udp 192.0.2.7:5060"}},
		"address, sips":                     {q: Query{Host: "2001:db8::7", Secure: true}, want: []string{"tls [2001:db8::7]:5061"}},
		"address and port":                  {q: Query{Host: "192.0.2.7", Port: 5070}, want: []string{"udp 192.0.2.7:5070"}},
		"address and transport":             {q: Query{Host: "192.0.2.7", Transport: "tls"}, want: []string{"tls 192.0.2.7:5061"}},
		"mapped address":                    {q: Query{Host: "::ffff:192.0.2.7"}, want: []string{"udp 192.0.2.7:5060"}},
		"port, sip":                         {q: Query{Host: "example.com", Port: 5099}, want: []string{"udp 192.0.2.3:5099"}},
		"port, sips":                        {q: Query{Host: "example.com", Port: 5099, Secure: true}, want: []string{"tls 192.0.2.3:5099"}},
		"port and transport":                {q: Query{Host: "example.com", Port: 5099, Transport: "tcp"}, want: []string{"tcp 192.0.2.3:5099"}},
		"transport udp":                     {q: Query{Host: "example.com", Transport: "udp"}, want: []string{"udp [2001:db8::2]:5080", "udp 192.0.2.2:5080"}},
		"transport tcp":                     {q: Query{Host: "example.com", Transport: "tcp"}, want: []string{"tcp 192.0.2.1:5060", "tcp [2001:db8::2]:5070", "tcp 192.0.2.2:5070"}},
		"transport tls":                     {q: Query{Host: "example.com", Transport: "tls"}, want: []string{"tls 192.0.2.1:5061"}},
		"sips with transport tcp is TLS":    {q: Query{Host: "example.com", Transport: "tcp", Secure: true}, want: []string{"tls 192.0.2.1:5061"}},
		"sips with transport udp":           {q: Query{Host: "example.com", Transport: "udp", Secure: true}, fail: ErrUnsupported},
		"transport without SRV":             {q: Query{Host: "plain.example", Transport: "tcp"}, want: []string{"tcp 192.0.2.20:5060"}},
		"transport unknown":                 {q: Query{Host: "plain.example", Transport: "sctp"}, fail: ErrUnsupported},
		"NAPTR":                             {q: Query{Host: "example.com"}, want: []string{"tls 192.0.2.1:5061"}},
		"NAPTR, sips":                       {q: Query{Host: "example.com", Secure: true}, want: []string{"tls 192.0.2.1:5061"}},
		"NAPTR, the example of the RFC":     {q: Query{Host: "example.com", Supported: clear}, want: []string{"tcp 192.0.2.1:5060", "tcp [2001:db8::2]:5070", "tcp 192.0.2.2:5070"}},
		"NAPTR, udp only":                   {q: Query{Host: "example.com", Supported: []string{"udp"}}, want: []string{"udp [2001:db8::2]:5080", "udp 192.0.2.2:5080"}},
		"NAPTR for WebSocket":               {q: Query{Host: "web.example", Supported: all}, want: []string{"wss 192.0.2.20:8443"}},
		"NAPTR for WebSocket in clear":      {q: Query{Host: "web.example", Supported: []string{"ws"}}, want: []string{"ws 192.0.2.20:8080"}},
		"WebSocket without NAPTR":           {q: Query{Host: "web.example", Transport: "ws"}, want: []string{"ws 192.0.2.50:80"}},
		"WebSocket without NAPTR, sips":     {q: Query{Host: "web.example", Transport: "ws", Secure: true}, want: []string{"wss 192.0.2.50:443"}},
		"NAPTR for other things":            {q: Query{Host: "odd.example"}, want: []string{"udp 192.0.2.60:5060"}},
		"NAPTR to no SRV":                   {q: Query{Host: "empty.example"}, want: []string{"tcp 192.0.2.70:5060"}},
		"NAPTR, the next of the same order": {q: Query{Host: "next.example"}, want: []string{"udp 192.0.2.20:5093"}},
		"SRV without NAPTR":                 {q: Query{Host: "srv.example"}, want: []string{"tcp 192.0.2.11:5091"}},
		"SRV as the caller likes best":      {q: Query{Host: "srv.example", Supported: clear}, want: []string{"udp 192.0.2.11:5090"}},
		"sips asks for _sips._tcp only":     {q: Query{Host: "srv.example", Secure: true}, want: []string{"tls 192.0.2.10:5061"}},
		"neither, sip":                      {q: Query{Host: "plain.example"}, want: []string{"udp 192.0.2.20:5060"}},
		"neither, sips":                     {q: Query{Host: "plain.example", Secure: true}, want: []string{"tls 192.0.2.20:5061"}},
		"neither, and no UDP":               {q: Query{Host: "plain.example", Supported: []string{"tcp"}}, want: []string{"tcp 192.0.2.20:5060"}},
		"the service is not there":          {q: Query{Host: "none.example"}, fail: ErrUnavailable},
		"the service is not there, sips":    {q: Query{Host: "none.example", Secure: true}, fail: ErrUnavailable},
		"one transport is not there":        {q: Query{Host: "half.example"}, want: []string{"udp 192.0.2.20:5060"}},
		"that transport":                    {q: Query{Host: "half.example", Transport: "tcp"}, fail: ErrUnavailable},
		"no such name":                      {q: Query{Host: "gone.example"}, fail: ErrNoName},
		"an SRV target that has no address": {q: Query{Host: "mute.example", Secure: true}, want: []string{"tls 192.0.2.20:5061"}},
		"nothing fits":                      {q: Query{Host: "example.com", Secure: true, Supported: clear}, fail: ErrUnsupported},
		"transport that is not supported":   {q: Query{Host: "example.com", Transport: "tls", Supported: clear}, fail: ErrUnsupported},
		"only IPv4":                         {q: Query{Host: "server2.example.com", Port: 1, Family: IPv4}, want: []string{"udp 192.0.2.2:1"}},
		"only IPv6":                         {q: Query{Host: "server2.example.com", Port: 1, Family: IPv6}, want: []string{"udp [2001:db8::2]:1"}},
		"upper case, and a dot at the end":  {q: Query{Host: "Plain.Example."}, want: []string{"udp 192.0.2.20:5060"}},
		"hosts file":                        {q: Query{Host: "pbx"}, want: []string{"udp [2001:db8::99]:5060", "udp 192.0.2.99:5060"}},
		"hosts file, transport":             {q: Query{Host: "PBX.lan", Transport: "tls"}, want: []string{"tls 192.0.2.99:5061"}},
		"hosts file, family":                {q: Query{Host: "pbx", Family: IPv4}, want: []string{"udp 192.0.2.99:5060"}},
		"localhost of the hosts file":       {q: Query{Host: "localhost"}, want: []string{"udp 127.0.0.1:5060"}},
		"localhost of RFC 6761":             {q: Query{Host: "a.localhost", Port: 7}, want: []string{"udp [::1]:7", "udp 127.0.0.1:7"}},
		"a name that is none":               {q: Query{Host: "a..b"}, fail: errAny},
		"a name that is too long":           {q: Query{Host: long}, fail: errAny},
		"a name that is none, with a quote": {q: Query{Host: `a"b.example`}, fail: errAny},
		"another name for the certificate":  {q: Query{Host: "192.0.2.7", Secure: true, Name: "example.com"}, want: []string{"tls 192.0.2.7:5061"}},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, domains, func(r *rig) {
				got, err := r.all(c.q)
				if c.fail != nil {
					if err == nil || c.fail != errAny && !errors.Is(err, c.fail) {
						t.Fatalf("got %q, %v, want the error %v", got, err, c.fail)
					}
					return
				}
				r.want(c.q, c.want...)
				r.first.Asked()
				r.want(c.q, c.want...)
				r.asked() // all of it was in the cache
			})
		})
	}
}

var (
	errAny = errors.New("any")
	long   = string(make([]byte, 300))
)

// What is not needed is not asked, and what the next target needs only then.
func TestAskedInTurn(t *testing.T) {
	run(t, domains, func(r *rig) {
		w := r.Walk(Query{Host: "example.com", Supported: []string{"tcp"}})
		if _, ok := w.Known(); ok || !w.More() {
			t.Error("a walk knows its first target before anybody was asked")
		}
		if to, err := w.Next(r.Context()); err != nil || to.Addr.String() != "192.0.2.1:5060" || to.Host != "server1.example.com" {
			t.Errorf("got %v, %v", to, err)
		}
		r.asked("NAPTR example.com", "SRV _sip._tcp.example.com", "A server1.example.com", "AAAA server1.example.com")
		if _, ok := w.Known(); ok || !w.More() {
			t.Error("a walk knows what it did not ask for")
		}
		for _, want := range []string{"[2001:db8::2]:5070", "192.0.2.2:5070"} {
			if to, err := w.Next(r.Context()); err != nil || to.Addr.String() != want {
				t.Errorf("got %v, %v, want %s", to, err, want)
			}
		}
		r.asked("A server2.example.com", "AAAA server2.example.com")
		if _, err := w.Next(r.Context()); !errors.Is(err, ErrEnd) || w.More() {
			t.Errorf("after the last one: %v", err)
		}
		again := r.Walk(Query{Host: "example.com", Supported: []string{"tcp"}})
		for range 3 {
			if _, ok := again.Known(); !ok {
				t.Error("a second walk does not know what the first one asked for")
			}
		}
		r.asked()
		if to, err := r.Walk(Query{Host: "192.0.2.1"}).Next(r.Context()); err != nil || to.Host != "" {
			t.Errorf("got %+v, %v", to, err)
		}
		r.asked()
	})
}

func TestForURI(t *testing.T) {
	for uri, want := range map[string]Query{
		"sip:alice@Example.com":                          {Host: "example.com", Name: "example.com"},
		"sips:example.com:5071;transport=TCP":            {Host: "example.com", Port: 5071, Transport: "tcp", Secure: true, Name: "example.com"},
		"sip:[2001:db8::1]":                              {Host: "2001:db8::1", Name: "2001:db8::1"},
		"sips:example.com;maddr=192.0.2.9;transport=tls": {Host: "192.0.2.9", Transport: "tls", Secure: true, Name: "example.com"},
	} {
		u, err := sip.ParseURI([]byte(uri))
		if err != nil {
			t.Fatal(err)
		}
		q, err := ForURI(u)
		if err != nil || q.Host != want.Host || q.Port != want.Port || q.Transport != want.Transport || q.Secure != want.Secure || q.Name != want.Name {
			t.Errorf("%s: got %+v, %v, want %+v", uri, q, err, want)
		}
	}
	u, _ := sip.ParseURI([]byte("tel:+49301234"))
	if _, err := ForURI(u); err == nil {
		t.Error("a tel URI has no server")
	}
}
