//go:build interop

package e2e

import (
	"fmt"
	"net"
	"testing"
)

// A stage is a gateway with a station for a caller on one side, and one or two for answerers on the other.
type stage struct {
	dir      string
	gateway  *gateway
	admin    string
	profile  string
	caller   station
	answerer station
	second   station
}

type stageOptions struct {
	in, out string // how the caller's and the answerers' hops are: "udp", "tcp", or the version of TLS: "1.2", "1.3"
	second  bool   // calls go to a second answerer when the first fails
	again   bool   // a target that has failed is asked again at once
}

// secure says whether a hop is TLS.
func secure(hop string) bool { return hop == "1.2" || hop == "1.3" }

// newStage starts the gateway, and what stands before SIPp where a hop is TLS.
func newStage(t *testing.T, o stageOptions) *stage {
	t.Helper()
	s := &stage{dir: t.ArtifactDir(), admin: net.JoinHostPort(callerHost, freePort(t, callerHost))}
	s.profile = "default"
	if o.again {
		s.profile = "again"
	}
	entry := map[string]string{}
	for _, hop := range []string{"udp", "tcp", "tls"} {
		entry[hop] = net.JoinHostPort(callerHost, freePort(t, callerHost))
	}
	issue(t, s.dir, "gateway", "caller", "answerer", "second")
	s.caller = newStation(t, s.dir, o.in, callerHost)
	s.answerer = newStation(t, s.dir, o.out, answererHost)
	peers := s.asPeer(t, "caller", o.in, s.caller) + s.asPeer(t, "answerer", o.out, s.answerer)
	to := "answerer"
	if o.second {
		s.second = newStation(t, s.dir, o.out, secondHost)
		peers += s.asPeer(t, "second", o.out, s.second)
		to = "answerer, second"
	}
	s.caller.target = entry[o.in]
	if secure(o.in) {
		s.caller.target = tlsClient(t, s.dir, "caller", o.in, callerHost, entry["tls"])
	}
	s.gateway = serve(t, s.dir, fmt.Sprintf(`
listeners:
  lan-udp: {listen: "udp:%s"}
  lan-tcp: {listen: "tcp:%s"}
  outside: {listen: "tls:%s", client_certificates: required}
identities: {gateway: {certificate: gateway.pem, key: gateway-key.pem}}
trust: {partners: {files: [ca.pem]}}
defaults: {identity: gateway, trust: [partners]}
peers:
%sroutes:
  - {from: [caller], number: "+49*", to: [%s]}
profiles:
  default: {}
  again: {down_for: 0s}
admin: {listen: "%s"}
data: ./data
`, entry["udp"], entry["tcp"], entry["tls"], peers, to, s.admin))
	return s
}

func newStation(t *testing.T, dir, hop, host string) station {
	t.Helper()
	mode := "t1"
	if hop == "udp" {
		mode = "u1"
	}
	return station{dir: dir, mode: mode, host: host, port: freePort(t, host)}
}

// asPeer is the station in the gateway's configuration. Where the hop is TLS, it starts the TLS server before it.
func (s *stage) asPeer(t *testing.T, name, hop string, at station) string {
	t.Helper()
	addr := net.JoinHostPort(at.host, at.port)
	switch {
	case hop == "udp":
		return fmt.Sprintf("  %s: {uri: \"sip:%[2]s;transport=udp\", accept_from: [%[2]q], profile: %s}\n", name, addr, s.profile)
	case hop == "tcp":
		return fmt.Sprintf("  %s: {uri: \"sip:%s;transport=tcp\", accept_from: [%q], profile: %s}\n", name, addr, at.host, s.profile)
	case name != "caller":
		addr = tlsServer(t, s.dir, name, hop, at.host, addr)
	}
	return fmt.Sprintf("  %s: {uri: \"sip:%s;transport=tls\", certificate_names: [%[1]s.example], profile: %[3]s}\n", name, addr, s.profile)
}

// issue makes an authority, and a certificate for each name.
func issue(t *testing.T, dir string, names ...string) {
	t.Helper()
	sallyport(t, dir, "cert", "ca", "--name", "ca", "--out", "ca.pem")
	for _, name := range names {
		sallyport(t, dir, "cert", "issue", "--ca", "ca.pem", "--sip", name+".example", "--dns", name+".example", "--out", name+".pem")
	}
}
