package api

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// socketName is the socket in the data directory by which the commands of this
// program reach the gateway that runs there.
const socketName = "sallyport.sock"

// maxSocketPath is how long the path of a socket may be, in bytes, on the
// strictest of the systems that we know.
const maxSocketPath = 103

// openLocal opens the socket. Without it the gateway works; the commands do not,
// so the log says why.
func (s *Server) openLocal(dir string) {
	l, err := listenLocal(dir)
	if err != nil {
		s.log.Warn("status and reload cannot reach this gateway; SIGHUP reloads it", "cause", err)
		return
	}
	s.local = l
	s.serve(l, s.Handler(true))
}

// listenLocal opens the socket in dir for the user of this process alone. It is
// made in a directory that nobody else can enter and moved into its place, so
// that there is no moment at which others could open it; what a dead gateway
// has left there goes.
func listenLocal(dir string) (*listener, error) {
	path := filepath.Join(dir, socketName)
	private, err := os.MkdirTemp(dir, ".s")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(private)
	made := filepath.Join(private, "s")
	if n := max(len(path), len(made)); n > maxSocketPath {
		return nil, fmt.Errorf("data directory %s: its path is %d bytes too long for a socket: name a shorter one as data", dir, n-maxSocketPath)
	}
	if alive(path) {
		return nil, fmt.Errorf("%s: another gateway answers there: give each its own data directory", path)
	}
	nl, err := net.Listen("unix", made)
	if err != nil {
		return nil, err
	}
	nl.(*net.UnixListener).SetUnlinkOnClose(false) // it moves
	err = errors.Join(os.Chmod(made, 0o600), os.Rename(made, path))
	if err != nil {
		return nil, errors.Join(err, nl.Close())
	}
	return &listener{Listener: nl, after: func() { os.Remove(path) }}, nil
}

// alive says whether somebody answers on a socket.
func alive(path string) bool {
	c, err := net.DialTimeout("unix", path, time.Second)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// ErrNotRunning is returned when no gateway runs with a data directory.
var ErrNotRunning = errors.New("no gateway runs with this data directory")

// Local returns a client for the gateway that runs with a data directory. Its
// requests go to http://gateway. The error of a request wraps ErrNotRunning when
// there is none.
func Local(dir string) *http.Client {
	path := filepath.Join(dir, socketName)
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			if len(path) > maxSocketPath {
				return nil, fmt.Errorf("data directory %s: its path is %d bytes too long for a socket", dir, len(path)-maxSocketPath)
			}
			c, err := new(net.Dialer).DialContext(ctx, "unix", path)
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
				err = fmt.Errorf("%w (%s)", ErrNotRunning, path)
			}
			return c, err
		},
	}}
}
