package config

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// Origin is where a value came from. The zero value is the default.
type Origin struct {
	source       source
	name         string // of the file, the variable or the flag
	line, column int    // in a file; from 1
}

// source is a layer: a higher one replaces what a lower one says.
type source int

const (
	fromDefault source = iota
	fromNeed           // another key needs it so
	fromFile
	fromVariable
	fromFlag
	fromArguments // what follows "--"
)

// String is "default", "FILE:LINE", "PREFORK_WORKERS" or "--workers".
func (o Origin) String() string {
	switch o.source {
	case fromDefault:
		return "default"
	case fromNeed:
		return "default with " + o.name
	case fromFile:
		return oneLine(o.name) + ":" + strconv.Itoa(o.line)
	case fromArguments:
		return "COMMAND"
	}
	return o.name
}

// finding is one line about one mistake, and where that stands.
type finding struct {
	origin Origin
	text   string
}

// Error gives FILE:LINE:COLUMN: text, or the text, which names its variable or
// flag itself.
func (f finding) Error() string {
	if f.origin.source == fromFile {
		return fmt.Sprintf("%s:%d: %s", f.origin, f.origin.column, f.text)
	}
	return f.text
}

// find makes a problem a finding: what stands in a file is known by its key,
// everything else by what was typed.
func (o Origin) find(p *Problem) finding {
	said := *p
	if o.source > fromFile {
		said.Key = o.String()
	}
	return finding{origin: o, text: said.Error()}
}

// compareFindings orders by layer, and in a file from its beginning to its end.
// Variables have no order of their own, flags keep theirs.
func compareFindings(a, b finding) int {
	order := cmp.Or(
		cmp.Compare(a.origin.source, b.origin.source),
		cmp.Compare(a.origin.line, b.origin.line),
		cmp.Compare(a.origin.column, b.origin.column),
	)
	if order == 0 && a.origin.source == fromVariable {
		return cmp.Compare(a.origin.name, b.origin.name)
	}
	return order
}

// oneLine gives a name as it is, or quoted if it would break a line or hide in it.
func oneLine(name string) string {
	if quoted := strconv.Quote(name); quoted[1:len(quoted)-1] != name || strings.ContainsAny(name, "#") {
		return quoted
	}
	return name
}
