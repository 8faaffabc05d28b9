package watch

import (
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
)

// A Sight is what files held at one moment. It is immutable.
type Sight map[string]digest

// digest is of what is in a file, or of why that cannot be read.
type digest [sha256.Size]byte

// maxSize is how much of a file is looked at, in bytes.
const maxSize = 64 << 20

// Look reads files.
func Look(files []string) Sight {
	s := make(Sight, len(files))
	for _, f := range files {
		if _, seen := s[f]; !seen {
			s[f] = look(f)
		}
	}
	return s
}

// Changed returns the files that are not as they were before, in order: those too that only one of the two knows.
func (s Sight) Changed(before Sight) []string {
	var names []string
	for f, now := range s {
		if was, known := before[f]; !known || was != now {
			names = append(names, f)
		}
	}
	for f := range before {
		if _, known := s[f]; !known {
			names = append(names, f)
		}
	}
	slices.Sort(names)
	return names
}

func look(path string) digest {
	h := sha256.New()
	if err := read(path, h); err != nil {
		if pe, ok := errors.AsType[*fs.PathError](err); ok {
			err = pe.Err
		}
		return sha256.Sum256([]byte("cannot be read: " + err.Error()))
	}
	return digest(h.Sum(nil))
}

// read reads a regular file only: a pipe would be waited for, and a device never ends.
func read(path string, to io.Writer) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("it is no regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(to, io.LimitReader(f, maxSize))
	return err
}
