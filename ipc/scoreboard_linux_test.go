package ipc

import (
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestScoreboardCounts(t *testing.T) {
	t.Parallel()
	master := mustScoreboard(t)
	if got, err := master.Read(); err != nil || got != (Counters{}) {
		t.Errorf("a new scoreboard reads %+v, %v, want zeros", got, err)
	}
	worker := mustOpenScoreboard(t, master)
	now := Monotonic()
	worker.Beat(now)
	worker.AddAccepted(3)
	worker.AddAccepted(4)
	worker.AddRequests(11)
	worker.AddHelped(2)
	worker.SetConnections(9)
	worker.SetConnections(5)
	worker.AddGiven(21)
	worker.AddTaken(22)
	worker.AddFinished(23)
	worker.AddCut(24)

	want := Counters{Beat: now, Accepted: 7, Requests: 11, Helped: 2, Connections: 5, Given: 21, Taken: 22, Finished: 23, Cut: 24}
	if got, err := master.Read(); err != nil || got != want {
		t.Errorf("Read() = %+v, %v, want %+v", got, err, want)
	}
}

func TestCountingDoesNotAllocate(t *testing.T) { // not parallel: testing.AllocsPerRun forbids it
	worker := mustOpenScoreboard(t, mustScoreboard(t))
	allocations := testing.AllocsPerRun(100, func() {
		worker.Beat(Monotonic())
		worker.AddAccepted(1)
		worker.AddRequests(1)
		worker.AddHelped(1)
		worker.SetConnections(1)
		worker.AddGiven(1)
		worker.AddTaken(1)
		worker.AddFinished(1)
		worker.AddCut(1)
	})
	if allocations != 0 {
		t.Errorf("%v allocations, want 0", allocations)
	}
}

func TestScoreboardTravels(t *testing.T) {
	t.Parallel()
	master, worker := mustPair(t)
	board := mustScoreboard(t)
	mustSend(t, master, Welcome{Version: Version}, board.FD(), mustBell(t).FD())
	_, files := mustReceiveFiles(t, worker)
	defer closeFiles(files[1:])
	opened, err := OpenScoreboard(files[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = opened.Close() })
	opened.AddRequests(1)
	if got, err := board.Read(); err != nil || got.Requests != 1 {
		t.Errorf("Read() = %+v, %v, want one request", got, err)
	}
	if opened.FD() != -1 {
		t.Errorf("the worker's scoreboard has descriptor %d, want none", opened.FD())
	}
	if err := files[0].Close(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("OpenScoreboard left its file open: %v", err)
	}
}

// TestConcurrentWriter reads while another process counts: no counter ever goes
// back, and none is torn.
func TestConcurrentWriter(t *testing.T) {
	t.Parallel()
	board := mustScoreboard(t)
	child := startCommand(t, "count without end", mustDup(t, board.FD()))

	const enough = 100_000
	within(t, "a child that counts", func() {
		var last Counters
		for last.Requests < enough {
			got, err := board.Read()
			if err != nil {
				t.Errorf("read beside a writer: %v", err)
				return
			}
			if got.Beat < last.Beat || got.Accepted < last.Accepted || got.Requests < last.Requests {
				t.Errorf("counters went back from %+v to %+v", last, got)
				return
			}
			if got.Connections != 0 && got.Connections != ^uint64(0) {
				t.Errorf("connections are torn: %#x", got.Connections)
				return
			}
			last = got
		}
	})
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // says that it was killed
}

func countWithoutEnd() error {
	board, err := OpenScoreboard(os.NewFile(childFD, "scoreboard"))
	if err != nil {
		return err
	}
	for i := uint64(0); ; i++ {
		board.Beat(Monotonic())
		board.AddAccepted(1)
		board.AddRequests(2)
		board.SetConnections(-(i & 1)) // all bits clear, then all set
	}
}

func TestReadRefusesAnOverwrittenHeader(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		damage func(*board)
		want   string
	}{
		{"magic", func(b *board) { b.magic.Store(7) }, "magic 0x7"},
		{"version", func(b *board) { b.version.Store(99) }, "version 99"},
		{"size", func(b *board) { b.size.Store(1) }, "size 1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			master := mustScoreboard(t)
			worker := mustOpenScoreboard(t, master)
			test.damage(worker.board)
			_, err := master.Read()
			mustFail(t, err, test.want)
		})
	}
}

func TestOpenScoreboardRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		size  int64
		seals int
		want  string
	}{
		{"garbage header", scoreboardSize, scoreboardSeals, "header is magic 0x0"},
		{"too small", scoreboardSize - 1, scoreboardSeals, "size is 4095 bytes"},
		{"too big", scoreboardSize + 1, scoreboardSeals, "size is 4097 bytes"},
		{"empty", 0, scoreboardSeals, "size is 0 bytes"},
		{"no seals", scoreboardSize, 0, "lack some"},
		{"may shrink", scoreboardSize, scoreboardSeals &^ unix.F_SEAL_SHRINK, "lack some"},
		{"may grow", scoreboardSize, scoreboardSeals &^ unix.F_SEAL_GROW, "lack some"},
		{"may be sealed more", scoreboardSize, scoreboardSeals &^ unix.F_SEAL_SEAL, "lack some"},
		{"read-only for ever", scoreboardSize, scoreboardSeals | unix.F_SEAL_WRITE, "mmap"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := OpenScoreboard(mustMemfd(t, test.size, test.seals))
			mustFail(t, err, test.want)
		})
	}
}

func TestOpenScoreboardRefusesOtherFiles(t *testing.T) {
	t.Parallel()
	read, write := mustPipe(t)
	_, err := OpenScoreboard(write)
	mustFail(t, err, "invalid argument")
	mustEnd(t, read) // it was closed nevertheless
}

func TestScoreboardCannotBeTruncated(t *testing.T) {
	t.Parallel()
	board := mustScoreboard(t)
	for _, size := range []int64{0, scoreboardSize / 2, scoreboardSize * 2} {
		if err := unix.Ftruncate(board.FD(), size); err != unix.EPERM {
			t.Errorf("ftruncate to %d: %v, want EPERM", size, err)
		}
	}
	if !closedOnExec(t, board.FD()) {
		t.Error("the scoreboard would leak into a child")
	}
}

func TestClosedScoreboard(t *testing.T) {
	t.Parallel()
	board, err := NewScoreboard()
	if err != nil {
		t.Fatal(err)
	}
	if err := board.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := board.Read(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Read after Close: %v, want os.ErrClosed", err)
	}
	if err := board.Close(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("second Close: %v, want os.ErrClosed", err)
	}
}

func TestMonotonicDoesNotGoBack(t *testing.T) {
	t.Parallel()
	last := Monotonic()
	if last <= 0 {
		t.Errorf("Monotonic() = %d, want a time after the boot", last)
	}
	for range 1000 {
		now := Monotonic()
		if now < last {
			t.Fatalf("Monotonic() = %d after %d", now, last)
		}
		last = now
	}
}

func mustScoreboard(t testing.TB) *Scoreboard {
	t.Helper()
	board, err := NewScoreboard()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = board.Close() })
	return board
}

func mustOpenScoreboard(t testing.TB, master *Scoreboard) *Scoreboard {
	t.Helper()
	board, err := OpenScoreboard(mustDup(t, master.FD()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = board.Close() })
	return board
}

func mustDup(t testing.TB, fd int) *os.File {
	t.Helper()
	copied, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(copied), "copy")
	t.Cleanup(func() { _ = f.Close() }) // its receiver may have closed it already
	return f
}

func mustMemfd(t testing.TB, size int64, seals int) *os.File {
	t.Helper()
	fd, err := createMemfd("test")
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "memfd")
	t.Cleanup(func() { _ = f.Close() }) // OpenScoreboard closed it already
	if err := unix.Ftruncate(fd, size); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		t.Fatal(err)
	}
	return f
}

func mustFail(t testing.TB, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Fatalf("error %v, want one with %q", err, want)
	}
}
