package worker

import (
	"errors"
	"fmt"
	"io"
	"os"

	"prefork/ipc"
)

// errMasterGone is the end of the master's socket. A master that stops or is
// upgraded keeps the sockets of its workers, so this one has died.
var errMasterGone = errors.New("the master has gone")

// received is what came from the master: a message with its files, or an error.
type received struct {
	message ipc.Message
	files   []*os.File
	err     error
}

// receive hands on what comes from the master until an error, which is the last
// thing that it hands on, or until endC is closed.
func receive(conn *ipc.Conn, receivedC chan<- received, endC <-chan struct{}) {
	for {
		r := receiveOne(conn)
		select {
		case receivedC <- r:
		case <-endC:
			r.closeFiles()
			return
		}
		if r.err != nil {
			return
		}
	}
}

func receiveOne(conn *ipc.Conn) received {
	message, files, err := conn.Receive()
	switch {
	case err == io.EOF:
		err = errMasterGone
	case err != nil:
		err = fmt.Errorf("the master makes no sense: %w", err)
	}
	return received{message: message, files: files, err: err}
}

// closeFiles closes what came with a message that nobody asked for.
func (r received) closeFiles() {
	for _, f := range r.files {
		_ = f.Close() // it was never used
	}
}
