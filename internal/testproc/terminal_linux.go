package testproc

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Terminal is a process on a pseudo-terminal of its own, which is its controlling
// terminal: what a person has who starts a program and types.
type Terminal struct {
	*Process
	keyboard *os.File // the side that is not the process's
}

// StartOnTerminal starts cmd as the leader of a session whose terminal is its
// stdin, stdout and stderr. The terminal has 24 rows and 80 columns.
func StartOnTerminal(t testing.TB, cmd *exec.Cmd) *Terminal {
	t.Helper()
	keyboard, screen, err := openTerminal()
	if err != nil {
		t.Fatalf("open terminal: %v", err)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = screen, screen, screen
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	terminal := &Terminal{keyboard: keyboard}
	terminal.Process = launch(t, cmd, keyboard)
	_ = screen.Close() // the process has its own copies
	terminal.Resize(t, 24, 80)
	return terminal
}

// Type types text. "\x03" is ^C, "\x1a" is ^Z; a line ends by "\n".
func (term *Terminal) Type(t testing.TB, text string) {
	t.Helper()
	if _, err := term.keyboard.WriteString(text); err != nil {
		t.Fatalf("type %q: %v", text, err)
	}
}

// Resize changes the window's size, and the kernel sends SIGWINCH to the
// foreground process group (TIOCSWINSZ, ioctl_tty(2)); not if the size is the
// same as before.
func (term *Terminal) Resize(t testing.TB, rows, columns uint16) {
	t.Helper()
	size := unix.Winsize{Row: rows, Col: columns}
	err := control(term.keyboard, func(fd int) error {
		return os.NewSyscallError("ioctl TIOCSWINSZ", unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &size))
	})
	if err != nil {
		t.Fatalf("resize terminal: %v", err)
	}
}

// HangUp closes the terminal, as closing its window does: the session's leader
// gets SIGHUP and its output goes nowhere from now on.
func (term *Terminal) HangUp(t testing.TB) {
	t.Helper()
	if err := term.keyboard.Close(); err != nil {
		t.Fatalf("hang up terminal: %v", err)
	}
}

// openTerminal opens a pair of pty(7); neither becomes our controlling terminal.
func openTerminal() (keyboard, screen *os.File, err error) {
	keyboard, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	number := 0
	err = control(keyboard, func(fd int) error {
		if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
			return os.NewSyscallError("ioctl TIOCSPTLCK", err)
		}
		number, err = unix.IoctlGetInt(fd, unix.TIOCGPTN)
		return os.NewSyscallError("ioctl TIOCGPTN", err)
	})
	if err == nil {
		screen, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		_ = keyboard.Close() // nobody has used it
		return nil, nil, err
	}
	return keyboard, screen, nil
}

// control runs f on the descriptor of an open file. Fd would do, but it makes the
// file blocking, and closing it would no longer end a read under way.
func control(file *os.File, f func(fd int) error) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = f(int(fd)) }); err != nil {
		return err
	}
	return failed
}
