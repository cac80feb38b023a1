package worker

import (
	"errors"
	"os"
	"reflect"
	"runtime/debug"

	"prefork/ipc"
	"prefork/worker/reactor"
)

// protocolHTTP is what connections speak that are between two requests of HTTP/1.1
// without TLS, on whatever engine: nothing has to be known about one that was given.
const protocolHTTP = "http/1"

// offer offers an engine that serves HTTP. One with TLS has keys for each connection
// that nobody else could go on with.
func (c engineConfig) offer(e engine, err error) (offered, error) {
	o := offered{engine: e}
	if c.settings.TLS == nil {
		o.protocol = protocolHTTP
	}
	return o, err
}

// protocolOf names what a program's own handlers speak: by the program and the type of
// the handlers, since what they pack is theirs to read. It is empty when they cannot go
// on in another process.
func protocolOf(h reactor.Handler) string {
	if _, ok := h.(reactor.Portable); !ok {
		return ""
	}
	name := "go:"
	if program, ok := debug.ReadBuildInfo(); ok {
		name += program.Path + ":"
	}
	if name += reflect.TypeOf(h).String(); len(name) > ipc.ProtocolMax {
		return ""
	}
	return name
}

// handOver has the engine give or take connections through the socket that came with
// the message. It comes while this worker serves, and a Give also while it drains. What
// cannot be done costs a line and no connection: whoever is at the other end sees the
// pair end.
func (l *life) handOver(m ipc.Message, files []*os.File) {
	if err := l.begin(m, files); err != nil && !errors.Is(err, os.ErrClosed) {
		report(err)
	}
}

func (l *life) begin(m ipc.Message, files []*os.File) error {
	fd, err := takeDescriptor(files[0]) // ipc promises that it is there
	if err != nil {
		return err
	}
	task := func() error { return l.engine.Take(fd) }
	if give, ok := m.(ipc.Give); ok {
		task = func() error { return l.engine.Give(fd, int(give.Count)) }
	}
	err = l.engine.Post(func() {
		if err := task(); err != nil && !errors.Is(err, os.ErrClosed) { // closed: it drains, and takes nothing any more
			report(err)
		}
	})
	if err != nil {
		closeAll([]int{fd})
	}
	return err
}
