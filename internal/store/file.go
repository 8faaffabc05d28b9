package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// openFile opens a journal file of the system's.
func openFile(name string) (File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

// private makes a file that nobody else may read, unless it is there. SQLite's other files take after the first one.
func private(name string) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// noRoom says whether err comes from a disk that is full.
func noRoom(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, errQuota) || errors.Is(err, errFull)
}

// probe tries whether the directory takes a small file. SQLite tells of a full disk in many words.
func probe(dir string) error {
	f, err := os.CreateTemp(dir, "room-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if _, err := f.Write(make([]byte, 256<<10)); err != nil {
		return err
	}
	return f.Sync()
}

// lockName is the file whose lock a running gateway holds. It stays when the gateway ends.
const lockName = "lock"

// lockDir makes sure that no other gateway writes in dir.
func lockDir(dir string) (*os.File, error) {
	name := filepath.Join(dir, lockName)
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lockFile(f); err != nil {
		f.Close()
		if errors.Is(err, errLocked) {
			return nil, fmt.Errorf("data directory %s: a gateway that runs already writes there: end it, or give this one another directory as data", dir)
		}
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	return f, nil
}
