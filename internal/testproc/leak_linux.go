package testproc

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"go.uber.org/goleak"
)

// settlePatience bounds the wait for what is ending when the tests have: a
// process between SIGKILL and its end, a goroutine about to return. A variable,
// so that the tests of these checks need not wait for it.
var settlePatience = 10 * time.Second

// settle asks until nothing is left or settlePatience is over, since what is
// about to end is no leak.
func settle(left func() []string) []string {
	deadline := time.Now().Add(settlePatience)
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		problems := left()
		if len(problems) == 0 || time.Now().After(deadline) {
			return problems
		}
		<-ticker.C
	}
}

// leftProcesses names the living processes of this run.
func (r *testRun) leftProcesses() []string {
	found, err := marked(r.mark)
	if err != nil {
		return []string{fmt.Sprintf("look for processes left over: %v", err)}
	}
	var problems []string
	for _, p := range found {
		problems = append(problems, fmt.Sprintf("a process is left over and is killed: %s: %s", p, commandLine(p.pid)))
	}
	return problems
}

// endProcesses kills what leftProcesses named.
func (r *testRun) endProcesses() {
	found, err := marked(r.mark)
	if err != nil {
		return // leftProcesses has reported the same
	}
	for _, p := range found {
		if err := killMarked(p.pid, r.mark); err != nil {
			fmt.Fprintf(os.Stderr, "testproc: %v\n", err)
		}
	}
}

// leftChildren names our own children, zombies above all.
func leftChildren() []string {
	all, err := processes()
	if err != nil {
		return []string{fmt.Sprintf("look for children left over: %v", err)}
	}
	var problems []string
	for _, p := range all {
		if p.parent == os.Getpid() {
			problems = append(problems, fmt.Sprintf("a child was never waited for: %s", p))
		}
	}
	return problems
}

// openDescriptors maps our descriptors to what they are. It makes the runtime
// open its poller first, which stays open from then on.
func openDescriptors() (map[int]string, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	_, _ = r.Close(), w.Close() // nothing was written
	return readDescriptors()
}

func readDescriptors() (map[int]string, error) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil, err
	}
	open := map[int]string{}
	for _, entry := range entries {
		fd, err := strconv.Atoi(entry.Name())
		if err != nil {
			return nil, err
		}
		// The descriptor that read the folder is closed by now: no target.
		if target, err := os.Readlink("/proc/self/fd/" + entry.Name()); err == nil {
			open[fd] = target
		}
	}
	return open, nil
}

func leftDescriptors(before map[int]string) []string {
	now, err := readDescriptors()
	if err != nil {
		return []string{fmt.Sprintf("look for open descriptors: %v", err)}
	}
	var problems []string
	for fd, target := range now {
		if before[fd] != target {
			problems = append(problems, fmt.Sprintf("descriptor %d is still open: %s", fd, target))
		}
	}
	return problems
}

// leftFiles names what is in the temporary folder besides what Main put there.
func (r *testRun) leftFiles() []string {
	own := map[string]bool{r.dir: true, r.dir + "/coverage": true}
	for b := range r.builds { // all tests have ended
		own[filepath.Join(r.dir, b.name)] = true
	}
	var problems []string
	err := filepath.WalkDir(r.dir, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case os.IsNotExist(err), own[path], filepath.Dir(path) == r.dir+"/coverage":
			return nil // removed meanwhile, or ours
		case err != nil:
			return err
		case entry.Type()&fs.ModeSocket != 0:
			problems = append(problems, fmt.Sprintf("a socket is left over: %s", path))
		default:
			problems = append(problems, fmt.Sprintf("a file is left over: %s", path))
		}
		return nil
	})
	if err != nil {
		problems = append(problems, fmt.Sprintf("look for files left over: %v", err))
	}
	return problems
}

// leftGoroutines settles by itself.
func leftGoroutines() []string {
	if err := goleak.Find(); err != nil {
		return []string{err.Error()}
	}
	return nil
}

// commandLine is for messages: empty when the process has ended.
func commandLine(pid int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return ""
	}
	return strings.ReplaceAll(strings.TrimRight(string(text), "\x00"), "\x00", " ")
}
