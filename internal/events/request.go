package events

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// The headers of a request beside those of HTTP.
const (
	HeaderID        = "Sallyport-Event-Id"
	HeaderType      = "Sallyport-Event-Type"
	HeaderAttempt   = "Sallyport-Attempt"
	HeaderSignature = "Sallyport-Signature"
)

const (
	// maxAnswer is how much of an answer is read.
	maxAnswer = 4 << 10
	// longestRetryAfter bounds what an endpoint may ask for.
	longestRetryAfter = 15 * time.Minute
)

// Sign is the value of HeaderSignature for a body that is sent at a time: "t=UNIX,v1=HEX", where HEX is the HMAC-SHA256 of
// "UNIX.BODY" by the secret (RFC 2104).
func Sign(secret []byte, at time.Time, body []byte) string {
	t := strconv.FormatInt(at.Unix(), 10)
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(t + "."))
	h.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(h.Sum(nil))
}

// request is one try to post an event.
type request struct {
	client *http.Client
	e      *Endpoint
	lane   *lane
	item   *item
	agent  string
	old    bool // it is too old to be posted
	probe  bool // it looks whether the endpoint is well again
}

// send posts the event. after is how long the endpoint asks to wait.
func (r *request) send(ctx context.Context) (after time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, r.e.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.e.URL, bytes.NewReader(r.item.body))
	if err != nil {
		return 0, Plainly(err)
	}
	for name, value := range map[string]string{
		"Content-Type": "application/json", "User-Agent": r.agent, HeaderID: r.item.id, HeaderType: string(r.item.kind),
		HeaderAttempt: strconv.Itoa(r.item.tries), HeaderSignature: Sign(r.e.Secret, time.Now(), r.item.body),
	} {
		req.Header.Set(name, value)
	}
	answer, err := r.client.Do(req)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			return 0, fmt.Errorf("no answer within %v", r.e.Timeout)
		}
		return 0, Plainly(err)
	}
	defer answer.Body.Close()
	io.Copy(io.Discard, io.LimitReader(answer.Body, maxAnswer)) // so that the connection can be used again; more is not waited for
	if answer.StatusCode/100 == 2 {
		return 0, nil
	}
	if answer.StatusCode/100 == 3 {
		return 0, fmt.Errorf("it answered %d: redirects are not followed, so write the new address into url", answer.StatusCode)
	}
	return retryAfter(answer.Header.Get("Retry-After")), fmt.Errorf("it answered %d %s", answer.StatusCode, http.StatusText(answer.StatusCode))
}

// retryAfter reads a Retry-After in seconds (RFC 9110 §10.2.3); a date is passed over.
func retryAfter(text string) time.Duration {
	n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 31)
	if err != nil {
		return 0
	}
	return min(time.Duration(n)*time.Second, longestRetryAfter)
}

// Plainly is an error without the URL, in which there may be a secret.
func Plainly(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// NewClient makes what posts to an endpoint, so many requests at once: over the proxy of nobody, with no redirect followed, and over clear HTTP to
// this machine only, whatever its name leads to.
func NewClient(url string, roots *x509.CertPool, atOnce int, dial func(context.Context, string, string) (net.Conn, error)) *http.Client {
	clear := strings.HasPrefix(url, "http:")
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				if host, _, err := net.SplitHostPort(address); clear && (err != nil || !net.ParseIP(host).IsLoopback()) {
					return nil, errors.New("clear HTTP is for loopback addresses only")
				}
				return dial(ctx, network, address)
			},
			TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			MaxIdleConnsPerHost:    atOnce,
			MaxConnsPerHost:        atOnce,
			IdleConnTimeout:        time.Minute,
			MaxResponseHeaderBytes: 16 << 10,
			DisableCompression:     true,
		},
	}
}
