package testproc

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// cmdReportTerminal reports what its terminal does. Its argument is a file that it
// writes when the terminal has gone, since then it cannot print.
var cmdReportTerminal = Command{Name: "report-terminal", Run: func(args []string) int {
	c := make(chan os.Signal, 8)
	signal.Notify(c, syscall.SIGWINCH, syscall.SIGINT, syscall.SIGHUP)
	if _, err := os.Open("/dev/tty"); err != nil {
		fmt.Println("no controlling terminal:", err)
		return 1
	}
	fmt.Println("watching")
	for s := range c {
		switch s {
		case syscall.SIGWINCH:
			size, err := unix.IoctlGetWinsize(0, unix.TIOCGWINSZ)
			if err != nil {
				fmt.Println(err)
				return 1
			}
			fmt.Printf("size %d %d\n", size.Row, size.Col)
		case syscall.SIGINT:
			fmt.Println("interrupted")
		case syscall.SIGHUP:
			if err := os.WriteFile(args[0], []byte("hung up"), 0o600); err != nil {
				return 1
			}
			return 7
		}
	}
	return 0
}}

func TestTerminal(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "after")
	term := StartOnTerminal(t, Impersonate(t, cmdReportTerminal.Name, file))
	term.AwaitLine(t, "watching")

	term.Resize(t, 30, 100)
	term.AwaitLine(t, "size 30 100")

	term.Type(t, "\x03")
	term.AwaitLine(t, "interrupted")

	term.HangUp(t)
	if got := term.AwaitExit(t).ExitCode(); got != 7 {
		t.Errorf("exit code after hang-up: got %d, want 7", got)
	}
	if got, err := os.ReadFile(file); string(got) != "hung up" {
		t.Errorf("file written after hang-up: got %q, %v; want %q", got, err, "hung up")
	}
}
