package store

import (
	"os"

	"golang.org/x/sys/windows"
)

// Errors of the system's: no room, and a lock that another holds.
const (
	errQuota  = windows.ERROR_DISK_FULL
	errLocked = windows.ERROR_LOCK_VIOLATION
)

// lockFile takes the file's lock, which ends with the process.
func lockFile(f *os.File) error {
	return windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, new(windows.Overlapped))
}
