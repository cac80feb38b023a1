package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"prefork/master/config"
	"prefork/master/control"
)

// dial returns a client for the master that the flags name, or PREFORK_CONTROL
// and PREFORK_NAME. Other variables are the master's business, and so is its file.
func dial(c *cli.Context, env environment) (*control.Client, error) {
	s := config.Sources{}
	for _, name := range []string{"name", "control"} {
		variable := config.Key{Name: name}.Variable()
		if value := env.get(variable); value != "" {
			s.Environ = append(s.Environ, variable+"="+value)
		}
		if c.IsSet(name) {
			s.Flags = append(s.Flags, config.Given{Name: name, Values: []string{c.String(name)}})
		}
	}
	resolved, err := config.Resolve(s)
	if err != nil {
		return nil, usagef("%v", err)
	}
	path := resolved.Config.Control
	if path == "" {
		path = config.ControlPath(resolved.Config.Name, os.Geteuid(), env.get("XDG_RUNTIME_DIR"))
	}
	return control.Dial(path), nil
}

// ask carries one command to the master and turns a bad answer into an error.
func ask(c *cli.Context, client *control.Client, cmd control.Command) (control.Answer, error) {
	// The master answers when it is done, and a stop may take as long as the
	// longest drain-timeout; the client's own limit is shorter than that.
	ctx, cancel := context.WithTimeout(c.Context, config.TimeoutMax)
	defer cancel()
	a, err := client.Do(ctx, cmd)
	if err != nil {
		return a, err
	}
	if code := resultCode(a.Result); code != exitDone {
		return a, &exitError{code: code, text: fmt.Sprintf("%s %s: %s", cmd.Verb, resultWord(a), a.Error)}
	}
	return a, nil
}

func resultWord(a control.Answer) string {
	switch {
	case a.Result == "rolled_back" && strings.Contains(a.Error, "the others stay as they were"):
		return "stopped half-way" // a rolling one: the reason says who serves what
	case a.Result == "rolled_back":
		return "rolled back, what served before serves on"
	case a.Result == "timeout":
		return "timed out and rolled back"
	}
	return a.Result
}

var timeoutOption = option{name: "timeout", value: "D", usage: "roll back when it takes longer", preset: "as long as it takes"}

// timeoutOf reads --timeout; 0 when it was not given.
func timeoutOf(c *cli.Context) (time.Duration, error) {
	if !c.IsSet("timeout") {
		return 0, nil
	}
	d, err := config.ParseDuration(c.String("timeout"))
	if err == nil && d <= 0 {
		err = fmt.Errorf("%q: over before it begins: write a time above 0", c.String("timeout"))
	}
	if err != nil {
		return 0, usagef("--timeout %v", err)
	}
	return d, nil
}

// simple makes a command that sends one request and prints one line.
func simple(env environment, name, usage string, options []option, cmd func(*cli.Context) (control.Command, error), done func(control.Answer) string) *cli.Command {
	return env.withOptions(&cli.Command{
		Name: name, Usage: usage,
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			request, err := cmd(c)
			if err != nil {
				return err
			}
			client, err := dial(c, env)
			if err != nil {
				return err
			}
			a, err := ask(c, client, request)
			if err == nil {
				fmt.Fprintln(env.stdout, done(a))
			}
			return err
		},
	}, masterOptions(options...))
}

// doneLine says that a change is done, what became of connections, and what serves now.
func doneLine(what string, a control.Answer, serves string) string {
	line := fmt.Sprintf("%s %.2fs", what, a.Seconds)
	if a.Change != nil {
		line += ": " + a.Change.Counts()
	}
	if serves != "" {
		line += " (" + serves + ")"
	}
	return line
}

func reloadCommand(env environment) *cli.Command {
	return simple(env, "reload", "replace all workers by a new generation, and wait until it serves", []option{timeoutOption},
		func(c *cli.Context) (control.Command, error) {
			timeout, err := timeoutOf(c)
			return control.Command{Verb: control.Reload, Timeout: timeout}, err
		},
		func(a control.Answer) string {
			done := doneLine("reload done in", a, fmt.Sprintf("generation %d, %s", a.Generation, plural(a.Workers, "worker")))
			if a.Note != "" {
				done += "\nbut " + printable(a.Note)
			}
			return done
		})
}

func upgradeCommand(env environment) *cli.Command {
	return simple(env, "upgrade", "replace the master's binary (not yet available)", []option{timeoutOption},
		func(c *cli.Context) (control.Command, error) {
			timeout, err := timeoutOf(c)
			return control.Command{Verb: control.Upgrade, Timeout: timeout}, err
		},
		func(a control.Answer) string { return fmt.Sprintf("upgraded after %.2fs", a.Seconds) })
}

func reopenCommand(env environment) *cli.Command {
	return simple(env, "reopen", "reopen the log files", nil,
		func(*cli.Context) (control.Command, error) { return control.Command{Verb: control.Reopen}, nil },
		func(control.Answer) string { return "log files reopened" })
}

func scaleCommand(env environment) *cli.Command {
	return env.withOptions(&cli.Command{
		Name: "scale", Usage: "change the number of workers, and wait until it is so",
		UsageText: "[flags] N | +N | -N",
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return usagef("scale takes one number: %s scale N, +N or -N", c.App.Name)
			}
			workers := c.Args().First()
			switch n, err := strconv.Atoi(workers); {
			case err != nil && !errors.Is(err, strconv.ErrRange), n == 0:
				return usagef("workers %q: write a number like 4, or a step like +1 or -1 (%s stop ends the service)", workers, c.App.Name)
			case n < -config.SlotsMax || n > config.SlotsMax:
				return usagef("workers %q: %d workers are the most that one master has", workers, config.SlotsMax)
			}
			client, err := dial(c, env)
			if err != nil {
				return err
			}
			a, err := ask(c, client, control.Command{Verb: control.Scale, Workers: workers})
			if err == nil {
				fmt.Fprintln(env.stdout, doneLine("scale done in", a, plural(a.Workers, "worker")))
			}
			return err
		},
	}, masterOptions())
}

func stopCommand(env environment) *cli.Command {
	return env.withOptions(&cli.Command{
		Name: "stop", Usage: "stop gracefully, and wait until the master has gone",
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			client, err := dial(c, env)
			if err != nil {
				return err
			}
			return stop(c, client, env)
		},
	}, masterOptions(option{name: "now", usage: "at once: requests in flight are cut"}))
}

// stop waits for the end of the process itself, not of the conversation: what
// comes after "prefork stop" may rely on its ports, files and name being free.
func stop(c *cli.Context, client *control.Client, env environment) error {
	st, err := client.Status(c.Context)
	if err != nil {
		return err
	}
	pidfd, err := unix.PidfdOpen(st.PID, 0) // open BEFORE the request: it cannot be another process yet
	if err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("watch master %d: %w", st.PID, os.NewSyscallError("pidfd_open", err))
	}
	if err == nil {
		defer unix.Close(pidfd)
	}
	a, askErr := ask(c, client, control.Command{Verb: control.Stop, Now: c.Bool("now")})
	if askErr != nil {
		return askErr
	}
	if err == nil {
		if err := waitGone(c.Context, pidfd); err != nil {
			return err
		}
	}
	fmt.Fprintln(env.stdout, doneLine("stopped after", a, ""))
	return nil
}

// waitGone waits until the process has ended: pidfd_open(2), poll says so.
func waitGone(ctx context.Context, pidfd int) error {
	const lookMillis = 100 // how late a cancelled context is noticed
	for ctx.Err() == nil {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, lookMillis)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("poll", err)
		}
		if n > 0 {
			return nil
		}
	}
	return ctx.Err()
}
