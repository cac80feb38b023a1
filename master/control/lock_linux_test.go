package control

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

func TestLockTellsWhoHoldsIt(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "run", "web.lock")
	holder := startChild(t, os.Geteuid(), "hold", path)
	if holder.said != "holds\n" {
		t.Fatalf("the child says %q", holder.said)
	}
	_, err := TakeLock(path)
	var held *HeldError
	if !errors.As(err, &held) || held.PID != holder.Process.Pid {
		t.Fatalf("got %v, want a HeldError with pid %d", err, holder.Process.Pid)
	}
	want := fmt.Sprintf("another master of this name runs (pid %d; it holds %s): stop it with prefork stop, or choose another --name", held.PID, path)
	if err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
	holder.kill(t)
	if note, err := os.ReadFile(path); err != nil || len(note) == 0 {
		t.Fatalf("the dead master's lock file: %q, %v, want its pid", note, err)
	}
	mustLock(t, path) // the kernel has given it back
}

func TestLockWhoseHolderIsUnknown(t *testing.T) {
	t.Parallel()
	for name, note := range map[string]string{"empty": "", "garbage": "pid?", "negative": "-4", "huge": strings.Repeat("9", 100)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "web.lock")
			mustLock(t, path)
			if err := os.WriteFile(path, []byte(note), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := TakeLock(path)
			if err == nil || !strings.Contains(err.Error(), "(its pid is not known; it holds "+path+")") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestLockLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "web.lock")
	lock, err := TakeLock(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("the lock file: %v, %v, want mode 0600", info, err)
	}
	for range 2 { // a second Close does nothing
		if err := lock.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the lock file is still there: %v", err)
	}
	mustLock(t, path)
}

func TestLockCloseLeavesTheFileOfAnother(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "web.lock")
	lock, err := TakeLock(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil { // somebody tidies up /run
		t.Fatal(err)
	}
	other := mustLock(t, path)
	if err := lock.Close(); err != nil {
		t.Error(err)
	}
	if !isSameFile(other.fd, path) {
		t.Error("the other master's lock file is gone")
	}
}

// TestLockHasOneHolder lets many take and give back the same lock: since each
// removes the file, a wrong order would soon give it to two at once.
func TestLockHasOneHolder(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "web.lock")
	var holders, taken atomic.Int32
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 500 {
				lock, err := TakeLock(path)
				var held *HeldError
				switch {
				case errors.As(err, &held):
					continue
				case err != nil:
					t.Error(err)
					return
				}
				taken.Add(1)
				if n := holders.Add(1); n != 1 || !isSameFile(lock.fd, path) {
					t.Errorf("%d hold the lock at once, or one holds a file that is gone", n)
				}
				holders.Add(-1)
				if err := lock.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if taken.Load() == 0 {
		t.Error("nobody ever got the lock")
	}
}

// TestLockOfARemovedFileCountsForNothing stops the race in its worst moment: the
// file was opened, and then its holder removed it and left.
func TestLockOfARemovedFileCountsForNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "web.lock")
	lock, err := TakeLock(path)
	if err != nil {
		t.Fatal(err)
	}
	late, err := openLockFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(late)
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	if err := lockOpenFile(late, path); !errors.Is(err, errReplaced) {
		t.Errorf("got %v, want errReplaced", err)
	}
}

func TestLockIsNotInherited(t *testing.T) {
	t.Parallel()
	lock := mustLock(t, filepath.Join(t.TempDir(), "web.lock"))
	flags, err := unix.FcntlInt(uintptr(lock.fd), unix.F_GETFD, 0)
	if err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("descriptor flags %#x, %v, want close-on-exec", flags, err)
	}
}

func TestLockRefusesWhatIsNoFile(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		plant func(path string) error
		want  string
	}{
		"link":   {func(path string) error { return os.Symlink("/dev/null", path) }, "too many levels of symbolic links"},
		"pipe":   {func(path string) error { return unix.Mkfifo(path, 0o600) }, "not a regular file: move it away"},
		"folder": {func(path string) error { return os.Mkdir(path, 0o700) }, "is a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "web.lock")
			if err := tc.plant(path); err != nil {
				t.Fatal(err)
			}
			_, err := TakeLock(path)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want it to contain %q", err, tc.want)
			}
			if _, err := os.Lstat(path); err != nil {
				t.Errorf("what stood there: %v", err)
			}
		})
	}
}
