//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// The gateway knows the two ends as peers: by address on UDP and TCP, by certificate name on TLS.
const sallyportConfig = `# One caller, one answerer, calls one way.
listeners:
  bench: {listen: "%[1]s:%[2]s"%[3]s}
%[4]s
peers:
  caller:   {uri: "sip:%[5]s;transport=%[1]s"%[6]s}
  answerer: {uri: "sip:%[7]s;transport=%[1]s"%[8]s}
routes:
  - {from: [caller], to: [answerer]}
admin: {listen: "127.0.0.1:%[9]d"}
data: ./data
`

const sallyportTLS = `identities:
  gateway: {certificate: ../gateway.pem, key: ../gateway-key.pem}
trust:
  partners: {files: [../ca.pem]}
defaults: {identity: gateway, trust: [partners]}`

func sallyportCommand(o options, dir, transport string) ([]string, error) {
	var listener, trust, caller, answerer string
	switch transport {
	case "tls":
		listener, trust = ", client_certificates: required", sallyportTLS
		caller, answerer = ", certificate_names: [caller.example]", ", certificate_names: [answerer.example]"
	case "tcp":
		caller = fmt.Sprintf(`, accept_from: ["%v"]`, o.caller().Addr())
	case "udp":
		var from []string
		for i := range o.conns {
			from = append(from, fmt.Sprintf("%q", loopback(2, int(o.caller().Port())+i)))
		}
		caller = ", accept_from: [" + strings.Join(from, ", ") + "]"
	}
	config := fmt.Sprintf(sallyportConfig, transport, o.element(transport), listener, trust, o.caller(), caller, o.answerer(), answerer, o.basePort+90)
	file := filepath.Join(dir, "sallyport.yaml")
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		return nil, err
	}
	command := []string{o.sallyport}
	if o.hold > 0 || o.profile {
		command = append(command, o.door())
	}
	return append(command, "serve", "--config", file), nil
}

// door is where bench/gateway tells about itself.
func (o options) door() string { return loopback(1, o.basePort+91).String() }

func sallyportVersion(o options) string {
	command := []string{o.sallyport, "version"}
	if o.hold > 0 || o.profile {
		command = []string{o.sallyport, o.door(), "version"}
	}
	out, err := exec.Command(command[0], command[1:]...).Output()
	if err != nil {
		return "sallyport: version: " + err.Error()
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return first + ", back-to-back user agent, recording as its configuration has it by default"
}
