package ship

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// sink takes lines, and returns when they are safe. last names the batch.
type sink interface {
	send(ctx context.Context, lines []byte, last uint64) error
	close()
}

func newSink(t Target, o Options) sink {
	if t.Path != "" {
		return &fileSink{t.Path, t.Rotate}
	}
	return newPoster(t, o)
}

// fileSink appends to a file, which it opens each time: whoever moves it away gets a new one.
type fileSink struct {
	path   string
	rotate int64
}

func (f *fileSink) close() {}

func (f *fileSink) send(_ context.Context, lines []byte, _ uint64) error {
	if info, err := os.Stat(f.path); err == nil && info.Size() >= f.rotate {
		if err := os.Rename(f.path, f.aside(time.Now())); err != nil {
			return err
		}
	}
	file, err := os.OpenFile(f.path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		return err
	}
	if torn(file) {
		lines = append([]byte("\n"), lines...)
	}
	_, err = file.Write(lines)
	return errors.Join(err, file.Sync(), file.Close())
}

// aside is the name of a file that is full: the time before its ending.
func (f *fileSink) aside(now time.Time) string {
	stem, ending := f.path, ""
	if i := strings.LastIndexByte(f.path, '.'); i > strings.LastIndexByte(f.path, '/')+1 {
		stem, ending = f.path[:i], f.path[i:]
	}
	name := stem + "-" + now.UTC().Format("20060102T150405Z")
	for n := 2; ; n++ {
		if _, err := os.Lstat(name + ending); err != nil {
			return name + ending
		}
		name = fmt.Sprintf("%s-%s.%d", stem, now.UTC().Format("20060102T150405Z"), n)
	}
}

// torn says whether the file ends within a line, which a crash or a full disk has cut off.
func torn(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return false
	}
	var last [1]byte
	_, err = f.ReadAt(last[:], info.Size()-1)
	return err == nil && last[0] != '\n'
}
