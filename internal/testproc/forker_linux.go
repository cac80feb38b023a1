package testproc

import (
	"os/exec"
	"runtime"
	"syscall"
)

// forker starts processes that die with this test binary (a timeout, ^C), from
// one thread that lives as long as the run: PR_SET_PDEATHSIG, prctl(2), speaks of
// the *thread* that forked. Go gives a fork any thread, also one that a goroutine
// locked later and took with it when it ended; the load generator's does, and a
// master was killed in the middle of a test.
type forker struct {
	requests chan forkRequest
	ended    chan struct{}
}

type forkRequest struct {
	cmd   *exec.Cmd
	reply chan error
}

func newForker() *forker {
	f := &forker{requests: make(chan forkRequest), ended: make(chan struct{})}
	go f.run()
	return f
}

func (f *forker) run() {
	runtime.LockOSThread() // never unlocked: nobody else may end this thread
	defer close(f.ended)
	for r := range f.requests {
		r.cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
		r.reply <- r.cmd.Start()
	}
}

// start is cmd.Start.
func (f *forker) start(cmd *exec.Cmd) error {
	reply := make(chan error)
	f.requests <- forkRequest{cmd, reply}
	return <-reply
}

// end ends the thread, and with it whatever it started and is still there.
func (f *forker) end() {
	close(f.requests)
	<-f.ended
}
