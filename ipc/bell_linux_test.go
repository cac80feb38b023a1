package ipc

import (
	"testing"

	"golang.org/x/sys/unix"
)

func mustBell(t testing.TB) *Bell {
	t.Helper()
	bell, err := NewBell()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := bell.Close(); err != nil {
			t.Error(err)
		}
	})
	return bell
}

// TestBellIsHeardByEverybody: each ring wakes each of those who listen, once.
func TestBellIsHeardByEverybody(t *testing.T) {
	t.Parallel()
	bell := mustBell(t)
	var listeners [3]int
	for i := range listeners {
		fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET}
		if err := unix.EpollCtl(fd, unix.EPOLL_CTL_ADD, bell.FD(), &event); err != nil {
			t.Fatal(err)
		}
		listeners[i] = fd
	}
	heard := func() (n int) {
		for _, fd := range listeners {
			var events [1]unix.EpollEvent
			got, err := unix.EpollWait(fd, events[:], 0)
			if err != nil {
				t.Fatal(err)
			}
			n += got
		}
		return n
	}
	if n := heard(); n != 0 {
		t.Errorf("%d heard a bell that nobody rang", n)
	}
	for ring := range 3 {
		bell.Ring()
		if n := heard(); n != len(listeners) {
			t.Errorf("ring %d was heard by %d, want %d", ring, n, len(listeners))
		}
		if n := heard(); n != 0 {
			t.Errorf("ring %d was heard by %d a second time", ring, n)
		}
	}
}
