package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"reflect"
	"strings"
	"syscall"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
)

// CloseReason says how a stream connection ended.
type CloseReason struct {
	// Text is the reason in plain words.
	Text string
	// Err is the cause: what Close was given, or what the network or TLS said.
	// It is nil when the other side ended in the ordinary way.
	Err error
	// Local says that we ended it.
	Local bool

	// NotifySent and NotifyReceived tell of close_notify (RFC 8446 §6.1). One that
	// was not received although Ended is set is missing: the stream may have been
	// cut short.
	NotifySent, NotifyReceived bool
	// Ended says that the other side's end of the stream (FIN) was seen, Reset
	// that it was cut off.
	Ended, Reset bool
	// Status is that of the other side's Close frame on a WebSocket, 1005 for one
	// without (RFC 6455 §7.1.5); 0 when none came.
	Status uint16
	// Alert is the TLS alert that the other side ended with, 0 for none
	// (close_notify is not counted here).
	Alert uint8
	// BeforeData says that a TLS 1.3 server ended before its first record: that is
	// where a client learns that its certificate was refused.
	BeforeData bool
	// Unfinished is the number of bytes of a message that was not complete, and
	// MidRecord says that a TLS record was not.
	Unfinished int
	MidRecord  bool
	// Idle is how long nothing had passed in either direction before the end.
	Idle time.Duration
	// Dead is how a connection was found out that was half open, empty for any
	// other end.
	Dead Death

	secure bool // TLS
	web    bool // WebSocket
}

func (r CloseReason) String() string { return r.Text }

// Notify tells of close_notify in one word pair, for a ladder's last row.
func (r CloseReason) Notify() string {
	switch {
	case r.NotifySent && r.NotifyReceived:
		return "sent and received"
	case r.NotifySent:
		return "sent, none received"
	case r.NotifyReceived:
		return "received, none sent"
	}
	return "missing"
}

// Ordinary says that the other side ended the connection as it should: between
// two messages and on TLS with close_notify, which says that nothing was cut off
// (RFC 8446 §6.1), on a WebSocket with a Close frame, which says the same, and that
// it had no reason to complain.
func (r CloseReason) Ordinary() bool {
	if r.Local || r.CutShort() {
		return false
	}
	if r.web {
		return r.Status == statusNormal || r.Status == statusGoingAway || r.Status == statusNone
	}
	return r.NotifyReceived || !r.secure
}

// CutShort says that something may have been lost: the connection was reset,
// ended by an error alert, or in the middle of a message or TLS record. A stream
// that ends between two messages without close_notify is neither that nor
// ordinary: many TLS stacks leave it out, and SIP knows where a message ends.
func (r CloseReason) CutShort() bool {
	return r.Reset || r.Alert != 0 || r.Unfinished > 0 || r.MidRecord
}

// AlertOf returns the TLS alert of the other side that an error stands for.
func AlertOf(err error) (alert uint8, ok bool) {
	op, found := errors.AsType[*net.OpError](err)
	if !found || op.Op != "remote error" || op.Err == nil {
		return 0, false
	}
	// crypto/tls keeps its type to itself; it is a uint8 with the alert's number.
	v := reflect.ValueOf(op.Err)
	if v.Kind() != reflect.Uint8 {
		return 0, false
	}
	return uint8(v.Uint()), true
}

// AlertName returns the number and the name of the TLS alert of the other side
// that an error stands for, "alert 48, unknown certificate authority"; empty when
// it stands for none.
func AlertName(err error) string {
	alert, ok := AlertOf(err)
	if !ok {
		return ""
	}
	return fmt.Sprintf("alert %d, %s", alert, strings.TrimPrefix(tls.AlertError(alert).Error(), "tls: "))
}

// worded is an error in words of ours.
type worded struct {
	text string
	err  error
}

func (w *worded) Error() string { return w.text }
func (w *worded) Unwrap() error { return w.err }

// explain turns what ended a read or write into words, and keeps the facts.
func (r *CloseReason) explain(err error) {
	r.Err = err
	if end, ok := errors.AsType[*peerClose](err); ok {
		r.Err, r.Text, r.Status = nil, end.Error(), end.status
		return
	}
	if alert, ok := AlertOf(err); ok {
		r.Alert = alert
		r.Text = "the other side ended TLS with " + AlertName(err)
		if r.BeforeData {
			r.Text += ", before it sent anything: it has refused the handshake, most likely our certificate"
		}
		return
	}
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		r.Err, r.Text = nil, "the other side closed the connection"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		r.Reset, r.Text = true, "the other side reset the connection"
	case errors.Is(err, syscall.ETIMEDOUT):
		r.Dead, r.Text = DeathUnacknowledged, "the other side is gone without a word: what we sent, or TCP's question whether it is there, was not acknowledged in time"
	case errors.Is(err, os.ErrDeadlineExceeded):
		r.Text = "the other side did not read for too long"
	case errors.Is(err, net.ErrClosed):
		r.Text = "the connection was closed"
	default:
		r.Text = err.Error()
	}
	if r.BeforeData && !r.NotifyReceived && (r.Ended || r.Reset) {
		r.Text += " before it sent anything after the handshake: perhaps it refused our certificate"
	}
}

// longRest is how long nothing passes before an end of which we say that the
// connection was idle. Two minutes are usual among peers that clean up.
const longRest = 10 * time.Second

// complete adds what belongs to any end of a stream.
func (r *CloseReason) complete(secure bool) {
	r.secure = secure
	if r.Local {
		return
	}
	switch {
	case r.Unfinished > 0:
		r.Text += fmt.Sprintf(" in the middle of a message, %d bytes of it had come", r.Unfinished)
	case r.MidRecord:
		r.Text += " in the middle of a TLS record"
	}
	if r.web && r.Status == 0 && (r.Ended || r.NotifyReceived) {
		r.Text += " without a Close frame"
	} else if secure && r.Ended && !r.NotifyReceived && !r.web {
		r.Text += " without close_notify"
	}
	if r.Idle >= longRest && !r.CutShort() {
		r.Text += fmt.Sprintf(" after %v idle", r.Idle.Round(time.Second))
	}
}

// handshakeError adds to an error of TLS what it means for an operator.
func handshakeError(err error, inbound bool, l *Limits) error {
	if header, ok := errors.AsType[tls.RecordHeaderError](err); ok && header.Conn != nil {
		if inbound {
			return fmt.Errorf("no TLS on a TLS port: the first bytes are %s: %w", describe(header.RecordHeader[:]), err)
		}
		return fmt.Errorf("the port does not speak TLS: its first bytes are %s: %w", describe(header.RecordHeader[:]), err)
	}
	if name := AlertName(err); name != "" {
		return &worded{"the other side ended the handshake with " + name, err}
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		err = fmt.Errorf("TLS handshake not over within %v: %w", l.HandshakeTimeout, err)
		if inbound {
			return passedLimit(LimitHandshakeTime, err)
		}
		return err
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("TLS handshake given up: %w", err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("the other side closed the connection during the TLS handshake: %w", err)
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return fmt.Errorf("the other side reset the connection during the TLS handshake: %w", err)
	}
	return fmt.Errorf("TLS handshake: %w", err)
}

// describe says what the first bytes of something that is not TLS look like.
func describe(b []byte) string {
	for _, c := range b {
		if c < ' ' || c > '~' {
			return fmt.Sprintf("% x", b)
		}
	}
	if s := string(b); strings.HasPrefix(s, "GET ") || strings.HasPrefix(s, "POST ") {
		return fmt.Sprintf("%q, as in plain HTTP", s)
	}
	for _, start := range []string{"SIP/2", "INVIT", "REGIS", "OPTIO", "MESSA", "SUBSC", "NOTIF", "ACK s", "BYE s", "CANCE", "PRACK", "UPDAT", "INFO ", "REFER", "PUBLI"} {
		if string(b) == start {
			return fmt.Sprintf("%q, as in plain SIP", start)
		}
	}
	return fmt.Sprintf("%q", b)
}

// frameReason is why a stream cannot be cut any further. silent says that there
// was no message to deliver with the error, so that nobody has counted it yet.
func frameReason(err error, silent bool) error {
	fe, ok := errors.AsType[*sip.FrameError](err)
	if !ok {
		return err
	}
	err = fmt.Errorf("the stream cannot be read any further: %w", fe)
	if silent && fe.Limit != "" {
		return passedLimit(fe.Limit, err)
	}
	return err
}
