package reactor

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"prefork/internal/testproc"
)

// Hand-over between loops that run, with clients and heirs that are processes.

// child is one of children, which a test talks to by lines.
type child struct {
	t     testing.TB
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines *bufio.Scanner
}

func startChild(t testing.TB, name string, files []*os.File, args ...string) *child {
	t.Helper()
	c := &child{t: t, cmd: exec.Command(os.Args[0], args...)}
	c.cmd.Env = append(os.Environ(), childVariable+"="+name)
	c.cmd.ExtraFiles, c.cmd.Stderr = files, os.Stderr
	var err error
	c.in, err = c.cmd.StdinPipe()
	must(t, err)
	out, err := c.cmd.StdoutPipe()
	must(t, err)
	c.lines = bufio.NewScanner(out)
	must(t, c.cmd.Start())
	t.Cleanup(func() { c.in.Close(); _ = c.cmd.Wait() })
	return c
}

func (c *child) tell(line string) {
	c.t.Helper()
	_, err := io.WriteString(c.in, line+"\n")
	must(c.t, err)
}

func (c *child) hear() string {
	c.t.Helper()
	if !c.lines.Scan() {
		c.t.Fatalf("the child says no more: %v", c.lines.Err())
	}
	return c.lines.Text()
}

// beClients is a child: so many clients that say a line each. It says "ready", and at
// each line that it gets how many got a right answer to another one.
func beClients() error {
	address, n := os.Args[1], 0
	if _, err := fmt.Sscan(os.Args[2], &n); err != nil {
		return err
	}
	conns := make([]net.Conn, n)
	for i := range conns {
		var err error
		if conns[i], err = net.Dial("tcp", address); err != nil {
			return err
		}
		if !converse(conns[i], "a\n", "a\n") {
			return errors.New("no answer to the first line")
		}
	}
	fmt.Println("ready")
	in := bufio.NewScanner(os.Stdin)
	for lines := 2; in.Scan(); lines++ {
		right := 0
		for _, c := range conns {
			if converse(c, "count\n", strconv.Itoa(lines)+"\n") {
				right++
			}
		}
		fmt.Println(right)
	}
	return nil
}

func converse(c net.Conn, question, want string) bool {
	answer := make([]byte, len(want))
	_ = c.SetDeadline(time.Now().Add(patienceOfTests)) // else the next call fails
	if _, err := io.WriteString(c, question); err != nil {
		return false
	}
	_, err := io.ReadFull(c, answer)
	return err == nil && string(answer) == want
}

// beHeir is a child: it takes what comes by descriptor 3, and is killed when it has
// taken as many as its first argument says. The lines "few" and "many" say how many
// descriptors it may have, and so does its second argument.
func beHeir() error {
	life, err := strconv.Atoi(os.Args[1])
	if err != nil {
		return err
	}
	loop, err := New(Config{
		Taken: func(n int) {
			if life -= n; life <= 0 {
				_ = unix.Kill(os.Getpid(), unix.SIGKILL)
				select {} // it is on its way
			}
		},
		NewHandler: func() Handler { return &talk{lineHandler: lineHandler{new([]string)}} },
		Report:     func(err error) { fmt.Println("report:", err) },
	})
	if err != nil {
		return err
	}
	in := bufio.NewScanner(os.Stdin)
	go func() {
		for in.Scan() {
			must(panicker{}, loop.Post(func() { setDescriptors(in.Text()) }))
		}
		loop.Drain(loop.clock(), nil)
	}()
	setDescriptors(os.Args[2])
	if err := loop.Take(3); err != nil {
		return err
	}
	fmt.Println("ready")
	return loop.Run()
}

// panicker is the testing.TB of a child.
type panicker struct{ testing.TB }

func (panicker) Helper()           {}
func (panicker) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

const fewDescriptors = 50

func setDescriptors(how string) {
	var limit unix.Rlimit
	must(panicker{}, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	limit.Cur = limit.Max
	if how == "few" {
		limit.Cur = fewDescriptors
	}
	must(panicker{}, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))
}

// runner is a loop that runs.
type runner struct {
	t       testing.TB
	loop    *Loop
	address string
	given   atomic.Int64
	cut     atomic.Int64
	conns   atomic.Int64
	reports chan error
	endC    chan error
}

func newRunner(t testing.TB) *runner {
	t.Helper()
	s := &runner{t: t, reports: make(chan error, 100), endC: make(chan error, 1)}
	fd, address, err := listenAnywhere()
	must(t, err)
	s.address = address
	s.loop, err = New(Config{
		NewHandler:  func() Handler { return &politeTalk{talk{lineHandler: lineHandler{new([]string)}}, s} },
		Given:       func(n int) { s.given.Add(int64(n)) },
		Cut:         func(n int) { s.cut.Add(int64(n)) },
		Connections: func(n int) { s.conns.Store(int64(n)) },
		Report:      func(err error) { s.reports <- err },
	})
	must(t, err)
	must(t, s.loop.Listen(fd))
	go func() { s.endC <- s.loop.Run() }()
	t.Cleanup(func() {
		s.loop.Drain(s.loop.clock(), nil) // at once
		<-s.endC
		unix.Close(fd)
	})
	return s
}

// politeTalk closes when the loop says that it drains.
type politeTalk struct {
	talk
	server *runner
}

func (h *politeTalk) Handle(in, out []byte) (consumed int, output []byte, next Phase) {
	if h.server.loop.Draining() {
		return len(in), append(out, "no more of this\n"...), Close
	}
	return h.talk.Handle(in, out)
}

// post runs a task on the loop and waits for it.
func (s *runner) post(task func() error) {
	s.t.Helper()
	done := make(chan error, 1)
	must(s.t, s.loop.Post(func() { done <- task() }))
	must(s.t, <-done)
}

// drain has the server drain, with an heir at the other end of the pair.
func (s *runner) drain(giving int) {
	s.t.Helper()
	s.post(func() error { return s.loop.Give(giving, 0) })
	s.loop.Drain(s.loop.clock()+int64(patienceOfTests), nil)
}

// end waits until the loop has ended, and leaves it so.
func (s *runner) end() {
	s.t.Helper()
	select {
	case err := <-s.endC:
		must(s.t, err)
		s.endC <- nil
	case <-time.After(patienceOfTests):
		s.t.Fatalf("the loop does not end: %d connections, %d given", s.conns.Load(), s.given.Load())
	}
}

// clientsOf starts clients and waits until they have their first answers.
func clientsOf(t testing.TB, s *runner, n int) *child {
	t.Helper()
	c := startChild(t, "be-clients", nil, s.address, strconv.Itoa(n))
	c.hear()
	return c
}

// right asks all clients again, and returns how many got the right answer.
func (c *child) right() int {
	c.t.Helper()
	c.tell("again")
	n, err := strconv.Atoi(c.hear())
	must(c.t, err)
	return n
}

// heirOf starts an heir that takes so many, and returns the other end of its pair.
func heirOf(t testing.TB, life int, descriptors string) (heir *child, giving int) {
	t.Helper()
	giving, taking := newPair(t)
	file := os.NewFile(uintptr(taking), "pair")
	heir = startChild(t, "be-heir", []*os.File{file}, strconv.Itoa(life), descriptors)
	file.Close()
	heir.hear()
	return heir, giving
}

// manyConnections is as many as the limit of descriptors allows: those that are under
// way are open twice.
func manyConnections(t testing.TB) int {
	var limit unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	return int(min(12000, limit.Cur/5*3))
}

func TestHandOverOfThousands(t *testing.T) {
	n := manyConnections(t)
	giver, heir := newRunner(t), newRunner(t)
	clients := clientsOf(t, giver, n)
	giving, taking := newPair(t)
	heir.post(func() error { return heir.loop.Take(taking) })
	began := time.Now()
	giver.drain(giving)
	giver.end()
	took := time.Since(began)
	if right := clients.right(); right != n || giver.given.Load() != int64(n) {
		t.Errorf("%d given, %d of %d clients got an answer afterwards", giver.given.Load(), right, n)
	}
	if took > 2*time.Second {
		t.Errorf("it took %v for %d connections, want 2 s at most", took, n)
	}
	t.Logf("%d connections in %v", n, took)
}

// Connections that are ready at once are served in batches, and change their worker
// three times meanwhile: each request has one answer, and none of the answers says that
// its connection ends.
func TestHandOverUnderLoad(t *testing.T) {
	const clientsMax, stages = 64, 4
	servers := make([]*runner, stages)
	for i := range servers {
		servers[i] = newRunner(t)
	}
	var answers atomic.Int64
	var stop atomic.Bool
	failed := make(chan error, clientsMax)
	for range clientsMax {
		conn, err := net.Dial("tcp", servers[0].address)
		must(t, err)
		go func() {
			defer conn.Close()
			var err error
			for n := 1; !stop.Load() && err == nil; n++ {
				if !converse(conn, "count\n", strconv.Itoa(n)+"\n") {
					err = fmt.Errorf("no answer to line %d, or another one", n)
				}
				answers.Add(1)
			}
			failed <- err
		}()
	}
	for i, heir := range servers[1:] {
		goal := answers.Load() + 20*clientsMax
		testproc.Await(t, "the clients get on", func() bool { return answers.Load() >= goal || len(failed) > 0 })
		giving, taking := newPair(t)
		heir.post(func() error { return heir.loop.Take(taking) })
		servers[i].drain(giving)
		servers[i].end()
		if given := servers[i].given.Load(); given != clientsMax {
			t.Errorf("%d given by loop %d, want %d", given, i, clientsMax)
		}
	}
	stop.Store(true)
	for range clientsMax {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
}

// An heir is killed in the middle: only those are lost that it had acknowledged.
func TestHeirIsKilled(t *testing.T) {
	for _, test := range []struct{ conns, after int }{{1000, 1}, {1000, 2 * parcelMax}, {5000, 2500}} {
		t.Run(fmt.Sprint(test), func(t *testing.T) {
			giver := newRunner(t)
			n := min(test.conns, manyConnections(t))
			clients := clientsOf(t, giver, n)
			heir, giving := heirOf(t, test.after, "many")
			giver.drain(giving)
			_ = heir.cmd.Wait() // "signal: killed"
			lost := n - clients.right()
			if given := int(giver.given.Load()); lost != given || given < test.after || given > test.after+parcelMax {
				t.Errorf("%d connections are lost and %d were given, want about %d", lost, given, test.after)
			}

			_, giving = heirOf(t, everything, "many")
			giver.post(func() error { return giver.loop.Give(giving, 0) })
			giver.end()
			if right := clients.right(); right != n-lost {
				t.Errorf("%d clients got an answer from the second heir, want %d", right, n-lost)
			}
			if giver.given.Load() != int64(n) || giver.cut.Load() != 0 {
				t.Errorf("%d given and %d cut of %d", giver.given.Load(), giver.cut.Load(), n)
			}
		})
	}
}

// The kernel drops descriptors that the heir has no room for (MSG_CTRUNC).
func TestHeirIsOutOfDescriptors(t *testing.T) {
	t.Parallel()
	const n = 2 * parcelMax
	giver := newRunner(t)
	clients := clientsOf(t, giver, n)
	heir, giving := heirOf(t, everything, "few")
	giver.drain(giving)
	if report := heir.hear(); !strings.HasPrefix(report, "report: take connections: "+unix.EMFILE.Error()) {
		t.Errorf("the heir says %q", report)
	}
	if given := giver.given.Load(); given >= fewDescriptors {
		t.Errorf("%d given to an heir that can have %d", given, fewDescriptors)
	}
	if right := clients.right(); right != n {
		t.Errorf("%d of %d clients got an answer", right, n)
	}
	heir.tell("many")
	giver.end()
	if right := clients.right(); right != n || giver.given.Load() != n {
		t.Errorf("%d of %d clients got an answer afterwards, %d given", right, n, giver.given.Load())
	}
}

// The kernel carries no more descriptors for this user (ETOOMANYREFS, unix(7)).
func TestTooManyDescriptorsUnderWay(t *testing.T) {
	t.Parallel()
	c := startChild(t, "too-many-refs", nil)
	if said := c.hear(); said != "done" {
		t.Errorf("the child says %q", said)
	}
}

// giveTooManyRefs is a child: an unprivileged one with few descriptors.
func giveTooManyRefs() error {
	t := childTest{}
	r, heir := newTalker(t, Config{}), newTalker(t, Config{})
	clients := r.talkers(2*parcelMax + 50)
	r.inherit(heir)
	var limit unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	limit.Cur = parcelMax / 2
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))
	if os.Getuid() == 0 {
		const nobody = 65534
		must(t, syscall.Setuid(nobody))
	}
	r.drain(0)
	r.quiet()
	if h := r.loop.heirs[0]; len(h.sent) != 1 || !h.pause.pending() {
		return fmt.Errorf("%d parcels are under way, want one, and a pause", len(h.sent))
	}
	limit.Cur = limit.Max
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))
	for range 10 { // nothing spins, and what was not sent is served
		r.pass(heirPause + wheelTick)
	}
	for _, c := range clients {
		c.offer([]byte("b\n"))
	}
	r.quiet()
	ours := 0
	for _, c := range clients {
		if c.poll(); c.received.Len() > 0 {
			ours++
		}
	}
	if ours < 50 || len(r.loop.heirs) != 1 {
		return fmt.Errorf("%d of %d got an answer while nothing could be sent", ours, len(clients))
	}
	r.beside = []*rig{heir}
	r.until("the loop is drained", r.loop.drained)
	for _, c := range clients {
		c.expect("b\n")
		c.ask("c")
	}
	fmt.Println("done")
	return nil
}

// childTest is the testing.TB of a rig in a child.
type childTest struct{ panicker }

func (childTest) Cleanup(func())                    {}
func (childTest) Errorf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (childTest) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
