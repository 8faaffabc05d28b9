//go:build linux

package proccpu

import (
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"
)

func TestReadCountsTheWorkOfEveryThread(t *testing.T) {
	before, err := Read([]int{os.Getpid()})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan uint64)
	const work = 60 * time.Millisecond
	go func() { // another thread than the main one
		var n uint64
		for end := time.Now().Add(work); time.Now().Before(end); {
			n++
		}
		done <- n
	}()
	<-done
	after, err := Read([]int{os.Getpid()})
	if err != nil {
		t.Fatal(err)
	}
	if used := after.Sub(before).Sched; used <= 0 {
		t.Errorf("run time grew by %v while a thread worked for %v", used, work)
	}
	if after.Processes != 1 || after.Threads < 2 {
		t.Errorf("got %d processes, %d threads; want 1 and several", after.Processes, after.Threads)
	}
}

func TestTreeHoldsChildren(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Skipf("no sleep command: %v", err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	tree, err := Tree(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if tree[0] != os.Getpid() || !slices.Contains(tree, cmd.Process.Pid) {
		t.Errorf("tree %v lacks this process %d or its child %d", tree, os.Getpid(), cmd.Process.Pid)
	}
	memory, err := Memory(tree)
	if err != nil {
		t.Fatal(err)
	}
	if memory < 1<<20 {
		t.Errorf("memory of %v is %d bytes, want more than a MiB", tree, memory)
	}
}

func TestReadOfAProcessThatIsGone(t *testing.T) {
	cmd := exec.Command("true")
	if err := cmd.Run(); err != nil {
		t.Skipf("no true command: %v", err)
	}
	if _, err := Read([]int{cmd.Process.Pid}); err == nil {
		t.Error("a process that has ended was read without an error")
	}
}

func TestBusyGrows(t *testing.T) {
	a, err := Busy()
	if err != nil {
		t.Fatal(err)
	}
	b, err := Busy()
	if err != nil {
		t.Fatal(err)
	}
	if a <= 0 || b < a {
		t.Errorf("busy time went from %v to %v", a, b)
	}
}
