package sip

import (
	"bytes"
	"fmt"
	"iter"
	"strconv"
	"testing"
	"time"
)

// appender is a value that can be written.
type appender interface{ Append([]byte) []byte }

// one reads a header that stands once and writes it again.
func one[T appender](read func(*Message) (T, error)) func(*Message) ([]byte, error) {
	return func(m *Message) ([]byte, error) {
		v, err := read(m)
		if err != nil {
			return nil, err
		}
		return v.Append(nil), nil
	}
}

// each reads every value of a header and writes them as one list.
func each[T appender](read func(*Message) iter.Seq2[T, error]) func(*Message) ([]byte, error) {
	return func(m *Message) (out []byte, err error) {
		for v, err := range read(m) {
			if err != nil {
				return nil, err
			}
			if len(out) > 0 {
				out = append(out, ", "...)
			}
			out = v.Append(out)
		}
		return out, nil
	}
}

func addresses(id HeaderID) func(*Message) ([]byte, error) {
	return each(func(m *Message) iter.Seq2[Address, error] { return m.Addresses(id) })
}

func items(id HeaderID) func(*Message) ([]byte, error) {
	return each(func(m *Message) iter.Seq2[Item, error] { return m.Items(id) })
}

func seconds(read func(*Message) (time.Duration, error)) func(*Message) ([]byte, error) {
	return func(m *Message) ([]byte, error) {
		d, err := read(m)
		return strconv.AppendInt(nil, int64(d/time.Second), 10), err
	}
}

func uint32s(read func(*Message) (uint32, error)) func(*Message) ([]byte, error) {
	return func(m *Message) ([]byte, error) {
		n, err := read(m)
		return fmt.Append(nil, n), err
	}
}

// tokens writes the values of a header that are read by Values alone.
func tokens(id HeaderID) func(*Message) ([]byte, error) {
	return func(m *Message) (out []byte, err error) {
		for v := range m.Values(id) {
			if len(out) > 0 {
				out = append(out, ", "...)
			}
			out = append(out, v...)
		}
		return out, nil
	}
}

// readers hold, for each known header, its accessor and the writing of what it
// read.
var readers = [numHeaders]func(*Message) ([]byte, error){
	HdrVia:  each((*Message).Vias),
	HdrFrom: one((*Message).From), HdrTo: one((*Message).To), HdrContact: addresses(HdrContact),
	HdrCallID: func(m *Message) ([]byte, error) { return m.CallID(), nil },
	HdrCSeq:   one((*Message).CSeq),
	HdrMaxForwards: func(m *Message) ([]byte, error) {
		n, ok := m.MaxForwards()
		if !ok {
			return nil, ErrAbsent
		}
		return []byte(strconv.Itoa(n)), nil
	},
	HdrRecordRoute: addresses(HdrRecordRoute), HdrRoute: addresses(HdrRoute), HdrPath: addresses(HdrPath), HdrServiceRoute: addresses(HdrServiceRoute),
	HdrContentLength:      func(m *Message) ([]byte, error) { return []byte(strconv.Itoa(m.length)), nil },
	HdrContentType:        one((*Message).ContentType),
	HdrContentEncoding:    tokens(HdrContentEncoding),
	HdrContentDisposition: one((*Message).ContentDisposition),
	HdrContentLanguage:    tokens(HdrContentLanguage),
	HdrMIMEVersion:        tokens(HdrMIMEVersion),
	HdrExpires:            seconds((*Message).Expires), HdrMinExpires: seconds((*Message).MinExpires), HdrFlowTimer: seconds((*Message).FlowTimer),
	HdrRequire: tokens(HdrRequire), HdrProxyRequire: tokens(HdrProxyRequire), HdrSupported: tokens(HdrSupported), HdrUnsupported: tokens(HdrUnsupported),
	HdrAllow: tokens(HdrAllow), HdrAllowEvents: tokens(HdrAllowEvents),
	HdrEvent: one((*Message).Event), HdrSubscriptionState: one((*Message).SubscriptionState),
	HdrAuthorization: each((*Message).Authorizations), HdrProxyAuthorization: each((*Message).ProxyAuthorizations),
	HdrWWWAuthenticate: each((*Message).Challenges), HdrProxyAuthenticate: each((*Message).ProxyChallenges),
	HdrAuthenticationInfo: one((*Message).AuthenticationInfo), HdrProxyAuthenticationInfo: one((*Message).ProxyAuthenticationInfo),
	HdrAccept: each((*Message).Accepts), HdrAcceptEncoding: items(HdrAcceptEncoding), HdrAcceptLanguage: items(HdrAcceptLanguage),
	HdrSubject: tokens(HdrSubject), HdrOrganization: tokens(HdrOrganization), HdrPriority: tokens(HdrPriority),
	HdrDate: func(m *Message) ([]byte, error) {
		d, err := m.Date()
		return AppendDate(nil, d), err
	},
	HdrTimestamp: one((*Message).Timestamp),
	HdrServer:    one((*Message).Server), HdrUserAgent: one((*Message).UserAgent),
	HdrRetryAfter: one((*Message).RetryAfter), HdrWarning: each((*Message).Warnings), HdrReason: each((*Message).Reasons),
	HdrRSeq: uint32s((*Message).RSeq), HdrRAck: one((*Message).RAck), HdrMaxBreadth: uint32s((*Message).MaxBreadth),
	HdrSessionExpires: one((*Message).SessionExpires), HdrMinSE: one((*Message).MinSE),
	HdrReferTo: one((*Message).ReferTo), HdrReferredBy: one((*Message).ReferredBy), HdrReplyTo: one((*Message).ReplyTo),
	HdrReplaces: one((*Message).Replaces), HdrJoin: one((*Message).Join), HdrTargetDialog: one((*Message).TargetDialog),
	HdrPAssertedIdentity: addresses(HdrPAssertedIdentity), HdrPPreferredIdentity: addresses(HdrPPreferredIdentity),
	HdrPAssociatedURI: addresses(HdrPAssociatedURI), HdrDiversion: addresses(HdrDiversion), HdrHistoryInfo: addresses(HdrHistoryInfo),
	HdrAlertInfo: addresses(HdrAlertInfo), HdrCallInfo: addresses(HdrCallInfo), HdrErrorInfo: addresses(HdrErrorInfo),
	HdrPrivacy: tokens(HdrPrivacy), HdrSIPETag: tokens(HdrSIPETag), HdrSIPIfMatch: tokens(HdrSIPIfMatch),
	HdrSessionID: one((*Message).SessionID),
	HdrInReplyTo: each(func(m *Message) iter.Seq2[word, error] {
		return func(yield func(word, error) bool) {
			for id, err := range m.CallIDs() {
				if !yield(word(id), err) {
					return
				}
			}
		}
	}),
	HdrIdentity: tokens(HdrIdentity), HdrPChargingVector: tokens(HdrPChargingVector), HdrPVisitedNetworkID: tokens(HdrPVisitedNetworkID),
	HdrPAccessNetworkInfo: items(HdrPAccessNetworkInfo), HdrUserToUser: tokens(HdrUserToUser),
	HdrSecurityClient: items(HdrSecurityClient), HdrSecurityServer: items(HdrSecurityServer), HdrSecurityVerify: items(HdrSecurityVerify),
}

type word []byte

func (w word) Append(dst []byte) []byte { return append(dst, w...) }

// message is a response with one header that has that value, or nil when the index
// refuses it.
func withHeader(id HeaderID, value []byte) *Message {
	m := Acquire()
	if m.Load(fmt.Appendf(nil, "SIP/2.0 200 OK\r\n%s: %s\r\n\r\n", id, value)) != nil && id != HdrContentLength {
		m.Release()
		return nil
	}
	return m
}

// readable: what CheckHeader takes its accessor reads, and what is written of that
// is taken and read as the same.
func readable(t *testing.T, id HeaderID, value []byte) {
	t.Helper()
	m := withHeader(id, value)
	if m == nil || !m.Has(id) || CheckHeader(id, m.First(id)) != nil {
		return
	}
	defer m.Release()
	text, err := readers[id](m)
	if err != nil {
		t.Fatalf("%s: %q is taken, but read as %v", id, value, err)
	}
	again := withHeader(id, text)
	if again == nil {
		t.Fatalf("%s: %q is written as %q, which is no header", id, value, text)
	}
	defer again.Release()
	if err := CheckHeader(id, text); err != nil {
		t.Fatalf("%s: %q is written as %q: %v", id, value, text, err)
	}
	if text2, err := readers[id](again); err != nil || !bytes.Equal(text, text2) {
		t.Fatalf("%s: %q is written as %q, and that as %q, %v", id, value, text, text2, err)
	}
}

func TestEveryHeaderIsReadable(t *testing.T) {
	for id := HdrVia; id < numHeaders; id++ {
		if readers[id] == nil {
			t.Errorf("%s has no accessor", id)
			continue
		}
		for _, v := range headerValues[id].good {
			if CheckHeader(id, []byte(v)) != nil {
				t.Errorf("%s: %q is refused", id, v)
			}
			readable(t, id, []byte(v))
		}
	}
}

// FuzzHeader: no value makes a grammar panic; a fault is within the value; what is
// taken is readable; and what an accessor with the same grammar refuses,
// CheckHeader refuses.
func FuzzHeader(f *testing.F) {
	for id, values := range headerValues {
		for _, v := range append(values.good, values.bad...) {
			f.Add(byte(id), []byte(v))
		}
	}
	f.Fuzz(func(t *testing.T, n byte, value []byte) {
		id := HeaderID(n)
		if id == HdrOther || id >= numHeaders || len(value) > 4096 {
			return
		}
		if err, ok := CheckHeader(id, value).(*ParseError); ok && (err.Offset < 0 || err.Offset > len(value) || err.Rule == "") {
			t.Fatalf("%s: %q: %v", id, value, err)
		}
		readable(t, id, value)
		if m := withHeader(id, value); m != nil {
			_, _ = readers[id](m)
			_ = m.CheckAll()
			m.Release()
		}
	})
}
