package tlswire

import (
	"bytes"
	"slices"
	"testing"
)

// held is what a parser keeps, in bytes, apart from State.
func (p *Parser) held() int {
	n := cap(p.plain)
	for i := range p.side {
		n += cap(p.side[i].raw) + cap(p.side[i].messages.buf)
	}
	for _, r := range p.queue {
		n += cap(r.content) + queuedExtra
	}
	return n
}

// maxHeld is what a parser may keep: for each side a record and a message with
// the record that ends it, twice as much for growing slices, and the queue.
const maxHeld = 2*2*(maxRecord+headerLen+messageHeader+maxMessage+maxRecord) + 2*maxRecord + 2*maxQueue

func TestOverlongMessage(t *testing.T) {
	t.Parallel()
	tr := loadTrace(t, "rfc8448_1rtt.txt")
	long := make([]byte, messageHeader+maxMessage+1)
	long[0], long[1], long[2], long[3] = typeCertificate, 1, 0, 1
	steps, state := transcript{chunks: []chunk{
		tr.chunks[0],
		{Server, plainRecords(recordHandshake, append(long, typeServerHelloDone, 0, 0, 0), 16384)},
	}}.replay(false, whole)
	wantRows(t, steps, "C ClientHello", "S Certificate 3", "S Problem too-long", "S ServerHelloDone 6")
	if state.ServerCertificates != nil {
		t.Error("a message that was not read left certificates")
	}
}

func TestTooManyMessages(t *testing.T) {
	t.Parallel()
	n := 0
	var last Step
	p := New(func(s Step) { n++; last = s })
	requests := plainRecords(recordHandshake, bytes.Repeat([]byte{0, 0, 0, 0}, 1000), 16384)
	p.Feed(Server, start, requests)
	p.Feed(Client, start, requests)
	if n != maxSteps || last.Problem == nil || last.Problem.Kind != TooManySteps {
		t.Errorf("%d steps, the last one %+v", n, last)
	}
	if p.held() != 0 {
		t.Errorf("holds %d bytes after it has stopped", p.held())
	}
}

func TestSecretNeverComes(t *testing.T) {
	t.Parallel()
	tr := loadTrace(t, "rfc8448_1rtt.txt")
	var steps []Step
	p := New(func(s Step) { steps = append(steps, s) })
	p.Feed(Client, start, tr.chunks[0].data)
	p.Feed(Server, start, tr.chunks[1].data)
	junk := plainRecords(recordData, make([]byte, 1<<20), 16384)
	for len(junk) > 0 && p.state.Problem == nil {
		n := min(5000, len(junk))
		p.Feed(Server, start, junk[:n])
		junk = junk[n:]
		if p.held() > maxHeld {
			t.Fatalf("holds %d bytes", p.held())
		}
	}
	p.Feed(Server, start, junk)
	p.Flush()
	want := []string{"C ClientHello", "S ServerHello", "S Problem no-secret"}
	for range maxUnread {
		want = append(want, "S EncryptedHandshake *")
	}
	wantRows(t, steps, want...)
}

func TestFragmentsAreBounded(t *testing.T) {
	t.Parallel()
	p := New(func(Step) {})
	// A certificate of the greatest length that is read, a byte in each record.
	p.Feed(Server, start, plainRecords(recordHandshake, []byte{typeCertificate, 1, 0, 0}, 1))
	one := plainRecords(recordHandshake, []byte{0}, 1)
	for range 2 * maxMessage {
		p.Feed(Server, start, one)
		if p.held() > maxHeld {
			t.Fatalf("holds %d bytes", p.held())
		}
	}
}

func TestBrokenStreams(t *testing.T) {
	t.Parallel()
	hello := loadTrace(t, "rfc8448_1rtt.txt").chunks
	full := func(from Side, records ...[]byte) []chunk {
		return append(slices.Clone(hello[:2]), chunk{from, bytes.Join(records, nil)})
	}
	ccs := []byte{recordChangeCipherSpec, 3, 3, 0, 1, 1}
	tests := []struct {
		name   string
		chunks []chunk
		want   []string
	}{
		{"bad header after good records", []chunk{hello[0], {Client, []byte("INVITE sip:bob")}},
			[]string{"C ClientHello", "C Problem bad-record"}},
		{"record too long", []chunk{hello[0], {Client, []byte{recordHandshake, 3, 3, 0x48, 1}}},
			[]string{"C ClientHello", "C Problem bad-record"}},
		{"capture begins late", []chunk{{Client, plainRecords(recordData, make([]byte, 40), 40)}},
			[]string{"C Problem mid-session"}},
		{"data in clear", []chunk{hello[0], {Client, plainRecords(recordData, make([]byte, 40), 40)}},
			[]string{"C ClientHello", "C Problem unexpected"}},
		{"handshake in clear", full(Server, plainRecords(recordHandshake, []byte{8, 0, 0, 2, 0, 0}, 6)),
			[]string{"C ClientHello", "S ServerHello", "S Problem unexpected"}},
		{"heartbeats and dummies", full(Server, ccs, []byte{recordHeartbeat, 3, 3, 0, 1, 1}, ccs, ccs),
			[]string{"C ClientHello", "S ServerHello"}},
		{"alert in clear, 1.3", full(Client, []byte{recordAlert, 3, 3, 0, 2, 2, 47}),
			[]string{"C ClientHello", "S ServerHello", "C Alert illegal_parameter"}},
		{"alert of one byte", []chunk{hello[0], {Server, []byte{recordAlert, 3, 3, 0, 1, 2}}},
			[]string{"C ClientHello", "S Problem malformed"}},
		{"alert without a name", []chunk{hello[0], {Server, []byte{recordAlert, 3, 3, 0, 2, 2, 200}}},
			[]string{"C ClientHello", "S Alert"}},
		{"two alerts in a record", []chunk{hello[0], {Server, []byte{recordAlert, 3, 3, 0, 4, 1, 112, 1, 0}}},
			[]string{"C ClientHello", "S Alert unrecognized_name", "S Alert 15 close_notify"}},
		{"hello of the wrong side", []chunk{{Server, hello[0].data}},
			[]string{"S ClientHello", "S Problem unexpected"}},
		{"truncated hello", []chunk{{Client, plainRecords(recordHandshake, []byte{typeClientHello, 0, 0, 3, 3, 3, 7}, 100)}},
			[]string{"C ClientHello 1", "C Problem malformed"}},
		{"unknown message", []chunk{{Client, plainRecords(recordHandshake, []byte{77, 0, 0, 0}, 100)}},
			[]string{"C HandshakeType(77)"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for _, split := range []func([]byte) [][]byte{whole, bytewise} {
				steps, _ := transcript{chunks: test.chunks}.replay(false, split)
				if got := rows(steps); !slices.Equal(got, test.want) {
					t.Errorf("steps %q, want %q", got, test.want)
				}
			}
		})
	}
}

func TestUnsupportedSuite(t *testing.T) {
	t.Parallel()
	tr := loadTrace(t, "rfc8448_1rtt.txt")
	hello := bytes.Clone(tr.chunks[1].data)
	at := headerLen + messageHeader + 2 + 32 + 1
	hello[at], hello[at+1] = 0x13, 0x04
	tr.chunks[1].data = hello
	steps, state := tr.replay(true, whole)
	wantRows(t, steps[:5], "C ClientHello", "S ServerHello", "S Problem no-cipher", "S EncryptedHandshake *", "C EncryptedHandshake *")
	if state.Suite != "TLS_AES_128_CCM_SHA256" {
		t.Errorf("suite %q", state.Suite)
	}
}

func TestEndsInMidRecord(t *testing.T) {
	t.Parallel()
	tr := loadTrace(t, "rfc8448_1rtt.txt")
	for n := range tr.chunks[0].data {
		steps, state := transcript{chunks: []chunk{{Client, tr.chunks[0].data[:n]}}}.replay(false, whole)
		if len(steps) != 0 || state.Problem != nil {
			t.Fatalf("%d bytes: %q", n, rows(steps))
		}
	}
}

func TestAlertNames(t *testing.T) {
	t.Parallel()
	want := map[uint8]string{
		0: "close_notify", 10: "unexpected_message", 20: "bad_record_mac", 22: "record_overflow", 40: "handshake_failure",
		42: "bad_certificate", 43: "unsupported_certificate", 44: "certificate_revoked", 45: "certificate_expired",
		46: "certificate_unknown", 47: "illegal_parameter", 48: "unknown_ca", 49: "access_denied", 50: "decode_error",
		51: "decrypt_error", 70: "protocol_version", 71: "insufficient_security", 80: "internal_error",
		86: "inappropriate_fallback", 90: "user_canceled", 100: "no_renegotiation", 109: "missing_extension",
		110: "unsupported_extension", 112: "unrecognized_name", 113: "bad_certificate_status_response",
		115: "unknown_psk_identity", 116: "certificate_required", 120: "no_application_protocol", 121: "ech_required",
		1: "", 99: "", 255: "",
	}
	for code, name := range want {
		if got := AlertName(code); got != name {
			t.Errorf("alert %d: %q, want %q", code, got, name)
		}
	}
}
