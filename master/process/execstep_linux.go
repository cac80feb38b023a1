package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// ExecStepArg as first argument makes our binary the exec step.
const ExecStepArg = "exec-step"

// step is what the master tells the exec step: argv[2], as JSON. Anybody on the
// machine can read it with ps. What a worker must keep to itself travels in the
// environment.
type step struct {
	Slot       int    `json:"slot"`
	Generation uint64 `json:"generation"`
	// Files is the number of descriptors, from 0, that the worker keeps.
	Files int    `json:"files"`
	Dir   string `json:"dir,omitempty"`
}

func stepOf(s Spec) step {
	files := firstListener + len(s.Listeners) + len(s.Siblings) // see files.open
	if s.IPC != nil {
		files++
	}
	return step{Slot: s.Slot, Generation: s.Generation, Files: files, Dir: s.Dir}
}

// argv is the exec step's argument vector. The program's own arguments follow
// as they are: they need not be UTF-8, which JSON would demand of them.
func (st step) argv(program []string) ([]string, error) {
	encoded, err := json.Marshal(st)
	if err != nil {
		return nil, fmt.Errorf("encode exec step: %w", err)
	}
	return append([]string{st.title("exec step"), ExecStepArg, string(encoded)}, program...), nil
}

// title is what ps shows.
func (st step) title(role string) string {
	return fmt.Sprintf("prefork: %s slot=%d generation=%d", role, st.Slot, st.Generation)
}

// ExecStep turns this process into the worker's program. It gets what follows
// ExecStepArg on the command line, and returns only when that failed: then one
// line on stderr has told why, and the result is the exit code (CodeNotFound,
// CodeNotExecutable, CodeStepFailed).
//
// Call it before the program starts goroutines of its own or opens anything.
func ExecStep(args []string) int {
	st, program, err := parseStep(args)
	if err == nil {
		err = st.become(program)
	}
	fmt.Fprintf(os.Stderr, "prefork: %v\n", err)
	var refused *refusedError
	if errors.As(err, &refused) {
		return refused.code
	}
	return CodeStepFailed
}

func parseStep(args []string) (step, []string, error) {
	var st step
	if len(args) < 2 {
		return st, nil, fmt.Errorf("%s is for the master, which starts its workers by it: use \"prefork run\"", ExecStepArg)
	}
	if err := json.Unmarshal([]byte(args[0]), &st); err != nil {
		return st, nil, fmt.Errorf("decode exec step: %w", err)
	}
	if st.Files < firstListener || st.Files > firstListener+listenersMax+1 {
		return st, nil, fmt.Errorf("decode exec step: %d files", st.Files)
	}
	return st, args[1:], nil
}

// become replaces this process by the program. It returns only an error.
func (st step) become(program []string) error {
	if st.Dir != "" {
		if err := os.Chdir(st.Dir); err != nil {
			return fmt.Errorf("enter working folder of slot %d: %w", st.Slot, err)
		}
	}
	// Whoever started the master may have left descriptors open in it. A worker
	// that kept them would hold foreign sockets and pipes open for its life.
	if err := unix.CloseRange(uint(st.Files), math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return fmt.Errorf("mark descriptors close-on-exec (needs Linux 5.11): %w", os.NewSyscallError("close_range", err))
	}
	path, err := find(program[0])
	if err != nil {
		return refuse(program[0], err)
	}
	if program[0] == Self {
		program = slices.Concat([]string{st.title("worker")}, program[1:])
	}
	defaultSignals()
	// Exec puts back the soft RLIMIT_NOFILE that the Go runtime had raised for
	// this process; the fork in the master did the same for the master's.
	return refuse(path, syscall.Exec(path, program, withPIDs(os.Environ())))
}

// defaultSignals undoes what this process inherited: a shell starts what stands
// before a & with SIGINT ignored, nohup(1) SIGHUP, and an ignored signal stays so
// for ever, also when it is the program's stop-signal. A signal that is caught is
// back at its default after execve(2), so to catch it is enough.
func defaultSignals() {
	for sig := unix.Signal(1); sig < 32; sig++ {
		if signal.Ignored(sig) {
			signal.Notify(make(chan os.Signal, 1), sig)
		}
	}
}

func find(program string) (string, error) {
	if strings.Contains(program, "/") {
		return program, nil // execve itself tells best what is wrong with it
	}
	return exec.LookPath(program)
}

// withPIDs adds what only the process itself knows. Programs compare it with
// their own PID, so that what is meant for a worker does not reach its children.
func withPIDs(env []string) []string {
	self := strconv.Itoa(os.Getpid())
	for _, pair := range [][2]string{{envListenFDs, envListenPID}, {envWatchdog, envWatchdogPID}} {
		given := func(entry string) bool { return strings.HasPrefix(entry, pair[0]+"=") }
		if slices.ContainsFunc(env, given) {
			env = append(env, pair[1]+"="+self)
		}
	}
	return env
}
