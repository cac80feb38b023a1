package master

import (
	"bytes"
	"os"
	"strconv"
)

// ticksPerSecond is the unit of the times in /proc/PID/stat: USER_HZ, which is
// 100 on every architecture that Go knows (proc(5), sysconf(3) _SC_CLK_TCK).
const ticksPerSecond = 100

// usage returns a process's resident memory and the CPU time that it has used,
// user and system. Both are 0 when it has gone: a reused PID cannot be told
// apart here, and the figures are for reading only.
func usage(pid int) (rssBytes uint64, cpuSeconds float64) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, 0
	}
	return parseUsage(b)
}

// parseUsage reads /proc/PID/stat; figures that are not there are 0.
func parseUsage(stat []byte) (rssBytes uint64, cpuSeconds float64) {
	// The command's name stands in parentheses and may hold anything, so the
	// fields count from the last closing one: state is field 3 of proc(5).
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	const state, utime, stime, rss = 3, 14, 15, 24
	if len(fields) <= rss-state {
		return 0, 0
	}
	number := func(field int) uint64 {
		n, _ := strconv.ParseUint(string(fields[field-state]), 10, 64) // 0 when the kernel writes no number
		return n
	}
	return number(rss) * uint64(os.Getpagesize()), float64(number(utime)+number(stime)) / ticksPerSecond
}
