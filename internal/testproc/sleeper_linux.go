package testproc

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Sleeper waits for a listening socket as a worker does, in a thread of the test, and
// accepts nothing. It stands for the owner who is asked first, or for somebody who is
// stopped with a wake-up in its hands: the kernel tells nobody else of that one.
type Sleeper struct {
	t      testing.TB
	epoll  int
	getUp  int // an eventfd that ends its sleep
	wokenC chan bool
}

const sleepersSocket = 1 // marks its events; the eventfd's are 0

// NewSleeper takes its place in the line of those who wait for the socket; it does
// not sleep yet.
func NewSleeper(t testing.TB, listening int) *Sleeper {
	t.Helper()
	s := &Sleeper{t: t, epoll: -1, wokenC: make(chan bool)}
	var err error
	if s.getUp, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(s.getUp); s.Leave() })
	if s.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	s.watch(listening, unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLEXCLUSIVE, Fd: sleepersSocket})
	s.watch(s.getUp, unix.EpollEvent{Events: unix.EPOLLIN})
	return s
}

func (s *Sleeper) watch(fd int, event unix.EpollEvent) {
	s.t.Helper()
	if err := unix.EpollCtl(s.epoll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
		s.t.Fatal(err)
	}
}

// Leave gives up its place, when it does not sleep.
func (s *Sleeper) Leave() {
	if s.epoll >= 0 {
		_ = unix.Close(s.epoll)
		s.epoll = -1
	}
}

// Sleep returns when the sleeper sleeps, as far as that can be seen: now and then it
// will only do so a moment later, and is passed over by the kernel.
func (s *Sleeper) Sleep() {
	s.t.Helper()
	threadC := make(chan int, 1)
	go s.sleep(threadC)
	stat := fmt.Sprintf("/proc/self/task/%d/stat", <-threadC)
	for end := time.Now().Add(Patience); ; runtime.Gosched() {
		line, err := os.ReadFile(stat)
		if err != nil {
			s.t.Fatal(err)
		}
		if bytes.Contains(line, []byte(") S ")) { // proc_pid_stat(5): interruptible sleep
			return
		}
		if time.Now().After(end) {
			s.t.Fatal("a thread does not come to rest")
		}
	}
}

// sleep keeps a thread to itself, so that its state is that of the wait.
func (s *Sleeper) sleep(threadC chan<- int) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	threadC <- unix.Gettid()
	var events [2]unix.EpollEvent
	n, err := unix.EpollWait(s.epoll, events[:], -1)
	for err == unix.EINTR { // the runtime preempts by signals
		n, err = unix.EpollWait(s.epoll, events[:], -1)
	}
	woken := false
	for _, event := range events[:max(n, 0)] {
		woken = woken || event.Fd == sleepersSocket
	}
	s.wokenC <- woken
}

// Rise ends the sleep and says whether a connection had woken the sleeper.
func (s *Sleeper) Rise() (woken bool) {
	s.t.Helper()
	if _, err := unix.Write(s.getUp, []byte{1, 0, 0, 0, 0, 0, 0, 0}); err != nil {
		s.t.Fatal(err)
	}
	woken = <-s.wokenC
	if _, err := unix.Read(s.getUp, make([]byte, 8)); err != nil {
		s.t.Fatal(err)
	}
	return woken
}
