package cli

import (
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"prefork/master/config"
)

// flagHelp is what help says of a key's flag beside its name and its default.
type flagHelp struct {
	short  string // one letter, may be empty
	value  string // what stands for its value; empty for a switch
	usage  string
	preset string // in words, where the default would say nothing
}

// flagHelps has every key that is a flag; the keys themselves are config's.
var flagHelps = map[string]flagHelp{
	"name":           {value: "NAME", usage: "names control socket and lock"},
	"listen":         {short: "l", value: "ADDR", usage: "address to serve: host:port, [v6]:port, unix:PATH, systemd:NAME; may be given several times"},
	"workers":        {short: "w", value: "N", usage: "how many workers; auto: one for each CPU that this process may use"},
	"app":            {value: "APP", usage: "built-in worker: " + strings.Join(config.Apps(), ", ")},
	"engine":         {value: "ENGINE", usage: "what runs it: reactor, or goroutines (net/http); TLS takes goroutines by itself"},
	"root":           {value: "FOLDER", usage: "folder that the app static serves"},
	"tls-cert":       {value: "FILE", usage: "speak TLS and HTTP/2 with this certificate (PEM, its chain behind it); a reload reads it again", preset: "none"},
	"tls-key":        {value: "FILE", usage: "private key of the certificate (PEM)", preset: "none"},
	"queue":          {value: "QUEUE", usage: "slot: a listening socket for each worker; shared: one for all"},
	"helpers":        {value: "N", usage: "how many siblings watch each worker's socket, to take what it cannot; 0: none"},
	"sibling-fds":    {usage: "give a COMMAND the sockets of its siblings, too (PREFORK_SIBLING_FDS)"},
	"rebalance":      {value: "on|off", usage: "even out idle keep-alive connections between our workers"},
	"ready":          {value: "WHEN", usage: "when a COMMAND is ready: notify, delay:1s, or auto: READY=1, else alive after a second"},
	"stop-signal":    {value: "NAME", usage: "tells a COMMAND to drain: " + strings.Join(config.StopSignals(), ", ")},
	"surge":          {value: "N|N%", usage: "how many new workers may run beside the old ones in a reload; 100%: all or nothing"},
	"start-timeout":  {value: "D", usage: "how long a worker may take until it is ready"},
	"drain-timeout":  {value: "D", usage: "how long a worker may finish what is in flight"},
	"drain-spread":   {value: "D", usage: "over how long before the end of that our workers close what still is in flight; 0s: at the end"},
	"hang-timeout":   {value: "D", usage: "how long a worker's loop may stand still before it is replaced"},
	"idle-timeout":   {value: "D", usage: "how long a connection may wait between two requests"},
	"header-timeout": {value: "D", usage: "how long a request's header may take"},
	"body-timeout":   {value: "D", usage: "how long a request's body may take"},
	"orphan-timeout": {value: "D", usage: "how long built-in workers, and Go programs by package worker, serve without a master"},
	"max-header":     {value: "SIZE", usage: "largest header of a request; beyond: 431"},
	"max-body":       {value: "SIZE", usage: "largest body of a request; beyond: 413"},
	"identify":       {usage: "workers tell in a Prefork-Worker header who answered"},
	"control":        {value: "PATH", usage: "control socket", preset: "after the name"},
	"pid-file":       {value: "PATH", usage: "write the master's pid there; information only", preset: "none"},
	"log-file":       {value: "PATH", usage: "log to a file, which USR1 reopens", preset: "standard error"},
	"log-format":     {value: "FORMAT", usage: strings.Join(config.LogFormats(), " or "), preset: "text on a terminal, json elsewhere"},
	"log-level":      {value: "LEVEL", usage: strings.Join(config.LogLevels(), ", ")},
}

var configOption = option{name: "config", short: "c", value: "FILE", usage: "TOML file to read; flags replace what it says", preset: "none"}

// settingOptions are the flags of the commands that resolve a configuration.
func settingOptions(env environment) []option {
	list := []option{configOption}
	for _, k := range config.Keys() {
		if !k.FileOnly && !(k.BuiltIn && env.serve != nil) {
			list = append(list, optionOf(k))
		}
	}
	return list
}

func optionOf(k config.Key) option {
	h := flagHelps[k.Name]
	o := option{name: k.Name, short: h.short, value: h.value, usage: h.usage, preset: h.preset, repeat: k.Kind == config.List}
	if o.preset == "" && k.Kind != config.Switch {
		o.preset = strings.Join(k.Words(config.Default()), " ")
	}
	return o
}

// given returns the flags that were given, with their values.
func given(c *cli.Context) (flags []config.Given) {
	for _, k := range config.Keys() {
		if k.FileOnly || !c.IsSet(k.Name) {
			continue
		}
		values := []string{c.String(k.Name)}
		switch k.Kind {
		case config.Switch:
			values = []string{strconv.FormatBool(c.Bool(k.Name))}
		case config.List:
			values = c.StringSlice(k.Name)
		}
		flags = append(flags, config.Given{Name: k.Name, Values: values})
	}
	return flags
}
