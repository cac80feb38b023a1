package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// option is one flag of a command, as the parser and the help need it.
type option struct {
	name   string
	short  string // one letter, may be empty
	value  string // what stands for its value in help; empty for a switch
	usage  string
	preset string // what holds without it, as help shows it; may be empty
	repeat bool   // may be given several times
}

// flag makes the parser's flag. Values are words; what they mean is decided
// where all their problems can be told at once.
func (o option) flag() cli.Flag {
	var aliases []string
	if o.short != "" {
		aliases = []string{o.short}
	}
	switch {
	case o.value == "":
		return &cli.BoolFlag{Name: o.name, Aliases: aliases, Usage: o.usage}
	case o.repeat:
		return &cli.StringSliceFlag{Name: o.name, Aliases: aliases, Usage: o.usage}
	}
	return &cli.StringFlag{Name: o.name, Aliases: aliases, Usage: o.usage, TakesFile: o.takesFile()}
}

// takesFile tells a shell to complete the names of files.
func (o option) takesFile() bool {
	return slices.Contains([]string{"PATH", "FILE", "FOLDER"}, o.value)
}

// columns are the two columns of the option's line in help.
func (o option) columns() (left, right string) {
	left, right = "    --"+o.name, o.usage
	if o.short != "" {
		left = "-" + o.short + ", --" + o.name
	}
	if o.value != "" {
		left += " " + o.value
	}
	if o.preset != "" {
		right += " (default: " + o.preset + ")"
	}
	return left, right
}

// withOptions gives a command its flags and its help text. UsageText is what may
// follow its name; empty: flags, if there are any.
func (e environment) withOptions(c *cli.Command, options []option) *cli.Command {
	help := &strings.Builder{}
	name, usage := e.program()+" "+c.Name, c.UsageText
	if usage == "" && len(options) > 0 {
		usage = "[flags]"
	}
	fmt.Fprintf(help, "%s - %s\n\nUSAGE\n   %s\n", name, c.Usage, strings.TrimSpace(name+" "+usage))
	if c.Description != "" {
		fmt.Fprintf(help, "\n%s\n", c.Description)
	}
	if len(options) > 0 {
		help.WriteString("\nFLAGS\n")
	}
	width := 0
	for _, o := range options {
		left, _ := o.columns()
		width = max(width, len(left))
	}
	for _, o := range options {
		c.Flags = append(c.Flags, o.flag())
		left, right := o.columns()
		fmt.Fprintf(help, "   %-*s  %s\n", width, left, right)
	}
	c.CustomHelpTemplate = help.String()
	return c
}

// masterOptions are those by which every command finds its master.
func masterOptions(more ...option) []option {
	return append([]option{
		{name: "name", value: "NAME", usage: "name of the master", preset: "prefork"},
		{name: "control", value: "PATH", usage: "path of its control socket", preset: "after the name"},
	}, more...)
}
