package config

import (
	"slices"
	"strings"
)

const variablePrefix = "PREFORK_"

// fileVariable names the file, which is the caller's to read.
const fileVariable = "PREFORK_CONFIG"

const slotVariable = "PREFORK_SLOT"

// workerVariables are what prefork tells its workers. A prefork that one of them
// starts finds them in its environment, and they are not meant for it.
var workerVariables = []string{slotVariable, "PREFORK_GENERATION", "PREFORK_IPC"}

// siblingsVariable is a setting, and what a worker is told of its siblings' sockets
// (their numbers, "5,6") has the same name.
const siblingsVariable = "PREFORK_SIBLING_FDS"

// isForWorker tells whether a variable was meant for the worker that this prefork was
// started by.
func isForWorker(name, value string, environ []string) bool {
	if name != siblingsVariable {
		return slices.Contains(workerVariables, name)
	}
	inWorker := slices.ContainsFunc(environ, func(entry string) bool { return strings.HasPrefix(entry, slotVariable+"=") })
	return inWorker && value != "" && strings.Trim(value, "0123456789,") == ""
}

// Variable gives the name of the variable that sets a key: PREFORK_LOG_LEVEL for
// log-level.
func (k Key) Variable() string {
	return variablePrefix + strings.ToUpper(strings.ReplaceAll(k.Name, "-", "_"))
}

// readEnviron reads PREFORK_*. Several addresses are separated by spaces.
func readEnviron(environ []string) layer {
	var l layer
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, variablePrefix) || name == fileVariable || isForWorker(name, value, environ) {
			continue
		}
		origin := Origin{source: fromVariable, name: oneLine(name)}
		k, known := keyOfVariable(name)
		if !known {
			// Without its value: it may be a secret that was given a wrong name.
			l.findings = append(l.findings, finding{origin, origin.name + ": unknown: " + adviseOnVariable(name)})
			continue
		}
		words := []string{value}
		if k.Kind == List {
			words = strings.Fields(value)
		}
		l.settings = append(l.settings, setting{key: k, words: words, origin: origin})
	}
	return l
}

func keyOfVariable(name string) (Key, bool) {
	i := slices.IndexFunc(keys, func(k Key) bool { return !k.FileOnly && k.Variable() == name })
	if i < 0 {
		return Key{}, false
	}
	return keys[i], true
}

func adviseOnVariable(name string) string {
	word := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, variablePrefix), "_", "-"))
	if k, known := findKey(word); known && k.FileOnly {
		return word + " stands in the file, and a variable cannot set it"
	}
	words := []string{"config"}
	for _, k := range keys {
		if !k.FileOnly {
			words = append(words, k.Name)
		}
	}
	if near := Suggest(word, words); near != "" {
		return "did you mean " + Key{Name: near}.Variable() + "?"
	}
	return "prefork run --help lists the flags, and each has a variable, like PREFORK_WORKERS for --workers"
}

// readFlags trusts the names: the command line knows no others.
func readFlags(flags []Given, command []string) layer {
	var l layer
	for _, f := range flags {
		if k, known := findKey(f.Name); known && !k.FileOnly {
			l.settings = append(l.settings, setting{key: k, words: f.Values, origin: Origin{source: fromFlag, name: "--" + f.Name}})
		}
	}
	if len(command) > 0 {
		k, _ := findKey("command")
		l.settings = append(l.settings, setting{key: k, words: command, origin: Origin{source: fromArguments}})
	}
	return l
}
