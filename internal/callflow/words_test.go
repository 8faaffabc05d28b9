package callflow

import (
	"testing"
	"time"
)

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0.0ms", 440 * time.Microsecond: "0.4ms", 9949 * time.Microsecond: "9.9ms", 9950 * time.Microsecond: "10ms",
		999 * time.Millisecond: "999ms", 999500 * time.Microsecond: "1.0s", 59949 * time.Millisecond: "59.9s",
		59950 * time.Millisecond: "1m00s", 72 * time.Second: "1m12s", 3599 * time.Second: "59m59s", time.Hour: "1h00m",
		26*time.Hour + 5*time.Minute: "26h05m", -time.Second: "-1.0s",
	} {
		if got := Span(d); got != want {
			t.Errorf("Span(%d) = %q, want %q", d, got, want)
		}
	}
}

func TestShortSuite(t *testing.T) {
	for suite, want := range map[string]string{
		"TLS_AES_256_GCM_SHA384":                  "AES-256-GCM",
		"TLS_CHACHA20_POLY1305_SHA256":            "CHACHA20-POLY1305",
		"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA AES-128-GCM",
		"TLS_RSA_WITH_AES_128_CBC_SHA":            "RSA AES-128-CBC",
		"TLS_AES_128_CCM_8_SHA256":                "AES-128-CCM-8",
		"0x1234":                                  "0x1234",
	} {
		if got := ShortSuite(suite); got != want {
			t.Errorf("ShortSuite(%q) = %q, want %q", suite, got, want)
		}
	}
}

func TestOrdinalsAndLegNames(t *testing.T) {
	for n, want := range map[int]string{1: "1st", 2: "2nd", 3: "3rd", 4: "4th", 11: "11th", 12: "12th", 13: "13th", 21: "21st", 112: "112th"} {
		if got := ordinal(n); got != want {
			t.Errorf("ordinal(%d) = %q, want %q", n, got, want)
		}
	}
	for i, want := range map[int]string{0: "A", 25: "Z", 26: "A2", 53: "B3"} {
		if got := legName(i); got != want {
			t.Errorf("legName(%d) = %q, want %q", i, got, want)
		}
	}
}

func TestReadTakesWhatCanBeIndexed(t *testing.T) {
	whole := "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=f\r\nTo: \"T\" <tel:+49>;tag=t\r\n" +
		"Call-ID: c1\r\nCSeq: 7 BYE\r\nContent-Length: 0\r\n\r\n"
	tests := []struct {
		name, raw, label string
		ok               bool
	}{
		{"response", whole, "200 OK (BYE)", true},
		{"no Call-ID", "OPTIONS sip:a SIP/2.0\r\nCSeq: 1 OPTIONS\r\n\r\n", "", false},
		{"a broken header", "INVITE sip:a SIP/2.0\r\nCall-ID: c1\r\nCSeq: x\r\nFrom: <<<\r\n\r\n", "INVITE", true},
		{"no SIP at all", "\x16\x03\x01 hello", "", false},
		{"nothing", "", "", false},
	}
	for _, tt := range tests {
		m, ok := read([]byte(tt.raw))
		if ok != tt.ok || ok && m.label() != tt.label {
			t.Errorf("%s: got %v %q, want %v %q", tt.name, ok, m.label(), tt.ok, tt.label)
		}
	}
	m, _ := read([]byte(whole))
	if m.from != "a@b" || m.to != "tel:+49" || m.toTag != "t" || m.branch != "z9hG4bKx" || m.cseq != 7 {
		t.Errorf("got %+v", m)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("INVITE sip:a SIP/2.0\r\nCall-ID: c1\r\nCSeq: 1 INVITE\r\n\r\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if m, ok := read(raw); ok && (m.callID == "" || m.label() == "") {
			t.Errorf("got %+v", m)
		}
		Builder{}.Build([]Event{{Seq: 1, Kind: Message, Raw: raw}, {Seq: 2, Kind: Message, Raw: raw, Out: true}})
	})
}
