//go:build !linux

package cli

// quota returns 0: only Linux limits a process's cores in a way that the
// runtime does not see.
func quota() int { return 0 }
