package worker

import (
	"errors"
	"os"

	"prefork/ipc"
	"prefork/worker/proto"
)

// What a life and the program's serve have to do with each other.

// becomePreparing learns from the Welcome who this worker is, and lets the program
// begin. From here on that has until its start timeout.
func (l *life) becomePreparing(w ipc.Welcome, board, bell *os.File) error {
	var err error
	if l.bell, err = takeDescriptor(bell); err != nil {
		return errors.Join(err, board.Close())
	}
	if l.board, err = ipc.OpenScoreboard(board); err != nil {
		return err
	}
	if l.settings, err = parseSettings(w.Settings); err != nil {
		return err
	}
	worker := &Worker{life: l, config: engineConfig{
		settings: l.settings,
		self:     proto.Hello{Slot: int(w.Slot), Incarnation: w.Incarnation, Generation: w.Generation, PID: os.Getpid()},
		board:    l.board,
		bell:     l.bell,
		report:   l.note,
		requeued: func() { l.tell(ipc.Listening{}) },
	}}
	l.state = preparing
	go func() { l.returnedC <- l.serve(worker) }()
	return nil
}

// carry runs the program's engine on the goroutine of its serve, as long as this
// life lasts. It is called once.
func (l *life) carry(e offered) error {
	select {
	case l.engineC <- e:
	case <-l.endC:
		return errors.New("this worker was told to leave before it served")
	}
	defer close(l.engineEnded)
	return e.Run()
}

// becomeStandby tells the master that the worker could serve: its engine turns, as
// yet without any listening socket.
func (l *life) becomeStandby(o offered) error {
	l.engine, l.protocol, l.state = o.engine, o.protocol, standby
	return l.conn.Send(ipc.Ready{Protocol: o.protocol})
}

// becomeGone comes when the program's serve has returned: there is nothing more to
// wait for, whether that was right or not.
func (l *life) becomeGone(served error) error {
	l.state = gone
	if served != nil {
		return served
	}
	select {
	case <-l.engineEnded:
		return nil
	default:
	}
	if l.engine == nil {
		return errors.New("the program's serve has returned and has not served: call ServeHTTP, ServeFastHTTP or Serve in it, and return what that returns")
	}
	return errors.New("the program's serve has returned before its engine has ended: wait for ServeHTTP, ServeFastHTTP or Serve")
}
