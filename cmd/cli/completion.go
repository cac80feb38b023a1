package cli

import (
	"embed"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"prefork/master/config"
)

// completeArg is the first argument that the scripts of "prefork completion" give
// when somebody presses TAB; the words of the line follow, the last one as far as
// it was typed.
const completeArg = "complete-words"

// filesLine is the answer that asks the shell to complete the name of a file. No
// word of ours begins with "/".
const filesLine = "/files"

// The library has completion, too. Its bash script evaluates the line that is
// being typed, needs another package's functions and knows no values of flags. So
// there is one function here, and for each shell a script that calls it.
//
//go:embed completion
var scripts embed.FS

// helpWord is the flag that the library adds to everything.
const helpWord = "--help\tshow help"

var shells = []string{"bash", "zsh", "fish"}

// choices are the flags that take one of a few words.
var choices = map[string][]string{
	"app":         config.Apps(),
	"engine":      config.Engines(),
	"queue":       config.Queues(),
	"rebalance":   config.Rebalances(),
	"ready":       {"auto", "notify"},
	"stop-signal": config.StopSignals(),
	"log-format":  config.LogFormats(),
	"log-level":   config.LogLevels(),
}

func completionCommand(env environment) *cli.Command {
	return env.withOptions(&cli.Command{
		Name: "completion", Usage: "print a script that completes commands, flags and values",
		UsageText: strings.Join(shells, "|") + "\n\n   source <(" + env.program() + " completion bash)      for this shell; the script says how for all",
		Action: func(c *cli.Context) error {
			shell := c.Args().First()
			if c.NArg() != 1 || !slices.Contains(shells, shell) {
				return usagef("completion takes the name of a shell: %s completion %s", env.program(), strings.Join(shells, ", "))
			}
			script, err := scripts.ReadFile("completion/prefork." + shell)
			if err != nil {
				return err
			}
			_, err = io.WriteString(env.stdout, strings.ReplaceAll(string(script), "prefork", env.program()))
			return err
		},
	}, nil)
}

// completeWords answers a shell: a line for each word that could stand in the
// place of the last one, with a tab and a description behind it, or filesLine.
func completeWords(app *cli.App, words []string, stdout io.Writer) int {
	for _, c := range candidates(app, words) {
		fmt.Fprintln(stdout, c) // a shell that does not listen has no use for an error either
	}
	return exitDone
}

// candidates are the lines of completeWords.
func candidates(app *cli.App, words []string) []string {
	if len(words) == 0 {
		return nil
	}
	before, word := words[:len(words)-1], words[len(words)-1]
	if len(before) == 0 {
		return beginningWith(word, append(commandWords(app), helpWord))
	}
	cmd := app.Command(before[0])
	if cmd == nil {
		return nil
	}
	flag, ended := pending(cmd, before[1:])
	name, value, joined := strings.Cut(word, "=")
	switch {
	case ended: // a program and its arguments
		return []string{filesLine}
	case flag != nil:
		return beginningWith(word, values(flag))
	case joined && looksLikeFlag(name):
		return valuesBehind(name+"=", value, findFlag(cmd, name))
	case looksLikeFlag(word) || word == "-":
		return beginningWith(word, flagWords(cmd, before[1:]))
	case cmd.Name == "completion":
		return beginningWith(word, shells)
	case word == "":
		return flagWords(cmd, before[1:])
	}
	return nil
}

// pending returns the flag whose value comes next, if any, and whether "--" has
// ended the flags.
func pending(cmd *cli.Command, words []string) (flag cli.Flag, ended bool) {
	for _, word := range words {
		switch {
		case flag != nil:
			flag = nil // this word was its value
		case word == "--":
			return nil, true
		case looksLikeFlag(word) && takesValue(cmd, word):
			flag = findFlag(cmd, word)
		}
	}
	return flag, false
}

// findFlag finds a flag as it was typed, nil if there is none.
func findFlag(cmd *cli.Command, word string) cli.Flag {
	name := strings.TrimLeft(word, "-")
	for _, f := range cmd.Flags {
		if slices.Contains(f.Names(), name) {
			return f
		}
	}
	return nil
}

// values are the words that a flag takes; none if they cannot be listed.
func values(flag cli.Flag) []string {
	if takesFile(flag) {
		return []string{filesLine}
	}
	if flag == nil {
		return nil
	}
	return choices[flag.Names()[0]]
}

// takesFile is what option.flag has said.
func takesFile(flag cli.Flag) bool {
	f, ok := flag.(*cli.StringFlag)
	return ok && f.TakesFile
}

// valuesBehind gives the whole words for a value behind "--flag=".
func valuesBehind(flag, value string, f cli.Flag) []string {
	var list []string
	for _, v := range beginningWith(value, values(f)) {
		if v != filesLine { // the shells know what of the word is the file
			v = flag + v
		}
		list = append(list, v)
	}
	return list
}

func commandWords(app *cli.App) []string {
	var list []string
	for _, c := range app.VisibleCommands() {
		list = append(list, c.Name+"\t"+c.Usage)
	}
	return list
}

// flagWords are the flags that can still be given: only those that take several
// values may come again.
func flagWords(cmd *cli.Command, given []string) []string {
	var list []string
	for _, f := range cmd.Flags {
		_, repeats := f.(*cli.StringSliceFlag)
		if repeats || !slices.ContainsFunc(given, func(word string) bool { return names(f, word) }) {
			list = append(list, "--"+f.Names()[0]+"\t"+describe(f))
		}
	}
	return append(list, helpWord)
}

// names tells whether a word gives the flag, with or without a value.
func names(f cli.Flag, word string) bool {
	name, _, _ := strings.Cut(word, "=")
	return looksLikeFlag(word) && slices.Contains(f.Names(), strings.TrimLeft(name, "-"))
}

func describe(f cli.Flag) string {
	if d, ok := f.(cli.DocGenerationFlag); ok {
		return d.GetUsage()
	}
	return ""
}

func beginningWith(prefix string, list []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(line string) bool {
		return line != filesLine && !strings.HasPrefix(line, prefix)
	})
}
