package peer

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	// startPatience is how long a server has until its first answer.
	startPatience = 20 * time.Second
	// stopPatience is how long it has to leave before it is killed.
	stopPatience = 10 * time.Second
	// pollPeriod is the time between two looks at something that has no event.
	pollPeriod = 5 * time.Millisecond
)

// Spec says what to start and how.
type Spec struct {
	// Name is for messages: "nginx reuseport".
	Name string
	// Args are the path of the program and its arguments.
	Args []string
	// Env is added to our environment, from which what could change a server's
	// behaviour has been removed.
	Env []string
	// Dir is the working directory; empty: ours.
	Dir string
	// Cores are those that the server and all that it starts may use; empty: all
	// that we may use.
	Cores []int
	// Addr is where it serves HTTP, IP:PORT on loopback. It has started when it
	// answers GET / with 200.
	Addr string
	// Stop is the signal that ends it; nil: SIGTERM.
	Stop os.Signal
}

// Process is a server that was started, with all that it starts. Its methods
// may be called from several goroutines, Stop too, and again.
type Process struct {
	spec   Spec
	cmd    *exec.Cmd
	output *tail
	exited chan struct{} // closed when the first process has ended
}

// Start starts a server and waits for its first answer. One that does not give it
// is ended, and its last words are part of the error.
func Start(ctx context.Context, spec Spec) (*Process, error) {
	p := &Process{spec: spec, output: &tail{}, exited: make(chan struct{})}
	p.cmd = exec.Command(spec.Args[0], spec.Args[1:]...)
	p.cmd.Dir = spec.Dir
	p.cmd.Env = append(environment(os.Environ()), spec.Env...)
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	// Descendants that keep the output open must not keep Wait.
	p.cmd.WaitDelay = time.Second
	// A session of its own: ^C on a terminal is for us, who then stop the server
	// in order; and all that it starts can be found.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := startOn(spec.Cores, p.cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", spec.Name, err)
	}
	go func() {
		_ = p.cmd.Wait() // how it ended is in ProcessState
		close(p.exited)
	}()
	if err := p.awaitAnswer(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w; it said: %s", spec.Name, err, p.Output()), p.Stop())
	}
	return p, nil
}

// awaitAnswer asks until the server answers.
func (p *Process) awaitAnswer(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	transport := &http.Transport{DisableKeepAlives: true}
	client := &http.Client{Transport: transport, Timeout: time.Second}
	for {
		err := get(ctx, client, "http://"+p.spec.Addr+"/")
		if err == nil {
			return nil
		}
		select {
		case <-p.exited:
			return fmt.Errorf("ended before its first answer: %s", p.cmd.ProcessState)
		case <-ctx.Done():
			return fmt.Errorf("no answer on %s: %w", p.spec.Addr, err)
		case <-time.After(pollPeriod):
		}
	}
}

func get(ctx context.Context, client *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	_ = response.Body.Close() // its status is all that counts
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %s, want 200", response.Status)
	}
	return nil
}

// PID is that of the first process: the master, where there is one.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Addr is where it serves.
func (p *Process) Addr() string { return p.spec.Addr }

// Name is the name of the Spec.
func (p *Process) Name() string { return p.spec.Name }

// Exited is closed when the first process has ended.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Output is the end of what it wrote to standard output and error.
func (p *Process) Output() string { return strings.TrimSpace(p.output.String()) }

// Signal sends a signal to the first process.
func (p *Process) Signal(sig os.Signal) error {
	if err := p.cmd.Process.Signal(sig); err != nil {
		return fmt.Errorf("signal %s: %w", p.spec.Name, err)
	}
	return nil
}

// Stop ends the server: by its signal, then by SIGKILL. It returns when no
// process of its session is left, or with an error that names those that are.
func (p *Process) Stop() error {
	stop := p.spec.Stop
	if stop == nil {
		stop = syscall.SIGTERM
	}
	_ = p.cmd.Process.Signal(stop) // it may have ended
	select {
	case <-p.exited:
	case <-time.After(stopPatience):
		_ = p.cmd.Process.Kill() // it may have ended just now
		<-p.exited
	}
	return killSession(p.PID())
}

// environment removes what is meant for us or for another supervisor.
func environment(ours []string) []string {
	foreign := []string{"PREFORK_", "NOTIFY_SOCKET=", "LISTEN_", "WATCHDOG_", "GOMAXPROCS=", "GODEBUG=", "GOGC=", "GOMEMLIMIT="}
	return slices.DeleteFunc(slices.Clone(ours), func(variable string) bool {
		return slices.ContainsFunc(foreign, func(prefix string) bool { return strings.HasPrefix(variable, prefix) })
	})
}
