//go:build !linux

package store

import "os"

type osFile struct{ *os.File }
