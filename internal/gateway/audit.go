package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// The audit says who had the gateway do what. It is the file audit.jsonl in the data directory, one JSON object a line, only ever appended
// to. When it has grown to auditSize it becomes audit.1.jsonl, that one audit.2.jsonl and so on, and the oldest goes.
const (
	auditName  = "audit"
	auditKind  = ".jsonl"
	auditSize  = 4 << 20
	auditFiles = 8 // the one that is written included
	// auditLine bounds one line; what is longer loses its attributes.
	auditLine = 64 << 10
)

// audit writes the file. Safe for any goroutine.
type audit struct {
	mu   sync.Mutex // held while a line is written: lines are few
	size int64      // at which the file is put aside; 0: auditSize
}

// Audit notes that somebody had the gateway do something that others should be able to ask about later: what is the action in a word or
// two ("reload", "evict", "unmask"), attrs are keys and values as slog takes them, "by" being who asked. It goes to the log as "audit", and
// into the data directory, where it is on the disk when Audit returns; so it may take some milliseconds, and no shard calls it. A file
// that cannot be written is an alarm, and the action goes on. Secrets have no place in attrs.
func (g *Gateway) Audit(what string, attrs ...any) {
	g.log.Info("audit", append([]any{"what", what}, attrs...)...)
	dir := g.first.Data
	if err := g.audit.write(dir, what, attrs); err != nil {
		g.alarms.raise("audit", "what was done cannot be noted: "+err.Error(), "make "+filepath.Join(dir, auditName+auditKind)+" writable, or make room on its disk")
		return
	}
	g.alarms.clear("audit")
}

func (a *audit) write(dir, what string, attrs []any) error {
	line := auditRecord(time.Now(), what, attrs)
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.rotate(dir); err != nil {
		return err
	}
	f, err := os.OpenFile(auditFile(dir, 0), os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if torn(f) {
		line = append([]byte("\n"), line...) // what a crash cut off stays a line of its own
	}
	_, err = f.Write(line)
	return errors.Join(err, f.Sync(), f.Close())
}

// auditRecord is one line.
func auditRecord(at time.Time, what string, attrs []any) []byte {
	record := func(attrs []any) []byte {
		var b bytes.Buffer
		h := slog.NewJSONHandler(&b, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			switch {
			case len(groups) > 0:
			case a.Key == slog.TimeKey:
				a.Key = "at"
			case a.Key == slog.MessageKey:
				a.Key = "what"
			case a.Key == slog.LevelKey:
				return slog.Attr{}
			}
			return a
		}})
		r := slog.NewRecord(at.UTC(), slog.LevelInfo, what, 0)
		r.Add(attrs...)
		_ = h.Handle(context.Background(), r) // a buffer takes everything
		return b.Bytes()
	}
	b := record(attrs)
	if len(b) > auditLine {
		b = record([]any{"attributes", "left out: they were too long"})
	}
	return b
}

// torn reports whether the file ends within a line.
func torn(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return false
	}
	var last [1]byte
	_, err = f.ReadAt(last[:], info.Size()-1)
	return (err == nil || err == io.EOF) && last[0] != '\n'
}

// rotate puts a file aside that has become large. The caller holds mu.
func (a *audit) rotate(dir string) error {
	most := a.size
	if most == 0 {
		most = auditSize
	}
	if info, err := os.Stat(auditFile(dir, 0)); err != nil || info.Size() < most {
		return nil // that it cannot be opened is said by who opens it
	}
	for i := auditFiles - 2; i >= 0; i-- { // the last one is written over
		if err := os.Rename(auditFile(dir, i), auditFile(dir, i+1)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// auditFile is the i-th file, 0 being the one that is written.
func auditFile(dir string, i int) string {
	name := auditName
	if i > 0 {
		name += "." + string(rune('0'+i))
	}
	return filepath.Join(dir, name+auditKind)
}
