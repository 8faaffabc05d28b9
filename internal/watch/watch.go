// Package watch tells when files may have changed, however they are replaced: written in place, swapped by a rename, by
// a symbolic link as Kubernetes does it, removed and put back, with or without their directory.
//
// Its main type is Watcher; reading starts at Start. A Watcher only says that it is time to look, when it has been quiet
// for a moment; Look reads the files, and two Sights say which of them differ. Directories are watched and never files:
// a file that is swapped is another one. Where the system tells nothing (network file systems, links over mount points,
// no more watches to be had) the poll does, at the latest after half a minute.
//
// A Watcher has one goroutine, which ends with Close, and the system's notifier has one of its own.
package watch

import (
	"os"
	"slices"
	"time"
)

// Config says how a Watcher works. The zero value is right for the gateway.
type Config struct {
	Poll   time.Duration // how often is looked in any case; 0: 30 s
	Settle time.Duration // how long it has to be quiet after a change; 0: 500 ms
	// Notifier tells of changes; nil: the system's, when it has one. Close closes it.
	Notifier Notifier
	// Trouble is told once why the system's notifier does not work, so that only the poll is left for some directories;
	// nil: nobody.
	Trouble func(error)
}

// A Notifier tells of changes in directories.
type Notifier interface {
	Add(dir string) error
	Remove(dir string) error
	// Events has the path of each directory entry that came, went or changed, that of a directory for itself, and the
	// empty string when some were lost.
	Events() <-chan string
	Close() error
}

const (
	poll   = 30 * time.Second
	settle = 500 * time.Millisecond
	// restless is after how many times Settle a change is told although it is not quiet yet.
	restless = 10
)

// Watcher watches files. Its methods may be called by any goroutine.
type Watcher struct {
	cfg    Config
	tell   chan struct{} // holds one
	follow chan []string // the files from now on; holds the latest
	stop   chan struct{}
	done   chan struct{}

	files   []string               // owned by the goroutine, as what follows
	entries map[string]bool        // of directories, that decide what the files are
	dirs    map[string]os.FileInfo // that are watched; nil: could not be, or may have gone
	told    bool                   // that the notifier does not work
}

// Start begins to watch nothing; Follow says what. Close ends it.
func Start(cfg Config) *Watcher {
	if cfg.Poll <= 0 {
		cfg.Poll = poll
	}
	if cfg.Settle <= 0 {
		cfg.Settle = settle
	}
	if cfg.Trouble == nil {
		cfg.Trouble = func(error) {}
	}
	w := &Watcher{cfg: cfg, tell: make(chan struct{}, 1), follow: make(chan []string, 1), stop: make(chan struct{}), done: make(chan struct{}),
		entries: map[string]bool{}, dirs: map[string]os.FileInfo{}}
	if cfg.Notifier == nil {
		n, err := newSystem()
		if err != nil {
			cfg.Trouble(err)
		} else {
			w.cfg.Notifier = n
		}
	}
	go w.run()
	return w
}

// Changes receives when it is time to look: when Follow has come into force, after a change that was told, when it is
// quiet again, and with each poll.
func (w *Watcher) Changes() <-chan struct{} { return w.tell }

// Follow watches these files from now on, and no others. They need not exist.
func (w *Watcher) Follow(files []string) {
	for {
		select {
		case w.follow <- slices.Clone(files):
			return
		case <-w.follow: // a list that nobody has read yet
		}
	}
}

// Close ends the watcher, and waits for its goroutine.
func (w *Watcher) Close() {
	close(w.stop)
	<-w.done
}

func (w *Watcher) run() {
	defer close(w.done)
	var events <-chan string
	if w.cfg.Notifier != nil {
		defer w.cfg.Notifier.Close()
		events = w.cfg.Notifier.Events()
	}
	tick := time.NewTicker(w.cfg.Poll)
	defer tick.Stop()
	quiet := time.NewTimer(0)
	quiet.Stop()
	var since time.Time // of the first change that was not told yet
	for {
		select {
		case <-w.stop:
			return
		case w.files = <-w.follow:
			if len(w.files) > 0 {
				w.look()
			} else {
				w.arm()
			}
		case name, ok := <-events:
			if !ok {
				events = nil
			} else if w.matters(name) {
				if _, dir := w.dirs[name]; dir {
					w.dirs[name] = nil // the next of that name may be another one, even with its number
				}
				if since.IsZero() {
					since = time.Now()
				}
				quiet.Reset(max(0, min(w.cfg.Settle, restless*w.cfg.Settle-time.Since(since))))
			}
		case <-quiet.C:
			since = time.Time{}
			w.look()
		case <-tick.C:
			if len(w.files) > 0 {
				w.look()
			}
		}
	}
}

// look says that it is time to. Directories first: what changes after that is told.
func (w *Watcher) look() {
	w.arm()
	select {
	case w.tell <- struct{}{}:
	default: // nobody has looked since the last time
	}
}

func (w *Watcher) matters(name string) bool {
	_, dir := w.dirs[name]
	return name == "" || dir || w.entries[name]
}

// arm watches the directories in which it is decided what the files are. A
// directory that was replaced is another one.
func (w *Watcher) arm() {
	clear(w.entries)
	wanted := map[string]bool{}
	for _, f := range w.files {
		for _, e := range points(f) {
			w.entries[e.path()] = true
			wanted[e.dir] = true
		}
	}
	if w.cfg.Notifier == nil {
		return
	}
	for dir, was := range w.dirs {
		now, err := os.Stat(dir)
		if wanted[dir] && err == nil && was != nil && os.SameFile(was, now) {
			continue
		}
		w.cfg.Notifier.Remove(dir) // the system may have done it; it does not matter
		delete(w.dirs, dir)
	}
	for dir := range wanted {
		if _, watched := w.dirs[dir]; watched {
			continue
		}
		info, err := os.Stat(dir)
		if err != nil {
			continue // gone again; the next look finds out
		}
		if err := w.cfg.Notifier.Add(dir); err != nil {
			info = nil
			if !w.told {
				w.told = true
				w.cfg.Trouble(err)
			}
		}
		w.dirs[dir] = info
	}
}
