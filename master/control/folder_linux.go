package control

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// prepareFolder makes the folder of a socket or a lock, with mode 0700, or
// checks that nobody but its owner can put files into the one that is there:
// else a stranger could take our socket's place, and be told what is meant for
// the master. The folder stays when the master leaves, so that nobody can
// occupy the name /tmp/prefork-UID meanwhile.
func prepareFolder(folder string) error {
	err := os.Mkdir(folder, 0o700)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("make folder %s: %s does not exist: make it, or choose another place with --control", folder, filepath.Dir(folder))
	case !errors.Is(err, fs.ErrExist):
		return fmt.Errorf("make folder for the control socket: %w: choose another place with --control", err)
	}
	return checkFolder(folder)
}

func checkFolder(folder string) error {
	var link, target unix.Stat_t
	// Both, because a stranger's symbolic link could lead to a good folder now
	// and to a bad one later.
	if err := unix.Lstat(folder, &link); err != nil {
		return &fs.PathError{Op: "look at folder", Path: folder, Err: err}
	}
	if err := unix.Stat(folder, &target); err != nil {
		return &fs.PathError{Op: "look at folder", Path: folder, Err: err}
	}
	for _, st := range []unix.Stat_t{link, target} {
		if !isTrusted(st.Uid) {
			return fmt.Errorf("folder %s belongs to uid %d, who could replace the control socket in it: choose a folder of uid %d or root with --control",
				folder, st.Uid, os.Geteuid())
		}
	}
	if target.Mode&unix.S_IFMT != unix.S_IFDIR {
		return fmt.Errorf("%s is not a folder: move it away, or choose another place with --control", folder)
	}
	if mode := target.Mode & 0o7777; mode&0o022 != 0 {
		return fmt.Errorf("folder %s has mode %04o, so others could replace the control socket in it: chmod go-w it, or choose a folder of your own with --control",
			folder, mode)
	}
	return nil
}

// isTrusted tells whom this process trusts with its control socket: itself, and
// root, who can do everything anyway.
func isTrusted(uid uint32) bool {
	return uid == 0 || uid == uint32(os.Geteuid())
}
