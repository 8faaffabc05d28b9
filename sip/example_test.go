package sip_test

import (
	"fmt"
	"strings"

	"github.com/sallyport-sip/sallyport/sip"
)

func ExampleParse() {
	packet := []byte(strings.ReplaceAll(`OPTIONS sip:gw.example.com SIP/2.0
Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK776asdhds;rport
Max-Forwards: 70
From: "Alice" <sip:alice@example.com>;tag=1928301774
To: <sip:gw.example.com>
Call-ID: a84b4c76e66710
CSeq: 63104 OPTIONS
Supported: timer, 100rel
Content-Length: 0

`, "\n", "\r\n"))

	m, err := sip.Parse(packet)
	defer m.Release()
	if err == nil {
		err = m.Check()
	}
	if err != nil {
		fmt.Println("answer with 400:", err)
		return
	}
	// After Check these accessors cannot fail.
	via, _ := m.Via()
	from, _ := m.From()
	fmt.Printf("%s for %s by %s, branch %s\n", m.Method(), m.RequestURI(), via.Transport, via.Branch())
	fmt.Printf("from %s with tag %s\n", from.RawURI, from.Tag())
	for v := range m.Values(sip.HdrSupported) {
		fmt.Printf("supports %s\n", v)
	}

	// Output:
	// OPTIONS for sip:gw.example.com by UDP, branch z9hG4bK776asdhds
	// from sip:alice@example.com with tag 1928301774
	// supports timer
	// supports 100rel
}

func ExampleBuilder() {
	buf := make([]byte, 0, 512) // kept from message to message

	var b sip.Builder
	b.Reset(buf)
	b.Request(sip.MESSAGE, []byte("sip:bob@example.com"))
	b.Header("Via", "SIP/2.0/TLS gw.example.com:5061;branch=", "z9hG4bK0a1b2c")
	b.HeaderInt("Max-Forwards", 70)
	b.Header("From", "<sip:alice@example.com>;tag=1")
	b.Header("To", "<sip:bob@example.com>")
	b.Header("Call-ID", "f81d4fae7dec")
	b.CSeq(1, sip.MESSAGE)
	b.Header("Content-Type", "text/plain")
	message := b.Finish([]byte("Good morning"))

	fmt.Println(strings.ReplaceAll(string(message), "\r\n", "\n"))

	// Output:
	// MESSAGE sip:bob@example.com SIP/2.0
	// Via: SIP/2.0/TLS gw.example.com:5061;branch=z9hG4bK0a1b2c
	// Max-Forwards: 70
	// From: <sip:alice@example.com>;tag=1
	// To: <sip:bob@example.com>
	// Call-ID: f81d4fae7dec
	// CSeq: 1 MESSAGE
	// Content-Type: text/plain
	// Content-Length: 12
	//
	// Good morning
}

func ExampleParseURI() {
	u, err := sip.ParseURI([]byte("sips:alice@[2001:db8::10]:5061;transport=tcp"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s %s at %s port %d by %s\n", u.Scheme, u.User, u.HostName(), u.Port, u.Transport())

	_, err = sip.ParseURI([]byte("sip:alice@example.com; lr"))
	fmt.Println(err)

	// Output:
	// sips alice at 2001:db8::10 port 5061 by tcp
	// URI at byte 0: a parameter of the SIP URI is empty or has a character that needs an escape
}

func ExampleFramer() {
	stream := []byte("\r\n\r\nOPTIONS sip:a SIP/2.0\r\nContent-Length: 2\r\n\r\nab" + "OPTIONS sip:b SI")

	var f sip.Framer
	for {
		m := sip.Acquire()
		n, kind, err := f.Next(stream, m)
		if err != nil && kind == sip.FrameMore {
			fmt.Println("close the connection:", err)
		}
		switch kind {
		case sip.FrameKeepAlive:
			fmt.Printf("a keep-alive of %d bytes\n", n)
		case sip.FrameMessage:
			fmt.Printf("%s %s with body %q\n", m.Method(), m.RequestURI(), m.Body())
		}
		m.Release()
		if kind == sip.FrameMore {
			break
		}
		stream = stream[n:]
	}
	fmt.Printf("%d bytes wait for more\n", len(stream))

	// Output:
	// a keep-alive of 4 bytes
	// OPTIONS sip:a with body "ab"
	// 16 bytes wait for more
}
