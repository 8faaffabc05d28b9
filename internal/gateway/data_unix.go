//go:build unix

package gateway

import "golang.org/x/sys/unix"

// mayWrite says whether files can be made in a directory. It asks the system,
// which also knows of file systems that are mounted read-only.
func mayWrite(dir string) error { return unix.Access(dir, unix.W_OK|unix.X_OK) }
