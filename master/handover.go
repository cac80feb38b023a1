package master

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"prefork/ipc"
	"prefork/master/supervise"
)

// handOver has one worker give connections to another one. When that cannot be begun
// the connections end as they do without: idle ones are closed.
func (m *master) handOver(a supervise.HandOver) {
	from, to := m.children[a.From], m.children[a.To]
	if from == nil || to == nil {
		return
	}
	err := introduce(from, to, a.Count)
	if err == nil || errors.Is(err, os.ErrClosed) { // one has just died, and the machine will hear it
		return
	}
	m.journal.note(supervise.Note{
		Level: supervise.Warn, Text: "connections are not handed over", ID: a.From, Generation: from.generation, PID: from.process.PID(),
		Reason: fmt.Sprintf("to %d/%d: %v", a.To.Slot, a.To.Incarnation, err),
	})
}

// introduce makes a pair of sockets for two workers and sends each its end. Who takes
// is sent it first: what is given then finds somebody. If the other one cannot be sent
// its end, the first sees the end of the pair.
func introduce(from, to *child, count int) error {
	giver, heir := oursOf(from.talk), oursOf(to.talk)
	if giver == nil || heir == nil {
		return errors.New("one of them does not speak the messages of package ipc")
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return os.NewSyscallError("socketpair", err)
	}
	defer func() { // the workers have copies
		_ = unix.Close(fds[0])
		_ = unix.Close(fds[1])
	}()
	if err := heir.conn.Send(ipc.Take{}, fds[1]); err != nil {
		return err
	}
	return giver.conn.Send(ipc.Give{Count: uint32(count)}, fds[0])
}
