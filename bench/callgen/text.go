//go:build linux

package main

import (
	"strconv"
)

// text holds the fixed parts of the messages of one side. The caller's INVITE has fourteen headers and a session
// description, about 1.2 kB; all else is copied from what the element sent.
type text struct {
	via     string // "Via: SIP/2.0/TLS host:port;branch=z9hG4bK"
	contact string // whole line
	body    string
	bodyEnd string // Content-Type, Content-Length and the body
}

const (
	allowLine     = "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO, NOTIFY, MESSAGE\r\n"
	supportedLine = "Supported: replaces\r\n"
	agentLine     = "User-Agent: fixed-call-driver/1\r\n"
	noBody        = "Content-Length: 0\r\n\r\n"
)

// newText makes the parts for a side that stands at host (address and port, as Via and Contact carry it).
func newText(transport, user, host, ip string) text {
	token := map[string]string{"udp": "UDP", "tcp": "TCP", "tls": "TLS"}[transport]
	body := session(user, ip)
	return text{
		via:     "Via: SIP/2.0/" + token + " " + host + ";rport;branch=z9hG4bK",
		contact: "Contact: <sip:" + user + "@" + host + ";transport=" + transport + ">\r\n",
		body:    body,
		bodyEnd: "Content-Type: application/sdp\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body,
	}
}

// session is an audio description as an office telephone offers it.
func session(user, ip string) string {
	return "v=0\r\n" +
		"o=" + user + " 3906281011 3906281011 IN IP4 " + ip + "\r\n" +
		"s=call\r\n" +
		"c=IN IP4 " + ip + "\r\n" +
		"b=AS:96\r\n" +
		"t=0 0\r\n" +
		"m=audio 40000 RTP/AVP 9 8 0 18 96 97 101\r\n" +
		"a=rtpmap:9 G722/8000\r\n" +
		"a=rtpmap:8 PCMA/8000\r\n" +
		"a=rtpmap:0 PCMU/8000\r\n" +
		"a=rtpmap:18 G729/8000\r\n" +
		"a=fmtp:18 annexb=no\r\n" +
		"a=rtpmap:96 opus/48000/2\r\n" +
		"a=fmtp:96 useinbandfec=1; stereo=0\r\n" +
		"a=rtpmap:97 AMR-WB/16000\r\n" +
		"a=fmtp:97 mode-change-capability=2; max-red=0\r\n" +
		"a=rtpmap:101 telephone-event/8000\r\n" +
		"a=fmtp:101 0-16\r\n" +
		"a=rtcp:40001\r\n" +
		"a=ssrc:2712847316 cname:x7Bq2nUeLk0@" + ip + "\r\n" +
		"a=ptime:20\r\n" +
		"a=maxptime:40\r\n" +
		"a=sendrecv\r\n"
}

// invite writes the INVITE of call n.
func (t *text) invite(b []byte, n uint64, target, run, from, to string) []byte {
	b = append(b, "INVITE "...)
	b = append(b, target...)
	b = append(b, " SIP/2.0\r\n"...)
	b = t.appendVia(b, n, run, 'i')
	b = append(b, "Max-Forwards: 70\r\nFrom: "...)
	b = append(b, from...)
	b = append(b, ";tag=f"...)
	b = appendHex(b, n)
	b = append(b, "\r\nTo: "...)
	b = append(b, to...)
	b = append(b, "\r\nCall-ID: "...)
	b = appendHex(b, n)
	b = append(b, run...)
	b = append(b, "\r\nCSeq: 1 INVITE\r\n"...)
	b = append(b, t.contact...)
	b = append(b, allowLine+supportedLine+agentLine+"Accept: application/sdp\r\nDate: Sat, 01 Aug 2026 08:00:00 GMT\r\n"...)
	return append(b, t.bodyEnd...)
}

// appendVia writes the driver's own Via; letter tells the transactions of one call apart.
func (t *text) appendVia(b []byte, n uint64, run string, letter byte) []byte {
	b = append(b, t.via...)
	b = append(b, letter)
	b = appendHex(b, n)
	b = append(b, run...)
	return append(b, "\r\n"...)
}

// inDialog writes ACK or BYE as the 2xx in m directs: to its Contact, through its Record-Route values in reverse
// (RFC 3261 §12.1.2, §12.2.1.1).
func (t *text) inDialog(b []byte, m *message, n uint64, run, method, cseq string, letter byte) []byte {
	b = append(b, method...)
	b = append(b, ' ')
	b = append(b, m.at(m.contact)...)
	b = append(b, " SIP/2.0\r\n"...)
	b = t.appendVia(b, n, run, letter)
	for i := m.records - 1; i >= 0; i-- {
		b = appendLine(b, "Route: ", m.at(m.record[i]))
	}
	return t.finishRequest(b, m, method, cseq)
}

// refusalAck writes the ACK to a failure response: the INVITE's branch and Request-URI (RFC 3261 §17.1.1.3).
func (t *text) refusalAck(b []byte, m *message, n uint64, target, run string) []byte {
	b = append(b, "ACK "...)
	b = append(b, target...)
	b = append(b, " SIP/2.0\r\n"...)
	b = t.appendVia(b, n, run, 'i')
	return t.finishRequest(b, m, "ACK", "1")
}

func (t *text) finishRequest(b []byte, m *message, method, cseq string) []byte {
	b = append(b, "Max-Forwards: 70\r\n"...)
	b = appendLine(b, "From: ", m.at(m.from))
	b = appendLine(b, "To: ", m.at(m.to))
	b = appendLine(b, "Call-ID: ", m.at(m.callID))
	b = append(b, "CSeq: "...)
	b = append(b, cseq...)
	b = append(b, ' ')
	b = append(b, method...)
	b = append(b, "\r\n"+agentLine+noBody...)
	return b
}

// response answers request m. tagValue goes to a To without a tag; a dialog-forming response (dialog set) carries
// Record-Route and Contact.
func (t *text) response(b []byte, m *message, line string, tagValue uint64, dialog, body bool) []byte {
	b = append(b, "SIP/2.0 "...)
	b = append(b, line...)
	b = append(b, "\r\n"...)
	for _, v := range m.via[:m.vias] {
		b = appendLine(b, "Via: ", m.at(v))
	}
	if dialog {
		for _, v := range m.record[:m.records] {
			b = appendLine(b, "Record-Route: ", m.at(v))
		}
	}
	b = appendLine(b, "From: ", m.at(m.from))
	to := m.at(m.to)
	b = append(b, "To: "...)
	b = append(b, to...)
	if tagValue != 0 && tag(to) == nil {
		b = append(b, ";tag=a"...)
		b = appendHex(b, tagValue)
	}
	b = append(b, "\r\n"...)
	b = appendLine(b, "Call-ID: ", m.at(m.callID))
	b = appendLine(b, "CSeq: ", m.at(m.cseqVal))
	if dialog {
		b = append(b, t.contact...)
		b = append(b, allowLine...)
	}
	if body {
		return append(b, t.bodyEnd...)
	}
	return append(b, noBody...)
}

func appendLine(b []byte, name string, value []byte) []byte {
	b = append(b, name...)
	b = append(b, value...)
	return append(b, "\r\n"...)
}
