package gateway

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sallyport-sip/sallyport/internal/config"
)

// writable makes a directory, and a file in it, which it removes again.
func writable(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".writable-*")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// checkData finds a data directory that cannot be made or written, without
// making or writing anything.
func checkData(cfg *config.Config) []config.Problem {
	what, why := dataFault(cfg.Data)
	if what == "" {
		return nil
	}
	return []config.Problem{cfg.Problem(cfg.At("data"), fmt.Sprintf("data directory %q: %s", cfg.Data, what), why,
		"let the user that runs the gateway write there, or name another directory")}
}

// dataFault looks at the directory, or at the nearest one above it that exists.
func dataFault(dir string) (what, why string) {
	for at := dir; ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		switch {
		case errors.Is(err, fs.ErrNotExist) && at != filepath.Dir(at):
			if _, err := os.Lstat(at); err == nil {
				return fmt.Sprintf("%s is a link to nothing", at), ""
			}
			continue
		case err != nil:
			return "it cannot be used", plainly(err)
		case !info.IsDir():
			return fmt.Sprintf("%s is no directory", at), ""
		}
		if err := mayWrite(at); err != nil {
			if at == dir {
				return "it cannot be written", plainly(err)
			}
			return "it cannot be made", fmt.Sprintf("%s: %s", at, plainly(err))
		}
		return "", ""
	}
}

// plainly is an error of the system without the operation and the path.
func plainly(err error) string {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		err = pe.Err
	}
	return err.Error()
}
