package notify

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"prefork/internal/testproc"
)

// The relations in which a process can stand to the worker. Each member of the
// family but the last starts the next one.
const (
	speaks = "speaks" // sends READY=1, waits to be killed
	parts  = "parts"  // sends READY=1 when its parent has gone, waits to be killed
	ends   = "ends"   // sends READY=1 and ends
	waits  = "waits"  // by a barrier, like systemd-notify: then it ends
	parent = "parent" // starts the next member and waits to be killed
	leaves = "leaves" // starts the next member and ends at once
	leader = "leader" // like parent, the next one in a session of its own
	exiles = "exiles" // like leaves, the next one in a session of its own
	reaps  = "reaps"  // starts the next member, waits for its end, then to be killed
	idle   = "idle"   // says nothing, waits to be killed
)

func TestWhoMaySpeak(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		members string
		reason  string // of the rejection; "" if it may speak
	}{
		"the worker":                       {members: "speaks"},
		"the worker, which has ended":      {members: "ends"},
		"its child":                        {members: "parent speaks"},
		"its grandchild":                   {members: "parent parent speaks"},
		"its child's orphan":               {members: "parent leaves parts"},
		"its child in a session":           {members: "leader speaks"},
		"below its child in a session":     {members: "leader parent speaks"},
		"an orphan below a session":        {members: "parent leader leaves parts", reason: "neither the worker"},
		"an orphan in a session":           {members: "parent exiles parts", reason: "neither the worker"},
		"its child, that waits":            {members: "parent waits"},
		"far below, and waits":             {members: "leader leader parent waits"},
		"its child, which has gone":        {members: "reaps ends", reason: "ended before it could be checked"},
		"below more than anybody means to": {members: strings.Repeat("leader ", 6) + "speaks"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := mustOpen(t)
			defer mustClose(t, s)
			members := strings.Fields(test.members)
			worker := startFamily(t, s, members)
			awaitLast(t, worker, members)
			m, err := s.Receive(worker.PID())
			checkVerdict(t, m, err, test.reason)
		})
	}
}

func checkVerdict(t *testing.T, m Message, err error, reason string) {
	t.Helper()
	var rejected *RejectedError
	switch {
	case reason == "":
		if err != nil || !m.Ready {
			t.Errorf("got %+v, %v, want ready", m, err)
		}
	case !errors.As(err, &rejected) || !strings.Contains(rejected.Reason, reason):
		t.Errorf("got %+v, %v, want it rejected because %q", m, err, reason)
	default:
		checkLine(t, err.Error(), 300)
	}
}

// awaitLast waits until the sender has gone for good, if that is its role.
func awaitLast(t *testing.T, worker *testproc.Process, members []string) {
	t.Helper()
	if members[len(members)-1] != ends {
		return
	}
	line := worker.AwaitLine(t, "sent by")
	pid, err := strconv.Atoi(line[strings.LastIndexByte(line, ' ')+1:])
	if err != nil {
		t.Fatalf("a PID at the end of %q: %v", line, err)
	}
	testproc.Await(t, "the sender to be waited for", func() bool {
		_, _, err := relatives(pid)
		return errors.Is(err, errGone)
	})
}

func TestStrangersMayNotSpeak(t *testing.T) {
	t.Parallel()
	s := mustOpen(t)
	defer mustClose(t, s)
	worker := startFamily(t, s, []string{idle})
	startFamily(t, s, []string{speaks})
	_, err := s.Receive(worker.PID())
	checkVerdict(t, Message{}, err, fmt.Sprintf("neither the worker, process %d, nor a descendant", worker.PID()))
	// The master is above the worker, not below it.
	mustSend(t, s.Path(), "READY=1")
	_, err = s.Receive(worker.PID())
	checkVerdict(t, Message{}, err, "neither the worker")
	// Before there is a worker nobody may.
	mustSend(t, s.Path(), "READY=1")
	_, err = s.Receive(0)
	checkVerdict(t, Message{}, err, "no worker")
}

// What a worker says before anybody knows its PID waits in the queue.
func TestWordsBeforeThePIDIsKnown(t *testing.T) {
	t.Parallel()
	s := mustOpen(t)
	defer mustClose(t, s)
	worker := startFamily(t, s, []string{ends})
	worker.AwaitExit(t)
	m, err := s.Receive(worker.PID())
	checkVerdict(t, m, err, "")
}

func TestFloodArrivesWholeAndInOrder(t *testing.T) {
	t.Parallel()
	const messages = 1000
	s := mustOpen(t)
	defer mustClose(t, s)
	cmd := testproc.Impersonate(t, "flood", strconv.Itoa(messages))
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+s.Path())
	worker := testproc.Start(t, cmd)
	for i := range messages {
		m, err := s.Receive(worker.PID())
		if want := strconv.Itoa(i); err != nil || m.Status != want {
			t.Fatalf("got status %q, %v, want %q", m.Status, err, want)
		}
	}
	if state := worker.AwaitExit(t); !state.Success() {
		t.Errorf("the sender: %s", state)
	}
}

func flood(args []string) int {
	messages, err := strconv.Atoi(args[0])
	if err != nil {
		return complain(err)
	}
	for i := range messages {
		if err := say("STATUS=" + strconv.Itoa(i)); err != nil {
			return complain(err)
		}
	}
	return 0
}

// The program that shell scripts use, as a child of the worker: first as whoever
// runs the tests, then as somebody who may not speak for his parent, so that its
// own PID counts and only the barrier keeps it there.
func TestSystemdNotify(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("systemd-notify")
	if err != nil {
		t.Skip("systemd-notify is not installed")
	}
	const script = `"$0" --ready --status="from a shell" && echo done; exec sleep 600`
	for name, credential := range map[string]*syscall.Credential{
		"as we are": nil,
		"as nobody": {Uid: 65534, Gid: 65534},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if credential != nil && os.Getuid() != 0 {
				t.Skip("needs root")
			}
			s := mustOpenForAll(t)
			defer mustClose(t, s)
			cmd := exec.Command("sh", "-c", script, program)
			cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+s.Path())
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: credential}
			if credential != nil {
				if err := s.Chown(int(credential.Uid), int(credential.Gid)); err != nil {
					t.Fatal(err)
				}
			}
			worker := testproc.Start(t, cmd)
			m, err := s.Receive(worker.PID())
			if err != nil || !m.Ready || m.Status != "from a shell" {
				t.Errorf("got %+v, %v, want ready and a status", m, err)
			}
			if m, err = s.Receive(worker.PID()); err != nil || !m.Barrier {
				t.Errorf("got %+v, %v, want a barrier", m, err)
			}
			worker.AwaitLine(t, "done")
		})
	}
}

// mustOpenForAll opens a socket in a folder that other users may pass.
func mustOpenForAll(t *testing.T) *Socket {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "notify")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	s, err := Open(filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// startFamily starts the worker, in a process group of its own.
func startFamily(t *testing.T, s *Socket, members []string) *testproc.Process {
	t.Helper()
	cmd := testproc.Impersonate(t, "family", members...)
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+s.Path())
	return testproc.Start(t, cmd)
}

// family is one member, which the first argument names.
func family(members []string) int {
	if err := live(members[0], members[1:]); err != nil {
		return complain(err)
	}
	return 0
}

func live(member string, next []string) error {
	switch member {
	case leaves, exiles:
		// The end of this pipe tells the child that its parent has gone.
		_, err := beget(next, member == exiles, true)
		return err
	case parent, leader, reaps:
		child, err := beget(next, member == leader, false)
		if err == nil && member == reaps {
			err = child.Wait()
		}
		if err != nil {
			return err
		}
	case parts:
		if _, err := io.Copy(io.Discard, os.NewFile(3, "parent")); err != nil {
			return err
		}
		fallthrough
	case speaks, ends, waits:
		if err := say("READY=1"); err != nil {
			return err
		}
	}
	switch member {
	case ends:
		fmt.Println("sent by", os.Getpid())
		return nil
	case waits:
		return sayBarrier()
	}
	return unix.Pause() // until it is killed
}

// beget starts the next member. With a pipe, that one has its read end as
// descriptor 3, and nobody but this process has the other.
func beget(members []string, session, pipe bool) (*exec.Cmd, error) {
	cmd := exec.Command("/proc/self/exe", append([]string{"family"}, members...)...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: session}
	if pipe {
		r, _, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		cmd.ExtraFiles = []*os.File{r}
	}
	return cmd, cmd.Start()
}

// say is what sd_notify(3) does.
func say(text string) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Sendto(fd, []byte(text), unix.MSG_NOSIGNAL, &unix.SockaddrUnix{Name: os.Getenv("NOTIFY_SOCKET")})
}

// sayBarrier is what sd_notify_barrier(3) does.
func sayBarrier() error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	err = unix.Sendmsg(fd, []byte("BARRIER=1"), unix.UnixRights(int(w.Fd())), &unix.SockaddrUnix{Name: os.Getenv("NOTIFY_SOCKET")}, 0)
	if err = errors.Join(err, w.Close()); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, r)
	return err
}

func complain(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}
