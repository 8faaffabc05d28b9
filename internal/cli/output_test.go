package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestStyle covers what decides about colour when the stream is no terminal, and the terminal rules with a character
// device in its place.
func TestStyle(t *testing.T) {
	device, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	for _, tt := range []struct {
		name   string
		flag   string
		device bool
		env    map[string]string
		colour bool
		width  int
	}{
		{"buffer", "auto", false, nil, false, 80},
		{"terminal", "auto", true, nil, true, 80},
		{"terminal with NO_COLOR", "auto", true, map[string]string{"NO_COLOR": "1"}, false, 80},
		{"dumb terminal", "auto", true, map[string]string{"TERM": "dumb"}, false, 80},
		{"terminal, never", "never", true, nil, false, 80},
		{"buffer, always", "always", false, map[string]string{"NO_COLOR": "1"}, true, 80},
		{"narrow", "auto", false, map[string]string{"COLUMNS": "40"}, false, 80},
		{"wide", "auto", false, map[string]string{"COLUMNS": "132"}, false, 132},
		{"nonsense width", "auto", false, map[string]string{"COLUMNS": "wide"}, false, 80},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := &app{colour: tt.flag, getenv: func(k string) string { return tt.env[k] }}
			got := a.style(&bytes.Buffer{})
			if tt.device {
				got = a.style(device)
			}
			if got.colour != tt.colour || got.width != tt.width {
				t.Errorf("got %+v, want colour %v, width %d", got, tt.colour, tt.width)
			}
		})
	}
}

func TestFileIsNoTerminal(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if terminal(f) {
		t.Error("a plain file passes for a terminal")
	}
}

func TestPaint(t *testing.T) {
	if got := (style{colour: true}).paint(green, "ok"); got != "\x1b[32mok\x1b[0m" {
		t.Errorf("in colour: %q", got)
	}
	if got := (style{}).paint(green, "ok"); got != "ok" {
		t.Errorf("without: %q", got)
	}
}

func TestWriteJSON(t *testing.T) {
	var out bytes.Buffer
	a := &app{stdout: &out}
	if err := a.writeJSON(map[string]string{"uri": "<sip:a@b;x=1&y>"}); err != nil {
		t.Fatal(err)
	}
	if want := "{\n  \"uri\": \"<sip:a@b;x=1&y>\"\n}\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}
