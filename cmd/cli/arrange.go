package cli

import (
	"strings"

	"github.com/urfave/cli/v2"
)

// arrange puts a command's flags before its arguments and ends them with "--":
// the flag parser stops reading flags at the first argument and takes the -1
// of "prefork scale -1" for one. What follows an operator's own "--" stays as
// it is. For a command that takes a COMMAND that "--" stays among the arguments,
// since what stands before it is none; and so does everything behind a first word,
// whose flags those may be.
func arrange(app *cli.App, args []string) []string {
	if len(args) < 2 {
		return args
	}
	cmd := app.Command(args[1])
	if cmd == nil {
		return args
	}
	flags, rest := []string{}, []string{}
	words := args[2:]
	for len(words) > 0 {
		word := words[0]
		words = words[1:]
		switch {
		case takesCommand(cmd) && (word == "--" || !looksLikeFlag(word)):
			rest = append([]string{word}, words...)
			words = nil
		case word == "--":
			rest = append(rest, words...)
			words = nil
		case !looksLikeFlag(word):
			rest = append(rest, word)
		default:
			flags = append(flags, word)
			if takesValue(cmd, word) && len(words) > 0 {
				flags = append(flags, words[0])
				words = words[1:]
			}
		}
	}
	arranged := append(args[:2:2], flags...)
	if len(rest) > 0 {
		arranged = append(append(arranged, "--"), rest...)
	}
	return arranged
}

func takesCommand(cmd *cli.Command) bool { return cmd.Name == "run" || cmd.Name == "check" }

// looksLikeFlag is false for "-" and for a negative number.
func looksLikeFlag(word string) bool {
	return len(word) > 1 && word[0] == '-' && !strings.ContainsRune("0123456789", rune(word[1]))
}

// takesValue tells whether the word after the flag belongs to it. An unknown
// flag takes none: the parser will refuse it anyway.
func takesValue(cmd *cli.Command, word string) bool {
	name := strings.TrimLeft(word, "-")
	if strings.Contains(name, "=") {
		return false
	}
	for _, f := range cmd.Flags {
		for _, n := range f.Names() {
			if n == name {
				_, isBool := f.(*cli.BoolFlag)
				return !isBool
			}
		}
	}
	return false
}
