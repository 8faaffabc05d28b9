package tlswire

import (
	"strings"
	"testing"
)

func TestForeignBytes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		in   string
		kind ProblemKind
		text string // part of it
	}{
		{"INVITE sip:bob@example.test SIP/2.0\r\n", PlainSIP, "INVITE"},
		{"INVITE tel:+4930123 SIP/2.0\r\n", PlainSIP, "INVITE"},
		{"OPTIONS sip:gw.example.test SIP/2.0\r\n", PlainSIP, "OPTIONS"},
		{"\r\n\r\nREGISTER sips:example.test SIP/2.0\r\n", PlainSIP, "REGISTER"},
		{"\r\n\r\n", PlainSIP, "keep-alive"},
		{"SIP/2.0 200 OK\r\n", PlainSIP, "response"},
		{"GET / HTTP/1.1\r\n", PlainHTTP, "GET"},
		{"OPTIONS * HTTP/1.1\r\n", PlainHTTP, "OPTIONS"},
		{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", PlainHTTP, "PRI"},
		{"HTTP/1.1 400 Bad Request\r\n", PlainHTTP, "response"},
		{"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", ProxyHeader, "version 1"},
		{"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c", ProxyHeader, "version 2"},
		{"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10", SSLv2, "SSL 2.0"},
		{"\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10", SSLv2, "SSL 2.0"},
		{"SSH-2.0-OpenSSH_9.2\r\n", NotTLS, "SSH"},
		{"hello", NotTLS, "hello"},
		{"\x00\x01\x00\x00", NotTLS, ""},
		{"\xff\xff\xff\xff", NotTLS, ""},
		{"\x16\x16\x16\x16\x16", NotTLS, "16 16"},
		{"\x16\x03\x01\xff\xff", NotTLS, "16 03"},
		{strings.Repeat("A", 100), NotTLS, "AAAA"},
		{"GE", NotTLS, "GE"},
	}
	for _, test := range tests {
		for name, split := range map[string]func([]byte) [][]byte{"whole": whole, "bytewise": bytewise} {
			for _, from := range []Side{Client, Server} {
				steps, state := transcript{chunks: []chunk{{from, []byte(test.in)}}}.replay(false, split)
				if len(steps) != 1 || steps[0].Name != NameProblem || steps[0].From != from {
					t.Errorf("%q, %s: steps %q", test.in, name, rows(steps))
					continue
				}
				if got := state.Problem; got.Kind != test.kind || !strings.Contains(got.Text, test.text) || got.From != from {
					t.Errorf("%q, %s: problem %+v, want %s with %q", test.in, name, got, test.kind, test.text)
				}
			}
		}
	}
}

// TestAnswerInClear has a server that does not know TLS answer a ClientHello.
func TestAnswerInClear(t *testing.T) {
	t.Parallel()
	tr := loadTrace(t, "rfc8448_1rtt.txt")
	tr.chunks = []chunk{tr.chunks[0], {Server, []byte("SIP/2.0 400 Bad Request\r\n\r\n")}}
	steps, _ := tr.replay(false, whole)
	wantRows(t, steps, "C ClientHello", "S Problem plain-sip")
}
