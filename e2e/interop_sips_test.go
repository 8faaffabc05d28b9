//go:build interop

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestSIPpCallsSIPS calls sips: URIs over TLS with SIPp and stunnel, with and without a transport: to a peer on UDP,
// where SIPp sees 480 with Warning 380 and the answerer nothing, and to one on TLS, where the call is secured.
func TestSIPpCallsSIPS(t *testing.T) {
	t.Parallel()
	need(t, "sipp", "sip-tester")
	need(t, "stunnel", "stunnel4")
	for name, parameter := range map[string]string{"none": "", "tcp": ";transport=tcp", "tls": ";transport=tls"} {
		t.Run("to UDP, transport "+name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, stageOptions{in: "1.3", out: "udp"})
			s.script(t, "refused", fmt.Sprintf(sipsCaller, parameter, sipsRefused))
			s.caller.sipp(t, sippOptions{name: "refused", calls: 3, rate: 10}).wants(t, 3)
			s.wantVerdicts(t, 3, "refused", "secured", 480)
		})
		t.Run("to TLS, transport "+name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, stageOptions{in: "1.3", out: "1.2"})
			s.script(t, "caller", fmt.Sprintf(sipsCaller, parameter, sipsTalk))
			s.script(t, "answerer", sipsAnswerer)
			answerer := s.answerer.sipp(t, sippOptions{name: "answerer", calls: 3})
			s.caller.sipp(t, sippOptions{name: "caller", calls: 3, rate: 10}).wants(t, 3)
			if t.Failed() {
				return
			}
			answerer.wants(t, 3)
			s.wantVerdicts(t, 3, "ended", "secured", 200)
		})
	}
}

func (s *stage) script(t *testing.T, name, xml string) {
	t.Helper()
	text := "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<scenario name=\"" + name + "\">\n" + xml + "\n</scenario>\n"
	if err := os.WriteFile(filepath.Join(s.dir, name+".xml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// wantVerdicts wants that many records, each in a state, with a word for its security and a final response.
func (s *stage) wantVerdicts(t *testing.T, calls int, state, word string, code int) {
	t.Helper()
	var all []record
	soon(t, "all calls are recorded", func() bool {
		all = records(t, s.dir)
		return len(all) >= calls && all[calls-1].State == state
	})
	for _, r := range all {
		if r.State != state || r.Verdict != word || r.Cause.SIP != code {
			t.Errorf("recorded as %s, %s, %d: %s", r.State, r.Verdict, r.Cause.SIP, r.Cause.Text)
		}
	}
}

// sipsCaller has the parameter of the called URI and what follows the INVITE.
const sipsCaller = `<send><![CDATA[

INVITE sips:[service]@gateway.example%s SIP/2.0
Via: SIP/2.0/TLS [local_ip]:[local_port];branch=[branch]
From: Alice <sips:alice@caller.example>;tag=[pid]c[call_number]
To: <sips:[service]@gateway.example>
Call-ID: [call_id]
CSeq: 1 INVITE
Contact: <sips:sipp@[local_ip]:[local_port]>
Max-Forwards: 70
Content-Length: 0

]]></send>
<recv response="100" optional="true"/>
%s`

const sipsRefused = `<recv response="480"><action>
<ereg regexp="^ *380 [^ ]+ .SIPS Not Allowed." search_in="hdr" header="Warning:" check_it="true" assign_to="1"/>
</action></recv>
<Reference variables="1"/>
<send><![CDATA[

ACK sips:[service]@gateway.example SIP/2.0
[last_Via:]
[last_From:]
[last_To:]
[last_Call-ID:]
CSeq: 1 ACK
Max-Forwards: 70
Content-Length: 0

]]></send>`

const sipsTalk = `<recv response="200" rrs="true"><action>
<ereg regexp="^ *.sips:" search_in="hdr" header="Contact:" check_it="true" assign_to="1"/>
</action></recv>
<Reference variables="1"/>
<send><![CDATA[

ACK [next_url] SIP/2.0
Via: SIP/2.0/TLS [local_ip]:[local_port];branch=[branch]
[last_From:]
[last_To:]
[last_Call-ID:]
CSeq: 1 ACK
Max-Forwards: 70
Content-Length: 0

]]></send>
<send><![CDATA[

BYE [next_url] SIP/2.0
Via: SIP/2.0/TLS [local_ip]:[local_port];branch=[branch]
[last_From:]
[last_To:]
[last_Call-ID:]
CSeq: 2 BYE
Max-Forwards: 70
Content-Length: 0

]]></send>
<recv response="200"/>`

const sipsAnswerer = `<recv request="INVITE"><action>
<ereg regexp="^INVITE sips:" search_in="msg" check_it="true" assign_to="1"/>
<ereg regexp="^ *.sips:" search_in="hdr" header="Contact:" check_it="true" assign_to="2"/>
</action></recv>
<Reference variables="1,2"/>
<send><![CDATA[

SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:];tag=[pid]a[call_number]
[last_Call-ID:]
[last_CSeq:]
Contact: <sips:sipp@[local_ip]:[local_port]>
Content-Length: 0

]]></send>
<recv request="ACK"/>
<recv request="BYE"/>
<send><![CDATA[

SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

]]></send>`
