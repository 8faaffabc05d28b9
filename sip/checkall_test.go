package sip

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestRFCMessagesByCheckAll: of the messages of RFC 3665, 4475 and 5118 that Check
// takes, CheckAll takes all but those whose other headers break a grammar.
func TestRFCMessagesByCheckAll(t *testing.T) {
	malformed := map[string]string{
		"baddate.dat":                            "Date",          // RFC 4475 §3.1.2.12: EST is no zone of SIP
		"003-2.1-F3_REGISTER_Bob_SIP_Server.sip": "Authorization", // its realm lacks the comma behind it
		"005-2.2-F1_REGISTER_Bob_SIP_Server.sip": "Authorization", // its qop has quotes
	}
	taken := 0
	for _, pattern := range []string{"rfc3665/*.sip", "rfc4475/*.dat", "rfc5118/wire/*.sip"} {
		files, err := filepath.Glob(filepath.Join("testdata", pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, file := range files {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			m, err := Parse(raw)
			if err == nil {
				err = m.Check()
			}
			if err == nil {
				taken++
				want := malformed[filepath.Base(file)]
				pe, refused := errors.AsType[*ParseError](m.CheckAll())
				if refused != (want != "") || refused && pe.Header != want {
					t.Errorf("%s: got %v, want a fault of %q", file, pe, want)
				}
			}
			m.Release()
		}
	}
	if taken < 200 {
		t.Errorf("Check takes %d messages", taken)
	}
}
