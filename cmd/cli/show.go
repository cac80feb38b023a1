package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"prefork/master/config"
	"prefork/master/control"
)

func statusCommand(env environment) *cli.Command {
	return env.withOptions(&cli.Command{
		Name: "status", Usage: "show master, listeners and workers",
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			client, err := dial(c, env)
			if err != nil {
				return err
			}
			st, err := client.Status(c.Context)
			if err != nil {
				return err
			}
			if c.Bool("json") {
				return json.NewEncoder(env.stdout).Encode(st)
			}
			return printStatus(env.stdout, st)
		},
	}, masterOptions(option{name: "json", usage: "the whole status as JSON, for programs"}))
}

// printStatus prints what a tired person looks for first: is it well, where
// does it listen, who is not ready.
func printStatus(w io.Writer, st control.Status) error {
	ready := 0
	for _, worker := range st.Workers {
		if worker.State == "ready" {
			ready++
		}
	}
	fmt.Fprintf(w, "%s is %s: %d ready, generation %d, up %s, pid %d, version %s\n",
		st.Name, st.State, ready, st.Generation, age(st.UptimeSeconds), st.PID, st.Version)
	for _, l := range st.Listen {
		fmt.Fprintf(w, "listens on %s\n", l.Address)
	}
	if r := st.LastReload; r.Result != "" && r.Result != "ok" {
		lines := strings.Split(strings.TrimSpace(r.Error), "\n")
		fmt.Fprintf(w, "last reload: %s: %s\n", r.Result, printable(lines[0]))
		if len(lines) > 1 { // of many words the last says most; status --json has them all
			fmt.Fprintf(w, "  %s\n", printable(lines[len(lines)-1]))
		}
	}
	fmt.Fprintln(w)
	if err := printWorkers(w, st.Workers); err != nil {
		return err
	}
	for _, worker := range st.Workers {
		if worker.Status != "" {
			fmt.Fprintf(w, "%d/%d says: %s\n", worker.Slot, worker.Incarnation, worker.Status)
		}
	}
	return nil
}

func printWorkers(w io.Writer, workers []control.WorkerStatus) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "WORKER\tSTATE\tPID\tGENERATION\tAGE\tREQUESTS\tHELPED\tCONNS\tQUEUE\tRSS\tCPU\tRESTARTS\t")
	for _, w := range workers {
		fmt.Fprintf(t, "%d/%d\t%s\t%s\t%d\t%s\t%d\t%d\t%d\t%d\t%s\t%s\t%d\t\n", w.Slot, w.Incarnation, stateText(w), pidText(w.PID),
			w.Generation, age(w.AgeSeconds), w.Requests, w.Helped, w.Connections, w.AcceptQueue, mebibytes(w.RSSBytes), age(w.CPUSeconds), w.Restarts)
	}
	return t.Flush()
}

func stateText(w control.WorkerStatus) string {
	if w.State == "waiting" {
		return fmt.Sprintf("waiting %.1fs", w.RetryInSeconds)
	}
	return w.State
}

func pidText(pid int) string {
	if pid == 0 {
		return "-"
	}
	return fmt.Sprint(pid)
}

func mebibytes(b uint64) string { return fmt.Sprintf("%.1fM", float64(b)/(1<<20)) }

// age prints a time with the precision that one can use.
func age(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Hour:
		return d.Round(time.Second).String()
	case d < 48*time.Hour:
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	}
	return fmt.Sprintf("%dd%dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
}

func eventsCommand(env environment) *cli.Command {
	return env.withOptions(&cli.Command{
		Name: "events", Usage: "follow what happens, until ^C or the master's end",
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			var since time.Duration
			if c.IsSet("since") {
				var err error
				if since, err = config.ParseDuration(c.String("since")); err != nil || since < 0 {
					return usagef("--since %q: not a time: write a number with a unit, like 30s or 5m", c.String("since"))
				}
			}
			client, err := dial(c, env)
			if err != nil {
				return err
			}
			return follow(c, client, since, env.stdout)
		},
	}, masterOptions(
		option{name: "json", usage: "a JSON object for each event"},
		option{name: "since", value: "D", usage: "begin with the kept events of the last D"},
	))
}

func follow(c *cli.Context, client *control.Client, since time.Duration, w io.Writer) error {
	events, err := client.Events(c.Context, since)
	if err != nil {
		return err
	}
	defer events.Close()
	for {
		e, err := events.Next(c.Context)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := printEvent(w, e, c.Bool("json")); err != nil {
			return err
		}
	}
}

func printEvent(w io.Writer, e control.Event, asJSON bool) error {
	if asJSON {
		line, err := json.Marshal(e)
		if err != nil {
			return err
		}
		_, err = w.Write(append(printableJSON(line), '\n'))
		return err
	}
	var fields []string
	for k, v := range e.Fields {
		if k != "component" {
			fields = append(fields, printable(fmt.Sprintf("%s=%v", k, v)))
		}
	}
	sort.Strings(fields)
	_, err := fmt.Fprintf(w, "%s %-7s %s  %s\n", e.Time.Local().Format("15:04:05.000"), e.Level, printable(e.Message), strings.Join(fields, " "))
	return err
}
