package config

import (
	"strings"
	"testing"
)

func TestSingleValues(t *testing.T) {
	u, err := ParseURI("sip:sip.acme.example:5061;transport=tls")
	if err != nil || u.Host != "sip.acme.example" || u.Port != 5061 || !u.TLS() {
		t.Errorf("ParseURI: %+v, %v", u, err)
	}
	if h, err := ParseHostPort("[2001:db8::1]:5061"); err != nil || h.String() != "[2001:db8::1]:5061" {
		t.Errorf("ParseHostPort: %v, %v", h, err)
	}
	if a, err := ParseAddress("tls:0.0.0.0:5061"); err != nil || a.String() != "tls:0.0.0.0:5061" {
		t.Errorf("ParseAddress: %v, %v", a, err)
	}
	if s, err := ParseSource("192.0.2.0/24"); err != nil || s.String() != "192.0.2.0/24" {
		t.Errorf("ParseSource: %v, %v", s, err)
	}
	if err := CheckName("acme-1.b_c"); err != nil {
		t.Errorf("CheckName: %v", err)
	}
	_, uri := ParseURI("sip:acme:hunter2@acme.example")
	_, host := ParseHostPort("acme example")
	_, address := ParseAddress("0.0.0.0:5061")
	_, source := ParseSource("acme.example")
	for what, tt := range map[string]struct {
		err  error
		want string
	}{
		"uri":     {uri, "a password has no place in it, remove it"},
		"host":    {host, "is neither a host name nor an IP address"},
		"address": {address, "does not begin with a transport"},
		"source":  {source, "write its address"},
		"name":    {CheckName("a/b"), "a name has 1 to 64 letters"},
	} {
		if tt.err == nil || !strings.Contains(tt.err.Error(), tt.want) || strings.Contains(tt.err.Error(), "hunter2") {
			t.Errorf("%s: got %v, want %q", what, tt.err, tt.want)
		}
	}
}
