//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// Kamailio is set up as lean as it goes for a stateful proxy: only the modules it needs, no logging, no DNS, one
// worker for the one core, asynchronous TCP with large buffers, and an allocator that suits short-lived shared
// memory (Debian's default makes a call several times dearer, so a comparison with it would not be fair).
const kamailioConfig = `#!KAMAILIO
debug=-1
log_stderror=yes
memdbg=5
memlog=5
children=1
socket_workers=1
tcp_children=1
auto_aliases=no
dns=no
rev_dns=no
use_dns_cache=no
%[1]s
listen=%[2]s:%[3]s

loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "maxfwd.so"
%[4]s
modparam("rr", "append_fromtag", 0)

request_route {
	if (!mf_process_maxfwd_header("70")) {
		sl_send_reply("483", "Too Many Hops");
		exit;
	}
	if (loose_route()) {
		if (!t_relay()) { sl_reply_error(); }
		exit;
	}
	if (method == "ACK") {
		if (t_check_trans()) { t_relay(); }
		exit;
	}
	record_route();
	if (!t_relay_to_%[2]s("%[5]s", "%[6]d")) { sl_reply_error(); }
	exit;
}
`

const kamailioStreams = `tcp_fd_cache=yes
tcp_async=yes
tcp_rd_buf_size=16384
tcp_conn_wq_max=4194304
tcp_wq_max=67108864
tcp_connection_lifetime=3600
tcp_accept_no_cl=no`

const kamailioTLS = `loadmodule "tls.so"
modparam("tls", "config", "%s")`

// Both sides verify: [server] is what callers meet, [client] what the answerer does.
const kamailioTLSDomains = `[server:default]
method = TLSv1.2+
verify_certificate = yes
require_certificate = yes
private_key = %[1]s/gateway-key.pem
certificate = %[1]s/gateway.pem
ca_list = %[1]s/ca.pem

[client:default]
method = TLSv1.2+
verify_certificate = yes
require_certificate = yes
private_key = %[1]s/gateway-key.pem
certificate = %[1]s/gateway.pem
ca_list = %[1]s/ca.pem
`

// The proxy takes the server's order of TLS 1.3 suites, which it cannot set itself: the library's configuration gives
// both elements the suite that Go prefers.
const kamailioOpenSSL = `openssl_conf = init
[init]
ssl_conf = ssl
[ssl]
system_default = suites
[suites]
Ciphersuites = TLS_AES_128_GCM_SHA256
`

func kamailioCommand(o options, dir, transport string) ([]string, error) {
	stream, tls := "disable_tcp=yes", ""
	openssl := filepath.Join(dir, "openssl.cnf")
	if err := os.WriteFile(openssl, []byte(kamailioOpenSSL), 0o644); err != nil {
		return nil, err
	}
	switch transport {
	case "tcp":
		stream = kamailioStreams
	case "tls":
		stream = kamailioStreams + "\nenable_tls=yes"
		domains := filepath.Join(dir, "tls.cfg")
		tls = fmt.Sprintf(kamailioTLS, domains)
		if err := os.WriteFile(domains, fmt.Appendf(nil, kamailioTLSDomains, filepath.Dir(dir)), 0o644); err != nil {
			return nil, err
		}
	}
	file := filepath.Join(dir, "kamailio.cfg")
	config := fmt.Sprintf(kamailioConfig, stream, transport, o.element(transport), tls, o.answerer().Addr(), o.answerer().Port())
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		return nil, err
	}
	return []string{"env", "OPENSSL_CONF=" + openssl, o.kamailio, "-DD", "-f", file, "-x", o.allocator, "-m", strconv.Itoa(o.memory), "-Y", dir, "-w", dir}, nil
}

func kamailioVersion(o options) string {
	out, err := exec.Command(o.kamailio, "-v").Output()
	if err != nil {
		return err.Error()
	}
	first, _, _ := strings.Cut(string(out), "\n")
	return fmt.Sprintf("%s, stateful proxy, -x %s -m %d, modules tm sl rr maxfwd (tls)",
		strings.TrimPrefix(first, "version: "), o.allocator, o.memory)
}
