package api

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// short is a directory with a short name, for sockets.
func short(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestSocketIsForItsUserOnly(t *testing.T) {
	dir := short(t)
	l, err := listenLocal(dir)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, socketName))
	if err != nil || info.Mode().Perm() != 0o600 && runtime.GOOS != "windows" {
		t.Errorf("got %v, %v", info, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("got %v, %v", entries, err)
	}
	if _, err := listenLocal(dir); err == nil || !strings.Contains(err.Error(), "another gateway answers there") {
		t.Errorf("a second gateway: %v", err)
	}
	l.close(t.Context())
}

// A gateway that was killed leaves its socket.
func TestDeadSocketIsReplaced(t *testing.T) {
	dir := short(t)
	path := filepath.Join(dir, socketName)
	dead, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	dead.(*net.UnixListener).SetUnlinkOnClose(false)
	dead.Close()
	if _, err := Local(dir).Get("http://gateway/"); !errors.Is(err, ErrNotRunning) {
		t.Errorf("got %v", err)
	}
	l, err := listenLocal(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !alive(path) {
		t.Error("it does not answer")
	}
	l.close(t.Context())
}

func TestNoSocket(t *testing.T) {
	if _, err := Local(short(t)).Get("http://gateway/"); !errors.Is(err, ErrNotRunning) {
		t.Errorf("got %v", err)
	}
	long := filepath.Join(short(t), strings.Repeat("x", maxSocketPath))
	if err := os.Mkdir(long, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := listenLocal(long); err == nil || !strings.Contains(err.Error(), "too long for a socket") {
		t.Errorf("got %v", err)
	}
	if _, err := Local(long).Get("http://gateway/"); err == nil || !strings.Contains(err.Error(), "too long for a socket") {
		t.Errorf("got %v", err)
	}
}

// Close removes the socket, so that nothing seems to run.
func TestCloseRemovesTheSocket(t *testing.T) {
	s, dir := started(t, "")
	path := filepath.Join(dir, "data", socketName)
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	s.local = nil
}
