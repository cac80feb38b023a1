package main

import (
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"prefork/master/config"
	"prefork/master/process"
	"prefork/worker"
)

// environment is everything that the command knows of the world.
type environment struct {
	environ        []string
	stdout, stderr io.Writer
}

// get gives the value of a variable; empty when it is not there.
func (e environment) get(name string) string {
	for _, entry := range e.environ {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}

// run is the whole program as a function; it returns the exit code.
func run(args []string, env environment) int {
	if len(args) > 1 {
		switch args[1] { // these are no commands: the first two are processes of a master
		case process.ExecStepArg:
			return process.ExecStep(args[2:])
		case worker.Arg:
			return worker.Live(worker.BuiltIn)
		case completeArg: // this one is a question of a shell
			return completeWords(newApp(env), args[2:], env.stdout)
		}
	}
	app := newApp(env)
	return report(env.stderr, app.Run(arrange(app, args)))
}

func newApp(env environment) *cli.App {
	app := &cli.App{
		Name:      "prefork",
		Usage:     "a prefork server supervisor: one socket and one worker for each CPU, and no request lost",
		UsageText: "prefork run                start in the foreground\nprefork run -c FILE        the same, as a file says\nprefork COMMAND --help     what a command does, and its flags",
		Version:   version(),
		Writer:    env.stdout,
		ErrWriter: env.stderr,
		Commands: []*cli.Command{
			runCommand(env), checkCommand(env), statusCommand(env), reloadCommand(env), scaleCommand(env), upgradeCommand(env),
			stopCommand(env), reopenCommand(env), eventsCommand(env), completionCommand(env), versionCommand(env),
		},
		HideHelpCommand: true,
		// A comma belongs to the value: "--listen a,b" is one mistake, not two addresses.
		DisableSliceFlagSeparator: true,
		HideVersion:               true, // the version command says it
		CustomAppHelpTemplate:     appHelp,
		ExitErrHandler:            func(*cli.Context, error) {}, // report does it
		OnUsageError:              usageError,
		Action:                    noCommand,
	}
	for _, c := range app.Commands {
		c.OnUsageError = usageError
		c.HideHelpCommand = true
	}
	return app
}

// noCommand is called when the first argument is no command.
func noCommand(c *cli.Context) error {
	if !c.Args().Present() {
		return cli.ShowAppHelp(c)
	}
	word := c.Args().First()
	var names []string
	for _, cmd := range c.App.Commands {
		names = append(names, cmd.Name)
	}
	return usagef("unknown command %q: %s", word, didYouMean(word, names, "", "see prefork --help"))
}

// usageError rewords what the flag parser says.
func usageError(c *cli.Context, err error, _ bool) error {
	text := err.Error()
	help := "see prefork " + c.Command.Name + " --help"
	if c.Command.Name == c.App.Name { // a flag before any command
		help = "see prefork --help"
	}
	name, undefined := strings.CutPrefix(text, "flag provided but not defined: -")
	if !undefined {
		return usagef("%s: %s", text, help)
	}
	var known []string
	for _, f := range c.Command.Flags {
		known = append(known, f.Names()[0])
	}
	name = strings.TrimLeft(name, "-")
	return usagef("unknown flag --%s: %s", name, didYouMean(name, known, "--", help))
}

// didYouMean suggests the known word next to the mistyped one, or otherwise.
func didYouMean(word string, known []string, prefix, otherwise string) string {
	if near := config.Suggest(word, known); near != "" {
		return "did you mean " + prefix + near + "?"
	}
	return otherwise
}

// noArguments refuses arguments of a command that takes none.
func noArguments(c *cli.Context) error {
	if c.Args().Present() {
		return usagef("%q is too much: prefork %s takes no arguments", c.Args().First(), c.Command.Name)
	}
	return nil
}

const appHelp = `prefork - {{.Usage}}

USAGE
   {{.UsageText | nindent 3 | trim}}

COMMANDS{{range .VisibleCommands}}
   {{printf "%-10s" .Name}} {{.Usage}}{{end}}

A command finds its master by --control PATH, else by --name NAME; the variables
PREFORK_CONTROL and PREFORK_NAME say the same.

EXIT CODES
   0 done   1 failed   2 usage or configuration   3 no master there   4 rolled back, or --timeout ran out
`
