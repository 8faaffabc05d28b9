package watch

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func write(t *testing.T, path, text string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o700))
	must(t, os.WriteFile(path, []byte(text), 0o600))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// swap replaces a file by a rename.
func swap(t *testing.T, path, text string) {
	t.Helper()
	write(t, path+".new", text)
	must(t, os.Rename(path+".new", path))
}

// link makes a symbolic link, or swaps it by a rename as Kubernetes does.
func link(t *testing.T, to, path string) {
	t.Helper()
	must(t, os.Symlink(to, path+"_tmp"))
	must(t, os.Rename(path+"_tmp", path))
}

// However a file is replaced, the system tells it, again and again.
func TestEachWayToReplaceAFile(t *testing.T) {
	for _, way := range []struct {
		name    string
		file    string
		prepare func(t *testing.T, dir string)
		change  func(t *testing.T, dir string, n int)
	}{
		{"in place", "a.pem", nil, func(t *testing.T, dir string, n int) { write(t, dir+"/a.pem", fmt.Sprint(n)) }},
		{"by a rename", "a.pem", nil, func(t *testing.T, dir string, n int) { swap(t, dir+"/a.pem", fmt.Sprint(n)) }},
		{"removed and put back", "a.pem", nil, func(t *testing.T, dir string, n int) {
			must(t, os.Remove(dir+"/a.pem"))
			write(t, dir+"/a.pem", fmt.Sprint(n))
		}},
		{"now gone, now there", "a.pem", nil, func(t *testing.T, dir string, n int) {
			if n%2 == 1 {
				must(t, os.Remove(dir+"/a.pem"))
			} else {
				write(t, dir+"/a.pem", fmt.Sprint(n))
			}
		}},
		{"its directory removed and put back", "certs/a.pem", nil, func(t *testing.T, dir string, n int) {
			must(t, os.RemoveAll(dir+"/certs"))
			write(t, dir+"/certs/a.pem", fmt.Sprint(n))
		}},
		{"its directory now gone, now there", "certs/a.pem", nil, func(t *testing.T, dir string, n int) {
			if n%2 == 1 {
				must(t, os.RemoveAll(dir+"/certs"))
			} else {
				write(t, dir+"/certs/a.pem", fmt.Sprint(n))
			}
		}},
		{"its directory swapped by a rename", "certs/a.pem", nil, func(t *testing.T, dir string, n int) {
			write(t, dir+"/next/a.pem", fmt.Sprint(n))
			must(t, os.Rename(dir+"/certs", fmt.Sprintf("%s/old%d", dir, n)))
			must(t, os.Rename(dir+"/next", dir+"/certs"))
		}},
		{"links as of Kubernetes", "a.pem", func(t *testing.T, dir string) {
			must(t, os.Remove(dir+"/a.pem"))
			write(t, dir+"/..0/a.pem", "first")
			link(t, "..0", dir+"/..data")
			link(t, "..data/a.pem", dir+"/a.pem")
		}, func(t *testing.T, dir string, n int) {
			write(t, fmt.Sprintf("%s/..%d/a.pem", dir, n), fmt.Sprint(n))
			link(t, fmt.Sprintf("..%d", n), dir+"/..data")
			must(t, os.RemoveAll(fmt.Sprintf("%s/..%d", dir, n-1)))
		}},
		{"in place behind two links elsewhere", "a.pem", func(t *testing.T, dir string) {
			must(t, os.Remove(dir+"/a.pem"))
			write(t, dir+"/far/away/b.pem", "first")
			link(t, dir+"/far", dir+"/near")
			link(t, "near/away/b.pem", dir+"/a.pem")
		}, func(t *testing.T, dir string, n int) { write(t, dir+"/far/away/b.pem", fmt.Sprint(n)) }},
	} {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			file := filepath.Join(dir, way.file)
			write(t, file, "first")
			if way.prepare != nil {
				way.prepare(t, dir)
			}
			w := Start(Config{Poll: time.Hour, Settle: time.Millisecond, Trouble: func(err error) { t.Error(err) }})
			defer w.Close()
			for _, f := range []string{filepath.Join(dir, "elsewhere"), file} {
				w.Follow([]string{f})
				<-w.Changes()
			}
			for n := 1; n <= 6; n++ {
				before := Look([]string{file})
				way.change(t, dir, n)
				limit := time.After(30 * time.Second)
				for len(Look([]string{file}).Changed(before)) == 0 {
					t.Fatal("the test changes nothing")
				}
				select {
				case <-w.Changes():
				case <-limit:
					t.Fatalf("round %d: nobody says that it is time to look", n)
				}
				drain(w)
			}
		})
	}
}

// drain waits until nothing more comes of a change.
func drain(w *Watcher) {
	for {
		select {
		case <-w.Changes():
		case <-time.After(50 * time.Millisecond):
			return
		}
	}
}

// fake is a notifier by hand.
type fake struct {
	names chan string
	dirs  map[string]bool
}

func (f *fake) Add(dir string) error    { f.dirs[dir] = true; return nil }
func (f *fake) Remove(dir string) error { delete(f.dirs, dir); return nil }
func (f *fake) Events() <-chan string   { return f.names }
func (f *fake) Close() error            { return nil }

// Changes are told when it has been quiet for a moment, or after ten such moments
// without one; what happens to other files is not told at all; the poll is.
func TestWhenChangesAreTold(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a.pem")
	write(t, file, "x")
	synctest.Test(t, func(t *testing.T) {
		f := &fake{make(chan string), map[string]bool{}}
		w := Start(Config{Notifier: f})
		defer w.Close()
		start := time.Now()
		told := func() time.Duration {
			<-w.Changes()
			return time.Since(start)
		}
		w.Follow([]string{file})
		told()
		real, err := filepath.EvalSymlinks(dir)
		must(t, err)
		if !f.dirs[real] || len(f.dirs) != 1 {
			t.Errorf("watched are %v, want %s", f.dirs, real)
		}
		f.names <- filepath.Join(real, "other.log")
		for range 3 {
			f.names <- filepath.Join(real, "a.pem")
			time.Sleep(400 * time.Millisecond)
		}
		if got, want := told(), 1300*time.Millisecond; got != want {
			t.Errorf("told after %v, want %v", got, want)
		}

		time.Sleep(10*time.Second - time.Since(start))
		busy := time.Now()
		for len(w.Changes()) == 0 {
			f.names <- filepath.Join(real, "a.pem")
			time.Sleep(100 * time.Millisecond)
		}
		if got := time.Since(busy); got < 5*time.Second || got > 5100*time.Millisecond {
			t.Errorf("never quiet: told after %v, want 5 s", got)
		}
		told()
		f.names <- "" // some were lost
		lost := time.Now()
		if told(); time.Since(lost) > time.Second {
			t.Errorf("told %v after some were lost", time.Since(lost))
		}

		for _, want := range []time.Duration{30 * time.Second, time.Minute} {
			if got := told(); got != want {
				t.Errorf("polled after %v, want %v", got, want)
			}
		}
		w.Follow(nil)
		synctest.Wait()
		if len(f.dirs) != 0 {
			t.Errorf("nothing is followed, and watched are %v", f.dirs)
		}
		time.Sleep(5 * time.Minute)
		if len(w.Changes()) != 0 {
			t.Error("nothing is followed, and a poll was told")
		}
	})
}

func TestLook(t *testing.T) {
	dir := t.TempDir()
	a, b, c := filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "c")
	write(t, a, "1")
	write(t, b, "2")
	before := Look([]string{a, b, a})
	if got := Look([]string{b, a}).Changed(before); len(got) != 0 {
		t.Errorf("nothing has changed, and yet %q", got)
	}
	swap(t, a, "1")
	if got := Look([]string{a, b}).Changed(before); len(got) != 0 {
		t.Errorf("the same text, and yet %q", got)
	}
	swap(t, a, "3")
	must(t, os.Remove(b))
	must(t, os.Mkdir(b, 0o700))
	if got, want := Look([]string{a, b, c}).Changed(before), []string{a, b, c}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	gone := Look([]string{b, c})
	must(t, os.Remove(b))
	if got := Look([]string{b}).Changed(gone); !slices.Equal(got, []string{b, c}) {
		t.Errorf("got %q", got)
	}
}

// A ring of links ends.
func TestLinksInARing(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Symlink("b", filepath.Join(dir, "a")))
	must(t, os.Symlink("a", filepath.Join(dir, "b")))
	if n := len(points(filepath.Join(dir, "a"))); n > 2*maxLinks {
		t.Errorf("%d points", n)
	}
	Look([]string{filepath.Join(dir, "a")})
}
