package watch

import "github.com/fsnotify/fsnotify"

// system is the notifier of the operating system.
type system struct {
	*fsnotify.Watcher
	names chan string
	done  chan struct{}
}

func newSystem() (*system, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	s := &system{w, make(chan string), make(chan struct{})}
	go s.run()
	return s, nil
}

// run hands on names until Close. An error means that some may be lost.
func (s *system) run() {
	defer close(s.names)
	for {
		name := ""
		select {
		case e, ok := <-s.Watcher.Events:
			if !ok {
				return
			}
			name = e.Name
		case _, ok := <-s.Errors:
			if !ok {
				return
			}
		}
		select {
		case s.names <- name:
		case <-s.done:
			return
		}
	}
}

// Events makes the system a Notifier.
func (s *system) Events() <-chan string { return s.names }

// Close ends it and waits until its goroutine has gone.
func (s *system) Close() error {
	close(s.done)
	err := s.Watcher.Close()
	for range s.names { // until run has ended
	}
	return err
}
