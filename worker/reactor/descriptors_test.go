package reactor

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// spareDescriptors is how many connections the child can hold.
const spareDescriptors = 5

// serveWithFewDescriptors is a child: it serves until its stdin ends and says
// on stdout where, and what it reports.
func serveWithFewDescriptors() error {
	fd, address, err := listenAnywhere()
	if err != nil {
		return err
	}
	var handled []string
	loop, err := New(Config{
		NewHandler: func() Handler { return lineHandler{&handled} },
		Report:     func(err error) { fmt.Println("report:", err) },
	})
	if err != nil {
		return err
	}
	if err := loop.Listen(fd); err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // its end is the message
		loop.Drain(0, nil)
	}()
	if err := lowerDescriptorLimit(); err != nil {
		return err
	}
	fmt.Println("serving on", address)
	return loop.Run()
}

// lowerDescriptorLimit leaves a few numbers: the limit is one, not a count, and
// whoever started us may have left us descriptors that are far above it.
func lowerDescriptorLimit() error {
	limit := uint64(0)
	for free := 0; free < spareDescriptors; limit++ {
		if _, err := unix.FcntlInt(uintptr(limit), unix.F_GETFD, 0); err == unix.EBADF {
			free++
		}
	}
	return unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: limit, Max: limit})
}

func listenAnywhere() (fd int, address string, err error) {
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, "", err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return -1, "", err
	}
	if err := unix.Listen(fd, 1024); err != nil {
		return -1, "", err
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		return -1, "", err
	}
	return fd, fmt.Sprintf("127.0.0.1:%d", bound.(*unix.SockaddrInet4).Port), nil
}

// Out of descriptors the loop goes on serving what it has, says so once, and
// accepts again when there are some.
func TestOutOfDescriptors(t *testing.T) {
	t.Parallel()
	executable, err := os.Executable()
	must(t, err)
	child := exec.Command(executable)
	child.Env = append(os.Environ(), childVariable+"=out-of-descriptors")
	child.Stderr = os.Stderr
	stdin, err := child.StdinPipe()
	must(t, err)
	stdout, err := child.StdoutPipe()
	must(t, err)
	must(t, child.Start())
	t.Cleanup(func() { _ = child.Process.Kill() }) // of a failed test; else it has exited
	said := bufio.NewScanner(stdout)
	address, _ := strings.CutPrefix(nextLine(t, said), "serving on ")

	const waiting = 3
	conns := make([]net.Conn, spareDescriptors+waiting)
	for i := range conns {
		conns[i], err = net.DialTimeout("tcp", address, patienceOfTests)
		must(t, err)
		defer conns[i].Close()
		must(t, conns[i].SetDeadline(time.Now().Add(patienceOfTests)))
		_, err = conns[i].Write([]byte("a\n"))
		must(t, err)
	}
	if line := nextLine(t, said); !strings.Contains(line, "too many open files: accepting pauses") {
		t.Errorf("reported %q, want that accepting pauses and why", line)
	}
	for _, c := range conns[:spareDescriptors] {
		answer(t, c)
		_, err = c.Write([]byte("b\n")) // it still serves them
		must(t, err)
		answer(t, c)
	}
	for _, c := range conns[:spareDescriptors] {
		must(t, c.Close())
	}
	for _, c := range conns[spareDescriptors:] {
		answer(t, c)
		must(t, c.Close())
	}
	must(t, stdin.Close())
	if said.Scan() {
		t.Errorf("then reported %q, want one report for one shortage", said.Text())
	}
	must(t, child.Wait())
}

func nextLine(t testing.TB, s *bufio.Scanner) string {
	t.Helper()
	if !s.Scan() {
		t.Fatalf("the child says nothing: %v", s.Err())
	}
	return s.Text()
}

func answer(t testing.TB, c net.Conn) {
	t.Helper()
	var got [2]byte
	if _, err := io.ReadFull(c, got[:]); err != nil {
		t.Fatalf("read answer: %v", err)
	}
}
