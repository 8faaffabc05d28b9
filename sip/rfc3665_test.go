package sip

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestMessagesOfRFC3665 reads the messages of the RFC's call flows and writes each
// again from its parts, which gives the same bytes. Credentials that lack a comma
// are kept as they are: the header is the business of who checks them.
func TestMessagesOfRFC3665(t *testing.T) {
	files, err := filepath.Glob("testdata/rfc3665/*.sip")
	if err != nil || len(files) != 178 {
		t.Fatalf("%d files, %v; want 178", len(files), err)
	}
	truncated := map[string]bool{"129": true, "148": true}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			m, err := Parse(raw)
			defer m.Release()
			if err == nil {
				err = m.Check()
			}
			want := fault{}
			if truncated[filepath.Base(file)[:3]] {
				want = fault{"Content-Length", "as long as", 400}
			}
			judge(t, err, want)
			if got, want := encode(m), withoutFolds(raw); !bytes.Equal(got, want) {
				t.Errorf("written again\n%s\nwas\n%s", got, want)
			}
			if want == (fault{}) && m.Has(HdrContentLength) { // 146 has none and cannot go over a stream
				inPieces(t, raw)
			}
		})
	}
}

// encode writes a message from its start line, its fields and its body. A
// Content-Length that is not the last field, or not true, is written as it was.
func encode(m *Message) []byte {
	var b Builder
	if m.IsRequest() {
		b.Request(m.Method(), m.RequestURI())
	} else {
		b.Status(m.StatusCode(), string(m.Reason()))
	}
	var last Field
	for f := range m.Fields() {
		last = f
	}
	finish := last.ID == HdrContentLength && m.err == nil
	for f := range m.Fields() {
		if f.ID != HdrContentLength || !finish {
			b.Field(f)
		}
	}
	if finish {
		return b.Finish(m.Body())
	}
	b.Raw([]byte("\r\n"))
	b.Raw(m.Body())
	return b.b
}

// withoutFolds puts spaces for the line ends of continued lines, which is what they
// mean (RFC 3261 §7.3.1).
func withoutFolds(raw []byte) []byte {
	return bytes.ReplaceAll(raw, []byte("\r\n "), []byte("   "))
}

// inPieces reads the message from a stream, byte by byte.
func inPieces(t *testing.T, raw []byte) {
	t.Helper()
	got := frames(Limits{}, bytes.Clone(raw), 1)
	if len(got.messages) != 1 || got.messages[0] != string(withoutFolds(raw))+": <nil>" || got.left != 0 {
		t.Errorf("byte by byte: %+v", got)
	}
}
