package master

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"prefork/ipc"
	"prefork/master/listen"
)

const workerCommand = "be-worker"

// worker is a process that a master has started: a good one but for what its
// behaviour says.
type worker struct {
	slot   int
	conn   *ipc.Conn
	raw    int // the same socket, for what package ipc would not send
	board  *ipc.Scoreboard
	file   *os.File // of the scoreboard
	bell   *os.File
	told   chan ipc.Message
	signal chan os.Signal
	stall  chan struct{} // closed to stop the heart
	still  chan struct{} // closed when it has stopped

	listeners []net.Listener
	accepting sync.WaitGroup
	patient   bool // it empties its queues when it is told to leave
	protocol  string
}

// behaviours are what workers can do wrong. The words after the first one are
// the arguments. Each returns the exit code. "after GATE" before all of them
// waits until the test opens that gate.
var behaviours = map[string]func(w *worker, args []string) int{
	// good serves until it is told to leave.
	"good": func(w *worker, _ []string) int { w.begin(); return w.live() },
	// patient is good and leaves nobody in its queues.
	"patient": func(w *worker, _ []string) int { w.patient = true; w.begin(); return w.live() },
	// portable PROTOCOL is good, and says over what it gives to whom it gives.
	"portable": func(w *worker, args []string) int { w.protocol = args[0]; w.begin(); return w.live() },
	// die CODE WORD... says its words and exits before anything else.
	"die": func(_ *worker, args []string) int {
		fmt.Fprintln(os.Stderr, strings.Join(args[1:], " "))
		return mustNumber(args[0])
	},
	// die-loud CODE WORD... has a lot to say before.
	"die-loud": func(_ *worker, args []string) int {
		_, err := os.Stderr.Write(printed["lines"])
		must(err)
		fmt.Fprintln(os.Stderr, strings.Join(args[1:], " "))
		return mustNumber(args[0])
	},
	// young dies right after it was told to serve.
	"young": func(w *worker, _ []string) int { w.begin(); w.awaitServe(); return 9 },
	// mute never says a word, nor reads one.
	"mute": func(*worker, []string) int { return forever() },
	// unready says hello and nothing more; it obeys, and prints when it can.
	"unready": func(w *worker, _ []string) int { w.hello(); fmt.Println("listening"); return w.live() },
	// unready-notify says READY=1 besides, as a library may that does not know of us.
	"unready-notify": func(w *worker, _ []string) int { w.hello(); tell("READY=1"); return w.live() },
	// unready-deaf does so too and ignores every signal.
	"unready-deaf": func(w *worker, _ []string) int {
		signal.Ignore(syscall.SIGTERM, syscall.SIGABRT)
		w.hello()
		return forever()
	},
	// deaf serves and ignores whatever it is told.
	"deaf": func(w *worker, _ []string) int {
		signal.Ignore(syscall.SIGTERM, syscall.SIGABRT)
		w.begin()
		w.serve()
		return forever()
	},
	// messages-only [PATH] is good and does not heed signals, also while it waits for a
	// gate.
	"messages-only": func(w *worker, args []string) int {
		signals := w.signal
		w.signal = nil
		go func() {
			for range signals {
				fmt.Printf("slot %d does not heed signals\n", w.slot)
			}
		}()
		for _, path := range args {
			fmt.Printf("slot %d waits\n", w.slot)
			awaitGate(path)
		}
		w.begin()
		return w.live()
	},
	// describe is good and prints first what it has for a listening socket.
	"describe": func(w *worker, _ []string) int {
		fmt.Printf("slot %d begins with %s\n", w.slot, describeSocket(3))
		w.begin()
		return w.live()
	},
	// hang-up closes its channel once it serves, and serves on until SIGTERM.
	"hang-up": func(w *worker, _ []string) int {
		w.begin()
		w.serve()
		_ = w.conn.Close()
		return w.awaitSignal()
	},
	// hang-up-early does so when it is ready, and waits for SIGTERM.
	"hang-up-early": func(w *worker, _ []string) int {
		w.begin()
		_ = w.conn.Close()
		return w.awaitSignal()
	},
	// babble-first says something wrong in place of hello.
	"babble-first": func(w *worker, args []string) int { w.babble(args[0]); return w.awaitSignal() },
	// babble says something wrong once it serves, and serves on.
	"babble": func(w *worker, args []string) int {
		w.begin()
		w.serve()
		w.babble(args[0])
		return w.awaitSignal()
	},
	// scribble AT VALUE overwrites its scoreboard once it serves, and serves on.
	"scribble": func(w *worker, args []string) int { w.scribble(args); return w.awaitSignal() },
	// scribble-deaf does so too, and cannot be told to leave.
	"scribble-deaf": func(w *worker, args []string) int { w.scribble(args); return forever() },
	// stall serves, but its heart stops.
	"stall": func(w *worker, _ []string) int {
		w.begin()
		close(w.stall)
		return w.live()
	},
	// count GIVEN FINISHED CUT counts so much when it was told to leave, and 1,000 of each
	// and that it has helped once before, which it prints.
	"count": func(w *worker, args []string) int {
		w.begin()
		w.serve()
		w.count("1000", "1000", "1000")
		w.board.AddHelped(1)
		fmt.Println("counted")
		<-w.told
		w.count(args...)
		return 0
	},
	// shut-down ends its listening sockets for everybody once it serves.
	"shut-down": func(w *worker, _ []string) int {
		w.begin()
		w.serve()
		for i := range w.listeners {
			must(unix.Shutdown(3+i, unix.SHUT_RD))
		}
		return w.live()
	},
	// hear-bell is good and prints a line for each ring that it hears.
	"hear-bell": func(w *worker, _ []string) int {
		w.begin()
		go w.hearBell()
		return w.live()
	},
	// print STREAM KIND BYTES writes a lot once it serves.
	"print": func(w *worker, args []string) int {
		w.begin()
		w.serve()
		go printMuch(args)
		return w.live()
	},
	// leave-lodger HOW starts a process that holds its output, and exits.
	"leave-lodger": func(w *worker, args []string) int {
		w.begin()
		w.serve()
		return leaveLodger(args[0])
	},
}

// beWorker reads its behaviour: of this life, of its slot, or of all slots.
func beWorker(args []string) int {
	w := &worker{slot: mustNumber(os.Getenv("PREFORK_SLOT")), told: make(chan ipc.Message, 8), signal: make(chan os.Signal, 8), stall: make(chan struct{}), still: make(chan struct{})}
	words := []string{"good"}
	once := filepath.Join(args[0], strconv.Itoa(w.slot)+".once")
	for _, path := range []string{once, filepath.Join(args[0], strconv.Itoa(w.slot)), filepath.Join(args[0], "all")} {
		if text, err := os.ReadFile(path); err == nil {
			words = strings.Fields(string(text))
			break
		}
	}
	_ = os.Remove(once) // often there is none
	if words[0] == "after" {
		awaitGate(filepath.Join(args[0], words[1]))
		words = words[2:]
	}
	w.raw = mustNumber(os.Getenv(ipc.EnvFD))
	if words[0] != "mute" {
		signal.Notify(w.signal, syscall.SIGTERM)
	}
	return behaviours[words[0]](w, words[1:])
}

// awaitGate waits for a file that the test makes when it is time.
func awaitGate(path string) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Lstat(path); err == nil {
			return
		}
		<-tick.C
	}
}

// hello opens the conversation.
func (w *worker) hello() {
	var err error
	w.conn, err = ipc.Open(w.raw)
	must(err)
	must(w.conn.Send(ipc.Hello{MinVersion: ipc.MinVersion, MaxVersion: ipc.Version, PID: int32(os.Getpid())}))
	m, files, err := w.conn.Receive()
	must(err)
	if _, ok := m.(ipc.Welcome); !ok {
		must(fmt.Errorf("%v in place of welcome", ipc.KindOf(m)))
	}
	w.bell = files[1]
	copied, err := unix.FcntlInt(files[0].Fd(), unix.F_DUPFD_CLOEXEC, 0)
	must(err)
	w.file = os.NewFile(uintptr(copied), "scoreboard")
	w.board, err = ipc.OpenScoreboard(files[0])
	must(err)
	go w.beat()
	go w.listen()
}

// begin goes as far as ready.
func (w *worker) begin() {
	w.hello()
	must(w.conn.Send(ipc.Ready{Protocol: w.protocol}))
}

func (w *worker) beat() {
	defer close(w.still)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		w.board.Beat(ipc.Monotonic())
		select {
		case <-tick.C:
		case <-w.stall:
			return
		}
	}
}

func (w *worker) listen() {
	for {
		m, files, err := w.conn.Receive()
		if err != nil {
			return // closed, by whichever side
		}
		switch m := m.(type) {
		case ipc.Watch:
			w.watch(m, files)
		case ipc.Give:
			fmt.Printf("slot %d gives %d\n", w.slot, m.Count)
			fmt.Fprintf(files[0], "slot %d gives to", w.slot) // the other end may have gone
			_ = files[0].Close()
		case ipc.Take:
			go w.take(files[0])
		default:
			w.told <- m
		}
	}
}

func (w *worker) count(given ...string) {
	w.board.AddGiven(uint64(mustNumber(given[0])))
	w.board.AddFinished(uint64(mustNumber(given[1])))
	w.board.AddCut(uint64(mustNumber(given[2])))
}

// watch says that it helps, and does not: it prints which sockets it was given.
func (w *worker) watch(m ipc.Watch, files []*os.File) {
	var inodes []uint64
	for _, f := range files {
		inode, err := listen.Inode(int(f.Fd()))
		must(err)
		inodes = append(inodes, inode)
		must(f.Close())
	}
	fmt.Printf("slot %d watches slot %d: %v\n", w.slot, m.Slot, inodes)
	_ = w.conn.Send(ipc.Watched(m)) // the master may have hung up
}

// take prints what comes from who gives, up to its end.
func (w *worker) take(pair *os.File) {
	words, err := io.ReadAll(pair)
	must(err)
	fmt.Printf("%s slot %d\n", words, w.slot)
	must(pair.Close())
}

func (w *worker) awaitServe() bool {
	select {
	case m := <-w.told:
		return ipc.KindOf(m) == ipc.KindServe
	case <-w.signal:
		return false
	}
}

// serve waits until it may and answers every connection with one line.
func (w *worker) serve() {
	if !w.awaitServe() {
		os.Exit(0)
	}
	var inodes []uint64
	for i := range mustNumber(os.Getenv("LISTEN_FDS")) {
		inode, err := listen.Inode(3 + i)
		must(err)
		inodes = append(inodes, inode)
		copied, err := unix.FcntlInt(uintptr(3+i), unix.F_DUPFD_CLOEXEC, 0)
		must(err)
		l, err := net.FileListener(os.NewFile(uintptr(copied), "listener"))
		must(err)
		w.listeners = append(w.listeners, l)
		w.accepting.Go(func() { w.answer(l) })
	}
	fmt.Printf("slot %d has %v\n", w.slot, inodes)
	_ = w.conn.Send(ipc.Listening{}) // the master may have hung up
}

// hearBell is told of each ring once, as who has the bell in its loop is.
func (w *worker) hearBell() {
	poller, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	must(err)
	must(unix.EpollCtl(poller, unix.EPOLL_CTL_ADD, int(w.bell.Fd()), &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET}))
	for {
		var rings [1]unix.EpollEvent
		switch n, err := unix.EpollWait(poller, rings[:], -1); {
		case n > 0:
			fmt.Println("the bell rings")
		case err != unix.EINTR:
			must(err)
		}
	}
}

func (w *worker) answer(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		w.board.AddAccepted(1)
		fmt.Fprintf(c, "slot %d generation %s pid %d\n", w.slot, os.Getenv("PREFORK_GENERATION"), os.Getpid())
		_ = c.Close()
	}
}

// emptyQueues goes on accepting for a moment.
func (w *worker) emptyQueues() {
	const moment = 200 * time.Millisecond
	for _, l := range w.listeners {
		must(l.(interface{ SetDeadline(time.Time) error }).SetDeadline(time.Now().Add(moment)))
	}
	w.accepting.Wait()
}

// live serves, if it is told to, until it is told to leave.
func (w *worker) live() int {
	for {
		select {
		case m := <-w.told:
			switch ipc.KindOf(m) {
			case ipc.KindServe:
				w.told <- m
				w.serve()
			case ipc.KindDrain:
				if w.patient {
					w.emptyQueues()
				}
				must(w.conn.Send(ipc.Left{}))
				return 0
			}
		case <-w.signal:
			return 0
		}
	}
}

// awaitSignal lives until SIGTERM: nobody is there any more to tell it otherwise.
func (w *worker) awaitSignal() int {
	<-w.signal
	fmt.Fprintln(os.Stderr, "leaving after SIGTERM")
	return 0
}

func forever() int {
	<-time.After(time.Hour)
	return 0
}

// babble sends what breaks the protocol, see babblings.
func (w *worker) babble(what string) {
	b := babblings[what]
	var rights []byte
	if b.fds > 0 {
		rights = unix.UnixRights(make([]int, b.fds)...) // its standard input, over and over
	}
	for range max(1, b.times) {
		err := unix.Sendmsg(w.raw, b.packet, rights, nil, unix.MSG_NOSIGNAL)
		switch {
		case errors.Is(err, unix.EPIPE), errors.Is(err, unix.ECONNRESET):
			return // the master has heard enough
		case !errors.Is(err, unix.EAGAIN):
			must(err)
		}
	}
}

// scribble serves and writes eight bytes, VALUE, into its scoreboard.
func (w *worker) scribble(args []string) {
	w.begin()
	w.serve()
	close(w.stall) // or the next beat would repair it
	<-w.still
	memory, err := unix.Mmap(int(w.file.Fd()), 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	must(err)
	n, err := strconv.ParseUint(args[1], 0, 64)
	must(err)
	at := mustNumber(args[0])
	for i := range 8 {
		memory[at+i] = byte(n >> (8 * i))
	}
}

func mustNumber(s string) int {
	n, err := strconv.Atoi(s)
	must(err)
	return n
}

// must ends a worker whose test is wrong.
func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "the fake worker is broken:", err)
		os.Exit(99)
	}
}
