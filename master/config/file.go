package config

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2/unstable"
)

// FileMax bounds a file: what is larger is not a configuration.
const FileMax = 1 << 20

// fileReader turns a file into a layer. It reads the parser's expressions itself
// and not a decoder's result: a decoder stops at the first mistake, and does not
// say where the values stood that only Validate refuses.
type fileReader struct {
	document
	layer
	table     table          // of the expressions to come
	seen      map[string]int // the line of each key, and of each variable by itemName
	variables *setting       // the environment; nil: not there yet
	dotted    bool           // it is written as environment.NAME
}

// table is what keys belong to.
type table int

const (
	top table = iota
	environment
	foreign // one that should not be there, or a header that does not parse
)

func readFile(f File) layer {
	data := bytes.TrimPrefix(f.Data, []byte("\uFEFF")) // some editors begin a file with this mark
	r := &fileReader{document: newDocument(f.Path, data), seen: map[string]int{}}
	if why, at := noText(data); why != "" {
		r.complain(at, "%s", why)
		return r.layer
	}
	for begin := 0; begin < len(data) && len(r.findings) <= findingsMax; {
		begin = r.read(begin)
	}
	if r.variables != nil {
		r.settings = append(r.settings, *r.variables)
	}
	return r.layer
}

// noText finds what makes a whole file unreadable, and where that stands.
func noText(data []byte) (why string, at int) {
	switch {
	case len(data) > FileMax:
		return fmt.Sprintf("the file is larger than %s, which no configuration is: write the path of another one", FormatSize(FileMax)), 0
	case bytes.HasPrefix(data, []byte("\xff\xfe")), bytes.HasPrefix(data, []byte("\xfe\xff")):
		return "the file is UTF-16: save it as UTF-8", 0
	}
	for at < len(data) {
		char, size := utf8.DecodeRune(data[at:])
		if char == utf8.RuneError && size == 1 {
			return fmt.Sprintf("the byte 0x%02x is not UTF-8: save the file as UTF-8", data[at]), at
		}
		at += size
	}
	return "", 0
}

// read reads from a line's beginning until a syntax error, and gives the place
// where reading can go on.
func (r *fileReader) read(begin int) (next int) {
	var p unstable.Parser
	p.Reset(r.data[begin:])
	end := begin // of the last expression
	for p.NextExpression() {
		e := p.Expression()
		end = r.lineAfter(begin + r.expression(begin, e))
		if len(r.findings) > findingsMax {
			return len(r.data)
		}
	}
	if p.Error() == nil {
		return len(r.data)
	}
	return r.syntaxError(r.skipBlank(end), begin, p.Error())
}

// name is one part of a key.
type name struct {
	text string
	at   int
}

// entry is a key with its value.
type entry struct {
	names []name
	value *unstable.Node
	raw   string // the value as it stands in the file
	begin int    // what the parser counts from
}

// expression reads a table's header or a key with its value, and gives its last
// byte, counted as the parser does, from begin.
func (r *fileReader) expression(begin int, e *unstable.Node) (last int) {
	names, last := namesOf(begin, e)
	if e.Kind != unstable.KeyValue {
		r.header(e.Kind, names)
		return last
	}
	r.keyValue(r.entryOf(begin, e))
	return int(e.Raw.Offset+e.Raw.Length) - 1
}

// namesOf gives the parts of a key, and its last byte.
func namesOf(begin int, e *unstable.Node) (names []name, last int) {
	for it := e.Key(); it.Next(); {
		n := it.Node()
		names = append(names, name{string(n.Data), begin + int(n.Raw.Offset)})
		last = int(n.Raw.Offset+n.Raw.Length) - 1
	}
	return names, last
}

func (r *fileReader) entryOf(begin int, e *unstable.Node) entry {
	names, last := namesOf(begin, e)
	raw := r.data[begin+last+1 : begin+int(e.Raw.Offset+e.Raw.Length)]
	_, raw, _ = bytes.Cut(raw, []byte("=")) // after a key there is nothing else before it
	return entry{names: names, value: e.Value(), raw: string(bytes.TrimLeft(raw, " \t")), begin: begin}
}

// header reads [environment], the only table that there is.
func (r *fileReader) header(kind unstable.Kind, names []name) {
	first := names[0]
	r.table = foreign
	_, isKey := findKey(first.text)
	switch {
	case first.text != "environment" && isKey:
		r.complain(first.at, "[%s]: this key is no table: write %s at the top of the file, without brackets", shown(first.text), exampleLine(first.text))
	case first.text != "environment":
		r.complain(first.at, "[%s]: there is no table but environment: write its keys at the top of the file, without this line", shown(first.text))
	case len(names) > 1:
		r.nested(names[1])
	case kind == unstable.ArrayTable:
		r.complain(first.at, "[[environment]]: it is one table and no list of them: write [environment]")
	case r.beginEnvironment(first.at, false):
		r.table = environment
	}
}

// keyValue reads one key with its value. Keys in a table that should not be there
// are read as if they stood at the top, where they belong, so that their own
// mistakes are told too; unknown ones there belong to somebody else.
func (r *fileReader) keyValue(e entry) {
	first := e.names[0]
	switch {
	case r.table == environment && len(e.names) == 1:
		r.variable(first, e.value)
	case r.table == environment:
		r.nested(first)
	case len(e.names) == 1:
		r.key(first, e)
	case first.text != "environment":
		r.complain(first.at, "%s.%s: keys have no parts: write the key alone, at the top of the file", shown(first.text), shown(e.names[1].text))
	case len(e.names) > 2:
		r.nested(e.names[1])
	case r.beginEnvironment(first.at, true):
		r.variable(e.names[1], e.value)
	}
}

func (r *fileReader) key(n name, e entry) {
	k, known := findKey(n.text)
	switch {
	case !known && r.table == top:
		r.unknownKey(n)
	case !known:
	case k.Kind == Table:
		r.inlineEnvironment(k, n, e)
	case !r.twice(k.Name, shown(k.Name), n.at):
		r.value(k, n, e)
	}
}

// unknownKey does not show the value: it may be a variable of the environment
// that has lost its table.
func (r *fileReader) unknownKey(n name) {
	var known []string
	for _, k := range keys {
		known = append(known, k.Name)
	}
	advice := "prefork run --help lists the keys"
	switch near := Suggest(n.text, known); {
	case n.text == "config":
		advice = "a file cannot name another one: give --config or PREFORK_CONFIG"
	case near != "":
		advice = "did you mean " + near + "?"
	}
	r.complain(n.at, "%s: unknown key: %s", shown(n.text), advice)
}

// twice refuses what stands there already.
func (r *fileReader) twice(seenAs, what string, at int) bool {
	if line, before := r.seen[seenAs]; before {
		r.complain(at, "%s: it stands in line %d already: leave one of them out", what, line)
		return true
	}
	r.seen[seenAs] = r.lineOf(at) + 1
	return false
}

func (r *fileReader) complain(at int, format string, args ...any) {
	r.findings = append(r.findings, finding{r.at(at), fmt.Sprintf(format, args...)})
}

// skipBlank passes over empty lines and comments, to the first character.
func (r *fileReader) skipBlank(from int) int {
	for from < len(r.data) {
		line := r.line(r.lineOf(from))
		text := bytes.TrimLeft(line, " \t")
		if len(text) > 0 && text[0] != '#' {
			return from + len(line) - len(text)
		}
		from = r.lineAfter(from)
	}
	return from
}

// shown gives a key as it stands in a file.
func shown(key string) string {
	if key != "" && len(bareKey([]byte(key))) == len(key) && len(key) <= 2*suggestLengthMax {
		return key
	}
	return fmt.Sprintf("%.100q", key)
}

// exampleLine shows how a key is written.
func exampleLine(key string) string {
	k, _ := findKey(key)
	return key + " = " + k.exampleValue()
}

// exampleValue is the default as it would stand in a file, or what stands in for
// one where there is none.
func (k Key) exampleValue() string {
	if k.example != "" {
		return k.example
	}
	return k.format(Default())
}
