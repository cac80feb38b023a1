package ipc

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	scoreboardMagic   = 0x6472616f626b6670 // "pfkboard" in the bytes of a little-endian machine
	scoreboardVersion = 1
	scoreboardSize    = 4096 // one page, the least that can be mapped; room for more counters
	scoreboardSeals   = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL
)

// board is the memory of a scoreboard, the same in master and worker. Layout of
// version 1; integers are in the machine's own order, as both run on it.
//
//	offset  size  field        written by
//	0       8     magic        master, before it maps
//	8       4     version      master
//	12      4     size         master
//	16      48    zero
//	64      8     beat         worker
//	72      8     accepted     worker
//	80      8     requests     worker
//	88      8     helped       worker
//	96      8     connections  worker
//	104     8     given        worker
//	112     8     taken        worker
//	120     8     finished     worker
//	128     8     cut          worker
//	136     3960  zero
//
// The counters have one writer and share two cache lines: spread over nine they
// would cost the reader nine misses and gain the writer nothing. The header has
// a line of its own, because it is never written again.
type board struct {
	magic   atomic.Uint64
	version atomic.Uint32
	size    atomic.Uint32
	_       [48]byte

	beat        atomic.Int64
	accepted    atomic.Uint64
	requests    atomic.Uint64
	helped      atomic.Uint64
	connections atomic.Uint64
	given       atomic.Uint64
	taken       atomic.Uint64
	finished    atomic.Uint64
	cut         atomic.Uint64
	_           [scoreboardSize - 136]byte
}

// The layout cannot change by accident: any other offset or size indexes beyond
// these arrays of one and does not compile.
var (
	_ = [1]struct{}{}[unsafe.Sizeof(board{})-scoreboardSize]
	_ = [1]struct{}{}[unsafe.Offsetof(board{}.beat)-64]
	_ = [1]struct{}{}[unsafe.Offsetof(board{}.connections)-96]
	_ = [1]struct{}{}[unsafe.Offsetof(board{}.cut)-128]
)

// Counters is what a worker says about itself. All but Connections only grow.
type Counters struct {
	Beat        int64  // CLOCK_MONOTONIC in nanoseconds of the loop's last turn; 0 before the first
	Accepted    uint64 // connections accepted
	Requests    uint64 // requests answered
	Helped      uint64 // connections accepted from a sibling's queue, which Accepted counts too
	Connections uint64 // connections open now

	Given    uint64 // connections that other workers have said they took over
	Taken    uint64 // connections taken over from other workers, which Accepted does not count
	Finished uint64 // connections of its drain that have ended in order
	Cut      uint64 // connections closed with a message under way: at the end of its drain, or by an error of ours
}

// Scoreboard is a page of memory in which one worker counts and its master
// reads. It lives as long as one incarnation. The worker's methods may be called
// from any of its goroutines, and so may Read; Close comes after all of them.
type Scoreboard struct {
	fd     int // the memfd; -1 in the worker, which needs the mapping only
	memory []byte
	board  *board
}

// NewScoreboard makes an empty scoreboard for the master, who owns its memory
// and its descriptor until Close. The master's mapping is read-only: what a
// worker says is the worker's alone to write, and Beat or Add here would fault.
func NewScoreboard() (*Scoreboard, error) {
	fd, err := createMemfd("prefork-scoreboard")
	if err != nil {
		return nil, err
	}
	s, err := prepare(fd)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("create scoreboard: %w", err), unix.Close(fd))
	}
	return s, nil
}

// createMemfd asks for memory that can be sealed and never be executed; Linux
// before 6.3 does not know MFD_NOEXEC_SEAL, and with vm.memfd_noexec=2 later ones
// insist on it (memfd_create(2)).
func createMemfd(name string) (int, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|unix.MFD_NOEXEC_SEAL)
	if err == unix.EINVAL {
		fd, err = unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	return fd, os.NewSyscallError("memfd_create", err)
}

// prepare gives the memory its size, seals that and only then writes the header:
// who sees the magic sees a memory that nobody can truncate under a reader.
func prepare(fd int) (*Scoreboard, error) {
	if err := unix.Ftruncate(fd, scoreboardSize); err != nil {
		return nil, os.NewSyscallError("ftruncate", err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, scoreboardSeals); err != nil {
		return nil, os.NewSyscallError("fcntl F_ADD_SEALS", err)
	}
	if err := writeHeader(fd); err != nil {
		return nil, err
	}
	return mapScoreboard(fd, unix.PROT_READ)
}

func writeHeader(fd int) error {
	s, err := mapScoreboard(fd, unix.PROT_READ|unix.PROT_WRITE)
	if err != nil {
		return err
	}
	s.board.version.Store(scoreboardVersion)
	s.board.size.Store(scoreboardSize)
	s.board.magic.Store(scoreboardMagic)
	return os.NewSyscallError("munmap", unix.Munmap(s.memory))
}

// OpenScoreboard maps the scoreboard that a worker got with its Welcome. It takes
// f over and closes it, with or without an error: the mapping outlives it.
func OpenScoreboard(f *os.File) (*Scoreboard, error) {
	s, err := openScoreboard(int(f.Fd()))
	closeErr := f.Close()
	if err != nil {
		return nil, fmt.Errorf("open scoreboard: %w", err)
	}
	if closeErr != nil {
		return nil, errors.Join(fmt.Errorf("open scoreboard: %w", closeErr), s.Close())
	}
	return s, nil
}

func openScoreboard(fd int) (*Scoreboard, error) {
	if err := verifyMemfd(fd); err != nil {
		return nil, err
	}
	s, err := mapScoreboard(fd, unix.PROT_READ|unix.PROT_WRITE)
	if err != nil {
		return nil, err
	}
	s.fd = -1
	if err := s.verifyHeader(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// verifyMemfd checks the seals BEFORE the size: without them the size could
// change between the check and the first access, which would be a SIGBUS.
func verifyMemfd(fd int) error {
	seals, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	if err != nil {
		return os.NewSyscallError("fcntl F_GET_SEALS", err)
	}
	if seals&scoreboardSeals != scoreboardSeals {
		return fmt.Errorf("seals are %#x, which lack some of %#x", seals, scoreboardSeals)
	}
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return os.NewSyscallError("fstat", err)
	}
	if stat.Size != scoreboardSize {
		return fmt.Errorf("size is %d bytes, not %d", stat.Size, scoreboardSize)
	}
	return nil
}

func mapScoreboard(fd, protection int) (*Scoreboard, error) {
	memory, err := unix.Mmap(fd, 0, scoreboardSize, protection, unix.MAP_SHARED)
	if err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	return &Scoreboard{fd: fd, memory: memory, board: (*board)(unsafe.Pointer(&memory[0]))}, nil
}

func (s *Scoreboard) verifyHeader() error {
	magic, version, size := s.board.magic.Load(), s.board.version.Load(), s.board.size.Load()
	if magic != scoreboardMagic || version != scoreboardVersion || size != scoreboardSize {
		return fmt.Errorf("header is magic %#x, version %d, size %d, not %#x, %d, %d",
			magic, version, size, uint64(scoreboardMagic), scoreboardVersion, scoreboardSize)
	}
	return nil
}

// FD returns the descriptor to send with Welcome. It belongs to the Scoreboard;
// a worker's has none, which is -1.
func (s *Scoreboard) FD() int { return s.fd }

// Close unmaps the memory and closes the descriptor. Read answers os.ErrClosed
// from then on, and so does a second Close.
func (s *Scoreboard) Close() error {
	if s.board == nil {
		return fmt.Errorf("close scoreboard: %w", os.ErrClosed)
	}
	s.board = nil
	err := os.NewSyscallError("munmap", unix.Munmap(s.memory))
	if s.fd >= 0 {
		err = errors.Join(err, os.NewSyscallError("close", unix.Close(s.fd)))
		s.fd = -1
	}
	return err
}

// Beat tells that the loop turned at now, which comes from Monotonic.
func (s *Scoreboard) Beat(now int64) { s.board.beat.Store(now) }

// AddAccepted counts n connections accepted, from whichever queue.
func (s *Scoreboard) AddAccepted(n uint64) { s.board.accepted.Add(n) }

// AddRequests counts n requests answered.
func (s *Scoreboard) AddRequests(n uint64) { s.board.requests.Add(n) }

// AddHelped counts n connections accepted from a sibling's queue, in addition
// to AddAccepted.
func (s *Scoreboard) AddHelped(n uint64) { s.board.helped.Add(n) }

// SetConnections tells how many connections are open.
func (s *Scoreboard) SetConnections(n uint64) { s.board.connections.Store(n) }

// AddGiven counts n connections that another worker has said it took over.
func (s *Scoreboard) AddGiven(n uint64) { s.board.given.Add(n) }

// AddTaken counts n connections taken over from another worker.
func (s *Scoreboard) AddTaken(n uint64) { s.board.taken.Add(n) }

// AddFinished counts n connections of a worker that drains which ended in order.
func (s *Scoreboard) AddFinished(n uint64) { s.board.finished.Add(n) }

// AddCut counts n connections closed with a message under way.
func (s *Scoreboard) AddCut(n uint64) { s.board.cut.Add(n) }

// Read returns what the worker says. It is an error if the header is not what the
// master wrote: a worker that overwrote that has overwritten its counters too.
// The counters are read one after the other, so they need not agree with each
// other, and any value is possible.
func (s *Scoreboard) Read() (Counters, error) {
	if s.board == nil {
		return Counters{}, fmt.Errorf("read scoreboard: %w", os.ErrClosed)
	}
	if err := s.verifyHeader(); err != nil {
		return Counters{}, fmt.Errorf("read scoreboard: %w", err)
	}
	return Counters{
		Beat:        s.board.beat.Load(),
		Accepted:    s.board.accepted.Load(),
		Requests:    s.board.requests.Load(),
		Helped:      s.board.helped.Load(),
		Connections: s.board.connections.Load(),
		Given:       s.board.given.Load(),
		Taken:       s.board.taken.Load(),
		Finished:    s.board.finished.Load(),
		Cut:         s.board.cut.Load(),
	}, nil
}
