package cli

import (
	"cmp"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"prefork/master/config"
	"prefork/master/process"
	"prefork/worker"
)

// Main is the command as main functions call it: it takes the arguments, variables
// and standard files of this process, and returns the exit code. serve is what a
// worker of the program does when there is no COMMAND, as for [worker.Main]; it is
// called in the worker's own process. nil: the built-in apps, which makes it prefork.
func Main(serve func(*worker.Worker) error) int {
	env := environment{environ: os.Environ(), stdout: os.Stdout, stderr: os.Stderr, serve: serve}
	if serve != nil && len(os.Args) > 0 {
		env.name = filepath.Base(os.Args[0])
	}
	return run(os.Args, env)
}

// environment is everything that the command knows of the world, and of itself.
type environment struct {
	environ        []string
	stdout, stderr io.Writer

	// A program that is its own master has both.
	name  string
	serve func(*worker.Worker) error
}

// program is what help and messages call the command.
func (e environment) program() string { return cmp.Or(e.name, "prefork") }

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
			return worker.Live(env.worker())
		case completeArg: // this one is a question of a shell
			return completeWords(newApp(env), args[2:], env.stdout)
		}
	}
	app := newApp(env)
	return report(env, app.Run(arrange(app, args)))
}

// worker is what a worker does when there is no COMMAND.
func (e environment) worker() func(*worker.Worker) error {
	if e.serve != nil {
		return e.serve
	}
	return worker.BuiltIn
}

func newApp(env environment) *cli.App {
	app := &cli.App{
		Name:      env.program(),
		Usage:     env.usage(),
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

// usage says in one line what the command is.
func (e environment) usage() string {
	if e.serve != nil {
		return "a server that is its own prefork master: one socket and one worker for each CPU, and no request lost"
	}
	return "a prefork server supervisor: one socket and one worker for each CPU, and no request lost"
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
	return usagef("unknown command %q: %s", word, didYouMean(word, names, "", "see "+c.App.Name+" --help"))
}

// usageError rewords what the flag parser says.
func usageError(c *cli.Context, err error, _ bool) error {
	text := err.Error()
	help := "see " + c.App.Name + " " + c.Command.Name + " --help"
	if c.Command.Name == c.App.Name { // a flag before any command
		help = "see " + c.App.Name + " --help"
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
		return usagef("%q is too much: %s %s takes no arguments", c.Args().First(), c.App.Name, c.Command.Name)
	}
	return nil
}

const appHelp = `{{.Name}} - {{.Usage}}

USAGE
   {{.Name}} run                start in the foreground
   {{.Name}} run -c FILE        the same, as a file says
   {{.Name}} COMMAND --help     what a command does, and its flags

COMMANDS{{range .VisibleCommands}}
   {{printf "%-10s" .Name}} {{.Usage}}{{end}}

A command finds its master by --control PATH, else by --name NAME; the variables
PREFORK_CONTROL and PREFORK_NAME say the same.

EXIT CODES
   0 done   1 failed   2 usage or configuration   3 no master there   4 rolled back, or --timeout ran out
`
