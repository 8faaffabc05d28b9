package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestFullDiskUnderCalls fills the file system of the data directory while calls come: all of them are answered, an alarm
// says what is wrong and goes when there is room again, and every record is there in the end. The gateway is started on
// the full disk, too.
func TestFullDiskUnderCalls(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	small := filepath.Join(dir, "small")
	mount(t, small, "16m")
	addr := someAddresses(t, "127.0.0.1", 4)
	config := phonesConfig(addr, "data: small")
	gateway := startServe(t, dir, config)
	want := 0
	talk := func(run string, calls int) {
		t.Helper()
		p := newPhones(t, addr[1], addr[2], addr[0], run)
		defer p.close()
		for n := range calls {
			p.place(n, time.Millisecond)
			time.Sleep(2 * time.Millisecond)
		}
		soon(t, "every call is over", func() bool {
			over := 0
			for id, c := range p.seen() {
				if c.status != 0 && c.status != 200 {
					t.Fatalf("%s got %d", id, c.status)
				}
				if !c.ended.IsZero() {
					over++
				}
			}
			return over == calls
		})
		want += calls
	}
	alarms := func(p *process) (raised, cleared int) {
		return len(p.logged("the records of calls cannot be written")), len(p.logged("the records of calls are written again"))
	}

	talk("before", 20)
	fill(t, small)
	talk("full", 2500) // until it shows: the journal has blocks of its own
	soon(t, "there is an alarm", func() bool { raised, _ := alarms(gateway); return raised > 0 })
	status := sallyport(t, dir, "status", "--json")
	if !json.Valid([]byte(status)) || !strings.Contains(status, "no space left") {
		t.Errorf("the status does not tell of the alarm:\n%s", status)
	}
	talk("still", 20)
	if err := os.Remove(filepath.Join(small, "filler")); err != nil {
		t.Fatal(err)
	}
	soon(t, "the alarm is over", func() bool { raised, cleared := alarms(gateway); return cleared >= 1 && cleared == raised })
	wantAllEnded(t, dir, want)

	fill(t, small)
	gateway.cmd.Process.Kill()
	<-gateway.ended
	gateway = startServe(t, dir, config)
	talk("again", 20)
	if err := os.Remove(filepath.Join(small, "filler")); err != nil {
		t.Fatal(err)
	}
	wantAllEnded(t, dir, want)
	gateway.terminate(t)
	wantAllEnded(t, dir, want)
}

// wantAllEnded wants that many records, all of calls that ended.
func wantAllEnded(t *testing.T, dir string, want int) {
	t.Helper()
	var got map[string]cdrLine
	soon(t, fmt.Sprintf("%d records are there", want), func() bool {
		got = cdrs(t, dir, "--state", "ended")
		return len(got) == want
	})
	if all := cdrs(t, dir); len(all) != want {
		t.Errorf("%d records, want %d", len(all), want)
	}
}

// mount makes a directory a small file system of its own, where the test may do that.
func mount(t *testing.T, dir, size string) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("small file systems are made on Linux only")
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size="+size, "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("a file system cannot be mounted here, for which one must be root: %v: %s", err, out)
	}
	t.Cleanup(func() {
		soon(t, "the file system is let go", func() bool { return exec.Command("umount", dir).Run() == nil })
	})
}

// fill writes until there is no room.
func fill(t *testing.T, dir string) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
}
