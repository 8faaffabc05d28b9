package tui

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestRunEndsWithItsGoroutines: by a key, and by the end of its context, also while it waits for a gateway that nobody answers for.
func TestRunEndsWithItsGoroutines(t *testing.T) {
	env := []string{"TERM=xterm"}
	var out bytes.Buffer
	err := Run(t.Context(), File(fixture(t, "reused-busy")), Options{Name: "f", In: strings.NewReader("q"), Out: &out, Env: env, Colour: "never"})
	if err != nil || !strings.Contains(out.String(), "\x1b[?1049h") || !strings.Contains(out.String(), "\x1b[?1049l") {
		t.Errorf("%v, %q", err, out.String())
	}
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	defer w.Close()
	// The end comes when the picture is there: the first that is written to the terminal.
	first := writerFunc(func(b []byte) (int, error) { cancel(); return len(b), nil })
	if err := Run(ctx, Gateway(nobody(), "http://gateway", ""), Options{Live: true, Open: "call/41", In: r, Out: first, Env: env}); err != nil {
		t.Errorf("a context that ends: %v", err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// TestWriteNewLeavesWhatIsThere, and says which file could not be written.
func TestWriteNewLeavesWhatIsThere(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a")
	if msg := writeNew(path, []byte("one")); msg.err != nil || msg.size != 3 {
		t.Errorf("%+v", msg)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if msg := writeNew(path, []byte("two")); msg.err == nil || !strings.Contains(msg.err.Error(), path+" is there already") {
		t.Errorf("%+v", msg)
	}
	if msg := writeNew(filepath.Join(path, "b"), nil); msg.err == nil || errors.Is(msg.err, os.ErrExist) {
		t.Errorf("%+v", msg)
	}
}
