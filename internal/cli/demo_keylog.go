package cli

import (
	"errors"
	"fmt"
	"os"
	"sync"
)

// keyLog is the file of --keylog. Handshakes go on when it cannot be written,
// so it keeps the first error until it is closed.
type keyLog struct {
	file *os.File

	mu  sync.Mutex // guards err
	err error
}

// openKeyLog begins the file anew. Only its owner may read it, also when it was
// there before: with it anybody can read the calls.
func openKeyLog(path string) (*keyLog, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("--keylog: %w", err)
	}
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		if err := f.Chmod(0o600); err != nil {
			return nil, errors.Join(fmt.Errorf("--keylog: %w", err), f.Close())
		}
	}
	return &keyLog{file: f}, nil
}

// Write makes it an io.Writer, for several goroutines.
func (k *keyLog) Write(b []byte) (int, error) {
	n, err := k.file.Write(b)
	k.keep(err)
	return n, err
}

func (k *keyLog) keep(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err == nil {
		k.err = err
	}
}

// Close returns the first error that there was.
func (k *keyLog) Close() error {
	k.keep(k.file.Close())
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err != nil {
		return fmt.Errorf("--keylog: the file is not complete: %w", k.err)
	}
	return nil
}
