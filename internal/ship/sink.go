package ship

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/sallyport-sip/sallyport/internal/store"
)

// sink is what takes records. It is used by one goroutine.
type sink interface {
	// begin says that records will come. It is called until it succeeds.
	begin(ctx context.Context) error
	// wants says whether records in that state are sent.
	wants(s store.State) bool
	// send returns when a batch is safe. One that failed comes again as it was.
	send(ctx context.Context, batch []store.Followed) error
	// ticks says when tick is called, which does what is due without a record. The channel may be nil.
	ticks() (<-chan time.Time, func())
	tick(ctx context.Context, now time.Time)
	// close ends it; leaves says that no other takes its place.
	close(leaves bool)
}

func (r *shipment) newSink() sink {
	switch t := r.target; {
	case t.RADIUS != nil:
		return newRadiusSink(t, r.s.o, r.session)
	case t.Path != "":
		return lines{&fileSink{path: t.Path, rotate: t.Rotate, every: t.Every}}
	default:
		return lines{newPoster(t, r.s.o)}
	}
}

// lineTaker takes lines, and returns when they are safe. last names the batch.
type lineTaker interface {
	send(ctx context.Context, lines []byte, last uint64) error
	close()
}

// lines is a sink for records of calls that are over, each a line of JSON.
type lines struct{ to lineTaker }

func (l lines) begin(context.Context) error       { return nil }
func (l lines) wants(s store.State) bool          { return s.Over() }
func (l lines) ticks() (<-chan time.Time, func()) { return nil, func() {} }
func (l lines) tick(context.Context, time.Time)   {}
func (l lines) close(bool)                        { l.to.close() }

func (l lines) send(ctx context.Context, batch []store.Followed) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	for _, c := range batch {
		if err := e.Encode(c.CDR); err != nil {
			panic("ship: a record cannot be written: " + err.Error())
		}
	}
	return l.to.send(ctx, b.Bytes(), batch[len(batch)-1].Entry)
}

// fileSink appends to a file, which it opens each time: whoever moves it away gets a new one.
type fileSink struct {
	path   string
	rotate int64
	every  time.Duration // the periods of UTC that have files of their own; 0: none
}

func (f *fileSink) close() {}

func (f *fileSink) send(_ context.Context, lines []byte, _ uint64) error {
	if f.done(time.Now()) {
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

// done says whether the file is to be begun anew: it is full, or what was written last belongs to an earlier period.
func (f *fileSink) done(now time.Time) bool {
	info, err := os.Stat(f.path)
	if err != nil {
		return false
	}
	return info.Size() >= f.rotate || f.every > 0 && info.ModTime().Truncate(f.every).Before(now.Truncate(f.every))
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
