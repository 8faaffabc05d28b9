package transport

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxHead is the longest HTTP request or answer that is read, its header fields
// included.
const maxHead = 8 << 10

// subprotocol is ours: "The client MUST include the value "sip" in the
// Sec-WebSocket-Protocol header in its handshake request" (RFC 7118 §4.1).
const subprotocol = "sip"

// UpgradeError is a WebSocket that was refused by HTTP, by us or by the other
// side.
type UpgradeError struct {
	Local  bool   // we refused
	Status int    // of the HTTP answer
	Why    string // in words
}

func (e *UpgradeError) Error() string {
	status := fmt.Sprintf("%d %s", e.Status, http.StatusText(e.Status))
	if e.Local {
		return fmt.Sprintf("WebSocket refused with %s: %s", status, e.Why)
	}
	return fmt.Sprintf("the other side refused the WebSocket with %s%s", status, e.Why)
}

var errHead = &UpgradeError{Local: true, Status: http.StatusRequestHeaderFieldsTooLarge,
	Why: fmt.Sprintf("the HTTP header fields are longer than %d bytes", maxHead)}

// head reads up to the empty line that ends the header fields. What came behind
// it is kept as early.
func (u *upgrade) head(start string) ([]byte, error) {
	b := make([]byte, 0, maxHead)
	for {
		n, err := u.rw.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if seen := min(len(b), len(start)); string(b[:seen]) != start[:seen] {
			return nil, &UpgradeError{Local: true, Status: http.StatusBadRequest, Why: fmt.Sprintf("its first bytes are %s, and a WebSocket begins with %q",
				describe(b[:min(len(b), 5)]), start)}
		}
		if end := bytes.Index(b, []byte("\r\n\r\n")); end >= 0 {
			u.early = bytes.Clone(b[end+4:])
			return b[:end+4], nil
		}
		switch {
		case err != nil:
			return nil, err
		case len(b) == cap(b):
			return nil, errHead
		}
	}
}

// answer reads a client's request, judges and answers it.
func (u *upgrade) answer(want *WebSocket) error {
	b, err := u.head("GET ")
	var accept string
	if err == nil {
		accept, err = u.admit(b, want)
	}
	if refusal, ok := errors.AsType[*UpgradeError](err); ok {
		u.note.Status, u.note.Problem = refusal.Status, refusal.Why
		_ = u.write(refusal.response())
	} else if errors.Is(err, os.ErrDeadlineExceeded) {
		// The deadline has passed; this answer gets a moment of its own.
		_ = u.nc.SetDeadline(time.Now().Add(u.limits().LastWord))
		late := &UpgradeError{Local: true, Status: http.StatusRequestTimeout, Why: "the HTTP request was not complete in time"}
		if u.e.ctx.Err() != nil {
			late.Status, late.Why = http.StatusServiceUnavailable, "the server is shutting down"
		}
		u.note.Status = late.Status
		_ = u.write(late.response())
	}
	if err != nil {
		return err
	}
	u.note.Status = http.StatusSwitchingProtocols
	return u.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + accept +
		"\r\nSec-WebSocket-Protocol: " + subprotocol + "\r\n\r\n")
}

func (u *upgrade) write(s string) error {
	_, err := io.WriteString(u.rw, s)
	u.note.Answered = time.Now()
	return err
}

// response is the answer of HTTP to a request that is refused.
func (e *UpgradeError) response() string {
	more := ""
	if e.Status == http.StatusUpgradeRequired {
		more = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: sip\r\n"
	}
	body := e.Why + "\n"
	return fmt.Sprintf("HTTP/1.1 %d %s\r\n%sContent-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n"+
		"Content-Length: %d\r\nConnection: close\r\n\r\n%s",
		e.Status, http.StatusText(e.Status), more, len(body), body)
}

// admit judges a request, and returns the value of Sec-WebSocket-Accept.
func (u *upgrade) admit(head []byte, want *WebSocket) (accept string, err error) {
	refuse := func(status int, why string, args ...any) (string, error) {
		return "", &UpgradeError{Local: true, Status: status, Why: fmt.Sprintf(why, args...)}
	}
	if !lines(head) {
		return refuse(http.StatusBadRequest, "its lines do not end with CR and LF, or one goes on in the next (RFC 9112 §2.2, §5.2)")
	}
	req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(head)))
	if err != nil {
		return refuse(http.StatusBadRequest, "not an HTTP request: %v", err)
	}
	h := req.Header
	u.note.Host, u.note.Path, u.note.Origin = req.Host, req.RequestURI, h.Get("Origin")
	u.note.Agent, u.note.Protocol = h.Get("User-Agent"), strings.Join(h.Values("Sec-WebSocket-Protocol"), ", ")
	key := h.Get("Sec-WebSocket-Key")
	nonce, bad := base64.StdEncoding.DecodeString(key)
	switch {
	case req.ProtoMajor != 1 || req.ProtoMinor < 1 || req.Host == "":
		return refuse(http.StatusBadRequest, "a WebSocket needs HTTP/1.1 and a Host")
	case want.Path != "" && req.URL.Path != want.Path:
		return refuse(http.StatusNotFound, "there is no WebSocket at %q", req.URL.Path)
	case !token(h, "Upgrade", "websocket") || !token(h, "Connection", "upgrade"):
		return refuse(http.StatusUpgradeRequired, "this is for SIP over WebSocket, and the request does not ask for a WebSocket")
	case !slices.Equal(h.Values("Sec-WebSocket-Version"), []string{"13"}):
		return refuse(http.StatusUpgradeRequired, "the version of WebSocket is 13, and the request asks for %q", strings.Join(h.Values("Sec-WebSocket-Version"), ", "))
	case bad != nil || len(nonce) != 16 || len(h.Values("Sec-WebSocket-Key")) != 1:
		return refuse(http.StatusBadRequest, "Sec-WebSocket-Key is not 16 bytes in base64")
	case req.ContentLength != 0 || len(u.early) > 0:
		return refuse(http.StatusBadRequest, "a request for a WebSocket has no body, and nothing follows it before the answer")
	case !want.allows(h.Values("Origin")):
		return refuse(http.StatusForbidden, "pages of origin %q may not connect here", u.note.Origin)
	case !slices.Contains(list(h, "Sec-WebSocket-Protocol"), subprotocol):
		return refuse(http.StatusBadRequest, "the WebSocket subprotocol has to be \"sip\" (RFC 7118 §4.1), and the request offers %q", u.note.Protocol)
	}
	return acceptKey(key), nil
}

// lines says whether each line of a head ends with CRLF, and has no CR or LF
// otherwise: what net/http takes for the end of a line, or of the head, must be what
// any proxy before us takes for it too.
func lines(head []byte) bool {
	for line := range bytes.SplitSeq(bytes.TrimSuffix(head, []byte("\r\n")), []byte("\r\n")) {
		if bytes.ContainsAny(line, "\r\n\x00") || bytes.HasPrefix(line, []byte(" ")) || bytes.HasPrefix(line, []byte("\t")) {
			return false
		}
	}
	return true
}

// allows judges the Origin of a request. A browser always sends it, and a page
// cannot choose it (RFC 6455 §10.2); a page that is not listed must not use what the
// browser has, its address or its certificate, to speak as one of our peers.
func (w *WebSocket) allows(origins []string) bool {
	switch len(origins) {
	case 0:
		return true
	case 1:
		return slices.ContainsFunc(w.Origins, func(o string) bool { return o == "*" || strings.EqualFold(o, origins[0]) })
	}
	return false
}

// list returns the elements of a header that is a list.
func list(h http.Header, name string) []string {
	var all []string
	for _, v := range h.Values(name) {
		for part := range strings.SplitSeq(v, ",") {
			all = append(all, strings.TrimSpace(part))
		}
	}
	return all
}

func token(h http.Header, name, want string) bool {
	return slices.ContainsFunc(list(h, name), func(s string) bool { return strings.EqualFold(s, want) })
}

// acceptKey is what proves that the server has read the key (RFC 6455 §4.2.2).
func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// request asks a server for a WebSocket and judges its answer.
func (u *upgrade) request(cfg DialConfig) error {
	var nonce [16]byte
	rand.Read(nonce[:]) // never fails
	key := base64.StdEncoding.EncodeToString(nonce[:])
	u.note.Host, u.note.Path, u.note.Protocol = hostHeader(cfg), cfg.path(), subprotocol
	err := u.write("GET " + u.note.Path + " HTTP/1.1\r\nHost: " + u.note.Host + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Key: " + key + "\r\nSec-WebSocket-Protocol: " + subprotocol + "\r\nSec-WebSocket-Version: 13\r\n\r\n")
	if err != nil {
		return err
	}
	b, err := u.head("HTTP/1.")
	u.note.Answered = time.Now()
	if err != nil {
		return notLocal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(b)), nil)
	if err != nil {
		return fmt.Errorf("the answer to our request for a WebSocket is not HTTP: %w", err)
	}
	resp.Body.Close()
	u.note.Status = resp.StatusCode
	return u.judge(resp, key)
}

// judge finds what the answer of a server lacks (RFC 6455 §4.1, RFC 7118 §4.1).
func (u *upgrade) judge(resp *http.Response, key string) error {
	h := resp.Header
	switch {
	case resp.StatusCode != http.StatusSwitchingProtocols:
		why := ""
		if text, _, _ := bytes.Cut(u.early, []byte("\n")); len(text) > 0 && strings.HasPrefix(h.Get("Content-Type"), "text/plain") {
			why = fmt.Sprintf(": %q", text[:min(len(text), 200)])
		}
		return &UpgradeError{Status: resp.StatusCode, Why: why}
	case !token(h, "Upgrade", "websocket") || !token(h, "Connection", "upgrade"):
		return errors.New("the answer to our request for a WebSocket does not upgrade to one")
	case h.Get("Sec-WebSocket-Accept") != acceptKey(key):
		return errors.New("the answer to our request for a WebSocket belongs to another request: Sec-WebSocket-Accept is wrong")
	case h.Get("Sec-WebSocket-Extensions") != "":
		return fmt.Errorf("the other side wants an extension that we did not offer: %q", h.Get("Sec-WebSocket-Extensions"))
	case h.Get("Sec-WebSocket-Protocol") != subprotocol:
		return fmt.Errorf("the other side does not speak the WebSocket subprotocol \"sip\" (RFC 7118 §4.1): it answered with %q", h.Get("Sec-WebSocket-Protocol"))
	}
	return nil
}

// notLocal turns what head found in an answer into an error of the other side's.
func notLocal(err error) error {
	if e, ok := errors.AsType[*UpgradeError](err); ok {
		return fmt.Errorf("the answer to our request for a WebSocket is unusable: %s", e.Why)
	}
	return err
}

// path is what we ask for.
func (c *DialConfig) path() string {
	if c.Path == "" {
		return "/"
	}
	return (&url.URL{Path: c.Path}).EscapedPath()
}

// hostHeader names whom we mean to reach, the port only when it is not the usual one.
func hostHeader(c DialConfig) string {
	host := c.Host
	if host == "" {
		host = c.Remote.Addr().String()
	}
	port := c.Remote.Port()
	switch {
	case port != c.Transport.DefaultPort():
		return net.JoinHostPort(host, strconv.Itoa(int(port)))
	case strings.Contains(host, ":"):
		return "[" + host + "]"
	}
	return host
}

// explain adds to an error of the HTTP part what it means.
func (u *upgrade) explain(err error) error {
	if u.tls != nil {
		err = u.tls.wire.alert.meaning(err)
	}
	if name := AlertName(err); name != "" {
		return &worded{"the other side ended TLS with " + name + " instead of speaking HTTP", err}
	}
	if u.note.Problem == "" {
		u.note.Problem = err.Error()
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("no WebSocket within %v: the HTTP request or its answer is not complete: %w", u.limits().HandshakeTimeout, err)
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("WebSocket given up: %w", err)
	case errors.Is(err, io.EOF):
		return fmt.Errorf("the other side closed the connection before there was a WebSocket: %w", err)
	}
	return err
}
