package guard

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestReadToken(t *testing.T) {
	good := strings.Repeat("x", minToken)
	for _, test := range []struct {
		name, text string
		mode       os.FileMode
		want       string // what the error says; empty: none
	}{
		{"good", good + "\n", 0o600, ""},
		{"group", good, 0o640, ""},
		{"empty", " \n", 0o600, "it is empty"},
		{"short", good[1:] + "\n\n", 0o600, "fewer than 16 characters"},
		{"two lines", good + "\n" + good, 0o600, "cannot carry"},
		{"umlaut", good + "ü", 0o600, "cannot carry"},
		{"long", strings.Repeat("x", maxToken+1), 0o600, "longer than 4096 bytes"},
		{"open to all", good, 0o644, "every user of the machine may open it (mode 0644)"},
	} {
		path := filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(path, []byte(test.text), test.mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, test.mode); err != nil {
			t.Fatal(err)
		}
		if test.mode == 0o644 && runtime.GOOS == "windows" {
			continue
		}
		token, err := ReadToken(path)
		if test.want == "" && (err != nil || !token.Matches(good) || token.Matches(good+"\n") || token.Matches("")) {
			t.Errorf("%s: got %v", test.name, err)
		}
		if test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: got %v, want %q", test.name, err, test.want)
		}
	}
}

func TestTokenThatIsNoFile(t *testing.T) {
	if _, err := ReadToken(filepath.Join(t.TempDir(), "none")); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("got %v", err)
	}
	if _, err := ReadToken(t.TempDir()); err == nil || !strings.Contains(err.Error(), "no ordinary file") {
		t.Errorf("got %v", err)
	}
	if (Token{}).Matches("") {
		t.Error("no token lets in who brings none")
	}
}
