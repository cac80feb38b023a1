package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// value reads the value of a key that is no table.
func (r *fileReader) value(k Key, n name, e entry) {
	s := setting{key: k, origin: r.at(n.at), items: map[string]Origin{}}
	switch word, ok := wordOf(k.Kind, e.value); {
	case ok:
		s.words = []string{word}
	case k.Kind == List && e.value.Kind == unstable.Array:
		if s.words = r.list(k, &s, e); len(s.words) == 0 && e.value.Child() != nil {
			r.broken = append(r.broken, k.Name)
			return
		}
	default:
		p := &Problem{Key: k.Name, Value: e.raw, Text: fmt.Sprintf("this is %s, and the key takes %s: write %s = %s",
			kindWord(e.value.Kind), k.takes(), k.Name, k.corrected(e))}
		if e.value.Kind == unstable.String {
			p.Value = string(e.value.Data)
		}
		r.findings = append(r.findings, s.origin.find(p))
		r.broken = append(r.broken, k.Name)
		return
	}
	r.settings = append(r.settings, s)
}

// list gives the texts of a list, and complains about everything else in it.
func (r *fileReader) list(k Key, s *setting, e entry) (words []string) {
	for it := e.value.Children(); it.Next() && len(r.findings) <= findingsMax; {
		item := it.Node()
		at := s.origin
		if item.Raw.Length > 0 { // a list in a list does not know its place
			at = r.at(e.begin + int(item.Raw.Offset))
		}
		if item.Kind != unstable.String {
			p := &Problem{Key: k.Name, Value: string(item.Data), Text: fmt.Sprintf("this is %s in a list of texts: write text in quotes", kindWord(item.Kind))}
			r.findings = append(r.findings, at.find(p))
			continue
		}
		words = append(words, string(item.Data))
		s.items[strconv.Itoa(len(words))] = at
	}
	return words
}

// wordOf turns a single value into the word that a flag would be given. Every
// kind has one way to be written, or two.
func wordOf(kind Kind, n *unstable.Node) (word string, ok bool) {
	switch n.Kind {
	case unstable.String:
		digits := strings.Trim(string(n.Data), "0123456789") == ""
		return string(n.Data), kind == Text || kind == Time || kind == Size || kind == Count && !digits
	case unstable.Integer:
		return decimal(string(n.Data)), kind == Size || kind == Count
	case unstable.Bool:
		return string(n.Data), kind == Switch
	}
	return "", false
}

// decimal gives a TOML integer as plain digits: 1_000 and 0x10 are numbers too.
// What is too large stays as it is, and the key's own parser refuses it.
func decimal(raw string) string {
	n, err := strconv.ParseInt(strings.ReplaceAll(raw, "_", ""), 0, 64)
	if err != nil {
		return raw
	}
	return strconv.FormatInt(n, 10)
}

// beginEnvironment opens the one table. The same table may go on only as
// environment.NAME.
func (r *fileReader) beginEnvironment(at int, dotted bool) bool {
	if r.variables != nil && dotted && r.dotted {
		return true
	}
	if r.variables != nil {
		r.complain(at, "environment: it begins in line %d already: put all variables there", r.variables.origin.line)
		return false
	}
	k, _ := findKey("environment")
	r.dotted = dotted
	r.variables = &setting{key: k, origin: r.at(at), items: map[string]Origin{}}
	return true
}

func (r *fileReader) inlineEnvironment(k Key, n name, e entry) {
	if e.value.Kind != unstable.InlineTable {
		// Without the value: it was meant to be secret.
		r.complain(n.at, "%s: this is %s, and the key takes %s: write %s", k.Name, kindWord(e.value.Kind), k.takes(), exampleLine(k.Name))
		return
	}
	if !r.beginEnvironment(n.at, false) {
		return
	}
	for it := e.value.Children(); it.Next() && len(r.findings) <= findingsMax; {
		inner := r.entryOf(e.begin, it.Node())
		if len(inner.names) > 1 {
			r.nested(inner.names[0])
			continue
		}
		r.variable(inner.names[0], inner.value)
	}
}

// variable reads one variable. Its value is never part of a complaint.
func (r *fileReader) variable(n name, value *unstable.Node) {
	item := itemName("environment", n.text)
	if r.twice(item, fmt.Sprintf("environment %.100q", n.text), n.at) {
		return
	}
	if _, isKey := findKey(n.text); isKey && r.table == environment {
		r.complain(n.at, "%s: everything below [environment] is a variable: move this key above that line (a variable of this name: environment = { %[1]s = ... })", n.text)
		return
	}
	if value.Kind != unstable.String {
		r.complain(n.at, "environment %.100q: its value is %s, and a variable is text: write it in quotes", n.text, kindWord(value.Kind))
		r.broken = append(r.broken, item)
		return
	}
	r.variables.words = append(r.variables.words, n.text, string(value.Data))
	r.variables.items[n.text] = r.at(n.at)
}

// nested refuses environment.a.b: a variable is no table.
func (r *fileReader) nested(n name) {
	r.complain(n.at, "environment %.100q: a variable is text and no table: write %s, in quotes if its name has a dot", n.text, `NAME = "value"`)
}

func (k Key) takes() string {
	switch k.Kind {
	case Text:
		return "text in quotes"
	case Time:
		return "a time in quotes"
	case Size:
		return "a size in quotes, or a number of bytes"
	case Count:
		return "a number without quotes, or a word in quotes"
	case Switch:
		return "true or false without quotes"
	case List:
		return "a list of texts in brackets"
	}
	return "names with their values in braces"
}

// kindWord names what somebody wrote instead.
func kindWord(kind unstable.Kind) string {
	switch kind {
	case unstable.String:
		return "text"
	case unstable.Integer:
		return "a number"
	case unstable.Float:
		return "a number with a fraction"
	case unstable.Bool:
		return "true or false"
	case unstable.Array:
		return "a list"
	case unstable.InlineTable:
		return "a table"
	}
	return "a date or a time of day"
}

// corrected guesses what somebody meant, or gives an example.
func (k Key) corrected(e entry) string {
	kind, text := e.value.Kind, string(e.value.Data)
	isText := kind == unstable.String
	switch {
	case k.Kind == Text && kind != unstable.Array && kind != unstable.InlineTable:
		return fmt.Sprintf("%.100q", e.raw)
	case k.Kind == Time && kind == unstable.Integer:
		return fmt.Sprintf("%.100q", e.raw+"s")
	case k.Kind == Count && isText && text != "":
		return fmt.Sprintf("%.100s", text)
	case k.Kind == Switch && (isText || kind == unstable.Integer):
		return switchFor(text)
	case k.Kind == List && isText && text != "":
		return k.listFor(text)
	}
	return k.exampleValue()
}

func switchFor(word string) string {
	return strconv.FormatBool(slices.Contains([]string{"true", "yes", "on", "1"}, strings.ToLower(word)))
}

// listFor takes a command apart at its spaces, as a shell does, and leaves the
// rest to the operator.
func (k Key) listFor(text string) string {
	words := []string{text}
	if k.Name == "command" {
		words = strings.Fields(text)
	}
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = strconv.Quote(w)
	}
	return fmt.Sprintf("[%.200s]", strings.Join(quoted, ", "))
}
