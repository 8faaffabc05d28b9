//go:build unix

package trust

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A pipe that nobody writes to must not hold a check or a reload.
func TestFilesThatAreNoFiles(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe.pem")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{pipe, "/dev/zero", "/dev/null"} {
		if _, err := ReadFile(path); err == nil || !strings.Contains(err.Error(), "it is a pipe or a device") {
			t.Errorf("%s: got %v", path, err)
		}
	}
}
