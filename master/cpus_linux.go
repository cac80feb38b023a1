package master

import (
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// usableCPUs returns how many CPUs this process may use: those of its affinity
// mask (which runtime.NumCPU counts), and no more than its cgroup's quota,
// rounded up.
func usableCPUs() int {
	n := runtime.NumCPU()
	if quota := cgroupQuota("/proc/self/cgroup", "/sys/fs/cgroup"); quota > 0 {
		n = min(n, max(1, int(math.Ceil(quota))))
	}
	return n
}

// cgroupQuota returns the smallest CPU quota of this process's cgroup (version
// 2) and those above it, in CPUs; 0 when there is none.
func cgroupQuota(membership, mount string) (smallest float64) {
	b, err := os.ReadFile(membership)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		group, unified := strings.CutPrefix(strings.TrimSpace(line), "0::")
		if !unified {
			continue
		}
		for dir := filepath.Clean("/" + group); ; dir = filepath.Dir(dir) {
			if q := quotaOf(filepath.Join(mount, dir, "cpu.max")); q > 0 && (smallest == 0 || q < smallest) {
				smallest = q
			}
			if dir == "/" {
				break
			}
		}
	}
	return smallest
}

// quotaOf reads a cpu.max file: "QUOTA PERIOD" in microseconds, or "max PERIOD".
func quotaOf(path string) float64 {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	quota, period, _ := strings.Cut(strings.TrimSpace(string(b)), " ")
	q, errQuota := strconv.ParseFloat(quota, 64)
	p, errPeriod := strconv.ParseFloat(period, 64)
	if errQuota != nil || errPeriod != nil || p <= 0 {
		return 0 // "max"
	}
	return q / p
}
