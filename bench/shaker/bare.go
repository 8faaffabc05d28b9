//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"

	"github.com/sallyport-sip/sallyport/bench/certs"
)

// bare answers every request on every connection, with crypto/tls and nothing around it.
func bare(ctx context.Context, at, dir string) error {
	cert, pool, err := certs.Load(dir, "gateway")
	if err != nil {
		return err
	}
	l, err := tls.Listen("tcp", at, &tls.Config{
		Certificates: []tls.Certificate{cert}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12,
	})
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { l.Close() })
	for {
		c, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		go answerAll(c)
	}
}

// answerAll answers until the other side closes. A request here has no body.
func answerAll(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	var request []byte
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return
		}
		request = append(request, line...)
		if len(bytes.TrimRight(line, "\r\n")) > 0 {
			continue
		}
		if _, err := c.Write(answer(request)); err != nil {
			return
		}
		request = request[:0]
	}
}

// answer is the 200 to a request: the headers that RFC 3261 §8.2.6.2 has copied, a tag, and no body.
func answer(request []byte) []byte {
	b := []byte("SIP/2.0 200 OK\r\n")
	for line := range bytes.Lines(request) {
		name, _, _ := bytes.Cut(line, []byte(":"))
		switch string(name) {
		case "Via", "From", "Call-ID", "CSeq":
			b = append(b, line...)
		case "To":
			b = append(append(b, bytes.TrimRight(line, "\r\n")...), ";tag=bare\r\n"...)
		}
	}
	return append(b, "Content-Length: 0\r\n\r\n"...)
}

// readAnswer reads one answer without a body, and returns its first line.
func readAnswer(r *bufio.Reader) (string, error) {
	first, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return first, io.ErrUnexpectedEOF
		}
		if len(bytes.TrimRight(line, "\r\n")) == 0 {
			return first, nil
		}
	}
}
