package watch

import (
	"os"
	"path/filepath"
	"strings"
)

// entry is an entry of a directory.
type entry struct{ dir, name string }

func (e entry) path() string { return filepath.Join(e.dir, e.name) }

// maxLinks is how many symbolic links one path may lead over, as on Linux.
const maxLinks = 40

// points returns the directory entries that decide what a path means: each symbolic link on the way, and the file
// itself; where the way breaks off, what is missing there. The directories are real ones, without links.
func points(path string) []entry {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil
	}
	var all []entry
	root, rest := split(abs)
	at := root
	for links := 0; len(rest) > 0; {
		e := entry{at, rest[0]}
		rest = rest[1:]
		info, err := os.Lstat(e.path())
		link := err == nil && info.Mode()&os.ModeSymlink != 0
		if err != nil || link || len(rest) == 0 {
			all = append(all, e)
		}
		if err != nil {
			break
		}
		at = e.path()
		if !link {
			continue
		}
		to, err := os.Readlink(e.path())
		if links++; err != nil || links > maxLinks {
			break
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(e.dir, to)
		}
		var more []string
		at, more = split(to)
		rest = append(more, rest...)
	}
	return all
}

// split takes an absolute path apart.
func split(path string) (root string, names []string) {
	path = filepath.Clean(path)
	root = filepath.VolumeName(path) + string(filepath.Separator)
	if inner := strings.TrimPrefix(path, root); inner != "" {
		names = strings.Split(inner, string(filepath.Separator))
	}
	return root, names
}
