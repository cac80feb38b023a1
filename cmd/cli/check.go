package cli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"
)

func checkCommand(env environment) *cli.Command {
	return env.withOptions(&cli.Command{
		Name: "check", Usage: "show the configuration that run would use, or what is wrong with it",
		UsageText: "[flags] [-- COMMAND [ARG...]]",
		Description: "   Prints TOML, each line with the place where its value came from: the default, the\n" +
			"   file, a PREFORK_ variable, a flag. Values of the environment are not shown.",
		Action: func(c *cli.Context) error {
			l, err := loaderOf(c, env)
			if err != nil {
				return err
			}
			resolved, err := l.load()
			if err != nil {
				return err
			}
			for _, doubt := range resolved.Config.Certificate.Doubts {
				fmt.Fprintf(env.stderr, "prefork: warning: %s\n", doubt)
			}
			_, err = fmt.Fprint(env.stdout, resolved.TOML())
			return err
		},
	}, settingOptions(env))
}

// loaderOf reads the command line of run and check.
func loaderOf(c *cli.Context, env environment) (loader, error) {
	command, err := commandOf(c)
	if err != nil {
		return loader{}, err
	}
	return newLoader(c, env, command)
}

// commandOf gives the COMMAND: all that follows "--", as it is. Words before that
// are refused, since nobody could tell whose flags come after them.
func commandOf(c *cli.Context) ([]string, error) {
	words := c.Args().Slice()
	dashes := slices.Index(words, "--")
	switch {
	case len(words) == 0:
		return nil, nil
	case dashes == 0 && len(words) == 1:
		return nil, usagef(`no COMMAND after "--": write one, or leave "--" out`)
	case dashes == 0:
		return words[1:], nil
	case strings.HasSuffix(words[0], ".toml"):
		return nil, usagef("%q is too much: did you mean --config %s?", words[0], words[0])
	}
	quoted := make([]string, len(words))
	for i, w := range words {
		if quoted[i] = w; w == "" || strings.ContainsAny(w, " \t\n\"'\\$*?") {
			quoted[i] = strconv.Quote(w)
		}
	}
	return nil, usagef("%q is too much: a COMMAND stands after \"--\": %s %s [flags] -- %.200s", words[0], c.App.Name, c.Command.Name, strings.Join(quoted, " "))
}
