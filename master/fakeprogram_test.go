package master

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"prefork/ipc"
	"prefork/master/listen"
)

const (
	programCommand = "be-program"
	partCommand    = "be-part"
)

// program is a worker that knows nothing of prefork: it has what sd_listen_fds(3)
// and sd_notify(3) promise, and answers each connection with one line. What it
// does besides stands in a file, as with the fake workers.
type program struct {
	args   []string // after the behaviour's name
	signal chan os.Signal
}

// programs are behaviours. Each returns the exit code.
var programs = map[string]func(p *program) int{
	// good says that it is ready, serves until SIGTERM, and finishes.
	"good": func(p *program) int { p.serve(); tell("READY=1"); return p.live() },
	// silent serves and never says a word.
	"silent": func(p *program) int { p.serve(); return p.live() },
	// tell MESSAGE... serves and sends the messages, with | for a line feed.
	"tell": func(p *program) int {
		p.serve()
		for _, m := range p.args {
			tell(strings.ReplaceAll(m, "|", "\n"))
		}
		return p.live()
	},
	// tell-neighbour MESSAGE sends it to the socket of another worker.
	"tell-neighbour": func(p *program) int {
		p.serve()
		tell("READY=1")
		own := os.Getenv("NOTIFY_SOCKET")
		siblings, err := filepath.Glob(filepath.Dir(own) + "/*")
		must(err)
		for _, sibling := range siblings {
			if sibling != own {
				tellAt(sibling, p.args[0])
			}
		}
		return p.live()
	},
	// die CODE WORD... says its words and exits before anything else.
	"die": func(p *program) int {
		fmt.Fprintln(os.Stderr, strings.Join(p.args[1:], " "))
		return mustNumber(p.args[0])
	},
	// sleep never gets ready.
	"sleep": func(p *program) int { tell("STATUS=loading"); return p.live() },
	// deaf serves and ignores SIGTERM.
	"deaf": func(p *program) int {
		signal.Ignore(syscall.SIGTERM)
		p.serve()
		tell("READY=1")
		return forever()
	},
	// deaf-to-term leaves at another signal only.
	"deaf-to-term": func(p *program) int { signal.Ignore(syscall.SIGTERM); p.serve(); tell("READY=1"); return p.live() },
	// flood BYTES writes so much to its standard error while it serves.
	"flood": func(p *program) int {
		p.serve()
		tell("READY=1")
		go printMuch([]string{"stderr", "lines", p.args[0]})
		return p.live()
	},
	// retire says that it is ready, and that it leaves, and does.
	"retire": func(p *program) int {
		p.serve()
		tell("READY=1")
		tell("STOPPING=1")
		<-time.After(100 * time.Millisecond)
		return 0
	},
	// watched says WATCHDOG=1 a few times, and then hangs.
	"watched": func(p *program) int {
		p.serve()
		tell("READY=1")
		for range 4 {
			tell("WATCHDOG=1")
			<-time.After(100 * time.Millisecond)
		}
		return p.live()
	},
	// fork HOW ends at SIGTERM while a part of it still answers; see part.
	"fork": func(p *program) int { p.start(p.args[0]); tell("READY=1"); return p.live() },
	// background starts a part that goes its own way, and exits with 0.
	"background": func(p *program) int { p.start("daemon"); return 0 },
	// environment prints what it was given.
	"environment": func(p *program) int {
		p.serve()
		for _, name := range []string{"LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_USEC", "PREFORK_SLOT", "PREFORK_GENERATION", "GREETING", "PREFORK_IPC", "PREFORK_SIBLING_FDS"} {
			fmt.Printf("%s is %q\n", name, os.Getenv(name))
		}
		self := fmt.Sprint(os.Getpid())
		fmt.Printf("PIDs are mine: %v\n", os.Getenv("LISTEN_PID") == self && os.Getenv("WATCHDOG_PID") == self)
		input, err := io.ReadAll(os.Stdin)
		fmt.Printf("standard input is %q, %v\n", input, err)
		flags, err := unix.FcntlInt(3, unix.F_GETFL, 0)
		must(err)
		fmt.Printf("accept blocks: %v\n", flags&unix.O_NONBLOCK == 0)
		tell("READY=1")
		return p.live()
	},
	// siblings prints which sockets are its own and which its siblings', and takes
	// nothing from them.
	"siblings": func(p *program) int {
		var own, others []string
		for i := range mustNumber(os.Getenv("LISTEN_FDS")) {
			own = append(own, describeSocket(3+i))
		}
		for _, number := range strings.Split(os.Getenv("PREFORK_SIBLING_FDS"), ",") {
			others = append(others, describeSocket(mustNumber(number)))
		}
		fmt.Printf("slot %s has %s and %s\n", os.Getenv("PREFORK_SLOT"), strings.Join(own, " "), strings.Join(others, " "))
		tell("READY=1")
		return p.live()
	},
	// close-channel closes the message channel, of which it knows nothing.
	"close-channel": func(p *program) int {
		must(unix.Close(mustNumber(os.Getenv(ipc.EnvFD))))
		p.serve()
		return p.live()
	},
	// write-channel writes its arguments there.
	"write-channel": func(p *program) int {
		must(unix.Send(mustNumber(os.Getenv(ipc.EnvFD)), []byte(strings.Join(p.args, " ")), unix.MSG_NOSIGNAL))
		p.serve()
		return p.live()
	},
	// spoil-close closes its listening socket.
	"spoil-close": func(p *program) int { tell("READY=1"); must(unix.Close(3)); return p.live() },
	// spoil-shutdown ends it for every holder, once it was ready.
	"spoil-shutdown": func(p *program) int {
		p.serve()
		tell("READY=1")
		must(unix.Shutdown(3, unix.SHUT_RDWR))
		return p.live()
	},
	// spoil-nonblock makes accept return at once, and dies.
	"spoil-nonblock": func(p *program) int {
		must(unix.SetNonblock(3, true))
		return mustNumber(p.args[0])
	},
}

// beProgram reads its behaviour, of its slot or of all.
func beProgram(args []string) int {
	words := []string{"good"}
	once := filepath.Join(args[0], os.Getenv("PREFORK_SLOT")+".once")
	for _, path := range []string{once, filepath.Join(args[0], os.Getenv("PREFORK_SLOT")), filepath.Join(args[0], "all")} {
		if text, err := os.ReadFile(path); err == nil {
			words = strings.Fields(string(text))
			break
		}
	}
	_ = os.Remove(once) // often there is none
	p := &program{args: words[1:], signal: make(chan os.Signal, 8)}
	signal.Notify(p.signal, syscall.SIGTERM, syscall.SIGUSR1)
	return programs[words[0]](p)
}

// describeSocket names a socket, and whether accept would block on it.
func describeSocket(fd int) string {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	must(err)
	inode, err := listen.Inode(fd)
	must(err)
	if flags&unix.O_NONBLOCK == 0 {
		return fmt.Sprintf("%d(blocks)", inode)
	}
	return fmt.Sprint(inode)
}

// serve answers in the manner of a simple program: it blocks in accept.
func (p *program) serve() { go answerAll(3) }

func answerAll(fd int) {
	for {
		c, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
		switch err {
		case nil:
			answer := fmt.Sprintf("slot %s generation %s pid %d\n", os.Getenv("PREFORK_SLOT"), os.Getenv("PREFORK_GENERATION"), os.Getpid())
			_, _ = unix.Write(c, []byte(answer)) // the client may have gone
			_ = unix.Close(c)
		case unix.EINTR, unix.ECONNABORTED:
		default:
			fmt.Fprintln(os.Stderr, "accept:", err)
			os.Exit(98)
		}
	}
}

func (p *program) live() int {
	<-p.signal
	return 0
}

// start starts a part of the program: another process.
func (p *program) start(how string) {
	self, err := os.Executable()
	must(err)
	cmd := exec.Command(self, partCommand, how)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{os.NewFile(3, "listener")}
	if how == "daemon" {
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		cmd.Stdout, cmd.Stderr = nil, nil
	}
	must(cmd.Start())
}

// bePart serves until SIGTERM at the latest: "late" holds one connection for a
// while after the program's end, the others until they are killed.
func bePart(args []string) int {
	if args[0] != "late" {
		answerAll(3)
	}
	c, _, err := unix.Accept4(3, unix.SOCK_CLOEXEC)
	must(err)
	parent := os.Getppid()
	for os.Getppid() == parent {
		<-time.After(10 * time.Millisecond)
	}
	<-time.After(200 * time.Millisecond)
	_, err = unix.Write(c, []byte("late, and yet answered\n"))
	must(err)
	return 0
}

// tell is sd_notify(3) in five lines.
func tell(message string) { tellAt(os.Getenv("NOTIFY_SOCKET"), message) }

func tellAt(path, message string) {
	c, err := net.Dial("unixgram", path)
	must(err)
	_, err = c.Write([]byte(message))
	must(err)
	must(c.Close())
}
