package interop

import "strings"

// wire gives text the line ends of SIP.
func wire(text string) []byte { return []byte(strings.ReplaceAll(text, "\n", "\r\n")) }

// invite has fourteen headers and the session description of an office telephone.
var invite = wire(`INVITE sip:+4930123456@gw.example.com;user=phone SIP/2.0
Via: SIP/2.0/TLS 192.0.2.4:5061;branch=z9hG4bK776asdhds;rport
Max-Forwards: 70
From: "Alice Example" <sip:+4940111222@pbx.example.com>;tag=1928301774
To: <sip:+4930123456@gw.example.com;user=phone>
Call-ID: a84b4c76e66710b7a1d0@pbx.example.com
CSeq: 314159 INVITE
Contact: <sip:alice@192.0.2.4:5061;transport=tls>
Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO, NOTIFY, PRACK
Supported: replaces, timer, 100rel
User-Agent: ExamplePBX/4.2
Session-Expires: 1800;refresher=uac
P-Asserted-Identity: "Alice Example" <sip:+4940111222@pbx.example.com>
Content-Type: application/sdp
Content-Length: 447

v=0
o=alice 2890844526 2890844526 IN IP4 192.0.2.4
s=-
c=IN IP4 192.0.2.4
t=0 0
m=audio 49172 RTP/SAVP 9 8 0 18 96 101
a=rtpmap:9 G722/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:18 G729/8000
a=fmtp:18 annexb=no
a=rtpmap:96 opus/48000/2
a=fmtp:96 useinbandfec=1
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-16
a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz
a=ptime:20
a=sendrecv
`)

var answer = wire(`SIP/2.0 200 OK
Via: SIP/2.0/TLS gw.example.com:5061;branch=z9hG4bK0a1b2c3d4e5f
Record-Route: <sip:edge.carrier.example.net;lr>
From: "Alice Example" <sip:+4940111222@gw.example.com>;tag=1a2b3c4d
To: <sip:+4930123456@carrier.example.net>;tag=314159
Call-ID: 0123456789abcdef0123
CSeq: 1 INVITE
Contact: <sip:bob@198.51.100.7:5061;transport=tls>
Allow: INVITE, ACK, CANCEL, BYE, OPTIONS
Content-Length: 0

`)

// others are well-formed messages written in ways that parsers stumble over.
var others = map[string][]byte{
	"response": answer,
	"compact names": wire(`BYE sip:b@192.0.2.9 SIP/2.0
v: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKc1
f: <sip:a@example.com>;tag=1
t: <sip:b@example.com>;tag=2
i: compact@192.0.2.1
CSeq: 2 BYE
Max-Forwards: 70
l: 0

`),
	"several Vias": wire(`OPTIONS sip:b@example.com SIP/2.0
Via: SIP/2.0/TCP first.example.com:5070;branch=z9hG4bKtop
Via: SIP/2.0/UDP second.example.com;branch=z9hG4bKnext
Max-Forwards: 5
From: sip:a@example.com;tag=bare
To: sip:b@example.com
Call-ID: several
CSeq: 2147483647 OPTIONS
Content-Length: 0

`),
	"folded and spaced": wire(`MESSAGE sip:b@example.com SIP/2.0
Via: SIP/2.0/UDP
 192.0.2.1:5060;branch=z9hG4bKfold
Max-Forwards: 70
From:    "A,
  B"  <sip:a@example.com>;tag=f0
To : <sip:b@example.com>
Call-ID: folded@example.com
CSeq: 7
 MESSAGE
Content-Type: text/plain
Content-Length: 5

hello`),
	"quoted brackets": wire(`SUBSCRIBE sip:b@example.com SIP/2.0
Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKq
Max-Forwards: 70
From: "A <sip:x@evil.example>;tag=no" <sip:a@example.com>;tag=yes
To: "B \"the\" <c>" <sip:b@example.com>;tag=there
Call-ID: quoted
CSeq: 1 SUBSCRIBE
Content-Length: 0

`),
	"address of version 6": wire(`CANCEL sip:b@[2001:db8::9]:5070 SIP/2.0
Via: SIP/2.0/TLS [2001:db8::10]:5061;branch=z9hG4bKv6
Max-Forwards: 70
From: <sip:a@[2001:db8::10]>;tag=six
To: <sip:b@[2001:db8::9]>
Call-ID: six@[2001:db8::10]
CSeq: 9 CANCEL
Content-Length: 0

`),
	"no reason, odd status": wire(`SIP/2.0 699 
Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKo
From: <sip:a@example.com>;tag=1
To: <sip:b@example.com>;tag=2
Call-ID: odd
CSeq: 1 REGISTER
Content-Length: 0

`),
}
