//go:build linux

// Package proccpu reads what a process tree has cost so far: CPU time and memory, from /proc.
//
// Two readings around a stretch of work, subtracted, give the cost of that stretch. The scheduler's own account
// (the first number of /proc/PID/task/TID/schedstat, in nanoseconds) is summed over every thread, because
// /proc/PID/schedstat speaks of the main thread alone; utime and stime of /proc/PID/stat, in clock ticks of the
// whole process, are kept beside it as a check.
package proccpu

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is the length of one clock tick of /proc/PID/stat: USER_HZ is 100 on every Linux architecture Go supports.
const tick = 10 * time.Millisecond

// Usage is what a set of processes has used since they began.
type Usage struct {
	Sched     time.Duration // run time by the scheduler's account, all threads
	Ticks     time.Duration // user plus system time in clock ticks, all threads, also those that have ended
	Memory    int64         // proportional set size in bytes: shared pages count once over all processes
	Processes int
	Threads   int
}

// Tree lists root and all its descendants.
func Tree(root int) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	children := make(map[int][]int)
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		f, err := statFields(pid)
		if err != nil {
			continue // ended between the listing and now
		}
		parent, _ := strconv.Atoi(f[1])
		children[parent] = append(children[parent], pid)
	}
	tree := []int{root}
	for i := 0; i < len(tree); i++ {
		tree = append(tree, children[tree[i]]...)
	}
	return tree, nil
}

// Read sums the CPU time of the processes named. Memory is left out: see Memory, which is slower.
func Read(pids []int) (Usage, error) {
	var u Usage
	for _, pid := range pids {
		f, err := statFields(pid)
		if err != nil {
			return u, err
		}
		// Fields 14 and 15 of proc(5) are utime and stime; the slice begins at field 3.
		user, _ := strconv.ParseInt(f[11], 10, 64)
		system, _ := strconv.ParseInt(f[12], 10, 64)
		u.Ticks += time.Duration(user+system) * tick
		threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
		if err != nil {
			return u, err
		}
		u.Processes++
		for _, t := range threads {
			b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/schedstat", pid, t.Name()))
			if err != nil {
				continue // the thread has ended
			}
			run, _, _ := strings.Cut(string(b), " ")
			ns, err := strconv.ParseInt(run, 10, 64)
			if err != nil {
				return u, fmt.Errorf("process %d: unreadable schedstat %q", pid, b)
			}
			u.Sched += time.Duration(ns)
			u.Threads++
		}
	}
	return u, nil
}

// Memory sums the proportional set size of the processes named, in bytes.
func Memory(pids []int) (int64, error) {
	var sum int64
	for _, pid := range pids {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			return 0, err
		}
		for line := range bytes.Lines(b) {
			if rest, ok := bytes.CutPrefix(line, []byte("Pss:")); ok {
				kib, err := strconv.ParseInt(string(bytes.TrimSpace(bytes.TrimSuffix(bytes.TrimSpace(rest), []byte("kB")))), 10, 64)
				if err != nil {
					return 0, fmt.Errorf("process %d: unreadable size %q", pid, line)
				}
				sum += kib << 10
			}
		}
	}
	return sum, nil
}

// Sub gives the CPU time used between an earlier reading and this one.
func (u Usage) Sub(earlier Usage) Usage {
	u.Sched -= earlier.Sched
	u.Ticks -= earlier.Ticks
	return u
}

// Busy is the time all cores of the machine together have spent on anything but waiting.
func Busy() (time.Duration, error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	line, _, _ := strings.Cut(string(b), "\n")
	f := strings.Fields(line)
	if len(f) < 9 || f[0] != "cpu" {
		return 0, fmt.Errorf("/proc/stat: first line %q is not the sum of all cores", line)
	}
	var ticks int64
	for i, v := range f[1:9] { // user nice system idle iowait irq softirq steal
		if i == 3 || i == 4 {
			continue
		}
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/stat: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * tick, nil
}

// statFields returns the fields of /proc/PID/stat from the third on: the second, the name, may hold blanks.
func statFields(pid int) ([]string, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, err
	}
	end := bytes.LastIndexByte(b, ')')
	f := strings.Fields(string(b[end+1:]))
	if end < 0 || len(f) < 13 {
		return nil, fmt.Errorf("process %d: unreadable stat %q", pid, b)
	}
	return f, nil
}
