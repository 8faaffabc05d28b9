package trust

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Write puts the certificate and the key into two files, of which only the key's is closed to others (mode 0600).
// Unless force is set, nothing is written when one of them is there already. Without a key there is one file.
func (i *Issued) Write(certFile, keyFile string, force bool) error {
	if i.Key == nil {
		return WriteFile(certFile, i.CertPEM(), 0o644, force)
	}
	key, err := i.KeyPEM()
	if err != nil {
		return err
	}
	return WritePair(certFile, i.CertPEM(), keyFile, key, force)
}

// WritePair writes a file for everybody and the file of its key, or neither of them.
func WritePair(certFile string, cert []byte, keyFile string, key []byte, force bool) error {
	if filepath.Clean(certFile) == filepath.Clean(keyFile) {
		return fmt.Errorf("certificate and key cannot be the same file, %s", certFile)
	}
	if err := WriteFile(keyFile, key, 0o600, force); err != nil {
		return err
	}
	err := WriteFile(certFile, cert, 0o644, force)
	if err != nil && !force {
		return errors.Join(err, os.Remove(keyFile))
	}
	return err
}

// WriteFile writes a file under a passing name and gives it its own name once it is whole, so that nobody ever sees half
// of it, nor a key with the permissions of an older file. Unless force is set, a file that is there stays as it is; what
// is no ordinary file stays in any case.
func WriteFile(path string, data []byte, mode fs.FileMode, force bool) error {
	if there, err := os.Stat(path); err == nil {
		switch {
		case there.IsDir():
			return fmt.Errorf("%s is a directory: name a file in it", path)
		case !there.Mode().IsRegular():
			return fmt.Errorf("%s is a pipe or a device: name an ordinary file", path)
		case !force:
			return exists(path)
		}
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return cannotWrite(path, err)
	}
	defer os.Remove(f.Name()) // in vain once it has been moved
	if _, err = f.Write(data); err == nil && mode != 0o600 {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return cannotWrite(path, err)
	}
	if force {
		return named(path, os.Rename(f.Name(), path))
	}
	err = os.Link(f.Name(), path) // unlike a rename, it takes no other file's place
	if errors.Is(err, fs.ErrExist) {
		return exists(path)
	} else if err != nil { // a file system without links
		return named(path, os.Rename(f.Name(), path))
	}
	return nil
}

func named(path string, err error) error {
	if err != nil {
		return cannotWrite(path, err)
	}
	return nil
}

func exists(path string) error {
	return fmt.Errorf("%s is there already: name another file, or use --force to replace it", path)
}

// cannotWrite says why a file could not be made.
func cannotWrite(path string, err error) error {
	why := err
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		why = pe.Err
	} else if le, ok := errors.AsType[*os.LinkError](err); ok {
		why = le.Err
	}
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s cannot be written: there is no directory %s: make it first", path, filepath.Dir(path))
	}
	return fmt.Errorf("%s cannot be written: %w", path, why)
}
