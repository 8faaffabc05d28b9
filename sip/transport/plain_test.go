package transport

import "testing"

func TestSpokenTLS(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		head      string
		more, tls bool
	}{
		{"", false, false},
		{"\x16", true, false},
		{"\x16\x03", true, false},
		{"\x16\x03\x01", false, true},
		{"\x16\x03\x03\x02\x00", false, true},
		{"\x15\x03\x01\x00\x02\x02\x46", false, true},
		{"\x16\x02", false, false},
		{"\x16\x03\x09", false, false},
		{"\x17\x03\x03", false, false},
		{"INVITE", false, false},
		{"\r\n\r\n", false, false},
	} {
		more, err := spokenTLS([]byte(tt.head))
		if more != tt.more || (err != nil) != tt.tls {
			t.Errorf("%q: more %v, %v", tt.head, more, err)
		}
	}
}
