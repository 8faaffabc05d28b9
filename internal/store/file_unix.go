//go:build unix

package store

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Errors of the system's: no room for this user, and a lock that another holds.
const (
	errQuota  = unix.EDQUOT
	errLocked = unix.EWOULDBLOCK
)

// lockFile takes the file's lock, which ends with the process.
func lockFile(f *os.File) error {
	for {
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
