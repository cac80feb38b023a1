package listen

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"prefork/master/config"
)

// besideMax is how many Unix sockets wait beside one path for their turn, or for
// the end of those who still hold them. Two is what happens.
const besideMax = 10

// besideName is a place for a socket that is to replace the one at path, or was
// replaced. config.UnixPathMax has room for it.
func besideName(path string, n int) string { return path + "~" + strconv.Itoa(n) }

// openUnix opens the socket at name, the address's path or a place beside it. The
// order matters: with mode 0000 nobody but root gets in, and before listen nobody
// at all, until the owner is right; and the umask, which is the whole process's
// and used by other goroutines, has no say in it.
func (g *Group) openUnix(name string) error {
	uid, gid, err := ownerOf(g.addr)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return explain(g.addr, os.NewSyscallError("socket", err))
	}
	// Linux gives the file the mode of the socket, less the umask (unix(7)).
	err = os.NewSyscallError("fchmod", unix.Fchmod(fd, 0))
	if err == nil {
		err = bindUnix(fd, g.addr, name)
	}
	if err != nil {
		_ = unix.Close(fd) // nothing was done with it
		return err
	}
	g.fds = []int{fd}
	g.file, err = nameFile(name, uid, gid, g.addr)
	if err == nil {
		err = listen(fd, g.addr)
	}
	if err != nil {
		return errors.Join(err, g.Close())
	}
	return nil
}

// bindUnix binds the name, in place of a socket whose owner has gone.
func bindUnix(fd int, addr config.Address, name string) error {
	bind := func() error {
		return explainUnix(addr, os.NewSyscallError("bind", unix.Bind(fd, &unix.SockaddrUnix{Name: name})))
	}
	err := bind()
	if errors.Is(err, unix.EADDRINUSE) {
		err = bindInPlaceOfStale(addr, name, bind)
	}
	if errors.Is(err, unix.EADDRINUSE) {
		return taken(addr, name)
	}
	return err
}

// openBeside opens the socket at the first place beside the path that is free.
func (g *Group) openBeside() error {
	for n := range besideMax {
		err := g.openUnix(besideName(g.addr.Path, n))
		if errors.Is(err, unix.EADDRINUSE) || errors.Is(err, unix.EEXIST) {
			continue
		}
		return err
	}
	return fmt.Errorf("open a second socket for %s: %s to %s are all taken: end the workers of earlier reloads, which hold them",
		g.addr, besideName(g.addr.Path, 0), filepath.Base(besideName(g.addr.Path, besideMax-1)))
}

// Show lets clients find a Unix socket at its path, in place of over, which they
// find there now, or of none. The names are exchanged in one step, so that the
// path always leads to a socket that somebody serves, and over could be shown
// again; who has connected to it stays there. Other kinds need no showing.
func (g *Group) Show(over *Group) error {
	if g.addr.Network != config.NetworkUnix || g.file.name == g.addr.Path {
		return nil
	}
	from, to := g.file.name, g.addr.Path
	if over == nil || over.file.name != to || !over.file.isOurs() {
		return g.moveTo(to) // somebody has removed the file
	}
	switch err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_EXCHANGE); {
	case err == nil:
		over.file.name, g.file.name = from, to
	case errors.Is(err, unix.EINVAL): // the file system cannot exchange
		if err := os.Rename(from, to); err != nil {
			return fmt.Errorf("show the new socket at %s: %w", to, err)
		}
		over.file, g.file.name = file{}, to
	default:
		return fmt.Errorf("show the new socket at %s: %w", to, os.NewSyscallError("renameat2", err))
	}
	return nil
}

// moveTo gives the file a name that nobody has.
func (g *Group) moveTo(name string) error {
	if err := unix.Renameat2(unix.AT_FDCWD, g.file.name, unix.AT_FDCWD, name, unix.RENAME_NOREPLACE); err != nil {
		return fmt.Errorf("show the new socket at %s, where the old one was removed: %w", name, os.NewSyscallError("renameat2", err))
	}
	g.file.name = name
	return nil
}

// Lost tells whether somebody has removed or replaced the file of a Unix socket:
// clients do not find it any more, and only a fresh one can stand there again.
func (g *Group) Lost() bool {
	return g.addr.Network == config.NetworkUnix && g.file.name == g.addr.Path && !g.file.isOurs()
}

// clearWay makes sure that a fresh socket will be able to take the path: nobody
// else may serve there, and what is no socket is left alone.
func (g *Group) clearWay() error {
	ours := g.file.name == g.addr.Path && g.file.isOurs()
	if _, _, err := identify(g.addr.Path); ours || g.refused || errors.Is(err, unix.ENOENT) {
		return nil
	}
	unlock, err := lockFolder(g.addr)
	if err != nil {
		return err
	}
	defer unlock()
	err = removeStale(g.addr, g.addr.Path)
	if errors.Is(err, unix.EADDRINUSE) {
		return taken(g.addr, g.addr.Path)
	}
	return err
}

// Found tells whether clients find this group: a Unix socket whose path leads to
// it, and every other one.
func (g *Group) Found() bool {
	return g.addr.Network != config.NetworkUnix || g.file.name == g.addr.Path
}
