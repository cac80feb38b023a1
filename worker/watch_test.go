package worker

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"prefork/internal/testproc"
	"prefork/ipc"
)

const (
	neighbour    = 3 // a sibling's slot
	farNeighbour = 4
)

// watch has a serving worker watch sockets of a sibling, or let go of them.
func (c *child) watch(t testing.TB, slot uint32, listeners ...*os.File) {
	t.Helper()
	c.sendWatch(t, slot, listeners...)
	c.mustHear(t, ipc.Watched{Slot: slot})
}

func (c *child) sendWatch(t testing.TB, slot uint32, listeners ...*os.File) {
	t.Helper()
	var fds []int
	for _, listener := range listeners {
		fds = append(fds, int(listener.Fd()))
	}
	c.send(t, ipc.Watch{Slot: slot}, fds...)
}

// mustListenForWorkers is mustListen, non-blocking as the master's sockets for our
// own workers are.
func mustListenForWorkers(t testing.TB) (listener *os.File, address string) {
	t.Helper()
	listener, address = mustListen(t)
	if err := unix.SetNonblock(int(listener.Fd()), true); err != nil {
		t.Fatal(err)
	}
	return listener, address
}

// copies are the descriptors that the worker has of a socket.
func (c *child) copies(t testing.TB, listener *os.File) []string {
	t.Helper()
	var stat unix.Stat_t
	if err := unix.Fstat(int(listener.Fd()), &stat); err != nil {
		t.Fatal(err)
	}
	var found []string
	for fd, target := range c.descriptors(t) {
		if target == fmt.Sprintf("socket:[%d]", stat.Ino) {
			found = append(found, fd)
		}
	}
	return found
}

func (c *child) descriptors(t testing.TB) map[string]string {
	t.Helper()
	folder := fmt.Sprintf("/proc/%d/fd", c.cmd.Process.Pid)
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	targets := map[string]string{}
	for _, entry := range entries {
		if target, err := os.Readlink(filepath.Join(folder, entry.Name())); err == nil { // else it was closed meanwhile
			targets[entry.Name()] = target
		}
	}
	return targets
}

// registrations are the events for which any poller of the worker waits at the
// socket (proc_pid_fdinfo(5)).
func (c *child) registrations(t testing.TB, listener *os.File) (events []uint32) {
	t.Helper()
	copies := c.copies(t, listener)
	for fd, target := range c.descriptors(t) {
		if target != "anon_inode:[eventpoll]" {
			continue
		}
		file, err := os.Open(fmt.Sprintf("/proc/%d/fdinfo/%s", c.cmd.Process.Pid, fd))
		if err != nil {
			t.Fatal(err)
		}
		for lines := bufio.NewScanner(file); lines.Scan(); {
			var watched string
			var mask uint32
			if _, err := fmt.Sscanf(lines.Text(), "tfd: %s events: %x", &watched, &mask); err != nil {
				continue
			}
			for _, copied := range copies {
				if watched == copied {
					events = append(events, mask)
				}
			}
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return events
}

// mustWatchOnce checks that the worker has one copy of the socket, in one poller,
// and takes no wake-up from anybody there.
func (c *child) mustWatchOnce(t testing.TB, listener *os.File) {
	t.Helper()
	if copies := c.copies(t, listener); len(copies) != 1 {
		t.Errorf("the worker has the socket as %v, want one descriptor", copies)
	}
	events := c.registrations(t, listener)
	if len(events) != 1 || events[0]&unix.EPOLLEXCLUSIVE == 0 || events[0]&unix.EPOLLIN == 0 {
		t.Errorf("pollers of the worker wait there for %x, want one, exclusively", events)
	}
}

func TestWatchesASibling(t *testing.T) { onEachEngine(t, watchesASibling) }

func watchesASibling(t *testing.T, hello ipc.Settings) {
	own, address := mustListenForWorkers(t)
	theirs, theirAddress := mustListenForWorkers(t)
	c := start(t, own).serving(t, hello)
	waiting := mustDial(t, theirAddress)
	c.watch(t, neighbour, theirs)
	waiting.mustHello(t)
	if err := waiting.Close(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		c.watch(t, neighbour, theirs) // at the end of the line again
		c.mustWatchOnce(t, theirs)
		mustServe(t, theirAddress)
		mustServe(t, address)
	}
	eventually(t, "counters of 7 connections, 4 of a sibling", func() bool {
		got := c.counters(t)
		return got.Accepted == 7 && got.Helped == 4
	})
	flags, err := unix.FcntlInt(theirs.Fd(), unix.F_GETFL, 0)
	if err != nil || flags&unix.O_NONBLOCK == 0 {
		t.Errorf("the sibling's socket has flags %#x, %v: it blocks for all who have it", flags, err)
	}

	c.watch(t, neighbour) // lets go
	if copies := c.copies(t, theirs); len(copies) != 0 {
		t.Errorf("the worker still has the socket as %v", copies)
	}
	mustDial(t, theirAddress)
	mustServe(t, address)
	c.mustBeat(t)
	c.mustBeat(t)
	if got := queueLength(t, theirs); got != 1 {
		t.Errorf("%d connections wait in a queue that was let go, want 1", got)
	}
	c.mustDrain(t, "")
}

// TestLetGoServesWhatWaits: the master closes the slot when it hears of it.
func TestLetGoServesWhatWaits(t *testing.T) { onEachEngine(t, letGoServesWhatWaits) }

func letGoServesWhatWaits(t *testing.T, hello ipc.Settings) {
	own, _ := mustListenForWorkers(t)
	theirs, theirAddress := mustListenForWorkers(t)
	c := start(t, own).serving(t, hello)
	c.watch(t, neighbour, theirs)
	c.signal(t, unix.SIGSTOP)
	c.mustStop(t)
	var clients []*client
	for range 20 {
		clients = append(clients, mustDial(t, theirAddress))
	}
	c.sendWatch(t, neighbour)
	c.signal(t, unix.SIGCONT)
	c.mustHear(t, ipc.Watched{Slot: neighbour})
	if got := queueLength(t, theirs); got != 0 {
		t.Errorf("%d connections wait in a queue that was let go, want none", got)
	}
	for _, client := range clients {
		client.mustHello(t)
	}
	c.send(t, ipc.Drain{})
	for _, client := range clients {
		client.mustEnd(t)
	}
	c.mustSay(t, ipc.Left{})
	c.mustExit(t, 0, "")
}

// mustStop waits until a SIGSTOP has taken effect.
func (c *child) mustStop(t testing.TB) {
	t.Helper()
	eventually(t, "the worker is stopped", func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(stat), ") T ")
	})
}

// TestDrainLetsGoOfSiblings: their sockets are closed BEFORE Left, as its own are,
// and a Watch that met the drain on the way is closed, too.
func TestDrainLetsGoOfSiblings(t *testing.T) { onEachEngine(t, drainLetsGoOfSiblings) }

func drainLetsGoOfSiblings(t *testing.T, hello ipc.Settings) {
	own, address := mustListenForWorkers(t)
	theirs, theirAddress := mustListenForWorkers(t)
	others, _ := mustListenForWorkers(t)
	c := start(t, own).serving(t, hello)
	c.watch(t, neighbour, theirs, others)
	c.watch(t, farNeighbour, others)
	client := holdRequest(t, c, address)
	c.signal(t, unix.SIGSTOP)
	c.mustStop(t)
	waiting := mustDial(t, theirAddress)
	c.send(t, ipc.Drain{})
	c.sendWatch(t, farNeighbour, theirs)
	c.signal(t, unix.SIGCONT)
	c.mustHear(t, ipc.Left{})
	eventually(t, "no copy of a sibling's socket is left", func() bool { // but for what comes after the drain
		return len(c.copies(t, theirs)) == 0
	})
	if copies := c.copies(t, others); len(copies) != 0 {
		t.Errorf("after Left the worker has a sibling's socket as %v", copies)
	}
	waiting.mustHello(t)
	waiting.mustEnd(t)
	client.finishRequest(t)
	c.mustSay(t)
	c.mustExit(t, 0, "")
}

// TestLeftMeansNoCopyOfASiblings: as soon as the master hears Left.
func TestLeftMeansNoCopyOfASiblings(t *testing.T) { onEachEngine(t, leftMeansNoCopyOfASiblings) }

func leftMeansNoCopyOfASiblings(t *testing.T, hello ipc.Settings) {
	own, address := mustListenForWorkers(t)
	theirs, _ := mustListenForWorkers(t)
	c := start(t, own).serving(t, hello)
	c.watch(t, neighbour, theirs)
	client := holdRequest(t, c, address)
	c.send(t, ipc.Drain{})
	c.mustHear(t, ipc.Left{})
	if copies := c.copies(t, theirs); len(copies) != 0 {
		t.Errorf("after Left the worker has a sibling's socket as %v", copies)
	}
	client.finishRequest(t)
	c.mustSay(t)
	c.mustExit(t, 0, "")
}

// TestBellFindsWhatWaits: somebody who came first took the wake-up and does not come.
func TestBellFindsWhatWaits(t *testing.T) { onEachEngine(t, bellFindsWhatWaits) }

func bellFindsWhatWaits(t *testing.T, hello ipc.Settings) {
	own, address := mustListenForWorkers(t)
	theirs, theirAddress := mustListenForWorkers(t)
	owner := testproc.NewSleeper(t, int(theirs.Fd()))
	c := start(t, own).serving(t, hello)
	c.watch(t, neighbour, theirs)
	stuck := c.loseWake(t, owner, theirs, theirAddress)
	c.bell.Ring()
	stuck.mustHello(t)
	mustServe(t, address)

	c.bell.Ring()
	c.send(t, ipc.Drain{})
	c.bell.Ring()
	stuck.mustEnd(t)
	c.mustSay(t, ipc.Left{})
	c.mustExit(t, 0, "")
}

// loseWake makes a connection of which nobody tells the worker. A sleeper that did
// not sleep yet is passed over, so it takes several attempts.
func (c *child) loseWake(t testing.TB, owner *testproc.Sleeper, listener *os.File, address string) *client {
	t.Helper()
	for range 20 {
		owner.Sleep()
		client := mustDial(t, address)
		woken := owner.Rise()
		c.mustBeat(t)
		c.mustBeat(t)
		if queueLength(t, listener) == 1 {
			if !woken {
				t.Fatal("a connection waits, and nobody was told of it")
			}
			return client
		}
		if err := client.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("the worker is told of every connection, although somebody sleeps who came first")
	return nil
}

// TestWatchFails: it is said, answered, and forgotten; what was watched stays.
func TestWatchFails(t *testing.T) { onEachEngine(t, watchFails) }

func watchFails(t *testing.T, hello ipc.Settings) {
	own, address := mustListenForWorkers(t)
	theirs, theirAddress := mustListenForWorkers(t)
	c := start(t, own).serving(t, hello)
	c.watch(t, neighbour, theirs)
	mine, deaf := mustSocketpair(t)
	defer unix.Close(mine)
	defer deaf.Close()
	c.watch(t, neighbour, theirs, deaf)
	if copies := c.copies(t, deaf); len(copies) != 0 {
		t.Errorf("the worker has kept a socket that it cannot watch, as %v", copies)
	}
	c.mustWatchOnce(t, theirs)
	mustServe(t, theirAddress)
	mustServe(t, address)
	c.mustDrain(t, "watch the sockets of slot 3: ")
}

// TestTooFewDescriptorsToWatch: what cannot be taken is closed, and the worker lives.
func TestTooFewDescriptorsToWatch(t *testing.T) { onEachEngine(t, tooFewDescriptorsToWatch) }

func tooFewDescriptorsToWatch(t *testing.T, hello ipc.Settings) {
	own, address := mustListenForWorkers(t)
	theirs, _ := mustListenForWorkers(t)
	c := start(t, own).serving(t, hello)
	mustServe(t, address) // it has opened by now whatever it needs for serving
	eventually(t, "the worker has no connection", func() bool { return c.counters(t).Connections == 0 })
	c.limitDescriptors(t, 2) // which the message takes
	c.watch(t, neighbour, theirs, theirs)
	if copies := c.copies(t, theirs); len(copies) != 0 {
		t.Errorf("the worker has the socket as %v, want none", copies)
	}
	mustServe(t, address)
	c.mustDrain(t, "watch the sockets of slot 3: take received descriptor: fcntl F_DUPFD_CLOEXEC: too many open files")
}

// limitDescriptors leaves the worker so many: the limit is a number, not a count.
func (c *child) limitDescriptors(t testing.TB, spare int) {
	t.Helper()
	used := c.descriptors(t)
	limit := uint64(0)
	for ; spare > 0; limit++ {
		if _, taken := used[fmt.Sprint(limit)]; !taken {
			spare--
		}
	}
	if err := unix.Prlimit(c.cmd.Process.Pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: limit, Max: limit}, nil); err != nil {
		t.Fatal(err)
	}
}

// TestSiblingsSlotCloses: who watches it hears nothing of it but a hang-up.
func TestSiblingsSlotCloses(t *testing.T) { onEachEngine(t, siblingsSlotCloses) }

func siblingsSlotCloses(t *testing.T, hello ipc.Settings) {
	own, address := mustListenForWorkers(t)
	theirs, _ := mustListenForWorkers(t)
	c := start(t, own).serving(t, hello)
	c.watch(t, neighbour, theirs)
	if err := unix.Shutdown(int(theirs.Fd()), unix.SHUT_RDWR); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the worker has closed its copy", func() bool { return len(c.copies(t, theirs)) == 0 })
	c.watch(t, neighbour)
	mustServe(t, address)
	c.mustDrain(t, "")
}

// TestOwnSocketShutDown: a worker that is deaf makes room for its successor.
func TestOwnSocketShutDown(t *testing.T) { onEachEngine(t, ownSocketShutDown) }

func ownSocketShutDown(t *testing.T, hello ipc.Settings) {
	own, address := mustListenForWorkers(t)
	c := start(t, own).serving(t, hello)
	client := holdRequest(t, c, address)
	if err := unix.Shutdown(int(own.Fd()), unix.SHUT_RDWR); err != nil {
		t.Fatal(err)
	}
	c.mustHear(t, ipc.Leaving{Reason: "its listening socket was shut down"}, ipc.Left{})
	client.finishRequest(t)
	c.mustSay(t)
	c.mustExit(t, 0, "this listening socket is served no more")
}

// TestOrphanHelpsOn: an orphan goes on watching, and does not leave when its own
// socket is lost, since nobody would take its place.
func TestOrphanHelpsOn(t *testing.T) { onEachEngine(t, orphanHelpsOn) }

func orphanHelpsOn(t *testing.T, hello ipc.Settings) {
	own, address := mustListenForWorkers(t)
	theirs, theirAddress := mustListenForWorkers(t)
	c := start(t, own).serving(t, hello)
	c.watch(t, neighbour, theirs)
	if err := c.conn.Close(); err != nil {
		t.Fatal(err)
	}
	c.mustSoonSay(t, "the master has gone")
	mustServe(t, address)
	mustServe(t, theirAddress)
	if err := unix.Shutdown(int(own.Fd()), unix.SHUT_RDWR); err != nil {
		t.Fatal(err)
	}
	c.mustSoonSay(t, "this listening socket is served no more")
	c.mustBeat(t)
	mustServe(t, theirAddress)
	c.signal(t, syscall.SIGTERM)
	if err := c.cmd.Wait(); err != nil {
		t.Error(err)
	}
}
