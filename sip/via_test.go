package sip

import "testing"

// viaOf parses a Via the way a message's is, as the first value of a list.
func viaOf(s string) (v Via, rule string) {
	_, rule = v.parse([]byte(s))
	return v, rule
}

func TestVias(t *testing.T) {
	for _, c := range []struct {
		in, transport, host string
		port                uint16
		params, branch      string
		rport               bool
	}{
		{"SIP/2.0/UDP a", "UDP", "a", 0, "", "", false},
		{"SIP/2.0/TLS a.example.com:5061;branch=z9hG4bK1", "TLS", "a.example.com", 5061, ";branch=z9hG4bK1", "z9hG4bK1", false},
		{"sip/2.0/udp a;BRANCH=x;rport", "udp", "a", 0, ";BRANCH=x;rport", "x", true},
		{"SIP/2.0/UDP a;rport=5;branch=x", "UDP", "a", 0, ";rport=5;branch=x", "x", true},
		{"SIP / 2.0 / UDP \t a : 5060 ; branch = x ", "UDP", "a", 5060, "; branch = x", "x", false},
		{"SIP/2.0/UNKNOWN-1 192.0.2.1", "UNKNOWN-1", "192.0.2.1", 0, "", "", false},
		{"SIP/2.0/TCP [2001:db8::9:1]:5;received=[2001:db8::9:255]", "TCP", "[2001:db8::9:1]", 5, ";received=[2001:db8::9:255]", "", false},
		{"SIP/2.0/TCP [::1];received=2001:db8::9:255", "TCP", "[::1]", 0, ";received=2001:db8::9:255", "", false},
		{`SIP/2.0/UDP a;x="a,b;branch=no";branch=y`, "UDP", "a", 0, `;x="a,b;branch=no";branch=y`, "y", false},
		{"SIP/2.0/UDP a;branch=1 , SIP/2.0/TCP b;rport", "UDP", "a", 0, ";branch=1", "1", false},
		{"SIP/2.0/UDP a,nonsense", "UDP", "a", 0, "", "", false}, // others go back to where they came from
	} {
		v, rule := viaOf(c.in)
		if rule != "" {
			t.Errorf("%q: %s", c.in, rule)
			continue
		}
		if string(v.Transport) != c.transport || string(v.Host) != c.host || v.Port != c.port || string(v.Params) != c.params ||
			string(v.Branch()) != c.branch || v.RPort() != c.rport {
			t.Errorf("%q: transport %q, host %q, port %d, params %q, branch %q, rport %t", c.in, v.Transport, v.Host, v.Port, v.Params, v.Branch(), v.RPort())
		}
	}
}

func TestViasThatAreRefused(t *testing.T) {
	for _, in := range []string{
		"", ",", " ", "SIP", "SIP/2.0", "SIP/2.0/", "SIP/2.0/UDP", "SIP/2.0/UDP ", "SIP/2.0 UDP a", "SIP/3.0/UDP a", "HTTP/2.0/UDP a", "SIPS/2.0/UDP a",
		"SIP/2.0//UDP a", "SIP/2.0/UDP/ a", "SIP/2.0/UDP, a", "SIP/2.0/(UDP) a", "SIP/2.0/UDP[::1]", "x SIP/2.0/UDP a", ",SIP/2.0/UDP a",
		"SIP/2.0/UDP ;branch=x", "SIP/2.0/UDP :5060", "SIP/2.0/UDP a b", "SIP/2.0/UDP a@b", "SIP/2.0/UDP -a", "SIP/2.0/UDP [::1", "SIP/2.0/UDP ::1",
		"SIP/2.0/UDP a:", "SIP/2.0/UDP a:0", "SIP/2.0/UDP a:65536", "SIP/2.0/UDP a:x", "SIP/2.0/UDP a:1:2", "SIP/2.0/UDP a:5060x",
		"SIP/2.0/UDP a;", "SIP/2.0/UDP a;;branch=x", "SIP/2.0/UDP a;branch=", "SIP/2.0/UDP a;=x", "SIP/2.0/UDP a;branch=x y", `SIP/2.0/UDP a;branch="x`,
		"SIP/2.0/UDP a;branch=x@y", "SIP/2.0/UDP a;branch=x;", "SIP/2.0/UDP a;b\xc3\xa9=x",
	} {
		if v, rule := viaOf(in); rule == "" {
			t.Errorf("%q: taken as %q %q %d %q", in, v.Transport, v.Host, v.Port, v.Params)
		}
	}
}

func TestTopmostViaOfSeveral(t *testing.T) {
	m := mustParse(t, request("Via: SIP/2.0/TCP top;branch=1, SIP/2.0/UDP next", "+v: SIP/2.0/TLS last"))
	defer m.Release()
	for range 2 { // read, then remembered
		if v, err := m.Via(); err != nil || string(v.Host) != "top" || string(v.Branch()) != "1" {
			t.Errorf("got %q with branch %q, %v", v.Host, v.Branch(), err)
		}
	}
}
