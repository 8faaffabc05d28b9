package cli

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// quota returns how many whole cores the process's control group may use, 0
// when it has no limit. Part of a core counts as one.
func quota() int {
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return 0
	}
	_, path, ok := strings.Cut(strings.TrimSpace(string(own)), "0::")
	if !ok {
		return 0
	}
	least := 0
	for dir := filepath.Join("/sys/fs/cgroup", path); strings.HasPrefix(dir, "/sys/fs/cgroup"); dir = filepath.Dir(dir) {
		if n := quotaOf(filepath.Join(dir, "cpu.max")); n > 0 && (least == 0 || n < least) {
			least = n
		}
	}
	return least
}

// quotaOf reads a cpu.max file: "max 100000", or a quota and a period.
func quotaOf(file string) int {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	limit, period, ok := strings.Cut(strings.TrimSpace(string(text)), " ")
	if !ok {
		return 0
	}
	q, err := strconv.Atoi(limit)
	if err != nil {
		return 0
	}
	p, err := strconv.Atoi(period)
	if err != nil || p <= 0 {
		return 0
	}
	return max(1, q/p)
}
