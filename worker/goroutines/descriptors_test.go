package goroutines

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// spareDescriptors is how many connections the child can hold.
const spareDescriptors = 5

// serveWithFewDescriptors is a child: it serves until its stdin ends and says on
// stdout where, and what it reports.
func serveWithFewDescriptors() error {
	fd, address, err := listenAnywhere()
	if err != nil {
		return err
	}
	e, err := New(Config{
		Handler: http.HandlerFunc(mirror),
		Report:  func(err error) { fmt.Println("report:", err) },
	})
	if err != nil {
		return err
	}
	if err := e.Listen(fd); err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // its end is the message
		e.Drain(0, nil)
	}()
	if err := lowerDescriptorLimit(); err != nil {
		return err
	}
	fmt.Println("serving on", address)
	return e.Run()
}

// lowerDescriptorLimit comes after the runtime's poller was opened: a pipe does it.
func lowerDescriptorLimit() error {
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	_, _ = read.Close(), write.Close() // nothing was written
	// The limit is a number, not a count, and whoever started us may have left us
	// some that are far above it.
	limit := uint64(0)
	for free := 0; free < spareDescriptors; limit++ {
		if _, err := unix.FcntlInt(uintptr(limit), unix.F_GETFD, 0); err == unix.EBADF {
			free++
		}
	}
	return unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: limit, Max: limit})
}

// Out of descriptors the engine goes on serving what it has, says so once, and
// accepts again when there are some.
func TestOutOfDescriptors(t *testing.T) {
	t.Parallel()
	executable, err := os.Executable()
	must(t, err)
	child := exec.Command(executable)
	child.Env = append(os.Environ(), childVariable+"=1")
	child.Stderr = os.Stderr
	stdin, err := child.StdinPipe()
	must(t, err)
	stdout, err := child.StdoutPipe()
	must(t, err)
	must(t, child.Start())
	t.Cleanup(func() { _ = child.Process.Kill() }) // of a failed test; else it has exited
	said := bufio.NewScanner(stdout)
	address, _ := strings.CutPrefix(nextLine(t, said), "serving on ")

	const waiting = 1 // more could make a second shortage of one
	conns := make([]*client, spareDescriptors+waiting)
	for i := range conns {
		c, err := net.DialTimeout("tcp", address, patience)
		must(t, err)
		conns[i] = newClient(t, c)
		conns[i].write(get)
	}
	if line := nextLine(t, said); !strings.Contains(line, "too many open files: accepting pauses") {
		t.Errorf("reported %q, want that accepting pauses and why", line)
	}
	for _, c := range conns[:spareDescriptors] {
		c.expect(200, mirrored)
		c.write(get) // it still serves them
		c.expect(200, mirrored)
	}
	for _, c := range conns[:spareDescriptors] {
		must(t, c.Close())
	}
	for _, c := range conns[spareDescriptors:] {
		c.expect(200, mirrored)
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
