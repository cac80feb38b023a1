package listen

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"prefork/master/config"
)

// file is the name by which clients find a Unix socket, and what tells it from
// one that somebody else has put there since. The zero value is none.
type file struct {
	name     string
	dev, ino uint64
}

// nameFile gives the file of a socket that was just bound its owner and mode, by
// a handle: a name could lead elsewhere when strangers may write to the folder.
func nameFile(name string, uid, gid int, addr config.Address) (file, error) {
	handle, err := unix.Open(name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return file{}, fmt.Errorf("look at the new socket %s: %w", name, os.NewSyscallError("open", err))
	}
	defer func() { _ = unix.Close(handle) }() // it was only a name
	var st unix.Stat_t
	if err := unix.Fstat(handle, &st); err != nil {
		return file{}, fmt.Errorf("look at the new socket %s: %w", name, os.NewSyscallError("fstat", err))
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return file{}, fmt.Errorf("listen on %s: somebody has replaced the new socket: choose a folder where only this user may write", addr)
	}
	f := file{name: name, dev: uint64(st.Dev), ino: st.Ino}
	if uid >= 0 || gid >= 0 {
		if err := unix.Fchownat(handle, "", uid, gid, unix.AT_EMPTY_PATH); err != nil {
			return f, chownFailed(addr, err)
		}
	}
	// fchmod takes no handle of this kind, and chmod follows this link to the file
	// itself (proc_pid_fd(5)).
	if err := unix.Chmod("/proc/self/fd/"+strconv.Itoa(handle), addr.Mode); err != nil {
		return f, fmt.Errorf("set mode of %s: %w", name, os.NewSyscallError("chmod", err))
	}
	return f, nil
}

func chownFailed(addr config.Address, err error) error {
	if errors.Is(err, unix.EPERM) {
		return &refusedError{text: fmt.Sprintf("listen on %s: only root can give a socket away: leave out user= and group=, or name a group that this user is in", addr), err: err}
	}
	return fmt.Errorf("set owner of %s: %w", addr, os.NewSyscallError("fchownat", err))
}

// isOurs tells whether the name still leads to our own socket.
func (f file) isOurs() bool {
	dev, ino, err := identify(f.name)
	return err == nil && f == file{f.name, dev, ino}
}

// remove removes the file, unless somebody else has put another one there.
func (f *file) remove() error {
	old := *f
	*f = file{}
	if old.name == "" || !old.isOurs() {
		return nil
	}
	if err := unix.Unlink(old.name); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("remove socket %s: %w", old.name, os.NewSyscallError("unlink", err))
	}
	return nil
}

// identify tells one file of the machine from another.
func identify(name string) (dev, ino uint64, err error) {
	var st unix.Stat_t
	if err := unix.Lstat(name, &st); err != nil {
		return 0, 0, os.NewSyscallError("lstat", err)
	}
	return uint64(st.Dev), st.Ino, nil
}

// ownerOf looks up who is to own a Unix socket; -1: as it comes.
func ownerOf(addr config.Address) (uid, gid int, err error) {
	uid, gid = -1, -1
	if addr.User != "" {
		if uid, err = strconv.Atoi(addr.User); err != nil {
			u, err := user.Lookup(addr.User)
			if err != nil {
				return 0, 0, fmt.Errorf("listen on %s: there is no user %s on this machine: write another user=", addr, addr.User)
			}
			uid, _ = strconv.Atoi(u.Uid) // a number on every Unix (os/user)
		}
	}
	if addr.Group != "" {
		if gid, err = strconv.Atoi(addr.Group); err != nil {
			g, err := user.LookupGroup(addr.Group)
			if err != nil {
				return 0, 0, fmt.Errorf("listen on %s: there is no group %s on this machine: write another group=", addr, addr.Group)
			}
			gid, _ = strconv.Atoi(g.Gid) // ditto
		}
	}
	return uid, gid, nil
}

// explainUnix turns the error of bind(2) for a path into words.
func explainUnix(addr config.Address, err error) error {
	folder, reason := filepath.Dir(addr.Path), ""
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENOENT):
		reason = fmt.Sprintf("its folder %s does not exist: make it (in a systemd unit: RuntimeDirectory=)", folder)
	case errors.Is(err, unix.ENOTDIR):
		reason = fmt.Sprintf("%s is no folder: choose another path", folder)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		reason = fmt.Sprintf("this user (id %d) may not make files in %s: change the folder's owner, or choose another one", os.Geteuid(), folder)
	case errors.Is(err, unix.EROFS):
		reason = fmt.Sprintf("the file system of %s is read-only: choose another folder", folder)
	default:
		return fmt.Errorf("listen on %s: %w", addr, err)
	}
	return &refusedError{text: fmt.Sprintf("listen on %s: %s", addr, reason), err: err}
}
